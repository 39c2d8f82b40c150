/* SPDX-License-Identifier: MIT */
/* How long kerf_plan_price() takes: chains of operators in steps that alternate between engines. */
#include "graph/op.h"
#include "plan/plan.h"
#include "util/clock.h"

#include <stdio.h>
#include <stdlib.h>

#define ENGINES 4

static const struct kerf_op_def any = {.name = "any", .max_in = -1, .max_out = -1};

static struct kerf_graph *chain(uint32_t n)
{
	struct kerf_tensor t = {.dtype = KERF_F32, .rank = 1, .dims = {1000}};
	struct kerf_graph *g = kerf_graph_new("chain");
	int32_t last = kerf_graph_add_value(g, NULL, &t), made;
	uint32_t i;

	kerf_graph_add_input(g, last);
	for (i = 0; i < n; i++, last = made) {
		made = kerf_graph_add_value(g, NULL, &t);
		kerf_graph_add_op(g, &any, NULL, 1, 1, &last, 1, &made, 0, NULL);
	}
	kerf_graph_add_output(g, last);
	return g;
}

static int measure(uint32_t n_op, uint32_t n_step)
{
	struct kerf_link_model link[ENGINES * ENGINES];
	struct kerf_graph *g = chain(n_op);
	uint32_t *assign = malloc(n_op * sizeof(*assign)), i, rounds = 200000 / n_op * 20;
	double *op_s = malloc((size_t)n_op * ENGINES * sizeof(*op_s)), best = 1;
	struct kerf_problem p = {.graph = g, .n_engine = ENGINES, .n_node = ENGINES, .op_s = op_s};
	struct kerf_outline *outline;
	struct kerf_plan plan;
	int pass, r = kerf_outline_make(g, &outline);

	p.link = link;
	p.outline = outline;
	for (i = 0; i < ENGINES * ENGINES; i++)
		link[i] = (struct kerf_link_model){.latency_s = 1e-3, .rate_bytes_s = 1e6};
	for (i = 0; i < n_op * ENGINES; i++)
		op_s[i] = 1e-3;
	for (i = 0; i < ENGINES; i++)
		p.engine[i].node = i;
	for (i = 0; i < n_op; i++)
		assign[i] = i * n_step / n_op % ENGINES;
	r = r ? r : kerf_plan_from_assignment(&p, assign, NULL, &plan, NULL);
	for (pass = 0; pass < 5 && !r; pass++) {
		uint64_t begin = kerf_now_ns();
		double s;

		for (i = 0; i < rounds && !r; i++)
			r = kerf_plan_price(&p, &plan);
		s = (double)(kerf_now_ns() - begin) * 1e-9 / rounds;
		best = s < best ? s : best;
	}
	if (!r) {
		printf("%6u operators, %4u steps, %4u edges: %8.2f us a price, %5.1f ns an operator\n",
		       n_op, plan.n_step, plan.n_edge, best * 1e6, best * 1e9 / n_op);
		kerf_plan_finish(&plan);
	}
	kerf_outline_free(outline);
	kerf_graph_unref(g);
	free(assign);
	free(op_s);
	return r;
}

int main(void)
{
	static const uint32_t size[][2] = {
		{200, 1}, {200, 10}, {1000, 50}, {10000, 50}, {10000, 500}};
	size_t i;
	int r = 0;

	for (i = 0; i < sizeof(size) / sizeof(size[0]) && !r; i++)
		r = measure(size[i][0], size[i][1]);
	return r ? EXIT_FAILURE : EXIT_SUCCESS;
}
