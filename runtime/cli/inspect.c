/* SPDX-License-Identifier: MIT */
#include "cli/cli.h"
#include "cli/options.h"
#include "graph/dump.h"

#include <json-c/json.h>
#include <protobuf-c/protobuf-c.h>
#include <stdio.h>
#include <string.h>

static int usage(FILE *f)
{
	fprintf(f, "usage: kerf inspect [OPTIONS] MODEL.onnx\n"
		   "       kerf inspect --build [--json]\n\n"
		   "Operators as kerf runs them, their shapes, FLOPs, parameters and activations.\n\n"
		   "  --json              machine-readable output\n"
		   "  --dot               a graph for Graphviz\n"
		   "  --shape NAME:DIMS   fix an input's shape: data:1,3,224,224\n"
		   "  --no-rewrite        operators as the model has them\n"
		   "  --build             what this kerf was built with\n");
	return f == stdout ? KERF_EXIT_OK : KERF_EXIT_USAGE;
}

/* Optional parts: what each brings, and whether it is built in. */
static const struct {
	const char *name, *what;
	bool built;
} features[] = {
	{"curl", "engines of other nodes (libcurl)",
#ifdef WITH_CURL
	 true
#else
	 false
#endif
	},
	{"microhttpd", "serving: kerf node (libmicrohttpd)",
#ifdef WITH_MICROHTTPD
	 true
#else
	 false
#endif
	},
	{"drm", "engines behind the kernel's queues (libdrm)",
#ifdef WITH_DRM
	 true
#else
	 false
#endif
	},
};

static int show_build(bool json)
{
	json_object *root;
	size_t i;

	if (!json) {
		printf("kerf %s, protobuf-c %s, json-c %s\n", KERF_VERSION, protobuf_c_version(),
		       json_c_version());
		for (i = 0; i < KERF_ARRAY_SIZE(features); i++)
			printf("  %-12s %-4s %s\n", features[i].name,
			       features[i].built ? "yes" : "no", features[i].what);
		return KERF_EXIT_OK;
	}
	root = json_object_new_object();
	json_object_object_add(root, "version", json_object_new_string(KERF_VERSION));
	for (i = 0; i < KERF_ARRAY_SIZE(features); i++)
		json_object_object_add(root, features[i].name,
				       json_object_new_boolean(features[i].built));
	printf("%s\n", json_object_to_json_string_ext(root, JSON_C_TO_STRING_PRETTY));
	json_object_put(root);
	return KERF_EXIT_OK;
}

static int inspect(const struct kerf_cli_options *o, bool dot)
{
	struct kerf_err err = {0};
	struct kerf_graph *g;
	int r = kerf_model_load(o->model, &o->load, &g, &err);

	if (r)
		return kerf_cli_fail(&err, r);
	if (dot)
		r = kerf_graph_dump_dot(g, stdout);
	else if (o->json)
		r = kerf_graph_dump_json(g, stdout);
	else
		r = kerf_graph_dump_text(g, stdout);
	kerf_graph_unref(g);
	return r || fflush(stdout) ? kerf_cli_fail(&err, r ? r : -errno) : KERF_EXIT_OK;
}

int kerf_cmd_inspect(int argc, char **argv)
{
	static const struct option options[] = {
		{"json", no_argument, NULL, 'j'},	{"dot", no_argument, NULL, 'D'},
		{"shape", required_argument, NULL, 's'}, {"no-rewrite", no_argument, NULL, 'R'},
		{"build", no_argument, NULL, 'B'},	{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	struct kerf_cli_options o = {0};
	struct kerf_err err = {0};
	bool dot = false, build = false;
	int c, r;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'D': dot = true; continue;
		case 'R': o.load.no_rewrite = true; continue;
		case 'B': build = true; continue;
		case 'h': kerf_cli_options_finish(&o); return usage(stdout);
		}
		r = kerf_cli_option(&o, c, optarg, &err);
		if (r) {
			kerf_cli_options_finish(&o);
			if (err.msg[0])
				kerf_cli_fail(&err, r);
			return KERF_EXIT_USAGE;
		}
	}
	if (build && optind == argc) {
		r = show_build(o.json);
	} else if (build || optind + 1 != argc || (dot && o.json)) {
		r = usage(stderr);
	} else {
		o.model = argv[optind];
		r = inspect(&o, dot);
	}
	kerf_cli_options_finish(&o);
	return r;
}
