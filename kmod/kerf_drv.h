/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files of the module share.
 *
 * Why not drm_sched: its unit is the dma_fence, and a job of a userspace engine must never stand
 * behind one; it is fair by turns, not by time, and its interface changes within Debian's stable
 * updates. kerf counts (queue, seqno) instead, schedules by busy time (kerf_sched.c), and makes a
 * dma_fence only for a job that asks for one and that the kernel itself can end.
 *
 * Life of a job:
 *   SUBMIT   process context  copy, validate(), prepare() - for all jobs of the call; whatever can
 *                             fail, fails here
 *   arm      kdev->lock       seqno given, waits counted, put at the tail of its queue: no failure
 *                             any more
 *   run      kdev->lock       its waits are over, its queue is at its turn, the engine has a free
 *                             slot
 *   done     any context      kerf_engine_done(): seqno published, waiters woken, the next job run
 *   retire   kdev->retire_wq  unprepare(), BOs and memory let go
 *
 * Locking: kdev->lock (irq safe) guards all scheduling: queues' lists and counters, slots, shares.
 * It is the outermost spinlock; under it only wait queue, eventfd and DRM event locks are taken.
 * dma_fences are signalled after it is dropped, since their callbacks may come back to us. Engine
 * recovery (stop, reset) runs in kdev->wq under engine->recovery_mutex, which is outside
 * kdev->lock.
 *
 * References: a queue is held by its client's table and by each of its jobs; a client (kerf_client)
 * by its file and by each of its queues, so accounting outlives the file; an engine by the device
 * and by each queue.
 */
#ifndef KERF_DRV_H
#define KERF_DRV_H

#include <linux/completion.h>
#include <linux/dma-fence.h>
#include <linux/eventfd.h>
#include <linux/kref.h>
#include <linux/ktime.h>
#include <linux/llist.h>
#include <linux/mutex.h>
#include <linux/rbtree.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

#include <drm/drm_device.h>
#include <drm/drm_drv.h>
#include <drm/drm_file.h>
#include <drm/drm_gem_shmem_helper.h>

#include "../uapi/kerf_accel.h"
#include "kerf_compat.h"

struct kerf_engine;
struct kerf_job;

#define KERF_MAX_SLOTS 64 /* jobs an engine runs at the same time */
#define KERF_N_PRIORITIES 3

/**
 * struct kerf_device - one DRM device: a piece of hardware, or the virtual device of sim and user
 * engines
 * @drm: base; freed with drm_dev_put()
 * @lock: see the top of this file
 * @engines_mutex: serialises registering and removing engines
 * @engines: by index; entries are set and cleared under @lock and @engines_mutex
 * @names: by index, of the last engine there; under @engines_mutex
 * @wq: recovery and kick work, by which fences signal; WQ_UNBOUND | WQ_HIGHPRI | WQ_MEM_RECLAIM
 * @retire_wq: retire work. A queue of its own: letting go of memory may wait for anything,
 *   recovery and @kick_work for nothing
 * @retired: jobs done whose memory waits to be let go; under @lock
 * @retire_work: empties @retired
 * @met: jobs whose awaited fences have all signalled, seen by callbacks that could not take @lock
 * @kick_work: empties @met, and runs what was left when too many jobs ended in one go
 * @bos_mutex: guards @bos
 * @bos: its own (not imported) &struct kerf_bo
 * @max_client_bytes: see &struct drm_kerf_device_info
 * @debugfs: directory kerf/PARENT, from kerf_device_create() to kerf_device_remove(); engines put
 *   their knobs there
 * @gone: no engine of it runs anything any more; under @lock
 */
struct kerf_device {
	struct drm_device drm;
	spinlock_t lock;
	struct mutex engines_mutex;
	struct kerf_engine *engines[KERF_MAX_ENGINES];
	char names[KERF_MAX_ENGINES][32];
	struct workqueue_struct *wq;
	struct workqueue_struct *retire_wq;
	struct list_head retired;
	struct work_struct retire_work;
	struct llist_head met;
	struct work_struct kick_work;
	struct mutex bos_mutex;
	struct list_head bos;
	u64 max_client_bytes;
	struct dentry *debugfs;
	bool gone;
};

#define to_kerf_device(d) container_of(d, struct kerf_device, drm)

/* Waits on @wq for @condition until the time @ns: 0, -ETIME or -ERESTARTSYS (call it again). */
#define kerf_wait_until(wq, condition, ns)                                                        \
	({                                                                                        \
		ktime_t left_ = (ns) > 0 ? (ns) - ktime_get() : 0;                                \
		int ret_ = 0;                                                                     \
												  \
		if (!(condition))                                                                 \
			ret_ = left_ > 0 ? wait_event_interruptible_hrtimeout(wq, condition,      \
									      left_) : -ETIME;    \
		ret_;                                                                             \
	})

/**
 * struct kerf_client - an open file
 * @ref: file and queues
 * @kdev: device; the drm_device is held
 * @file: NULL once closed (no event is sent any more); under @kdev->lock
 * @id: number in fdinfo, traces and to servers; unique in the module
 * @queues: by id, from 1; entries hold a reference
 * @bytes: BOs it holds handles of
 * @cmd_bytes: commands of its jobs not done
 * @busy_ns: by engine index, for fdinfo; never goes down
 * @shares: its &struct kerf_share, under @kdev->lock
 */
struct kerf_client {
	struct kref ref;
	struct kerf_device *kdev;
	struct drm_file *file;
	u64 id;
	struct xarray queues;
	atomic64_t bytes;
	atomic64_t cmd_bytes;
	atomic64_t busy_ns[KERF_MAX_ENGINES];
	struct list_head shares;
};

/**
 * struct kerf_share - what the scheduler is fair to: one client's queues of one priority on one
 * engine
 * @node: in engine->ready[priority] by @vruntime while @ready is not empty
 * @link: in client->shares
 * @ready: queues whose head may run, served in turn
 * @engine: which, held
 * @priority: which
 * @users: queues that refer to it; with none it stays until its client or its engine goes
 * @vruntime: busy ns charged, never behind the engine's when it becomes ready
 */
struct kerf_share {
	struct rb_node node;
	struct list_head link;
	struct list_head ready;
	struct kerf_engine *engine;
	u32 priority;
	u32 users;
	u64 vruntime;
};

/**
 * struct kerf_queue - a queue (all but the constants under kdev->lock)
 * @ref: client's table and jobs
 * @client: owner, held
 * @engine: held
 * @id: in client->queues
 * @priority: as created
 * @depth: most jobs not done
 * @engine_link: in engine->queues
 * @effective: priority it has now: its own, or what a waiting job lends it
 * @lent: by priority, waits on jobs of it by heads of queues of that effective priority
 * @lend_link: in the list of queues whose effective priority is to be looked at
 * @shares: by priority, from its own up
 * @share: of @effective
 * @ready: in share->ready
 * @pending: jobs not started, oldest first
 * @running: at most one
 * @n_jobs: jobs not done
 * @last_seqno: newest
 * @done_seqno: all up to it are done
 * @error_seqno: first failed, or 0
 * @first_error: how it failed
 * @later_error: how all jobs after it ended
 * @indefinite_from: first and
 * @indefinite_seqno: newest job of the last run of jobs whose end the kernel cannot promise (see
 *   KERF_SYNC_SIGNAL_SYNCOBJ); all between are of that kind, since they are behind the first
 * @waiters: &struct kerf_wait of heads of queues waiting for one of this queue's, by seqno
 * @wq: woken when done_seqno moves or the queue is destroyed
 * @notify: in the list of queues to wake when kdev->lock is about to be dropped
 * @eventfd: or NULL
 * @busy_ns: charged to it
 * @destroyed: no new job; waits return -ENOENT
 */
struct kerf_queue {
	struct kref ref;
	struct kerf_client *client;
	struct kerf_engine *engine;
	u32 id;
	u32 priority;
	u32 depth;
	struct list_head engine_link;
	u32 effective;
	u32 lent[KERF_N_PRIORITIES];
	struct list_head lend_link;
	struct kerf_share *shares[KERF_N_PRIORITIES];
	struct kerf_share *share;
	struct list_head ready;
	struct list_head pending;
	struct kerf_job *running;
	u32 n_jobs;
	u64 last_seqno;
	u64 done_seqno;
	u64 error_seqno;
	int first_error;
	int later_error;
	u64 indefinite_from;
	u64 indefinite_seqno;
	struct rb_root_cached waiters;
	wait_queue_head_t wq;
	struct list_head notify;
	struct eventfd_ctx *eventfd;
	u64 busy_ns;
	bool destroyed;
};

/**
 * struct kerf_job_bo - a window of a job
 * @obj: held
 * @flags: KERF_BO_REF_*
 * @offset: in @obj
 * @size: of the window
 * @began: its place among all windows of @obj, from arming on
 * @reader: in the BO's readers, from arming to the end of the job
 * @writer: in the BO's writers, likewise
 */
struct kerf_job_bo {
	struct drm_gem_object *obj;
	u32 flags;
	u64 offset;
	u64 size;
	u64 began;
	struct list_head reader;
	struct list_head writer;
};

/**
 * struct kerf_wait - one thing a job waits for
 * @job: the job that waits
 * @node: in queue->waiters while it is not over and @job is at the head of its queue
 * @queue: awaited queue (held), or NULL
 * @seqno: awaited job of @queue
 * @fence: awaited fence (held), or NULL
 * @cb: on @fence
 */
struct kerf_wait {
	struct kerf_job *job;
	struct rb_node node;
	struct kerf_queue *queue;
	u64 seqno;
	struct dma_fence *fence;
	struct dma_fence_cb cb;
};

/**
 * struct kerf_job - a job; an engine reads the first part and owns @engine_priv
 * @queue: held
 * @engine: queue->engine
 * @seqno: from arming on
 * @cmd: copied commands, NULL if @cmd_size is 0
 * @cmd_size: bytes
 * @bos: windows
 * @n_bos: number
 * @cookie: the client's
 * @timeout_ms: running time allowed, not 0
 * @slot: engine->slots[] while it runs
 * @attempts: times it was run
 * @engine_priv: the engine's, between prepare() and unprepare()
 * @link: queue->pending, then kdev->retired
 * @waits: what it waits for
 * @n_waits: number of @waits
 * @n_unmet: those on queues that are not over, once it is at the head of its queue
 * @at_head: it has come there
 * @prepared: engine's prepare() was called
 * @fences_met: all fences of @waits have signalled
 * @n_fences: those that have not, and one more until it is armed
 * @met: in kdev->met
 * @retire_again: it was retired while in kdev->met
 * @share: charged for its running time
 * @fence: signalled when done, or NULL
 * @event: sent when done, or NULL
 * @indefinite: see queue->indefinite_seqno
 * @error: result
 * @queued: when armed
 * @started: when last run
 * @busy_ns: as the engine told, or by the clock
 */
struct kerf_job {
	struct kerf_queue *queue;
	struct kerf_engine *engine;
	u64 seqno;
	void *cmd;
	u32 cmd_size;
	struct kerf_job_bo *bos;
	u32 n_bos;
	u64 cookie;
	u32 timeout_ms;
	u32 slot;
	u32 attempts;
	void *engine_priv;

	struct list_head link;
	struct kerf_wait *waits;
	u32 n_waits;
	u32 n_unmet;
	bool at_head;
	bool prepared;
	bool fences_met;
	atomic_t n_fences;
	struct llist_node met;
	bool retire_again;
	struct kerf_share *share;
	struct dma_fence *fence;
	struct kerf_pending_event *event;
	bool indefinite;
	int error;
	ktime_t queued;
	ktime_t started;
	u64 busy_ns;
};

/**
 * enum kerf_run_result - what run() says
 * @KERF_RUN_STARTED: kerf_engine_done() will be called
 * @KERF_RUN_DONE: it was so short that it is done, successfully; kerf_engine_done() will not be
 *   called
 */
enum kerf_run_result { KERF_RUN_STARTED, KERF_RUN_DONE };

/**
 * struct kerf_engine_ops - an engine to the core
 * @validate: process context, may sleep. Checks job->cmd against job->bos; -EINVAL and the like.
 *   May be NULL: then only a job without commands is valid.
 * @prepare: process context. Whatever running needs: maps, memory, a runtime PM reference. NULL:
 *   nothing. The last step that may fail.
 * @run: kdev->lock held, interrupts off; allocates nothing, waits for nothing. Starts @job, known
 *   from now on as (job->slot, @generation).
 * @progress: process context, NULL: never. The job in @slot reached its timeout; true if it has
 *   moved on since asked last (the timer is set anew), or if the engine ended it itself with
 *   kerf_engine_done().
 * @stop: process context. After it returns the engine's interrupt handler does not run, it does
 *   no DMA, and no kerf_engine_done() comes for what ran. Jobs in slots stay there for the core to
 *   judge.
 * @reset: process context, after @stop. 0: fit to run again; else the engine is dead. As @stop it
 *   allocates no memory and takes no lock under which others do: fences may wait for it.
 * @unprepare: process context. Undoes @prepare.
 * @abandon: kdev->lock held, NULL: nothing. The client of the running job in @slot has gone; may
 *   hasten its end.
 * @release: the last reference went; frees engine->priv and what embeds the engine.
 */
struct kerf_engine_ops {
	int (*validate)(struct kerf_engine *engine, struct kerf_job *job);
	int (*prepare)(struct kerf_engine *engine, struct kerf_job *job);
	enum kerf_run_result (*run)(struct kerf_engine *engine, struct kerf_job *job,
				    u32 generation);
	bool (*progress)(struct kerf_engine *engine, u32 slot);
	void (*stop)(struct kerf_engine *engine);
	int (*reset)(struct kerf_engine *engine);
	void (*unprepare)(struct kerf_engine *engine, struct kerf_job *job);
	void (*abandon)(struct kerf_engine *engine, u32 slot);
	void (*release)(struct kerf_engine *engine);
};

/**
 * struct kerf_slot - a place on an engine
 * @job: what runs there, or NULL
 * @held: nothing may run there although @job is NULL: an engine server has not answered a job
 *   that was taken from it. Set by the engine under kdev->lock, ended by kerf_engine_unhold()
 * @generation: goes up at each start and at each recovery, so that a late answer is known as such
 * @deadline: jiffies at which @job has run too long
 * @verdict: how @job ends at the recovery that is due, or 0
 */
struct kerf_slot {
	struct kerf_job *job;
	bool held;
	u32 generation;
	unsigned long deadline;
	int verdict;
};

/**
 * struct kerf_engine - an engine; embedded by its driver, which fills the first part
 * @ops: functions
 * @engine_class: enum drm_kerf_engine_class
 * @flags: KERF_ENGINE_FENCES
 * @depth: slots, 1 to KERF_MAX_SLOTS
 * @timeout_ms: default of its jobs
 * @max_attempts: times a job may be run when not it but another caused a recovery (or its server
 *   died)
 * @caps: told to clients
 * @name: told to clients, unique in the device
 * @ref: device and queues
 * @kdev: device
 * @index: in kdev->engines
 * @state: enum drm_kerf_engine_state
 * @paused: nothing is run (no server); under kdev->lock
 * @recovering: nothing is run, since it is to be stopped and reset; under kdev->lock
 * @timer_at: jiffies at which @timeout_work looks next, if @timer_on
 * @timer_on: see @timer_at
 * @queues: all of it, under kdev->lock
 * @n_prepared: jobs between prepare() and unprepare()
 * @slots: what runs
 * @n_running: of @slots
 * @ready: by priority, shares with ready queues by vruntime
 * @starved_since: by priority, when a ready queue of it was last served or became ready first
 * @min_vruntime: by priority, floor for shares that become ready
 * @recovery_mutex: one recovery at a time
 * @timeout_work: at the earliest deadline of what runs
 * @busy_ns: sum
 * @jobs_armed: number; those not in @jobs_done wait or run
 * @jobs_done: number
 * @spurious: answers for no running job (late, twice, never asked), for debugfs
 * @resets: recoveries, for debugfs
 */
struct kerf_engine {
	const struct kerf_engine_ops *ops;
	u32 engine_class;
	u32 flags;
	u32 depth;
	u32 timeout_ms;
	u32 max_attempts;
	u64 caps;
	char name[32];

	struct kref ref;
	struct kerf_device *kdev;
	u32 index;
	u32 state;
	bool paused;
	bool recovering;
	bool timer_on;
	unsigned long timer_at;
	struct list_head queues;
	atomic_t n_prepared;
	struct kerf_slot slots[KERF_MAX_SLOTS];
	u32 n_running;
	struct rb_root_cached ready[KERF_N_PRIORITIES];
	ktime_t starved_since[KERF_N_PRIORITIES];
	u64 min_vruntime[KERF_N_PRIORITIES];
	struct mutex recovery_mutex;
	struct delayed_work timeout_work;
	u64 busy_ns;
	u64 jobs_armed;
	u64 jobs_done;
	u64 spurious;
	u64 resets;
};

/*
 * kerf_device.c: DRM devices. What kerf_device_create() gives lives as long as @parent is bound,
 * and longer while files and clients hold it: a probe that fails calls kerf_device_remove() and
 * returns.
 */
struct kerf_device *kerf_device_create(struct device *parent);
int kerf_device_register(struct kerf_device *kdev); /* clients may open it from now on */
/* registered or not: unplug; removes every engine, jobs end with -ENODEV */
void kerf_device_remove(struct kerf_device *kdev);
/* N of /dev/accel/accelN or /dev/dri/renderDN: its name in traces */
u32 kerf_device_minor(const struct kerf_device *kdev);
void kerf_client_get(struct kerf_client *client);
void kerf_client_put(struct kerf_client *client); /* process context, no spinlock */

/* kerf_engine.c: engines of a device, their recovery and end */
/* -EEXIST name, -ENOSPC index; takes over the reference */
int kerf_engine_add(struct kerf_device *kdev, struct kerf_engine *engine);
/* its jobs end with @error; drops the device's reference */
void kerf_engine_remove(struct kerf_engine *engine, int error);
struct kerf_engine *kerf_engine_get(struct kerf_device *kdev, u32 index); /* NULL if none */
void kerf_engine_put(struct kerf_engine *engine);
void kerf_engine_pause(struct kerf_engine *engine, u32 state); /* no more run() after it returns */
void kerf_engine_resume(struct kerf_engine *engine);
/* paused: what ran goes back to its queue's head, or ends with @error after max_attempts */
void kerf_engine_requeue_all(struct kerf_engine *engine, int error);

/*
 * Tell the end of what runs in (slot, generation): any context, not under kdev->lock, at most once
 * is heeded; false if stale. busy_ns 0: by the clock. error is a negative errno of &struct
 * drm_kerf_queue_wait; it stops the queue.
 */
bool kerf_engine_done(struct kerf_engine *engine, u32 slot, u32 generation, int error, u64 busy_ns);
/*
 * The same from where one may sleep: the job's memory is let go at once, which spares a worker its
 * wakeup.
 */
bool kerf_engine_done_sleepable(struct kerf_engine *engine, u32 slot, u32 generation, int error,
				u64 busy_ns);
/* @slot is no longer held; the next job may run there. Any context, not under kdev->lock. */
void kerf_engine_unhold(struct kerf_engine *engine, u32 slot);
/*
 * The engine itself says it is stuck or lies: stop, judge (the job in @guilty_slot fails with
 * @error, the others run again), reset. Any context.
 */
void kerf_engine_fault(struct kerf_engine *engine, u32 guilty_slot, int error);

/* kerf_queue.c: queues of a client and their ioctls */
struct kerf_queue *kerf_queue_find(struct kerf_client *client, u32 id); /* a reference, or NULL */
void kerf_queue_get(struct kerf_queue *q);
void kerf_queue_put(struct kerf_queue *q); /* process context, no spinlock */
/* how job @seqno <= done_seqno ended; under kdev->lock */
int kerf_queue_status(const struct kerf_queue *q, u64 seqno);
void kerf_queue_close_all(struct kerf_client *client);
int kerf_queue_create_ioctl(struct drm_device *dev, void *data, struct drm_file *file);
int kerf_queue_destroy_ioctl(struct drm_device *dev, void *data, struct drm_file *file);
int kerf_queue_wait_ioctl(struct drm_device *dev, void *data, struct drm_file *file);
int kerf_queue_state_ioctl(struct drm_device *dev, void *data, struct drm_file *file);
int kerf_queue_eventfd_ioctl(struct drm_device *dev, void *data, struct drm_file *file);

/* kerf_sched.c: who runs next. */
/* its lock, lists and works; kdev->wq may come after */
void kerf_sched_init(struct kerf_device *kdev);
/* all jobs done so far are retired, their queues let go */
void kerf_sched_flush(struct kerf_device *kdev);
/* A new queue has its constants, @ref and @wq set, all else zero. A failure leaves nothing. */
int kerf_sched_queue_init(struct kerf_queue *q);
/*
 * No lock held: @q is destroyed: pending jobs end with -ECANCELED, the running one is abandoned,
 * waiters go on.
 */
void kerf_sched_queue_kill(struct kerf_queue *q);
void kerf_sched_queue_fini(struct kerf_queue *q); /* the last reference went: leaves its shares */
void kerf_sched_client_fini(struct kerf_client *client); /* the last reference went */

/* kerf_submit.c */
int kerf_submit_ioctl(struct drm_device *dev, void *data, struct drm_file *file);

/* kerf_sim.c: adds the engine "sim" to @kdev */
int kerf_sim_add(struct kerf_device *kdev);

/*
 * kerf_trace.c: the events kerf:kerf_job_queued, _started and _done of a job; any context. Queued:
 * when armed; started: each time it is run, after job->started is set; done: after job->error and
 * job->busy_ns are set.
 */
void kerf_trace_queued(const struct kerf_job *job);
void kerf_trace_started(const struct kerf_job *job);
void kerf_trace_done(const struct kerf_job *job);

/*
 * kerf_bo.c: buffer objects. A job's BOs are looked up with drm_gem_object_lookup() and held by it.
 */
struct drm_gem_object *kerf_bo_create_object(struct drm_device *dev, size_t size);
int kerf_bo_create_ioctl(struct drm_device *dev, void *data, struct drm_file *file);
int kerf_bo_info_ioctl(struct drm_device *dev, void *data, struct drm_file *file);
int kerf_bo_sync_ioctl(struct drm_device *dev, void *data, struct drm_file *file);

struct kerf_bo {
	struct drm_gem_shmem_object shmem;
	struct list_head link; /* in kdev->bos, unless imported */
	u64 id;           /* unique in the module, never used again */
	u32 flags;        /* KERF_BO_* */
	atomic_t handles; /* in all files; kerf_user_bo_gone() when it falls to 0 */
	u64 began;        /* windows of jobs armed so far; under kdev->lock, as what follows */
	struct list_head readers; /* windows of jobs not done that read it, the oldest first */
	struct list_head writers; /* windows of jobs not done that write it, the oldest first */
	wait_queue_head_t idle;
};
#define to_kerf_bo(o) container_of(to_drm_gem_shmem_obj(o), struct kerf_bo, shmem)

/* No engine is there any more and none comes: undoes DMA mappings while the parent can. */
void kerf_bo_unmap_all(struct kerf_device *kdev);

/* At arming and at the end of a job, for each of its windows; under kdev->lock */
void kerf_bo_begin(struct kerf_job_bo *window);
void kerf_bo_end(struct kerf_job_bo *window);

#ifdef CONFIG_DEBUG_FS
/* kerf_debugfs.c */
void kerf_debugfs_init(void);
void kerf_debugfs_exit(void);
void kerf_debugfs_add(struct kerf_device *kdev);
void kerf_debugfs_remove(struct kerf_device *kdev);
#else
static inline void kerf_debugfs_init(void) { }
static inline void kerf_debugfs_exit(void) { }
static inline void kerf_debugfs_add(struct kerf_device *kdev) { }
static inline void kerf_debugfs_remove(struct kerf_device *kdev) { }
#endif

#ifdef CONFIG_PCI
/* kerf_npu.c: the driver of kerf NPUs; each is a device of its own */
int kerf_npu_init(void);
void kerf_npu_exit(void);
#else
static inline int kerf_npu_init(void) { return 0; }
static inline void kerf_npu_exit(void) { }
#endif

/* kerf_user.c: engines whose server is a process (uapi/kerf_server.h), on the virtual device */
int kerf_user_init(struct kerf_device *kdev); /* /dev/kerf-server; after kerf_device_register() */
void kerf_user_exit(void); /* before kerf_device_remove(); servers that are open are given up */
/* nobody has a handle of @bo any more: servers may unmap it. May sleep */
void kerf_user_bo_gone(struct kerf_bo *bo);

#endif
