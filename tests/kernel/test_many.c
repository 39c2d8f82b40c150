// SPDX-License-Identifier: MIT
/*
 * Many jobs, none lost, none twice. KERF_TEST_MANY jobs in each case (default 64000; the whole
 * is 1000000, limit permitting: KTAP_SCALE).
 * limit-s: 3600
 */
#include "sim_test.h"

#define BATCH 32

static unsigned total(void)
{
	const char *s = getenv("KERF_TEST_MANY");

	return s ? strtoul(s, NULL, 10) : 64000;
}

/*
 * Puts up to BATCH jobs, the last with an event that carries its number; those that did not fit
 * come later.
 */
static unsigned put(int fd, uint32_t queue, unsigned from, unsigned to)
{
	struct drm_kerf_job jobs[BATCH] = {{0}};
	unsigned n = to - from < BATCH ? to - from : BATCH;
	uint64_t last;
	int r;

	for (unsigned i = 0; i < n; i++)
		jobs[i].cookie = from + i + 1;
	jobs[n - 1].flags = KERF_JOB_EVENT;
	r = kt_submit(fd, queue, jobs, n, &last);
	if (r == -EAGAIN || r == -ENOMEM)
		return 0;
	REQUIRE_OK(r);
	REQUIRE(last == from + n);
	return n;
}

/* @n jobs in each of @n_queues queues of one client: every event comes once and in order. */
static void drive(unsigned n_queues, unsigned n)
{
	struct {
		uint32_t id;
		unsigned put, seen;
	} q[64] = {{0}};
	uint32_t engine;
	int fd = kt_open(KERF_ENGINE_SIM);
	unsigned finished = 0;

	engine = kt_engine(fd, KERF_ENGINE_SIM);
	for (unsigned i = 0; i < n_queues; i++)
		q[i].id = sim_queue(fd, engine, KERF_PRIORITY_NORMAL);
	while (finished < n_queues) {
		bool moved = false;

		for (unsigned i = 0; i < n_queues; i++) {
			unsigned m = q[i].put < n ? put(fd, q[i].id, q[i].put, n) : 0;

			q[i].put += m;
			moved |= m;
		}
		for (;;) {
			struct pollfd p = {.fd = fd, .events = POLLIN};
			struct drm_kerf_event e;
			unsigned i = 0;

			if (!poll(&p, 1, moved ? 0 : -1))
				break;
			moved = true;
			e = sim_event(fd);
			while (i < n_queues && q[i].id != e.queue_id)
				i++;
			REQUIRE(i < n_queues);
			REQUIRE(e.status == 0);
			REQUIRE(e.cookie == e.seqno);
			REQUIRE(e.seqno == (q[i].seen + BATCH < n ? q[i].seen + BATCH : n));
			q[i].seen = e.seqno;
			finished += q[i].seen == n;
		}
	}
	for (unsigned i = 0; i < n_queues; i++)
		EXPECT_EQ(n, sim_done_seqno(fd, q[i].id));
	close(fd);
}

static void sixty_four_queues(void)
{
	unsigned n = total() / 64;
	struct sim_counts before = sim_counts();

	drive(64, n);
	EXPECT_EQ(64ull * n, sim_counts().jobs_done - before.jobs_done);
}

static void sixteen_queues_of_four_processes(void)
{
	unsigned n = total() / 16;
	struct sim_counts before = sim_counts();
	pid_t pid[4];

	for (unsigned i = 0; i < 4; i++) {
		pid[i] = fork();
		REQUIRE(pid[i] >= 0);
		if (!pid[i]) {
			drive(4, n);
			_exit(ktap_shared->failures != 0);
		}
	}
	for (unsigned i = 0; i < 4; i++) {
		int status;

		REQUIRE(waitpid(pid[i], &status, 0) == pid[i]);
		EXPECT_EQ(0, status);
	}
	EXPECT_EQ(16ull * n, sim_counts().jobs_done - before.jobs_done);
}

int main(int argc, char **argv)
{
	static const struct ktap_case cases[] = {
		KTAP_SLOW(sixty_four_queues, 1800),
		KTAP_SLOW(sixteen_queues_of_four_processes, 1800),
	};

	return ktap_main(cases, sizeof(cases) / sizeof(cases[0]), argc, argv);
}
