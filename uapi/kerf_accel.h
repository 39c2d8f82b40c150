/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note OR MIT */
/*
 * The ioctls of a kerf device node: queues of jobs on accelerators.
 *
 * A device has engines. A client (an open file) makes buffer objects (BOs) and queues; a queue
 * belongs to one engine and runs its jobs in the order in which they were submitted, one at a time.
 * Jobs of different queues run as the engine has room: higher priorities first, equal priorities
 * shared fairly between clients by the time the engine was busy for each.
 *
 * A job is named by (queue, sequence number). The sequence numbers of a queue begin at 1 and have
 * no gaps. A job is done when the queue's done_seqno has reached its number; its result is then
 * known. The first job that fails stops its queue: every later job of that queue, submitted or yet
 * to be, ends with -ECANCELED. Other queues are not touched. To go on, destroy the queue and create
 * another.
 *
 * Rules of this interface:
 *  - every field named pad and every flag that is not defined must be 0, else -EINVAL;
 *  - sizes and offsets are bytes, times are absolute CLOCK_MONOTONIC nanoseconds unless named
 *    otherwise;
 *  - arrays are {stride, count, array}: stride is sizeof the element as the caller knows it. A
 *    longer element than the kernel knows is accepted if the tail is zero (-E2BIG else), a shorter
 *    one is read as if its tail were zero;
 *  - after the device is gone every ioctl is -ENODEV, and every job not done ends with -ENODEV;
 *  - an interrupted wait is -ERESTARTSYS inside and may be called again with the same arguments;
 *  - a call that fails has changed nothing.
 *
 * docs/uapi.md tells the story around this reference.
 */
#ifndef KERF_ACCEL_H
#define KERF_ACCEL_H

#ifdef __KERNEL__
#include <drm/drm.h>
#else
#include <drm.h>
#endif

#if defined(__cplusplus)
extern "C" {
#endif

/* The name that DRM_IOCTL_VERSION gives. */
#define KERF_ACCEL_NAME "kerf"

/* Hard limits; beyond each the call is -EINVAL unless another errno is named. */
#define KERF_MAX_ENGINES 16      /* engine indices of a device are below this */
#define KERF_MAX_QUEUES 256      /* queues of a client; -ENOSPC */
#define KERF_MAX_SUBMIT_JOBS 64  /* jobs of one SUBMIT */
#define KERF_MAX_JOB_BOS 64      /* BO references of one job */
#define KERF_MAX_JOB_SYNCS 64    /* syncs of one job */
#define KERF_MAX_CMD_SIZE 65536  /* bytes of one job's commands */
#define KERF_MAX_QUEUE_DEPTH 1024 /* jobs of a queue that are not done */
#define KERF_MAX_CMD_BYTES (64u << 20) /* commands a client holds in jobs not done; -EAGAIN */
#define KERF_MAX_TIMEOUT_MS 60000 /* running time a job may ask for */
#define KERF_MAX_ARRAY_STRIDE 256 /* bytes of one array element */

#define DRM_KERF_DEV_QUERY 0x00
#define DRM_KERF_BO_CREATE 0x01
#define DRM_KERF_BO_INFO 0x02
#define DRM_KERF_BO_SYNC 0x03
#define DRM_KERF_QUEUE_CREATE 0x04
#define DRM_KERF_QUEUE_DESTROY 0x05
#define DRM_KERF_SUBMIT 0x06
#define DRM_KERF_QUEUE_WAIT 0x07
#define DRM_KERF_QUEUE_STATE 0x08
#define DRM_KERF_QUEUE_EVENTFD 0x09

/**
 * struct drm_kerf_obj_array - an array in the caller's memory
 * @stride: Input: sizeof one element, at most KERF_MAX_ARRAY_STRIDE and a multiple of 8; ignored if
 *   @count is 0
 * @count: Input: number of elements
 * @array: Input: address of the first; ignored if @count is 0
 */
struct drm_kerf_obj_array {
	__u32 stride;
	__u32 count;
	__u64 array;
};

/** enum drm_kerf_engine_class - what stands behind an engine */
enum drm_kerf_engine_class {
	/** @KERF_ENGINE_SIM: a timer; its commands are &struct drm_kerf_sim_cmd or empty */
	KERF_ENGINE_SIM = 1,
	/** @KERF_ENGINE_NPU: the kerf NPU; its commands are those of kerf_npu.h */
	KERF_ENGINE_NPU = 2,
	/**
	 * @KERF_ENGINE_USER: a server process (kerf_server.h); its commands are the server's own
	 */
	KERF_ENGINE_USER = 3,
};

/** enum drm_kerf_query_type - what DEV_QUERY answers with */
enum drm_kerf_query_type {
	/** @KERF_QUERY_DEVICE: &struct drm_kerf_device_info; index must be 0 */
	KERF_QUERY_DEVICE = 0,
	/**
	 * @KERF_QUERY_ENGINE: &struct drm_kerf_engine_info of engine index; -ENOENT if there is
	 * none
	 */
	KERF_QUERY_ENGINE = 1,
};

/**
 * struct drm_kerf_dev_query - ask for a description
 * @type: Input: enum drm_kerf_query_type
 * @index: Input: which one
 * @size: Input: room at @pointer; Output: size of the answer as the kernel knows it
 * @pad: Input: 0
 * @pointer: Input: where to write the answer; 0 asks for @size alone
 *
 * min(@size given, size known) bytes are written.
 */
struct drm_kerf_dev_query {
	__u32 type;
	__u32 index;
	__u32 size;
	__u32 pad;
	__u64 pointer;
};

/**
 * struct drm_kerf_device_info - answer to KERF_QUERY_DEVICE
 * @n_engines: Output: one more than the highest engine index in use
 * @flags: Output: 0
 * @max_client_bytes: Output: bytes of BOs a client may hold handles of; beyond, -ENOSPC
 * @client_bytes: Output: bytes of BOs the caller holds handles of
 * @client_id: Output: the caller's id, as in fdinfo and in trace events
 */
struct drm_kerf_device_info {
	__u32 n_engines;
	__u32 flags;
	__u64 max_client_bytes;
	__u64 client_bytes;
	__u64 client_id;
};

/** @KERF_ENGINE_FENCES: jobs may signal syncobjs (the kernel itself bounds their running time) */
#define KERF_ENGINE_FENCES (1u << 0)

/** enum drm_kerf_engine_state - whether an engine runs jobs */
enum drm_kerf_engine_state {
	/** @KERF_ENGINE_READY: it does */
	KERF_ENGINE_READY = 0,
	/** @KERF_ENGINE_WAITING: its server died and a successor is awaited; jobs are kept */
	KERF_ENGINE_WAITING = 1,
	/** @KERF_ENGINE_DEAD: a reset failed; QUEUE_CREATE and SUBMIT are -EIO */
	KERF_ENGINE_DEAD = 2,
};

/**
 * struct drm_kerf_engine_info - answer to KERF_QUERY_ENGINE
 * @engine_class: Output: enum drm_kerf_engine_class
 * @flags: Output: KERF_ENGINE_FENCES
 * @state: Output: enum drm_kerf_engine_state
 * @depth: Output: jobs that run at the same time
 * @name: Output: NUL-terminated; unique in the device: "npu", "sim", or the name its server gave
 * @caps: Output: what the engine can, bits of its own class
 * @busy_ns: Output: time it was busy since it exists, summed over its @depth places
 * @jobs_done: Output: jobs that ended since it exists
 */
struct drm_kerf_engine_info {
	__u32 engine_class;
	__u32 flags;
	__u32 state;
	__u32 depth;
	char name[32];
	__u64 caps;
	__u64 busy_ns;
	__u64 jobs_done;
};

/** @KERF_BO_NO_MMAP: the CPU may not map it: BO_INFO gives no offset and mmap is -EACCES */
#define KERF_BO_NO_MMAP (1u << 0)
/** @KERF_BO_WC: CPU mappings are write-combined instead of cached */
#define KERF_BO_WC (1u << 1)

/**
 * struct drm_kerf_bo_create - make a zeroed buffer object
 * @size: Input: bytes, not 0; Output: rounded up to pages
 * @flags: Input: KERF_BO_*
 * @handle: Output: GEM handle, closed by DRM_IOCTL_GEM_CLOSE; PRIME shares it
 */
struct drm_kerf_bo_create {
	__u64 size;
	__u32 flags;
	__u32 handle;
};

/**
 * struct drm_kerf_bo_info - look at a buffer object
 * @handle: Input: its handle; -ENOENT if there is none
 * @flags: Output: KERF_BO_* it was made with
 * @mmap_offset: Output: offset for mmap() of the device node; 0 with KERF_BO_NO_MMAP
 * @size: Output: bytes
 */
struct drm_kerf_bo_info {
	__u32 handle;
	__u32 flags;
	__u64 mmap_offset;
	__u64 size;
};

/** @KERF_SYNC_READ: the CPU is to read what jobs wrote */
#define KERF_SYNC_READ (1u << 0)
/** @KERF_SYNC_WRITE: the CPU is to write: jobs that read it are waited for too */
#define KERF_SYNC_WRITE (1u << 1)
/** @KERF_SYNC_END: the CPU has done so (no wait: hands the range back to devices) */
#define KERF_SYNC_END (1u << 2)

/**
 * struct drm_kerf_bo_sync - begin or end access by the CPU
 * @handle: Input: BO; -ENOENT if there is none
 * @flags: Input: KERF_SYNC_READ and/or KERF_SYNC_WRITE, with KERF_SYNC_END at the end of the access
 * @offset: Input: start of the range
 * @size: Input: its bytes, not 0
 * @timeout_ns: Input: when to stop waiting for jobs; 0 or past: do not wait; -ETIME if jobs still
 *   use it
 *
 * Waits for the jobs that were submitted before, whatever part of the BO they use, then makes
 * caches agree about the range. A reader of (queue, seqno) on a cache-coherent machine needs no
 * BO_SYNC.
 */
struct drm_kerf_bo_sync {
	__u32 handle;
	__u32 flags;
	__u64 offset;
	__u64 size;
	__s64 timeout_ns;
};

/** enum drm_kerf_priority - of queues; a higher one is always served first */
enum drm_kerf_priority {
	/**
	 * @KERF_PRIORITY_LOW: still served once in a while when higher ones never pause (no
	 * starvation)
	 */
	KERF_PRIORITY_LOW = 0,
	/** @KERF_PRIORITY_NORMAL: likewise */
	KERF_PRIORITY_NORMAL = 1,
	/** @KERF_PRIORITY_HIGH: needs CAP_SYS_NICE, else -EACCES */
	KERF_PRIORITY_HIGH = 2,
};

/**
 * struct drm_kerf_queue_create - make a queue
 * @engine: Input: index of the engine; -ENOENT if there is none, -EIO if it is dead
 * @priority: Input: enum drm_kerf_priority
 * @depth: Input: jobs not done it may hold, 1 to KERF_MAX_QUEUE_DEPTH
 * @flags: Input: 0
 * @queue_id: Output: its id, not 0; that of a destroyed queue may be given again
 * @pad: Input: 0
 */
struct drm_kerf_queue_create {
	__u32 engine;
	__u32 priority;
	__u32 depth;
	__u32 flags;
	__u32 queue_id;
	__u32 pad;
};

/**
 * struct drm_kerf_queue_destroy - end a queue
 * @queue_id: Input: -ENOENT if there is none
 * @pad: Input: 0
 *
 * Jobs that have not started end with -ECANCELED; one that runs ends as it does, unseen. Jobs of
 * other queues that wait for one of this queue's go on as if it were done. Does not wait.
 */
struct drm_kerf_queue_destroy {
	__u32 queue_id;
	__u32 pad;
};

/** @KERF_BO_REF_READ: the job reads the range */
#define KERF_BO_REF_READ (1u << 0)
/** @KERF_BO_REF_WRITE: the job writes the range */
#define KERF_BO_REF_WRITE (1u << 1)

/**
 * struct drm_kerf_bo_ref - a range of a BO that a job may touch
 * @handle: Input: BO; -ENOENT if there is none
 * @flags: Input: KERF_BO_REF_READ and/or KERF_BO_REF_WRITE, at least one
 * @offset: Input: start of the range
 * @size: Input: its bytes, not 0; the range lies in the BO
 *
 * The i-th reference is window i of the job's commands. Outside its windows, and against their
 * flags, a job can touch nothing. The same BO may appear more than once.
 */
struct drm_kerf_bo_ref {
	__u32 handle;
	__u32 flags;
	__u64 offset;
	__u64 size;
};

/** enum drm_kerf_sync_type - what a job waits for or signals */
enum drm_kerf_sync_type {
	/**
	 * @KERF_SYNC_WAIT_QUEUE: start after job @point of the caller's queue @handle is done,
	 * however it ended. -ENOENT: no such queue; -EINVAL: no such job yet (so waits form no
	 * cycle).
	 */
	KERF_SYNC_WAIT_QUEUE = 0,
	/**
	 * @KERF_SYNC_WAIT_SYNCOBJ: start after the fence of syncobj @handle (timeline: of @point;
	 * binary: 0) has signalled. -ENOENT: no such syncobj, -EINVAL: no fence there yet. A fence
	 * that signals an error does not stop the job.
	 */
	KERF_SYNC_WAIT_SYNCOBJ = 1,
	/**
	 * @KERF_SYNC_SIGNAL_SYNCOBJ: put the job's fence into syncobj @handle (at @point, binary:
	 * 0). -EOPNOTSUPP if the kernel cannot promise that the job ends: its engine lacks
	 * KERF_ENGINE_FENCES, or it waits, itself or by an earlier job of its queue, for a job of
	 * such an engine.
	 */
	KERF_SYNC_SIGNAL_SYNCOBJ = 2,
};

/**
 * struct drm_kerf_sync - one thing a job waits for or signals
 * @type: Input: enum drm_kerf_sync_type
 * @handle: Input: queue id or syncobj handle
 * @point: Input: sequence number or timeline point
 */
struct drm_kerf_sync {
	__u32 type;
	__u32 handle;
	__u64 point;
};

/** @KERF_JOB_EVENT: when the job is done, send &struct drm_kerf_event to the file (poll, read) */
#define KERF_JOB_EVENT (1u << 0)

/**
 * struct drm_kerf_job - one job
 * @cmd: Input: address of its commands; ignored if @cmd_size is 0
 * @cmd_size: Input: their bytes, at most KERF_MAX_CMD_SIZE; the engine's class says what is valid
 * @flags: Input: KERF_JOB_*
 * @bos: Input: &struct drm_kerf_bo_ref, at most KERF_MAX_JOB_BOS
 * @syncs: Input: &struct drm_kerf_sync, at most KERF_MAX_JOB_SYNCS
 * @cookie: Input: the caller's own, returned in the event and shown in trace events
 * @timeout_ms: Input: running time after which it is stopped and ends with -ETIME; 0: the engine's
 *   default; at most KERF_MAX_TIMEOUT_MS
 * @pad: Input: 0
 */
struct drm_kerf_job {
	__u64 cmd;
	__u32 cmd_size;
	__u32 flags;
	struct drm_kerf_obj_array bos;
	struct drm_kerf_obj_array syncs;
	__u64 cookie;
	__u32 timeout_ms;
	__u32 pad;
};

/**
 * struct drm_kerf_submit - put jobs into a queue, all or none
 * @queue_id: Input: -ENOENT if there is none
 * @flags: Input: 0
 * @jobs: Input: &struct drm_kerf_job, 1 to KERF_MAX_SUBMIT_JOBS and at most the queue's depth
 * @last_seqno: Output: sequence number of the last job; those before it have the numbers just below
 *
 * -EAGAIN: the queue has no room for all of them, or the client's KERF_MAX_CMD_BYTES are used up:
 * wait for a job, then try again. -ECANCELED: a job of the queue failed. -EIO: the engine is dead.
 * -ENOMEM: no memory, or no room for the event of a job with KERF_JOB_EVENT (read some).
 */
struct drm_kerf_submit {
	__u32 queue_id;
	__u32 flags;
	struct drm_kerf_obj_array jobs;
	__u64 last_seqno;
};

/**
 * struct drm_kerf_queue_wait - wait for a job
 * @queue_id: Input: -ENOENT if there is none, or it is destroyed meanwhile
 * @flags: Input: 0
 * @seqno: Input: the job; -EINVAL if it was never submitted
 * @timeout_ns: Input: when to stop waiting; 0 or past: do not wait; -ETIME if the job is not done
 *   by then
 * @status: Output: how the job ended: 0, or a negative errno:
 *   -ETIME: ran longer than its timeout; -EFAULT: touched what it may not; -EIO: the engine refused
 *   it or broke;
 *   -ECANCELED: an earlier job of the queue failed; -EOWNERDEAD: its server died and it was not
 *   given to another; -ENODEV: the device went
 * @pad: Input: 0
 */
struct drm_kerf_queue_wait {
	__u32 queue_id;
	__u32 flags;
	__u64 seqno;
	__s64 timeout_ns;
	__s32 status;
	__u32 pad;
};

/**
 * struct drm_kerf_queue_state - look at a queue
 * @queue_id: Input: -ENOENT if there is none
 * @first_error: Output: how the first failed job ended, 0 if none failed
 * @done_seqno: Output: every job up to this one is done
 * @error_seqno: Output: the first failed job, 0 if none
 * @last_seqno: Output: the newest job
 * @busy_ns: Output: time the engine was busy for this queue
 */
struct drm_kerf_queue_state {
	__u32 queue_id;
	__s32 first_error;
	__u64 done_seqno;
	__u64 error_seqno;
	__u64 last_seqno;
	__u64 busy_ns;
};

/**
 * struct drm_kerf_queue_eventfd - have an eventfd counted up when jobs are done
 * @queue_id: Input: -ENOENT if there is none
 * @fd: Input: an eventfd (-EBADF, -EINVAL), replacing the one before; -1 takes it away
 * @flags: Input: 0
 * @pad: Input: 0
 *
 * Counted at least once after done_seqno moved; jobs done together may count once.
 */
struct drm_kerf_queue_eventfd {
	__u32 queue_id;
	__s32 fd;
	__u32 flags;
	__u32 pad;
};

/** @KERF_EVENT_JOB_DONE: type of &struct drm_kerf_event */
#define KERF_EVENT_JOB_DONE 0x80000000u

/**
 * struct drm_kerf_event - what read() of the node gives for a job with KERF_JOB_EVENT
 * @base: Output: type KERF_EVENT_JOB_DONE, length sizeof(struct drm_kerf_event)
 * @cookie: Output: the job's
 * @seqno: Output: the job
 * @queue_id: Output: its queue
 * @status: Output: as in &struct drm_kerf_queue_wait
 */
struct drm_kerf_event {
	struct drm_event base;
	__u64 cookie;
	__u64 seqno;
	__u32 queue_id;
	__s32 status;
};

/**
 * struct drm_kerf_sim_cmd - the commands of a job for KERF_ENGINE_SIM
 * @duration_us: Input: how long the job keeps the engine busy, at most 10 s
 * @flags: Input: 0
 *
 * A job without commands is done as soon as it starts. Faults are injected through debugfs.
 */
struct drm_kerf_sim_cmd {
	__u32 duration_us;
	__u32 flags;
};

#define DRM_IOCTL_KERF(access, nr, type) \
	DRM_IO##access(DRM_COMMAND_BASE + DRM_KERF_##nr, struct drm_kerf_##type)

#define DRM_IOCTL_KERF_DEV_QUERY DRM_IOCTL_KERF(WR, DEV_QUERY, dev_query)
#define DRM_IOCTL_KERF_BO_CREATE DRM_IOCTL_KERF(WR, BO_CREATE, bo_create)
#define DRM_IOCTL_KERF_BO_INFO DRM_IOCTL_KERF(WR, BO_INFO, bo_info)
#define DRM_IOCTL_KERF_BO_SYNC DRM_IOCTL_KERF(W, BO_SYNC, bo_sync)
#define DRM_IOCTL_KERF_QUEUE_CREATE DRM_IOCTL_KERF(WR, QUEUE_CREATE, queue_create)
#define DRM_IOCTL_KERF_QUEUE_DESTROY DRM_IOCTL_KERF(W, QUEUE_DESTROY, queue_destroy)
#define DRM_IOCTL_KERF_SUBMIT DRM_IOCTL_KERF(WR, SUBMIT, submit)
#define DRM_IOCTL_KERF_QUEUE_WAIT DRM_IOCTL_KERF(WR, QUEUE_WAIT, queue_wait)
#define DRM_IOCTL_KERF_QUEUE_STATE DRM_IOCTL_KERF(WR, QUEUE_STATE, queue_state)
#define DRM_IOCTL_KERF_QUEUE_EVENTFD DRM_IOCTL_KERF(W, QUEUE_EVENTFD, queue_eventfd)

#if defined(__cplusplus)
}
#endif

#endif
