// SPDX-License-Identifier: GPL-2.0-only
/*
 * Engines of a device: how they come and go, tell the end of jobs, and are brought back when they
 * hang.
 *
 * Recovery has one way for every cause. Whoever finds a fault notes a verdict in the slot of the
 * guilty job and keeps the engine from starting more; timeout_work then stops the engine, judges
 * what is still in its slots, and resets it. A job that ends meanwhile as it should is judged by
 * nobody.
 */
#include <linux/nospec.h>
#include <linux/slab.h>
#include <linux/wait_bit.h>

#include "kerf_sched.h"

/* --- recovery --- */

/*
 * No job of a dead engine goes on. The lock is let go between slots and between queues, each of
 * which has a bounded number of jobs.
 */
static void fail_everything(struct kerf_engine *engine, int error)
{
	struct kerf_device *kdev = engine->kdev;
	struct kerf_batch b;
	LIST_HEAD(todo);
	u32 i;

	for (i = 0; i < engine->depth; i++) {
		kerf_batch_begin(kdev, &b);
		engine->slots[i].generation++;
		if (engine->slots[i].job)
			kerf_sched_finish(&b, engine->slots[i].job, error, 0);
		kerf_batch_end(&b, KERF_ATOMIC);
	}
	kerf_batch_begin(kdev, &b);
	list_splice_init(&engine->queues, &todo);
	while (!list_empty(&todo)) {
		struct kerf_queue *q = list_first_entry(&todo, struct kerf_queue, engine_link);

		list_move_tail(&q->engine_link, &engine->queues);
		kerf_sched_fail_queue(&b, q, error);
		kerf_batch_end(&b, KERF_ATOMIC);
		kerf_batch_begin(kdev, &b);
	}
	kerf_batch_end(&b, KERF_ATOMIC);
}

static u64 elapsed_ns(const struct kerf_batch *b, const struct kerf_job *job)
{
	return max_t(s64, ktime_to_ns(ktime_sub(b->now, job->started)), 0);
}

/* The lock is let go between slots here too: a job that fails ends those behind it. */
static void judge(struct kerf_engine *engine)
{
	struct kerf_batch b;
	u32 i;

	for (i = 0; i < engine->depth; i++) {
		struct kerf_slot *slot = &engine->slots[i];

		kerf_batch_begin(engine->kdev, &b);
		slot->generation++;
		if (slot->job && slot->verdict)
			kerf_sched_finish(&b, slot->job, slot->verdict, elapsed_ns(&b, slot->job));
		else if (slot->job)
			kerf_sched_requeue(&b, slot->job, -EIO);
		kerf_batch_end(&b, KERF_ATOMIC);
	}
}

/*
 * Fences may wait for this: up to the end of the reset nothing allocates memory, the engine's
 * functions neither.
 */
static void recover(struct kerf_engine *engine)
{
	struct kerf_batch b;
	bool cookie, dead;

	cookie = dma_fence_begin_signalling();
	if (engine->ops->stop)
		engine->ops->stop(engine);
	judge(engine);
	dead = engine->ops->reset && engine->ops->reset(engine);
	dma_fence_end_signalling(cookie);

	kerf_batch_begin(engine->kdev, &b);
	if (dead)
		engine->state = KERF_ENGINE_DEAD;
	engine->recovering = false;
	b.engines |= 1u << engine->index;
	kerf_batch_end(&b, KERF_ATOMIC);
	if (dead)
		fail_everything(engine, -EIO);
}

static bool slot_is_overdue(const struct kerf_slot *slot)
{
	return slot->job && !slot->verdict && time_after_eq(jiffies, slot->deadline);
}

/* The job in a slot has had its time, unless the engine says that it moves. */
static void check_slot(struct kerf_engine *engine, u32 i)
{
	struct kerf_device *kdev = engine->kdev;
	struct kerf_slot *slot = &engine->slots[i];
	bool overdue, moves;
	u32 generation;

	spin_lock_irq(&kdev->lock);
	overdue = slot_is_overdue(slot);
	generation = slot->generation;
	spin_unlock_irq(&kdev->lock);
	if (!overdue)
		return;

	moves = engine->ops->progress && engine->ops->progress(engine, i);

	spin_lock_irq(&kdev->lock);
	if (slot->job && slot->generation == generation && engine->state != KERF_ENGINE_DEAD) {
		if (moves) {
			slot->deadline = jiffies + msecs_to_jiffies(slot->job->timeout_ms) + 1;
		} else if (!slot->verdict) {
			slot->verdict = -ETIME;
			engine->recovering = true;
		}
	}
	spin_unlock_irq(&kdev->lock);
}

static void timeout_work(struct work_struct *work)
{
	struct kerf_engine *engine = container_of(to_delayed_work(work), struct kerf_engine,
						  timeout_work);
	struct kerf_device *kdev = engine->kdev;
	bool due;
	u32 i;

	mutex_lock(&engine->recovery_mutex);
	spin_lock_irq(&kdev->lock);
	engine->timer_on = false;
	spin_unlock_irq(&kdev->lock);

	for (i = 0; i < engine->depth; i++)
		check_slot(engine, i);

	spin_lock_irq(&kdev->lock);
	due = engine->recovering && engine->state != KERF_ENGINE_DEAD;
	engine->resets += due;
	for (i = 0; i < engine->depth; i++)
		if (!due && engine->slots[i].job)
			kerf_sched_watch(engine, engine->slots[i].deadline);
	spin_unlock_irq(&kdev->lock);
	if (due)
		recover(engine);
	mutex_unlock(&engine->recovery_mutex);
}

/**
 * kerf_engine_fault() - an engine is stuck or tells nonsense
 * @engine: engine
 * @guilty_slot: whose job is to blame; one not below the engine's depth if nobody's
 * @error: how that job ends
 */
void kerf_engine_fault(struct kerf_engine *engine, u32 guilty_slot, int error)
{
	struct kerf_device *kdev = engine->kdev;
	unsigned long flags;

	spin_lock_irqsave(&kdev->lock, flags);
	if (guilty_slot < engine->depth && engine->slots[guilty_slot].job &&
	    !engine->slots[guilty_slot].verdict)
		engine->slots[guilty_slot].verdict = error;
	engine->recovering = true;
	kerf_sched_watch(engine, jiffies);
	spin_unlock_irqrestore(&kdev->lock, flags);
}

/* --- the end of jobs --- */

static bool engine_done(struct kerf_engine *engine, u32 i, u32 generation, int error, u64 busy_ns,
			enum kerf_context context)
{
	struct kerf_job *job = NULL;
	struct kerf_batch b;

	kerf_batch_begin(engine->kdev, &b);
	if (i < engine->depth && engine->slots[i].generation == generation)
		job = engine->slots[i].job;
	if (job) {
		u64 elapsed = elapsed_ns(&b, job);

		/* what an engine tells is not believed beyond the clock */
		kerf_sched_finish(&b, job, error > 0 ? -EIO : error,
				  busy_ns ? min(busy_ns, elapsed) : elapsed);
	} else {
		engine->spurious++;
	}
	kerf_batch_end(&b, context);
	return job;
}

bool kerf_engine_done(struct kerf_engine *engine, u32 i, u32 generation, int error, u64 busy_ns)
{
	return engine_done(engine, i, generation, error, busy_ns, KERF_ATOMIC);
}

bool kerf_engine_done_sleepable(struct kerf_engine *engine, u32 i, u32 generation, int error,
				u64 busy_ns)
{
	return engine_done(engine, i, generation, error, busy_ns, KERF_SLEEPABLE);
}

void kerf_engine_unhold(struct kerf_engine *engine, u32 slot)
{
	struct kerf_batch b;

	kerf_batch_begin(engine->kdev, &b);
	engine->slots[slot].held = false;
	b.engines |= 1u << engine->index;
	kerf_batch_end(&b, KERF_ATOMIC);
}

/* --- pausing --- */

void kerf_engine_pause(struct kerf_engine *engine, u32 state)
{
	struct kerf_device *kdev = engine->kdev;
	unsigned long flags;

	spin_lock_irqsave(&kdev->lock, flags);
	engine->paused = true;
	if (engine->state != KERF_ENGINE_DEAD)
		engine->state = state;
	spin_unlock_irqrestore(&kdev->lock, flags);
}

void kerf_engine_resume(struct kerf_engine *engine)
{
	struct kerf_batch b;

	kerf_batch_begin(engine->kdev, &b);
	engine->paused = false;
	if (engine->state != KERF_ENGINE_DEAD)
		engine->state = KERF_ENGINE_READY;
	b.engines |= 1u << engine->index;
	kerf_batch_end(&b, KERF_ATOMIC);
}

void kerf_engine_requeue_all(struct kerf_engine *engine, int error)
{
	struct kerf_batch b;
	u32 i;

	for (i = 0; i < engine->depth; i++) {
		kerf_batch_begin(engine->kdev, &b);
		engine->slots[i].generation++;
		if (engine->slots[i].job)
			kerf_sched_requeue(&b, engine->slots[i].job, error);
		kerf_batch_end(&b, KERF_ATOMIC);
	}
}

/* --- coming and going --- */

/*
 * The index that an engine of this name had before, else one that none had, else any: what clients
 * are charged by index shall not show under another engine's name.
 */
static int free_index(struct kerf_device *kdev, const char *name)
{
	int unused = -1, any = -1, i;

	for (i = KERF_MAX_ENGINES - 1; i >= 0; i--) {
		if (kdev->engines[i])
			continue;
		if (!strcmp(kdev->names[i], name))
			return i;
		any = i;
		if (!kdev->names[i][0])
			unused = i;
	}
	return unused >= 0 ? unused : any;
}

/**
 * kerf_engine_add() - a device has one more engine
 * @kdev: device
 * @engine: its first part is filled, the rest is zero
 *
 * Return: 0, and the engine lives until its last reference goes; -EEXIST: its name is taken,
 * -ENOSPC: no index is free, -ENODEV: the device is gone, -EINVAL: depth or name. On failure the
 * caller frees it.
 */
int kerf_engine_add(struct kerf_device *kdev, struct kerf_engine *engine)
{
	int index, i, ret = 0;

	if (!engine->depth || engine->depth > KERF_MAX_SLOTS || !engine->name[0] ||
	    strnlen(engine->name, sizeof(engine->name)) == sizeof(engine->name))
		return -EINVAL;

	kref_init(&engine->ref);
	engine->kdev = kdev;
	INIT_LIST_HEAD(&engine->queues);
	for (i = 0; i < KERF_N_PRIORITIES; i++)
		engine->ready[i] = RB_ROOT_CACHED;
	mutex_init(&engine->recovery_mutex);
	INIT_DELAYED_WORK(&engine->timeout_work, timeout_work);

	mutex_lock(&kdev->engines_mutex);
	for (i = 0; i < KERF_MAX_ENGINES; i++)
		if (kdev->engines[i] && !strcmp(kdev->engines[i]->name, engine->name))
			ret = -EEXIST;
	index = free_index(kdev, engine->name);
	if (!ret && index < 0)
		ret = -ENOSPC;
	if (!ret) {
		engine->index = index;
		strscpy(kdev->names[index], engine->name, sizeof(kdev->names[index]));
		spin_lock_irq(&kdev->lock);
		if (kdev->gone)
			ret = -ENODEV;
		else
			kdev->engines[index] = engine;
		spin_unlock_irq(&kdev->lock);
	}
	mutex_unlock(&kdev->engines_mutex);
	if (ret)
		mutex_destroy(&engine->recovery_mutex);
	return ret;
}

/**
 * kerf_engine_remove() - a device has an engine less
 * @engine: engine
 * @error: how its jobs end
 *
 * Process context, not in kdev->wq. Afterwards no job of it is left and none of its functions but
 * release() is called, but for validate(), prepare() and unprepare() of a SUBMIT that is under way
 * and will fail; drm_dev_unplug() before keeps out those too. Drops the device's reference.
 */
void kerf_engine_remove(struct kerf_engine *engine, int error)
{
	struct kerf_device *kdev = engine->kdev;

	mutex_lock(&kdev->engines_mutex);
	mutex_lock(&engine->recovery_mutex);
	spin_lock_irq(&kdev->lock);
	kdev->engines[engine->index] = NULL;
	/* it starts nothing any more, and nothing queues its timeout_work */
	engine->state = KERF_ENGINE_DEAD;
	spin_unlock_irq(&kdev->lock);
	if (engine->ops->stop)
		engine->ops->stop(engine);
	fail_everything(engine, error);
	mutex_unlock(&engine->recovery_mutex);
	cancel_delayed_work_sync(&engine->timeout_work);
	wait_var_event(&engine->n_prepared, !atomic_read(&engine->n_prepared));
	mutex_unlock(&kdev->engines_mutex);
	kerf_engine_put(engine);
}

struct kerf_engine *kerf_engine_get(struct kerf_device *kdev, u32 index)
{
	struct kerf_engine *engine = NULL;

	if (index >= KERF_MAX_ENGINES)
		return NULL;
	spin_lock_irq(&kdev->lock);
	engine = kdev->engines[array_index_nospec(index, KERF_MAX_ENGINES)];
	if (engine)
		kref_get(&engine->ref);
	spin_unlock_irq(&kdev->lock);
	return engine;
}

static void engine_release(struct kref *ref)
{
	struct kerf_engine *engine = container_of(ref, struct kerf_engine, ref);

	mutex_destroy(&engine->recovery_mutex);
	engine->ops->release(engine);
}

void kerf_engine_put(struct kerf_engine *engine)
{
	kref_put(&engine->ref, engine_release);
}
