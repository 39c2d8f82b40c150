/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Between the files of the scheduler: kerf_sched.c, kerf_submit.c, kerf_engine.c and kerf_fence.c.
 *
 * Whatever changes the state of jobs does it between kerf_batch_begin() and kerf_batch_end(). What
 * follows from the changes is gathered in the batch and done once at its end: engines run what they
 * may, waiters are woken, the lock is dropped, fences are signalled, memory is let go.
 */
#ifndef KERF_SCHED_H
#define KERF_SCHED_H

#include "kerf_drv.h"

/**
 * struct kerf_batch - one stretch under kdev->lock
 * @kdev: device
 * @done: jobs that ended
 * @notify: queues whose done_seqno moved
 * @engines: bit mask of engines that may have something to run
 * @now: when it began
 * @flags: interrupt state before
 * @cookie: of dma_fence_begin_signalling()
 */
struct kerf_batch {
	struct kerf_device *kdev;
	struct list_head done;
	struct list_head notify;
	u32 engines;
	ktime_t now;
	unsigned long flags;
	bool cookie;
};

/** struct kerf_pending_event - room for a job's event; the DRM core frees it by its first field */
struct kerf_pending_event {
	struct drm_pending_event base;
	struct drm_kerf_event event;
};

/**
 * enum kerf_context - what the end of a batch may do
 * @KERF_ATOMIC: nothing that sleeps: memory is let go by work
 * @KERF_SLEEPABLE: let memory go itself; not in works of kdev->wq
 */
enum kerf_context { KERF_ATOMIC, KERF_SLEEPABLE };

/* kerf_sched.c */
void kerf_batch_begin(struct kerf_device *kdev, struct kerf_batch *b) __acquires(&kdev->lock);
void kerf_batch_end(struct kerf_batch *b, enum kerf_context context) __releases(&b->kdev->lock);

/* All in a batch. A job that ran is done, or is to run again (@error if that was too often). */
void kerf_sched_finish(struct kerf_batch *b, struct kerf_job *job, int error, u64 busy_ns);
void kerf_sched_requeue(struct kerf_batch *b, struct kerf_job *job, int error);
/* The jobs of @q that have not started end with @error. */
void kerf_sched_fail_queue(struct kerf_batch *b, struct kerf_queue *q, int error);
/* The engine's timeout_work looks at @deadline, in jiffies, at the latest. */
void kerf_sched_watch(struct kerf_engine *engine, unsigned long deadline);

/*
 * Gives the jobs of @jobs their numbers and takes them, all or none: -ENODEV, -EIO, -ENOENT,
 * -ECANCELED, -EAGAIN, -EOPNOTSUPP. No failure and no access to them by the caller after that.
 */
int kerf_sched_arm(struct kerf_queue *q, struct list_head *jobs, u32 n_jobs, u64 *last_seqno);

/* kerf_submit.c: never armed, or done; process context */
void kerf_job_free(struct kerf_job *job);

/* kerf_fence.c */
struct dma_fence *kerf_fence_create(void);
/* Takes over @fence; before arming */
void kerf_fence_wait(struct kerf_job *job, struct dma_fence *fence);
/*
 * No callback for @job comes or is under way afterwards; false: one has left @job to kick_work,
 * which retires it again
 */
bool kerf_fence_unwait(struct kerf_job *job);

#endif
