// SPDX-License-Identifier: GPL-2.0-only
/*
 * Whose job runs next, and what follows when one is done.
 *
 * A queue whose first pending job waits for nothing, and of which no job runs, is ready: it is in
 * the list of its share, and a share with ready queues is in its engine's tree of that priority. An
 * engine with a free slot takes the highest priority, there the share charged least, there the
 * queue that is ready for longest.
 *
 * Waits on other queues are linked only while their job is the first pending one of its queue, and
 * only then does it lend its priority: so the work that one completion causes is bounded by the
 * number of queues and not by the number of jobs.
 */
#include <linux/slab.h>

#include "kerf_sched.h"

/* What each job is charged at least, so that a client of empty jobs shares by turns */
#define MIN_CHARGE_NS 1000
/* A priority with something ready gets a job if it got none for so long */
#define STARVED_MS 500
/* Jobs that end as they start, in one stretch with interrupts off; then others may have the lock */
#define MAX_INLINE_JOBS 64
/* Jobs of kdev->met looked at in one stretch */
#define MAX_MET_JOBS 64

static u32 engine_bit(const struct kerf_engine *engine)
{
	return 1u << engine->index;
}

static struct kerf_job *first_pending(struct kerf_queue *q)
{
	return list_first_entry_or_null(&q->pending, struct kerf_job, link);
}

/* --- shares --- */

static bool share_less(struct rb_node *a, const struct rb_node *b)
{
	const struct kerf_share *x = rb_entry(a, struct kerf_share, node);
	const struct kerf_share *y = rb_entry(b, struct kerf_share, node);

	return (s64)(x->vruntime - y->vruntime) < 0;
}

static struct rb_root_cached *share_root(struct kerf_share *share)
{
	return &share->engine->ready[share->priority];
}

static void share_charge(struct kerf_share *share, u64 ns)
{
	if (!list_empty(&share->ready))
		rb_erase_cached(&share->node, share_root(share));
	share->vruntime += ns;
	if (!list_empty(&share->ready))
		rb_add_cached(&share->node, share_root(share), share_less);
}

static void queue_make_ready(struct kerf_batch *b, struct kerf_queue *q)
{
	struct kerf_share *share = q->share;
	struct kerf_engine *engine = q->engine;

	if (list_empty(&share->ready)) {
		u64 floor = engine->min_vruntime[share->priority];

		if (RB_EMPTY_ROOT(&share_root(share)->rb_root))
			engine->starved_since[share->priority] = b->now;
		if ((s64)(share->vruntime - floor) < 0)
			share->vruntime = floor;
		rb_add_cached(&share->node, share_root(share), share_less);
	}
	list_add_tail(&q->ready, &share->ready);
	b->engines |= engine_bit(engine);
}

static void queue_make_unready(struct kerf_queue *q)
{
	list_del_init(&q->ready);
	if (list_empty(&q->share->ready))
		rb_erase_cached(&q->share->node, share_root(q->share));
}

/* --- priority inheritance --- */

static bool wait_is_linked(const struct kerf_wait *wait)
{
	return wait->queue && !RB_EMPTY_NODE(&wait->node);
}

static u32 queue_effective(const struct kerf_queue *q)
{
	u32 p;

	for (p = KERF_N_PRIORITIES - 1; p > q->priority; p--)
		if (q->lent[p])
			break;
	return p;
}

static void look_at_priority(struct kerf_queue *q, struct list_head *todo)
{
	if (list_empty(&q->lend_link))
		list_add_tail(&q->lend_link, todo);
}

/*
 * Gives the queues in @todo the priority they should have, and those that they wait for, and so on.
 * Waits form no cycle and all priorities move one way, so no queue changes more often than there
 * are priorities.
 */
static void settle_priorities(struct kerf_batch *b, struct list_head *todo)
{
	struct kerf_queue *q;

	while ((q = list_first_entry_or_null(todo, struct kerf_queue, lend_link))) {
		u32 before = q->effective, now = queue_effective(q), i;
		bool ready = !list_empty(&q->ready);
		struct kerf_job *job = first_pending(q);

		list_del_init(&q->lend_link);
		if (now == before)
			continue;
		if (ready)
			queue_make_unready(q);
		q->effective = now;
		q->share = q->shares[now];
		if (ready)
			queue_make_ready(b, q);
		if (!job || !job->n_unmet)
			continue;
		for (i = 0; i < job->n_waits; i++) {
			struct kerf_wait *wait = &job->waits[i];

			if (!wait_is_linked(wait))
				continue;
			wait->queue->lent[before]--;
			wait->queue->lent[now]++;
			look_at_priority(wait->queue, todo);
		}
	}
}

/* --- waits on other queues --- */

static bool wait_less(struct rb_node *a, const struct rb_node *b)
{
	const struct kerf_wait *x = rb_entry(a, struct kerf_wait, node);
	const struct kerf_wait *y = rb_entry(b, struct kerf_wait, node);

	return x->seqno < y->seqno;
}

static bool wait_is_over(const struct kerf_wait *wait)
{
	return wait->queue->destroyed || wait->queue->done_seqno >= wait->seqno;
}

static void wait_unlink(struct kerf_wait *wait, struct list_head *todo)
{
	struct kerf_queue *awaited = wait->queue;

	rb_erase_cached(&wait->node, &awaited->waiters);
	RB_CLEAR_NODE(&wait->node);
	awaited->lent[wait->job->queue->effective]--;
	wait->job->n_unmet--;
	look_at_priority(awaited, todo);
}

static void job_link_waits(struct kerf_batch *b, struct kerf_job *job)
{
	LIST_HEAD(todo);
	u32 i;

	for (i = 0; i < job->n_waits; i++) {
		struct kerf_wait *wait = &job->waits[i];

		if (!wait->queue || wait_is_over(wait))
			continue;
		rb_add_cached(&wait->node, &wait->queue->waiters, wait_less);
		wait->queue->lent[job->queue->effective]++;
		job->n_unmet++;
		look_at_priority(wait->queue, &todo);
	}
	settle_priorities(b, &todo);
}

static void job_unlink_waits(struct kerf_batch *b, struct kerf_job *job)
{
	LIST_HEAD(todo);
	u32 i;

	if (!job->n_unmet)
		return;
	for (i = 0; i < job->n_waits; i++)
		if (wait_is_linked(&job->waits[i]))
			wait_unlink(&job->waits[i], &todo);
	settle_priorities(b, &todo);
}

/* Something about @q changed: its first pending job may be a new one, or wait no longer. */
static void queue_advance(struct kerf_batch *b, struct kerf_queue *q)
{
	struct kerf_job *job = first_pending(q);

	if (!job || q->running || !list_empty(&q->ready))
		return;
	if (!job->at_head) {
		job->at_head = true;
		job_link_waits(b, job);
	}
	if (!job->n_unmet && job->fences_met)
		queue_make_ready(b, q);
}

static void queue_release_waiters(struct kerf_batch *b, struct kerf_queue *q)
{
	struct rb_node *node;
	LIST_HEAD(todo);

	while ((node = rb_first_cached(&q->waiters))) {
		struct kerf_wait *wait = rb_entry(node, struct kerf_wait, node);

		if (!wait_is_over(wait))
			break;
		wait_unlink(wait, &todo);
		queue_advance(b, wait->job->queue);
	}
	settle_priorities(b, &todo);
}

/* --- the end of jobs --- */

static void queue_notify(struct kerf_batch *b, struct kerf_queue *q)
{
	if (list_empty(&q->notify))
		list_add_tail(&q->notify, &b->notify);
}

static void job_send_event(struct kerf_job *job)
{
	struct drm_device *drm = &job->engine->kdev->drm;
	struct kerf_pending_event *event = job->event;

	job->event = NULL;
	event->event.seqno = job->seqno;
	event->event.status = job->error;
	spin_lock(&drm->event_lock);
	drm_send_event_locked(drm, &event->base);
	spin_unlock(&drm->event_lock);
}

/* @job is off its slot, or out of the pending list: publish its end. */
static void job_end(struct kerf_batch *b, struct kerf_job *job, int error)
{
	struct kerf_queue *q = job->queue;
	u32 i;

	job->error = error;
	job->engine->jobs_done++;
	q->n_jobs--;
	/* the running job of a destroyed queue ends after those behind it */
	if (job->seqno > q->done_seqno)
		q->done_seqno = job->seqno;
	if (error && !q->first_error) {
		q->first_error = error;
		q->error_seqno = job->seqno;
		q->later_error = job->engine->state == KERF_ENGINE_DEAD ? error : -ECANCELED;
	}
	atomic64_sub(job->cmd_size, &q->client->cmd_bytes);
	for (i = 0; i < job->n_bos; i++)
		kerf_bo_end(&job->bos[i]);
	kerf_trace_done(job);
	if (job->event)
		job_send_event(job);
	list_add_tail(&job->link, &b->done);
	queue_notify(b, q);
}

static void queue_end_pending(struct kerf_batch *b, struct kerf_queue *q, int error)
{
	struct kerf_job *job;

	if (!list_empty(&q->ready))
		queue_make_unready(q);
	while ((job = first_pending(q))) {
		job_unlink_waits(b, job);
		list_del(&job->link);
		job_end(b, job, error);
	}
}

static void job_leave_slot(struct kerf_batch *b, struct kerf_job *job)
{
	struct kerf_engine *engine = job->engine;

	engine->slots[job->slot].job = NULL;
	engine->n_running--;
	job->queue->running = NULL;
	b->engines |= engine_bit(engine);
}

/**
 * kerf_sched_finish() - a job that ran is done
 * @b: batch
 * @job: in a slot
 * @error: result
 * @busy_ns: how long it kept the engine busy
 */
void kerf_sched_finish(struct kerf_batch *b, struct kerf_job *job, int error, u64 busy_ns)
{
	struct kerf_queue *q = job->queue;
	struct kerf_engine *engine = job->engine;

	job_leave_slot(b, job);
	job->busy_ns = busy_ns;
	engine->busy_ns += busy_ns;
	q->busy_ns += busy_ns;
	atomic64_add(busy_ns, &q->client->busy_ns[engine->index]);
	share_charge(job->share, max_t(u64, busy_ns, MIN_CHARGE_NS));
	job_end(b, job, error);
	if (error)
		queue_end_pending(b, q, q->later_error);
	queue_release_waiters(b, q);
	queue_advance(b, q);
}

/**
 * kerf_sched_requeue() - a job that ran is to run again, through no fault of its own
 * @b: batch
 * @job: in a slot
 * @error: its result if it was run too often
 */
void kerf_sched_requeue(struct kerf_batch *b, struct kerf_job *job, int error)
{
	struct kerf_queue *q = job->queue;

	if (q->destroyed || job->attempts >= job->engine->max_attempts) {
		kerf_sched_finish(b, job, q->destroyed ? -ECANCELED : error, 0);
		return;
	}
	job_leave_slot(b, job);
	list_add(&job->link, &q->pending);
	queue_advance(b, q);
}

/**
 * kerf_sched_fail_queue() - the engine of a queue is no more
 * @b: batch
 * @q: queue
 * @error: result of its jobs that have not started
 */
void kerf_sched_fail_queue(struct kerf_batch *b, struct kerf_queue *q, int error)
{
	queue_end_pending(b, q, error);
	queue_release_waiters(b, q);
}

/* --- running --- */

void kerf_sched_watch(struct kerf_engine *engine, unsigned long deadline)
{
	unsigned long now = jiffies;

	if (engine->state == KERF_ENGINE_DEAD ||
	    (engine->timer_on && !time_before(deadline, engine->timer_at)))
		return;
	engine->timer_on = true;
	engine->timer_at = deadline;
	mod_delayed_work(engine->kdev->wq, &engine->timeout_work,
			 time_after(deadline, now) ? deadline - now : 0);
}

static struct kerf_queue *engine_pick(struct kerf_engine *engine, ktime_t now)
{
	struct kerf_share *share;
	int p, best = -1;

	for (p = KERF_N_PRIORITIES - 1; p >= 0; p--) {
		if (RB_EMPTY_ROOT(&engine->ready[p].rb_root))
			continue;
		if (best < 0)
			best = p;
		else if (ktime_ms_delta(now, engine->starved_since[p]) >= STARVED_MS)
			break;
	}
	if (p < 0)
		p = best;
	if (p < 0)
		return NULL;
	engine->starved_since[p] = now;
	share = rb_entry(rb_first_cached(&engine->ready[p]), struct kerf_share, node);
	engine->min_vruntime[p] = share->vruntime;
	return list_first_entry(&share->ready, struct kerf_queue, ready);
}

static int engine_free_slot(const struct kerf_engine *engine)
{
	u32 i;

	if (engine->paused || engine->recovering || engine->state == KERF_ENGINE_DEAD ||
	    engine->n_running == engine->depth)
		return -1;
	for (i = 0; i < engine->depth; i++)
		if (!engine->slots[i].job && !engine->slots[i].held)
			return i;
	return -1;
}

static enum kerf_run_result engine_run(struct kerf_batch *b, struct kerf_engine *engine, u32 i,
				       struct kerf_queue *q, bool now_is_old)
{
	struct kerf_slot *slot = &engine->slots[i];
	struct kerf_job *job = first_pending(q);
	enum kerf_run_result result;

	queue_make_unready(q);
	list_del(&job->link);
	q->running = job;
	job->share = q->share;
	job->slot = i;
	job->attempts++;
	job->started = now_is_old ? ktime_get() : b->now;
	slot->job = job;
	slot->generation++;
	slot->verdict = 0;
	engine->n_running++;
	kerf_trace_started(job);
	result = engine->ops->run(engine, job, slot->generation);
	if (result == KERF_RUN_STARTED) {
		slot->deadline = jiffies + msecs_to_jiffies(job->timeout_ms) + 1;
		kerf_sched_watch(engine, slot->deadline);
	}
	return result;
}

static void run_engines(struct kerf_batch *b)
{
	struct kerf_device *kdev = b->kdev;
	u32 inline_jobs = 0;

	while (b->engines) {
		struct kerf_engine *engine = kdev->engines[__ffs(b->engines)];
		struct kerf_queue *q = NULL;
		int slot = engine ? engine_free_slot(engine) : -1;

		if (slot >= 0)
			q = engine_pick(engine, b->now);
		if (!q) {
			b->engines &= b->engines - 1;
			continue;
		}
		if (inline_jobs == MAX_INLINE_JOBS) {
			queue_work(kdev->wq, &kdev->kick_work);
			break;
		}
		if (engine_run(b, engine, slot, q, inline_jobs) == KERF_RUN_DONE) {
			kerf_sched_finish(b, engine->slots[slot].job, 0, 0);
			inline_jobs++;
		}
	}
}

/* --- batches --- */

void kerf_batch_begin(struct kerf_device *kdev, struct kerf_batch *b)
	__acquires(&kdev->lock)
{
	b->kdev = kdev;
	INIT_LIST_HEAD(&b->done);
	INIT_LIST_HEAD(&b->notify);
	b->engines = 0;
	b->cookie = dma_fence_begin_signalling();
	spin_lock_irqsave(&kdev->lock, b->flags);
	b->now = ktime_get();
}

static void retire(struct list_head *jobs)
{
	struct kerf_job *job, *next;

	list_for_each_entry_safe(job, next, jobs, link)
		kerf_job_free(job);
}

void kerf_batch_end(struct kerf_batch *b, enum kerf_context context)
	__releases(&b->kdev->lock)
{
	struct kerf_device *kdev = b->kdev;
	struct kerf_queue *q, *next;
	struct kerf_job *job;

	run_engines(b);
	list_for_each_entry_safe(q, next, &b->notify, notify) {
		list_del_init(&q->notify);
		wake_up_all(&q->wq);
		if (q->eventfd)
			kerf_eventfd_signal(q->eventfd);
	}
	spin_unlock_irqrestore(&kdev->lock, b->flags);

	list_for_each_entry(job, &b->done, link) {
		if (!job->fence)
			continue;
		if (job->error)
			dma_fence_set_error(job->fence, job->error);
		dma_fence_signal(job->fence);
	}
	dma_fence_end_signalling(b->cookie);

	if (context == KERF_SLEEPABLE) {
		retire(&b->done);
	} else if (!list_empty(&b->done)) {
		spin_lock_irqsave(&kdev->lock, b->flags);
		list_splice_tail(&b->done, &kdev->retired);
		spin_unlock_irqrestore(&kdev->lock, b->flags);
		queue_work(kdev->retire_wq, &kdev->retire_work);
	}
}

static void retire_work(struct work_struct *work)
{
	struct kerf_device *kdev = container_of(work, struct kerf_device, retire_work);
	LIST_HEAD(jobs);

	spin_lock_irq(&kdev->lock);
	list_splice_init(&kdev->retired, &jobs);
	spin_unlock_irq(&kdev->lock);
	retire(&jobs);
}

static void fences_are_met(struct kerf_batch *b, struct kerf_job *job)
{
	job->fences_met = true;
	if (job->retire_again) {
		list_add_tail(&job->link, &b->kdev->retired);
		queue_work(b->kdev->retire_wq, &b->kdev->retire_work);
	} else {
		queue_advance(b, job->queue);
	}
}

static void kick_work(struct work_struct *work)
{
	struct kerf_device *kdev = container_of(work, struct kerf_device, kick_work);
	struct llist_node *met = llist_reverse_order(llist_del_all(&kdev->met));
	struct kerf_job *job, *next;
	struct kerf_batch b;
	u32 n = 0;

	kerf_batch_begin(kdev, &b);
	b.engines = (1u << KERF_MAX_ENGINES) - 1;
	llist_for_each_entry_safe(job, next, met, met) {
		fences_are_met(&b, job);
		if (++n % MAX_MET_JOBS == 0) {
			kerf_batch_end(&b, KERF_ATOMIC);
			kerf_batch_begin(kdev, &b);
		}
	}
	kerf_batch_end(&b, KERF_ATOMIC);
}

void kerf_sched_init(struct kerf_device *kdev)
{
	spin_lock_init(&kdev->lock);
	INIT_LIST_HEAD(&kdev->retired);
	INIT_WORK(&kdev->retire_work, retire_work);
	init_llist_head(&kdev->met);
	INIT_WORK(&kdev->kick_work, kick_work);
}

void kerf_sched_flush(struct kerf_device *kdev)
{
	flush_work(&kdev->retire_work);
	/* what was to be retired again */
	flush_work(&kdev->kick_work);
	flush_work(&kdev->retire_work);
}

/* --- arming --- */

/* Whether job @seqno of @q, not done yet, is one whose end the kernel cannot promise */
static bool is_indefinite(const struct kerf_queue *q, u64 seqno)
{
	return q->indefinite_seqno > q->done_seqno && seqno >= q->indefinite_from;
}

static int arm_check(struct kerf_queue *q, struct list_head *jobs, u32 n_jobs)
{
	struct kerf_engine *engine = q->engine;
	bool indefinite = !(engine->flags & KERF_ENGINE_FENCES) || is_indefinite(q, q->last_seqno);
	struct kerf_job *job;
	u32 i;

	if (engine->kdev->gone)
		return -ENODEV;
	if (q->destroyed)
		return -ENOENT;
	if (q->first_error)
		return -ECANCELED;
	if (engine->state == KERF_ENGINE_DEAD)
		return -EIO;
	if (n_jobs > q->depth - q->n_jobs)
		return -EAGAIN;
	list_for_each_entry(job, jobs, link) {
		for (i = 0; i < job->n_waits && !indefinite; i++) {
			struct kerf_wait *wait = &job->waits[i];

			indefinite = wait->queue && !wait_is_over(wait) &&
				     is_indefinite(wait->queue, wait->seqno);
		}
		job->indefinite = indefinite;
		if (indefinite && job->fence)
			return -EOPNOTSUPP;
	}
	return 0;
}

static void job_arm(struct kerf_batch *b, struct kerf_job *job)
{
	struct kerf_queue *q = job->queue;
	u32 i;

	job->seqno = ++q->last_seqno;
	job->queued = b->now;
	if (job->indefinite) {
		if (q->indefinite_seqno <= q->done_seqno)
			q->indefinite_from = job->seqno;
		q->indefinite_seqno = job->seqno;
	}
	job->fences_met = atomic_dec_and_test(&job->n_fences);
	for (i = 0; i < job->n_bos; i++)
		kerf_bo_begin(&job->bos[i]);
	q->n_jobs++;
	job->engine->jobs_armed++;
	kerf_trace_queued(job);
}

int kerf_sched_arm(struct kerf_queue *q, struct list_head *jobs, u32 n_jobs, u64 *last_seqno)
{
	struct kerf_batch b;
	struct kerf_job *job;
	int ret;

	kerf_batch_begin(q->engine->kdev, &b);
	ret = arm_check(q, jobs, n_jobs);
	if (!ret) {
		list_for_each_entry(job, jobs, link)
			job_arm(&b, job);
		list_splice_tail_init(jobs, &q->pending);
		*last_seqno = q->last_seqno;
		queue_advance(&b, q);
	}
	kerf_batch_end(&b, KERF_SLEEPABLE);
	return ret;
}

/* --- queues --- */

static struct kerf_share *share_find(struct kerf_queue *q, u32 priority)
{
	struct kerf_share *share;

	list_for_each_entry(share, &q->client->shares, link)
		if (share->engine == q->engine && share->priority == priority)
			return share;
	return NULL;
}

/* Those that no queue refers to, of engines that are no more. */
static void take_dead_shares(struct kerf_client *client, struct list_head *dead)
{
	struct kerf_share *share, *next;

	list_for_each_entry_safe(share, next, &client->shares, link)
		if (!share->users && share->engine->state == KERF_ENGINE_DEAD)
			list_move(&share->link, dead);
}

static void free_shares(struct list_head *shares)
{
	struct kerf_share *share, *next;

	list_for_each_entry_safe(share, next, shares, link) {
		kerf_engine_put(share->engine);
		kfree(share);
	}
}

int kerf_sched_queue_init(struct kerf_queue *q)
{
	struct kerf_device *kdev = q->engine->kdev;
	struct kerf_share *fresh[KERF_N_PRIORITIES] = { NULL };
	LIST_HEAD(dead);
	int ret = 0;
	u32 p;

	INIT_LIST_HEAD(&q->engine_link);
	INIT_LIST_HEAD(&q->lend_link);
	INIT_LIST_HEAD(&q->ready);
	INIT_LIST_HEAD(&q->pending);
	INIT_LIST_HEAD(&q->notify);
	q->waiters = RB_ROOT_CACHED;
	q->effective = q->priority;

	for (p = q->priority; p < KERF_N_PRIORITIES; p++) {
		fresh[p] = kzalloc(sizeof(*fresh[p]), GFP_KERNEL_ACCOUNT);
		if (!fresh[p]) {
			ret = -ENOMEM;
			goto out;
		}
		INIT_LIST_HEAD(&fresh[p]->ready);
		fresh[p]->engine = q->engine;
		fresh[p]->priority = p;
	}
	spin_lock_irq(&kdev->lock);
	take_dead_shares(q->client, &dead);
	if (kdev->gone) {
		ret = -ENODEV;
	} else if (q->engine->state == KERF_ENGINE_DEAD) {
		ret = -EIO;
	} else {
		for (p = q->priority; p < KERF_N_PRIORITIES; p++) {
			q->shares[p] = share_find(q, p);
			if (!q->shares[p]) {
				q->shares[p] = fresh[p];
				kref_get(&q->engine->ref);
				list_add_tail(&fresh[p]->link, &q->client->shares);
				fresh[p] = NULL;
			}
			q->shares[p]->users++;
		}
		q->share = q->shares[q->priority];
		list_add_tail(&q->engine_link, &q->engine->queues);
	}
	spin_unlock_irq(&kdev->lock);
	free_shares(&dead);
out:
	for (p = 0; p < KERF_N_PRIORITIES; p++)
		kfree(fresh[p]);
	return ret;
}

void kerf_sched_queue_kill(struct kerf_queue *q)
{
	struct kerf_engine *engine = q->engine;
	struct kerf_batch b;

	kerf_batch_begin(engine->kdev, &b);
	if (!q->destroyed) {
		q->destroyed = true;
		queue_end_pending(&b, q, -ECANCELED);
		queue_release_waiters(&b, q);
		if (q->running && engine->ops->abandon)
			engine->ops->abandon(engine, q->running->slot);
		queue_notify(&b, q);
	}
	kerf_batch_end(&b, KERF_SLEEPABLE);
}

/* What a share was charged is not forgotten with its queues, or new queues would have credit. */
void kerf_sched_queue_fini(struct kerf_queue *q)
{
	struct kerf_device *kdev = q->engine->kdev;
	LIST_HEAD(dead);
	u32 p;

	spin_lock_irq(&kdev->lock);
	list_del(&q->engine_link);
	for (p = q->priority; p < KERF_N_PRIORITIES; p++)
		q->shares[p]->users--;
	take_dead_shares(q->client, &dead);
	spin_unlock_irq(&kdev->lock);
	free_shares(&dead);
}

void kerf_sched_client_fini(struct kerf_client *client)
{
	free_shares(&client->shares);
}
