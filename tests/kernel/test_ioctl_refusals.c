/* SPDX-License-Identifier: MIT */
/* What every ioctl of the node refuses: one mistake and one errno a case, all else being right.
 * kernel-log: silent */
#include <sys/eventfd.h>

#include "kerf_test.h"

#define BAD_POINTER 8 /* an address where nothing is mapped */
#define BO_SIZE 8192

/* A client with a queue of depth 4 on the sim engine and a BO of two pages */
struct fixture {
	int fd;
	uint32_t engine;
	uint32_t queue;
	uint32_t bo;
};

static struct fixture fixture(void)
{
	struct fixture f = {.fd = kt_open(KERF_ENGINE_SIM)};

	f.engine = kt_engine(f.fd, KERF_ENGINE_SIM);
	REQUIRE_OK(kt_queue_create(f.fd, f.engine, KERF_PRIORITY_NORMAL, 4, &f.queue));
	REQUIRE_OK(kt_bo_create(f.fd, BO_SIZE, 0, &f.bo));
	return f;
}

/* A case named @name: the call, right but for the fields given, ends with @errno_. */
#define REFUSED(name, errno_, nr, type, ...)                                    \
	static void name(void)                                                  \
	{                                                                       \
		struct fixture f = fixture();                                   \
		struct drm_kerf_##type args = {__VA_ARGS__};                    \
                                                                                \
		EXPECT_ERR(errno_, kt_ioctl(f.fd, DRM_IOCTL_KERF_##nr, &args)); \
	}

/* DEV_QUERY */

static void query_takes_no_answer(void)
{
	struct fixture f = fixture();
	struct drm_kerf_dev_query args = {.type = KERF_QUERY_ENGINE, .index = f.engine, .size = 1};

	EXPECT_OK(kt_ioctl(f.fd, DRM_IOCTL_KERF_DEV_QUERY, &args));
	EXPECT_EQ(sizeof(struct drm_kerf_engine_info), args.size);
}

static void query_writes_no_more_than_asked(void)
{
	struct fixture f = fixture();
	unsigned char answer[sizeof(struct drm_kerf_device_info)];
	struct drm_kerf_dev_query args = {
		.type = KERF_QUERY_DEVICE, .size = 8, .pointer = (uintptr_t)answer};

	memset(answer, 0xa5, sizeof(answer));
	EXPECT_OK(kt_ioctl(f.fd, DRM_IOCTL_KERF_DEV_QUERY, &args));
	for (size_t i = 8; i < sizeof(answer); i++)
		EXPECT_EQ(0xa5, answer[i]);
}

REFUSED(query_pad, -EINVAL, DEV_QUERY, dev_query, .pad = 1)
REFUSED(query_type, -EINVAL, DEV_QUERY, dev_query, .type = 2)
REFUSED(query_device_index, -EINVAL, DEV_QUERY, dev_query, .index = 1)
REFUSED(query_engine_absent, -ENOENT, DEV_QUERY, dev_query, .type = KERF_QUERY_ENGINE, .index = 15)
REFUSED(query_engine_huge, -ENOENT, DEV_QUERY, dev_query, .type = KERF_QUERY_ENGINE,
	.index = UINT32_MAX)
REFUSED(query_pointer, -EFAULT, DEV_QUERY, dev_query, .size = 64, .pointer = BAD_POINTER)

/* BO_CREATE, BO_INFO, BO_SYNC */

REFUSED(bo_create_empty, -EINVAL, BO_CREATE, bo_create, .size = 0)
REFUSED(bo_create_flags, -EINVAL, BO_CREATE, bo_create, .size = 4096, .flags = 1u << 2)
REFUSED(bo_create_huge, -ENOSPC, BO_CREATE, bo_create, .size = UINT64_MAX)
REFUSED(bo_create_beyond_limit, -ENOSPC, BO_CREATE, bo_create, .size = 1ull << 46)
REFUSED(bo_info_handle, -ENOENT, BO_INFO, bo_info, .handle = f.bo + 1)
REFUSED(bo_info_handle_zero, -ENOENT, BO_INFO, bo_info, .handle = 0)
REFUSED(bo_sync_handle, -ENOENT, BO_SYNC, bo_sync, .handle = f.bo + 1, .flags = KERF_SYNC_READ,
	.size = 1)
REFUSED(bo_sync_no_direction, -EINVAL, BO_SYNC, bo_sync, .handle = f.bo, .size = 1)
REFUSED(bo_sync_end_alone, -EINVAL, BO_SYNC, bo_sync, .handle = f.bo, .flags = KERF_SYNC_END,
	.size = 1)
REFUSED(bo_sync_flags, -EINVAL, BO_SYNC, bo_sync, .handle = f.bo, .flags = KERF_SYNC_READ | 1u << 3,
	.size = 1)
REFUSED(bo_sync_empty, -EINVAL, BO_SYNC, bo_sync, .handle = f.bo, .flags = KERF_SYNC_READ)
REFUSED(bo_sync_past_end, -EINVAL, BO_SYNC, bo_sync, .handle = f.bo, .flags = KERF_SYNC_READ,
	.offset = 1, .size = BO_SIZE)
REFUSED(bo_sync_overflow, -EINVAL, BO_SYNC, bo_sync, .handle = f.bo, .flags = KERF_SYNC_READ,
	.offset = UINT64_MAX, .size = 2)

/* QUEUE_CREATE, QUEUE_DESTROY */

REFUSED(queue_engine_absent, -ENOENT, QUEUE_CREATE, queue_create, .engine = 15, .depth = 1)
REFUSED(queue_engine_huge, -ENOENT, QUEUE_CREATE, queue_create, .engine = UINT32_MAX, .depth = 1)
REFUSED(queue_priority, -EINVAL, QUEUE_CREATE, queue_create, .engine = f.engine, .depth = 1,
	.priority = KERF_PRIORITY_HIGH + 1)
REFUSED(queue_depth_zero, -EINVAL, QUEUE_CREATE, queue_create, .engine = f.engine)
REFUSED(queue_depth_huge, -EINVAL, QUEUE_CREATE, queue_create, .engine = f.engine,
	.depth = KERF_MAX_QUEUE_DEPTH + 1)
REFUSED(queue_flags, -EINVAL, QUEUE_CREATE, queue_create, .engine = f.engine, .depth = 1,
	.flags = 1)
REFUSED(queue_pad, -EINVAL, QUEUE_CREATE, queue_create, .engine = f.engine, .depth = 1, .pad = 1)
REFUSED(destroy_absent, -ENOENT, QUEUE_DESTROY, queue_destroy, .queue_id = f.queue + 1)
REFUSED(destroy_zero, -ENOENT, QUEUE_DESTROY, queue_destroy, .queue_id = 0)
REFUSED(destroy_huge, -ENOENT, QUEUE_DESTROY, queue_destroy, .queue_id = UINT32_MAX)
REFUSED(destroy_pad, -EINVAL, QUEUE_DESTROY, queue_destroy, .queue_id = f.queue, .pad = 1)

static void queue_high_without_capability(void)
{
	struct fixture f = fixture();
	uint32_t id;

	if (setuid(65534))
		ktap_skip("cannot give up root: %s", strerror(errno));
	EXPECT_ERR(-EACCES, kt_queue_create(f.fd, f.engine, KERF_PRIORITY_HIGH, 1, &id));
}

static void queue_too_many(void)
{
	struct fixture f = fixture();
	uint32_t id;

	for (int i = 1; i < KERF_MAX_QUEUES; i++)
		REQUIRE_OK(kt_queue_create(f.fd, f.engine, KERF_PRIORITY_LOW, 1, &id));
	EXPECT_ERR(-ENOSPC, kt_queue_create(f.fd, f.engine, KERF_PRIORITY_LOW, 1, &id));
	/* One less, and there is room again. */
	EXPECT_OK(kt_queue_destroy(f.fd, f.queue));
	EXPECT_OK(kt_queue_create(f.fd, f.engine, KERF_PRIORITY_LOW, 1, &id));
}

static void destroy_twice(void)
{
	struct fixture f = fixture();

	EXPECT_OK(kt_queue_destroy(f.fd, f.queue));
	EXPECT_ERR(-ENOENT, kt_queue_destroy(f.fd, f.queue));
}

static void destroy_of_another_client(void)
{
	struct fixture f = fixture();
	int other = kt_open(KERF_ENGINE_SIM);

	EXPECT_ERR(-ENOENT, kt_queue_destroy(other, f.queue));
	EXPECT_OK(kt_queue_destroy(f.fd, f.queue));
}

/* SUBMIT: the call itself and its array */

static const struct drm_kerf_job empty_job;

REFUSED(submit_queue_absent, -ENOENT, SUBMIT, submit, .queue_id = f.queue + 1,
	.jobs = KT_ARRAY(&empty_job, 1))
REFUSED(submit_flags, -EINVAL, SUBMIT, submit, .queue_id = f.queue, .flags = 1,
	.jobs = KT_ARRAY(&empty_job, 1))
REFUSED(submit_no_jobs, -EINVAL, SUBMIT, submit, .queue_id = f.queue,
	.jobs = KT_ARRAY(&empty_job, 0))
REFUSED(submit_too_many_jobs, -EINVAL, SUBMIT, submit, .queue_id = f.queue,
	.jobs = KT_ARRAY(&empty_job, KERF_MAX_SUBMIT_JOBS + 1))
REFUSED(submit_count_huge, -EINVAL, SUBMIT, submit, .queue_id = f.queue,
	.jobs = KT_ARRAY(&empty_job, UINT32_MAX))
REFUSED(submit_stride_zero, -EINVAL, SUBMIT, submit, .queue_id = f.queue,
	.jobs = {.stride = 0, .count = 1, .array = (uintptr_t)&empty_job})
REFUSED(submit_stride_odd, -EINVAL, SUBMIT, submit, .queue_id = f.queue,
	.jobs = {.stride = sizeof(empty_job) + 4, .count = 1, .array = (uintptr_t)&empty_job})
REFUSED(submit_stride_huge, -EINVAL, SUBMIT, submit, .queue_id = f.queue,
	.jobs = {.stride = KERF_MAX_ARRAY_STRIDE + 8, .count = 1, .array = (uintptr_t)&empty_job})
REFUSED(submit_array_pointer, -EFAULT, SUBMIT, submit, .queue_id = f.queue,
	.jobs = {.stride = sizeof(empty_job), .count = 1, .array = BAD_POINTER})
REFUSED(submit_array_null, -EFAULT, SUBMIT, submit, .queue_id = f.queue,
	.jobs = {.stride = sizeof(empty_job), .count = 1, .array = 0})
REFUSED(submit_array_of_kernel, -EFAULT, SUBMIT, submit, .queue_id = f.queue,
	.jobs = {.stride = sizeof(empty_job), .count = 1, .array = 0xffff888000000000ull})

/* An element that is longer than the kernel's: fine while its tail is zero. */
struct longer_job {
	struct drm_kerf_job job;
	uint64_t tail;
};

static void submit_longer_element(void)
{
	struct fixture f = fixture();
	struct longer_job jobs[2] = {0};
	struct drm_kerf_submit args = {.queue_id = f.queue, .jobs = KT_ARRAY(jobs, 2)};

	EXPECT_OK(kt_ioctl(f.fd, DRM_IOCTL_KERF_SUBMIT, &args));
	EXPECT_EQ(2, args.last_seqno);
}

static void submit_longer_element_tail(void)
{
	struct fixture f = fixture();
	struct longer_job jobs[2] = {{.tail = 0}, {.tail = 1}};
	struct drm_kerf_submit args = {.queue_id = f.queue, .jobs = KT_ARRAY(jobs, 2)};

	EXPECT_ERR(-E2BIG, kt_ioctl(f.fd, DRM_IOCTL_KERF_SUBMIT, &args));
}

static void submit_shorter_element(void)
{
	struct fixture f = fixture();
	uint64_t jobs[2] = {0};
	struct drm_kerf_submit args = {.queue_id = f.queue, .jobs = KT_ARRAY(jobs, 2)};

	EXPECT_OK(kt_ioctl(f.fd, DRM_IOCTL_KERF_SUBMIT, &args));
	EXPECT_EQ(2, args.last_seqno);
}

/* SUBMIT: one job */

#define JOB_REFUSED(name, errno_, ...)                                       \
	static void name(void)                                               \
	{                                                                    \
		struct fixture f = fixture();                                \
		struct drm_kerf_job job = {__VA_ARGS__};                     \
                                                                             \
		(void)f;                                                     \
		EXPECT_ERR(errno_, kt_submit(f.fd, f.queue, &job, 1, NULL)); \
	}

static const struct drm_kerf_sim_cmd sim_ok = {.duration_us = 1};
static const struct drm_kerf_sim_cmd sim_flags = {.duration_us = 1, .flags = 1};
static const struct drm_kerf_sim_cmd sim_long = {.duration_us = 10000001};

JOB_REFUSED(job_flags, -EINVAL, .flags = 1u << 1)
JOB_REFUSED(job_pad, -EINVAL, .pad = 1)
JOB_REFUSED(job_timeout, -EINVAL, .timeout_ms = KERF_MAX_TIMEOUT_MS + 1)
JOB_REFUSED(job_cmd_size, -EINVAL, .cmd = (uintptr_t)&sim_ok, .cmd_size = KERF_MAX_CMD_SIZE + 1)
JOB_REFUSED(job_cmd_size_huge, -EINVAL, .cmd = (uintptr_t)&sim_ok, .cmd_size = UINT32_MAX)
JOB_REFUSED(job_cmd_pointer, -EFAULT, .cmd = BAD_POINTER, .cmd_size = sizeof(sim_ok))
JOB_REFUSED(sim_cmd_short, -EINVAL, .cmd = (uintptr_t)&sim_ok, .cmd_size = sizeof(sim_ok) - 1)
JOB_REFUSED(sim_cmd_long, -EINVAL, .cmd = (uintptr_t)&sim_ok, .cmd_size = sizeof(sim_ok) + 1)
JOB_REFUSED(sim_cmd_flags, -EINVAL, .cmd = (uintptr_t)&sim_flags, .cmd_size = sizeof(sim_flags))
JOB_REFUSED(sim_cmd_duration, -EINVAL, .cmd = (uintptr_t)&sim_long, .cmd_size = sizeof(sim_long))

/* SUBMIT: windows */

#define BO_REFUSED(name, errno_, ...)                                                 \
	static void name(void)                                                        \
	{                                                                             \
		struct fixture f = fixture();                                         \
		struct drm_kerf_bo_ref refs[2] = {                                    \
			{.handle = f.bo, .flags = KERF_BO_REF_READ, .size = BO_SIZE}, \
			{__VA_ARGS__}};                                               \
		struct drm_kerf_job job = {.bos = KT_ARRAY(refs, 2)};                 \
                                                                                      \
		EXPECT_ERR(errno_, kt_submit(f.fd, f.queue, &job, 1, NULL));          \
	}

BO_REFUSED(window_handle, -ENOENT, .handle = f.bo + 1, .flags = KERF_BO_REF_READ, .size = 1)
BO_REFUSED(window_no_flags, -EINVAL, .handle = f.bo, .size = 1)
BO_REFUSED(window_flags, -EINVAL, .handle = f.bo, .flags = KERF_BO_REF_READ | 1u << 2, .size = 1)
BO_REFUSED(window_empty, -EINVAL, .handle = f.bo, .flags = KERF_BO_REF_READ)
BO_REFUSED(window_past_end, -EINVAL, .handle = f.bo, .flags = KERF_BO_REF_WRITE, .offset = 1,
	   .size = BO_SIZE)
BO_REFUSED(window_outside, -EINVAL, .handle = f.bo, .flags = KERF_BO_REF_WRITE, .offset = BO_SIZE,
	   .size = 1)
BO_REFUSED(window_overflow, -EINVAL, .handle = f.bo, .flags = KERF_BO_REF_WRITE,
	   .offset = UINT64_MAX, .size = 2)

static const struct drm_kerf_bo_ref some_ref;
JOB_REFUSED(windows_too_many, -EINVAL, .bos = KT_ARRAY(&some_ref, KERF_MAX_JOB_BOS + 1))
JOB_REFUSED(windows_stride, -EINVAL,
	    .bos = {.stride = sizeof(some_ref) + 1, .count = 1, .array = (uintptr_t)&some_ref})
JOB_REFUSED(windows_pointer, -EFAULT,
	    .bos = {.stride = sizeof(some_ref), .count = 1, .array = BAD_POINTER})

/* SUBMIT: syncs */

static int submit_sync(int fd, uint32_t queue, uint32_t type, uint32_t handle, uint64_t point)
{
	struct drm_kerf_sync sync = {.type = type, .handle = handle, .point = point};
	struct drm_kerf_job job = {.syncs = KT_ARRAY(&sync, 1)};

	return kt_submit(fd, queue, &job, 1, NULL);
}

static uint32_t syncobj(int fd)
{
	struct drm_syncobj_create create = {0};

	REQUIRE_OK(kt_ioctl(fd, DRM_IOCTL_SYNCOBJ_CREATE, &create));
	return create.handle;
}

#define SYNC_REFUSED(name, errno_, type, handle, point)                              \
	static void name(void)                                                       \
	{                                                                            \
		struct fixture f = fixture();                                        \
                                                                                     \
		EXPECT_ERR(errno_, submit_sync(f.fd, f.queue, type, handle, point)); \
	}

SYNC_REFUSED(sync_type, -EINVAL, 3, 0, 0)
SYNC_REFUSED(sync_queue_absent, -ENOENT, KERF_SYNC_WAIT_QUEUE, f.queue + 1, 1)
SYNC_REFUSED(sync_queue_job_not_there, -EINVAL, KERF_SYNC_WAIT_QUEUE, f.queue, 1)
SYNC_REFUSED(sync_queue_job_zero, -EINVAL, KERF_SYNC_WAIT_QUEUE, f.queue, 0)
SYNC_REFUSED(sync_wait_syncobj_absent, -ENOENT, KERF_SYNC_WAIT_SYNCOBJ, 77, 0)
SYNC_REFUSED(sync_wait_no_fence, -EINVAL, KERF_SYNC_WAIT_SYNCOBJ, syncobj(f.fd), 0)
SYNC_REFUSED(sync_wait_no_point, -EINVAL, KERF_SYNC_WAIT_SYNCOBJ, syncobj(f.fd), 5)
SYNC_REFUSED(sync_signal_syncobj_absent, -ENOENT, KERF_SYNC_SIGNAL_SYNCOBJ, 77, 0)

static const struct drm_kerf_sync some_sync;
JOB_REFUSED(syncs_too_many, -EINVAL, .syncs = KT_ARRAY(&some_sync, KERF_MAX_JOB_SYNCS + 1))
JOB_REFUSED(syncs_stride, -EINVAL,
	    .syncs = {.stride = 12, .count = 1, .array = (uintptr_t)&some_sync})
JOB_REFUSED(syncs_pointer, -EFAULT,
	    .syncs = {.stride = sizeof(some_sync), .count = 1, .array = BAD_POINTER})

/* SUBMIT: the state of things */

static void submit_all_or_none(void)
{
	struct fixture f = fixture();
	struct drm_kerf_job jobs[3] = {{0}, {0}, {.pad = 1}};
	struct drm_kerf_queue_state state;

	EXPECT_ERR(-EINVAL, kt_submit(f.fd, f.queue, jobs, 3, NULL));
	EXPECT_OK(kt_queue_state(f.fd, f.queue, &state));
	EXPECT_EQ(0, state.last_seqno);
}

static void submit_queue_full(void)
{
	struct fixture f = fixture();
	struct drm_kerf_job jobs[3] = {0};
	uint64_t seqno;
	int status;

	/* Three not done and room for one: two are one too many. */
	REQUIRE_OK(kt_submit_sim(f.fd, f.queue, 300000, &seqno));
	REQUIRE_OK(kt_submit(f.fd, f.queue, jobs, 2, &seqno));
	EXPECT_ERR(-EAGAIN, kt_submit(f.fd, f.queue, jobs, 2, NULL));
	EXPECT_OK(kt_submit(f.fd, f.queue, jobs, 1, &seqno));
	EXPECT_EQ(4, seqno);
	EXPECT_OK(kt_wait(f.fd, f.queue, seqno, -1, &status));
	EXPECT_OK(kt_submit(f.fd, f.queue, jobs, 3, NULL));
}

static void submit_more_than_depth(void)
{
	struct fixture f = fixture();
	struct drm_kerf_job jobs[5] = {0};

	EXPECT_ERR(-EINVAL, kt_submit(f.fd, f.queue, jobs, 5, NULL));
}

static void submit_to_stopped_queue(void)
{
	struct fixture f = fixture();
	struct drm_kerf_sim_cmd cmd = {.duration_us = 10000000};
	struct drm_kerf_job job = {
		.cmd = (uintptr_t)&cmd, .cmd_size = sizeof(cmd), .timeout_ms = 1};
	uint64_t seqno;
	int status;

	REQUIRE_OK(kt_submit(f.fd, f.queue, &job, 1, &seqno));
	REQUIRE_OK(kt_wait(f.fd, f.queue, seqno, -1, &status));
	EXPECT_ERR(-ETIME, status);
	EXPECT_ERR(-ECANCELED, kt_submit_sim(f.fd, f.queue, 0, NULL));
}

static void submit_no_room_for_event(void)
{
	struct fixture f = fixture();
	struct drm_kerf_job job = {.flags = KERF_JOB_EVENT};
	uint64_t seqno;
	int r = 0, n, status;

	for (n = 0; n < 4096 && !r; n++) {
		r = kt_submit(f.fd, f.queue, &job, 1, &seqno);
		if (!r)
			REQUIRE_OK(kt_wait(f.fd, f.queue, seqno, -1, &status));
	}
	EXPECT_ERR(-ENOMEM, r);
}

/* QUEUE_WAIT, QUEUE_STATE, QUEUE_EVENTFD */

REFUSED(wait_queue_absent, -ENOENT, QUEUE_WAIT, queue_wait, .queue_id = f.queue + 1, .seqno = 1)
REFUSED(wait_flags, -EINVAL, QUEUE_WAIT, queue_wait, .queue_id = f.queue, .flags = 1)
REFUSED(wait_pad, -EINVAL, QUEUE_WAIT, queue_wait, .queue_id = f.queue, .pad = 1)
REFUSED(wait_seqno_zero, -EINVAL, QUEUE_WAIT, queue_wait, .queue_id = f.queue, .seqno = 0)
REFUSED(wait_seqno_not_there, -EINVAL, QUEUE_WAIT, queue_wait, .queue_id = f.queue, .seqno = 1,
	.timeout_ns = KT_FOREVER)
REFUSED(state_queue_absent, -ENOENT, QUEUE_STATE, queue_state, .queue_id = f.queue + 1)
REFUSED(eventfd_queue_absent, -ENOENT, QUEUE_EVENTFD, queue_eventfd, .queue_id = f.queue + 1,
	.fd = -1)
REFUSED(eventfd_flags, -EINVAL, QUEUE_EVENTFD, queue_eventfd, .queue_id = f.queue, .fd = -1,
	.flags = 1)
REFUSED(eventfd_pad, -EINVAL, QUEUE_EVENTFD, queue_eventfd, .queue_id = f.queue, .fd = -1, .pad = 1)
REFUSED(eventfd_not_open, -EBADF, QUEUE_EVENTFD, queue_eventfd, .queue_id = f.queue, .fd = 1000)
REFUSED(eventfd_negative, -EBADF, QUEUE_EVENTFD, queue_eventfd, .queue_id = f.queue, .fd = -2)
REFUSED(eventfd_other_file, -EINVAL, QUEUE_EVENTFD, queue_eventfd, .queue_id = f.queue, .fd = f.fd)

static void wait_job_not_done(void)
{
	struct fixture f = fixture();
	uint64_t seqno;

	REQUIRE_OK(kt_submit_sim(f.fd, f.queue, 10000000, &seqno));
	EXPECT_ERR(-ETIME, kt_wait(f.fd, f.queue, seqno, 0, NULL));
	EXPECT_ERR(-ETIME, kt_wait(f.fd, f.queue, seqno, 20, NULL));
}

static void wait_negative_time(void)
{
	struct fixture f = fixture();
	struct drm_kerf_queue_wait wait = {.queue_id = f.queue, .timeout_ns = INT64_MIN};

	REQUIRE_OK(kt_submit_sim(f.fd, f.queue, 10000000, (uint64_t *)&wait.seqno));
	EXPECT_ERR(-ETIME, kt_ioctl(f.fd, DRM_IOCTL_KERF_QUEUE_WAIT, &wait));
}

static void wait_queue_destroyed_meanwhile(void)
{
	struct fixture f = fixture();
	uint64_t seqno;
	pid_t pid;
	int status;

	REQUIRE_OK(kt_submit_sim(f.fd, f.queue, 10000000, &seqno));
	pid = fork();
	if (!pid) {
		usleep(100000);
		_exit(kt_queue_destroy(f.fd, f.queue) ? 1 : 0);
	}
	EXPECT_ERR(-ENOENT, kt_wait(f.fd, f.queue, seqno, -1, NULL));
	EXPECT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
}

/* Arguments that are not there, and numbers that are no ioctl */

static void arguments_not_mapped(void)
{
	static const unsigned long requests[] = {
		DRM_IOCTL_KERF_DEV_QUERY,    DRM_IOCTL_KERF_BO_CREATE,
		DRM_IOCTL_KERF_BO_INFO,	     DRM_IOCTL_KERF_BO_SYNC,
		DRM_IOCTL_KERF_QUEUE_CREATE, DRM_IOCTL_KERF_QUEUE_DESTROY,
		DRM_IOCTL_KERF_SUBMIT,	     DRM_IOCTL_KERF_QUEUE_WAIT,
		DRM_IOCTL_KERF_QUEUE_STATE,  DRM_IOCTL_KERF_QUEUE_EVENTFD,
	};
	struct fixture f = fixture();

	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++)
		EXPECT_ERR(-EFAULT, kt_ioctl(f.fd, requests[i], (void *)BAD_POINTER));
}

static void ioctl_unknown(void)
{
	struct fixture f = fixture();
	uint64_t args[32] = {0};

	EXPECT_ERR(-EINVAL, kt_ioctl(f.fd, DRM_IOWR(DRM_COMMAND_BASE + 0x0a, uint64_t), args));
	EXPECT_ERR(-EINVAL, kt_ioctl(f.fd, DRM_IOWR(DRM_COMMAND_BASE + 0x5f, uint64_t), args));
}

static const struct ktap_case cases[] = {
	KTAP(query_takes_no_answer),
	KTAP(query_writes_no_more_than_asked),
	KTAP(query_pad),
	KTAP(query_type),
	KTAP(query_device_index),
	KTAP(query_engine_absent),
	KTAP(query_engine_huge),
	KTAP(query_pointer),
	KTAP(bo_create_empty),
	KTAP(bo_create_flags),
	KTAP(bo_create_huge),
	KTAP(bo_create_beyond_limit),
	KTAP(bo_info_handle),
	KTAP(bo_info_handle_zero),
	KTAP(bo_sync_handle),
	KTAP(bo_sync_no_direction),
	KTAP(bo_sync_end_alone),
	KTAP(bo_sync_flags),
	KTAP(bo_sync_empty),
	KTAP(bo_sync_past_end),
	KTAP(bo_sync_overflow),
	KTAP(queue_engine_absent),
	KTAP(queue_engine_huge),
	KTAP(queue_priority),
	KTAP(queue_depth_zero),
	KTAP(queue_depth_huge),
	KTAP(queue_flags),
	KTAP(queue_pad),
	KTAP(destroy_absent),
	KTAP(destroy_zero),
	KTAP(destroy_huge),
	KTAP(destroy_pad),
	KTAP(queue_high_without_capability),
	KTAP(queue_too_many),
	KTAP(destroy_twice),
	KTAP(destroy_of_another_client),
	KTAP(submit_queue_absent),
	KTAP(submit_flags),
	KTAP(submit_no_jobs),
	KTAP(submit_too_many_jobs),
	KTAP(submit_count_huge),
	KTAP(submit_stride_zero),
	KTAP(submit_stride_odd),
	KTAP(submit_stride_huge),
	KTAP(submit_array_pointer),
	KTAP(submit_array_null),
	KTAP(submit_array_of_kernel),
	KTAP(submit_longer_element),
	KTAP(submit_longer_element_tail),
	KTAP(submit_shorter_element),
	KTAP(job_flags),
	KTAP(job_pad),
	KTAP(job_timeout),
	KTAP(job_cmd_size),
	KTAP(job_cmd_size_huge),
	KTAP(job_cmd_pointer),
	KTAP(sim_cmd_short),
	KTAP(sim_cmd_long),
	KTAP(sim_cmd_flags),
	KTAP(sim_cmd_duration),
	KTAP(window_handle),
	KTAP(window_no_flags),
	KTAP(window_flags),
	KTAP(window_empty),
	KTAP(window_past_end),
	KTAP(window_outside),
	KTAP(window_overflow),
	KTAP(windows_too_many),
	KTAP(windows_stride),
	KTAP(windows_pointer),
	KTAP(sync_type),
	KTAP(sync_queue_absent),
	KTAP(sync_queue_job_not_there),
	KTAP(sync_queue_job_zero),
	KTAP(sync_wait_syncobj_absent),
	KTAP(sync_wait_no_fence),
	KTAP(sync_wait_no_point),
	KTAP(sync_signal_syncobj_absent),
	KTAP(syncs_too_many),
	KTAP(syncs_stride),
	KTAP(syncs_pointer),
	KTAP(submit_all_or_none),
	KTAP(submit_queue_full),
	KTAP(submit_more_than_depth),
	KTAP(submit_to_stopped_queue),
	KTAP(submit_no_room_for_event),
	KTAP(wait_queue_absent),
	KTAP(wait_flags),
	KTAP(wait_pad),
	KTAP(wait_seqno_zero),
	KTAP(wait_seqno_not_there),
	KTAP(state_queue_absent),
	KTAP(eventfd_queue_absent),
	KTAP(eventfd_flags),
	KTAP(eventfd_pad),
	KTAP(eventfd_not_open),
	KTAP(eventfd_negative),
	KTAP(eventfd_other_file),
	KTAP(wait_job_not_done),
	KTAP(wait_negative_time),
	KTAP(wait_queue_destroyed_meanwhile),
	KTAP(arguments_not_mapped),
	KTAP(ioctl_unknown),
};

int main(int argc, char **argv)
{
	return ktap_main(cases, sizeof(cases) / sizeof(cases[0]), argc, argv);
}
