// SPDX-License-Identifier: MIT
/* SUBMIT takes all jobs of a call or none, and every way to learn of a job's end tells the same. */
#include <sys/eventfd.h>
#include <sys/time.h>

#include "sim_test.h"

static uint32_t engine;

static int open_queue(uint32_t depth, uint32_t *queue)
{
	int fd = sim_open(&engine);

	REQUIRE_OK(kt_queue_create(fd, engine, KERF_PRIORITY_NORMAL, depth, queue));
	return fd;
}

static uint64_t last_seqno(int fd, uint32_t queue)
{
	struct drm_kerf_queue_state state;

	REQUIRE_OK(kt_queue_state(fd, queue, &state));
	return state.last_seqno;
}

static void one_bad_job_refuses_all(void)
{
	struct drm_kerf_job jobs[3] = {{0}, {0}, {.flags = ~0u}};
	struct sim_counts before = sim_counts();
	uint32_t q;
	int fd = open_queue(8, &q);

	EXPECT_ERR(-EINVAL, kt_submit(fd, q, jobs, 3, NULL));
	EXPECT_EQ(0, last_seqno(fd, q));
	EXPECT_EQ(before.jobs_done, sim_counts().jobs_done);
}

static void one_bad_window_refuses_all(void)
{
	struct drm_kerf_bo_ref refs[2] = {{.flags = KERF_BO_REF_READ, .size = 4096},
					  {.handle = 4711, .flags = KERF_BO_REF_READ, .size = 1}};
	struct drm_kerf_job jobs[2] = {{0}, {0}};
	uint32_t q;
	int fd = open_queue(8, &q);

	REQUIRE_OK(kt_bo_create(fd, 4096, 0, &refs[0].handle));
	jobs[0].bos = KT_ARRAY(refs, 1);
	jobs[1].bos = KT_ARRAY(refs, 2);
	EXPECT_ERR(-ENOENT, kt_submit(fd, q, jobs, 2, NULL));
	EXPECT_EQ(0, last_seqno(fd, q));
}

static void a_refused_call_leaves_no_gap(void)
{
	struct drm_kerf_job jobs[4] = {{0}};
	uint64_t last;
	uint32_t q;
	int fd = open_queue(8, &q);

	REQUIRE_OK(kt_submit(fd, q, jobs, 2, &last));
	EXPECT_EQ(2, last);
	jobs[3].pad = 1;
	EXPECT_ERR(-EINVAL, kt_submit(fd, q, jobs, 4, NULL));
	jobs[3].pad = 0;
	REQUIRE_OK(kt_submit(fd, q, jobs, 4, &last));
	EXPECT_EQ(6, last);
	EXPECT_EQ(0, sim_status(fd, q, 6));
}

static void a_window_lies_in_its_bo(void)
{
	static const struct {
		uint64_t offset, size;
		int want;
	} at[] = {
		{0, 8192, 0},	   {4096, 4096, 0},	 {8191, 1, 0},
		{0, 8193, -EINVAL}, {8192, 1, -EINVAL}, {~0ull, 2, -EINVAL},
		{2, ~0ull, -EINVAL}, {0, 0, -EINVAL},
	};
	struct drm_kerf_bo_ref ref = {.flags = KERF_BO_REF_WRITE};
	struct drm_kerf_job job = {.bos = KT_ARRAY(&ref, 1)};
	uint32_t q;
	int fd = open_queue(64, &q);

	REQUIRE_OK(kt_bo_create(fd, 8192, 0, &ref.handle));
	for (unsigned i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		ref.offset = at[i].offset;
		ref.size = at[i].size;
		EXPECT_ERR(at[i].want, kt_submit(fd, q, &job, 1, NULL));
	}
}

static void full_queue_is_eagain(void)
{
	struct drm_kerf_job jobs[3] = {{0}};
	uint32_t q;
	int fd = open_queue(3, &q);

	REQUIRE_OK(kt_submit_sim(fd, q, 400000, NULL));
	EXPECT_ERR(-EAGAIN, kt_submit(fd, q, jobs, 3, NULL));
	EXPECT_OK(kt_submit(fd, q, jobs, 2, NULL));
	EXPECT_ERR(-EAGAIN, kt_submit(fd, q, jobs, 1, NULL));
	EXPECT_EQ(0, sim_status(fd, q, 3));
	EXPECT_OK(kt_submit(fd, q, jobs, 3, NULL));
}

static void commands_are_bounded_per_client(void)
{
	const unsigned n = KERF_MAX_CMD_BYTES / KERF_MAX_CMD_SIZE;
	struct drm_kerf_job job = {.cmd_size = KERF_MAX_CMD_SIZE};
	void *cmd = calloc(1, KERF_MAX_CMD_SIZE);
	uint32_t idle, a, b;
	int server = sim_idle_server(&idle), fd = kt_open(KERF_ENGINE_USER);

	REQUIRE(cmd);
	job.cmd = (uintptr_t)cmd;
	REQUIRE_OK(kt_queue_create(fd, idle, KERF_PRIORITY_NORMAL, n, &a));
	REQUIRE_OK(kt_queue_create(fd, idle, KERF_PRIORITY_NORMAL, n, &b));
	for (unsigned i = 0; i < n; i++)
		REQUIRE_OK(kt_submit(fd, a, &job, 1, NULL));
	EXPECT_ERR(-EAGAIN, kt_submit(fd, b, &job, 1, NULL));
	job.cmd_size = 0;
	EXPECT_OK(kt_submit(fd, b, &job, 1, NULL));
	REQUIRE_OK(kt_queue_destroy(fd, a));
	/* the one that runs keeps its own */
	job.cmd_size = KERF_MAX_CMD_SIZE;
	for (unsigned i = 0; i < n - 1; i++)
		REQUIRE_OK(kt_submit(fd, b, &job, 1, NULL));
	close(fd);
	close(server);
}

static void unreadable_commands_are_efault(void)
{
	struct drm_kerf_job job = {.cmd = 8, .cmd_size = sizeof(struct drm_kerf_sim_cmd)};
	uint32_t q;
	int fd = open_queue(4, &q);

	EXPECT_ERR(-EFAULT, kt_submit(fd, q, &job, 1, NULL));
}

static void longer_elements_are_fine_if_zero(void)
{
	struct {
		struct drm_kerf_job job;
		uint64_t later;
	} jobs[2] = {{{0}, 0}};
	struct drm_kerf_submit submit = {.jobs = KT_ARRAY(jobs, 2)};
	int fd = open_queue(8, &submit.queue_id);

	EXPECT_OK(kt_ioctl(fd, DRM_IOCTL_KERF_SUBMIT, &submit));
	jobs[1].later = 1;
	EXPECT_ERR(-E2BIG, kt_ioctl(fd, DRM_IOCTL_KERF_SUBMIT, &submit));
}

static void shorter_elements_read_as_zero(void)
{
	/* up to cmd_size and flags: what came first */
	uint64_t jobs[2][2] = {{0}};
	struct drm_kerf_submit submit = {
		.jobs = {.stride = 16, .count = 2, .array = (uintptr_t)jobs}};
	int fd = open_queue(8, &submit.queue_id);

	EXPECT_OK(kt_ioctl(fd, DRM_IOCTL_KERF_SUBMIT, &submit));
	EXPECT_EQ(0, sim_status(fd, submit.queue_id, 2));
}

static void sixty_four_jobs_run_in_order(void)
{
	struct drm_kerf_job jobs[KERF_MAX_SUBMIT_JOBS + 1] = {{0}};
	uint32_t q;
	int fd = open_queue(128, &q);

	for (unsigned i = 0; i < KERF_MAX_SUBMIT_JOBS; i++) {
		jobs[i].cookie = 1000 + i;
		jobs[i].flags = KERF_JOB_EVENT;
	}
	EXPECT_ERR(-EINVAL, kt_submit(fd, q, jobs, KERF_MAX_SUBMIT_JOBS + 1, NULL));
	REQUIRE_OK(kt_submit(fd, q, jobs, KERF_MAX_SUBMIT_JOBS, NULL));
	for (unsigned i = 0; i < KERF_MAX_SUBMIT_JOBS; i++) {
		struct drm_kerf_event e = sim_event(fd);

		EXPECT_EQ(1000 + i, e.cookie);
		EXPECT_EQ(1 + i, e.seqno);
		EXPECT_EQ(q, e.queue_id);
		EXPECT_EQ(0, e.status);
	}
}

static void event_makes_the_node_readable(void)
{
	struct sim_job job = {.us = 20000, .event = true};
	struct pollfd p = {.events = POLLIN};
	uint32_t q;

	p.fd = open_queue(4, &q);
	EXPECT_EQ(0, poll(&p, 1, 0));
	REQUIRE_OK(sim_submit(p.fd, q, &job, NULL));
	EXPECT_EQ(1, poll(&p, 1, -1));
	EXPECT_EQ(1, sim_event(p.fd).seqno);
	EXPECT_EQ(0, poll(&p, 1, 0));
}

static void event_tells_the_error(void)
{
	struct sim_job job = {.us = 1000, .event = true};
	uint32_t q;
	int fd = open_queue(4, &q);

	sim_fault("fail", 1);
	REQUIRE_OK(sim_submit(fd, q, &job, NULL));
	EXPECT_EQ(-EIO, sim_event(fd).status);
}

static void no_room_for_events_is_enomem(void)
{
	struct sim_job job = {.event = true}, plain = {0};
	unsigned n = 0;
	uint32_t q;
	int fd = open_queue(1024, &q), r;

	while (!(r = sim_submit(fd, q, &job, NULL)) && n < 1024)
		n++;
	EXPECT_ERR(-ENOMEM, r);
	EXPECT_EQ(n, last_seqno(fd, q));
	EXPECT_OK(sim_submit(fd, q, &plain, NULL));
	sim_event(fd);
	EXPECT_OK(sim_submit(fd, q, &job, NULL));
}

static void refused_events_give_their_room_back(void)
{
	struct drm_kerf_job jobs[2] = {{.flags = KERF_JOB_EVENT}, {.pad = 1}};
	uint32_t q;
	int fd = open_queue(4, &q);

	for (unsigned i = 0; i < 1000; i++)
		REQUIRE(kt_submit(fd, q, jobs, 2, NULL) == -EINVAL);
	EXPECT_OK(kt_submit(fd, q, jobs, 1, NULL));
}

static void eventfd_counts(void)
{
	struct drm_kerf_queue_eventfd args = {.fd = eventfd(0, EFD_CLOEXEC)};
	struct pollfd p = {.fd = args.fd, .events = POLLIN};
	uint64_t count = 0;
	int fd = open_queue(4, &args.queue_id);

	REQUIRE_OK(kt_ioctl(fd, DRM_IOCTL_KERF_QUEUE_EVENTFD, &args));
	EXPECT_EQ(0, poll(&p, 1, 0));
	REQUIRE_OK(kt_submit_sim(fd, args.queue_id, 20000, NULL));
	REQUIRE(read(args.fd, &count, sizeof(count)) == sizeof(count));
	EXPECT_EQ(1, count);
	EXPECT_EQ(1, sim_done_seqno(fd, args.queue_id));
}

static void wait_gives_up_at_its_time(void)
{
	uint32_t q;
	int fd = open_queue(4, &q), status = 1;

	REQUIRE_OK(kt_submit_sim(fd, q, 300000, NULL));
	EXPECT_ERR(-ETIME, kt_wait(fd, q, 1, 0, NULL));
	EXPECT_ERR(-ETIME, kt_wait(fd, q, 1, 10, NULL));
	EXPECT_OK(kt_wait(fd, q, 1, -1, &status));
	EXPECT_EQ(0, status);
}

static void nothing(int signal)
{
}

static void wait_is_interrupted_and_called_again(void)
{
	struct drm_kerf_queue_wait wait = {.seqno = 1, .timeout_ns = KT_FOREVER};
	struct sigaction action = {.sa_handler = nothing};
	struct itimerval soon = {.it_value.tv_usec = 30000};
	int fd = open_queue(4, &wait.queue_id);

	sigaction(SIGALRM, &action, NULL);
	REQUIRE_OK(kt_submit_sim(fd, wait.queue_id, 300000, NULL));
	setitimer(ITIMER_REAL, &soon, NULL);
	EXPECT_EQ(-1, ioctl(fd, DRM_IOCTL_KERF_QUEUE_WAIT, &wait));
	EXPECT_EQ(EINTR, errno);
	EXPECT_OK(kt_ioctl(fd, DRM_IOCTL_KERF_QUEUE_WAIT, &wait));
	EXPECT_EQ(0, wait.status);
}

static void stopped_queue_refuses(void)
{
	struct drm_kerf_job jobs[3] = {{0}};
	struct drm_kerf_queue_state state;
	uint32_t q;
	int fd = open_queue(8, &q);

	REQUIRE_OK(kt_submit_sim(fd, q, 300000, NULL));
	sim_fault("fail", 1);
	REQUIRE_OK(kt_submit(fd, q, jobs, 3, NULL));
	EXPECT_EQ(0, sim_status(fd, q, 1));
	EXPECT_EQ(-EIO, sim_status(fd, q, 2));
	EXPECT_EQ(-ECANCELED, sim_status(fd, q, 3));
	EXPECT_EQ(-ECANCELED, sim_status(fd, q, 4));
	EXPECT_ERR(-ECANCELED, kt_submit(fd, q, jobs, 1, NULL));
	REQUIRE_OK(kt_queue_state(fd, q, &state));
	EXPECT_EQ(4, state.done_seqno);
	EXPECT_EQ(2, state.error_seqno);
	EXPECT_EQ(-EIO, state.first_error);
}

int main(int argc, char **argv)
{
	static const struct ktap_case cases[] = {
		KTAP(one_bad_job_refuses_all),
		KTAP(one_bad_window_refuses_all),
		KTAP(a_refused_call_leaves_no_gap),
		KTAP(a_window_lies_in_its_bo),
		KTAP(full_queue_is_eagain),
		KTAP(commands_are_bounded_per_client),
		KTAP(unreadable_commands_are_efault),
		KTAP(longer_elements_are_fine_if_zero),
		KTAP(shorter_elements_read_as_zero),
		KTAP(sixty_four_jobs_run_in_order),
		KTAP(event_makes_the_node_readable),
		KTAP(event_tells_the_error),
		KTAP(no_room_for_events_is_enomem),
		KTAP(refused_events_give_their_room_back),
		KTAP(eventfd_counts),
		KTAP(wait_gives_up_at_its_time),
		KTAP(wait_is_interrupted_and_called_again),
		KTAP(stopped_queue_refuses),
	};

	return ktap_main(cases, sizeof(cases) / sizeof(cases[0]), argc, argv);
}
