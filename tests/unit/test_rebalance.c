/* SPDX-License-Identifier: MIT */
/*
 * Bands of other sizes: plans are read back as the groups that they were made of, lopsided ones get
 * better, none gets worse, and what comes out can be run.
 */
#include "ops/random_graph.h"
#include "plan/plan_check.h"
#include "plan/rebalance.h"
#include "unit/spatial_rig.h"

static void test_groups_of_plans(void **state)
{
	static const char *const names[] = {"modnn", "mednn", "coedge", "aofl", "deepthings",
					    "decnn", "pico", "bands"};
	struct kerf_rng rng;
	unsigned same = 0, tiled = 0;
	uint64_t seed;
	uint32_t i;

	kerf_rng_seed(&rng, 3);
	for (seed = 300; seed < 330; seed++) {
		struct kerf_err err = {""};
		struct kerf_graph *g = rg_make(seed, 2 + (int)(seed % 13), &err);
		struct rig x;

		if (!g)
			continue;
		rig_random(&x, g, &rng);
		for (i = 0; i < KERF_ARRAY_SIZE(names); i++) {
			struct kerf_plan plan, again;
			struct kerf_bands b;

			if (kerf_policy_find(names[i])->plan(&x.p, &plan, NULL))
				continue;
			assert_int_equal(kerf_bands_of_plan(&x.p, &plan, &b), 0);
			assert_int_equal(kerf_bands_build(&x.p, &b, &again, NULL), 0);
			assert_int_equal(again.n_step, plan.n_step);
			assert_int_equal(again.n_edge, plan.n_edge);
			assert_true(again.total_s == plan.total_s);
			assert_true(again.memory_bytes == plan.memory_bytes);
			same++;
			tiled += b.n_band > 0;
			kerf_bands_finish(&b);
			kerf_plan_finish(&again);
			kerf_plan_finish(&plan);
		}
		rig_drop(&x);
		kerf_graph_unref(g);
	}
	assert_true(same > 100 && tiled > 30);
}

/* The first band of each group keeps one row. */
static void distort(struct kerf_bands *b)
{
	uint32_t i;

	for (i = 0; i < b->n_group; i++) {
		struct kerf_band *band = &b->band[b->group[i].first_band];

		if (b->group[i].n_band > 1)
			band[0].rows.end = band[1].rows.begin = band[0].rows.begin + 1;
	}
}

/* Cost, or what is missed, of a choice. */
static double value(const struct kerf_choice *c)
{
	return c->have ? c->cost : c->violation;
}

static void test_lopsided(void **state)
{
	unsigned better = 0, tried = 0, met = 0;
	struct kerf_rng rng;
	uint64_t seed;

	kerf_rng_seed(&rng, 4);
	for (seed = 300; seed < 340; seed++) {
		struct kerf_choice c = {.have = false};
		struct kerf_err err = {""};
		struct kerf_graph *g = rg_make(seed, 2 + (int)(seed % 13), &err);
		struct kerf_plan plan;
		struct kerf_bands b;
		struct rig x;
		double before;
		bool moved, had;

		if (!g)
			continue;
		rig_random(&x, g, &rng);
		assert_int_equal(kerf_policy_find("aofl")->plan(&x.p, &plan, NULL), 0);
		assert_int_equal(kerf_bands_of_plan(&x.p, &plan, &b), 0);
		/* Every other time a deadline that only the plan as it was meets. */
		x.p.goal.deadline_s = seed % 2 ? plan.total_s * 1.05 : 0;
		kerf_plan_finish(&plan);
		distort(&b);
		kerf_bands_offer(&x.p, &b, "aofl", &c, "made lopsided");
		kerf_bands_finish(&b);
		had = c.have;
		before = value(&c);
		assert_int_equal(kerf_rebalance(&x.p, &c, &moved), 0);
		assert_true(c.have || c.have_near);
		if (c.have == had)
			assert_true(moved ? value(&c) < before : value(&c) == before);
		met += c.have && !had;
		better += moved;
		tried++;
		plan = c.have ? c.best : c.near;
		assert_string_equal(plan.policy, "aofl");
		assert_string_equal(plan.reason, "made lopsided");
		assert_int_equal(kerf_plan_check(g, &plan, &err), 0);
		kerf_choice_drop(&c);
		rig_drop(&x);
		kerf_graph_unref(g);
	}
	if (better < 12 || met < 3)
		fail_msg("%u of %u better, %u deadlines met", better, tried, met);
}

/* What has no bands stays what it is: a plan of one step, one with an exit, none at all. */
static void test_nothing_to_move(void **state)
{
	struct kerf_choice c = {.have = false};
	struct kerf_err err = {""};
	struct kerf_graph *g = rg_make(300, 8, &err);
	double speed[2] = {1e8, 2e8};
	struct kerf_plan plan;
	struct kerf_bands b;
	struct rig x;
	bool moved;

	assert_non_null(g);
	rig_make(&x, g, 2, speed, 1e7, 1e-4);
	assert_int_equal(kerf_rebalance(&x.p, &c, &moved), 0);
	assert_false(moved);
	kerf_choice_whole(&x.p, 0, &c);
	assert_true(c.have);
	assert_int_equal(kerf_rebalance(&x.p, &c, &moved), 0);
	assert_false(moved);
	assert_int_equal(kerf_choice_end(&x.p, &c, &plan, &err), 0);
	assert_int_equal(plan.n_step, 1);
	plan.exit = 0;
	assert_int_equal(kerf_bands_of_plan(&x.p, &plan, &b), -EOPNOTSUPP);
	plan.exit = -1;
	plan.step[0].op[0]++;
	assert_int_equal(kerf_bands_of_plan(&x.p, &plan, &b), -EOPNOTSUPP);
	kerf_plan_finish(&plan);
	rig_drop(&x);
	kerf_graph_unref(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_groups_of_plans),
		cmocka_unit_test(test_lopsided),
		cmocka_unit_test(test_nothing_to_move),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
