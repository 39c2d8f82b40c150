/* SPDX-License-Identifier: MIT */
/*
 * Sessions over several kerfd: plans in bands of rows and of channels, with halos from node to
 * node, have the bits of the whole run; codecs are off by little; a node that goes and an engine of
 * home's that fails end the request, and leave room for the next.
 */
#include "net_part.h"
#include "session_whole.h"
#include "spatial_rig.h"

#include <pthread.h>

#define NODES 3

static struct test_node node[NODES];
static char model[128];

static int setup(void **state)
{
	uint32_t i;

	for (i = 0; i < NODES; i++) {
		struct kerf_node_config cfg = {.part_timeout_ms = 60000, .max_connections = 200};

		net_open(&node[i], &cfg, "4");
	}
	snprintf(model, sizeof(model), "%s/bands.onnx", node[0].dir);
	band_write_model(model);
	return 0;
}

static int teardown(void **state)
{
	uint32_t i;

	for (i = 0; i < NODES; i++)
		net_close(&node[i]);
	return 0;
}

/* Home's engine is of this process; the others are of nodes. */
struct world {
	struct kerf_graph *g;
	struct rig x;
	struct kerf_engine *engine[NODES + 1];
	struct kerf_io whole;
	uint32_t home;
};

static void world_open(struct world *w, uint32_t home, uint32_t depth)
{
	static const double speed[NODES + 1] = {1e8, 1e8, 1e8, 1e8};
	struct kerf_engine_config cfg = {.threads = 1};
	struct kerf_err err = {""};
	uint32_t i;

	w->home = home;
	if (kerf_model_load(model, NULL, &w->g, &err))
		net_die("load", &err);
	rig_make(&w->x, w->g, NODES + 1, speed, 1e8, 1e-6);
	w->x.p.home = home;
	for (i = 0; i <= NODES; i++)
		if (i != home)
			w->engine[i] = net_engine(node[i - (i > home)].url, "cpu", depth);
	assert_int_equal(kerf_engine_open("cpu", &cfg, &w->engine[home], NULL), 0);
	session_whole(w->g, w->engine[home], &w->whole);
}

static void world_close(struct world *w)
{
	uint32_t i;

	for (i = 0; i <= NODES; i++)
		kerf_engine_close(w->engine[i]);
	kerf_io_finish(&w->whole);
	rig_drop(&w->x);
	kerf_graph_unref(w->g);
}

static struct kerf_session *open_plan(const struct world *w, const char *policy,
				      enum kerf_codec codec, uint32_t depth)
{
	struct kerf_err err = {""};
	struct kerf_session *s;
	struct kerf_plan plan;
	uint32_t i, engines = 0;

	if (kerf_policy_find(policy)->plan(&w->x.p, &plan, &err))
		fail_msg("%s: %s", policy, err.msg);
	for (i = 0; i < plan.n_edge; i++)
		plan.edge[i].codec = codec;
	for (i = 0; i < plan.n_step; i++)
		engines |= 1u << plan.step[i].engine;
	/* Several nodes beside home take part. */
	assert_true(__builtin_popcount(engines) >= 3);
	if (kerf_session_open(w->g, &plan, w->engine, depth, &s, &err))
		fail_msg("%s: %s", policy, err.msg);
	kerf_plan_finish(&plan);
	return s;
}

static void must_run(struct kerf_session *s, struct kerf_io *io)
{
	int r;

	memset(io->out[0].data, 0xa5, kerf_tensor_bytes(&io->out[0]));
	r = kerf_session_run(s, io->in, io->out, NULL);
	if (r)
		fail_msg("%s", kerf_job_text(r));
}

static void test_bits(void **state)
{
	static const char *const policy[] = {"modnn", "coedge", "deepthings", "aofl", "deepslicing",
					     "pico", "decnn"};
	struct kerf_session *s;
	struct kerf_io io;
	struct world w;
	uint32_t home, i, k;

	for (home = 0; home < 3; home += 2) {
		world_open(&w, home, 2);
		assert_int_equal(kerf_io_make(w.g, 7, &io), 0);
		for (i = 0; i < KERF_ARRAY_SIZE(policy); i++) {
			s = open_plan(&w, policy[i], KERF_CODEC_NONE, 1);
			for (k = 0; k < 3; k++) {
				must_run(s, &io);
				assert_same_outputs(w.g, &w.whole, &io, "bands");
			}
			kerf_session_close(s);
		}
		kerf_io_finish(&io);
		world_close(&w);
	}
}

static void test_codecs(void **state)
{
	static const double most[KERF_N_CODECS] = {0, 4e-3, 8e-2};
	struct kerf_session *s;
	enum kerf_codec codec;
	struct kerf_io io;
	struct world w;
	int64_t i;

	world_open(&w, 0, 2);
	assert_int_equal(kerf_io_make(w.g, 7, &io), 0);
	for (codec = KERF_CODEC_F16; codec < KERF_N_CODECS; codec++) {
		const float *a = w.whole.out[0].data, *b = io.out[0].data;
		double off = 0, size = 0;

		s = open_plan(&w, "modnn", codec, 1);
		must_run(s, &io);
		for (i = 0; i < kerf_tensor_count(&io.out[0]); i++) {
			off = fmax(off, fabs((double)a[i] - (double)b[i]));
			size = fmax(size, fabs((double)a[i]));
		}
		if (!(off > 0 && off <= most[codec] * size))
			fail_msg("codec %d: off by %g of %g", (int)codec, off, size);
		kerf_session_close(s);
	}
	kerf_io_finish(&io);
	world_close(&w);
}

struct many {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	int done, failed;
};

static void count(void *user, int status)
{
	struct many *m = user;

	pthread_mutex_lock(&m->lock);
	m->done++;
	m->failed += status != 0;
	pthread_cond_signal(&m->cond);
	pthread_mutex_unlock(&m->lock);
}

static void test_many_at_once(void **state)
{
	enum { DEPTH = 3, REQUESTS = 60 };
	struct many m = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0};
	struct kerf_io io[REQUESTS];
	struct kerf_session *s;
	struct world w;
	int sent = 0, i;

	world_open(&w, 0, DEPTH);
	s = open_plan(&w, "modnn", KERF_CODEC_NONE, DEPTH);
	for (i = 0; i < REQUESTS; i++)
		assert_int_equal(kerf_io_make(w.g, 7 + (uint64_t)(i % 2), &io[i]), 0);
	while (sent < REQUESTS) {
		int r = kerf_session_submit(s, io[sent].in, io[sent].out, count, &m);

		if (!r) {
			sent++;
			continue;
		}
		assert_int_equal(r, -EAGAIN);
		pthread_mutex_lock(&m.lock);
		while (m.done + DEPTH <= sent)
			pthread_cond_wait(&m.cond, &m.lock);
		pthread_mutex_unlock(&m.lock);
	}
	kerf_session_close(s);
	assert_int_equal(m.done, REQUESTS);
	assert_int_equal(m.failed, 0);
	for (i = 0; i < REQUESTS; i++) {
		if (i % 2)
			assert_memory_equal(io[i].out[0].data, io[1].out[0].data,
					    kerf_tensor_bytes(io[i].out));
		else
			assert_same_outputs(w.g, &w.whole, &io[i], "bands");
	}
	assert_memory_not_equal(io[0].out[0].data, io[1].out[0].data, kerf_tensor_bytes(io[0].out));
	for (i = 0; i < REQUESTS; i++)
		kerf_io_finish(&io[i]);
	world_close(&w);
}

static struct {
	int left; /* jobs until one fails; < 0: none does */
	int (*submit)(struct kerf_job *job);
} counter = {.left = -1};

static int submit_counted(struct kerf_job *job)
{
	if (counter.left-- != 0)
		return counter.submit(job);
	kerf_job_done(job, -ETIMEDOUT);
	return 0;
}

/* Nodes that wait for home's rows are told not to, and have room for the next request. */
static void test_home_fails(void **state)
{
	struct kerf_engine_ops ops;
	struct kerf_session *s;
	struct kerf_io io;
	struct world w;
	int k, r;

	world_open(&w, 0, 1);
	ops = *w.engine[0]->ops;
	counter.submit = ops.submit;
	ops.submit = submit_counted;
	w.engine[0]->ops = &ops;
	s = open_plan(&w, "modnn", KERF_CODEC_NONE, 1);
	assert_int_equal(kerf_io_make(w.g, 7, &io), 0);
	for (k = 0;; k++) {
		counter.left = k;
		r = kerf_session_run(s, io.in, io.out, NULL);
		counter.left = -1;
		if (!r)
			break;
		assert_int_equal(r, -ETIMEDOUT);
		must_run(s, &io);
		assert_same_outputs(w.g, &w.whole, &io, "bands");
	}
	assert_true(k >= BAND_LAYERS);
	kerf_session_close(s);
	kerf_io_finish(&io);
	world_close(&w);
}

/* Last: one of the nodes ends. */
static void test_node_goes(void **state)
{
	struct kerf_node_config cfg = {.part_timeout_ms = 60000, .max_connections = 200};
	struct kerf_session *s;
	struct kerf_io io;
	struct world w;
	int i, r;

	world_open(&w, 0, 1);
	s = open_plan(&w, "modnn", KERF_CODEC_NONE, 1);
	assert_int_equal(kerf_io_make(w.g, 7, &io), 0);
	must_run(s, &io);
	net_close(&node[1]);
	for (i = 0; i < 2; i++) {
		r = kerf_session_run(s, io.in, io.out, NULL);
		assert_true(r == -EIO || r == -ENODEV || r == -ETIMEDOUT);
	}
	kerf_session_close(s);
	kerf_io_finish(&io);
	world_close(&w);
	net_open(&node[1], &cfg, "4");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bits),	   cmocka_unit_test(test_codecs),
		cmocka_unit_test(test_many_at_once), cmocka_unit_test(test_home_fails),
		cmocka_unit_test(test_node_goes),
	};
	const struct CMUnitTest none[] = {cmocka_unit_test(net_test_absent)};

	if (!NET_BUILT)
		return cmocka_run_group_tests(none, NULL, NULL);
	return cmocka_run_group_tests(tests, setup, teardown);
}
