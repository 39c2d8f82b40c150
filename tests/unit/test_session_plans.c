/* SPDX-License-Identifier: MIT */
/*
 * Sessions over random plans of bands, channels and whole groups on engines of this process: the
 * answer has the whole run's bits, whatever is copied and whatever is used in place.
 */
#include "exec/session.h"
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

static void run_session(struct kerf_graph *g, const struct kerf_plan *plan, uint64_t seed,
			struct kerf_tensor *out)
{
	struct kerf_engine *engines[KERF_MAX_ENGINES];
	struct kerf_tensor *in = calloc(g->n_in + 1, sizeof(*in));
	struct kerf_err err = {""};
	struct kerf_session *s;
	struct kerf_rng rng;
	uint32_t i;
	int64_t n;

	assert_non_null(in);
	for (i = 0; i < KERF_MAX_ENGINES; i++)
		engines[i] = engine;
	kerf_rng_seed(&rng, seed);
	for (i = 0; i < g->n_in; i++) {
		in[i] = g->value[g->in[i]].t;
		in[i].data = kerf_tensor_alloc(kerf_tensor_bytes(&in[i]));
		assert_non_null(in[i].data);
		for (n = 0; n < kerf_tensor_count(&in[i]); n++)
			((float *)in[i].data)[n] = 2 * kerf_rng_float(&rng) - 1;
	}
	for (i = 0; i < g->n_out; i++) {
		out[i] = g->value[g->out[i]].t;
		out[i].data = kerf_tensor_alloc(kerf_tensor_bytes(&out[i]));
		assert_non_null(out[i].data);
	}
	if (kerf_session_open(g, plan, engines, 1, &s, &err))
		fail_msg("%s", err.msg);
	/* Twice: what a request leaves behind is not taken for the next one's. */
	for (n = 0; n < 2; n++) {
		for (i = 0; i < g->n_out; i++)
			memset(out[i].data, 0xa5, kerf_tensor_bytes(&out[i]));
		assert_int_equal(kerf_session_run(s, in, out, NULL), 0);
	}
	kerf_session_close(s);
	for (i = 0; i < g->n_in; i++)
		free(in[i].data);
	free(in);
}

static void compare(uint64_t first, uint64_t last, bool channels)
{
	struct kerf_rng rng;
	uint64_t seed;
	int played = 0;

	kerf_rng_seed(&rng, first);
	for (seed = first; seed < last; seed++) {
		struct kerf_graph *g = random_graph(seed, 4 + (int)(seed % 14));
		struct kerf_tensor whole[RG_MAX], parts[RG_MAX];
		struct kerf_bands b = {0};
		struct kerf_err err = {""};
		struct kerf_tile room;
		struct kerf_plan plan;
		struct rig x;

		if (!g)
			continue;
		rig_random(&x, g, &rng);
		assert_int_equal(kerf_tile_open(g, &room), 0);
		(channels ? random_channels : random_groups)(&x.p, &room, &rng, &b);
		kerf_tile_finish(&room);
		if (kerf_bands_build(&x.p, &b, &plan, &err))
			fail_msg("seed %d: %s", (int)seed, err.msg);
		run_whole(&x, engine, seed, whole);
		run_session(g, &plan, seed, parts);
		assert_same_answer(g, whole, parts);
		free_answer(g, whole);
		free_answer(g, parts);
		kerf_plan_finish(&plan);
		kerf_bands_finish(&b);
		rig_drop(&x);
		kerf_graph_unref(g);
		played++;
	}
	assert_true(played > (int)(last - first) / 2);
}

static void test_bands(void **state)
{
	compare(20000, 20300, false);
}

static void test_channels(void **state)
{
	compare(30000, 30150, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bands),
		cmocka_unit_test(test_channels),
	};

	return cmocka_run_group_tests(tests, open_engine, close_engine);
}
