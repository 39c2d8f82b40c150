/* SPDX-License-Identifier: MIT */
/* Sessions: any grouping of operators over engines gives the whole run's bits. */
#include "exec/cluster.h"
#include "exec/measure.h"
#include "exec/session.h"
#include "graph/op.h"
#include "util/rng.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define N_OPS 12

static int32_t new_value(struct kerf_graph *g)
{
	struct kerf_tensor t = {.dtype = KERF_F32, .rank = 2, .dims = {3, 50}};

	return kerf_graph_add_value(g, NULL, &t);
}

/* A DAG of additions and subtractions of earlier values; two outputs. */
static struct kerf_graph *make_graph(struct kerf_rng *rng)
{
	struct kerf_graph *g = kerf_graph_new("t");
	int32_t made[N_OPS + 1];
	uint32_t i;

	made[0] = new_value(g);
	kerf_graph_add_input(g, made[0]);
	for (i = 0; i < N_OPS; i++) {
		int32_t in[2] = {made[kerf_rng_below(rng, i + 1)], made[i]};
		const char *type = kerf_rng_below(rng, 2) ? "Add" : "Sub";

		made[i + 1] = new_value(g);
		kerf_graph_add_op(g, kerf_op_find(NULL, type, 14), NULL, 14, 2, in, 1,
				  &made[i + 1], 0, NULL);
	}
	kerf_graph_add_output(g, made[N_OPS]);
	kerf_graph_add_output(g, made[N_OPS / 2]);
	kerf_graph_freeze(g);
	return g;
}

/* Operator i on engine assign[i], of two engines of one node. */
static void plan_of(struct kerf_graph *g, const uint32_t *assign, struct kerf_plan *plan)
{
	static const double op_s[2 * N_OPS];
	static const struct kerf_link_model link;
	struct kerf_outline *outline;
	struct kerf_problem p = {.graph = g,
				 .n_engine = 2,
				 .n_node = 1,
				 .engine = {{.name = "a"}, {.name = "b"}},
				 .link = &link,
				 .op_s = op_s};

	assert_int_equal(kerf_outline_make(g, &outline), 0);
	p.outline = outline;
	assert_int_equal(kerf_plan_from_assignment(&p, assign, NULL, plan, NULL), 0);
	kerf_outline_free(outline);
}

static void random_plan(struct kerf_graph *g, struct kerf_rng *rng, struct kerf_plan *plan)
{
	uint32_t assign[N_OPS], i;

	for (i = 0; i < N_OPS; i++)
		assign[i] = (uint32_t)kerf_rng_below(rng, 2);
	plan_of(g, assign, plan);
}

static void test_cuts_keep_the_bits(void **state)
{
	struct kerf_engine **engines = *state;
	struct kerf_rng rng;
	int round;

	kerf_rng_seed(&rng, 1);
	for (round = 0; round < 100; round++) {
		struct kerf_graph *g = make_graph(&rng);
		struct kerf_io whole, cut;
		struct kerf_session *s;
		struct kerf_plan plan;
		struct kerf_step_time times[N_OPS];
		uint32_t i;

		assert_int_equal(kerf_io_make(g, 7, &whole), 0);
		assert_int_equal(kerf_io_make(g, 7, &cut), 0);
		assert_int_equal(kerf_plan_only(g, "a", &plan, NULL), 0);
		assert_int_equal(kerf_session_open(g, &plan, engines, 1, &s, NULL), 0);
		assert_int_equal(kerf_session_run(s, whole.in, whole.out, NULL), 0);
		kerf_session_close(s);
		kerf_plan_finish(&plan);

		random_plan(g, &rng, &plan);
		assert_int_equal(kerf_session_open(g, &plan, engines, 1, &s, NULL), 0);
		assert_int_equal(kerf_session_run(s, cut.in, cut.out, times), 0);
		for (i = 0; i < g->n_out; i++)
			assert_memory_equal(cut.out[i].data, whole.out[i].data,
					    kerf_tensor_bytes(&cut.out[i]));
		for (i = 0; i < kerf_session_steps(s); i++)
			assert_true(times[i].done_ns >= times[i].submit_ns);
		kerf_session_close(s);
		kerf_plan_finish(&plan);
		kerf_io_finish(&whole);
		kerf_io_finish(&cut);
		kerf_graph_unref(g);
	}
}

/*
 * A model's output that is also its input is two values of one name: cut between
 * them, each must stay itself.
 */
static void test_output_that_is_an_input(void **state)
{
	struct kerf_plan plan;
	const struct kerf_tensor t = {.dtype = KERF_F32, .rank = 1, .dims = {8}};
	struct kerf_graph *g = kerf_graph_new("t");
	struct kerf_engine **engines = *state;
	struct kerf_session *s;
	struct kerf_io io;
	int32_t x, y[2];
	int i;

	x = kerf_graph_add_value(g, "x", &t);
	kerf_graph_add_input(g, x);
	for (i = 0; i < 2; i++) {
		const struct kerf_op_def *def = kerf_op_find(NULL, i ? "Identity" : "Neg", 13);

		y[i] = kerf_graph_add_value(g, i ? "x" : "y", &t);
		kerf_graph_add_op(g, def, NULL, 13, 1, &x, 1, &y[i], 0, NULL);
		kerf_graph_add_output(g, y[i]);
	}
	kerf_graph_freeze(g);
	plan_of(g, (uint32_t[]){0, 1}, &plan);
	assert_int_equal(kerf_io_make(g, 7, &io), 0);
	assert_int_equal(kerf_session_open(g, &plan, engines, 1, &s, NULL), 0);
	kerf_plan_finish(&plan);
	assert_int_equal(kerf_session_run(s, io.in, io.out, NULL), 0);
	assert_memory_equal(io.out[1].data, io.in[0].data, kerf_tensor_bytes(&io.in[0]));
	assert_true(((float *)io.out[0].data)[3] == -((float *)io.in[0].data)[3]);
	kerf_session_close(s);
	kerf_io_finish(&io);
	kerf_graph_unref(g);
}

/* A value whose dims are known only at run time crosses from one engine to another. */
static void test_bounded_crosses(void **state)
{
	const struct kerf_tensor t = {.dtype = KERF_F32, .rank = 1, .dims = {6}};
	struct kerf_plan plan;
	struct kerf_graph *g = kerf_graph_new("t");
	struct kerf_engine **engines = *state;
	struct kerf_session *s;
	struct kerf_io io;
	int32_t v[3];
	int n, i;

	for (i = 0; i < 3; i++)
		v[i] = kerf_graph_add_value(g, NULL, &t);
	kerf_graph_add_input(g, v[0]);
	for (i = 0; i < 2; i++) {
		const struct kerf_op_def *def = kerf_op_find(NULL, i ? "Neg" : "NonZero", 13);

		kerf_graph_add_op(g, def, NULL, 13, 1, &v[i], 1, &v[i + 1], 0, NULL);
		assert_int_equal(kerf_op_infer_shapes(g, &g->op[i], NULL), 0);
	}
	kerf_graph_add_output(g, v[2]);
	kerf_graph_freeze(g);
	plan_of(g, (uint32_t[]){0, 1}, &plan);
	assert_int_equal(kerf_io_make(g, 7, &io), 0);
	assert_int_equal(kerf_session_open(g, &plan, engines, 1, &s, NULL), 0);
	kerf_plan_finish(&plan);
	for (n = 0; n <= 6; n += 3) {
		for (i = 0; i < 6; i++)
			((float *)io.in[0].data)[i] = i >= 6 - n;
		assert_int_equal(kerf_session_run(s, io.in, io.out, NULL), 0);
		assert_int_equal(io.out[0].dims[1], n);
		for (i = 0; i < n; i++)
			assert_int_equal(((int64_t *)io.out[0].data)[i], -(6 - n + i));
	}
	kerf_session_close(s);
	kerf_io_finish(&io);
	kerf_graph_unref(g);
}

struct counter {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	int done, failed;
};

static void count(void *user, int status)
{
	struct counter *c = user;

	pthread_mutex_lock(&c->lock);
	c->done++;
	c->failed += status != 0;
	pthread_cond_signal(&c->cond);
	pthread_mutex_unlock(&c->lock);
}

static void test_many_requests_in_flight(void **state)
{
	struct counter c = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0};
	struct kerf_engine **engines = *state;
	struct kerf_session_stats stats;
	struct kerf_session *s;
	struct kerf_plan plan;
	struct kerf_graph *g;
	struct kerf_rng rng;
	struct kerf_io io[4];
	int sent = 0, i;

	kerf_rng_seed(&rng, 2);
	g = make_graph(&rng);
	random_plan(g, &rng, &plan);
	for (i = 0; i < 4; i++)
		assert_int_equal(kerf_io_make(g, 3, &io[i]), 0);
	assert_int_equal(kerf_session_open(g, &plan, engines, 4, &s, NULL), 0);
	/* Outputs of requests in flight at once may be overwritten by equal ones only. */
	while (sent < 1000) {
		int r = kerf_session_submit(s, io[sent % 4].in, io[sent % 4].out, count, &c);

		if (!r) {
			sent++;
			continue;
		}
		assert_int_equal(r, -EAGAIN);
		pthread_mutex_lock(&c.lock);
		while (c.done + 4 <= sent)
			pthread_cond_wait(&c.cond, &c.lock);
		pthread_mutex_unlock(&c.lock);
	}
	kerf_session_close(s);
	assert_int_equal(c.done, 1000);
	assert_int_equal(c.failed, 0);
	assert_memory_equal(io[0].out[0].data, io[3].out[0].data, kerf_tensor_bytes(io[0].out));
	kerf_plan_finish(&plan);
	for (i = 0; i < 4; i++)
		kerf_io_finish(&io[i]);
	assert_int_equal(kerf_plan_only(g, "a", &plan, NULL), 0);
	assert_int_equal(kerf_session_open(g, &plan, engines, 0, &s, NULL), 0);
	kerf_session_stats(s, &stats);
	assert_int_equal(stats.requests, 0);
	assert_int_equal(stats.depth, 2);
	kerf_session_close(s);
	kerf_plan_finish(&plan);
	kerf_graph_unref(g);
}

/* An engine's queue is no limit of its own: a session of any depth finds room. */
static void test_deep_session(void **state)
{
	struct counter c = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0};
	struct kerf_engine **engines = *state;
	struct kerf_session *s;
	struct kerf_plan plan;
	struct kerf_graph *g;
	struct kerf_rng rng;
	struct kerf_io io[100];
	int i;

	kerf_rng_seed(&rng, 4);
	g = make_graph(&rng);
	random_plan(g, &rng, &plan);
	assert_int_equal(kerf_session_open(g, &plan, engines, 100, &s, NULL), 0);
	for (i = 0; i < 100; i++)
		assert_int_equal(kerf_io_make(g, 3, &io[i]), 0);
	for (i = 0; i < 100; i++)
		assert_int_equal(kerf_session_submit(s, io[i].in, io[i].out, count, &c), 0);
	kerf_session_close(s);
	assert_int_equal(c.done, 100);
	assert_int_equal(c.failed, 0);
	for (i = 0; i < 100; i++)
		kerf_io_finish(&io[i]);
	kerf_plan_finish(&plan);
	kerf_graph_unref(g);
}

/* A node that cannot write profiles plans with what it measures; asked to store, it fails. */
static void test_profile_without_store(void **state)
{
	struct kerf_profile_options opt = {.seconds = 0.001};
	const char *env = getenv("KERF_PROFILE_DIR");
	char *old = env ? strdup(env) : NULL;
	struct kerf_cluster cluster;
	struct kerf_profile p;
	struct kerf_graph *g;
	struct kerf_rng rng;

	kerf_rng_seed(&rng, 5);
	g = make_graph(&rng);
	setenv("KERF_PROFILE_DIR", "/proc/nowhere", 1);
	assert_int_equal(kerf_cluster_open("ref", &(struct kerf_engine_config){0}, &cluster, NULL),
			 0);
	assert_int_equal(kerf_cluster_profile(&cluster, 0, g, &opt, NULL, &p, NULL), 0);
	assert_int_equal(p.n_op, N_OPS);
	kerf_profile_finish(&p);
	opt.measure = true;
	assert_true(kerf_cluster_profile(&cluster, 0, g, &opt, NULL, &p, NULL) < 0);
	if (old)
		setenv("KERF_PROFILE_DIR", old, 1);
	else
		unsetenv("KERF_PROFILE_DIR");
	free(old);
	kerf_cluster_close(&cluster);
	kerf_graph_unref(g);
}

/* Takes every job and fails it: what a session does when an engine dies. */
static int fail_submit(struct kerf_job *job)
{
	kerf_job_done(job, -EIO);
	return 0;
}

static void test_failure_reaches_the_caller(void **state)
{
	struct kerf_engine **engines = *state;
	struct kerf_engine_ops dead_ops = kerf_engine_null;
	struct kerf_engine *dead = NULL, *both[2];
	struct kerf_session *s;
	struct kerf_plan plan;
	struct kerf_graph *g;
	struct kerf_rng rng;
	struct kerf_io io;
	int i;

	dead_ops.submit = fail_submit;
	assert_int_equal(kerf_engine_open("null", NULL, &dead, NULL), 0);
	dead->ops = &dead_ops;
	both[0] = engines[0];
	both[1] = dead;
	kerf_rng_seed(&rng, 3);
	g = make_graph(&rng);
	random_plan(g, &rng, &plan);
	assert_int_equal(kerf_io_make(g, 3, &io), 0);
	assert_int_equal(kerf_session_open(g, &plan, both, 1, &s, NULL), 0);
	for (i = 0; i < 3; i++)
		assert_int_equal(kerf_session_run(s, io.in, io.out, NULL), -EIO);
	kerf_session_close(s);
	kerf_engine_close(dead);
	kerf_plan_finish(&plan);
	kerf_io_finish(&io);
	kerf_graph_unref(g);
}

static int open_engines(void **state)
{
	static struct kerf_engine *e[2];

	*state = e;
	return kerf_engine_open("ref", NULL, &e[0], NULL) || kerf_engine_open("ref", NULL, &e[1], NULL);
}

static int close_engines(void **state)
{
	struct kerf_engine **e = *state;

	kerf_engine_close(e[0]);
	kerf_engine_close(e[1]);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cuts_keep_the_bits),
		cmocka_unit_test(test_output_that_is_an_input),
		cmocka_unit_test(test_bounded_crosses),
		cmocka_unit_test(test_many_requests_in_flight),
		cmocka_unit_test(test_deep_session),
		cmocka_unit_test(test_profile_without_store),
		cmocka_unit_test(test_failure_reaches_the_caller),
	};

	return cmocka_run_group_tests(tests, open_engines, close_engines);
}
