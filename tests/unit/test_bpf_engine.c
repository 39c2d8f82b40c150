/* SPDX-License-Identifier: MIT */
/*
 * bpf/engine.bpf.c in the kernel, on events made up here (BPF_PROG_TEST_RUN): every way in which
 * jobs come, run, run again and end, with and without having been seen before. As root; no module.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#ifdef WITH_BPF

#include "kerf_state.h"
#include "util/clock.h"

#include "engine.skel.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define HALF (KERF_STATE_ENGINES / 2)

/* kmod/kerf_trace.h */
struct event {
	uint64_t device, engine, client, queue, seqno, wait_ns, busy_ns, bytes, status, cookie;
	uint64_t waiting, running;
};

static int quiet(enum libbpf_print_level level, const char *fmt, va_list args)
{
	return 0;
}

static int setup(void **state)
{
	struct engine_bpf *skel;
	int r;

	libbpf_set_print(quiet);
	skel = engine_bpf__open();
	r = skel ? engine_bpf__load(skel) : -errno;
	*state = r ? NULL : skel;
	if (r)
		engine_bpf__destroy(skel);
	/* Without rights or bpf() there is nothing to test; whatever else fails is an error. */
	return r && r != -EPERM && r != -ENOSYS && r != -EACCES ? -1 : 0;
}

static int teardown(void **state)
{
	engine_bpf__destroy(*state);
	return 0;
}

static struct engine_bpf *need(void **state)
{
	if (!*state)
		skip();
	return *state;
}

static void run(const struct bpf_program *prog, const struct event *e)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = e, .ctx_size_in = sizeof(*e));

	assert_int_equal(bpf_prog_test_run_opts(bpf_program__fd(prog), &opts), 0);
	assert_int_equal(opts.retval, 0);
}

static void queued(struct engine_bpf *s, uint32_t engine, uint32_t waiting, uint32_t running)
{
	run(s->progs.kerf_engine_queued,
	    &(struct event){.engine = engine, .waiting = waiting, .running = running});
}

static void started(struct engine_bpf *s, uint32_t engine, uint32_t waiting, uint32_t running)
{
	run(s->progs.kerf_engine_started,
	    &(struct event){.engine = engine, .waiting = waiting, .running = running});
}

static void done(struct engine_bpf *s, uint32_t engine, int32_t status, uint32_t waiting,
		 uint32_t running)
{
	/* Upper halves of what is narrower than a register are not defined. */
	run(s->progs.kerf_engine_done, &(struct event){.device = 0xdead00000000,
						       .engine = 0xbeef00000000 | engine,
						       .wait_ns = 5000,
						       .busy_ns = 7000,
						       .bytes = 64,
						       .status = 0xf00d00000000 | (uint32_t)status,
						       .waiting = 0xcafe00000000 | waiting,
						       .running = 0xcafe00000000 | running});
}

static struct kerf_engine_rec slot(struct engine_bpf *s, uint32_t i)
{
	struct kerf_engine_rec r;

	assert_int_equal(bpf_map__lookup_elem(s->maps.engines, &i, sizeof(i), &r, sizeof(r), 0), 0);
	return r;
}

static struct kerf_engine_rec look(struct engine_bpf *s, uint32_t engine)
{
	uint32_t i;

	for (i = 0; i < HALF; i++) {
		struct kerf_engine_rec r = slot(s, i);

		if (r.kind == KERF_ENGINE_QUEUE && !r.device && r.index == engine)
			return r;
	}
	fail_msg("no record of engine %u", engine);
	return (struct kerf_engine_rec){.kind = 0};
}

#define expect(s, engine, q, st, d, dr, err)                                                     \
	do {                                                                                     \
		struct kerf_engine_rec r_ = look(s, engine);                                     \
		assert_int_equal(r_.queued, q);                                                  \
		assert_int_equal(r_.started, st);                                                \
		assert_int_equal(r_.done, d);                                                    \
		assert_int_equal(r_.dropped, dr);                                                \
		assert_int_equal(r_.errors, err);                                                \
		assert_int_equal((int64_t)r_.occupied_ns < 0, (st) > (d));                       \
	} while (0)

static void test_lives(void **state)
{
	struct engine_bpf *s = need(state);
	struct kerf_engine_rec r;
	uint64_t begin = kerf_now_ns();

	queued(s, 1, 1, 0);
	expect(s, 1, 1, 0, 0, 0, 0);
	started(s, 1, 0, 1);
	expect(s, 1, 1, 1, 0, 0, 0);
	queued(s, 1, 1, 1);
	queued(s, 1, 2, 1);
	done(s, 1, 0, 2, 0);
	expect(s, 1, 3, 1, 1, 0, 0);
	started(s, 1, 1, 1);
	done(s, 1, -ETIME, 1, 0);
	expect(s, 1, 3, 2, 2, 0, 1);
	/* What waited behind it did not start: no time of it counts, and no error. */
	done(s, 1, -ECANCELED, 0, 0);
	expect(s, 1, 3, 2, 2, 1, 1);
	r = look(s, 1);
	assert_int_equal(r.wait_ns, 2 * 5000);
	assert_int_equal(r.busy_ns, 2 * 7000);
	assert_int_equal(r.bytes, 2 * 64);
	assert_int_equal(r.source, KERF_SOURCE_BPF);
	assert_string_equal(r.name, "");
	assert_true(r.updated_ns >= begin && r.updated_ns <= kerf_now_ns());
	assert_true(r.occupied_ns > 0 && r.occupied_ns <= kerf_now_ns() - begin);
	/* The engine went with a job in its line: that is an error. */
	queued(s, 1, 1, 0);
	done(s, 1, -EIO, 0, 0);
	expect(s, 1, 4, 2, 2, 2, 2);
}

static void test_side_by_side(void **state)
{
	struct engine_bpf *s = need(state);
	uint64_t occupied;

	queued(s, 2, 1, 0);
	started(s, 2, 0, 1);
	queued(s, 2, 1, 1);
	occupied = look(s, 2).occupied_ns;
	started(s, 2, 0, 2);
	done(s, 2, 0, 0, 1);
	expect(s, 2, 2, 2, 1, 0, 0);
	/* Busy from the first beginning to the last end */
	assert_int_equal(look(s, 2).occupied_ns, occupied);
	done(s, 2, 0, 0, 0);
	expect(s, 2, 2, 2, 2, 0, 0);
}

/* The first event tells what is there already. */
static void test_in_the_middle(void **state)
{
	struct engine_bpf *s = need(state);

	started(s, 3, 4, 2);
	expect(s, 3, 6, 2, 0, 0, 0);
	done(s, 3, 0, 4, 1);
	expect(s, 3, 6, 2, 1, 0, 0);
	/* The end of one that nobody saw */
	done(s, 4, 0, 3, 1);
	expect(s, 4, 5, 1, 0, 1, 0);
	queued(s, 5, 9, 0);
	expect(s, 5, 9, 0, 0, 0, 0);
}

/* A reset takes a job off the engine and puts it back into the line, without an event. */
static void test_runs_again(void **state)
{
	struct engine_bpf *s = need(state);

	queued(s, 6, 1, 0);
	started(s, 6, 0, 1);
	/* here */
	queued(s, 6, 2, 0);
	expect(s, 6, 3, 1, 1, 0, 0);
	started(s, 6, 1, 1);
	done(s, 6, 0, 1, 0);
	started(s, 6, 0, 1);
	/* and here */
	started(s, 6, 0, 1);
	expect(s, 6, 4, 4, 3, 0, 0);
	done(s, 6, 0, 0, 0);
	expect(s, 6, 4, 4, 4, 0, 0);
}

/* Events that were missed: what is said now counts, and no counter goes back. */
static void test_missed(void **state)
{
	struct engine_bpf *s = need(state);

	queued(s, 7, 5, 0);
	queued(s, 7, 1, 0);
	expect(s, 7, 5, 0, 0, 4, 0);
	started(s, 7, 0, 3);
	expect(s, 7, 7, 3, 0, 4, 0);
	queued(s, 7, 1, 0);
	expect(s, 7, 8, 3, 3, 4, 0);
}

/* More engines than there is room for: told, and the other half of the region is not theirs. */
static void test_no_room(void **state)
{
	struct engine_bpf *s = need(state);
	uint64_t missed = s->bss->engine_missed;
	uint32_t i, n = 0;

	assert_int_equal(missed, 0);
	for (i = 0; i < HALF + 5; i++)
		queued(s, 100 + i, 1, 0);
	for (i = 0; i < KERF_STATE_ENGINES; i++) {
		struct kerf_engine_rec r = slot(s, i);

		n += r.kind == KERF_ENGINE_QUEUE;
		assert_int_equal(r.kind == KERF_ENGINE_QUEUE, i < HALF);
	}
	assert_int_equal(n, HALF);
	/* Those of the tests before have their places. */
	assert_int_equal(s->bss->engine_missed, 5 + 7);
	queued(s, 100 + HALF + 4, 1, 0);
	assert_int_equal(s->bss->engine_missed, 5 + 7 + 1);
	expect(s, 100, 1, 0, 0, 0, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lives),
		cmocka_unit_test(test_side_by_side),
		cmocka_unit_test(test_in_the_middle),
		cmocka_unit_test(test_runs_again),
		cmocka_unit_test(test_missed),
		cmocka_unit_test(test_no_room),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}

#else

static void test_not_built(void **state)
{
	skip();
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_not_built)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
