/* SPDX-License-Identifier: MIT */
/* Engines' counters to figures, exactly; and counters that cannot be right. */
#include "telemetry/engine_load.h"
#include "util/base.h"
#include "util/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MS 1000000ull
#define T0 (5000000 * MS)

static struct kerf_engine_rec rec_of(const char *name)
{
	struct kerf_engine_rec r = {.kind = KERF_ENGINE_RUNTIME, .source = KERF_SOURCE_RUNTIME};

	snprintf(r.name, sizeof(r.name), "%s", name);
	return r;
}

static struct kerf_engine_load end(struct kerf_engine_window *w, const struct kerf_engine_rec *r,
				   uint64_t now_ns)
{
	struct kerf_node_load load;

	memset(&load, 0xee, sizeof(load));
	kerf_engine_window_end(w, r, 1, now_ns, &load);
	assert_int_equal(load.n_engine, 1);
	return load.engine[0];
}

static void test_figures_of_a_window(void **state)
{
	struct kerf_engine_window w = {.at_ns = 0};
	struct kerf_engine_rec r = rec_of("npu:0");
	struct kerf_engine_load l;

	/* It ran for long before anybody looked: not busy in a window that was not seen. */
	r.queued = 107, r.started = 102, r.done = 100, r.dropped = 2, r.errors = 3;
	r.wait_ns = 900 * MS, r.busy_ns = 4000 * MS, r.occupied_ns = 4000 * MS - T0 + 10 * MS;
	l = end(&w, &r, T0);
	assert_string_equal(l.name, "npu:0");
	assert_int_equal(l.kind, KERF_ENGINE_RUNTIME);
	assert_int_equal(l.source, KERF_SOURCE_RUNTIME);
	assert_int_equal(l.depth, 3);
	assert_int_equal(l.running, 2);
	assert_int_equal(l.busy_permille, 0);
	assert_int_equal(l.jobs, 100);
	assert_int_equal(l.errors, 3);
	/* Nothing happened: what runs goes on running, all the time. The last mean wait stands. */
	l = end(&w, &r, T0 + 100 * MS);
	assert_int_equal(l.busy_permille, 1000);
	assert_int_equal(l.depth, 3);
	assert_int_equal(l.wait_us, 0);
	/* 4 of the 5 end within 25 ms, having waited 7 ms each; then it idles, then one fails. */
	r.started = 105, r.done = 104, r.errors = 4, r.wait_ns += 4 * 7 * MS, r.busy_ns += 125 * MS;
	r.occupied_ns = 4000 * MS + 10 * MS + 125 * MS - (T0 + 150 * MS);
	l = end(&w, &r, T0 + 200 * MS);
	assert_int_equal(l.busy_permille, 750);
	assert_int_equal(l.depth, 0);
	assert_int_equal(l.running, 1);
	assert_int_equal(l.wait_us, 7000);
	assert_int_equal(l.jobs, 104);
	assert_int_equal(l.errors, 4);
	/* None ended: what it was last, as long as something is there. */
	l = end(&w, &r, T0 + 220 * MS);
	assert_int_equal(l.busy_permille, 1000);
	assert_int_equal(l.wait_us, 7000);
	r.done = 105, r.occupied_ns += T0 + 230 * MS;
	l = end(&w, &r, T0 + 240 * MS);
	assert_int_equal(l.busy_permille, 500);
	assert_int_equal(l.wait_us, 0);
	assert_int_equal(l.running, 0);
	l = end(&w, &r, T0 + 340 * MS);
	assert_int_equal(l.busy_permille, 0);
	assert_int_equal(l.wait_us, 0);
}

/* One that begins in a window counts from zero. */
static void test_new_engine(void **state)
{
	struct kerf_engine_window w = {.at_ns = 0};
	struct kerf_engine_rec r[2] = {rec_of("cpu"), rec_of("ref")};
	struct kerf_node_load load;

	kerf_engine_window_end(&w, r, 1, T0, &load);
	r[1].queued = r[1].started = 4, r[1].done = 3, r[1].wait_ns = 6 * MS;
	r[1].index = 1;
	r[1].occupied_ns = 10 * MS - (T0 + 80 * MS);
	kerf_engine_window_end(&w, r, 2, T0 + 100 * MS, &load);
	assert_int_equal(load.n_engine, 2);
	assert_string_equal(load.engine[1].name, "ref");
	assert_int_equal(load.engine[1].busy_permille, 300);
	assert_int_equal(load.engine[1].wait_us, 2000);
	assert_int_equal(load.engine[0].busy_permille, 0);
	/* It goes, and another stays itself although its place changed. */
	r[1].occupied_ns = 30 * MS, r[1].done = 4;
	kerf_engine_window_end(&w, r + 1, 1, T0 + 200 * MS, &load);
	assert_int_equal(load.n_engine, 1);
	assert_int_equal(load.engine[0].busy_permille, 0);
	assert_int_equal(load.engine[0].jobs, 4);
}

static void test_counters_that_go_back(void **state)
{
	struct kerf_engine_window w = {.at_ns = 0};
	struct kerf_engine_rec r = rec_of("cpu");
	struct kerf_engine_load l;

	r.queued = r.started = r.done = 50, r.wait_ns = 500 * MS,
	r.busy_ns = r.occupied_ns = 700 * MS;
	end(&w, &r, T0);
	/* Opened anew, two jobs of 10 ms each that waited 1 and 3 ms */
	r = rec_of("cpu");
	r.queued = r.started = r.done = 2, r.wait_ns = 4 * MS, r.busy_ns = r.occupied_ns = 20 * MS;
	l = end(&w, &r, T0 + 100 * MS);
	assert_int_equal(l.jobs, 2);
	assert_int_equal(l.busy_permille, 200);
	assert_int_equal(l.wait_us, 2000);
	/* Who counts changed: another's counters are not compared with these. */
	r.source = KERF_SOURCE_BPF;
	r.queued = r.started = r.done = 90, r.wait_ns = 900 * MS, r.occupied_ns = 50 * MS;
	l = end(&w, &r, T0 + 200 * MS);
	assert_int_equal(l.wait_us, 10000);
	assert_int_equal(l.busy_permille, 500);
}

static void test_torn_counters(void **state)
{
	struct kerf_engine_window w = {.at_ns = 0};
	struct kerf_engine_rec r = rec_of("cpu");
	struct kerf_engine_load l;

	/* The end was read, the beginnings before it were not. */
	r.queued = 9, r.started = 10, r.done = 11;
	l = end(&w, &r, T0);
	assert_int_equal(l.depth, 0);
	assert_int_equal(l.running, 0);
	r.queued = 11, r.started = 10, r.done = 10;
	assert_int_equal(end(&w, &r, T0 + 1).jobs, 10);
	/* More than a figure holds */
	r.queued = 1000000, r.started = 100000, r.done = 11;
	l = end(&w, &r, T0 + MS);
	assert_int_equal(l.depth, UINT16_MAX);
	assert_int_equal(l.running, UINT16_MAX);
	/* Counters at their end: sums wrap, differences hold. */
	r.queued = UINT64_MAX, r.started = UINT64_MAX - 3, r.done = UINT64_MAX - 4, r.dropped = 1;
	l = end(&w, &r, T0 + 2 * MS);
	assert_int_equal(l.depth, 2);
	assert_int_equal(l.running, 1);
	/* A mean wait of 200 years */
	r = rec_of("wait");
	r.queued = r.started = r.done = 1, r.wait_ns = 6000000000 * 1000 * MS;
	assert_int_equal(end(&w, &r, T0 + 3 * MS).wait_us, UINT32_MAX);
}

/* Two crossings of idle of which one half is seen: what ended says how busy it was. */
static void test_torn_occupation(void **state)
{
	struct kerf_engine_window w = {.at_ns = 0};
	struct kerf_engine_rec r = rec_of("cpu");

	r.queued = r.started = r.done = 5, r.busy_ns = r.occupied_ns = 300 * MS;
	end(&w, &r, T0);
	/* Began twice and ended never */
	r.busy_ns += 40 * MS, r.occupied_ns = 300 * MS - 2 * T0;
	assert_int_equal(end(&w, &r, T0 + 100 * MS).busy_permille, 400);
	/* The other half: 40 ms of the window before, 20 of this one */
	r.occupied_ns = 360 * MS;
	assert_int_equal(end(&w, &r, T0 + 200 * MS).busy_permille, 200);
	/* Ended twice: never more than the window, and then it is known again. */
	r.occupied_ns = 360 * MS + T0;
	assert_int_equal(end(&w, &r, T0 + 300 * MS).busy_permille, 1000);
	r.busy_ns += 500 * MS;
	r.occupied_ns = 390 * MS;
	assert_int_equal(end(&w, &r, T0 + 400 * MS).busy_permille, 1000);
	/* A clock that stands, or goes back: no window, no division by nothing. */
	r.occupied_ns += 50 * MS;
	assert_int_equal(end(&w, &r, T0 + 400 * MS).busy_permille, 0);
	assert_int_equal(end(&w, &r, T0 + 350 * MS).busy_permille, 0);
}

/* The kernel counts all clients of a queue, the runtime knows what it is called. */
static void test_two_count_one_queue(void **state)
{
	struct kerf_engine_window w = {.at_ns = 0};
	struct kerf_engine_rec r[4] = {rec_of("npu:0"), rec_of(""), rec_of(""), rec_of("")};
	struct kerf_node_load load;
	int i;

	for (i = 0; i < 4; i++)
		r[i].kind = KERF_ENGINE_QUEUE;
	r[0].device = r[1].device = 3, r[0].index = r[1].index = 1;
	r[1].source = r[2].source = KERF_SOURCE_BPF;
	r[0].queued = 2, r[1].queued = 7;
	r[2].device = 3, r[2].index = 2;
	r[3].kind = KERF_ENGINE_NONE;
	for (i = 0; i < 2; i++) {
		kerf_engine_window_end(&w, r, 4, T0 + i * MS, &load);
		assert_int_equal(load.n_engine, 2);
		assert_string_equal(load.engine[0].name, "npu:0");
		assert_int_equal(load.engine[0].depth, 7);
		assert_int_equal(load.engine[0].source, KERF_SOURCE_BPF);
		assert_string_equal(load.engine[1].name, "queue:3.2");
	}
	/* The other way round in the array */
	r[3] = r[0];
	r[0].kind = KERF_ENGINE_NONE;
	kerf_engine_window_end(&w, r, 4, T0 + 2 * MS, &load);
	assert_int_equal(load.n_engine, 2);
	assert_string_equal(load.engine[0].name, "npu:0");
	assert_int_equal(load.engine[0].depth, 7);
	/* Engines of programs only are apart by name. */
	r[1] = rec_of("cpu");
	r[2] = rec_of("ref");
	kerf_engine_window_end(&w, r + 1, 2, T0 + 3 * MS, &load);
	assert_int_equal(load.n_engine, 2);
}

static void test_the_busiest_of_many(void **state)
{
	enum { N = KERF_ENGINE_WINDOW + 40 };
	static struct kerf_engine_rec r[N];
	struct kerf_engine_window w = {.at_ns = 0};
	struct kerf_node_load load;
	uint32_t i;

	for (i = 0; i < N; i++) {
		r[i] = rec_of("e");
		r[i].index = i;
	}
	kerf_engine_window_end(&w, r, N, T0, &load);
	assert_int_equal(load.n_engine, KERF_NODE_LOAD_ENGINES);
	/* All alike: the first ones. Then every third of those that count has work. */
	for (i = 0; i < N; i++) {
		snprintf(r[i].name, sizeof(r[i].name), "e");
		if (i % 3 == 2)
			r[i].occupied_ns = (i % 7) * MS, r[i].queued = i;
	}
	kerf_engine_window_end(&w, r, N, T0 + 10 * MS, &load);
	assert_int_equal(load.n_engine, KERF_NODE_LOAD_ENGINES);
	for (i = 0; i < KERF_NODE_LOAD_ENGINES; i++) {
		uint32_t place = load.engine[i].depth, k, before = 0;

		assert_true(place % 3 == 2 && place < KERF_ENGINE_WINDOW);
		assert_int_equal(load.engine[i].busy_permille, place % 7 * 100);
		if (i)
			assert_true(place > load.engine[i - 1].depth);
		for (k = 2; k < KERF_ENGINE_WINDOW; k += 3)
			before += k % 7 > place % 7 || (k % 7 == place % 7 && k > place);
		assert_true(before < KERF_NODE_LOAD_ENGINES);
	}
}

/* Whatever is in the records: figures stay in their bounds, names end. Then it recovers. */
static void test_nonsense(void **state)
{
	struct kerf_engine_window w = {.at_ns = 0};
	struct kerf_engine_rec r[24], good = rec_of("good");
	struct kerf_node_load load;
	struct kerf_rng rng;
	uint32_t round, i, k;

	kerf_rng_seed(&rng, 11);
	for (round = 0; round < 3000; round++) {
		uint32_t n = (uint32_t)kerf_rng_below(&rng, KERF_ARRAY_SIZE(r) + 1);

		for (i = 0; i < n; i++) {
			uint64_t *word = (uint64_t *)&r[i];

			for (k = 0; k < sizeof(r[i]) / 8; k++)
				word[k] = kerf_rng_next(&rng);
			r[i].kind = (uint32_t)kerf_rng_below(&rng, 5);
			r[i].index = (uint32_t)kerf_rng_below(&rng, 3);
		}
		kerf_engine_window_end(&w, r, n, kerf_rng_next(&rng) >> kerf_rng_below(&rng, 64),
				       &load);
		assert_true(load.n_engine <= KERF_MIN(n, KERF_NODE_LOAD_ENGINES));
		for (i = 0; i < load.n_engine; i++) {
			assert_true(load.engine[i].busy_permille <= 1000);
			assert_non_null(
				memchr(load.engine[i].name, 0, sizeof(load.engine[i].name)));
			assert_true(load.engine[i].name[0]);
		}
	}
	kerf_engine_window_end(&w, &good, 1, T0, &load);
	good.queued = good.started = 1, good.occupied_ns = -(T0 + 50 * MS);
	assert_int_equal(end(&w, &good, T0 + 100 * MS).busy_permille, 500);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_figures_of_a_window),
		cmocka_unit_test(test_new_engine),
		cmocka_unit_test(test_counters_that_go_back),
		cmocka_unit_test(test_torn_counters),
		cmocka_unit_test(test_torn_occupation),
		cmocka_unit_test(test_two_count_one_queue),
		cmocka_unit_test(test_the_busiest_of_many),
		cmocka_unit_test(test_nonsense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
