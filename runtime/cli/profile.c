/* SPDX-License-Identifier: MIT */
/* kerf profile: what each fused operator of a model costs on each engine. */
#include "cli/cli.h"
#include "cli/options.h"

#include <stdio.h>

static const char help[] =
	"usage: kerf profile MODEL [--on ENGINES] [OPTIONS]\n"
	"\n"
	"Measures every fused operator of MODEL on each engine, whole and in tiles of a half,\n"
	"a quarter and an eighth of its rows, stores the figures for later plans, and prints\n"
	"them. 'fixed' is the part of an operator's time that a tile pays whatever its size.\n"
	"\n"
	"  --seconds N         measuring time an engine (default 1)\n"
	KERF_CLI_OPTIONS_HELP;

static const struct option longs[] = {
	{"seconds", required_argument, NULL, 'S'},
	KERF_CLI_LONG_OPTIONS,
};

static int parse(int argc, char **argv, struct kerf_cli_options *o, struct kerf_err *err)
{
	int c, r = 0;
	long n;

	while (!r && (c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		if (c == 'h')
			return 1;
		if (c == 'S') {
			r = kerf_cli_number("--seconds", optarg, 1, 600, &n, err);
			o->profile.seconds = (double)n;
		} else {
			r = kerf_cli_option(o, c, optarg, err);
		}
	}
	if (!r && optind != argc - 1)
		r = kerf_fail(err, -EINVAL,
			      "expected one model file; 'kerf profile --help' tells more");
	o->model = argv[optind];
	return r;
}

static void print_text(const struct kerf_graph *g, const struct kerf_profile *p)
{
	double flops = 0, fixed = 0;
	uint32_t i;

	printf("%s\n%5s %-20s %10s %8s %9s %7s  %s\n", p->engine, "op", "type", "us", "share",
	       "GFLOP/s", "fixed", "name");
	for (i = 0; i < g->n_op; i++) {
		double work = (double)kerf_op_flops(g, &g->op[i]);

		flops += work;
		fixed += p->op_fixed_s[i];
		printf("%5u %-20s %10.1f %7.2f%% %9.2f %6.1f%%  %s\n", i, g->op[i].def->name,
		       p->op_s[i] * 1e6, p->run_s > 0 ? 100 * p->op_s[i] / p->run_s : 0,
		       p->op_s[i] > 0 ? work / p->op_s[i] / 1e9 : 0,
		       p->op_s[i] > 0 ? 100 * p->op_fixed_s[i] / p->op_s[i] : 0, g->op[i].name);
	}
	printf("whole run: %.3f ms mean of %u, %.2f GFLOP/s; of it %.3f ms in every tile, however low\n",
	       p->run_s * 1e3, p->runs, p->run_s > 0 ? flops / p->run_s / 1e9 : 0, fixed * 1e3);
}

static void print_json(const struct kerf_graph *g, const struct kerf_profile *p)
{
	uint32_t i;

	printf("{\"engine\":\"%s\",\"run_s\":%.9g,\"runs\":%u,\"op_s\":[", p->engine, p->run_s,
	       p->runs);
	for (i = 0; i < g->n_op; i++)
		printf("%s%.9g", i ? "," : "", p->op_s[i]);
	printf("],\"op_fixed_s\":[");
	for (i = 0; i < g->n_op; i++)
		printf("%s%.9g", i ? "," : "", p->op_fixed_s[i]);
	printf("]}\n");
}

static int profile(struct kerf_cli_options *o, struct kerf_err *err)
{
	struct kerf_graph *g = NULL;
	struct kerf_cluster c = {0};
	struct kerf_profile p;
	uint32_t i;
	int r = kerf_model_load(o->model, &o->load, &g, err);

	if (!r)
		r = kerf_cluster_open(o->on ? o->on : "cpu", &o->engine, &c, err);
	for (i = 0; i < c.n_engine && !r; i++) {
		r = kerf_cluster_profile(&c, i, g, &o->profile, NULL, &p, err);
		if (r)
			break;
		(o->json ? print_json : print_text)(g, &p);
		kerf_profile_finish(&p);
	}
	kerf_cluster_close(&c);
	kerf_graph_unref(g);
	return r;
}

int kerf_cmd_profile(int argc, char **argv)
{
	struct kerf_cli_options o = {.profile = {.measure = true, .tiles = true}};
	struct kerf_err err = {""};
	int r = parse(argc, argv, &o, &err), status = KERF_EXIT_OK;

	if (r > 0) {
		fputs(help, stdout);
	} else if (r) {
		kerf_cli_fail(&err, r);
		status = KERF_EXIT_USAGE;
	} else {
		r = kerf_cli_options_open(&o, &err);
		if (!r)
			r = profile(&o, &err);
		if (r)
			status = kerf_cli_fail(&err, r);
	}
	kerf_cli_options_finish(&o);
	return status;
}
