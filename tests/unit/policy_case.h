/* SPDX-License-Identifier: MIT */
/* Random problems for the policies: a graph, its costs, nodes and links, all from one seed. */
#ifndef TESTS_UNIT_POLICY_CASE_H
#define TESTS_UNIT_POLICY_CASE_H

#include "graph/op.h"
#include "plan/goal.h"
#include "plan/plan_check.h"
#include "plan/policy.h"
#include "util/rng.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define CASE_OPS 12
#define CASE_ENGINES 4
#define CASE_VALUES (2 * CASE_OPS + 4)

static const struct kerf_op_def case_op = {.name = "any", .max_in = -1, .max_out = -1};

struct pcase {
	struct kerf_graph *g;
	struct kerf_outline *outline;
	struct kerf_link_model link[CASE_ENGINES * CASE_ENGINES];
	struct kerf_plan_node node[CASE_ENGINES];
	double op_s[CASE_OPS * CASE_ENGINES], apart_s[CASE_VALUES * CASE_ENGINES];
	double codec_loss[KERF_N_CODECS];
	struct kerf_problem p;
};

enum case_shape { CASE_CHAIN, CASE_DAG };

static double case_between(struct kerf_rng *rng, double low, double high)
{
	return low + (high - low) * (double)kerf_rng_float(rng);
}

static int32_t case_value(struct kerf_graph *g, int64_t n, const void *data)
{
	struct kerf_tensor t = {.dtype = KERF_F32, .rank = 1, .dims = {n}};

	if (data)
		t.data = (void *)(uintptr_t)data;
	return kerf_graph_add_value(g, NULL, &t);
}

/* Operators read one or two earlier values, some a weight. Values that nobody reads are outputs. */
static void case_graph(struct pcase *c, struct kerf_rng *rng, enum case_shape shape, uint32_t n)
{
	static const float weight[64];
	int32_t made[CASE_OPS + 1];
	bool read[CASE_OPS + 1] = {false};
	uint32_t i;

	c->g = kerf_graph_new("case");
	made[0] = case_value(c->g, 1 + (int64_t)kerf_rng_below(rng, 3000), NULL);
	kerf_graph_add_input(c->g, made[0]);
	for (i = 0; i < n; i++) {
		uint64_t a = shape == CASE_CHAIN ? i : kerf_rng_below(rng, i + 1);
		uint64_t b = shape == CASE_CHAIN ? i : kerf_rng_below(rng, i + 1);
		int32_t in[3] = {made[a], made[b]};
		int n_in = a == b ? 1 : 2;

		if (kerf_rng_below(rng, 2))
			in[n_in++] = case_value(c->g, 1 + (int64_t)kerf_rng_below(rng, 64), weight);
		made[i + 1] = case_value(c->g, 1 + (int64_t)kerf_rng_below(rng, 3000), NULL);
		kerf_graph_add_op(c->g, &case_op, NULL, 1, n_in, in, 1, &made[i + 1], 0, NULL);
		read[a] = read[b] = true;
	}
	for (i = 1; i <= n; i++)
		if (!read[i])
			kerf_graph_add_output(c->g, made[i]);
	assert_int_equal(kerf_outline_make(c->g, &c->outline), 0);
}

/* Engine e is node e's, but for the second of home if two_here. */
static void case_make(struct pcase *c, struct kerf_rng *rng, enum case_shape shape, uint32_t n_op,
		      uint32_t n_engine, bool two_here)
{
	static const char *const names[CASE_ENGINES] = {"here", "b", "c", "d"};
	uint32_t i, e;

	memset(c, 0, sizeof(*c));
	case_graph(c, rng, shape, n_op);
	c->p = (struct kerf_problem){.graph = c->g,
				     .outline = c->outline,
				     .n_engine = n_engine,
				     .n_node = two_here ? n_engine - 1 : n_engine,
				     .node = c->node,
				     .link = c->link,
				     .op_s = c->op_s,
				     .seed = 1};
	for (e = 0; e < n_engine; e++)
		c->p.engine[e] = (struct kerf_plan_engine){.name = names[e],
							   .node = two_here && e ? e - 1 : e,
							   .job_s = case_between(rng, 0, 5e-4),
							   .active_w = case_between(rng, 1, 10)};
	for (i = 0; i < c->p.n_node; i++)
		c->node[i] = (struct kerf_plan_node){.idle_w = case_between(rng, 0, 2),
						     .send_j_byte = case_between(rng, 0, 1e-6),
						     .receive_j_byte = case_between(rng, 0, 1e-6)};
	for (i = 0; i < c->p.n_node * c->p.n_node; i++)
		c->link[i] = (struct kerf_link_model){.latency_s = case_between(rng, 0, 1e-3),
						      .rate_bytes_s = case_between(rng, 2e5, 5e6)};
	for (i = 0; i < n_op; i++)
		for (e = 0; e < n_engine; e++)
			c->op_s[i * n_engine + e] = case_between(rng, 0, e ? 4e-3 : 1e-2);
}

/* Whatever a problem may have besides. */
static void case_enrich(struct pcase *c, struct kerf_rng *rng)
{
	uint32_t i;

	for (i = 0; i < c->g->n_value * c->p.n_engine; i++)
		c->apart_s[i] = case_between(rng, 0, 2e-4);
	c->p.apart_s = c->apart_s;
	for (i = 0; i < c->p.n_node; i++) {
		c->node[i].codec_byte_s[KERF_CODEC_F16] = case_between(rng, 0, 1e-8);
		c->node[i].codec_byte_s[KERF_CODEC_INT8] = case_between(rng, 0, 1e-8);
	}
	c->codec_loss[KERF_CODEC_F16] = 0.001;
	c->codec_loss[KERF_CODEC_INT8] = 0.02;
	c->p.codec_loss = c->codec_loss;
	c->g->accuracy = 0.9;
	for (i = 0; i < c->p.n_node * c->p.n_node; i++)
		if (!kerf_rng_below(rng, 3)) {
			c->link[i].window_bytes = 2000;
			c->link[i].round_s = 1e-3;
		}
	if (!kerf_rng_below(rng, 3))
		c->op_s[kerf_rng_below(rng, c->g->n_op * c->p.n_engine)] = INFINITY;
	if (!kerf_rng_below(rng, 3))
		c->g->value[c->g->op[kerf_rng_below(rng, c->g->n_op)].out[0]].bounded = true;
}

/* Some of the outputs are taken for exits, the last for the answer. */
static void case_exits(struct pcase *c)
{
	uint32_t n = c->g->n_out - 1, i;

	c->g->accuracy = 0.9;
	c->g->exit = kerf_graph_alloc(c->g, (n + 1) * sizeof(*c->g->exit));
	c->g->n_exit = n;
	for (i = 0; i < n; i++)
		c->g->exit[i] = (struct kerf_exit){.output = i, .accuracy = 0.5 + 0.03 * i};
	c->p.goal.exits = true;
}

static void case_drop(struct pcase *c)
{
	kerf_outline_free(c->outline);
	kerf_graph_unref(c->g);
}

/* The plan computes the model, on engines that can, and is priced as it says. */
static void case_check(const struct pcase *c, struct kerf_plan *plan)
{
	struct kerf_plan said = *plan;
	struct kerf_err err = {""};
	uint32_t i, j;

	if (kerf_plan_check(c->g, plan, &err))
		fail_msg("%s: %s", plan->policy, err.msg);
	for (i = 0; i < plan->n_step; i++)
		for (j = 0; j < plan->step[i].n_op; j++)
			assert_true(isfinite(c->p.op_s[plan->step[i].op[j] * c->p.n_engine +
						       plan->step[i].engine]));
	assert_int_equal(kerf_plan_price(&c->p, plan), 0);
	assert_true(said.total_s == plan->total_s && said.energy_j == plan->energy_j &&
		    said.accuracy == plan->accuracy && said.wire_bytes == plan->wire_bytes);
	assert_true(plan->reason[0] && plan->policy);
}

/* The engine of an operator in a plan. */
static uint32_t case_engine(const struct kerf_plan *plan, uint32_t o)
{
	uint32_t i, j;

	for (i = 0; i < plan->n_step; i++)
		for (j = 0; j < plan->step[i].n_op; j++)
			if (plan->step[i].op[j] == o)
				return plan->step[i].engine;
	return KERF_PLAN_HOME;
}

#endif
