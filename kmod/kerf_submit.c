// SPDX-License-Identifier: GPL-2.0-only
/*
 * SUBMIT. For every job of the call: copy what the user wrote, check the copy, look up what it
 * names, allocate all that its life will need. Then all are armed, or none is.
 *
 * Nothing of the user's memory is touched while the device is held against unplugging, since a page
 * fault may take as long as the user likes.
 */
#include <linux/dma-fence-chain.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include <drm/drm_syncobj.h>

#include "kerf_sched.h"
#include "kerf_validate.h"

/**
 * struct kerf_signal - a syncobj that gets a job's fence
 * @link: in the list of the call
 * @syncobj: held
 * @fence: held
 * @chain: for a timeline, else NULL
 * @point: of a timeline
 */
struct kerf_signal {
	struct list_head link;
	struct drm_syncobj *syncobj;
	struct dma_fence *fence;
	struct dma_fence_chain *chain;
	u64 point;
};

/**
 * struct kerf_submit - one call
 * @file: caller
 * @queue: held
 * @jobs: prepared so far
 * @signals: what they will signal
 */
struct kerf_submit {
	struct drm_file *file;
	struct kerf_queue *queue;
	struct list_head jobs;
	struct list_head signals;
};

static int copy_element(void *to, size_t size, const struct drm_kerf_obj_array *array, u32 i)
{
	u64 from = array->array + (u64)i * array->stride;

	return copy_struct_from_user(to, size, u64_to_user_ptr(from), array->stride);
}

/* --- jobs --- */

void kerf_job_free(struct kerf_job *job)
{
	struct kerf_queue *q = job->queue;
	struct kerf_engine *engine = job->engine;
	u32 i;

	if (!kerf_fence_unwait(job))
		return;
	if (job->prepared && engine->ops->unprepare)
		engine->ops->unprepare(engine, job);
	for (i = 0; i < job->n_bos; i++)
		drm_gem_object_put(job->bos[i].obj);
	for (i = 0; i < job->n_waits; i++)
		if (job->waits[i].queue)
			kerf_queue_put(job->waits[i].queue);
	dma_fence_put(job->fence);
	if (job->event)
		drm_event_cancel_free(&engine->kdev->drm, &job->event->base);
	if (!job->seqno)
		atomic64_sub(job->cmd_size, &q->client->cmd_bytes);
	if (job->prepared && atomic_dec_and_test(&engine->n_prepared))
		wake_up_var(&engine->n_prepared);
	kvfree(job);
	kerf_queue_put(q);
}

/* The job, what it waits for, its windows and its commands lie in one piece of memory. */
static struct kerf_job *job_alloc(struct kerf_queue *q, const struct drm_kerf_job *from)
{
	struct kerf_client *client = q->client;
	size_t waits = from->syncs.count * sizeof(struct kerf_wait);
	size_t bos = from->bos.count * sizeof(struct kerf_job_bo);
	struct kerf_job *job;

	if (atomic64_add_return(from->cmd_size, &client->cmd_bytes) > KERF_MAX_CMD_BYTES) {
		atomic64_sub(from->cmd_size, &client->cmd_bytes);
		return ERR_PTR(-EAGAIN);
	}
	job = kvzalloc(sizeof(*job) + waits + bos + from->cmd_size, GFP_KERNEL_ACCOUNT);
	if (!job) {
		atomic64_sub(from->cmd_size, &client->cmd_bytes);
		return ERR_PTR(-ENOMEM);
	}
	kerf_queue_get(q);
	job->queue = q;
	job->engine = q->engine;
	job->waits = (void *)(job + 1);
	job->bos = (void *)job->waits + waits;
	if (from->cmd_size)
		job->cmd = (void *)job->bos + bos;
	job->cmd_size = from->cmd_size;
	job->cookie = from->cookie;
	job->timeout_ms = from->timeout_ms ?: q->engine->timeout_ms;
	atomic_set(&job->n_fences, 1);
	return job;
}

static int job_add_bo(struct kerf_submit *s, struct kerf_job *job,
		      const struct drm_kerf_bo_ref *ref)
{
	struct kerf_job_bo *bo = &job->bos[job->n_bos];
	int ret = kerf_validate_bo_ref(ref);

	if (ret)
		return ret;
	bo->obj = drm_gem_object_lookup(s->file, ref->handle);
	if (!bo->obj)
		return -ENOENT;
	bo->flags = ref->flags;
	bo->offset = ref->offset;
	bo->size = ref->size;
	job->n_bos++;
	return kerf_validate_range(ref->offset, ref->size, bo->obj->size);
}

static int job_wait_queue(struct kerf_job *job, const struct drm_kerf_sync *sync)
{
	struct kerf_device *kdev = job->engine->kdev;
	struct kerf_wait *wait = &job->waits[job->n_waits];
	struct kerf_queue *q = kerf_queue_find(job->queue->client, sync->handle);
	bool known, done;

	if (!q)
		return -ENOENT;
	spin_lock_irq(&kdev->lock);
	known = sync->point <= q->last_seqno;
	done = sync->point <= q->done_seqno;
	spin_unlock_irq(&kdev->lock);
	if (!known || done) {
		kerf_queue_put(q);
		return known ? 0 : -EINVAL;
	}
	wait->job = job;
	wait->queue = q;
	wait->seqno = sync->point;
	RB_CLEAR_NODE(&wait->node);
	job->n_waits++;
	return 0;
}

static int job_wait_syncobj(struct kerf_submit *s, struct kerf_job *job,
			    const struct drm_kerf_sync *sync)
{
	struct dma_fence *fence;
	int ret = drm_syncobj_find_fence(s->file, sync->handle, sync->point, 0, &fence);

	if (!ret)
		kerf_fence_wait(job, fence);
	return ret;
}

static void signal_free(struct kerf_signal *signal)
{
	drm_syncobj_put(signal->syncobj);
	dma_fence_put(signal->fence);
	dma_fence_chain_free(signal->chain);
	kfree(signal);
}

static int job_signal_syncobj(struct kerf_submit *s, struct kerf_job *job,
			      const struct drm_kerf_sync *sync)
{
	struct kerf_signal *signal;
	int ret = -ENOMEM;

	if (!(job->engine->flags & KERF_ENGINE_FENCES))
		return -EOPNOTSUPP;
	if (!job->fence)
		job->fence = kerf_fence_create();
	if (!job->fence)
		return -ENOMEM;
	signal = kzalloc(sizeof(*signal), GFP_KERNEL);
	if (!signal)
		return -ENOMEM;
	if (sync->point) {
		signal->chain = dma_fence_chain_alloc();
		if (!signal->chain)
			goto free;
		signal->point = sync->point;
	}
	signal->syncobj = drm_syncobj_find(s->file, sync->handle);
	if (!signal->syncobj) {
		ret = -ENOENT;
		goto free;
	}
	signal->fence = dma_fence_get(job->fence);
	list_add_tail(&signal->link, &s->signals);
	return 0;
free:
	dma_fence_chain_free(signal->chain);
	kfree(signal);
	return ret;
}

static int job_add_sync(struct kerf_submit *s, struct kerf_job *job,
			const struct drm_kerf_sync *sync)
{
	int ret = kerf_validate_sync(sync);

	if (ret)
		return ret;
	switch (sync->type) {
	case KERF_SYNC_WAIT_QUEUE:
		return job_wait_queue(job, sync);
	case KERF_SYNC_WAIT_SYNCOBJ:
		return job_wait_syncobj(s, job, sync);
	default:
		return job_signal_syncobj(s, job, sync);
	}
}

static int job_add_event(struct kerf_submit *s, struct kerf_job *job)
{
	struct kerf_pending_event *event = kzalloc(sizeof(*event), GFP_KERNEL);
	int ret;

	if (!event)
		return -ENOMEM;
	event->event.base.type = KERF_EVENT_JOB_DONE;
	event->event.base.length = sizeof(event->event);
	event->event.cookie = job->cookie;
	event->event.queue_id = job->queue->id;
	ret = drm_event_reserve_init(&job->engine->kdev->drm, s->file, &event->base,
				     &event->event.base);
	if (ret) {
		kfree(event);
		return ret;
	}
	job->event = event;
	return 0;
}

static int job_copy(struct kerf_submit *s, const struct drm_kerf_obj_array *array, u32 index)
{
	struct drm_kerf_job from;
	struct kerf_job *job;
	u32 i;
	int ret;

	ret = copy_element(&from, sizeof(from), array, index);
	if (!ret)
		ret = kerf_validate_job(&from);
	if (ret)
		return ret;
	job = job_alloc(s->queue, &from);
	if (IS_ERR(job))
		return PTR_ERR(job);
	list_add_tail(&job->link, &s->jobs);

	if (from.cmd_size && copy_from_user(job->cmd, u64_to_user_ptr(from.cmd), from.cmd_size))
		return -EFAULT;
	for (i = 0; i < from.bos.count; i++) {
		struct drm_kerf_bo_ref ref;

		ret = copy_element(&ref, sizeof(ref), &from.bos, i);
		if (!ret)
			ret = job_add_bo(s, job, &ref);
		if (ret)
			return ret;
	}
	for (i = 0; i < from.syncs.count; i++) {
		struct drm_kerf_sync sync;

		ret = copy_element(&sync, sizeof(sync), &from.syncs, i);
		if (!ret)
			ret = job_add_sync(s, job, &sync);
		if (ret)
			return ret;
	}
	return from.flags & KERF_JOB_EVENT ? job_add_event(s, job) : 0;
}

/* --- the call --- */

static int prepare_jobs(struct kerf_submit *s)
{
	struct kerf_engine *engine = s->queue->engine;
	const struct kerf_engine_ops *ops = engine->ops;
	struct kerf_job *job;
	int ret = 0;

	list_for_each_entry(job, &s->jobs, link) {
		if (ops->validate)
			ret = ops->validate(engine, job);
		else if (job->cmd_size)
			ret = -EINVAL;
		if (!ret && ops->prepare)
			ret = ops->prepare(engine, job);
		if (ret)
			return ret;
		job->prepared = true;
		atomic_inc(&engine->n_prepared);
	}
	return 0;
}

static int prepare_and_arm(struct kerf_submit *s, u32 n_jobs, u64 *last_seqno)
{
	int idx, ret;

	if (!drm_dev_enter(&s->queue->engine->kdev->drm, &idx))
		return -ENODEV;
	ret = prepare_jobs(s);
	if (!ret)
		ret = kerf_sched_arm(s->queue, &s->jobs, n_jobs, last_seqno);
	drm_dev_exit(idx);
	return ret;
}

static void install_fences(struct kerf_submit *s)
{
	struct kerf_signal *signal;

	list_for_each_entry(signal, &s->signals, link) {
		if (signal->chain)
			drm_syncobj_add_point(signal->syncobj, signal->chain, signal->fence,
					      signal->point);
		else
			drm_syncobj_replace_fence(signal->syncobj, signal->fence);
		signal->chain = NULL;
	}
}

/*
 * What arming would refuse anyway is refused before any work, since callers try again and again at
 * -EAGAIN.
 */
static int check_queue(struct kerf_queue *q, u32 n_jobs)
{
	struct kerf_device *kdev = q->engine->kdev;
	int ret = 0;

	if (n_jobs > q->depth)
		return -EINVAL;
	spin_lock_irq(&kdev->lock);
	if (q->first_error)
		ret = -ECANCELED;
	else if (q->engine->state == KERF_ENGINE_DEAD)
		ret = -EIO;
	else if (n_jobs > q->depth - q->n_jobs)
		ret = -EAGAIN;
	spin_unlock_irq(&kdev->lock);
	return ret;
}

int kerf_submit_ioctl(struct drm_device *dev, void *data, struct drm_file *file)
{
	struct drm_kerf_submit *args = data;
	struct kerf_submit s = { .file = file };
	struct kerf_signal *signal, *next_signal;
	struct kerf_job *job, *next_job;
	u32 i;
	int ret;

	ret = kerf_validate_submit(args);
	if (ret)
		return ret;
	s.queue = kerf_queue_find(file->driver_priv, args->queue_id);
	if (!s.queue)
		return -ENOENT;
	INIT_LIST_HEAD(&s.jobs);
	INIT_LIST_HEAD(&s.signals);

	ret = check_queue(s.queue, args->jobs.count);
	for (i = 0; !ret && i < args->jobs.count; i++)
		ret = job_copy(&s, &args->jobs, i);
	if (!ret)
		ret = prepare_and_arm(&s, args->jobs.count, &args->last_seqno);
	if (!ret)
		install_fences(&s);

	list_for_each_entry_safe(job, next_job, &s.jobs, link)
		kerf_job_free(job);
	list_for_each_entry_safe(signal, next_signal, &s.signals, link)
		signal_free(signal);
	kerf_queue_put(s.queue);
	return ret;
}
