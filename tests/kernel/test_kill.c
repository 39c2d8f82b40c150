// SPDX-License-Identifier: MIT
/*
 * A client killed at any moment: the engine serves the others, and nothing of the dead one is left.
 * module-params: sim_depth=1
 */
#include "sim_test.h"

static uint32_t engine;

/* Lines of a debugfs table, without its head */
static unsigned lines(const char *name)
{
	char path[128];
	unsigned n = 0;
	int c;
	FILE *f;

	snprintf(path, sizeof(path), SIM_DEBUGFS "%s", name);
	f = fopen(path, "r");
	if (!f)
		ktap_skip("%s: %s", path, strerror(errno));
	while ((c = fgetc(f)) != EOF)
		n += c == '\n';
	fclose(f);
	return n - 1;
}

/*
 * Runs @stage in a child on a file of its own, kills it when it says so, and looks at what is left.
 */
static void kill_at(void (*stage)(int fd))
{
	unsigned clients, queues;
	int ready[2], mine = sim_open(&engine);
	uint32_t q = sim_queue(mine, engine, KERF_PRIORITY_NORMAL);
	pid_t pid;
	char c;

	clients = lines("clients");
	queues = lines("queues");
	REQUIRE(!pipe(ready));
	pid = fork();
	REQUIRE(pid >= 0);
	if (!pid) {
		stage(kt_open(KERF_ENGINE_SIM));
		if (write(ready[1], "", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(ready[1]);
	REQUIRE(read(ready[0], &c, 1) == 1);
	REQUIRE(lines("clients") == clients + 1);
	kill(pid, SIGKILL);
	REQUIRE(waitpid(pid, NULL, 0) == pid);
	REQUIRE_OK(kt_submit_sim(mine, q, 1000, NULL));
	EXPECT_EQ(0, sim_status(mine, q, 1));
	EXPECT_EQ(clients, lines("clients"));
	EXPECT_EQ(queues, lines("queues"));
}

static uint32_t queue(int fd)
{
	return sim_queue(fd, engine, KERF_PRIORITY_NORMAL);
}

static void with_queues_alone(int fd)
{
	for (unsigned i = 0; i < 8; i++)
		queue(fd);
}

static void with_running(int fd)
{
	REQUIRE_OK(kt_submit_sim(fd, queue(fd), 300000, NULL));
	while (!sim_counts().running)
		usleep(1000);
}

static void with_queued(int fd)
{
	struct drm_kerf_job jobs[64] = {{0}};

	with_running(fd);
	for (unsigned i = 0; i < 8; i++) {
		uint32_t q = queue(fd);

		for (unsigned k = 0; k < 4; k++)
			REQUIRE_OK(kt_submit(fd, q, jobs, 64, NULL));
	}
}

static void with_hung(int fd)
{
	struct sim_job job = {.timeout_ms = 100};

	sim_fault("hang", 1);
	REQUIRE_OK(sim_submit(fd, queue(fd), &job, NULL));
}

static void with_done_unread(int fd)
{
	struct sim_job job = {.event = true};
	uint32_t q = queue(fd);

	for (unsigned i = 0; i < 50; i++)
		REQUIRE_OK(sim_submit(fd, q, &job, NULL));
	REQUIRE_OK(kt_wait(fd, q, 50, -1, NULL));
}

static void with_events_pending(int fd)
{
	struct sim_job job = {.us = 300000, .event = true};
	uint32_t q = queue(fd);

	for (unsigned i = 0; i < 20; i++)
		REQUIRE_OK(sim_submit(fd, q, &job, NULL));
}

static void with_waits(int fd)
{
	struct sim_job job = {.n_syncs = 1};
	uint32_t a = queue(fd), b = queue(fd), c = queue(fd), s = sim_syncobj(fd, 0);

	with_running(fd);
	job.syncs[0] = sim_sync(KERF_SYNC_SIGNAL_SYNCOBJ, s, 0);
	REQUIRE_OK(sim_submit(fd, a, &job, NULL));
	job.syncs[0] = sim_sync(KERF_SYNC_WAIT_SYNCOBJ, s, 0);
	REQUIRE_OK(sim_submit(fd, b, &job, NULL));
	job.syncs[0] = sim_sync(KERF_SYNC_WAIT_QUEUE, b, 1);
	REQUIRE_OK(sim_submit(fd, c, &job, NULL));
}

static void in_a_wait(int fd)
{
	uint32_t q = queue(fd);

	REQUIRE_OK(kt_submit_sim(fd, q, 300000, NULL));
	if (!fork()) {
		kt_wait(fd, q, 1, -1, NULL);
		_exit(0);
	}
	close(fd);
}

static void with_bos(int fd)
{
	struct drm_kerf_bo_ref refs[16];
	struct drm_kerf_job jobs[16];

	with_running(fd);
	for (unsigned i = 0; i < 16; i++) {
		refs[i] = (struct drm_kerf_bo_ref){.flags = KERF_BO_REF_WRITE, .size = 65536};
		REQUIRE_OK(kt_bo_create(fd, 65536, 0, &refs[i].handle));
		jobs[i] = (struct drm_kerf_job){.bos = KT_ARRAY(refs, i + 1)};
	}
	REQUIRE_OK(kt_submit(fd, queue(fd), jobs, 16, NULL));
	for (unsigned i = 0; i < 16; i++)
		REQUIRE_OK(kt_bo_close(fd, refs[i].handle));
}

#define KILLED(stage)                          \
	static void killed_##stage(void)       \
	{                                      \
		kill_at(stage);                \
	}
KILLED(with_queues_alone)
KILLED(with_running)
KILLED(with_queued)
KILLED(with_hung)
KILLED(with_done_unread)
KILLED(with_events_pending)
KILLED(with_waits)
KILLED(with_bos)

/* The file outlives the process that opened it, in a child that waits in the kernel. */
static void killed_in_a_wait(void)
{
	int ready[2], mine = sim_open(&engine);
	uint32_t q = sim_queue(mine, engine, KERF_PRIORITY_NORMAL);
	pid_t pid;
	char c;

	REQUIRE(!pipe(ready));
	pid = fork();
	REQUIRE(pid >= 0);
	if (!pid) {
		in_a_wait(kt_open(KERF_ENGINE_SIM));
		if (write(ready[1], "", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(ready[1]);
	REQUIRE(read(ready[0], &c, 1) == 1);
	kill(pid, SIGKILL);
	REQUIRE(waitpid(pid, NULL, 0) == pid);
	REQUIRE_OK(kt_submit_sim(mine, q, 1000, NULL));
	EXPECT_EQ(0, sim_status(mine, q, 1));
}

/* Killed while it submits as fast as it can, at a moment that nobody chose */
static void killed_while_submitting(void)
{
	int mine = sim_open(&engine);
	uint32_t q = sim_queue(mine, engine, KERF_PRIORITY_NORMAL);

	for (unsigned i = 1; i <= 20; i++) {
		pid_t pid = fork();

		REQUIRE(pid >= 0);
		if (!pid) {
			struct drm_kerf_job jobs[64] = {{0}};
			int fd = kt_open(KERF_ENGINE_SIM);
			uint32_t theirs = queue(fd);

			for (;;)
				kt_submit(fd, theirs, jobs, 1 + rand() % 64, NULL);
		}
		usleep(10000 + 3000 * i);
		kill(pid, SIGKILL);
		REQUIRE(waitpid(pid, NULL, 0) == pid);
		REQUIRE_OK(kt_submit_sim(mine, q, 0, NULL));
		EXPECT_EQ(0, sim_status(mine, q, i));
	}
}

int main(int argc, char **argv)
{
	static const struct ktap_case cases[] = {
		KTAP(killed_with_queues_alone),
		KTAP(killed_with_running),
		KTAP(killed_with_queued),
		KTAP(killed_with_hung),
		KTAP(killed_with_done_unread),
		KTAP(killed_with_events_pending),
		KTAP(killed_with_waits),
		KTAP(killed_with_bos),
		KTAP(killed_in_a_wait),
		KTAP(killed_while_submitting),
	};

	return ktap_main(cases, sizeof(cases) / sizeof(cases[0]), argc, argv);
}
