/* SPDX-License-Identifier: MIT */
/*
 * For tests of the scheduler: queues of the sim engine, its fault knobs, jobs with syncs, syncobjs,
 * and an engine whose server never answers.
 */
#ifndef SIM_TEST_H
#define SIM_TEST_H

#include <poll.h>

#include "kerf_server.h"
#include "kerf_test.h"

#define SIM_DEBUGFS "/sys/kernel/debug/kerf/kerf-virtual/"
#define SIM_MAX_DEPTH 1024

static inline uint32_t sim_queue(int fd, uint32_t engine, uint32_t priority)
{
	uint32_t id;

	REQUIRE_OK(kt_queue_create(fd, engine, priority, SIM_MAX_DEPTH, &id));
	return id;
}

/* The next @n jobs meet the fault: hang, late, twice, stale, fail; or resets: reset_fails */
static inline void sim_fault(const char *name, unsigned n)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), SIM_DEBUGFS "sim/%s", name);
	f = fopen(path, "w");
	if (!f)
		ktap_skip("%s: %s", path, strerror(errno));
	fprintf(f, "%u\n", n);
	REQUIRE(!fclose(f));
}

struct sim_counts {
	unsigned running;
	unsigned long long jobs_done, spurious, resets;
};

static inline struct sim_counts sim_counts(void)
{
	struct sim_counts c = {0};
	char line[256];
	bool found = false;
	FILE *f = fopen(SIM_DEBUGFS "engines", "r");

	if (!f)
		ktap_skip(SIM_DEBUGFS "engines: %s", strerror(errno));
	while (!found && fgets(line, sizeof(line), f))
		found = sscanf(line, "%*u sim sim %*s %*u %u %*u %llu %llu %llu", &c.running,
			       &c.jobs_done, &c.spurious, &c.resets) == 4;
	fclose(f);
	REQUIRE(found);
	return c;
}

/* A file of the device that has the sim engine, idle, and the engine's index */
static inline int sim_open(uint32_t *engine)
{
	int fd = kt_open(KERF_ENGINE_SIM);

	*engine = kt_engine(fd, KERF_ENGINE_SIM);
	/* what the case before left there */
	while (sim_counts().running)
		usleep(5000);
	return fd;
}

/* A job and what it points to */
struct sim_job {
	uint32_t us, timeout_ms;
	uint64_t cookie;
	bool event;
	unsigned n_syncs;
	struct drm_kerf_sync syncs[64];
};

static inline int sim_submit(int fd, uint32_t queue, const struct sim_job *from, uint64_t *seqno)
{
	struct drm_kerf_sim_cmd cmd = {.duration_us = from->us};
	struct drm_kerf_job job = {
		.cmd = (uintptr_t)&cmd,
		.cmd_size = from->us ? sizeof(cmd) : 0,
		.flags = from->event ? KERF_JOB_EVENT : 0,
		.syncs = KT_ARRAY(from->syncs, from->n_syncs),
		.cookie = from->cookie,
		.timeout_ms = from->timeout_ms,
	};

	return kt_submit(fd, queue, &job, 1, seqno);
}

static inline struct drm_kerf_sync sim_sync(uint32_t type, uint32_t handle, uint64_t point)
{
	return (struct drm_kerf_sync){.type = type, .handle = handle, .point = point};
}

static inline uint64_t sim_done_seqno(int fd, uint32_t queue)
{
	struct drm_kerf_queue_state state;

	REQUIRE_OK(kt_queue_state(fd, queue, &state));
	return state.done_seqno;
}

/* The status of a job; it is waited for. */
static inline int sim_status(int fd, uint32_t queue, uint64_t seqno)
{
	int status = 1;

	REQUIRE_OK(kt_wait(fd, queue, seqno, -1, &status));
	return status;
}

/* Reads the next event, waiting for it */
static inline struct drm_kerf_event sim_event(int fd)
{
	struct drm_kerf_event event;

	REQUIRE(read(fd, &event, sizeof(event)) == sizeof(event));
	REQUIRE(event.base.type == KERF_EVENT_JOB_DONE && event.base.length == sizeof(event));
	return event;
}

static inline uint32_t sim_syncobj(int fd, uint32_t flags)
{
	struct drm_syncobj_create create = {.flags = flags};

	REQUIRE_OK(kt_ioctl(fd, DRM_IOCTL_SYNCOBJ_CREATE, &create));
	return create.handle;
}

/*
 * Until the syncobj's fence (of the timeline's @point, if not 0) has signalled; -ETIME after
 * @timeout_ms
 */
static inline int sim_syncobj_wait(int fd, uint32_t handle, uint64_t point, int64_t timeout_ms)
{
	struct drm_syncobj_timeline_wait wait = {
		.handles = (uintptr_t)&handle,
		.points = (uintptr_t)&point,
		.timeout_nsec = kt_now() + timeout_ms * 1000000,
		.count_handles = 1,
	};

	return kt_ioctl(fd, DRM_IOCTL_SYNCOBJ_TIMELINE_WAIT, &wait);
}

/* An engine whose server takes no job; the descriptor is the server, *engine its index. */
static inline int sim_idle_server(uint32_t *engine)
{
	struct kerf_server_register reg = {
		.depth = 1, .timeout_ms = KERF_MAX_TIMEOUT_MS, .max_attempts = 1};
	int server = open(KERF_SERVER_NODE, O_RDWR | O_CLOEXEC);

	if (server < 0)
		ktap_skip(KERF_SERVER_NODE ": %s", strerror(errno));
	snprintf(reg.name, sizeof(reg.name), "idle-%d", getpid());
	REQUIRE_OK(kt_ioctl(server, KERF_SERVER_IOCTL_REGISTER, &reg));
	*engine = reg.engine;
	return server;
}

#endif
