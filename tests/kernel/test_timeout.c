// SPDX-License-Identifier: MIT
/*
 * Engines that hang, answer late, twice or for another job, and what becomes of who is to blame and
 * who is not. module-params: sim_depth=2
 *
 * The module is loaded anew afterwards, since the last case leaves a dead engine.
 */
#include "sim_test.h"

#define LONG_US 8000000

static uint32_t engine;

static int open_queues(uint32_t *a, uint32_t *b)
{
	int fd = sim_open(&engine);

	*a = sim_queue(fd, engine, KERF_PRIORITY_NORMAL);
	*b = sim_queue(fd, engine, KERF_PRIORITY_NORMAL);
	return fd;
}

/* A job in @queue meets the fault and runs into its timeout. */
static void time_out(int fd, uint32_t queue, const char *fault)
{
	struct sim_job job = {.timeout_ms = 50};
	uint64_t seqno;

	sim_fault(fault, 1);
	REQUIRE_OK(sim_submit(fd, queue, &job, &seqno));
	EXPECT_EQ(-ETIME, sim_status(fd, queue, seqno));
}

static void a_hung_job_is_etime(void)
{
	struct sim_counts before = sim_counts();
	uint32_t a, b;
	int fd = open_queues(&a, &b);

	time_out(fd, a, "hang");
	EXPECT_EQ(before.resets + 1, sim_counts().resets);
	EXPECT_EQ(before.spurious, sim_counts().spurious);
}

static void too_long_a_job_is_etime(void)
{
	struct sim_job job = {.us = LONG_US, .timeout_ms = 50};
	uint32_t a, b;
	int fd = open_queues(&a, &b);

	REQUIRE_OK(sim_submit(fd, a, &job, NULL));
	EXPECT_EQ(-ETIME, sim_status(fd, a, 1));
}

static void its_queue_stops(void)
{
	struct sim_job job = {.timeout_ms = 300};
	struct drm_kerf_queue_state state;
	uint32_t a, b;
	int fd = open_queues(&a, &b);

	sim_fault("hang", 1);
	for (unsigned i = 0; i < 3; i++)
		REQUIRE_OK(sim_submit(fd, a, &job, NULL));
	EXPECT_EQ(-ETIME, sim_status(fd, a, 1));
	EXPECT_EQ(-ECANCELED, sim_status(fd, a, 2));
	EXPECT_EQ(-ECANCELED, sim_status(fd, a, 3));
	EXPECT_ERR(-ECANCELED, sim_submit(fd, a, &job, NULL));
	REQUIRE_OK(kt_queue_state(fd, a, &state));
	EXPECT_EQ(1, state.error_seqno);
	EXPECT_EQ(-ETIME, state.first_error);
}

static void other_queues_go_on(void)
{
	uint32_t a, b;
	int fd = open_queues(&a, &b);

	time_out(fd, a, "hang");
	REQUIRE_OK(kt_submit_sim(fd, b, 1000, NULL));
	EXPECT_EQ(0, sim_status(fd, b, 1));
}

static void who_ran_beside_it_runs_again(void)
{
	struct drm_kerf_engine_info info;
	uint64_t busy;
	uint32_t a, b;
	int fd = open_queues(&a, &b);

	REQUIRE_OK(kt_engine_info(fd, engine, &info));
	busy = info.busy_ns;
	REQUIRE_OK(kt_submit_sim(fd, b, 1000000, NULL));
	time_out(fd, a, "hang");
	EXPECT_EQ(0, sim_done_seqno(fd, b));
	EXPECT_EQ(0, sim_status(fd, b, 1));
	/* its first run is no one's busy time; the second is a whole one */
	REQUIRE_OK(kt_engine_info(fd, engine, &info));
	EXPECT(info.busy_ns - busy >= 1000000000);
}

static void but_not_for_ever(void)
{
	struct sim_job innocent = {.us = LONG_US, .timeout_ms = KERF_MAX_TIMEOUT_MS};
	uint32_t a, b;
	int fd = open_queues(&a, &b), runs = 0;

	REQUIRE_OK(sim_submit(fd, b, &innocent, NULL));
	while (!sim_done_seqno(fd, b) && runs < 10) {
		time_out(fd, sim_queue(fd, engine, KERF_PRIORITY_NORMAL), "hang");
		runs++;
	}
	EXPECT_EQ(3, runs);
	EXPECT_EQ(-EIO, sim_status(fd, b, 1));
}

static void a_late_answer_is_ignored(void)
{
	struct sim_counts before = sim_counts();
	uint32_t a, b;
	int fd = open_queues(&a, &b);

	time_out(fd, a, "late");
	REQUIRE_OK(kt_submit_sim(fd, b, 1000, NULL));
	EXPECT_EQ(0, sim_status(fd, b, 1));
	EXPECT_EQ(before.spurious + 1, sim_counts().spurious);
	EXPECT_EQ(before.jobs_done + 2, sim_counts().jobs_done);
}

static void a_second_answer_is_ignored(void)
{
	struct sim_counts before = sim_counts();
	uint32_t a, b;
	int fd = open_queues(&a, &b);

	sim_fault("twice", 1);
	REQUIRE_OK(kt_submit_sim(fd, a, 1000, NULL));
	REQUIRE_OK(kt_submit_sim(fd, a, 300000, NULL));
	EXPECT_EQ(0, sim_status(fd, a, 1));
	EXPECT_EQ(1, sim_done_seqno(fd, a));
	EXPECT_EQ(0, sim_status(fd, a, 2));
	EXPECT_EQ(before.spurious + 1, sim_counts().spurious);
	EXPECT_EQ(before.jobs_done + 2, sim_counts().jobs_done);
}

static void an_answer_for_another_job_is_ignored(void)
{
	struct sim_counts before = sim_counts();
	uint32_t a, b;
	int fd = open_queues(&a, &b);

	sim_fault("stale", 1);
	REQUIRE_OK(kt_submit_sim(fd, a, 1000, NULL));
	EXPECT_EQ(0, sim_status(fd, a, 1));
	EXPECT_EQ(before.spurious + 1, sim_counts().spurious);
	EXPECT_EQ(before.resets, sim_counts().resets);
}

static void a_broken_job_is_eio(void)
{
	struct sim_counts before = sim_counts();
	uint32_t a, b;
	int fd = open_queues(&a, &b);

	sim_fault("fail", 1);
	REQUIRE_OK(kt_submit_sim(fd, a, 1000, NULL));
	EXPECT_EQ(-EIO, sim_status(fd, a, 1));
	EXPECT_EQ(before.resets, sim_counts().resets);
}

static void a_hung_job_s_fence_signals(void)
{
	struct sim_job job = {.timeout_ms = 50, .n_syncs = 1};
	uint32_t a, b;
	int fd = open_queues(&a, &b);
	uint32_t s = sim_syncobj(fd, 0);

	job.syncs[0] = sim_sync(KERF_SYNC_SIGNAL_SYNCOBJ, s, 0);
	sim_fault("hang", 1);
	REQUIRE_OK(sim_submit(fd, a, &job, NULL));
	EXPECT_OK(sim_syncobj_wait(fd, s, 0, 20000));
	EXPECT_EQ(-ETIME, sim_status(fd, a, 1));
}

static void a_hung_job_of_a_destroyed_queue_frees_the_engine(void)
{
	struct sim_job job = {.timeout_ms = 50};
	uint32_t a, b;
	int fd = open_queues(&a, &b);

	sim_fault("hang", 2);
	REQUIRE_OK(sim_submit(fd, a, &job, NULL));
	REQUIRE_OK(sim_submit(fd, b, &job, NULL));
	REQUIRE_OK(kt_queue_destroy(fd, a));
	REQUIRE_OK(kt_queue_destroy(fd, b));
	a = sim_queue(fd, engine, KERF_PRIORITY_NORMAL);
	REQUIRE_OK(kt_submit_sim(fd, a, 1000, NULL));
	EXPECT_EQ(0, sim_status(fd, a, 1));
}

static void a_failed_reset_kills_the_engine(void)
{
	struct drm_kerf_engine_info info;
	struct drm_kerf_job jobs[4] = {{0}};
	struct sim_job job = {.timeout_ms = 300};
	uint32_t a, b, c;
	int fd = open_queues(&a, &b);

	sim_fault("hang", 1);
	sim_fault("reset_fails", 1);
	REQUIRE_OK(sim_submit(fd, a, &job, NULL));
	REQUIRE_OK(kt_submit_sim(fd, b, LONG_US, NULL));
	REQUIRE_OK(kt_submit(fd, b, jobs, 4, NULL));
	EXPECT_EQ(-ETIME, sim_status(fd, a, 1));
	for (unsigned i = 1; i <= 5; i++)
		EXPECT_EQ(-EIO, sim_status(fd, b, i));
	EXPECT_ERR(-ECANCELED, kt_submit(fd, b, jobs, 1, NULL));
	EXPECT_ERR(-EIO, kt_queue_create(fd, engine, KERF_PRIORITY_NORMAL, 1, &c));
	REQUIRE_OK(kt_engine_info(fd, engine, &info));
	EXPECT_EQ(KERF_ENGINE_DEAD, info.state);
}

int main(int argc, char **argv)
{
	static const struct ktap_case cases[] = {
		KTAP(a_hung_job_is_etime),
		KTAP(too_long_a_job_is_etime),
		KTAP(its_queue_stops),
		KTAP(other_queues_go_on),
		KTAP(who_ran_beside_it_runs_again),
		KTAP(but_not_for_ever),
		KTAP(a_late_answer_is_ignored),
		KTAP(a_second_answer_is_ignored),
		KTAP(an_answer_for_another_job_is_ignored),
		KTAP(a_broken_job_is_eio),
		KTAP(a_hung_job_s_fence_signals),
		KTAP(a_hung_job_of_a_destroyed_queue_frees_the_engine),
		KTAP(a_failed_reset_kills_the_engine),
	};

	return ktap_main(cases, sizeof(cases) / sizeof(cases[0]), argc, argv);
}
