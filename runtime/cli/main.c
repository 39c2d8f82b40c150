/* SPDX-License-Identifier: MIT */
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

static const struct kerf_command commands[] = {
	{"bench", "latency, throughput, peak and wire overhead", kerf_cmd_bench},
	{"conformance", "run folders of ONNX test cases", kerf_cmd_conformance},
	{"gen", "write ONNX models of well-known architectures", kerf_cmd_gen},
	{"inspect", "what a model is made of; what kerf is built with", kerf_cmd_inspect},
	{"node", "serve this machine's engines and models", kerf_cmd_node},
	{"plan", "where a policy would run what, and why", kerf_cmd_plan},
	{"profile", "measure a model's operators on engines", kerf_cmd_profile},
	{"record", "write what a node measures to a trace", kerf_cmd_record},
	{"report", "draw a trace: rate, load, predictions, plans", kerf_cmd_report},
	{"run", "run a model once, from files to files", kerf_cmd_run},
	{"sim", "play requests over many nodes through, without running them", kerf_cmd_sim},
	{"top", "what a node measures, live", kerf_cmd_top},
	{NULL, NULL, NULL},
};

int kerf_cli_fail(const struct kerf_err *err, int code)
{
	fprintf(stderr, "kerf: %s\n", err->msg[0] ? err->msg : strerror(-code));
	return code == -EDOM ? KERF_EXIT_MISSED : KERF_EXIT_FAILED;
}

static int usage(FILE *f)
{
	const struct kerf_command *c;

	fprintf(f, "usage: kerf COMMAND [OPTIONS]\n\n");
	for (c = commands; c->name; c++)
		fprintf(f, "  %-12s %s\n", c->name, c->what);
	fprintf(f, "\n'kerf COMMAND --help' tells a command's options.\n");
	return f == stdout ? KERF_EXIT_OK : KERF_EXIT_USAGE;
}

int main(int argc, char **argv)
{
	const struct kerf_command *c;
	const char *name = argc ? strrchr(argv[0], '/') : NULL;

	if (argc && !strcmp(name ? name + 1 : argv[0], "kerfd"))
		return kerf_cmd_kerfd(argc, argv);
	if (argc < 2)
		return usage(stderr);
	if (!strcmp(argv[1], "--version")) {
		printf("kerf %s\n", KERF_VERSION);
		return KERF_EXIT_OK;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "help"))
		return usage(stdout);
	for (c = commands; c->name; c++)
		if (!strcmp(argv[1], c->name))
			return c->run(argc - 1, argv + 1);
	fprintf(stderr, "kerf: unknown command '%s'\n", argv[1]);
	return usage(stderr);
}
