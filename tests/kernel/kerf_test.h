/* SPDX-License-Identifier: MIT */
/*
 * What kernel tests share: finding the node and an engine, and the ioctls as calls that return 0 or
 * a negative errno. A test of what a call refuses fills the struct itself and uses kt_ioctl().
 */
#ifndef KERF_TEST_H
#define KERF_TEST_H

#include <fcntl.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <time.h>

#include "kerf_accel.h"
#include "ktap.h"

#define KT_FOREVER INT64_MAX
#define KT_ARRAY(p, n) ((struct drm_kerf_obj_array){sizeof((p)[0]), (n), (uintptr_t)(p)})

static inline int kt_ioctl(int fd, unsigned long request, void *arg)
{
	int r;

	do
		r = ioctl(fd, request, arg);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : 0;
}

static inline int64_t kt_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static inline int kt_device_info(int fd, struct drm_kerf_device_info *info)
{
	struct drm_kerf_dev_query query = {
		.type = KERF_QUERY_DEVICE, .size = sizeof(*info), .pointer = (uintptr_t)info};

	return kt_ioctl(fd, DRM_IOCTL_KERF_DEV_QUERY, &query);
}

static inline int kt_engine_info(int fd, unsigned engine, struct drm_kerf_engine_info *info)
{
	struct drm_kerf_dev_query query = {.type = KERF_QUERY_ENGINE,
					   .index = engine,
					   .size = sizeof(*info),
					   .pointer = (uintptr_t)info};

	return kt_ioctl(fd, DRM_IOCTL_KERF_DEV_QUERY, &query);
}

/* Index of @fd's first engine of a class, or -ENOENT */
static inline int kt_engine(int fd, unsigned engine_class)
{
	struct drm_kerf_device_info dev = {0};
	struct drm_kerf_engine_info info;

	if (kt_device_info(fd, &dev))
		return -ENOENT;
	for (unsigned i = 0; i < dev.n_engines; i++)
		if (!kt_engine_info(fd, i, &info) && info.engine_class == engine_class)
			return i;
	return -ENOENT;
}

/*
 * Opens a node of kerf's that has an engine of the class (0: any node), with flags beside O_RDWR;
 * -1 if there is none.
 */
static inline int kt_find_with(unsigned engine_class, int flags)
{
	static const char *const form[] = {"/dev/accel/accel%d", "/dev/dri/renderD%d"};
	static const int first[] = {0, 128};

	for (int f = 0; f < 2; f++) {
		for (int i = first[f]; i < first[f] + 64; i++) {
			char path[64], name[16] = "";
			struct drm_version version = {.name = name, .name_len = sizeof(name) - 1};
			int fd;

			snprintf(path, sizeof(path), form[f], i);
			fd = open(path, O_RDWR | O_CLOEXEC | flags);
			if (fd < 0)
				continue;
			if (!kt_ioctl(fd, DRM_IOCTL_VERSION, &version) &&
			    !strcmp(name, KERF_ACCEL_NAME) &&
			    (!engine_class || kt_engine(fd, engine_class) >= 0))
				return fd;
			close(fd);
		}
	}
	return -1;
}

static inline int kt_find(unsigned engine_class)
{
	return kt_find_with(engine_class, 0);
}

/*
 * As kt_find(), but a missing node skips the case, or fails it where KERF_TEST_ENGINES (the classes
 * that the guest must have, as in "0 1 2") names the class.
 */
static inline int kt_open(unsigned engine_class)
{
	const char *must = getenv("KERF_TEST_ENGINES");
	int fd = kt_find(engine_class);

	if (fd >= 0)
		return fd;
	if (must && strchr(must, '0' + engine_class)) {
		ktap_check(false, __LINE__, "no kerf node with an engine of class %u",
			   engine_class);
		_exit(1);
	}
	ktap_skip("no kerf node with an engine of class %u", engine_class);
}

static inline int kt_bo_create(int fd, uint64_t size, uint32_t flags, uint32_t *handle)
{
	struct drm_kerf_bo_create create = {.size = size, .flags = flags};
	int r = kt_ioctl(fd, DRM_IOCTL_KERF_BO_CREATE, &create);

	*handle = create.handle;
	return r;
}

static inline int kt_bo_close(int fd, uint32_t handle)
{
	struct drm_gem_close gem = {.handle = handle};

	return kt_ioctl(fd, DRM_IOCTL_GEM_CLOSE, &gem);
}

/* Maps a BO whole for reading and writing; NULL with errno set if that is refused. */
static inline void *kt_bo_map(int fd, uint32_t handle, uint64_t *size)
{
	struct drm_kerf_bo_info info = {.handle = handle};
	int r = kt_ioctl(fd, DRM_IOCTL_KERF_BO_INFO, &info);
	void *p;

	if (r) {
		errno = -r;
		return NULL;
	}
	if (size)
		*size = info.size;
	p = mmap(NULL, info.size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, info.mmap_offset);
	return p == MAP_FAILED ? NULL : p;
}

static inline int kt_queue_create(int fd, uint32_t engine, uint32_t priority, uint32_t depth,
				  uint32_t *id)
{
	struct drm_kerf_queue_create create = {
		.engine = engine, .priority = priority, .depth = depth};
	int r = kt_ioctl(fd, DRM_IOCTL_KERF_QUEUE_CREATE, &create);

	*id = create.queue_id;
	return r;
}

static inline int kt_queue_destroy(int fd, uint32_t id)
{
	struct drm_kerf_queue_destroy destroy = {.queue_id = id};

	return kt_ioctl(fd, DRM_IOCTL_KERF_QUEUE_DESTROY, &destroy);
}

static inline int kt_submit(int fd, uint32_t queue, const struct drm_kerf_job *jobs, uint32_t n,
			    uint64_t *last_seqno)
{
	struct drm_kerf_submit submit = {.queue_id = queue, .jobs = KT_ARRAY(jobs, n)};
	int r = kt_ioctl(fd, DRM_IOCTL_KERF_SUBMIT, &submit);

	if (last_seqno)
		*last_seqno = submit.last_seqno;
	return r;
}

/* One sim job that keeps its engine busy for @us (0: without commands) */
static inline int kt_submit_sim(int fd, uint32_t queue, uint32_t us, uint64_t *seqno)
{
	struct drm_kerf_sim_cmd cmd = {.duration_us = us};
	struct drm_kerf_job job = {.cmd = (uintptr_t)&cmd, .cmd_size = us ? sizeof(cmd) : 0};

	return kt_submit(fd, queue, &job, 1, seqno);
}

/* @timeout_ms from now; negative: for ever. *status is how the job ended. */
static inline int kt_wait(int fd, uint32_t queue, uint64_t seqno, int64_t timeout_ms, int *status)
{
	struct drm_kerf_queue_wait wait = {
		.queue_id = queue,
		.seqno = seqno,
		.timeout_ns = timeout_ms < 0 ? KT_FOREVER : kt_now() + timeout_ms * 1000000,
	};
	int r = kt_ioctl(fd, DRM_IOCTL_KERF_QUEUE_WAIT, &wait);

	if (status)
		*status = wait.status;
	return r;
}

static inline int kt_queue_state(int fd, uint32_t queue, struct drm_kerf_queue_state *state)
{
	memset(state, 0, sizeof(*state));
	state->queue_id = queue;
	return kt_ioctl(fd, DRM_IOCTL_KERF_QUEUE_STATE, state);
}

#endif
