/* SPDX-License-Identifier: MIT */
/*
 * The engine npu:0 through the kernel: jobs in flight together, memory of its own and of the
 * caller's, cancelling, profiles, jobs that the device fails. Skipped where the kernel has no
 * NPU; tests/kernel/guest_npu.sh runs it in a guest that has one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>
#include <unistd.h>

#include "exec/engine.h"
#include "exec/measure.h"
#include "util/clock.h"

#include "ops/random_graph.h"
#include "unit/graph_eval.h"

#define JOBS 24

static struct kerf_engine *npu; /* NULL: there is none */
static char why[512];

static void open_npu(void)
{
	struct kerf_err err = {{0}};

	if (kerf_engine_open("npu:0", NULL, &npu, &err)) {
		npu = NULL;
		snprintf(why, sizeof(why), "%s", err.msg);
	}
}

static int setup(void **state)
{
	open_npu();
	if (!npu)
		print_message("# %s\n", why);
	return 0;
}

static int teardown(void **state)
{
	kerf_engine_close(npu);
	return 0;
}

static struct kerf_program *prepare(struct kerf_engine *e, struct kerf_graph *g)
{
	struct kerf_program *p = NULL;
	struct kerf_err err = {{0}};

	if (e->ops->prepare(e, g, &p, &err))
		fail_msg("%s", err.msg);
	return p;
}

static void run_ref(struct kerf_graph *g, struct kerf_io *io)
{
	struct kerf_engine *e = NULL;
	struct kerf_program *p;

	assert_int_equal(kerf_engine_open("ref", NULL, &e, NULL), 0);
	p = prepare(e, g);
	assert_int_equal(kerf_engine_run(p, io->in, io->out, NULL), 0);
	e->ops->release(p);
	kerf_engine_close(e);
}

static void assert_near(const struct kerf_io *want, const struct kerf_io *io)
{
	uint32_t i;

	for (i = 0; i < io->n_out; i++)
		assert_true(tensor_difference(&want->out[i], &io->out[i], 0) <= 2e-5);
}

/* A random graph that the NPU runs whole (0), or leaves the host a part of (1). */
static struct kerf_graph *graph(bool mixed)
{
	uint64_t seed;

	for (seed = 1; seed < 1000; seed++) {
		struct kerf_graph *g = rg_make(seed, 14, NULL);
		uint32_t i, host = 0;

		for (i = 0; g && i < g->n_op; i++)
			host += !npu->ops->supports(npu, g, &g->op[i]);
		if (g && (mixed ? host >= 2 : !host))
			return g;
		kerf_graph_unref(g);
	}
	fail_msg("no such graph");
	return NULL;
}

static void test_opens(void **state)
{
	struct kerf_engine_info info;
	struct kerf_engine *e;
	struct kerf_err err = {{0}};

#ifdef WITH_DRM
	assert_int_equal(kerf_engine_open("npu:", NULL, &e, NULL), -EINVAL);
	assert_int_equal(kerf_engine_open("npu:x", NULL, &e, NULL), -EINVAL);
	assert_int_equal(kerf_engine_open("npu:1x", NULL, &e, NULL), -EINVAL);
#endif
	if (!npu) {
		assert_non_null(strstr(why, "npu:0"));
		skip();
	}
	assert_int_equal(kerf_engine_open("npu:200", NULL, &e, &err), -ENOENT);
	assert_non_null(strstr(err.msg, "npu:200"));
	npu->ops->describe(npu, &info);
	assert_string_equal(info.name, "npu:0");
	assert_true(info.depth > 1 && info.memory_bytes && info.dtypes & 1u << KERF_I8);
}

/* In memory of the engine's, used in place, and in any other, copied. */
static void run_both(bool mixed)
{
	struct kerf_graph *g = graph(mixed);
	struct kerf_program *p = prepare(npu, g);
	struct kerf_io want = {0}, own = {0}, any = {0};
	int turn;

	assert_int_equal(kerf_io_make(g, 5, &want), 0);
	assert_int_equal(kerf_io_make_on(npu, g, 5, &own), 0);
	assert_int_equal(kerf_io_make(g, 5, &any), 0);
	run_ref(g, &want);
	for (turn = 0; turn < 5; turn++) {
		struct kerf_job times;

		assert_int_equal(kerf_engine_run(p, own.in, own.out, &times), 0);
		assert_near(&want, &own);
		assert_true(times.busy_ns > 0 && times.queued_ns <= times.start_ns &&
			    times.start_ns < times.end_ns);
		assert_int_equal(kerf_engine_run(p, any.in, any.out, NULL), 0);
		assert_near(&want, &any);
	}
	kerf_io_finish(&want);
	kerf_io_finish(&own);
	kerf_io_finish(&any);
	npu->ops->release(p);
	kerf_graph_unref(g);
}

static void test_runs(void **state)
{
	if (!npu)
		skip();
	run_both(false);
}

static void test_runs_mixed(void **state)
{
	if (!npu)
		skip();
	run_both(true);
}

/* --- many --- */

struct counted {
	struct kerf_job job;
	struct crowd *crowd;
	int status, done;
};

struct crowd {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	int left;
};

static void count_done(struct kerf_job *job, int status)
{
	struct counted *c = job->user;

	pthread_mutex_lock(&c->crowd->lock);
	c->status = status;
	c->done++;
	c->crowd->left--;
	pthread_cond_signal(&c->crowd->cond);
	pthread_mutex_unlock(&c->crowd->lock);
}

/* Nothing is in flight: each job was counted as begun and ended, or as dropped. */
static void check_counts(void)
{
	struct kerf_engine_rec r;

	assert_int_equal(kerf_engine_records(&npu, 1, &r), 1);
	assert_int_equal(r.kind, KERF_ENGINE_QUEUE);
	assert_string_equal(r.name, "npu:0");
	assert_int_equal(r.started, r.done);
	assert_int_equal(r.queued, r.done + r.dropped);
	assert_true(r.done && r.busy_ns && (int64_t)r.occupied_ns > 0);
}

static void submit_all(struct kerf_program **p, int n_p, struct kerf_io *io, struct counted *c,
		       bool cancel)
{
	struct crowd crowd = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, JOBS};
	int i;

	for (i = 0; i < JOBS; i++) {
		c[i] = (struct counted){
			.job = {.program = p[i % n_p],
				.in = io[i].in,
				.out = io[i].out,
				.done = count_done,
				.user = &c[i]},
			.crowd = &crowd,
		};
		assert_int_equal(kerf_engine_submit(&c[i].job), 0);
	}
	for (i = JOBS - 1; i >= 0 && cancel; i -= 3) {
		bool over;

		/* A job that is over is no longer the engine's to cancel. */
		pthread_mutex_lock(&crowd.lock);
		over = c[i].done;
		pthread_mutex_unlock(&crowd.lock);
		if (!over)
			npu->ops->cancel(&c[i].job);
	}
	pthread_mutex_lock(&crowd.lock);
	while (crowd.left)
		pthread_cond_wait(&crowd.cond, &crowd.lock);
	pthread_mutex_unlock(&crowd.lock);
	check_counts();
}

static void test_many(void **state)
{
	struct kerf_graph *g[2];
	struct kerf_program *p[2];
	struct kerf_io io[JOBS], want[JOBS];
	struct counted c[JOBS];
	int i, canceled = 0;

	if (!npu)
		skip();
	for (i = 0; i < 2; i++) {
		g[i] = graph(i);
		p[i] = prepare(npu, g[i]);
	}
	for (i = 0; i < JOBS; i++) {
		assert_int_equal(kerf_io_make_on(i % 3 ? npu : NULL, g[i % 2], 10 + i, &io[i]), 0);
		assert_int_equal(kerf_io_make(g[i % 2], 10 + i, &want[i]), 0);
		run_ref(g[i % 2], &want[i]);
	}
	submit_all(p, 2, io, c, false);
	for (i = 0; i < JOBS; i++) {
		assert_int_equal(c[i].status, 0);
		assert_int_equal(c[i].done, 1);
		assert_near(&want[i], &io[i]);
	}
	submit_all(p, 2, io, c, true);
	for (i = 0; i < JOBS; i++) {
		assert_int_equal(c[i].done, 1);
		assert_true(!c[i].status || c[i].status == -ECANCELED);
		canceled += c[i].status != 0;
		if (!c[i].status)
			assert_near(&want[i], &io[i]);
	}
	assert_true(canceled > 0);
	for (i = 0; i < JOBS; i++) {
		kerf_io_finish(&io[i]);
		kerf_io_finish(&want[i]);
	}
	for (i = 0; i < 2; i++) {
		npu->ops->release(p[i]);
		kerf_graph_unref(g[i]);
	}
}

/* More programs than the kernel has room for events: the rest wait their turn. */
static void test_crowded(void **state)
{
	enum { PROGRAMS = 48, EACH = 3 };
	static struct counted c[PROGRAMS * EACH];
	static struct kerf_io io[PROGRAMS * EACH];
	struct crowd crowd = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, PROGRAMS * EACH};
	struct kerf_program *p[PROGRAMS];
	struct kerf_io want = {0};
	struct kerf_graph *g;
	int i;

	if (!npu)
		skip();
	g = graph(false);
	assert_int_equal(kerf_io_make(g, 5, &want), 0);
	run_ref(g, &want);
	for (i = 0; i < PROGRAMS; i++)
		p[i] = prepare(npu, g);
	for (i = 0; i < PROGRAMS * EACH; i++) {
		assert_int_equal(kerf_io_make(g, 5, &io[i]), 0);
		c[i] = (struct counted){
			.job = {.program = p[i % PROGRAMS],
				.in = io[i].in,
				.out = io[i].out,
				.done = count_done,
				.user = &c[i]},
			.crowd = &crowd,
		};
	}
	for (i = 0; i < PROGRAMS * EACH; i++)
		assert_int_equal(kerf_engine_submit(&c[i].job), 0);
	pthread_mutex_lock(&crowd.lock);
	while (crowd.left)
		pthread_cond_wait(&crowd.cond, &crowd.lock);
	pthread_mutex_unlock(&crowd.lock);
	for (i = 0; i < PROGRAMS * EACH; i++) {
		assert_int_equal(c[i].status, 0);
		assert_near(&want, &io[i]);
		kerf_io_finish(&io[i]);
	}
	for (i = 0; i < PROGRAMS; i++)
		npu->ops->release(p[i]);
	kerf_io_finish(&want);
	kerf_graph_unref(g);
}

static void test_profile(void **state)
{
	struct kerf_profile profile;
	struct kerf_err err = {{0}};
	struct kerf_graph *g;
	double sum = 0;
	uint32_t i;

	if (!npu)
		skip();
	g = graph(true);
	if (kerf_measure_profile(npu, g, 0.05, 2, &profile, &err))
		fail_msg("%s", err.msg);
	assert_int_equal(profile.n_op, g->n_op);
	for (i = 0; i < g->n_op; i++)
		sum += profile.op_s[i];
	assert_true(sum > 0 && sum < 60);
	kerf_profile_finish(&profile);
	kerf_graph_unref(g);
}

/* A job that the device fails ends with its cause; the next one runs. */
static void test_faults(void **state)
{
	static const struct {
		const char *fault;
		int status;
	} faults[] = {{"dma@1", -EIO}, {"status@1", -EIO}, {"hang@1", -ETIMEDOUT}};
	/* The last takes the ten seconds that an NPU job may run. */
	unsigned n = KERF_ARRAY_SIZE(faults) - (getenv("KERF_TEST_QUICK") != NULL);
	const char *file = getenv("KERF_NPU_FAULT");
	struct kerf_io want = {0}, io = {0};
	struct kerf_program *p;
	struct kerf_graph *g;
	unsigned i;

	if (!npu || !file)
		skip();
	g = graph(false);
	p = prepare(npu, g);
	assert_int_equal(kerf_io_make(g, 5, &want), 0);
	assert_int_equal(kerf_io_make_on(npu, g, 5, &io), 0);
	run_ref(g, &want);
	for (i = 0; i < n; i++) {
		FILE *f = fopen(file, "w");

		assert_non_null(f);
		fputs(faults[i].fault, f);
		fclose(f);
		assert_int_equal(kerf_engine_run(p, io.in, io.out, NULL), faults[i].status);
		assert_int_equal(kerf_engine_run(p, io.in, io.out, NULL), 0);
		assert_near(&want, &io);
	}
	kerf_io_finish(&want);
	kerf_io_finish(&io);
	npu->ops->release(p);
	kerf_graph_unref(g);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_opens),	   cmocka_unit_test(test_runs),
		cmocka_unit_test(test_runs_mixed), cmocka_unit_test(test_many),
		cmocka_unit_test(test_crowded),	   cmocka_unit_test(test_profile),
		cmocka_unit_test(test_faults),
	};

	return cmocka_run_group_tests_name("npu-queue", tests, setup, teardown);
}
