/* SPDX-License-Identifier: MIT */
/* Small problems made by hand, for tests of planning. */
#ifndef TESTS_UNIT_PLAN_RIG_H
#define TESTS_UNIT_PLAN_RIG_H

#include "graph/op.h"
#include "plan/goal.h"
#include "plan/plan.h"
#include "util/rng.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define RIG_OPS 12
#define RIG_ENGINES 4

static const struct kerf_op_def rig_op = {.name = "any", .max_in = -1, .max_out = -1};

/* Engine i is on node i; every link is there, at 1 MB/s and without latency. */
struct rig {
	struct kerf_graph *g;
	struct kerf_outline *outline;
	struct kerf_link_model link[RIG_ENGINES * RIG_ENGINES];
	struct kerf_plan_node node[RIG_ENGINES];
	double op_s[RIG_OPS * RIG_ENGINES];
	struct kerf_problem p;
	int32_t value[RIG_OPS + 1]; /* the input, then what each operator makes */
};

static inline int32_t rig_value(struct kerf_graph *g, int64_t elements)
{
	struct kerf_tensor t = {.dtype = KERF_F32, .rank = 1, .dims = {elements}};

	return kerf_graph_add_value(g, NULL, &t);
}

static inline void rig_begin(struct rig *s, int64_t elements)
{
	memset(s, 0, sizeof(*s));
	s->g = kerf_graph_new("t");
	s->value[0] = rig_value(s->g, elements);
	kerf_graph_add_input(s->g, s->value[0]);
}

/* Reads what operators a and b made (0: the input, k + 1: operator k); weights in elements. */
static inline void rig_add(struct rig *s, uint32_t a, uint32_t b, int64_t elements, int64_t weights)
{
	struct kerf_tensor t = {.dtype = KERF_F32, .rank = 1, .dims = {weights}};
	int32_t in[3] = {s->value[a], s->value[b]};
	uint32_t n = a == b ? 1 : 2, o = s->g->n_op;

	if (weights) {
		t.data = kerf_graph_alloc(s->g, (size_t)weights * sizeof(float));
		in[n++] = kerf_graph_add_value(s->g, NULL, &t);
	}
	s->value[o + 1] = rig_value(s->g, elements);
	kerf_graph_add_op(s->g, &rig_op, NULL, 1, (int)n, in, 1, &s->value[o + 1], 0, NULL);
}

/* Operators take 1 ms everywhere. Values nobody reads are outputs. */
static inline void rig_end(struct rig *s, uint32_t n_engine)
{
	uint32_t *first, *reader, i;

	assert_int_equal(kerf_graph_consumers(s->g, &first, &reader), 0);
	for (i = 1; i <= s->g->n_op; i++)
		if (first[s->value[i]] == first[s->value[i] + 1])
			kerf_graph_add_output(s->g, s->value[i]);
	free(first);
	assert_int_equal(kerf_outline_make(s->g, &s->outline), 0);
	s->p = (struct kerf_problem){.graph = s->g,
				     .outline = s->outline,
				     .n_engine = n_engine,
				     .n_node = n_engine,
				     .engine = {{"here"}, {"one", 1}, {"two", 2}, {"three", 3}},
				     .link = s->link,
				     .node = s->node,
				     .op_s = s->op_s};
	for (i = 0; i < n_engine * n_engine; i++)
		s->link[i].rate_bytes_s = i % (n_engine + 1) ? 1e6 : INFINITY;
	for (i = 0; i < s->g->n_op * n_engine; i++)
		s->op_s[i] = 1e-3;
}

static inline void rig_drop(struct rig *s)
{
	kerf_outline_free(s->outline);
	kerf_graph_unref(s->g);
}

/* in (1000 B) -> op 0 -> 4000 B -> op 1 -> 2000 B -> op 2 -> 400 B; op 1 has 8000 B of weights. */
static inline void rig_chain(struct rig *s, uint32_t n_engine)
{
	rig_begin(s, 250);
	rig_add(s, 0, 0, 1000, 0);
	rig_add(s, 1, 1, 500, 2000);
	rig_add(s, 2, 2, 100, 0);
	rig_end(s, n_engine);
}

/* Plans an assignment written as digits: "011" is operator 0 on engine 0, the others on 1. */
static inline int rig_plan(struct rig *s, const char *digits, struct kerf_plan *plan)
{
	uint32_t assign[RIG_OPS], i;

	for (i = 0; i < s->g->n_op; i++)
		assign[i] = digits[i] == '-' ? KERF_PLAN_HOME : (uint32_t)(digits[i] - '0');
	return kerf_plan_from_assignment(&s->p, assign, NULL, plan, NULL);
}

#endif
