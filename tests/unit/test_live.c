/* SPDX-License-Identifier: MIT */
/* A plan is changed while requests come: none is lost, all have the whole run's bits. */
#include "exec/cluster.h"
#include "exec/live.h"
#include "exec/measure.h"
#include "graph/op.h"
#include "util/rng.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define N_OPS 8
#define DEPTH 3
#define REQUESTS 3000
#define CHANGES 60

static struct kerf_graph *make_graph(void)
{
	const struct kerf_tensor t = {.dtype = KERF_F32, .rank = 2, .dims = {3, 50}};
	struct kerf_graph *g = kerf_graph_new("t");
	int32_t at = kerf_graph_add_value(g, NULL, &t), in[2], next;
	uint32_t i;

	kerf_graph_add_input(g, at);
	in[1] = at;
	for (i = 0; i < N_OPS; i++, at = next) {
		in[0] = at;
		next = kerf_graph_add_value(g, NULL, &t);
		kerf_graph_add_op(g, kerf_op_find(NULL, i % 3 ? "Add" : "Mul", 14), NULL, 14, 2, in, 1,
				  &next, 0, NULL);
	}
	kerf_graph_add_output(g, at);
	kerf_graph_freeze(g);
	return g;
}

static void random_plan(struct kerf_graph *g, struct kerf_rng *rng, struct kerf_plan *plan)
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
	uint32_t assign[N_OPS], i;

	for (i = 0; i < N_OPS; i++)
		assign[i] = (uint32_t)kerf_rng_below(rng, 2);
	assert_int_equal(kerf_outline_make(g, &outline), 0);
	p.outline = outline;
	assert_int_equal(kerf_plan_from_assignment(&p, assign, NULL, plan, NULL), 0);
	kerf_outline_free(outline);
}

struct source {
	struct kerf_live *live;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	struct place {
		struct source *source;
		struct kerf_io io;
		bool busy;
	} place[DEPTH];
	const struct kerf_io *whole;
	uint32_t sent, ended, failed, wrong, refused;
};

static void place_done(void *user, int status)
{
	struct place *p = user;
	struct source *s = p->source;

	pthread_mutex_lock(&s->lock);
	s->ended++;
	s->failed += status != 0;
	s->wrong += memcmp(p->io.out[0].data, s->whole->out[0].data,
			   kerf_tensor_bytes(&s->whole->out[0])) != 0;
	memset(p->io.out[0].data, 0, kerf_tensor_bytes(&p->io.out[0]));
	p->busy = false;
	pthread_cond_broadcast(&s->cond);
	pthread_mutex_unlock(&s->lock);
}

static void *send_all(void *user)
{
	struct source *s = user;
	uint32_t n, i;

	for (n = 0; n < REQUESTS; n++) {
		struct place *p = NULL;

		pthread_mutex_lock(&s->lock);
		while (!p) {
			for (i = 0; i < DEPTH && !p; i++)
				if (!s->place[i].busy)
					p = &s->place[i];
			if (!p)
				pthread_cond_wait(&s->cond, &s->lock);
		}
		p->busy = true;
		s->sent++;
		pthread_mutex_unlock(&s->lock);
		if (kerf_live_submit(s->live, p->io.in, p->io.out, place_done, p)) {
			pthread_mutex_lock(&s->lock);
			s->refused++;
			p->busy = false;
			pthread_mutex_unlock(&s->lock);
		}
	}
	pthread_mutex_lock(&s->lock);
	while (s->ended + s->refused < REQUESTS)
		pthread_cond_wait(&s->cond, &s->lock);
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

static void test_changes_lose_nothing(void **state)
{
	struct kerf_cluster *c = *state;
	struct source s = {.lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER};
	struct kerf_graph *g = make_graph();
	struct kerf_session_stats st;
	struct kerf_plan plan;
	struct kerf_io whole;
	struct kerf_rng rng;
	pthread_t thread;
	uint32_t i, last = 0;

	kerf_rng_seed(&rng, 1);
	assert_int_equal(kerf_io_make(g, 7, &whole), 0);
	assert_int_equal(kerf_plan_only(g, "a", &plan, NULL), 0);
	assert_int_equal(kerf_live_open(g, &plan, c->engine, DEPTH, &s.live, NULL), 0);
	kerf_plan_finish(&plan);
	assert_int_equal(kerf_live_run(s.live, whole.in, whole.out), 0);
	s.whole = &whole;
	for (i = 0; i < DEPTH; i++) {
		s.place[i].source = &s;
		assert_int_equal(kerf_io_make(g, 7, &s.place[i].io), 0);
	}
	assert_int_equal(pthread_create(&thread, NULL, send_all, &s), 0);
	/* Each change comes after some requests of the plan before. */
	for (i = 0; i < CHANGES; i++) {
		pthread_mutex_lock(&s.lock);
		while (s.ended < last + REQUESTS / CHANGES / 2 && s.ended + s.refused < REQUESTS)
			pthread_cond_wait(&s.cond, &s.lock);
		last = s.ended;
		pthread_mutex_unlock(&s.lock);
		random_plan(g, &rng, &plan);
		assert_int_equal(kerf_live_change(s.live, &plan, NULL), 0);
		kerf_plan_finish(&plan);
	}
	pthread_join(thread, NULL);
	kerf_live_stats(s.live, &st);
	assert_int_equal(s.refused, 0);
	assert_int_equal(s.failed, 0);
	assert_int_equal(s.wrong, 0);
	assert_int_equal(st.requests, REQUESTS + 1);
	assert_int_equal(st.failures, 0);
	kerf_live_close(s.live);
	for (i = 0; i < DEPTH; i++)
		kerf_io_finish(&s.place[i].io);
	kerf_io_finish(&whole);
	kerf_graph_unref(g);
}

/* A plan that cannot be prepared leaves the old one in force. */
static void test_bad_plan_changes_nothing(void **state)
{
	static const uint32_t backwards[2] = {1, 0};
	struct kerf_plan_step step = {.n_op = 2, .op = (uint32_t *)backwards};
	const struct kerf_plan bad = {.n_step = 1, .step = &step};
	struct kerf_cluster *c = *state;
	struct kerf_graph *g = make_graph();
	struct kerf_err err = {""};
	struct kerf_live *l;
	struct kerf_plan plan;
	struct kerf_io io;

	assert_int_equal(kerf_io_make(g, 7, &io), 0);
	assert_int_equal(kerf_plan_only(g, "a", &plan, NULL), 0);
	assert_int_equal(kerf_live_open(g, &plan, c->engine, 0, &l, NULL), 0);
	assert_int_not_equal(kerf_live_change(l, &bad, &err), 0);
	assert_true(err.msg[0]);
	assert_int_equal(kerf_live_run(l, io.in, io.out), 0);
	kerf_live_close(l);
	kerf_plan_finish(&plan);
	kerf_io_finish(&io);
	kerf_graph_unref(g);
}

static int open_engines(void **state)
{
	static struct kerf_cluster c;

	*state = &c;
	return kerf_cluster_open("ref,ref", &(struct kerf_engine_config){.threads = 1}, &c, NULL);
}

static int close_engines(void **state)
{
	kerf_cluster_close(*state);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_changes_lose_nothing),
		cmocka_unit_test(test_bad_plan_changes_nothing),
	};

	return cmocka_run_group_tests(tests, open_engines, close_engines);
}
