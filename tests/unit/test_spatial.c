/* SPDX-License-Identifier: MIT */
/*
 * The policies with tiles, on random graphs over random clusters: what they answer is a plan that
 * can be played, covers everything once, says the same twice, and has the whole run's bits.
 */
#include "ops/random_graph.h"
#include "unit/spatial_rig.h"

static struct kerf_engine *engine;

static int open_engine(void **state)
{
	struct kerf_engine_config cfg = {.threads = 1};
	struct kerf_err err = {""};

	return kerf_engine_open("cpu", &cfg, &engine, &err);
}

static int close_engine(void **state)
{
	kerf_engine_close(engine);
	return 0;
}

static const char *const exact[] = {"modnn", "mednn", "coedge", "deepthings",
				    "aofl", "deepslicing", "mcunet-patch", "pico"};

static void assert_same_plan(const struct kerf_plan *a, const struct kerf_plan *b)
{
	uint32_t i;

	assert_int_equal(a->n_step, b->n_step);
	assert_int_equal(a->n_edge, b->n_edge);
	for (i = 0; i < a->n_step; i++) {
		assert_int_equal(a->step[i].engine, b->step[i].engine);
		assert_int_equal(a->step[i].n_op, b->step[i].n_op);
		assert_int_equal(a->step[i].rows.begin, b->step[i].rows.begin);
		assert_int_equal(a->step[i].rows.end, b->step[i].rows.end);
	}
	assert_true(a->total_s == b->total_s && a->energy_j == b->energy_j);
	assert_string_equal(a->reason, b->reason);
}

static void test_exact_policies(void **state)
{
	unsigned which, tiled = 0;
	struct kerf_rng rng;
	uint64_t seed;

	kerf_rng_seed(&rng, 5);
	for (seed = 1000; seed < 1100; seed++) {
		struct kerf_err err = {""};
		struct kerf_graph *g = rg_make(seed, 4 + (int)(seed % 12), &err);
		struct kerf_tensor whole[RG_MAX], parts[RG_MAX];
		struct kerf_plan plan, again;
		struct rig x;
		uint32_t i;

		if (!g)
			continue;
		rig_random(&x, g, &rng);
		run_whole(&x, engine, seed, whole);
		for (which = 0; which < KERF_ARRAY_SIZE(exact); which++) {
			kerf_policy_fn make = kerf_policy_find(exact[which])->plan;

			if (make(&x.p, &plan, &err) || make(&x.p, &again, &err))
				fail_msg("%s, seed %d: %s", exact[which], (int)seed, err.msg);
			assert_string_equal(plan.policy, exact[which]);
			assert_same_plan(&plan, &again);
			run_plan(g, &plan, engine, seed, parts);
			assert_same_answer(g, whole, parts);
			for (i = 0; i < plan.n_step; i++)
				tiled += plan.step[i].rows.end > 0;
			free_answer(g, parts);
			kerf_plan_finish(&plan);
			kerf_plan_finish(&again);
		}
		free_answer(g, whole);
		rig_drop(&x);
		kerf_graph_unref(g);
	}
	assert_true(tiled > 200);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_exact_policies),
	};

	return cmocka_run_group_tests(tests, open_engine, close_engine);
}
