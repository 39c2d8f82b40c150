/* SPDX-License-Identifier: MIT */
/* kerf profile: what each fused operator of a model costs on each engine. */
#include "cli/cli.h"
#include "cli/options.h"
#include "cost/predictor.h"
#include "exec/measure.h"
#include "steer/view.h"

#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#define CLIENTS 4 /* of --sharing */

struct profile_options {
	struct kerf_cli_options common;
	bool sharing, train;
};

static const char help[] =
	"usage: kerf profile MODEL [--on ENGINES] [OPTIONS]\n"
	"       kerf profile --train\n"
	"\n"
	"Measures every fused operator of MODEL on each engine, whole and in tiles of a half,\n"
	"a quarter and an eighth of its rows, stores the figures for later plans, and prints\n"
	"them. 'fixed' is the part of an operator's time that a tile pays whatever its size.\n"
	"\n"
	"Once an engine it also measures what a cut costs there beside its copies, and a few\n"
	"operators of fixed shapes, from which costs on it can be predicted.\n"
	"\n"
	"  --seconds N         measuring time an engine (default 1)\n"
	"  --sharing           also how much longer a job takes beside one, two and three others\n"
	"  --train             teach the predictor all stored profiles; with MODEL, after measuring it\n"
	KERF_CLI_OPTIONS_HELP;

static const struct option longs[] = {
	{"seconds", required_argument, NULL, 'S'},
	{"sharing", no_argument, NULL, 'H'},
	{"train", no_argument, NULL, 'N'},
	KERF_CLI_LONG_OPTIONS,
};

static int parse(int argc, char **argv, struct profile_options *p, struct kerf_err *err)
{
	struct kerf_cli_options *o = &p->common;
	int c, r = 0;
	long n;

	while (!r && (c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		if (c == 'h')
			return 1;
		if (c == 'S') {
			r = kerf_cli_number("--seconds", optarg, 1, 600, &n, err);
			o->profile.seconds = (double)n;
		} else if (c == 'H') {
			p->sharing = true;
		} else if (c == 'N') {
			p->train = true;
		} else {
			r = kerf_cli_option(o, c, optarg, err);
		}
	}
	if (!r && optind != argc - 1 && !(p->train && optind == argc))
		r = kerf_fail(err, -EINVAL,
			      "expected one model file; 'kerf profile --help' tells more");
	o->model = optind < argc ? argv[optind] : NULL;
	if (!r && p->sharing && !o->model)
		r = kerf_fail(err, -EINVAL, "--sharing needs a model");
	return r;
}

static void print_text(const struct kerf_graph *g, const struct kerf_profile *p)
{
	double flops = 0, fixed = 0;
	uint32_t i;

	printf("%s%s\n%5s %-20s %10s %8s %9s %7s  %s\n", p->engine, p->predicted ? " (predicted)" : "",
	       "op", "type", "us", "share", "GFLOP/s", "fixed", "name");
	for (i = 0; i < g->n_op; i++) {
		double work = (double)kerf_op_flops(g, &g->op[i]);
		double tile = p->op_fixed_s ? p->op_fixed_s[i] : 0;

		flops += work;
		fixed += tile;
		printf("%5u %-20s %10.1f %7.2f%% %9.2f %6.1f%%  %s\n", i, g->op[i].def->name,
		       p->op_s[i] * 1e6, p->run_s > 0 ? 100 * p->op_s[i] / p->run_s : 0,
		       p->op_s[i] > 0 ? work / p->op_s[i] / 1e9 : 0,
		       p->op_s[i] > 0 ? 100 * tile / p->op_s[i] : 0, g->op[i].name);
	}
	printf("whole run: %.3f ms, ", p->run_s * 1e3);
	if (p->predicted)
		printf("predicted");
	else
		printf("mean of %u", p->runs);
	printf(", %.2f GFLOP/s", p->run_s > 0 ? flops / p->run_s / 1e9 : 0);
	if (p->op_fixed_s)
		printf("; of it %.3f ms in every tile, however low", fixed * 1e3);
	putchar('\n');
}

static void print_cost(const struct kerf_engine_cost *c)
{
	uint32_t i;

	if (c->has_apart)
		printf("apart: a job %.1f us, a value that leaves or enters %.2f us + %.3f us/MB (%u cuts)\n",
		       c->job_s * 1e6, c->apart_fixed_s * 1e6, c->apart_byte_s * 1e12,
		       c->apart_cuts);
	if (c->has_codec)
		printf("codecs: fp16 %.0f us, int8 %.0f us to encode or decode a MB of float32\n",
		       c->f16_byte_s * 1e12, c->int8_byte_s * 1e12);
	if (c->has_power)
		printf("power: %.2f W beyond the node's %.2f W\n", c->active_w, c->idle_w);
	if (!c->has_sharing)
		return;
	printf("sharing: d = %.3f, largest error %.1f %%; clients and ms a job:", c->sharing_d,
	       c->sharing_error * 100);
	for (i = 0; i < c->n_sharing; i++)
		printf(" %u: %.3f", i + 1, c->sharing_s[i] * 1e3);
	putchar('\n');
}

static struct json_object *doubles(const double *v, uint32_t n)
{
	struct json_object *list = json_object_new_array();
	uint32_t i;

	for (i = 0; i < n; i++)
		json_object_array_add(list, json_object_new_double(v[i]));
	return list;
}

static void print_json(const struct kerf_profile *p, const struct kerf_engine_cost *c)
{
	struct json_object *o = json_object_new_object(), *part;

	json_object_object_add(o, "engine", json_object_new_string(p->engine));
	json_object_object_add(o, "predicted", json_object_new_boolean(p->predicted));
	json_object_object_add(o, "run_s", json_object_new_double(p->run_s));
	json_object_object_add(o, "runs", json_object_new_int64(p->runs));
	json_object_object_add(o, "op_s", doubles(p->op_s, p->n_op));
	if (p->op_fixed_s)
		json_object_object_add(o, "op_fixed_s", doubles(p->op_fixed_s, p->n_op));
	if (c->has_apart) {
		part = json_object_new_object();
		json_object_object_add(part, "job_s", json_object_new_double(c->job_s));
		json_object_object_add(part, "fixed_s", json_object_new_double(c->apart_fixed_s));
		json_object_object_add(part, "byte_s", json_object_new_double(c->apart_byte_s));
		json_object_object_add(o, "apart", part);
	}
	if (c->has_sharing) {
		part = json_object_new_object();
		json_object_object_add(part, "d", json_object_new_double(c->sharing_d));
		json_object_object_add(part, "error", json_object_new_double(c->sharing_error));
		json_object_object_add(part, "mean_s", doubles(c->sharing_s, c->n_sharing));
		json_object_object_add(o, "sharing", part);
	}
	puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN));
	json_object_put(o);
}

static int measure_codec(struct kerf_engine_cost *cost)
{
	double byte_s[KERF_N_CODECS];
	int r = kerf_measure_codec(byte_s);

	cost->has_codec = !r;
	cost->f16_byte_s = byte_s[KERF_CODEC_F16];
	cost->int8_byte_s = byte_s[KERF_CODEC_INT8];
	return r;
}

/* What is measured of an engine for all graphs, by this one. */
static int measure_engine(const struct profile_options *o, struct kerf_cluster *c, uint32_t i,
			  struct kerf_graph *g, double idle_w, double busy_w,
			  struct kerf_engine_cost *cost, struct kerf_err *err)
{
	double seconds = o->common.profile.seconds > 0 ? o->common.profile.seconds : 1;
	bool run = o->common.profile.measure;
	int r = kerf_cluster_engine_cost(c, i, run, cost, err);

	if (!r && run)
		r = kerf_measure_apart(c->engine[i], g, seconds, cost, err);
	if (!r && run && !c->info[i].remote)
		r = measure_codec(cost);
	if (!r && run && idle_w > 0 && busy_w > idle_w) {
		cost->has_power = true;
		cost->idle_w = idle_w;
		cost->active_w = busy_w - idle_w;
	}
	if (!r && o->sharing)
		r = kerf_measure_sharing(c->engine[i], g, seconds, CLIENTS, cost, err);
	if (!r && (run || o->sharing))
		r = kerf_engine_cost_save(cost, err);
	return kerf_fail(r ? err : NULL, r, "engine %s: %s", c->info[i].name, strerror(-r));
}

static int profile(struct profile_options *o, struct kerf_err *err)
{
	struct kerf_engine_cost cost;
	struct kerf_graph *g = NULL;
	struct kerf_cluster c = {0};
	struct kerf_profile p;
	struct kerf_cluster_view view = {0};
	double busy_w;
	uint32_t i;
	int r = kerf_model_load(o->common.model, &o->common.load, &g, err);

	if (o->sharing)
		o->common.engine.depth = KERF_MAX(o->common.engine.depth, CLIENTS);
	if (!r)
		r = kerf_cluster_open(o->common.on ? o->common.on : "cpu", &o->common.engine, &c, err);
	for (i = 0; i < c.n_engine && !r; i++) {
		/* Waits for a window in which nothing of ours ran. */
		kerf_view_loads(o->common.telemetry, &c, true, &view);
		r = kerf_cluster_profile(&c, i, g, &o->common.profile, NULL, &p, err);
		if (r)
			break;
		/* The window that ends now was full of the model's runs. */
		busy_w = kerf_view_power(o->common.telemetry, &c, i);
		r = measure_engine(o, &c, i, g, view.node_w[i], busy_w, &cost, err);
		if (!r && o->common.json) {
			print_json(&p, &cost);
		} else if (!r) {
			print_text(g, &p);
			print_cost(&cost);
		}
		kerf_profile_finish(&p);
	}
	kerf_cluster_close(&c);
	kerf_graph_unref(g);
	return r;
}

static int train(const struct profile_options *o, struct kerf_err *err)
{
	struct kerf_training t = {0};
	struct kerf_predictor p;
	uint32_t left_out;
	int r = kerf_training_load(&t, &left_out, err);

	if (!r)
		r = kerf_predictor_train(&t, NULL, NULL, &p);
	if (!r) {
		r = kerf_predictor_save(&p, err);
		if (!r && o->common.json)
			printf("{\"operators\":%u,\"profiles\":%u,\"left_out\":%u}\n", p.n_sample, p.n_profile,
			       left_out);
		else if (!r)
			printf("predictor: learned %u operators of %u profiles; %u left out "
			       "(format 1, or their engine is not calibrated)\n",
			       p.n_sample, p.n_profile, left_out);
		kerf_predictor_finish(&p);
	}
	kerf_training_finish(&t);
	return r;
}

int kerf_cmd_profile(int argc, char **argv)
{
	struct profile_options o = {.common.profile = {.measure = true, .tiles = true}};
	struct kerf_err err = {""};
	int r = parse(argc, argv, &o, &err), status = KERF_EXIT_OK;

	if (r > 0) {
		fputs(help, stdout);
	} else if (r) {
		kerf_cli_fail(&err, r);
		status = KERF_EXIT_USAGE;
	} else {
		r = kerf_cli_options_open(&o.common, &err);
		if (!r && o.common.model)
			r = profile(&o, &err);
		if (!r && o.train)
			r = train(&o, &err);
		if (r)
			status = kerf_cli_fail(&err, r);
	}
	kerf_cli_options_finish(&o.common);
	return status;
}
