/* SPDX-License-Identifier: MIT */
/* kerf run: a request, or the same again and again, from files to files. */
#include "cli/check.h"
#include "cli/cli.h"
#include "cli/options.h"
#include "cli/replan.h"
#include "exec/measure.h"
#include "graph/tensor_file.h"
#include "util/clock.h"

#include <json-c/json.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_FILES 256
#define TELL_NS 250000000u

/* "NAME:FILE": names may hold colons, files may not. */
struct named_file {
	char *name;
	const char *file;
};

struct run_options {
	struct kerf_cli_options common;
	struct named_file input[MAX_FILES], output[MAX_FILES];
	uint32_t n_input, n_output;
	bool random, check;
	long seed, repeat, replan;
};

static const char help[] =
	"usage: kerf run MODEL [OPTIONS]\n"
	"\n"
	"Runs MODEL and prints its outputs, or writes them to files.\n"
	"\n"
	"  --input NAME:FILE   read an input: .pb (ONNX TensorProto), .npy, else raw bytes\n"
	"  --output NAME:FILE  write an output, same formats; written only if the run succeeds\n"
	"  --random SEED       fill inputs without a file from a seeded generator\n"
	"  --check             run the whole model on the first engine too, and say how far the\n"
	"                      outputs are from its: plans with padded tiles or codecs are not exact\n"
	"  --repeat N          that many requests, one after the other (default 1); the last one's\n"
	"                      outputs are those that are told\n"
	"  --replan N          meanwhile look at links and loads every N seconds, and change the plan\n"
	"                      when that pays\n"
	KERF_CLI_OPTIONS_HELP;

static const struct option longs[] = {
	{"input", required_argument, NULL, 'i'},
	{"output", required_argument, NULL, 'O'},
	{"random", required_argument, NULL, 'r'},
	{"check", no_argument, NULL, 'V'},
	{"repeat", required_argument, NULL, 'n'},
	{"replan", required_argument, NULL, 'N'},
	KERF_CLI_LONG_OPTIONS,
};

static int add_file(struct named_file *list, uint32_t *n, const char *what, const char *arg,
		    struct kerf_err *err)
{
	const char *colon = strrchr(arg, ':');

	if (!colon || colon == arg || !colon[1])
		return kerf_fail(err, -EINVAL, "%s '%s': expected NAME:FILE", what, arg);
	if (*n == MAX_FILES)
		return kerf_fail(err, -E2BIG, "%s: more than %d", what, MAX_FILES);
	list[*n].name = strndup(arg, (size_t)(colon - arg));
	list[*n].file = colon + 1;
	return list[(*n)++].name ? 0 : -ENOMEM;
}

static int parse(int argc, char **argv, struct run_options *o, struct kerf_err *err)
{
	int c, r = 0;

	while (!r && (c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		switch (c) {
		case 'h': return 1;
		case 'i': r = add_file(o->input, &o->n_input, "--input", optarg, err); break;
		case 'O': r = add_file(o->output, &o->n_output, "--output", optarg, err); break;
		case 'r':
			o->random = true;
			r = kerf_cli_number("--random", optarg, 0, INT32_MAX, &o->seed, err);
			break;
		case 'n': r = kerf_cli_number("--repeat", optarg, 1, INT32_MAX, &o->repeat, err); break;
		case 'N': r = kerf_cli_number("--replan", optarg, 1, 3600, &o->replan, err); break;
		case 'V': o->check = true; break;
		default: r = kerf_cli_option(&o->common, c, optarg, err);
		}
	}
	if (!r && o->replan && o->common.goal.goal.exits)
		r = kerf_fail(err, -EINVAL, "--replan beside --exits: an answer would be of one exit or another");
	if (!r && optind != argc - 1)
		r = kerf_fail(err, -EINVAL, "expected one model file; 'kerf run --help' tells more");
	o->common.model = argv[optind];
	return r;
}

static int read_inputs(const struct run_options *o, const struct kerf_graph *g,
		       struct kerf_io *io, struct kerf_err *err)
{
	bool *given = calloc(g->n_in + 1, sizeof(*given));
	uint32_t i;
	int r = given ? 0 : -ENOMEM;

	for (i = 0; i < o->n_input && !r; i++) {
		int32_t at = kerf_graph_find_input(g, o->input[i].name);
		struct kerf_tensor t;

		if (at < 0) {
			r = kerf_fail(err, -EINVAL, "%s: no input '%s'; the first is '%s'",
				      o->common.model, o->input[i].name,
				      g->n_in ? g->value[g->in[0]].name : "(none)");
			break;
		}
		r = kerf_tensor_read(o->input[i].file, &g->value[g->in[at]].t, &t, err);
		if (r)
			break;
		memcpy(io->in[at].data, t.data, kerf_tensor_bytes(&t));
		free(t.data);
		given[at] = true;
	}
	for (i = 0; i < g->n_in && !r; i++)
		if (!given[i] && !o->random)
			r = kerf_fail(err, -EINVAL, "%s: input '%s' not given: --input %s:FILE or --random SEED",
				      o->common.model, g->value[g->in[i]].name,
				      g->value[g->in[i]].name);
	free(given);
	return r;
}

static int find_output(const struct kerf_graph *g, const char *name)
{
	uint32_t i;

	for (i = 0; i < g->n_out; i++)
		if (!strcmp(g->value[g->out[i]].name, name))
			return (int)i;
	return -1;
}

/* An exit's plan brings other outputs home only by the way. */
static bool delivered(const struct kerf_graph *g, const struct kerf_plan *plan, uint32_t output)
{
	return plan->exit < 0 || g->exit[plan->exit].output == output;
}

static int check_outputs(const struct run_options *o, const struct kerf_graph *g,
			 const struct kerf_plan *plan, struct kerf_err *err)
{
	uint32_t i;

	for (i = 0; i < o->n_output; i++) {
		int at = find_output(g, o->output[i].name);

		if (at < 0)
			return kerf_fail(err, -EINVAL, "%s: no output '%s'; the first is '%s'",
					 o->common.model, o->output[i].name,
					 g->value[g->out[0]].name);
		if (!delivered(g, plan, (uint32_t)at))
			return kerf_fail(err, -EINVAL, "%s: the plan ends at exit '%s', and does not make '%s'",
					 o->common.model,
					 g->value[g->out[g->exit[plan->exit].output]].name,
					 o->output[i].name);
	}
	return 0;
}

static int write_outputs(const struct run_options *o, const struct kerf_graph *g,
			 const struct kerf_io *io, struct kerf_err *err)
{
	uint32_t i;
	int r = 0;

	for (i = 0; i < o->n_output && !r; i++)
		r = kerf_tensor_write(o->output[i].file, o->output[i].name,
				      &io->out[find_output(g, o->output[i].name)], err);
	return r;
}

static void print_outputs(const struct kerf_graph *g, const struct kerf_plan *plan,
			  const struct kerf_io *io)
{
	uint32_t i;

	for (i = 0; i < g->n_out; i++) {
		const struct kerf_tensor *t = &io->out[i];
		int64_t n = kerf_tensor_count(t), k, best = 0;
		char text[KERF_SHAPE_TEXT];

		if (!delivered(g, plan, i))
			continue;
		printf("%s %s:", g->value[g->out[i]].name, kerf_tensor_text(t, text));
		for (k = 0; k < n; k++) {
			if (k < 8)
				printf(" %.6g", kerf_tensor_float(t, k));
			if (kerf_tensor_float(t, k) > kerf_tensor_float(t, best))
				best = k;
		}
		printf("%s (largest: %.6g at %lld)\n", n > 8 ? " ..." : "",
		       n ? kerf_tensor_float(t, best) : 0.0, (long long)best);
	}
}

/* JSON has no infinity and nothing that is not a number: null. */
static struct json_object *number_json(double x)
{
	return isfinite(x) ? json_object_new_double(x) : NULL;
}

static struct json_object *difference_json(const struct kerf_cli_difference *d)
{
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, "same_bits", json_object_new_boolean(d->same_bits));
	if (d->same_dims) {
		json_object_object_add(o, "rms", number_json(d->rms));
		json_object_object_add(o, "max_abs", number_json(d->max_abs));
		json_object_object_add(o, "max", number_json(d->max));
	}
	if (d->rows) {
		json_object_object_add(o, "rows", json_object_new_int64(d->rows));
		json_object_object_add(o, "top1_same", json_object_new_int64(d->top1));
	}
	return o;
}

static void print_json(const struct kerf_graph *g, const struct kerf_plan *plan,
		       const struct kerf_io *io, const struct kerf_cli_difference *d /* or NULL */)
{
	struct json_object *all = json_object_new_object();
	uint32_t i;
	int64_t k;

	for (i = 0; i < g->n_out; i++) {
		const struct kerf_tensor *t = &io->out[i];
		struct json_object *o, *shape, *data;

		if (!delivered(g, plan, i))
			continue;
		o = json_object_new_object();
		shape = json_object_new_array();
		data = json_object_new_array();
		for (k = 0; k < t->rank; k++)
			json_object_array_add(shape, json_object_new_int64(t->dims[k]));
		for (k = 0; k < kerf_tensor_count(t); k++)
			json_object_array_add(data, number_json(kerf_tensor_float(t, k)));
		json_object_object_add(o, "datatype", json_object_new_string(kerf_dtype_oip(t->dtype)));
		json_object_object_add(o, "shape", shape);
		json_object_object_add(o, "data", data);
		if (d)
			json_object_object_add(o, "error", difference_json(&d[i]));
		json_object_object_add(all, g->value[g->out[i]].name, o);
	}
	puts(json_object_to_json_string_ext(all, JSON_C_TO_STRING_PLAIN));
	json_object_put(all);
}

/* All requests, and who looks on says what the last ones took. */
static int play(const struct run_options *o, struct kerf_live *live, const struct kerf_io *io,
		struct kerf_err *err)
{
	uint64_t told = kerf_now_ns(), begin;
	long i = 0;
	int r;

	do {
		begin = kerf_now_ns();
		r = kerf_live_run(live, io->in, io->out);
		i++;
		if (!r && i < o->repeat && kerf_now_ns() - told < TELL_NS)
			continue;
		told = kerf_now_ns();
		kerf_cli_telemetry_requests(r ? NULL : o->common.telemetry, (uint64_t)i,
					    (double)(told - begin) * 1e-9);
	} while (!r && i < o->repeat);
	if (!r)
		return 0;
	kerf_live_why(live, err);
	kerf_fail(err, r, "%s", kerf_job_text(r));
	if (i > 1)
		kerf_err_prefix(err, "run %ld", i);
	kerf_err_prefix(err, "%s: the run failed", o->common.model);
	return r;
}

/* With --check, how exact the answer was; without it, that it may not have been. */
static int check(const struct run_options *o, const struct kerf_cli_setup *s,
		 const struct kerf_io *io, struct kerf_cli_difference **d, struct kerf_err *err)
{
	char why[96];
	int r;

	if (!o->check) {
		if (kerf_cli_inexact(&s->plan, why))
			fprintf(stderr, "kerf: the plan is not exact (%s): --check says what that changes\n",
				why);
		return 0;
	}
	*d = calloc(io->n_out + 1, sizeof(**d));
	if (!*d)
		return -ENOMEM;
	r = kerf_cli_differences(s, &s->plan, io, *d, err);
	if (!r && !o->common.json)
		kerf_cli_say_differences(s->plan.policy, s->graph, *d);
	return r;
}

static int run(const struct run_options *o, struct kerf_err *err)
{
	struct kerf_cli_difference *difference = NULL;
	struct kerf_cli_replan *replan = NULL;
	struct kerf_live *live = NULL;
	struct kerf_cli_setup s;
	struct kerf_io io = {0};
	int r = kerf_cli_setup(&o->common, &s, err);

	if (r)
		return r;
	r = check_outputs(o, s.graph, &s.plan, err);
	if (!r)
		r = kerf_io_make_on(kerf_cli_only_engine(&s), s.graph, (uint64_t)o->seed, &io);
	if (!r)
		r = read_inputs(o, s.graph, &io, err);
	if (!r)
		r = kerf_live_open(s.graph, &s.plan, s.cluster.engine, 1, &live, err);
	if (!r && o->replan)
		r = kerf_cli_replan_start(o->common.model, &s, live, (double)o->replan, &replan,
					  err);
	if (!r)
		r = play(o, live, &io, err);
	kerf_cli_replan_stop(replan);
	if (!r)
		r = check(o, &s, &io, &difference, err);
	if (!r && o->n_output)
		r = write_outputs(o, s.graph, &io, err);
	else if (!r && o->common.json)
		print_json(s.graph, &s.plan, &io, difference);
	else if (!r)
		print_outputs(s.graph, &s.plan, &io);
	free(difference);
	kerf_live_close(live);
	kerf_io_finish(&io);
	kerf_cli_setup_finish(&s);
	return r;
}

int kerf_cmd_run(int argc, char **argv)
{
	struct run_options *o = calloc(1, sizeof(*o));
	struct kerf_err err = {""};
	int r = o ? parse(argc, argv, o, &err) : -ENOMEM, status = KERF_EXIT_OK;

	if (r > 0) {
		fputs(help, stdout);
	} else if (r) {
		kerf_cli_fail(&err, r);
		status = KERF_EXIT_USAGE;
	} else {
		r = kerf_cli_options_open(&o->common, &err);
		if (!r)
			r = run(o, &err);
		if (r)
			status = kerf_cli_fail(&err, r);
	}
	while (o && o->n_input)
		free(o->input[--o->n_input].name);
	while (o && o->n_output)
		free(o->output[--o->n_output].name);
	if (o)
		kerf_cli_options_finish(&o->common);
	free(o);
	return status;
}
