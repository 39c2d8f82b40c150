// SPDX-License-Identifier: MIT
/*
 * Jobs that wait for jobs of other queues and for fences, and fences that jobs signal.
 * module-params: sim_depth=2
 *
 * Two jobs run at the same time, so that order comes from waits alone.
 */
#include "sim_test.h"

#define NEVER_US 10000000

static uint32_t engine;

static int open_queues(uint32_t *a, uint32_t *b)
{
	int fd = sim_open(&engine);

	*a = sim_queue(fd, engine, KERF_PRIORITY_NORMAL);
	*b = sim_queue(fd, engine, KERF_PRIORITY_NORMAL);
	return fd;
}

static struct sim_job job_with(uint32_t type, uint32_t handle, uint64_t point)
{
	return (struct sim_job){.n_syncs = 1, .syncs = {sim_sync(type, handle, point)}};
}

static void waits_for_the_other_queue(void)
{
	struct sim_job second;
	uint32_t a, b;
	int fd = open_queues(&a, &b);

	REQUIRE_OK(kt_submit_sim(fd, a, 400000, NULL));
	second = job_with(KERF_SYNC_WAIT_QUEUE, a, 1);
	REQUIRE_OK(sim_submit(fd, b, &second, NULL));
	EXPECT_EQ(0, sim_done_seqno(fd, b));
	EXPECT_EQ(0, sim_status(fd, b, 1));
	EXPECT_EQ(1, sim_done_seqno(fd, a));
}

static void goes_on_after_a_failure(void)
{
	struct sim_job second;
	uint32_t a, b;
	int fd = open_queues(&a, &b);

	sim_fault("fail", 1);
	REQUIRE_OK(kt_submit_sim(fd, a, 400000, NULL));
	second = job_with(KERF_SYNC_WAIT_QUEUE, a, 1);
	REQUIRE_OK(sim_submit(fd, b, &second, NULL));
	EXPECT_EQ(0, sim_status(fd, b, 1));
	EXPECT_EQ(-EIO, sim_status(fd, a, 1));
}

static void goes_on_when_the_queue_is_destroyed(void)
{
	struct sim_job second;
	uint32_t a, b;
	int fd = open_queues(&a, &b);

	REQUIRE_OK(kt_submit_sim(fd, a, 400000, NULL));
	REQUIRE_OK(kt_submit_sim(fd, a, NEVER_US, NULL));
	second = job_with(KERF_SYNC_WAIT_QUEUE, a, 2);
	REQUIRE_OK(sim_submit(fd, b, &second, NULL));
	EXPECT_ERR(-ETIME, kt_wait(fd, b, 1, 20, NULL));
	REQUIRE_OK(kt_queue_destroy(fd, a));
	EXPECT_EQ(0, sim_status(fd, b, 1));
}

static void a_done_job_is_not_waited_for(void)
{
	struct sim_job second;
	uint32_t a, b;
	int fd = open_queues(&a, &b);

	REQUIRE_OK(kt_submit_sim(fd, a, 0, NULL));
	REQUIRE_OK(kt_submit_sim(fd, a, 300000, NULL));
	second = job_with(KERF_SYNC_WAIT_QUEUE, a, 1);
	REQUIRE_OK(sim_submit(fd, b, &second, NULL));
	EXPECT_EQ(0, sim_status(fd, b, 1));
	EXPECT_EQ(1, sim_done_seqno(fd, a));
}

static void unknown_jobs_are_refused(void)
{
	uint32_t a, b;
	int fd = open_queues(&a, &b);
	struct sim_job unknown_queue = job_with(KERF_SYNC_WAIT_QUEUE, 200, 1);
	struct sim_job future = job_with(KERF_SYNC_WAIT_QUEUE, a, 1);
	struct sim_job zero = job_with(KERF_SYNC_WAIT_QUEUE, a, 0);

	EXPECT_ERR(-ENOENT, sim_submit(fd, b, &unknown_queue, NULL));
	EXPECT_ERR(-EINVAL, sim_submit(fd, b, &future, NULL));
	EXPECT_ERR(-EINVAL, sim_submit(fd, b, &zero, NULL));
}

static void another_client_s_queue_is_not_there(void)
{
	struct sim_job job;
	uint32_t a, b, mine, ignored;
	int fd = open_queues(&a, &b), other = sim_open(&ignored);

	REQUIRE_OK(kt_submit_sim(fd, b, 0, NULL));
	mine = sim_queue(other, engine, KERF_PRIORITY_NORMAL);
	job = job_with(KERF_SYNC_WAIT_QUEUE, b, 1);
	REQUIRE(b != mine);
	EXPECT_ERR(-ENOENT, sim_submit(other, mine, &job, NULL));
}

static void a_chain_over_many_queues(void)
{
	enum { N = 64 };
	uint32_t q[N], ignored;
	int fd = open_queues(&q[0], &ignored);

	REQUIRE_OK(kt_submit_sim(fd, q[0], 400000, NULL));
	for (unsigned i = 1; i < N; i++) {
		struct sim_job job = job_with(KERF_SYNC_WAIT_QUEUE, q[i - 1], 1);

		q[i] = sim_queue(fd, engine, KERF_PRIORITY_NORMAL);
		REQUIRE_OK(sim_submit(fd, q[i], &job, NULL));
	}
	EXPECT_EQ(0, sim_done_seqno(fd, q[N - 1]));
	EXPECT_EQ(0, sim_status(fd, q[N - 1], 1));
	EXPECT_EQ(1, sim_done_seqno(fd, q[0]));
}

static void waits_for_many_at_once(void)
{
	enum { N = 64 };
	struct sim_job last = {.n_syncs = N};
	uint32_t q[N], b;
	int fd = open_queues(&q[0], &b);

	for (unsigned i = 0; i < N; i++) {
		if (i)
			q[i] = sim_queue(fd, engine, KERF_PRIORITY_NORMAL);
		REQUIRE_OK(kt_submit_sim(fd, q[i], 2000, NULL));
		last.syncs[i] = sim_sync(KERF_SYNC_WAIT_QUEUE, q[i], 1);
	}
	REQUIRE_OK(sim_submit(fd, b, &last, NULL));
	EXPECT_EQ(0, sim_status(fd, b, 1));
	for (unsigned i = 0; i < N; i++)
		EXPECT_EQ(1, sim_done_seqno(fd, q[i]));
}

static void signals_a_syncobj(void)
{
	struct sim_job job;
	uint32_t a, b;
	int fd = open_queues(&a, &b);
	uint32_t s = sim_syncobj(fd, 0);

	job = job_with(KERF_SYNC_SIGNAL_SYNCOBJ, s, 0);
	job.us = 400000;
	REQUIRE_OK(sim_submit(fd, a, &job, NULL));
	EXPECT_ERR(-ETIME, sim_syncobj_wait(fd, s, 0, 0));
	EXPECT_OK(sim_syncobj_wait(fd, s, 0, 20000));
	EXPECT_EQ(1, sim_done_seqno(fd, a));
}

static void signals_points_of_a_timeline(void)
{
	struct sim_job job = {.us = 50000, .n_syncs = 1};
	uint32_t a, b;
	int fd = open_queues(&a, &b);
	uint32_t s = sim_syncobj(fd, 0);

	for (unsigned i = 1; i <= 3; i++) {
		job.syncs[0] = sim_sync(KERF_SYNC_SIGNAL_SYNCOBJ, s, 10 * i);
		REQUIRE_OK(sim_submit(fd, a, &job, NULL));
	}
	EXPECT_OK(sim_syncobj_wait(fd, s, 20, 20000));
	EXPECT_EQ(2, sim_done_seqno(fd, a));
	EXPECT_OK(sim_syncobj_wait(fd, s, 30, 20000));
}

static void waits_for_a_syncobj(void)
{
	struct sim_job first, second;
	uint32_t a, b;
	int fd = open_queues(&a, &b);
	uint32_t s = sim_syncobj(fd, 0);

	first = job_with(KERF_SYNC_SIGNAL_SYNCOBJ, s, 7);
	first.us = 400000;
	second = job_with(KERF_SYNC_WAIT_SYNCOBJ, s, 7);
	REQUIRE_OK(sim_submit(fd, a, &first, NULL));
	REQUIRE_OK(sim_submit(fd, b, &second, NULL));
	EXPECT_EQ(0, sim_done_seqno(fd, b));
	EXPECT_EQ(0, sim_status(fd, b, 1));
	EXPECT_EQ(1, sim_done_seqno(fd, a));
}

static void a_fence_s_error_does_not_stop_the_job(void)
{
	struct sim_job first, second;
	uint32_t a, b;
	int fd = open_queues(&a, &b);
	uint32_t s = sim_syncobj(fd, 0);

	sim_fault("fail", 1);
	first = job_with(KERF_SYNC_SIGNAL_SYNCOBJ, s, 0);
	first.us = 50000;
	second = job_with(KERF_SYNC_WAIT_SYNCOBJ, s, 0);
	REQUIRE_OK(sim_submit(fd, a, &first, NULL));
	REQUIRE_OK(sim_submit(fd, b, &second, NULL));
	EXPECT_EQ(0, sim_status(fd, b, 1));
	EXPECT_EQ(-EIO, sim_status(fd, a, 1));
}

static void a_signalled_syncobj_is_no_wait(void)
{
	struct sim_job job;
	uint32_t a, b;
	int fd = open_queues(&a, &b);

	job = job_with(KERF_SYNC_WAIT_SYNCOBJ, sim_syncobj(fd, DRM_SYNCOBJ_CREATE_SIGNALED), 0);
	REQUIRE_OK(sim_submit(fd, a, &job, NULL));
	EXPECT_EQ(0, sim_status(fd, a, 1));
}

static void an_empty_syncobj_is_einval(void)
{
	struct sim_job job;
	uint32_t a, b;
	int fd = open_queues(&a, &b);

	job = job_with(KERF_SYNC_WAIT_SYNCOBJ, sim_syncobj(fd, 0), 0);
	EXPECT_ERR(-EINVAL, sim_submit(fd, a, &job, NULL));
}

static void an_unknown_syncobj_is_enoent(void)
{
	struct sim_job in = job_with(KERF_SYNC_WAIT_SYNCOBJ, 77, 0);
	struct sim_job out = job_with(KERF_SYNC_SIGNAL_SYNCOBJ, 77, 0);
	uint32_t a, b;
	int fd = open_queues(&a, &b);

	EXPECT_ERR(-ENOENT, sim_submit(fd, a, &in, NULL));
	EXPECT_ERR(-ENOENT, sim_submit(fd, a, &out, NULL));
}

static void a_refused_call_leaves_the_syncobj(void)
{
	struct sim_job job = {.n_syncs = 2};
	uint32_t a, b;
	int fd = open_queues(&a, &b);
	uint32_t s = sim_syncobj(fd, 0);

	job.syncs[0] = sim_sync(KERF_SYNC_SIGNAL_SYNCOBJ, s, 0);
	job.syncs[1] = sim_sync(KERF_SYNC_WAIT_QUEUE, b, 1);
	EXPECT_ERR(-EINVAL, sim_submit(fd, a, &job, NULL));
	EXPECT_ERR(-EINVAL, sim_syncobj_wait(fd, s, 0, 0));
}

/*
 * The fence is another queue's job's; the queue that waits for it goes while it is not signalled.
 */
static void a_waiting_queue_can_be_destroyed(void)
{
	struct sim_job first, second;
	uint32_t a, b;
	int fd = open_queues(&a, &b);
	uint32_t s = sim_syncobj(fd, 0);

	first = job_with(KERF_SYNC_SIGNAL_SYNCOBJ, s, 0);
	first.us = 400000;
	second = job_with(KERF_SYNC_WAIT_SYNCOBJ, s, 0);
	second.event = true;
	REQUIRE_OK(sim_submit(fd, a, &first, NULL));
	REQUIRE_OK(sim_submit(fd, b, &second, NULL));
	REQUIRE_OK(kt_queue_destroy(fd, b));
	EXPECT_EQ(-ECANCELED, sim_event(fd).status);
	EXPECT_OK(sim_syncobj_wait(fd, s, 0, 20000));
}

/* A fence of a job that was cancelled with its queue signals all the same. */
static void a_cancelled_job_signals(void)
{
	struct sim_job job;
	uint32_t a, b;
	int fd = open_queues(&a, &b);
	uint32_t s = sim_syncobj(fd, 0);

	REQUIRE_OK(kt_submit_sim(fd, a, 500000, NULL));
	job = job_with(KERF_SYNC_SIGNAL_SYNCOBJ, s, 0);
	REQUIRE_OK(sim_submit(fd, a, &job, NULL));
	EXPECT_ERR(-ETIME, sim_syncobj_wait(fd, s, 0, 0));
	REQUIRE_OK(kt_queue_destroy(fd, a));
	EXPECT_OK(sim_syncobj_wait(fd, s, 0, 20000));
}

/* --- the kernel promises only what it can keep --- */

struct indefinite {
	int fd, server;
	uint32_t user, sim, syncobj;
};

/* A user engine's job that never ends, in queue user */
static struct indefinite indefinite(void)
{
	struct indefinite x;
	uint32_t idle, ignored;

	x.server = sim_idle_server(&idle);
	x.fd = open_queues(&x.sim, &ignored);
	x.syncobj = sim_syncobj(x.fd, 0);
	REQUIRE_OK(kt_queue_create(x.fd, idle, KERF_PRIORITY_NORMAL, 16, &x.user));
	REQUIRE_OK(kt_submit_sim(x.fd, x.user, 0, NULL));
	return x;
}

static void a_user_engine_gives_no_fence(void)
{
	struct indefinite x = indefinite();
	struct sim_job job = job_with(KERF_SYNC_SIGNAL_SYNCOBJ, x.syncobj, 0);

	EXPECT_ERR(-EOPNOTSUPP, sim_submit(x.fd, x.user, &job, NULL));
}

static void nor_a_job_that_waits_for_it(void)
{
	struct indefinite x = indefinite();
	struct sim_job job = {.n_syncs = 2};

	job.syncs[0] = sim_sync(KERF_SYNC_SIGNAL_SYNCOBJ, x.syncobj, 0);
	job.syncs[1] = sim_sync(KERF_SYNC_WAIT_QUEUE, x.user, 1);
	EXPECT_ERR(-EOPNOTSUPP, sim_submit(x.fd, x.sim, &job, NULL));
	EXPECT_EQ(0, sim_done_seqno(x.fd, x.sim));
	EXPECT_ERR(-EINVAL, sim_syncobj_wait(x.fd, x.syncobj, 0, 0));
}

static void nor_one_behind_it_in_its_queue(void)
{
	struct indefinite x = indefinite();
	struct sim_job waits = job_with(KERF_SYNC_WAIT_QUEUE, x.user, 1);
	struct sim_job signals = job_with(KERF_SYNC_SIGNAL_SYNCOBJ, x.syncobj, 0);

	REQUIRE_OK(sim_submit(x.fd, x.sim, &waits, NULL));
	EXPECT_ERR(-EOPNOTSUPP, sim_submit(x.fd, x.sim, &signals, NULL));
}

static void nor_one_behind_it_in_its_call(void)
{
	struct indefinite x = indefinite();
	struct drm_kerf_sync waits = sim_sync(KERF_SYNC_WAIT_QUEUE, x.user, 1);
	struct drm_kerf_sync signals = sim_sync(KERF_SYNC_SIGNAL_SYNCOBJ, x.syncobj, 0);
	struct drm_kerf_job jobs[2] = {{.syncs = KT_ARRAY(&waits, 1)},
				       {.syncs = KT_ARRAY(&signals, 1)}};

	EXPECT_ERR(-EOPNOTSUPP, kt_submit(x.fd, x.sim, jobs, 2, NULL));
}

static void nor_one_that_waits_for_a_waiting_one(void)
{
	struct indefinite x = indefinite();
	struct sim_job waits = job_with(KERF_SYNC_WAIT_QUEUE, x.user, 1);
	struct sim_job signals = {.n_syncs = 2};
	uint32_t third = sim_queue(x.fd, engine, KERF_PRIORITY_NORMAL);

	REQUIRE_OK(kt_submit_sim(x.fd, x.sim, 300000, NULL));
	REQUIRE_OK(sim_submit(x.fd, x.sim, &waits, NULL));
	signals.syncs[0] = sim_sync(KERF_SYNC_SIGNAL_SYNCOBJ, x.syncobj, 0);
	signals.syncs[1] = sim_sync(KERF_SYNC_WAIT_QUEUE, x.sim, 2);
	EXPECT_ERR(-EOPNOTSUPP, sim_submit(x.fd, third, &signals, NULL));
	/* but job 1 of that queue does end */
	signals.syncs[1] = sim_sync(KERF_SYNC_WAIT_QUEUE, x.sim, 1);
	EXPECT_OK(sim_submit(x.fd, third, &signals, NULL));
	EXPECT_OK(sim_syncobj_wait(x.fd, x.syncobj, 0, 20000));
}

static void the_promise_is_back_once_it_ended(void)
{
	struct indefinite x = indefinite();
	struct sim_job waits = job_with(KERF_SYNC_WAIT_QUEUE, x.user, 1);
	struct sim_job signals = job_with(KERF_SYNC_SIGNAL_SYNCOBJ, x.syncobj, 0);

	REQUIRE_OK(sim_submit(x.fd, x.sim, &waits, NULL));
	EXPECT_ERR(-EOPNOTSUPP, sim_submit(x.fd, x.sim, &signals, NULL));
	close(x.server);
	EXPECT_EQ(-EOWNERDEAD, sim_status(x.fd, x.user, 1));
	EXPECT_EQ(0, sim_status(x.fd, x.sim, 1));
	EXPECT_OK(sim_submit(x.fd, x.sim, &signals, NULL));
	EXPECT_OK(sim_syncobj_wait(x.fd, x.syncobj, 0, 20000));
}

int main(int argc, char **argv)
{
	static const struct ktap_case cases[] = {
		KTAP(waits_for_the_other_queue),
		KTAP(goes_on_after_a_failure),
		KTAP(goes_on_when_the_queue_is_destroyed),
		KTAP(a_done_job_is_not_waited_for),
		KTAP(unknown_jobs_are_refused),
		KTAP(another_client_s_queue_is_not_there),
		KTAP(a_chain_over_many_queues),
		KTAP(waits_for_many_at_once),
		KTAP(signals_a_syncobj),
		KTAP(signals_points_of_a_timeline),
		KTAP(waits_for_a_syncobj),
		KTAP(a_fence_s_error_does_not_stop_the_job),
		KTAP(a_signalled_syncobj_is_no_wait),
		KTAP(an_empty_syncobj_is_einval),
		KTAP(an_unknown_syncobj_is_enoent),
		KTAP(a_refused_call_leaves_the_syncobj),
		KTAP(a_waiting_queue_can_be_destroyed),
		KTAP(a_cancelled_job_signals),
		KTAP(a_user_engine_gives_no_fence),
		KTAP(nor_a_job_that_waits_for_it),
		KTAP(nor_one_behind_it_in_its_queue),
		KTAP(nor_one_behind_it_in_its_call),
		KTAP(nor_one_that_waits_for_a_waiting_one),
		KTAP(the_promise_is_back_once_it_ended),
	};

	return ktap_main(cases, sizeof(cases) / sizeof(cases[0]), argc, argv);
}
