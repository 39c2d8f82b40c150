// SPDX-License-Identifier: MIT
/*
 * Everything at once: clients whose queues of all priorities wait for each other and for fences,
 * come and go, meet faults and are killed. What is asserted: every job ends, and ends once.
 * KERF_TEST_STEPS calls a client (default 1500), KERF_TEST_SEED. limit-s: 400 module-params:
 * sim_depth=3
 */
#include "sim_test.h"

#define QUEUES 24
#define SYNCOBJS 8

struct stress {
	int fd;
	uint32_t engine;
	unsigned seed;
	struct {
		uint32_t id;
		uint64_t last;
	} q[QUEUES];
	uint32_t syncobj[SYNCOBJS];
	uint64_t point[SYNCOBJS];
	bool faults;
};

static unsigned number(const char *name, unsigned otherwise)
{
	const char *s = getenv(name);

	return s ? strtoul(s, NULL, 10) : otherwise;
}

static unsigned pick(struct stress *s, unsigned n)
{
	return rand_r(&s->seed) % n;
}

static void new_queue(struct stress *s, unsigned i)
{
	s->q[i].id = sim_queue(s->fd, s->engine, pick(s, 3));
	s->q[i].last = 0;
}

static void start(struct stress *s, unsigned seed, bool faults)
{
	s->fd = kt_open(KERF_ENGINE_SIM);
	s->engine = kt_engine(s->fd, KERF_ENGINE_SIM);
	s->seed = seed;
	s->faults = faults;
	for (unsigned i = 0; i < QUEUES; i++)
		new_queue(s, i);
	for (unsigned i = 0; i < SYNCOBJS; i++) {
		s->syncobj[i] = sim_syncobj(s->fd, 0);
		s->point[i] = 0;
	}
}

static void add_sync(struct stress *s, struct sim_job *job, uint64_t *points)
{
	struct drm_kerf_sync *sync = &job->syncs[job->n_syncs];
	unsigned i = pick(s, QUEUES), k = pick(s, SYNCOBJS);

	switch (pick(s, 4)) {
	case 0:
		*sync = sim_sync(KERF_SYNC_SIGNAL_SYNCOBJ, s->syncobj[k], ++points[k]);
		break;
	case 1:
		if (!s->point[k])
			return;
		*sync = sim_sync(KERF_SYNC_WAIT_SYNCOBJ, s->syncobj[k], s->point[k]);
		break;
	default:
		if (!s->q[i].last)
			return;
		*sync = sim_sync(KERF_SYNC_WAIT_QUEUE, s->q[i].id,
				 1 + pick(s, s->q[i].last < 1000 ? s->q[i].last : 1000));
	}
	job->n_syncs++;
}

/* One job with what it waits for; counts what the kernel took */
static unsigned put(struct stress *s)
{
	struct sim_job job = {.us = pick(s, 3) ? 0 : pick(s, 500),
			      .timeout_ms = 20 + pick(s, 1000)};
	unsigned i = pick(s, QUEUES), n = pick(s, 6);
	uint64_t points[SYNCOBJS];
	int r;

	memcpy(points, s->point, sizeof(points));
	while (n--)
		add_sync(s, &job, points);
	r = sim_submit(s->fd, s->q[i].id, &job, &s->q[i].last);
	if (r == -ECANCELED || r == -EAGAIN) {
		/* what it left in q.last is what was there */
		struct drm_kerf_queue_state state;

		REQUIRE_OK(kt_queue_state(s->fd, s->q[i].id, &state));
		s->q[i].last = state.last_seqno;
		if (r == -ECANCELED) {
			REQUIRE_OK(kt_queue_destroy(s->fd, s->q[i].id));
			new_queue(s, i);
		}
		return 0;
	}
	REQUIRE_OK(r);
	memcpy(s->point, points, sizeof(points));
	return 1;
}

static unsigned step(struct stress *s)
{
	static const char *const faults[] = {"fail", "twice", "stale", "late", "hang"};
	unsigned what = pick(s, 100), i;

	if (what < 94)
		return put(s);
	i = pick(s, QUEUES);
	if (what < 97) {
		REQUIRE_OK(kt_queue_destroy(s->fd, s->q[i].id));
		new_queue(s, i);
	} else if (s->faults && what == 97) {
		sim_fault(faults[pick(s, 5)], 1);
	} else {
		kt_wait(s->fd, s->q[i].id, s->q[i].last, 1, NULL);
	}
	return 0;
}

static void finish(struct stress *s)
{
	for (unsigned i = 0; i < QUEUES; i++) {
		struct drm_kerf_queue_state state;

		if (s->q[i].last)
			REQUIRE_OK(kt_wait(s->fd, s->q[i].id, s->q[i].last, -1, NULL));
		REQUIRE_OK(kt_queue_state(s->fd, s->q[i].id, &state));
		EXPECT_EQ(s->q[i].last, state.last_seqno);
		EXPECT_EQ(s->q[i].last, state.done_seqno);
	}
	for (unsigned i = 0; i < SYNCOBJS; i++)
		if (s->point[i])
			EXPECT_OK(sim_syncobj_wait(s->fd, s->syncobj[i], s->point[i], 20000));
	close(s->fd);
}

static unsigned run(unsigned seed, bool faults)
{
	struct stress s;
	unsigned taken = 0;

	start(&s, seed, faults);
	for (unsigned n = number("KERF_TEST_STEPS", 1500); n; n--)
		taken += step(&s);
	finish(&s);
	return taken;
}

static void one_client(void)
{
	unsigned seed = number("KERF_TEST_SEED", 1), taken;
	struct sim_counts before = sim_counts();

	taken = run(seed, false);
	while (sim_counts().running)
		usleep(1000);
	EXPECT_EQ(taken, sim_counts().jobs_done - before.jobs_done);
}

static void one_client_with_faults(void)
{
	unsigned seed = number("KERF_TEST_SEED", 1), taken;
	struct sim_counts before = sim_counts();

	taken = run(seed, true);
	while (sim_counts().running)
		usleep(1000);
	EXPECT_EQ(taken, sim_counts().jobs_done - before.jobs_done);
}

static void many_clients_some_killed(void)
{
	unsigned seed = number("KERF_TEST_SEED", 1);
	pid_t pid[6];
	int status;

	for (unsigned i = 0; i < 6; i++) {
		pid[i] = fork();
		REQUIRE(pid[i] >= 0);
		if (!pid[i]) {
			run(seed + i, i < 2);
			_exit(ktap_shared->failures != 0);
		}
	}
	for (unsigned i = 3; i < 6; i++) {
		usleep(100000);
		kill(pid[i], SIGKILL);
	}
	for (unsigned i = 0; i < 6; i++) {
		REQUIRE(waitpid(pid[i], &status, 0) == pid[i]);
		if (i < 3)
			EXPECT_EQ(0, status);
	}
}

int main(int argc, char **argv)
{
	static const struct ktap_case cases[] = {
		KTAP_SLOW(one_client, 100),
		KTAP_SLOW(one_client_with_faults, 100),
		KTAP_SLOW(many_clients_some_killed, 100),
	};

	return ktap_main(cases, sizeof(cases) / sizeof(cases[0]), argc, argv);
}
