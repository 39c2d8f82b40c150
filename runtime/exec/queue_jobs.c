/* SPDX-License-Identifier: MIT */
#include "exec/queue_jobs.h"

#include <errno.h>

void kerf_queue_jobs_init(struct kerf_queue_jobs *q, uint32_t depth)
{
	*q = (struct kerf_queue_jobs){.depth = depth};
	q->waiting_tail = &q->waiting;
	pthread_mutex_init(&q->lock, NULL);
	pthread_cond_init(&q->freed, NULL);
}

void kerf_queue_jobs_finish(struct kerf_queue_jobs *q)
{
	pthread_mutex_destroy(&q->lock);
	pthread_cond_destroy(&q->freed);
}

void kerf_queue_jobs_add(struct kerf_queue_jobs *q, struct kerf_queue_context *c)
{
	c->sibling = q->contexts;
	q->contexts = c;
	c->next_idle = q->idle;
	q->idle = c;
}

/* NULL: none is idle. Lock held. */
static struct kerf_queue_context *take_idle(struct kerf_queue_jobs *q, struct kerf_job *job)
{
	struct kerf_queue_context *c = q->idle;

	if (c) {
		q->idle = c->next_idle;
		c->job = job;
	}
	return c;
}

int kerf_queue_jobs_submit(struct kerf_queue_jobs *q, struct kerf_job *job,
			   struct kerf_queue_context **c)
{
	int r = 0;

	job->next = NULL;
	pthread_mutex_lock(&q->lock);
	*c = take_idle(q, job);
	if (!*c && q->depth && q->n_waiting >= q->depth) {
		r = -EAGAIN;
	} else if (!*c) {
		*q->waiting_tail = job;
		q->waiting_tail = &job->next;
		q->n_waiting++;
	}
	pthread_mutex_unlock(&q->lock);
	return r;
}

struct kerf_queue_context *kerf_queue_jobs_take(struct kerf_queue_jobs *q, struct kerf_job *job)
{
	struct kerf_queue_context *c;

	pthread_mutex_lock(&q->lock);
	while (!(c = take_idle(q, job)))
		pthread_cond_wait(&q->freed, &q->lock);
	pthread_mutex_unlock(&q->lock);
	return c;
}

/* Takes the job at w out of the line. Lock held. */
static struct kerf_job *leave_line(struct kerf_queue_jobs *q, struct kerf_job **w)
{
	struct kerf_job *job = *w;

	*w = job->next;
	if (!*w)
		q->waiting_tail = w;
	q->n_waiting--;
	return job;
}

bool kerf_queue_jobs_next(struct kerf_queue_jobs *q, struct kerf_queue_context *c)
{
	bool more;

	pthread_mutex_lock(&q->lock);
	c->cancelled = false;
	more = q->waiting;
	c->job = more ? leave_line(q, &q->waiting) : NULL;
	if (!more) {
		c->next_idle = q->idle;
		q->idle = c;
		pthread_cond_signal(&q->freed);
	}
	pthread_mutex_unlock(&q->lock);
	return more;
}

void kerf_queue_jobs_cancel(struct kerf_queue_jobs *q, struct kerf_job *job)
{
	struct kerf_queue_context *c;
	struct kerf_job **w;
	bool waits;

	pthread_mutex_lock(&q->lock);
	for (w = &q->waiting; *w && *w != job; w = &(*w)->next)
		;
	waits = *w;
	if (waits)
		leave_line(q, w);
	for (c = q->contexts; c && !waits; c = c->sibling)
		if (c->job == job)
			__atomic_store_n(&c->cancelled, true, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&q->lock);
	if (!waits)
		return;
	kerf_job_done(job, -ECANCELED);
}
