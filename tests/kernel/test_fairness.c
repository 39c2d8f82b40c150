// SPDX-License-Identifier: MIT
/*
 * Clients of one priority share an engine by the time it was busy for each. Nothing here measures
 * with a clock: the kernel's own account of both sides is compared, with wide bounds.
 * module-params: sim_depth=1
 */
#include "sim_test.h"

static uint32_t engine;

struct client {
	int fd;
	uint32_t queue;
};

static struct client client(void)
{
	struct client c = {.fd = kt_open(KERF_ENGINE_SIM)};

	c.queue = sim_queue(c.fd, engine, KERF_PRIORITY_NORMAL);
	return c;
}

static void put(int fd, uint32_t queue, uint32_t us, unsigned n)
{
	struct drm_kerf_sim_cmd cmd = {.duration_us = us};
	struct drm_kerf_job jobs[KERF_MAX_SUBMIT_JOBS];

	for (unsigned i = 0; i < KERF_MAX_SUBMIT_JOBS; i++)
		jobs[i] = (struct drm_kerf_job){.cmd = (uintptr_t)&cmd,
						.cmd_size = us ? sizeof(cmd) : 0};
	while (n) {
		unsigned m = n < KERF_MAX_SUBMIT_JOBS ? n : KERF_MAX_SUBMIT_JOBS;

		REQUIRE_OK(kt_submit(fd, queue, jobs, m, NULL));
		n -= m;
	}
}

static uint64_t busy(const struct client *c)
{
	struct drm_kerf_queue_state state;

	REQUIRE_OK(kt_queue_state(c->fd, c->queue, &state));
	return state.busy_ns;
}

/* Holds the engine while the case queues its jobs */
static struct client hold(void)
{
	struct client c;
	int idle = sim_open(&engine);

	c = client();
	put(c.fd, c.queue, 400000, 1);
	close(idle);
	return c;
}

static void job_length_does_not_matter(void)
{
	struct client a, b;
	double share;

	hold();
	a = client();
	b = client();
	put(a.fd, a.queue, 1000, SIM_MAX_DEPTH);
	put(b.fd, b.queue, 10000, 50);
	EXPECT_EQ(0, sim_status(b.fd, b.queue, 50));
	share = (double)busy(&a) / (busy(&a) + busy(&b));
	ktap_note("the client of short jobs had %.3f", share);
	EXPECT(share > 0.4 && share < 0.6);
}

static void more_queues_buy_nothing(void)
{
	struct client a, b;
	uint64_t all = 0;
	uint32_t q[8];
	double share;

	hold();
	a = client();
	b = client();
	for (unsigned i = 0; i < 8; i++) {
		q[i] = sim_queue(a.fd, engine, KERF_PRIORITY_NORMAL);
		put(a.fd, q[i], 2000, 200);
	}
	put(b.fd, b.queue, 2000, 200);
	EXPECT_EQ(0, sim_status(b.fd, b.queue, 200));
	for (unsigned i = 0; i < 8; i++) {
		a.queue = q[i];
		all += busy(&a);
	}
	share = (double)all / (all + busy(&b));
	ktap_note("the client of eight queues had %.3f", share);
	EXPECT(share > 0.4 && share < 0.6);
}

/* Nor does a queue for each job: what the client was charged is not forgotten with its queue. */
static void new_queues_buy_nothing(void)
{
	struct client a, b;
	uint64_t of_a, of_b;
	double share;

	hold();
	a = client();
	b = client();
	put(b.fd, b.queue, 2000, SIM_MAX_DEPTH);
	REQUIRE_OK(kt_queue_destroy(a.fd, a.queue));
	of_a = 0;
	/* long jobs, beside which the time between two does not count */
	for (unsigned i = 0; i < 5; i++) {
		a.queue = sim_queue(a.fd, engine, KERF_PRIORITY_NORMAL);
		put(a.fd, a.queue, 200000, 1);
		EXPECT_EQ(0, sim_status(a.fd, a.queue, 1));
		of_a += busy(&a);
		REQUIRE_OK(kt_queue_destroy(a.fd, a.queue));
		usleep(20000); /* it goes with the memory of its job */
	}
	of_b = busy(&b);
	share = (double)of_a / (of_a + of_b);
	ktap_note("the client of five queues had %.3f", share);
	EXPECT(share > 0.3 && share < 0.65);
}

static void sleeping_saves_no_credit(void)
{
	struct client h = hold(), a, b;
	uint64_t before;

	a = client();
	b = client();
	put(a.fd, a.queue, 2000, 1000);
	put(b.fd, b.queue, 2000, 1);
	EXPECT_EQ(0, sim_status(b.fd, b.queue, 1));
	EXPECT_EQ(0, sim_status(a.fd, a.queue, 200));
	before = sim_done_seqno(a.fd, a.queue);
	put(b.fd, b.queue, 2000, 100);
	EXPECT_EQ(0, sim_status(b.fd, b.queue, 101));
	/* had b been let catch up, a would have stood still for its hundred jobs */
	EXPECT(sim_done_seqno(a.fd, a.queue) - before > 50);
	close(h.fd);
}

static void a_share_is_counted_to_the_client(void)
{
	struct client h = hold(), a = client();
	struct drm_kerf_engine_info before, after;

	EXPECT_EQ(0, sim_status(h.fd, h.queue, 1));
	REQUIRE_OK(kt_engine_info(a.fd, engine, &before));
	put(a.fd, a.queue, 5000, 20);
	EXPECT_EQ(0, sim_status(a.fd, a.queue, 20));
	REQUIRE_OK(kt_engine_info(a.fd, engine, &after));
	EXPECT_EQ(after.busy_ns - before.busy_ns, busy(&a));
	EXPECT(busy(&a) >= 100000000);
	EXPECT_EQ(20, after.jobs_done - before.jobs_done);
}

int main(int argc, char **argv)
{
	static const struct ktap_case cases[] = {
		KTAP(job_length_does_not_matter),
		KTAP(more_queues_buy_nothing),
		KTAP(new_queues_buy_nothing),
		KTAP(sleeping_saves_no_credit),
		KTAP(a_share_is_counted_to_the_client),
	};

	return ktap_main(cases, sizeof(cases) / sizeof(cases[0]), argc, argv);
}
