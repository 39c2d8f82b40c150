/* SPDX-License-Identifier: MIT */
/*
 * Bands: layers and splits, and plans made of random groups. Every plan is played step by step on
 * the pieces that its edges bring: none missing, none twice, none that the slice does not hold, and
 * the answer has the whole run's bits.
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

static struct kerf_graph *random_graph(uint64_t seed, int n_op)
{
	struct kerf_err err = {""};

	return rg_make(seed, n_op, &err);
}

static void test_split(void **state)
{
	struct kerf_rng rng;
	int round;

	kerf_rng_seed(&rng, 7);
	for (round = 0; round < 2000; round++) {
		int64_t total = 1 + (int64_t)kerf_rng_below(&rng, 60), at = 0;
		int64_t step = 1 + (int64_t)kerf_rng_below(&rng, 3);
		uint32_t n = 1 + (uint32_t)kerf_rng_below(&rng, 8), i;
		struct kerf_rows part[8];
		double weight[8], sum = 0;

		for (i = 0; i < n; i++)
			sum += weight[i] = kerf_rng_below(&rng, 4) ? (double)kerf_rng_float(&rng) : 0;
		weight[0] += 0.01;
		sum += 0.01;
		kerf_bands_split(total, step, n, weight, part);
		for (i = 0; i < n; i++) {
			double rows = (double)(part[i].end - part[i].begin);

			assert_int_equal(part[i].begin, at);
			assert_true(part[i].end >= at);
			assert_true(weight[i] > 0 || rows == 0);
			assert_true(fabs(rows - (double)total * weight[i] / sum) <= 2 * (double)step);
			at = part[i].end;
		}
		assert_int_equal(at, total);
	}
}

static void test_units_cover_the_graph(void **state)
{
	uint64_t seed;

	for (seed = 1; seed <= 60; seed++) {
		struct kerf_graph *g = random_graph(seed, 14);
		double speed[] = {1e9, 1e9};
		struct kerf_unit *unit;
		uint32_t n, i, at = 0;
		struct rig x;

		if (!g)
			continue;
		rig_make(&x, g, 2, speed, 1e6, 1e-3);
		x.p.goal.keep = (uint32_t)(seed % 4);
		assert_int_equal(kerf_bands_units(&x.p, &unit, &n), 0);
		for (i = 0; i < n; i++) {
			assert_int_equal(unit[i].begin, at);
			assert_true(unit[i].end > at);
			assert_true(unit[i].begin >= x.p.goal.keep || !unit[i].rows);
			at = unit[i].end;
		}
		assert_int_equal(at, g->n_op);
		free(unit);
		rig_drop(&x);
		kerf_graph_unref(g);
	}
}

/* Groups of random length, whole or in random bands on random engines. */
static void random_groups(const struct kerf_problem *p, struct kerf_rng *rng, struct kerf_bands *b)
{
	uint32_t engines[6], at = 0, end, n, i;
	struct kerf_rows part[6];
	double weight[6];

	while (at < p->graph->n_op) {
		int64_t rows;

		end = at + 1 + (uint32_t)kerf_rng_below(rng, 5);
		end = KERF_MIN(end, p->graph->n_op);
		rows = kerf_bands_rows(p, at, end);
		n = 1 + (uint32_t)kerf_rng_below(rng, 6);
		for (i = 0; i < n; i++) {
			engines[i] = (uint32_t)kerf_rng_below(rng, p->n_engine);
			weight[i] = 0.05 + (double)kerf_rng_float(rng);
		}
		if (rows)
			kerf_bands_split(rows, 1, n, weight, part);
		assert_int_equal(rows ? kerf_bands_tiled(b, at, end, engines[0], n, engines, part)
				      : kerf_bands_whole(b, at, end, engines[0]),
				 0);
		at = end;
	}
}

/*
 * The work of an operator whose output leaves its group adds up to all of it, or more where bands
 * overlap. Inside a group there may be less: rows that no window reads are not made.
 */
static void check_shares(const struct kerf_graph *g, const struct kerf_plan *plan)
{
	double *sum = calloc(g->n_op + 1, sizeof(*sum));
	uint32_t i, k;

	assert_non_null(sum);
	for (i = 0; i < plan->n_step; i++)
		for (k = 0; k < plan->step[i].n_op; k++) {
			double share = plan->step[i].share ? (double)plan->step[i].share[k] : 1;

			assert_true(share > 0 && share <= 1);
			sum[plan->step[i].op[k]] += share;
		}
	for (i = 0; i < g->n_op; i++)
		assert_true(sum[i] > 0);
	for (i = 0; i < plan->n_edge; i++)
		if (plan->edge[i].from != KERF_PLAN_HOME)
			assert_true(sum[g->value[plan->edge[i].value].producer] > 1 - 1e-5);
	free(sum);
}

static void test_random_groups_give_the_whole_runs_bits(void **state)
{
	struct kerf_rng rng;
	uint64_t seed;
	int played = 0;

	kerf_rng_seed(&rng, 3);
	for (seed = 1; seed <= 400; seed++) {
		struct kerf_graph *g = random_graph(seed, 4 + (int)(seed % 14));
		struct kerf_tensor whole[RG_MAX], parts[RG_MAX];
		struct kerf_bands b = {0};
		struct kerf_plan plan;
		struct kerf_err err = {""};
		struct rig x;

		if (!g)
			continue;
		rig_random(&x, g, &rng);
		random_groups(&x.p, &rng, &b);
		if (kerf_bands_build(&x.p, &b, &plan, &err))
			fail_msg("seed %d: %s", (int)seed, err.msg);
		check_shares(g, &plan);
		run_whole(&x, engine, seed, whole);
		run_plan(g, &plan, engine, seed, parts);
		assert_same_answer(g, whole, parts);
		free_answer(g, whole);
		free_answer(g, parts);
		kerf_plan_finish(&plan);
		kerf_bands_finish(&b);
		rig_drop(&x);
		kerf_graph_unref(g);
		played++;
	}
	assert_true(played > 200);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_split),
		cmocka_unit_test(test_units_cover_the_graph),
		cmocka_unit_test(test_random_groups_give_the_whole_runs_bits),
	};

	return cmocka_run_group_tests(tests, open_engine, close_engine);
}
