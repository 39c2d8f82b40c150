/* SPDX-License-Identifier: MIT */
/*
 * Sessions over several nodes, all in this process (far_engine.h): every plan of every policy gives
 * the whole run's bits, whoever exchanges pieces with whom; codecs are off by what they may be; and
 * whatever fails, the request ends and the next one works.
 */
#include "ops/random_graph.h"
#include "unit/far_engine.h"
#include "unit/session_whole.h"
#include "unit/spatial_rig.h"

#include <pthread.h>
#include <unistd.h>

/* Home's engine is of this process; of every other node there is one that knows parts. */
struct world {
	struct far_net net;
	struct kerf_engine *home;
	struct far_engine far[KERF_MAX_ENGINES];
	struct kerf_engine *engine[KERF_MAX_ENGINES];
	uint32_t n, at_home;
};

static void world_open(struct world *w, uint32_t n, uint32_t home, const char *spec, bool ports)
{
	struct kerf_engine_config cfg = {.threads = 1};
	uint32_t i;

	memset(w, 0, sizeof(*w));
	w->n = n;
	w->at_home = home;
	far_net_open(&w->net);
	assert_int_equal(kerf_engine_open(spec, &cfg, &w->home, NULL), 0);
	for (i = 0; i < n; i++) {
		w->engine[i] = w->home;
		if (i == home)
			continue;
		far_engine_open(&w->far[i], &w->net, i, spec, ports);
		w->engine[i] = &w->far[i].base;
	}
}

static void world_close(struct world *w)
{
	uint32_t i;

	for (i = 0; i < w->n; i++)
		if (i != w->at_home)
			far_engine_close(&w->far[i]);
	kerf_engine_close(w->home);
	if (w->net.wrong)
		fail_msg("%u times: %s", w->net.wrong, w->net.why);
	far_net_close(&w->net);
}

static struct kerf_session *must_open(struct kerf_graph *g, const struct kerf_plan *plan,
				      const struct world *w, uint32_t depth)
{
	struct kerf_session *s;
	struct kerf_err err = {""};

	if (kerf_session_open(g, plan, w->engine, depth, &s, &err))
		fail_msg("%s: %s", plan->policy, err.msg);
	return s;
}

/* Twice, so that what the first leaves behind is seen. */
static void play(struct kerf_graph *g, const struct kerf_plan *plan, const struct world *w,
		 struct kerf_io *io)
{
	struct kerf_session *s = must_open(g, plan, w, 1);
	int i, r;

	for (i = 0; i < 2; i++) {
		r = kerf_session_run(s, io->in, io->out, NULL);
		if (r)
			fail_msg("%s: %s", plan->policy, kerf_job_text(r));
	}
	kerf_session_close(s);
}

static void compare(struct kerf_graph *g, const struct kerf_plan *plan, const struct world *w,
		    const struct kerf_io *whole)
{
	struct kerf_io io;

	assert_int_equal(kerf_io_make(g, 7, &io), 0);
	play(g, plan, w, &io);
	assert_same_outputs(g, whole, &io, plan->policy);
	kerf_io_finish(&io);
}

static const char *const exact[] = {"modnn", "mednn", "coedge", "deepthings", "aofl", "deepslicing",
				    "mcunet-patch", "decnn", "fcsplit", "pico", "neurosurgeon",
				    "dads", "jointdnn", "best-single"};

static void relay_some(struct kerf_plan *plan, struct kerf_rng *rng)
{
	uint32_t i;

	for (i = 0; i < plan->n_edge; i++)
		if (!kerf_rng_below(rng, 4))
			plan->edge[i].relayed = true;
}

static void test_random_plans(void **state)
{
	unsigned which, part_jobs = 0, messages = 0;
	struct kerf_rng rng;
	uint64_t seed;

	kerf_rng_seed(&rng, 15);
	for (seed = 1000; seed < 1060; seed++) {
		struct kerf_err err = {""};
		struct kerf_graph *g = rg_make(seed, 4 + (int)(seed % 12), &err);
		struct kerf_io whole;
		struct world w;
		struct rig x;
		uint32_t i;

		if (!g)
			continue;
		rig_random(&x, g, &rng);
		world_open(&w, x.p.n_engine, x.p.home, seed % 2 ? "ref" : "cpu", seed % 5 != 0);
		/* One connection is enough: who waits does not hold up who is waited for. */
		for (i = 0; seed % 4 == 1 && i < w.n; i++)
			w.far[i].lanes = 1;
		session_whole(g, w.home, &whole);
		for (which = 0; which < KERF_ARRAY_SIZE(exact); which++) {
			struct kerf_plan plan;

			if (kerf_policy_find(exact[which])->plan(&x.p, &plan, &err))
				fail_msg("%s: %s", exact[which], err.msg);
			if (seed % 3 == 0)
				relay_some(&plan, &rng);
			compare(g, &plan, &w, &whole);
			kerf_plan_finish(&plan);
		}
		part_jobs += w.net.part_jobs;
		messages += w.net.messages;
		kerf_io_finish(&whole);
		world_close(&w);
		rig_drop(&x);
		kerf_graph_unref(g);
	}
	/* Neighbours did talk to each other. */
	if (part_jobs < 100 || messages < 100)
		fail_msg("%u jobs of parts, %u messages", part_jobs, messages);
}

/* --- bands of convolutions over three nodes ------------------------------- */

#define LAYERS 4

/* x [1,3,24,9], convolutions with 5 channels, rectified, and what a fully connected layer makes. */
static struct kerf_graph *conv_model(void)
{
	struct rg r = {.g = kerf_graph_new("bands")};
	struct kerf_tensor t = {.dtype = KERF_F32, .rank = 4, .dims = {1, 3, 24, 9}};
	static const int64_t pads[4] = {1, 1, 1, 1};
	int32_t v = kerf_graph_add_value(r.g, "x", &t), made;
	struct kerf_err err = {""};
	int l;

	kerf_rng_seed(&r.rng, 7);
	kerf_graph_add_input(r.g, v);
	for (l = 0; l < LAYERS; l++) {
		int64_t dims[4] = {5, l ? 5 : 3, 3, 3};
		int32_t in[2] = {v, rg_const(&r, 4, dims, 0.5f, 0)};
		struct kerf_attr attr = {.name = "pads", .type = KERF_ATTR_INTS, .n = 4,
					 .ints = pads};

		t.dims[1] = 5;
		made = kerf_graph_add_value(r.g, NULL, &t);
		kerf_graph_add_op(r.g, kerf_op_find(NULL, "Conv", RG_OPSET), NULL, RG_OPSET, 2, in, 1,
				  &made, 1, &attr);
		v = kerf_graph_add_value(r.g, NULL, &t);
		kerf_graph_add_op(r.g, kerf_op_find(NULL, "Relu", RG_OPSET), NULL, RG_OPSET, 1, &made, 1,
				  &v, 0, NULL);
	}
	kerf_graph_add_output(r.g, v);
	if (kerf_graph_tidy(r.g, &err) || kerf_rewrite(r.g, &err))
		fail_msg("%s", err.msg);
	kerf_graph_freeze(r.g);
	return r.g;
}

struct bands_case {
	struct kerf_graph *g;
	struct rig x;
	struct kerf_plan plan;
	struct world w;
	struct kerf_io whole;
};

/* Home, at either end of the line or between, and two others; a step a layer and band. */
static void bands_open(struct bands_case *c, uint32_t home, enum kerf_codec codec)
{
	static const double speed[] = {1e8, 1e8, 1e8};
	struct kerf_err err = {""};
	uint32_t i;

	c->g = conv_model();
	rig_make(&c->x, c->g, 3, speed, 1e8, 1e-6);
	c->x.p.home = home;
	if (kerf_policy_find("modnn")->plan(&c->x.p, &c->plan, &err))
		fail_msg("%s", err.msg);
	for (i = 0; i < c->plan.n_edge; i++)
		c->plan.edge[i].codec = codec;
	world_open(&c->w, 3, home, "ref", true);
	session_whole(c->g, c->w.home, &c->whole);
}

static void bands_close(struct bands_case *c)
{
	kerf_io_finish(&c->whole);
	kerf_plan_finish(&c->plan);
	world_close(&c->w);
	rig_drop(&c->x);
	kerf_graph_unref(c->g);
}

/* Halos go straight from neighbour to neighbour. */
static void test_halos(void **state)
{
	struct bands_case c;
	uint32_t home, i, direct;

	for (home = 0; home < 3; home++) {
		bands_open(&c, home, KERF_CODEC_NONE);
		for (direct = i = 0; i < c.plan.n_edge; i++) {
			const struct kerf_plan_edge *e = &c.plan.edge[i];

			direct += e->from != KERF_PLAN_HOME && e->to != KERF_PLAN_HOME &&
				  c.plan.step[e->from].engine != home &&
				  c.plan.step[e->to].engine != home &&
				  c.plan.step[e->from].engine != c.plan.step[e->to].engine;
		}
		assert_true(home == 1 || direct >= 2 * (LAYERS - 1));
		compare(c.g, &c.plan, &c.w, &c.whole);
		assert_true(c.w.net.messages >= 2 * direct);
		bands_close(&c);
	}
}

static double error_of(const struct kerf_tensor *a, const struct kerf_tensor *b)
{
	double most = 0, off = 0;
	int64_t i;

	for (i = 0; i < kerf_tensor_count(a); i++) {
		double x = (double)((float *)a->data)[i], y = (double)((float *)b->data)[i];

		most = fmax(most, fabs(x));
		off = fmax(off, fabs(x - y));
	}
	return off / most;
}

static void test_codecs(void **state)
{
	static const double least[KERF_N_CODECS] = {0, 1e-6, 1e-4},
			    most[KERF_N_CODECS] = {0, 4e-3, 8e-2};
	enum kerf_codec codec;
	uint32_t home;

	for (codec = KERF_CODEC_NONE; codec < KERF_N_CODECS; codec++)
		for (home = 0; home < 3; home++) {
			struct kerf_io io, again;
			struct bands_case c;
			double off;

			bands_open(&c, home, codec);
			assert_int_equal(kerf_io_make(c.g, 7, &io), 0);
			assert_int_equal(kerf_io_make(c.g, 7, &again), 0);
			play(c.g, &c.plan, &c.w, &io);
			play(c.g, &c.plan, &c.w, &again);
			assert_same_outputs(c.g, &io, &again, "twice");
			off = error_of(&c.whole.out[0], &io.out[0]);
			if (!(off >= least[codec] && off <= most[codec]))
				fail_msg("codec %d, home %u: off by %g", (int)codec, home, off);
			kerf_io_finish(&io);
			kerf_io_finish(&again);
			bands_close(&c);
		}
}

/* Two steps on one node exchange through a port too, whichever of its engines runs them. */
static void test_one_node_twice(void **state)
{
	struct bands_case c;
	uint32_t home;

	for (home = 0; home < 3; home++) {
		bands_open(&c, home, KERF_CODEC_NONE);
		memcpy(c.w.far[(home + 1) % 3].url, c.w.far[(home + 2) % 3].url,
		       sizeof(c.w.far[0].url));
		compare(c.g, &c.plan, &c.w, &c.whole);
		bands_close(&c);
	}
}

/* --- what fails ------------------------------------------------------------ */

static void test_prepare_fails(void **state)
{
	struct kerf_err err = {""};
	struct kerf_session *s;
	struct bands_case c;
	int k, r;

	bands_open(&c, 0, KERF_CODEC_NONE);
	for (k = 0;; k++) {
		c.w.net.fail_prepare = k;
		r = kerf_session_open(c.g, &c.plan, c.w.engine, 2, &s, &err);
		assert_null(r ? c.w.net.parts : NULL);
		if (!r)
			break;
		assert_int_equal(r, -EIO);
		assert_non_null(strstr(err.msg, "as asked"));
	}
	kerf_session_close(s);
	assert_true(k >= 2 * LAYERS);
	c.w.net.fail_prepare = -1;
	compare(c.g, &c.plan, &c.w, &c.whole);
	bands_close(&c);
}

/* Whichever job fails, the request ends with that, at once, and the next one is right. */
static void test_jobs_fail(void **state)
{
	struct kerf_session *s;
	struct bands_case c;
	uint32_t home;
	struct kerf_io io;
	int k, r;

	for (home = 0; home < 3; home++) {
		bands_open(&c, home, KERF_CODEC_NONE);
		c.w.far[(home + 1) % 3].lanes = home;
		s = must_open(c.g, &c.plan, &c.w, 1);
		assert_int_equal(kerf_io_make(c.g, 7, &io), 0);
		for (k = 0;; k++) {
			far_fail_run(&c.w.net, k);
			r = kerf_session_run(s, io.in, io.out, NULL);
			far_fail_run(&c.w.net, -1);
			if (!r)
				break;
			assert_int_equal(r, -EIO);
			memset(io.out[0].data, 0xa5, kerf_tensor_bytes(&io.out[0]));
			assert_int_equal(kerf_session_run(s, io.in, io.out, NULL), 0);
			assert_same_outputs(c.g, &c.whole, &io, "after a failure");
		}
		assert_true(k >= 2 * LAYERS);
		kerf_session_close(s);
		kerf_io_finish(&io);
		bands_close(&c);
	}
}

/* Home's own engine fails: parts that wait for what it makes are told not to. */
static struct {
	int left; /* jobs until one fails; < 0: none does */
	int (*submit)(struct kerf_job *job);
} counter;

static int submit_counted(struct kerf_job *job)
{
	if (counter.left-- != 0)
		return counter.submit(job);
	kerf_job_done(job, -ETIMEDOUT);
	return 0;
}

static void test_home_fails(void **state)
{
	struct kerf_engine_ops ops = kerf_engine_ref;
	struct kerf_session *s;
	struct bands_case c;
	uint32_t home;
	struct kerf_io io;
	int k, r;

	for (home = 0; home < 3; home++) {
		bands_open(&c, home, KERF_CODEC_NONE);
		counter.submit = ops.submit;
		ops.submit = submit_counted;
		c.w.home->ops = &ops;
		counter.left = -1;
		s = must_open(c.g, &c.plan, &c.w, 1);
		assert_int_equal(kerf_io_make(c.g, 7, &io), 0);
		for (k = 0;; k++) {
			counter.left = k;
			r = kerf_session_run(s, io.in, io.out, NULL);
			counter.left = -1;
			if (!r)
				break;
			assert_int_equal(r, -ETIMEDOUT);
			assert_int_equal(kerf_session_run(s, io.in, io.out, NULL), 0);
			assert_same_outputs(c.g, &c.whole, &io, "after a failure");
		}
		assert_true(k >= LAYERS);
		kerf_session_close(s);
		ops.submit = counter.submit;
		c.w.home->ops = &kerf_engine_ref;
		kerf_io_finish(&io);
		bands_close(&c);
	}
}

/* --- several requests at once ---------------------------------------------- */

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
	enum { DEPTH = 4, REQUESTS = 200 };
	struct many m = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0};
	struct kerf_io io[REQUESTS], first;
	struct kerf_session *s;
	struct bands_case c;
	int sent = 0, i;

	bands_open(&c, 1, KERF_CODEC_NONE);
	s = must_open(c.g, &c.plan, &c.w, DEPTH);
	for (i = 0; i < REQUESTS; i++)
		assert_int_equal(kerf_io_make(c.g, (uint64_t)i, &io[i]), 0);
	far_fail_run(&c.w.net, 97);
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
	assert_int_equal(m.failed, 1);
	/* Nobody got another's rows; one got nothing. */
	for (i = 0; i < REQUESTS; i++) {
		struct kerf_plan only;

		assert_int_equal(kerf_io_make(c.g, (uint64_t)i, &first), 0);
		assert_int_equal(kerf_plan_only(c.g, "a", &only, NULL), 0);
		assert_int_equal(kerf_session_open(c.g, &only, &c.w.home, 1, &s, NULL), 0);
		assert_int_equal(kerf_session_run(s, first.in, first.out, NULL), 0);
		m.failed -= memcmp(first.out[0].data, io[i].out[0].data,
				   kerf_tensor_bytes(&first.out[0])) != 0;
		kerf_session_close(s);
		kerf_plan_finish(&only);
		kerf_io_finish(&first);
		kerf_io_finish(&io[i]);
	}
	assert_int_equal(m.failed, 0);
	bands_close(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_plans),	cmocka_unit_test(test_halos),
		cmocka_unit_test(test_codecs),		cmocka_unit_test(test_one_node_twice),
		cmocka_unit_test(test_prepare_fails),	cmocka_unit_test(test_jobs_fail),
		cmocka_unit_test(test_home_fails),	cmocka_unit_test(test_many_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
