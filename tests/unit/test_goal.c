/* SPDX-License-Identifier: MIT */
/* Goals: what a plan is worth, what it misses, and the sentences about both. */
#include "plan_rig.h"

#include <stdio.h>

#define assert_says(err, text)                                                                     \
	do {                                                                                       \
		if (!strstr((err).msg, text))                                                      \
			fail_msg("'%s' does not say '%s'", (err).msg, text);                       \
	} while (0)

static void test_objectives(void **state)
{
	struct kerf_plan plan = {.total_s = 2, .period_s = 3, .energy_j = 5, .memory_bytes = 7};
	struct kerf_problem p = {.n_engine = 0};

	assert_true(kerf_plan_cost(&p, &plan) == 2);
	p.goal.objective = KERF_FOR_PERIOD;
	assert_true(kerf_plan_cost(&p, &plan) == 3);
	p.goal.objective = KERF_FOR_ENERGY;
	assert_true(kerf_plan_cost(&p, &plan) == 5);
	p.goal.objective = KERF_FOR_MEMORY;
	assert_true(kerf_plan_cost(&p, &plan) == 7);
	p.goal = (struct kerf_goal){.objective = KERF_FOR_WEIGHTED,
				    .latency_weight = 10,
				    .energy_weight = 100,
				    .period_weight = 1000};
	assert_true(kerf_plan_cost(&p, &plan) == 20 + 500 + 3000);
}

/* One at a time: the latency; ever more: what the busiest place lets through. */
static void test_period(void **state)
{
	struct kerf_goal g = {.in_flight = 1};

	assert_true(kerf_period_s(&g, 3, 10) == 10);
	g.in_flight = 2; /* between 10 / 2 and 3 + 7 / 2 */
	assert_true(kerf_period_s(&g, 3, 10) == 5.75);
	g.in_flight = 7; /* between 3 and 3 + 1 */
	assert_true(kerf_period_s(&g, 3, 10) == 3.5);
	g.in_flight = 0;
	assert_true(kerf_period_s(&g, 3, 10) == 3);
}

/* Everything a plan can miss, one after the other; what is proposed is met when it is tried. */
static void test_misses_are_named(void **state)
{
	struct kerf_err err = {""};
	struct kerf_plan plan;
	struct rig s;
	const char *at;
	double limit;

	rig_chain(&s, 2);
	s.g->accuracy = 0.7654;
	assert_int_equal(rig_plan(&s, "011", &plan), 0);
	assert_int_equal(kerf_plan_meets(&s.p, &plan, &err), 0);

	s.p.goal.deadline_s = 1e-3;
	assert_int_equal(kerf_plan_meets(&s.p, &plan, &err), -EDOM);
	assert_says(err, "deadline 1 ms: it takes ");
	at = strstr(err.msg, "--deadline ");
	assert_non_null(at);
	assert_int_equal(sscanf(at, "--deadline %lf", &limit), 1);
	assert_true(limit * 1e-3 >= plan.total_s && limit * 1e-3 < plan.total_s * 1.002);
	s.p.goal.deadline_s = limit * 1e-3;
	assert_int_equal(kerf_plan_meets(&s.p, &plan, NULL), 0);

	s.node[1].memory_bytes = 10000;
	kerf_plan_price(&s.p, &plan);
	err.msg[0] = 0;
	assert_int_equal(kerf_plan_meets(&s.p, &plan, &err), -EDOM);
	assert_says(err, "memory of one 0.01 MB: it needs 0.014 MB");
	assert_says(err, "--memory one=0.014 would be met");
	s.node[1].memory_bytes = 14000;
	kerf_plan_price(&s.p, &plan);
	assert_int_equal(kerf_plan_meets(&s.p, &plan, NULL), 0);

	s.p.goal.keep = 2;
	err.msg[0] = 0;
	assert_int_equal(kerf_plan_meets(&s.p, &plan, &err), -EDOM);
	assert_says(err, "keep 2: operator 1 (");
	assert_says(err, "runs on one; --keep 1 would be met");
	s.p.goal.keep = 1;
	assert_int_equal(kerf_plan_meets(&s.p, &plan, NULL), 0);

	s.p.goal.accuracy = 0.8;
	err.msg[0] = 0;
	assert_int_equal(kerf_plan_meets(&s.p, &plan, &err), -EDOM);
	assert_says(err, "accuracy 0.8: it has 0.7654; --accuracy 0.7654 would be met");
	s.p.goal.accuracy = 0.7654;
	assert_int_equal(kerf_plan_meets(&s.p, &plan, NULL), 0);

	plan.edge[1].codec = KERF_CODEC_INT8;
	s.p.goal.codecs = 1 << KERF_CODEC_F16;
	err.msg[0] = 0;
	assert_int_equal(kerf_plan_meets(&s.p, &plan, &err), -EDOM);
	assert_says(err, "travel as int8; --codecs f16,int8 would be met");
	/* All that are used; the option leaves none of them out. */
	plan.edge[plan.n_edge - 1].codec = KERF_CODEC_F16;
	s.p.goal.codecs = 0;
	err.msg[0] = 0;
	assert_int_equal(kerf_plan_meets(&s.p, &plan, &err), -EDOM);
	assert_says(err, "travel as f16,int8; --codecs f16,int8 would be met");
	s.p.goal.codecs = 1 << KERF_CODEC_F16;
	s.p.goal.codecs |= 1 << KERF_CODEC_INT8;
	assert_int_equal(kerf_plan_meets(&s.p, &plan, NULL), 0);

	plan.step[1].padded = true;
	err.msg[0] = 0;
	assert_int_equal(kerf_plan_meets(&s.p, &plan, &err), -EDOM);
	assert_says(err, "--inexact would be met");
	s.p.goal.inexact = true;
	assert_int_equal(kerf_plan_meets(&s.p, &plan, NULL), 0);

	plan.exit = 0;
	err.msg[0] = 0;
	assert_int_equal(kerf_plan_meets(&s.p, &plan, &err), -EDOM);
	assert_says(err, "--exits would be met");
	s.p.goal.exits = true;
	assert_int_equal(kerf_plan_meets(&s.p, &plan, NULL), 0);

	/* Several at once: all of them, and an option for each. */
	s.p.goal.exits = false;
	s.p.goal.deadline_s = 1e-3;
	err.msg[0] = 0;
	assert_int_equal(kerf_plan_meets(&s.p, &plan, &err), -EDOM);
	assert_says(err, "exits: ");
	assert_says(err, "deadline 1 ms");
	assert_says(err, " --exits --deadline ");
	kerf_plan_finish(&plan);
	rig_drop(&s);
}

/* Every node that is over is named, and all that is proposed together is met. */
static void test_all_nodes_are_named(void **state)
{
	struct kerf_err err = {""};
	struct kerf_plan plan;
	double here, one;
	struct rig s;

	rig_chain(&s, 2);
	s.node[0].memory_bytes = 1000;
	s.node[1].memory_bytes = 10000;
	assert_int_equal(rig_plan(&s, "011", &plan), 0);
	assert_int_equal(kerf_plan_meets(&s.p, &plan, &err), -EDOM);
	assert_says(err, "memory of here 0.001 MB: it needs 0.005 MB; ");
	assert_says(err, "memory of one 0.01 MB: it needs 0.014 MB; ");
	assert_int_equal(sscanf(strstr(err.msg, "--memory"), "--memory here=%lf --memory one=%lf",
				&here, &one), 2);
	s.node[0].memory_bytes = here * 1e6;
	s.node[1].memory_bytes = one * 1e6;
	kerf_plan_price(&s.p, &plan);
	assert_int_equal(kerf_plan_meets(&s.p, &plan, NULL), 0);
	kerf_plan_finish(&plan);
	rig_drop(&s);
}

/*
 * An operator behind an exit that nobody can run is no reason where exits are allowed: the
 * sentence is about the nearest plan.
 */
static void test_near_exit(void **state)
{
	struct kerf_choice c = {.have = false};
	struct kerf_exit exit = {.output = 0, .accuracy = 0.5};
	struct kerf_err err = {""};
	struct kerf_plan plan;
	struct rig s;

	rig_chain(&s, 2);
	s.op_s[4] = s.op_s[5] = INFINITY;
	s.g->exit = &exit;
	s.g->n_exit = 1;
	s.p.goal.exits = true;
	s.p.goal.deadline_s = 1e-3;
	assert_int_equal(rig_plan(&s, "00-", &plan), 0);
	plan.exit = 0;
	assert_int_equal(kerf_plan_price(&s.p, &plan), 0);
	kerf_choice_offer(&s.p, &c, &plan, 0);
	assert_int_equal(kerf_choice_end(&s.p, &c, &plan, &err), -EDOM);
	assert_says(err, "the nearest plan misses deadline 1 ms: it takes 2 ms");
	s.g->exit = NULL;
	s.g->n_exit = 0;
	rig_drop(&s);
}

/* Of a model that does not tell its accuracy exact plans pass any floor, others none. */
static void test_unknown_accuracy(void **state)
{
	struct kerf_err err = {""};
	struct kerf_plan plan;
	struct rig s;

	rig_chain(&s, 2);
	s.p.goal.accuracy = 0.9;
	s.p.goal.codecs = 1 << KERF_CODEC_F16;
	assert_int_equal(rig_plan(&s, "011", &plan), 0);
	assert_int_equal(kerf_plan_meets(&s.p, &plan, NULL), 0);
	plan.edge[1].codec = KERF_CODEC_F16;
	assert_int_equal(kerf_plan_meets(&s.p, &plan, &err), -EDOM);
	assert_says(err, "does not tell");
	kerf_plan_finish(&plan);
	rig_drop(&s);
}

static void offer(struct rig *s, struct kerf_choice *c, const char *digits)
{
	struct kerf_plan plan;
	int r = rig_plan(s, digits, &plan);

	kerf_choice_offer(&s->p, c, &plan, r);
}

static void test_choice(void **state)
{
	struct kerf_choice c = {.have = false};
	struct kerf_err err = {""};
	struct kerf_plan plan;
	struct rig s;

	rig_chain(&s, 2);
	/* 3 ms here; "011" moves 4.4 ms, "001" 2.4 ms. */
	offer(&s, &c, "011");
	offer(&s, &c, "000");
	offer(&s, &c, "001");
	assert_int_equal(kerf_choice_end(&s.p, &c, &plan, &err), 0);
	assert_int_equal(plan.n_step, 1);
	kerf_plan_finish(&plan);

	/* The memory of home excludes the cheapest, in whatever order they come. */
	s.node[0].memory_bytes = 6000;
	offer(&s, &c, "000");
	offer(&s, &c, "011");
	offer(&s, &c, "000");
	assert_int_equal(kerf_choice_end(&s.p, &c, &plan, &err), 0);
	assert_int_equal(plan.n_step, 2);
	kerf_plan_finish(&plan);

	/* None meets the deadline; the nearest is told. */
	s.node[0].memory_bytes = 0;
	s.p.goal.deadline_s = 1e-3;
	offer(&s, &c, "011");
	offer(&s, &c, "000");
	offer(&s, &c, "001");
	assert_int_equal(kerf_choice_end(&s.p, &c, &plan, &err), -EDOM);
	assert_says(err, "the nearest plan misses deadline 1 ms: it takes 3 ms; --deadline 3 would");

	/* Nothing was offered: the problem itself is looked at. */
	s.p.goal.deadline_s = 0;
	err.msg[0] = 0;
	assert_int_equal(kerf_choice_end(&s.p, &c, &plan, &err), -ENODEV);
	assert_says(err, "none of the plans");
	rig_drop(&s);
}

static void test_problems_without_a_plan(void **state)
{
	struct kerf_err err = {""};
	struct rig s;

	rig_chain(&s, 2);
	assert_int_equal(kerf_problem_check(&s.p, &err), 0);
	s.op_s[2] = INFINITY;
	s.p.goal.keep = 2;
	assert_int_equal(kerf_problem_check(&s.p, &err), -EDOM);
	assert_says(err, "no engine here can run operator 1 ");
	assert_says(err, "--keep 1 would be met");
	s.p.goal.keep = 1;
	assert_int_equal(kerf_problem_check(&s.p, NULL), 0);

	s.link[2].rate_bytes_s = 0; /* back from one */
	err.msg[0] = 0;
	assert_int_equal(kerf_problem_check(&s.p, &err), -EDOM);
	assert_says(err, "one can run it, but there is no path");
	assert_says(err, "with a link both ways it would");
	s.link[2].rate_bytes_s = 1e6;

	s.op_s[3] = INFINITY;
	err.msg[0] = 0;
	assert_int_equal(kerf_problem_check(&s.p, &err), -ENODEV);
	assert_says(err, "operator 1 (");
	assert_says(err, "no engine can run it");
	s.op_s[3] = 1e-3;

	s.node[0].memory_bytes = 3000;
	s.node[1].memory_bytes = 4000;
	err.msg[0] = 0;
	assert_int_equal(kerf_problem_check(&s.p, &err), -EDOM);
	assert_says(err, "weights are 0.008 MB, all nodes together have 0.007 MB; --memory here=0.004");
	s.node[0].memory_bytes = 4000;
	assert_int_equal(kerf_problem_check(&s.p, NULL), 0);
	rig_drop(&s);
}

/* Assignments that cannot run say which operator or which way is the matter. */
static void test_assignments_that_cannot_run(void **state)
{
	const uint32_t assign[] = {0, 1, 1};
	struct kerf_err err = {""};
	struct kerf_plan plan;
	struct rig s;

	rig_chain(&s, 2);
	s.op_s[2 * 2 + 1] = INFINITY;
	assert_int_equal(kerf_plan_from_assignment(&s.p, assign, NULL, &plan, &err), -EINVAL);
	assert_says(err, "one cannot run operator 2 (");
	s.op_s[2 * 2 + 1] = 1e-3;
	s.link[1].rate_bytes_s = 0;
	err.msg[0] = 0;
	assert_int_equal(kerf_plan_from_assignment(&s.p, assign, NULL, &plan, &err), -EINVAL);
	assert_says(err, "no path from here to one");
	s.link[1].rate_bytes_s = 1e6;
	s.g->value[s.value[1]].bounded = true;
	err.msg[0] = 0;
	assert_int_equal(kerf_plan_from_assignment(&s.p, assign, NULL, &plan, &err), -EINVAL);
	assert_says(err, "cannot be sent to one: its dims are known only at run time");
	rig_drop(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_objectives),
		cmocka_unit_test(test_period),
		cmocka_unit_test(test_misses_are_named),
		cmocka_unit_test(test_all_nodes_are_named),
		cmocka_unit_test(test_near_exit),
		cmocka_unit_test(test_unknown_accuracy),
		cmocka_unit_test(test_choice),
		cmocka_unit_test(test_problems_without_a_plan),
		cmocka_unit_test(test_assignments_that_cannot_run),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
