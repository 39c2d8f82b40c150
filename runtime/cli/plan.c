/* SPDX-License-Identifier: MIT */
/* kerf plan: where each policy would run what, and what it thinks that costs. */
#include "cli/cli.h"
#include "cli/options.h"
#include "cli/plan_draw.h"
#include "plan/plan_json.h"
#include "util/clock.h"
#include "util/file.h"

#include <json-c/json.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct plan_options {
	struct kerf_cli_options common;
	bool explain, policies;
	const char *svg, *dot;
};

static const char help[] =
	"usage: kerf plan MODEL --on cpu,http://HOST:PORT [OPTIONS]\n"
	"\n"
	"Plans MODEL over the engines and prints the plan; runs nothing but measurements.\n"
	"\n"
	"  --explain           also say why: links, every policy's cost or why it has no plan\n"
	"  --svg FILE          draw the plan\n"
	"  --dot FILE          the same for Graphviz\n"
	"  --policies          list the policies, and plan nothing\n"
	"  --measure           profile again even where a stored profile exists\n"
	KERF_CLI_OPTIONS_HELP;

static const struct option longs[] = {
	{"explain", no_argument, NULL, 'e'},
	{"policies", no_argument, NULL, 'l'},
	{"svg", required_argument, NULL, 'V'},
	{"dot", required_argument, NULL, 'G'},
	{"measure", no_argument, NULL, 'm'},
	KERF_CLI_LONG_OPTIONS,
};

/* "0-3,7" for ascending ids. */
static void print_ranges(const uint32_t *id, uint32_t n, char *out, size_t size)
{
	size_t at = 0;
	uint32_t i, j;

	out[0] = 0;
	for (i = 0; i < n && at < size; i = j + 1) {
		for (j = i; j + 1 < n && id[j + 1] == id[j] + 1; j++)
			;
		at += (size_t)(j > i ? snprintf(out + at, size - at, "%s%u-%u", i ? "," : "",
						id[i], id[j])
				     : snprintf(out + at, size - at, "%s%u", i ? "," : "", id[i]));
	}
}

static double age_s(const struct kerf_link_estimate *e)
{
	uint64_t now = kerf_now_ns();

	return now > e->updated_ns ? (double)(now - e->updated_ns) * 1e-9 : 0;
}

static void print_link(const char *what, const struct kerf_link_estimate *e)
{
	printf("  %s %.3f ms + bytes / %.3f MB/s", what, (double)e->latency_ns * 1e-6,
	       (double)e->rate_bytes_s * 1e-6);
	if (e->least_ns)
		printf(", %.3f ms at least", (double)e->least_ns * 1e-6);
	if (e->window_bytes && (double)e->round_ns * 1e-9 * (double)e->rate_bytes_s >
				       (double)e->window_bytes)
		printf(" + slow start from %.1f KB in %.1f ms", (double)e->window_bytes * 1e-3,
		       (double)e->round_ns * 1e-6);
	printf("; 80 %%: %.3f of it - %.3f ms to %.3f of it + %.3f ms (%.11s, %u transfer%s, %.1f s old)\n",
	       e->low_ppm * 1e-6, (double)e->low_ns * 1e-6, e->high_ppm * 1e-6,
	       (double)e->high_ns * 1e-6, e->estimator, e->transfers,
	       e->transfers == 1 ? "" : "s", age_s(e));
}

static void print_state(const struct kerf_cli_setup *s)
{
	const struct kerf_cluster *c = &s->cluster;
	uint32_t i;

	for (i = 0; i < c->n_engine; i++) {
		if (c->info[i].remote) {
			printf("link to %s:\n", c->info[i].name);
			print_link("up  ", &s->view.up[i]);
			print_link("down", &s->view.down[i]);
		}
		if (s->view.slowdown[i] > 0)
			printf("load of %s: a slice there takes %.2f times what it takes when idle\n",
			       c->info[i].name, s->view.slowdown[i]);
		if (s->problem.sharing[i] > 1)
			printf("jobs of others on %s: %.0f, a slice takes %.2f times as long beside them\n",
			       c->info[i].name, s->view.others[i], s->problem.sharing[i]);
		if (s->problem.predicted[i])
			printf("operators on %s: predicted, never run there\n", c->info[i].name);
	}
}

/* Bytes that come over a link for step i; for KERF_PLAN_HOME, with the answer. */
static double received(const struct kerf_plan *plan, uint32_t i)
{
	double bytes = 0;
	uint32_t k;

	for (k = 0; k < plan->n_edge; k++)
		bytes += plan->edge[k].to == i ? plan->edge[k].bytes : 0;
	return bytes;
}

static void print_steps(const struct kerf_cli_setup *s, const struct kerf_plan *plan)
{
	char ranges[256];
	uint32_t i;

	for (i = 0; i < plan->n_step; i++) {
		const struct kerf_plan_step *st = &plan->step[i];

		print_ranges(st->op, st->n_op, ranges, sizeof(ranges));
		printf("step %u on %s: operators %s, receive %.1f KB, compute %.3f ms, done at %.3f ms\n", i,
		       s->cluster.info[st->engine].name, ranges, received(plan, i) / 1e3,
		       st->compute_s * 1e3, st->end_s * 1e3);
	}
}

static void print_costs(const struct kerf_plan *plan)
{
	printf("%.3f ms", plan->total_s * 1e3);
	if (plan->period_s > 0)
		printf(", %.1f/s", 1 / plan->period_s);
	if (plan->energy_j > 0)
		printf(", %.3g J", plan->energy_j);
	printf(", %.1f MB, %.1f KB sent", plan->memory_bytes / 1e6, plan->wire_bytes / 1e3);
	if (plan->accuracy > 0)
		printf(", accuracy %.4f", plan->accuracy);
	printf(", %u step%s\n", plan->n_step, plan->n_step == 1 ? "" : "s");
}

static void explain(const struct kerf_cli_setup *s)
{
	const struct kerf_policy *policy;
	uint32_t i;

	print_state(s);
	for (i = 0; (policy = kerf_policy_at(i)); i++) {
		struct kerf_err err = {""};
		struct kerf_plan plan = {.n_step = 0};
		int r;

		if (!strcmp(policy->name, "cut"))
			continue; /* not a choice of its own */
		r = policy->plan(&s->problem.p, &plan, &err);
		if (!r)
			r = kerf_plan_meets(&s->problem.p, &plan, &err);
		printf("policy %s: ", policy->name);
		if (r)
			puts(err.msg[0] ? err.msg : strerror(-r));
		else
			print_costs(&plan);
		kerf_plan_finish(&plan);
	}
}

static void print_policies(void)
{
	const struct kerf_policy *policy;
	uint32_t i;

	for (i = 0; (policy = kerf_policy_at(i)); i++)
		printf("%-14s %s\n", policy->name, policy->what);
}

static struct json_object *link_json(const struct kerf_link_estimate *e)
{
	struct json_object *o = json_object_new_object();
	char name[sizeof(e->estimator) + 1];

	snprintf(name, sizeof(name), "%.11s", e->estimator);
	json_object_object_add(o, "latency_s", json_object_new_double((double)e->latency_ns * 1e-9));
	json_object_object_add(o, "least_s", json_object_new_double((double)e->least_ns * 1e-9));
	json_object_object_add(o, "rate_bytes_s", json_object_new_double((double)e->rate_bytes_s));
	json_object_object_add(o, "low", json_object_new_double(e->low_ppm * 1e-6));
	json_object_object_add(o, "low_s", json_object_new_double((double)e->low_ns * 1e-9));
	json_object_object_add(o, "high", json_object_new_double(e->high_ppm * 1e-6));
	json_object_object_add(o, "high_s", json_object_new_double((double)e->high_ns * 1e-9));
	json_object_object_add(o, "window_bytes", json_object_new_int64((int64_t)e->window_bytes));
	json_object_object_add(o, "round_s", json_object_new_double((double)e->round_ns * 1e-9));
	json_object_object_add(o, "estimator", json_object_new_string(name));
	json_object_object_add(o, "transfers", json_object_new_int64(e->transfers));
	json_object_object_add(o, "age_s", json_object_new_double(age_s(e)));
	return o;
}

/* What the plan was made from: each engine's load, and the link to it. */
static struct json_object *state_json(const struct kerf_cli_setup *s)
{
	struct json_object *list = json_object_new_array();
	uint32_t i;

	for (i = 0; i < s->cluster.n_engine; i++) {
		struct json_object *o = json_object_new_object();

		json_object_object_add(o, "engine",
				       json_object_new_string(s->cluster.info[i].name));
		if (s->view.slowdown[i] > 0)
			json_object_object_add(o, "slowdown",
					       json_object_new_double(s->view.slowdown[i]));
		if (s->problem.op_s)
			json_object_object_add(o, "predicted",
					       json_object_new_boolean(s->problem.predicted[i]));
		if (s->cluster.info[i].remote && s->problem.op_s) {
			json_object_object_add(o, "up", link_json(&s->view.up[i]));
			json_object_object_add(o, "down", link_json(&s->view.down[i]));
		}
		json_object_array_add(list, o);
	}
	return list;
}

static void engine_names(const struct kerf_cli_setup *s, const char *name[KERF_MAX_ENGINES])
{
	uint32_t i;

	for (i = 0; i < s->cluster.n_engine; i++)
		name[i] = s->cluster.info[i].name;
}

static int draw(const struct kerf_cli_setup *s, const char *path,
		int (*how)(const struct kerf_plan_picture *p, FILE *f), struct kerf_err *err)
{
	const char *name[KERF_MAX_ENGINES];
	struct kerf_plan_picture p = {.graph = s->graph,
				      .plan = &s->plan,
				      .engine = name,
				      .n_engine = s->cluster.n_engine};
	char *text = NULL;
	size_t size = 0;
	FILE *f = NULL;
	int r;

	engine_names(s, name);
	r = kerf_plan_picture_make(&p);
	if (r)
		return r;
	f = open_memstream(&text, &size);
	r = f ? how(&p, f) : -ENOMEM;
	if (f && fclose(f) && !r)
		r = -ENOMEM;
	if (!r)
		r = kerf_file_write(path, text, size, err);
	free(text);
	kerf_plan_picture_finish(&p);
	return r;
}

static int print_json(const struct kerf_cli_setup *s)
{
	const char *name[KERF_MAX_ENGINES];
	struct json_object *o;

	engine_names(s, name);
	o = kerf_plan_to_json(s->graph, &s->plan, name);
	if (!o)
		return -ENOMEM;
	json_object_object_add(o, "engines", state_json(s));
	puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN));
	json_object_put(o);
	return 0;
}

static int parse(int argc, char **argv, struct plan_options *o, struct kerf_err *err)
{
	int c, r = 0;

	while (!r && (c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		switch (c) {
		case 'h': return 1;
		case 'e': o->explain = true; break;
		case 'l': o->policies = true; break;
		case 'V': o->svg = optarg; break;
		case 'G': o->dot = optarg; break;
		case 'm': o->common.profile.measure = true; break;
		default: r = kerf_cli_option(&o->common, c, optarg, err);
		}
	}
	if (!r && o->policies)
		return 0;
	if (!r && optind != argc - 1)
		r = kerf_fail(err, -EINVAL, "expected one model file; 'kerf plan --help' tells more");
	o->common.model = argv[optind];
	return r;
}

static int show(const struct plan_options *o, const struct kerf_cli_setup *s, struct kerf_err *err)
{
	int r = o->svg ? draw(s, o->svg, kerf_plan_draw_svg, err) : 0;

	if (!r && o->dot)
		r = draw(s, o->dot, kerf_plan_draw_dot, err);
	if (r || o->common.json)
		return r ? r : print_json(s);
	printf("plan by %s: ", s->plan.policy);
	print_costs(&s->plan);
	print_steps(s, &s->plan);
	printf("why: %s\n", s->plan.reason);
	return 0;
}

int kerf_cmd_plan(int argc, char **argv)
{
	struct plan_options o = {.common = {.priced = true}};
	struct kerf_err err = {""};
	struct kerf_cli_setup s;
	int r = parse(argc, argv, &o, &err), status = KERF_EXIT_OK;

	if (r > 0) {
		fputs(help, stdout);
		goto out;
	}
	if (r) {
		kerf_cli_fail(&err, r);
		status = KERF_EXIT_USAGE;
		goto out;
	}
	if (o.policies) {
		print_policies();
		goto out;
	}
	r = kerf_cli_options_open(&o.common, &err);
	if (!r)
		r = kerf_cli_prepare(&o.common, &s, &err);
	if (r) {
		status = kerf_cli_fail(&err, r);
		goto out;
	}
	/* First, because it also says why there is no plan. */
	if (o.explain && s.problem.op_s && !o.common.json)
		explain(&s);
	r = kerf_cli_plan(&o.common, &s, &err);
	if (!r)
		r = show(&o, &s, &err);
	if (r)
		status = kerf_cli_fail(&err, r);
	kerf_cli_setup_finish(&s);
out:
	kerf_cli_options_finish(&o.common);
	return status;
}
