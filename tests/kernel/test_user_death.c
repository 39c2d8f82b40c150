// SPDX-License-Identifier: MIT
/* Servers that die, hang or write anything; clients that go; jobs that last. */
#include <sys/prctl.h>

#include "kerf_server_test.h"

#define PAGE 4096u

/* --- Death and successors --- */

static void death_fails_jobs(void)
{
	struct kerf_server_register reg = ks_fail_policy("t-death", 1);
	struct drm_kerf_job job = {0};
	struct kerf_server_record rec;
	uint32_t running, waiting;
	struct ks s;
	int client;

	ks_serve(&s, &reg);
	client = ks_client(&s);
	running = ks_queue(&s, client);
	waiting = ks_queue(&s, client);
	ks_empty_job(client, running);
	ks_expect(&s, KERF_SERVER_RUN, &rec);
	ks_empty_job(client, waiting);
	ks_close(&s);
	EXPECT_EQ(-EOWNERDEAD, ks_result(client, running, 1));
	EXPECT_EQ(-EOWNERDEAD, ks_result(client, waiting, 1));
	EXPECT_ERR(-ECANCELED, kt_submit(client, running, &job, 1, NULL));
}

static void death_leaves_idle_queues(void)
{
	struct kerf_server_register reg = ks_fail_policy("t-idle", 1);
	struct drm_kerf_job job = {0};
	uint32_t queue;
	struct ks s;
	int client;

	ks_serve(&s, &reg);
	client = ks_client(&s);
	queue = ks_queue(&s, client);
	ks_close(&s);
	EXPECT_ERR(-EIO, kt_submit(client, queue, &job, 1, NULL));
	EXPECT_OK(kt_queue_destroy(client, queue));
}

/* A server in a process of its own that reads one job, then does as told. */
static pid_t fork_server(const struct kerf_server_register *reg, struct ks *view, bool answer)
{
	struct kerf_server_record rec;
	int ready[2];
	pid_t pid;

	REQUIRE(!pipe(ready));
	pid = fork();
	REQUIRE(pid >= 0);
	if (!pid) {
		struct ks s;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		ks_serve(&s, reg);
		REQUIRE(write(ready[1], &s.reg, sizeof(s.reg)) == sizeof(s.reg));
		while (ks_read(&s, &rec) == -EAGAIN)
			;
		if (answer)
			REQUIRE_OK(ks_done(&s, &rec, 0));
		REQUIRE(write(ready[1], &s.reg, 1) == 1);
		for (;;)
			pause();
	}
	close(ready[1]);
	memset(view, 0, sizeof(*view));
	view->fd = ready[0];
	REQUIRE(read(ready[0], &view->reg, sizeof(view->reg)) == sizeof(view->reg));
	return pid;
}

/* Once the forked server has read its job (and answered) */
static void kill_server(pid_t pid, const struct ks *view)
{
	char c;

	REQUIRE(read(view->fd, &c, 1) == 1);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void killed_while_running(void)
{
	struct kerf_server_register reg = ks_fail_policy("t-killrun", 1);
	struct ks view;
	pid_t pid = fork_server(&reg, &view, false);
	int client = ks_client(&view);
	uint32_t queue = ks_queue(&view, client);

	ks_empty_job(client, queue);
	kill_server(pid, &view);
	EXPECT_EQ(-EOWNERDEAD, ks_result(client, queue, 1));
}

static void killed_after_done(void)
{
	struct kerf_server_register reg = ks_fail_policy("t-killdone", 1);
	struct ks view;
	pid_t pid = fork_server(&reg, &view, true);
	int client = ks_client(&view);
	uint32_t queue = ks_queue(&view, client);

	ks_empty_job(client, queue);
	kill_server(pid, &view);
	EXPECT_EQ(0, ks_result(client, queue, 1));
}

static void killed_with_jobs_queued(void)
{
	struct kerf_server_register reg = ks_fail_policy("t-killq", 1);
	struct ks view;
	pid_t pid = fork_server(&reg, &view, false);
	int client = ks_client(&view);
	uint32_t queue = ks_queue(&view, client), other = ks_queue(&view, client);

	ks_empty_job(client, queue);
	for (int i = 0; i < 10; i++)
		ks_empty_job(client, other);
	kill_server(pid, &view);
	/* The engine went: that is why none of them ran. */
	EXPECT_EQ(-EOWNERDEAD, ks_result(client, other, 1));
	EXPECT_EQ(-EOWNERDEAD, ks_result(client, other, 10));
}

static void duplicate_keeps_alive(void)
{
	struct kerf_server_register reg = ks_fail_policy("t-dup", 1);
	struct kerf_server_record rec;
	uint32_t queue;
	struct ks s;
	int client, copy;

	ks_serve(&s, &reg);
	client = ks_client(&s);
	queue = ks_queue(&s, client);
	copy = dup(s.fd);
	ks_close(&s);
	s.fd = copy;
	ks_empty_job(client, queue);
	ks_expect(&s, KERF_SERVER_RUN, &rec);
	EXPECT_OK(ks_done(&s, &rec, 0));
	EXPECT_EQ(0, ks_result(client, queue, 1));
	ks_empty_job(client, queue);
	close(copy);
	EXPECT_EQ(-EOWNERDEAD, ks_result(client, queue, 2));
}

static void successor_runs_again(void)
{
	struct kerf_server_register reg = ks_wait_policy("t-succ", 2, 20000);
	struct drm_kerf_engine_info info;
	struct kerf_server_record rec;
	uint32_t queue, other;
	struct ks s, next;
	int client;

	ks_serve(&s, &reg);
	client = ks_client(&s);
	queue = ks_queue(&s, client);
	other = ks_queue(&s, client);
	ks_empty_job(client, queue);
	ks_expect(&s, KERF_SERVER_RUN, &rec);
	ks_close(&s);
	REQUIRE_OK(kt_engine_info(client, s.reg.engine, &info));
	EXPECT_EQ(KERF_ENGINE_WAITING, info.state);
	ks_empty_job(client, other);

	ks_serve(&next, &reg);
	EXPECT_EQ(KERF_SERVER_SUCCESSOR, next.reg.flags);
	EXPECT_EQ(s.reg.engine, next.reg.engine);
	REQUIRE_OK(kt_engine_info(client, s.reg.engine, &info));
	EXPECT_EQ(KERF_ENGINE_READY, info.state);
	for (int i = 0; i < 2; i++) {
		const struct kerf_server_slot *slot;

		ks_expect(&next, KERF_SERVER_RUN, &rec);
		slot = &next.slots[rec.slot];
		EXPECT_EQ(slot->queue_id == queue ? 2 : 1, slot->attempt);
		EXPECT_OK(ks_done(&next, &rec, 0));
	}
	EXPECT(ks_quiet(&next));
	EXPECT_EQ(0, ks_result(client, queue, 1));
	EXPECT_EQ(0, ks_result(client, other, 1));
}

static void successor_after_done_has_nothing(void)
{
	struct kerf_server_register reg = ks_wait_policy("t-nothing", 1, 20000);
	struct kerf_server_record rec;
	uint32_t queue;
	struct ks s, next;
	int client;

	ks_serve(&s, &reg);
	client = ks_client(&s);
	queue = ks_queue(&s, client);
	ks_empty_job(client, queue);
	ks_expect(&s, KERF_SERVER_RUN, &rec);
	EXPECT_OK(ks_done(&s, &rec, 0));
	ks_close(&s);
	ks_serve(&next, &reg);
	EXPECT(ks_quiet(&next));
	EXPECT_EQ(0, ks_result(client, queue, 1));
}

static void successor_of_another_user(void)
{
	struct kerf_server_register reg = ks_wait_policy("t-uid", 1, 20000);
	struct ks s;
	int fd;

	ks_serve(&s, &reg);
	ks_close(&s);
	fd = ks_open();
	REQUIRE(!seteuid(65534));
	EXPECT_ERR(-EPERM, kt_ioctl(fd, KERF_SERVER_IOCTL_REGISTER, &reg));
	REQUIRE(!seteuid(0));
	EXPECT_OK(kt_ioctl(fd, KERF_SERVER_IOCTL_REGISTER, &reg));
}

static void successor_must_be_alike(void)
{
	struct kerf_server_register reg = ks_wait_policy("t-alike", 2, 20000);
	struct ks s;

	ks_serve(&s, &reg);
	ks_close(&s);
	reg.depth = 1;
	ks_refuse(&reg, -EINVAL);
	reg.depth = 2;
	reg.caps = 1;
	ks_refuse(&reg, -EINVAL);
	reg.caps = 0;
	ks_serve(&s, &reg);
	EXPECT_EQ(KERF_SERVER_SUCCESSOR, s.reg.flags);
}

static void attempts_are_capped(void)
{
	struct kerf_server_register reg = ks_wait_policy("t-cap", 1, 20000);
	struct kerf_server_record rec;
	uint32_t queue, innocent;
	struct ks s;
	int client;

	reg.max_attempts = 2;
	ks_serve(&s, &reg);
	client = ks_client(&s);
	queue = ks_queue(&s, client);
	innocent = ks_queue(&s, client);
	ks_empty_job(client, queue);
	for (unsigned attempt = 1; attempt <= 2; attempt++) {
		if (attempt > 1)
			ks_serve(&s, &reg);
		ks_expect(&s, KERF_SERVER_RUN, &rec);
		EXPECT_EQ(queue, s.slots[0].queue_id);
		EXPECT_EQ(attempt, s.slots[0].attempt);
		ks_close(&s);
	}
	EXPECT_EQ(-EOWNERDEAD, ks_result(client, queue, 1));
	ks_empty_job(client, innocent);
	ks_serve(&s, &reg);
	ks_expect(&s, KERF_SERVER_RUN, &rec);
	EXPECT_EQ(innocent, s.slots[0].queue_id);
	EXPECT_OK(ks_done(&s, &rec, 0));
	EXPECT_EQ(0, ks_result(client, innocent, 1));
}

static void grace_expires(void)
{
	struct kerf_server_register reg = ks_wait_policy("t-expire", 1, 50);
	struct drm_kerf_engine_info info;
	struct kerf_server_record rec;
	uint32_t queue, other;
	struct ks s;
	int client;

	ks_serve(&s, &reg);
	client = ks_client(&s);
	queue = ks_queue(&s, client);
	other = ks_queue(&s, client);
	ks_empty_job(client, queue);
	ks_expect(&s, KERF_SERVER_RUN, &rec);
	ks_empty_job(client, other);
	ks_close(&s);
	EXPECT_EQ(-EOWNERDEAD, ks_result(client, queue, 1));
	EXPECT_EQ(-EOWNERDEAD, ks_result(client, other, 1));
	while (!kt_engine_info(client, s.reg.engine, &info))
		usleep(1000);
	/* The name is free again. */
	ks_serve(&s, &reg);
	EXPECT_EQ(0, s.reg.flags);
}

/* --- Clients that go, jobs that last --- */

static void killed_client_is_told(void)
{
	struct kerf_server_register reg = ks_fail_policy("t-client", 1);
	struct kerf_server_record run, rec;
	uint32_t queue;
	struct ks s;
	int client, ready[2];
	pid_t pid;
	char c = 0;

	ks_serve(&s, &reg);
	REQUIRE(!pipe(ready));
	pid = fork();
	REQUIRE(pid >= 0);
	if (!pid) {
		client = ks_client(&s);
		ks_empty_job(client, ks_queue(&s, client));
		REQUIRE(write(ready[1], &c, 1) == 1);
		for (;;)
			pause();
	}
	REQUIRE(read(ready[0], &c, 1) == 1);
	ks_expect(&s, KERF_SERVER_RUN, &run);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	ks_expect(&s, KERF_SERVER_CANCEL, &rec);
	EXPECT_EQ(run.slot, rec.slot);
	EXPECT_EQ(run.generation, rec.generation);
	EXPECT_OK(ks_done(&s, &run, -EIO));
	client = ks_client(&s);
	queue = ks_queue(&s, client);
	ks_empty_job(client, queue);
	ks_expect(&s, KERF_SERVER_RUN, &run);
	EXPECT_OK(ks_done(&s, &run, 0));
	EXPECT_EQ(0, ks_result(client, queue, 1));
}

static void destroyed_queue_is_told(void)
{
	struct kerf_server_register reg = ks_fail_policy("t-destroy", 1);
	struct kerf_server_record run, rec;
	uint32_t queue;
	struct ks s;
	int client;

	ks_serve(&s, &reg);
	client = ks_client(&s);
	queue = ks_queue(&s, client);
	ks_empty_job(client, queue);
	REQUIRE_OK(kt_queue_destroy(client, queue));
	/* Also when it has not read the job yet. */
	ks_expect(&s, KERF_SERVER_RUN, &run);
	ks_expect(&s, KERF_SERVER_CANCEL, &rec);
	EXPECT_EQ(run.generation, rec.generation);
	EXPECT_OK(ks_done(&s, &run, 0));
	EXPECT(ks_quiet(&s));
}

static void timeout_holds_the_slot(void)
{
	struct kerf_server_register reg = ks_fail_policy("t-time", 2);
	struct drm_kerf_job job = {.timeout_ms = 30};
	struct kerf_server_record run, rec, other_run;
	uint32_t queue, other;
	struct ks s;
	int client;

	ks_serve(&s, &reg);
	client = ks_client(&s);
	queue = ks_queue(&s, client);
	other = ks_queue(&s, client);
	REQUIRE_OK(kt_submit(client, queue, &job, 1, NULL));
	ks_expect(&s, KERF_SERVER_RUN, &run);
	EXPECT_EQ(-ETIME, ks_result(client, queue, 1));
	ks_expect(&s, KERF_SERVER_CANCEL, &rec);
	EXPECT_EQ(run.slot, rec.slot);
	EXPECT_EQ(run.generation, rec.generation);
	EXPECT_ERR(-ESTALE, ks_get_bo(&s, &run, 0));
	/* The other slot serves all. */
	for (uint64_t seqno = 1; seqno <= 3; seqno++) {
		ks_empty_job(client, other);
		ks_expect(&s, KERF_SERVER_RUN, &other_run);
		EXPECT(other_run.slot != run.slot);
		EXPECT_OK(ks_done(&s, &other_run, 0));
		EXPECT_EQ(0, ks_result(client, other, seqno));
	}
	/* The late answer ends nothing but the wait for it. */
	EXPECT_OK(ks_done(&s, &run, 0));
	EXPECT_EQ(-ETIME, ks_result(client, queue, 1));
	queue = ks_queue(&s, client);
	ks_empty_job(client, queue);
	ks_empty_job(client, other);
	ks_expect(&s, KERF_SERVER_RUN, &run);
	ks_expect(&s, KERF_SERVER_RUN, &other_run);
	EXPECT(run.slot != other_run.slot);
}

static void timeout_of_a_job_not_read(void)
{
	struct kerf_server_register reg = ks_fail_policy("t-unread", 1);
	struct drm_kerf_job job = {.timeout_ms = 30};
	struct kerf_server_record rec;
	uint32_t queue, other;
	struct ks s;
	int client;

	ks_serve(&s, &reg);
	client = ks_client(&s);
	queue = ks_queue(&s, client);
	other = ks_queue(&s, client);
	REQUIRE_OK(kt_submit(client, queue, &job, 1, NULL));
	EXPECT_EQ(-ETIME, ks_result(client, queue, 1));
	EXPECT(ks_quiet(&s));
	/* Its slot was never the server's. */
	ks_empty_job(client, other);
	ks_expect(&s, KERF_SERVER_RUN, &rec);
	EXPECT_OK(ks_done(&s, &rec, 0));
	EXPECT_EQ(0, ks_result(client, other, 1));
}

static void stuck_server_is_given_up(void)
{
	struct kerf_server_register reg = ks_fail_policy("t-stuck", 1);
	struct drm_kerf_job job = {.timeout_ms = 30};
	struct kerf_server_record rec;
	struct pollfd p;
	uint32_t queue, other;
	struct ks s;
	int client;

	ks_serve(&s, &reg);
	client = ks_client(&s);
	queue = ks_queue(&s, client);
	other = ks_queue(&s, client);
	REQUIRE_OK(kt_submit(client, queue, &job, 1, NULL));
	ks_expect(&s, KERF_SERVER_RUN, &rec);
	ks_empty_job(client, other);
	EXPECT_EQ(-ETIME, ks_result(client, queue, 1));
	EXPECT_EQ(-EOWNERDEAD, ks_result(client, other, 1));
	EXPECT_ERR(-ESHUTDOWN, ks_done(&s, &rec, 0));
	EXPECT_ERR(-ESHUTDOWN, ks_read(&s, &rec));
	EXPECT_ERR(-ESHUTDOWN, ks_get_bo(&s, &rec, 0));
	p = (struct pollfd){.fd = s.fd, .events = POLLIN};
	EXPECT_EQ(1, poll(&p, 1, 0));
	EXPECT_EQ(POLLHUP, p.revents);
	EXPECT_ERR(-EBUSY, kt_ioctl(s.fd, KERF_SERVER_IOCTL_REGISTER, &reg));
}

static void successor_of_a_stuck_server(void)
{
	struct kerf_server_register reg = ks_wait_policy("t-stucksucc", 1, 20000);
	struct drm_kerf_job job = {.timeout_ms = 30};
	struct kerf_server_record rec;
	uint32_t queue, other;
	struct ks s, next;
	int client;

	ks_serve(&s, &reg);
	client = ks_client(&s);
	queue = ks_queue(&s, client);
	other = ks_queue(&s, client);
	REQUIRE_OK(kt_submit(client, queue, &job, 1, NULL));
	ks_expect(&s, KERF_SERVER_RUN, &rec);
	ks_empty_job(client, other);
	EXPECT_EQ(-ETIME, ks_result(client, queue, 1));
	while (ks_read(&s, &rec) != -ESHUTDOWN)
		;
	ks_serve(&next, &reg);
	ks_expect(&next, KERF_SERVER_RUN, &rec);
	EXPECT_OK(ks_done(&next, &rec, 0));
	EXPECT_EQ(0, ks_result(client, other, 1));
}

/* --- A server that writes anything --- */

static uint32_t any(uint32_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 17;
	*seed ^= *seed << 5;
	return *seed;
}

static void hostile_server(void)
{
	struct kerf_server_register reg = ks_fail_policy("t-hostile", 4);
	struct drm_kerf_bo_ref ref = {.flags = KERF_BO_REF_READ, .size = PAGE};
	struct drm_kerf_job job = {.bos = KT_ARRAY(&ref, 1), .timeout_ms = 20};
	uint32_t queue[8], seed = 12345, known = 0;
	uint64_t last[8] = {0};
	struct ks s;
	int client, status;

	ks_serve(&s, &reg);
	client = ks_client(&s);
	REQUIRE_OK(kt_bo_create(client, PAGE, 0, &ref.handle));
	for (int i = 0; i < 8; i++)
		queue[i] = ks_queue(&s, client);
	for (int n = 0; n < 5000; n++) {
		struct kerf_server_done done = {.slot = any(&seed) % 5,
						.generation = known + any(&seed) % 4 - 2,
						.status = -(int)(any(&seed) % 3 * 5),
						.busy_ns = any(&seed)};
		struct kerf_server_get_bo get = {.slot = done.slot,
						 .generation = done.generation,
						 .window = any(&seed) % 2};
		struct kerf_server_record rec;
		unsigned q = any(&seed) % 8;

		switch (any(&seed) % 4) {
		case 0:
			if (kt_submit(client, queue[q], &job, 1, &last[q]) == -ECANCELED) {
				kt_queue_destroy(client, queue[q]);
				queue[q] = ks_queue(&s, client);
				last[q] = 0;
			}
			break;
		case 1:
			if (read(s.fd, &rec, sizeof(rec)) == sizeof(rec))
				known = rec.generation;
			break;
		case 2:
			if (write(s.fd, &done, sizeof(done)) < 0)
				EXPECT(errno == EINVAL || errno == ESHUTDOWN);
			break;
		case 3:
			if (!kt_ioctl(s.fd, KERF_SERVER_IOCTL_GET_BO, &get))
				close(get.fd);
			break;
		}
		if (read(s.fd, NULL, 0) < 0 && errno == ESHUTDOWN) {
			ks_close(&s);
			ks_serve(&s, &reg);
			for (int i = 0; i < 8; i++) {
				queue[i] = ks_queue(&s, client);
				last[i] = 0;
			}
		}
	}
	/* Whatever it did, every job of its clients ends. */
	ks_close(&s);
	for (int i = 0; i < 8; i++)
		if (last[i])
			EXPECT_OK(kt_wait(client, queue[i], last[i], -1, &status));
}

static const struct ktap_case cases[] = {
	KTAP(death_fails_jobs),
	KTAP(death_leaves_idle_queues),
	KTAP(killed_while_running),
	KTAP(killed_after_done),
	KTAP(killed_with_jobs_queued),
	KTAP(duplicate_keeps_alive),
	KTAP(successor_runs_again),
	KTAP(successor_after_done_has_nothing),
	KTAP(successor_of_another_user),
	KTAP(successor_must_be_alike),
	KTAP(attempts_are_capped),
	KTAP(grace_expires),
	KTAP(killed_client_is_told),
	KTAP(destroyed_queue_is_told),
	KTAP(timeout_holds_the_slot),
	KTAP(timeout_of_a_job_not_read),
	KTAP(stuck_server_is_given_up),
	KTAP(successor_of_a_stuck_server),
	KTAP(hostile_server),
};

int main(int argc, char **argv)
{
	return ktap_main(cases, sizeof(cases) / sizeof(cases[0]), argc, argv);
}
