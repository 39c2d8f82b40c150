/* SPDX-License-Identifier: MIT */
/* Engines' own counters: each job once, whatever becomes of it and however many threads ask. */
#include "exec/engine.h"
#include "exec/measure.h"
#include "graph/op.h"
#include "util/clock.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* --- An engine that does what the test says --- */

static int answer;

static int take(struct kerf_job *job)
{
	return answer;
}

static void describe(struct kerf_engine *e, struct kerf_engine_info *info)
{
	memset(info, 0, sizeof(*info));
	snprintf(info->name, sizeof(info->name), "http://a-node-of-a-long-name.example:8470/cpu");
}

static void describe_queue(struct kerf_engine *e, struct kerf_engine_info *info)
{
	memset(info, 0, sizeof(*info));
	snprintf(info->name, sizeof(info->name), "npu:1");
	info->kernel_queue = true;
	info->kernel_device = 128;
	info->kernel_index = 2;
}

static const struct kerf_engine_ops by_hand = {.submit = take, .describe = describe};
static const struct kerf_engine_ops queue_by_hand = {.submit = take, .describe = describe_queue};

static void count(struct kerf_job *job, int status)
{
	++*(int *)job->user;
	assert_true(job->queued_ns <= job->start_ns && job->start_ns <= job->end_ns);
}

static struct kerf_graph *one_add(void)
{
	struct kerf_tensor t = {.dtype = KERF_F32, .rank = 1, .dims = {25}};
	struct kerf_graph *g = kerf_graph_new("t");
	int32_t in = kerf_graph_add_value(g, NULL, &t), out = kerf_graph_add_value(g, NULL, &t);
	int32_t both[2] = {in, in};

	kerf_graph_add_input(g, in);
	kerf_graph_add_op(g, kerf_op_find(NULL, "Add", 14), NULL, 14, 2, both, 1, &out, 0, NULL);
	kerf_graph_add_output(g, out);
	kerf_graph_freeze(g);
	return g;
}

static struct kerf_engine_rec look(struct kerf_engine *e)
{
	struct kerf_engine_rec r[2];

	assert_int_equal(kerf_engine_records(&e, 1, r), 1);
	return r[0];
}

static void expect(struct kerf_engine *e, uint64_t queued, uint64_t started, uint64_t done,
		   uint64_t dropped, uint64_t errors)
{
	struct kerf_engine_rec r = look(e);

	assert_int_equal(r.queued, queued);
	assert_int_equal(r.started, started);
	assert_int_equal(r.done, done);
	assert_int_equal(r.dropped, dropped);
	assert_int_equal(r.errors, errors);
	assert_int_equal((int64_t)r.occupied_ns < 0, started > done);
}

static void end(struct kerf_job *job, int status, uint64_t busy_ns)
{
	job->end_ns = kerf_now_ns();
	job->busy_ns = busy_ns;
	kerf_job_done(job, status);
}

static void test_every_way_to_end(void **state)
{
	struct kerf_engine e = {.ops = &by_hand};
	struct kerf_graph *g = one_add();
	struct kerf_program p = {.engine = &e, .slice = g};
	struct kerf_job job[5];
	struct kerf_io io;
	uint64_t begin = kerf_now_ns(), wait;
	int ended = 0, i;

	assert_int_equal(kerf_io_make(g, 1, &io), 0);
	for (i = 0; i < 5; i++)
		job[i] = (struct kerf_job){.program = &p,
					   .in = io.in,
					   .out = io.out,
					   .done = count,
					   .user = &ended,
					   .start_ns = 77,
					   .busy_ns = 77};
	answer = 0;
	for (i = 0; i < 5; i++)
		assert_int_equal(kerf_engine_submit(&job[i]), 0);
	expect(&e, 5, 0, 0, 0, 0);
	/* Two at a time: one ends well, one badly; the times of both count. */
	kerf_job_start(&job[0]);
	kerf_job_start(&job[1]);
	expect(&e, 5, 2, 0, 0, 0);
	end(&job[0], 0, 1000);
	expect(&e, 5, 2, 1, 0, 0);
	end(&job[1], -EIO, 500);
	expect(&e, 5, 2, 2, 0, 1);
	wait = job[0].start_ns - job[0].queued_ns + job[1].start_ns - job[1].queued_ns;
	assert_int_equal(look(&e).busy_ns, 1500);
	assert_int_equal(look(&e).wait_ns, wait);
	assert_int_equal(look(&e).bytes, 2 * 2 * 25 * sizeof(float));
	assert_true(look(&e).occupied_ns >= job[0].end_ns - job[1].start_ns);
	assert_true(look(&e).occupied_ns <= kerf_now_ns() - begin);
	/* Cancelled in the line: no error, nothing of its times; the engine gone: an error. */
	end(&job[2], -ECANCELED, 0);
	end(&job[3], -EIO, 0);
	expect(&e, 5, 2, 2, 2, 2);
	assert_int_equal(look(&e).wait_ns, wait);
	/* Tried again: begun once. */
	kerf_job_start(&job[4]);
	kerf_job_start(&job[4]);
	expect(&e, 5, 3, 2, 2, 2);
	end(&job[4], -ECANCELED, 0);
	expect(&e, 5, 3, 3, 2, 2);
	assert_int_equal(ended, 5);
	/* Refused: done is not called. */
	answer = -EAGAIN;
	assert_int_equal(kerf_engine_submit(&job[0]), -EAGAIN);
	expect(&e, 6, 3, 3, 3, 2);
	answer = -ENODEV;
	assert_int_equal(kerf_engine_submit(&job[0]), -ENODEV);
	expect(&e, 7, 3, 3, 4, 3);
	assert_int_equal(ended, 5);
	assert_true(look(&e).updated_ns >= begin && look(&e).updated_ns <= kerf_now_ns());
	kerf_io_finish(&io);
	kerf_graph_unref(g);
}

static void test_records_name_engines(void **state)
{
	struct kerf_engine a = {.ops = &by_hand}, b = {.ops = &queue_by_hand};
	struct kerf_engine *e[3] = {&a, NULL, &b};
	struct kerf_engine_rec r[3];

	assert_int_equal(kerf_engine_records(e, 3, r), 2);
	assert_int_equal(r[0].kind, KERF_ENGINE_RUNTIME);
	assert_int_equal(r[0].source, KERF_SOURCE_RUNTIME);
	assert_int_equal(r[0].index, 0);
	/* As much of it as there is room for */
	assert_string_equal(r[0].name, "http://a-node-of-a-long-name.ex");
	assert_int_equal(r[1].kind, KERF_ENGINE_QUEUE);
	assert_int_equal(r[1].source, KERF_SOURCE_RUNTIME);
	assert_int_equal(r[1].device, 128);
	assert_int_equal(r[1].index, 2);
	assert_string_equal(r[1].name, "npu:1");
	e[0] = e[2] = NULL;
	assert_int_equal(kerf_engine_records(e, 3, r), 0);
}

/* --- Engines as they are, from many threads --- */

#define THREADS 4
#define RUNS 300

static void *run_many(void *arg)
{
	struct kerf_program *p = arg;
	struct kerf_io io;
	int i;

	assert_int_equal(kerf_io_make(p->slice, 1, &io), 0);
	for (i = 0; i < RUNS; i++)
		assert_int_equal(kerf_engine_run(p, io.in, io.out, NULL), 0);
	kerf_io_finish(&io);
	return NULL;
}

static void test_threads(void **state)
{
	static const char *const specs[] = {"null", "ref", "cpu"};
	struct kerf_graph *g = one_add();
	unsigned s, i;

	for (s = 0; s < KERF_ARRAY_SIZE(specs); s++) {
		struct kerf_engine_config cfg = {.threads = 1};
		pthread_t thread[THREADS];
		struct kerf_engine_rec r;
		struct kerf_program *p;
		struct kerf_engine *e;
		uint64_t begin = kerf_now_ns(), wall;

		assert_int_equal(kerf_engine_open(specs[s], &cfg, &e, NULL), 0);
		assert_int_equal(e->ops->prepare(e, g, &p, NULL), 0);
		for (i = 0; i < THREADS; i++)
			assert_int_equal(pthread_create(&thread[i], NULL, run_many, p), 0);
		for (i = 0; i < THREADS; i++)
			pthread_join(thread[i], NULL);
		wall = kerf_now_ns() - begin;
		expect(e, THREADS * RUNS, THREADS * RUNS, THREADS * RUNS, 0, 0);
		r = look(e);
		assert_string_equal(r.name, specs[s]);
		assert_int_equal(r.bytes, THREADS * RUNS * 2 * 25 * sizeof(float));
		/* One thread computes: its times are apart, and all of them the engine was busy. */
		assert_true(r.busy_ns > 0 && r.busy_ns <= r.occupied_ns);
		assert_true(r.occupied_ns <= wall);
		/* Each thread has one job in the line at most. */
		assert_true(r.wait_ns <= THREADS * wall);
		p->engine->ops->release(p);
		kerf_engine_close(e);
	}
	kerf_graph_unref(g);
}

/* --- Jobs that begin and end on many threads at once, as other nodes' do --- */

#define CROSSINGS 20000

struct crowd {
	struct kerf_program *p;
	const struct kerf_io *io;
	bool stop;
};

static void nobody(struct kerf_job *job, int status)
{
}

static void *cross(void *arg)
{
	struct crowd *c = arg;
	struct kerf_job job = {
		.program = c->p, .in = c->io->in, .out = c->io->out, .done = nobody};
	int i;

	for (i = 0; i < CROSSINGS; i++) {
		assert_int_equal(kerf_engine_submit(&job), 0);
		kerf_job_start(&job);
		end(&job, 0, 1);
	}
	return NULL;
}

/* No counter goes back for who looks meanwhile. */
static void *watch(void *arg)
{
	struct crowd *c = arg;
	struct kerf_engine_rec last = {.kind = 0}, r;

	while (!__atomic_load_n(&c->stop, __ATOMIC_RELAXED)) {
		r = look(c->p->engine);
		assert_true(r.queued >= last.queued && r.started >= last.started);
		assert_true(r.done >= last.done && r.busy_ns >= last.busy_ns);
		last = r;
	}
	return NULL;
}

static void test_crossings(void **state)
{
	struct kerf_engine e = {.ops = &by_hand};
	struct kerf_graph *g = one_add();
	struct kerf_program p = {.engine = &e, .slice = g};
	struct kerf_io io;
	struct crowd c = {.p = &p, .io = &io};
	pthread_t thread[THREADS], watcher;
	uint64_t begin = kerf_now_ns();
	int i;

	answer = 0;
	assert_int_equal(kerf_io_make(g, 1, &io), 0);
	assert_int_equal(pthread_create(&watcher, NULL, watch, &c), 0);
	for (i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, cross, &c), 0);
	for (i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	__atomic_store_n(&c.stop, true, __ATOMIC_RELAXED);
	pthread_join(watcher, NULL);
	expect(&e, THREADS * CROSSINGS, THREADS * CROSSINGS, THREADS * CROSSINGS, 0, 0);
	assert_int_equal(look(&e).busy_ns, THREADS * CROSSINGS);
	assert_true(look(&e).occupied_ns > 0 && look(&e).occupied_ns <= kerf_now_ns() - begin);
	kerf_io_finish(&io);
	kerf_graph_unref(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_way_to_end),
		cmocka_unit_test(test_records_name_engines),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_crossings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
