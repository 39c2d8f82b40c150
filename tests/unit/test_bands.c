/* SPDX-License-Identifier: MIT */
/*
 * Bands: layers and splits, and plans made of random groups. Every plan is played step by step on
 * the pieces that its edges bring: none missing, none twice, none that the slice does not hold, and
 * the answer has the whole run's bits.
 */
#include "plan/plan_check.h"
#include "unit/random_groups.h"

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
			sum += weight[i] =
				kerf_rng_below(&rng, 4) ? (double)kerf_rng_float(&rng) : 0;
		weight[0] += 0.01;
		sum += 0.01;
		kerf_bands_split(total, step, n, weight, part);
		for (i = 0; i < n; i++) {
			double rows = (double)(part[i].end - part[i].begin);

			assert_int_equal(part[i].begin, at);
			assert_true(part[i].end >= at);
			assert_true(weight[i] > 0 || rows == 0);
			assert_true(fabs(rows - (double)total * weight[i] / sum) <=
				    2 * (double)step);
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
		struct kerf_tile room;
		struct kerf_plan plan;
		struct kerf_err err = {""};
		struct rig x;

		if (!g)
			continue;
		rig_random(&x, g, &rng);
		assert_int_equal(kerf_tile_open(g, &room), 0);
		random_groups(&x.p, &room, &rng, &b);
		kerf_tile_finish(&room);
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

static void test_random_channels_give_the_whole_runs_bits(void **state)
{
	struct kerf_rng rng;
	unsigned split = 0;
	uint64_t seed;
	uint32_t i;

	kerf_rng_seed(&rng, 4);
	for (seed = 5000; seed <= 5200; seed++) {
		struct kerf_graph *g = random_graph(seed, 4 + (int)(seed % 14));
		struct kerf_tensor whole[RG_MAX], parts[RG_MAX];
		struct kerf_bands b = {0};
		struct kerf_tile room;
		struct kerf_plan plan;
		struct kerf_err err = {""};
		struct rig x;

		if (!g)
			continue;
		rig_random(&x, g, &rng);
		assert_int_equal(kerf_tile_open(g, &room), 0);
		random_channels(&x.p, &room, &rng, &b);
		kerf_tile_finish(&room);
		if (kerf_bands_build(&x.p, &b, &plan, &err) || kerf_plan_check(g, &plan, &err))
			fail_msg("seed %d: %s", (int)seed, err.msg);
		check_shares(g, &plan);
		run_whole(&x, engine, seed, whole);
		run_plan(g, &plan, engine, seed, parts);
		assert_same_answer(g, whole, parts);
		for (i = 0; i < plan.n_step; i++)
			split += plan.step[i].channels.end > 0;
		free_answer(g, whole);
		free_answer(g, parts);
		kerf_plan_finish(&plan);
		kerf_bands_finish(&b);
		rig_drop(&x);
		kerf_graph_unref(g);
	}
	assert_true(split > 500);
}

/* Ranges that are none, rows beside channels, and a Conv of what the slice has in part. */
static void test_channels_refused(void **state)
{
	struct kerf_graph *g, *slice;
	struct kerf_slice_spec spec;
	struct kerf_err err = {""};
	uint64_t seed;
	uint32_t o, op[2];
	int pairs = 0;

	for (seed = 1; seed < 200 && pairs < 20; seed++) {
		g = random_graph(seed, 10);
		for (o = 0; g && o + 1 < g->n_op; o++) {
			int32_t out = g->op[o].out[0];
			int64_t n = g->value[out].t.dims[g->value[out].t.rank - 1];

			if (strcmp(g->op[o].def->name, "Conv") != 0)
				continue;
			op[0] = o;
			op[1] = o + 1;
			spec = (struct kerf_slice_spec){
				.n_op = 1, .op = op, .channels = {0, n + 1}};
			assert_int_equal(kerf_slice_make(g, &spec, &slice, &err), -EINVAL);
			spec.channels = (struct kerf_rows){1, 1};
			assert_int_equal(kerf_slice_make(g, &spec, &slice, &err), -EINVAL);
			spec.channels = (struct kerf_rows){0, 1};
			spec.rows = (struct kerf_rows){0, 1};
			assert_int_equal(kerf_slice_make(g, &spec, &slice, &err), -EINVAL);
			spec.rows = (struct kerf_rows){0, 0};
			/* One that mixes what the slice makes in part. */
			if (strcmp(g->op[o + 1].def->name, "Conv") || g->op[o + 1].in[0] != out ||
			    kerf_op_int(&g->op[o + 1], "group", 1) != 1)
				continue;
			spec.n_op = 2;
			assert_int_not_equal(kerf_slice_make(g, &spec, &slice, &err), 0);
			assert_true(err.msg[0]);
			pairs++;
		}
		kerf_graph_unref(g);
	}
	assert_true(pairs >= 5);
}

/*
 * Two convolutions of 3 x 3 in two padded tiles: what is further than two rows from the cut is
 * exact.
 */
static void test_padded_tiles_err_at_the_cut_alone(void **state)
{
	enum { ROWS = 24, CUT = 12, CHANNELS = 4, WIDTH = 7 };
	struct kerf_graph *g = kerf_graph_new("padded");
	uint32_t engines[] = {0, 1}, first = 0, last, c, row;
	struct kerf_rows part[] = {{0, CUT}, {CUT, ROWS}};
	struct kerf_tensor whole[1], parts[1];
	double speed[] = {1e9, 1e9};
	struct kerf_bands b = {0};
	struct kerf_err err = {""};
	struct kerf_plan plan;
	bool differs[ROWS] = {false};
	struct rig x;
	int32_t v;

	v = b_value(g, "x", KERF_F32, 4, (int64_t[]){1, 3, ROWS, WIDTH});
	kerf_graph_add_input(g, v);
	v = b_conv(g, b_conv(g, v, CHANNELS, 3, 1, 1, true), CHANNELS, 3, 1, 1, false);
	kerf_graph_add_output(g, v);
	assert_int_equal(kerf_graph_tidy(g, &err), 0);
	assert_int_equal(kerf_rewrite(g, &err), 0);
	kerf_graph_freeze(g);
	while (strcmp(g->op[first].def->name, "Conv") != 0)
		first++;
	last = first + 1;
	assert_string_equal(g->op[last].def->name, "Conv");

	rig_make(&x, g, 2, speed, 1e7, 1e-4);
	assert_int_equal(kerf_bands_whole(&b, 0, first, 0), 0);
	assert_int_equal(kerf_bands_tiled(&b, first, last + 1, 0, 2, engines, part), 0);
	b.group[1].padded = true;
	assert_true(kerf_bands_padded(&x.p, &b));
	assert_int_equal(kerf_bands_whole(&b, last + 1, g->n_op, 0), 0);
	assert_int_equal(kerf_bands_build(&x.p, &b, &plan, &err), 0);
	assert_int_equal(kerf_plan_check(g, &plan, &err), 0);
	assert_true(plan.step[1].padded && plan.step[2].padded);
	assert_true(plan.step[1].share[0] == 0.5f && plan.step[2].share[1] == 0.5f);
	run_whole(&x, engine, 1, whole);
	run_plan(g, &plan, engine, 1, parts);
	for (c = 0; c < CHANNELS; c++)
		for (row = 0; row < ROWS; row++)
			differs[row] |= memcmp((float *)whole[0].data + (c * ROWS + row) * WIDTH,
					       (float *)parts[0].data + (c * ROWS + row) * WIDTH,
					       WIDTH * sizeof(float)) != 0;
	for (row = 0; row < ROWS; row++)
		assert_int_equal(differs[row], row >= CUT - 2 && row < CUT + 2);
	free_answer(g, whole);
	free_answer(g, parts);
	kerf_plan_finish(&plan);
	kerf_bands_finish(&b);
	rig_drop(&x);
	kerf_graph_unref(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_split),
		cmocka_unit_test(test_units_cover_the_graph),
		cmocka_unit_test(test_random_groups_give_the_whole_runs_bits),
		cmocka_unit_test(test_random_channels_give_the_whole_runs_bits),
		cmocka_unit_test(test_channels_refused),
		cmocka_unit_test(test_padded_tiles_err_at_the_cut_alone),
	};

	return cmocka_run_group_tests(tests, open_engine, close_engine);
}
