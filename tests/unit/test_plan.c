/* SPDX-License-Identifier: MIT */
/* The default policy against brute force over every assignment, and pricing. */
#include "graph/op.h"
#include "plan/plan.h"
#include "util/rng.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct kerf_op_def any = {.name = "any", .max_in = -1, .max_out = -1};

#define MAX_OPS 10

struct setup {
	struct kerf_graph *g;
	struct kerf_link_model link[4];
	double op_s[MAX_OPS * 2];
	struct kerf_outline *outline;
	struct kerf_problem p;
};

static void drop(struct setup *s)
{
	kerf_outline_free(s->outline);
	kerf_graph_unref(s->g);
}

static int32_t new_value(struct kerf_graph *g, int64_t n)
{
	struct kerf_tensor t = {.dtype = KERF_F32, .rank = 1, .dims = {n}};

	return kerf_graph_add_value(g, NULL, &t);
}

/* A random DAG, or a chain. Values nobody reads are outputs. */
static void make(struct setup *s, struct kerf_rng *rng, bool chain, double latency_s)
{
	uint32_t n = 2 + (uint32_t)kerf_rng_below(rng, MAX_OPS - 1), i;
	int32_t made[MAX_OPS + 1];
	bool read[MAX_OPS + 1] = {false};

	memset(s, 0, sizeof(*s));
	s->g = kerf_graph_new("t");
	made[0] = new_value(s->g, 1 + (int64_t)kerf_rng_below(rng, 2000));
	kerf_graph_add_input(s->g, made[0]);
	for (i = 0; i < n; i++) {
		uint64_t a = chain ? i : kerf_rng_below(rng, i + 1);
		uint64_t b = chain ? i : kerf_rng_below(rng, i + 1);
		int32_t in[2] = {made[a], made[b]};

		made[i + 1] = new_value(s->g, 1 + (int64_t)kerf_rng_below(rng, 2000));
		kerf_graph_add_op(s->g, &any, NULL, 1, a == b ? 1 : 2, in, 1, &made[i + 1], 0,
				  NULL);
		read[a] = read[b] = true;
		s->op_s[2 * i] = (double)kerf_rng_below(rng, 1000) * 1e-5;
		s->op_s[2 * i + 1] = s->op_s[2 * i] * kerf_rng_float(rng);
	}
	for (i = 1; i <= n; i++)
		if (!read[i])
			kerf_graph_add_output(s->g, made[i]);
	s->link[1] = s->link[2] =
		(struct kerf_link_model){.latency_s = latency_s, .rate_bytes_s = 1e6};
	assert_int_equal(kerf_outline_make(s->g, &s->outline), 0);
	s->p = (struct kerf_problem){.graph = s->g,
				     .outline = s->outline,
				     .n_engine = 2,
				     .n_node = 2,
				     .engine = {{.name = "here"},
						{.name = "there", .node = 1, .job_s = latency_s}},
				     .link = s->link,
				     .op_s = s->op_s};
}

/* Operators one after the other, each crossing value paid once a direction. */
static double sum_cost(const struct kerf_problem *p, const uint32_t *assign)
{
	const struct kerf_graph *g = p->graph;
	double sum = 0;
	uint32_t v, o;
	int k;

	for (o = 0; o < g->n_op; o++)
		sum += p->op_s[2 * o + assign[o]];
	for (v = 0; v < g->n_value; v++) {
		uint32_t at = g->value[v].producer < 0 ? 0 : assign[g->value[v].producer];
		bool crosses = false;

		for (o = 0; o < g->n_op; o++)
			for (k = 0; k < g->op[o].n_in; k++)
				crosses |= g->op[o].in[k] == (int32_t)v && assign[o] != at;
		for (o = 0; o < g->n_out; o++)
			crosses |= g->out[o] == (int32_t)v && at != 0;
		if (crosses)
			sum += (double)kerf_tensor_bytes(&g->value[v].t) / 1e6;
	}
	return sum;
}

/* True if no operator at side `from` feeds one on the other side. */
static bool one_way(const struct kerf_graph *g, const uint32_t *assign, uint32_t from)
{
	uint32_t o;
	int k;

	for (o = 0; o < g->n_op; o++)
		for (k = 0; k < g->op[o].n_in; k++) {
			int32_t maker = g->value[g->op[o].in[k]].producer;

			if (maker >= 0 && assign[maker] == from && assign[o] != from)
				return false;
		}
	return true;
}

static void test_one_way_cut_is_optimal(void **state)
{
	struct kerf_rng rng;
	int round;

	kerf_rng_seed(&rng, 1);
	for (round = 0; round < 500; round++) {
		struct setup s;
		struct kerf_plan plan;
		double best = INFINITY;
		uint32_t bits, o, assign[MAX_OPS];

		make(&s, &rng, false, 0);
		for (bits = 0; bits < 1u << s.g->n_op; bits++) {
			for (o = 0; o < s.g->n_op; o++)
				assign[o] = bits >> o & 1;
			if (one_way(s.g, assign, 0) || one_way(s.g, assign, 1))
				best = fmin(best, sum_cost(&s.p, assign));
		}
		assert_int_equal(kerf_policy_find("kerf")->plan(&s.p, &plan, NULL), 0);
		/* Steps may overlap, so the price may be below the sum, never above. */
		assert_true(plan.total_s <= best * (1 + 1e-9) + 1e-12);
		kerf_plan_finish(&plan);
		drop(&s);
	}
}

/* With latency and job overhead: the best of all plans with one stay away at an end. */
static void test_chain_with_latency_is_optimal(void **state)
{
	struct kerf_rng rng;
	int round;

	kerf_rng_seed(&rng, 2);
	for (round = 0; round < 300; round++) {
		struct setup s;
		struct kerf_plan plan, cand;
		double best = INFINITY;
		uint32_t a, b, o, assign[MAX_OPS];

		make(&s, &rng, true, 1e-3);
		for (a = 0; a <= s.g->n_op; a++)
			for (b = a; b <= s.g->n_op; b++) {
				if (a != 0 && b != s.g->n_op)
					continue;
				for (o = 0; o < s.g->n_op; o++)
					assign[o] = o >= a && o < b;
				assert_int_equal(
					kerf_plan_from_assignment(&s.p, assign, NULL, &cand, NULL),
					0);
				best = fmin(best, cand.total_s);
				kerf_plan_finish(&cand);
			}
		assert_int_equal(kerf_policy_find(NULL)->plan(&s.p, &plan, NULL), 0);
		assert_true(plan.total_s <= best * (1 + 1e-9));
		kerf_plan_finish(&plan);
		drop(&s);
	}
}

/* Every operator in exactly one step, inputs of a step made by earlier ones. */
static void test_steps_are_executable(void **state)
{
	struct kerf_rng rng;
	int round;

	kerf_rng_seed(&rng, 3);
	for (round = 0; round < 500; round++) {
		struct setup s;
		struct kerf_plan plan;
		uint32_t assign[MAX_OPS], step_of[MAX_OPS], i, j, seen = 0;

		make(&s, &rng, false, 1e-4);
		for (i = 0; i < s.g->n_op; i++)
			assign[i] = (uint32_t)kerf_rng_below(&rng, 2);
		assert_int_equal(kerf_plan_from_assignment(&s.p, assign, NULL, &plan, NULL), 0);
		for (i = 0; i < plan.n_step; i++)
			for (j = 0; j < plan.step[i].n_op; j++, seen++) {
				step_of[plan.step[i].op[j]] = i;
				assert_int_equal(assign[plan.step[i].op[j]], plan.step[i].engine);
			}
		assert_int_equal(seen, s.g->n_op);
		for (i = 0; i < s.g->n_op; i++)
			for (j = 0; j < (uint32_t)s.g->op[i].n_in; j++) {
				int32_t from = s.g->value[s.g->op[i].in[j]].producer;

				if (from >= 0)
					assert_true(step_of[from] <= step_of[i]);
			}
		kerf_plan_finish(&plan);
		drop(&s);
	}
}

static void test_operator_only_there_goes_there(void **state)
{
	struct kerf_rng rng;
	struct setup s;
	struct kerf_plan plan;
	uint32_t i, j;
	bool away = false;

	kerf_rng_seed(&rng, 4);
	make(&s, &rng, true, 1e-3);
	s.op_s[2] = INFINITY; /* operator 1 cannot run here */
	s.op_s[1] = INFINITY; /* operator 0 cannot run there */
	assert_int_equal(kerf_policy_find(NULL)->plan(&s.p, &plan, NULL), 0);
	for (i = 0; i < plan.n_step; i++)
		for (j = 0; j < plan.step[i].n_op; j++)
			away |= plan.step[i].op[j] == 1 && plan.step[i].engine == 1;
	assert_true(away);
	kerf_plan_finish(&plan);
	drop(&s);
}

/* Two engines of one node: nothing is sent, so each operator runs where it is faster. */
static void test_engines_of_one_node(void **state)
{
	struct kerf_rng rng;
	int round;

	kerf_rng_seed(&rng, 8);
	for (round = 0; round < 200; round++) {
		struct kerf_link_model none = {0};
		struct kerf_plan plan;
		struct setup s;
		double best = 0;
		uint32_t o, i, j;

		make(&s, &rng, round % 2, 0);
		s.p.n_node = 1;
		s.p.link = &none;
		s.p.engine[1].node = 0;
		for (o = 0; o < s.g->n_op; o++) {
			s.op_s[2 * o + 1] = (double)kerf_rng_below(&rng, 1000) * 1e-5;
			if (!kerf_rng_below(&rng, 4))
				s.op_s[2 * o + 1] = INFINITY;
			best += fmin(s.op_s[2 * o], s.op_s[2 * o + 1]);
		}
		assert_int_equal(kerf_policy_find(NULL)->plan(&s.p, &plan, NULL), 0);
		assert_true(plan.total_s <= best * (1 + 1e-9) + 1e-12);
		assert_true(plan.wire_bytes == 0);
		for (i = 0; i < plan.n_step; i++) {
			for (j = 0; j < plan.step[i].n_op; j++)
				assert_true(isfinite(s.op_s[2 * plan.step[i].op[j] +
							    plan.step[i].engine]));
		}
		kerf_plan_finish(&plan);
		drop(&s);
	}
}

static void test_no_path_is_named(void **state)
{
	struct kerf_rng rng;
	struct kerf_err err = {""};
	struct kerf_plan plan;
	struct setup s;

	kerf_rng_seed(&rng, 5);
	make(&s, &rng, true, 1e-3);
	s.link[1].rate_bytes_s = 0;
	assert_int_equal(kerf_policy_find("remote")->plan(&s.p, &plan, &err), -ENODEV);
	assert_non_null(strstr(err.msg, "no engine"));
	drop(&s);
}

/* A value whose dims are known only at run time stays on the node that made it, or comes home. */
static void test_bounded_values_do_not_go(void **state)
{
	uint32_t assign[MAX_OPS], i, k;
	struct kerf_rng rng;
	struct kerf_plan plan;
	struct setup s;
	int round;

	kerf_rng_seed(&rng, 6);
	for (round = 0; round < 100; round++) {
		make(&s, &rng, true, 1e-6);
		if (s.g->n_op < 4)
			goto next;
		/* operator 1 runs here alone, and all that follows would rather be away */
		s.g->value[s.g->op[1].out[0]].bounded = true;
		s.op_s[3] = INFINITY;
		for (i = 2; i < s.g->n_op; i++)
			s.op_s[2 * i + 1] = 0;
		for (i = 0; i < s.g->n_op; i++)
			assign[i] = i >= 2;
		assert_int_equal(kerf_plan_from_assignment(&s.p, assign, NULL, &plan, NULL),
				 -EINVAL);
		assert_int_equal(kerf_policy_find(NULL)->plan(&s.p, &plan, NULL), 0);
		for (i = 0; i < plan.n_step; i++)
			for (k = 0; k < plan.step[i].n_op; k++)
				assert_true(plan.step[i].op[k] != 2 || plan.step[i].engine == 0);
		kerf_plan_finish(&plan);
next:
		drop(&s);
	}
}

/* A line that begins below 0, and windows of 14480, 28960 and 57920 bytes in rounds of 20 ms. */
static void test_link_time(void **state)
{
	struct kerf_link_model link[4] = {
		[1] = {.latency_s = -0.005, .rate_bytes_s = 1e6},
		[2] = {.latency_s = 0.02,
		       .rate_bytes_s = 1e7,
		       .window_bytes = 14480,
		       .round_s = 0.02},
	};
	struct kerf_problem p = {.n_node = 2, .link = link};

	assert_true(fabs(kerf_problem_transfer_s(&p, 0, 1, 100000) - 0.095) < 1e-9);
	assert_true(fabs(kerf_problem_transfer_s(&p, 0, 1, 5000) - 0.0005) < 1e-9);
	assert_true(kerf_problem_transfer_s(&p, 0, 1, 0) == 0);
	assert_true(fabs(kerf_problem_transfer_s(&p, 1, 0, 14480) - (0.02 + 0.001448)) < 1e-9);
	assert_true(fabs(kerf_problem_transfer_s(&p, 1, 0, 14481) - (0.04 + 0.0000001)) < 1e-9);
	assert_true(fabs(kerf_problem_transfer_s(&p, 1, 0, 150000) - (0.08 + 0.004864)) < 1e-9);
	/* Once a window lasts a round, nothing waits any more. */
	assert_true(fabs(kerf_problem_transfer_s(&p, 1, 0, 2e6) -
			 kerf_problem_transfer_s(&p, 1, 0, 1e6) - 0.1) < 1e-9);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_link_time),
		cmocka_unit_test(test_one_way_cut_is_optimal),
		cmocka_unit_test(test_chain_with_latency_is_optimal),
		cmocka_unit_test(test_steps_are_executable),
		cmocka_unit_test(test_operator_only_there_goes_there),
		cmocka_unit_test(test_engines_of_one_node),
		cmocka_unit_test(test_no_path_is_named),
		cmocka_unit_test(test_bounded_values_do_not_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
