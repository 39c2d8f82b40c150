/* SPDX-License-Identifier: MIT */
/*
 * How long planning takes: medians over seeds, in microseconds of one thread's CPU time.
 *
 * search: a struct kerf_search made and run; policy: kerf as `kerf plan` calls it, with the other
 * policies' plans; replan: a search that has run is run again from its last result, after one
 * engine became slower or one link did. decision: what the controller asks of plan/planner.h, over
 * links that waver by a tenth (median, and the slowest but one of a hundred), and after a step
 * that has it ask all that tile. Shapes: networks of residual blocks and of blocks of
 * four branches, sizes falling as in image models; and models given as arguments.
 * usage: plan_speed [MODEL.onnx...]
 */
#include "graph/import.h"
#include "graph/op.h"
#include "plan/planner.h"
#include "plan/search.h"
#include "util/rng.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define REPEATS 15

static const struct kerf_op_def any = {.name = "any", .max_in = -1, .max_out = -1};

struct net {
	struct kerf_graph *g;
	struct kerf_outline *outline;
	struct kerf_link_model *link;
	double *op_s;
	struct kerf_problem p;
};

static int32_t add(struct kerf_graph *g, double bytes, int n_in, const int32_t *in)
{
	struct kerf_tensor t = {.dtype = KERF_F32, .rank = 1, .dims = {(int64_t)(bytes / 4) + 1}};
	int32_t v = kerf_graph_add_value(g, NULL, &t);

	kerf_graph_add_op(g, &any, NULL, 1, n_in, in, 1, &v, 0, NULL);
	return v;
}

/* n operators: residual blocks of 4, blocks of 10 with four branches, or both by turns. */
static struct kerf_graph *make_graph(uint32_t n, bool branches)
{
	struct kerf_graph *g = kerf_graph_new("speed");
	struct kerf_tensor t = {.dtype = KERF_F32, .rank = 1, .dims = {150528}};
	int32_t at = kerf_graph_add_value(g, NULL, &t), in[4];

	kerf_graph_add_input(g, at);
	while (g->n_op < n) {
		double bytes = 3.2e6 * pow(0.01, (double)g->n_op / n);
		uint32_t left = n - g->n_op, i, k;

		if (branches && left >= 10 && g->n_op % 3) {
			for (i = 0; i < 4; i++)
				for (in[i] = at, k = 0; k < 2 + (i == 0); k++)
					in[i] = add(g, bytes / 4, 1, &in[i]);
			at = add(g, bytes, 4, in);
		} else if (left >= 4) {
			in[0] = at;
			at = add(g, bytes / 2, 1, &at);
			at = add(g, bytes / 2, 1, &at);
			in[1] = add(g, bytes, 1, &at);
			at = add(g, bytes, 2, in);
		} else {
			at = add(g, bytes, 1, &at);
		}
	}
	kerf_graph_add_output(g, at);
	return g;
}

static void make(struct net *n, struct kerf_graph *g, uint32_t engines, uint32_t nodes,
		 uint64_t seed)
{
	static const char *const name[] = {"0", "1", "2", "3", "4", "5", "6", "7"};
	struct kerf_rng rng;
	uint32_t e, o, a, b;
	double speed[8];

	kerf_rng_seed(&rng, seed);
	memset(n, 0, sizeof(*n));
	n->g = g;
	n->op_s = calloc((size_t)g->n_op * engines, sizeof(*n->op_s));
	n->link = calloc((size_t)nodes * nodes, sizeof(*n->link));
	if (!n->op_s || !n->link || kerf_outline_make(g, &n->outline))
		abort();
	n->p = (struct kerf_problem){.graph = g,
				     .outline = n->outline,
				     .n_engine = engines,
				     .n_node = nodes,
				     .link = n->link,
				     .op_s = n->op_s};
	for (e = 0; e < engines; e++) {
		n->p.engine[e] = (struct kerf_plan_engine){
			.name = name[e], .node = e * nodes / engines, .job_s = 2e-4};
		speed[e] = e ? 1 + 9 * (double)kerf_rng_float(&rng) : 1;
	}
	for (o = 0; o < g->n_op; o++) {
		double s = 0.5 / g->n_op * (0.2 + 2 * (double)kerf_rng_float(&rng));

		for (e = 0; e < engines; e++)
			n->op_s[o * engines + e] =
				kerf_rng_below(&rng, 20)
					? s / speed[e] * (0.5 + (double)kerf_rng_float(&rng))
					: (e ? INFINITY : s);
	}
	for (a = 0; a < nodes; a++)
		for (b = 0; b < nodes; b++)
			n->link[a * nodes + b] = (struct kerf_link_model){
				.latency_s = 5e-4,
				.rate_bytes_s = 1e6 * pow(10, 2 * (double)kerf_rng_float(&rng))};
}

static void drop(struct net *n)
{
	kerf_outline_free(n->outline);
	free(n->link);
	free(n->op_s);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *t)
{
	qsort(t, REPEATS, sizeof(*t), compare);
	return t[REPEATS / 2];
}

static uint64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static double since(uint64_t begin)
{
	return (double)(cpu_ns() - begin) * 1e-3;
}

/* After a change of the state: from the last result. */
static double replan(struct kerf_search *x, struct net *n, const uint32_t *last)
{
	struct kerf_search_found found;
	uint64_t begin = cpu_ns();

	if (kerf_search_run(x, -1, 0, last, &found))
		abort();
	return since(begin);
}

#define DECISIONS 100

static double decide(struct kerf_planner *pl, struct net *n)
{
	struct kerf_plan plan;
	uint64_t begin = cpu_ns();
	double us;

	if (kerf_planner_plan(pl, &n->p, &plan, NULL))
		abort();
	us = since(begin);
	kerf_plan_finish(&plan);
	return us;
}

/* *usual, *slow: of decisions on a link that wavers; *step: of one after it got 8 times slower. */
static void decisions(struct net *n, uint64_t seed, double *usual, double *slow, double *step)
{
	struct kerf_link_model *l = &n->link[n->p.n_node > 1 ? 1 : 0];
	double rate = l->rate_bytes_s, us[DECISIONS];
	struct kerf_planner *pl;
	struct kerf_rng rng;
	uint32_t i;

	kerf_rng_seed(&rng, seed);
	if (kerf_planner_new(&n->p, kerf_policy_find("kerf"), &pl))
		abort();
	decide(pl, n);
	for (i = 0; i < DECISIONS; i++) {
		l->rate_bytes_s = rate * (0.9 + 0.2 * (double)kerf_rng_float(&rng));
		us[i] = decide(pl, n);
	}
	qsort(us, DECISIONS, sizeof(*us), compare);
	*usual = us[DECISIONS / 2];
	*slow = us[DECISIONS - 2];
	l->rate_bytes_s = rate / 8;
	*step = decide(pl, n);
	kerf_planner_free(pl);
}

static void measure(const char *what, struct kerf_graph *g, uint32_t engines, uint32_t nodes)
{
	double search[REPEATS], policy[REPEATS], load[REPEATS], link[REPEATS];
	double usual[REPEATS], slow[REPEATS], step[REPEATS];
	uint32_t *last = calloc(g->n_op + 1, sizeof(*last)), i, o;

	for (i = 0; i < REPEATS && last; i++) {
		struct kerf_search_found found;
		struct kerf_search *x;
		struct kerf_plan plan;
		struct net n;
		uint64_t begin;

		make(&n, g, engines, nodes, i + 1);
		begin = cpu_ns();
		if (kerf_search_make(&n.p, &x) || kerf_search_run(x, -1, 0, NULL, &found))
			abort();
		search[i] = since(begin);
		memcpy(last, found.assign, g->n_op * sizeof(*last));
		begin = cpu_ns();
		if (kerf_policy_find("kerf")->plan(&n.p, &plan, NULL))
			abort();
		policy[i] = since(begin);
		kerf_plan_finish(&plan);
		for (o = 0; o < g->n_op; o++)
			n.op_s[o * engines + engines - 1] *= 1.5;
		load[i] = replan(x, &n, last);
		n.link[nodes > 1 ? 1 : 0].rate_bytes_s /= 2;
		link[i] = replan(x, &n, last);
		kerf_search_free(x);
		decisions(&n, i + 1, &usual[i], &slow[i], &step[i]);
		drop(&n);
	}
	printf("| %s | %u | %u | %u | %.0f | %.0f | %.0f | %.0f | %.0f | %.0f | %.0f |\n", what, g->n_op,
	       engines, nodes, median(search), median(policy), median(load), median(link),
	       median(usual), median(slow), median(step));
	fflush(stdout);
	free(last);
}

static void measure_made(const char *what, uint32_t ops, bool branches, uint32_t engines,
			 uint32_t nodes)
{
	struct kerf_graph *g = make_graph(ops, branches);

	measure(what, g, engines, nodes);
	kerf_graph_unref(g);
}

int main(int argc, char **argv)
{
	static const uint32_t sizes[] = {1000, 2000, 5000, 10000};
	uint32_t i;
	int k;

	puts("| shape | operators | engines | nodes | search us | policy us | replan, load us | "
	     "replan, link us | decision us | slowest us | after a step us |");
	puts("|---|---|---|---|---|---|---|---|---|---|---|");
	measure_made("residual", 200, false, 2, 2);
	measure_made("branches", 200, true, 2, 2);
	measure_made("branches", 1000, true, 2, 2);
	for (i = 0; i < KERF_ARRAY_SIZE(sizes); i++)
		measure_made("branches", sizes[i], true, 8, 4);
	for (k = 1; k < argc; k++) {
		struct kerf_err err = {""};
		struct kerf_graph *g;
		const char *name = strrchr(argv[k], '/');

		if (kerf_model_load(argv[k], NULL, &g, &err)) {
			fprintf(stderr, "%s\n", err.msg);
			return 1;
		}
		measure(name ? name + 1 : argv[k], g, 2, 2);
		measure(name ? name + 1 : argv[k], g, 8, 4);
		kerf_graph_unref(g);
	}
	return 0;
}
