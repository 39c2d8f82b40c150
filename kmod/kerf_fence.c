// SPDX-License-Identifier: GPL-2.0-only
/*
 * dma_fences: those that jobs signal, and those that they wait for.
 *
 * Each fence has a context of its own. The jobs of a queue end in order but for one case: when a
 * queue is destroyed its pending jobs end before the one that runs, and on one timeline that would
 * tell that the running one had ended too.
 */
#include <linux/module.h>
#include <linux/slab.h>

#include "kerf_sched.h"

struct kerf_fence {
	struct dma_fence base; /* first: dma_fence_free() frees it by this */
	spinlock_t lock;
};

static const char *kerf_fence_driver_name(struct dma_fence *fence)
{
	return KERF_ACCEL_NAME;
}

static const char *kerf_fence_timeline_name(struct dma_fence *fence)
{
	return "job";
}

static void kerf_fence_release(struct dma_fence *fence)
{
	dma_fence_free(fence);
	module_put(THIS_MODULE);
}

static const struct dma_fence_ops kerf_fence_ops = {
	.get_driver_name = kerf_fence_driver_name,
	.get_timeline_name = kerf_fence_timeline_name,
	.release = kerf_fence_release,
};

/*
 * A syncobj or sync_file may hold the fence longer than any of our files is open, hence the
 * module's reference.
 */
struct dma_fence *kerf_fence_create(void)
{
	struct kerf_fence *fence = kzalloc(sizeof(*fence), GFP_KERNEL_ACCOUNT);

	if (!fence)
		return NULL;
	__module_get(THIS_MODULE);
	spin_lock_init(&fence->lock);
	dma_fence_init(&fence->base, &kerf_fence_ops, &fence->lock, dma_fence_context_alloc(1), 1);
	return &fence->base;
}

/*
 * Comes under the lock of a fence that may be ours, from any context: so kdev->lock is taken by
 * work.
 */
static void kerf_fence_signalled(struct dma_fence *fence, struct dma_fence_cb *cb)
{
	struct kerf_job *job = container_of(cb, struct kerf_wait, cb)->job;
	struct kerf_device *kdev = job->engine->kdev;

	if (atomic_dec_and_test(&job->n_fences)) {
		llist_add(&job->met, &kdev->met);
		queue_work(kdev->wq, &kdev->kick_work);
	}
}

void kerf_fence_wait(struct kerf_job *job, struct dma_fence *fence)
{
	struct kerf_wait *wait = &job->waits[job->n_waits];

	wait->job = job;
	atomic_inc(&job->n_fences);
	if (dma_fence_add_callback(fence, &wait->cb, kerf_fence_signalled)) {
		/* signalled already */
		atomic_dec(&job->n_fences);
		dma_fence_put(fence);
		return;
	}
	wait->fence = fence;
	job->n_waits++;
}

bool kerf_fence_unwait(struct kerf_job *job)
{
	struct kerf_device *kdev = job->engine->kdev;
	bool called = false, removed = false, met;
	unsigned long flags;
	u32 i;

	for (i = 0; i < job->n_waits; i++) {
		struct kerf_wait *wait = &job->waits[i];

		if (!wait->fence)
			continue;
		if (dma_fence_remove_callback(wait->fence, &wait->cb))
			removed = true;
		else
			called = true;
		dma_fence_put(wait->fence);
		wait->fence = NULL;
	}
	if (!called || removed || !job->seqno)
		return true;
	/*
	 * Every callback was called, and the last of them put the job into kdev->met. Once asked
	 * to, kick_work may retire the job at any time: it is not looked at any more here.
	 */
	spin_lock_irqsave(&kdev->lock, flags);
	met = job->fences_met;
	job->retire_again = !met;
	spin_unlock_irqrestore(&kdev->lock, flags);
	return met;
}
