/* SPDX-License-Identifier: MIT */
/*
 * Jobs that wait for one of a program's contexts, a context being what one execution needs
 * (a queue, buffers). Each job has a context from when it starts until it ends; those
 * beyond the contexts wait in line. Any thread.
 */
#ifndef KERF_EXEC_QUEUE_JOBS_H
#define KERF_EXEC_QUEUE_JOBS_H

#include "exec/engine.h"

#include <pthread.h>

/* Part of the engine's own context. */
struct kerf_queue_context {
	struct kerf_job *job; /* NULL: idle */
	bool cancelled;	      /* job's caller does not want it any more */
	struct kerf_queue_context *next_idle, *sibling;
};

struct kerf_queue_jobs {
	pthread_mutex_t lock;
	pthread_cond_t freed;
	struct kerf_queue_context *contexts, *idle;
	struct kerf_job *waiting, **waiting_tail;
	uint32_t n_waiting, depth;
};

/* depth: jobs that may wait; 0: any number, for a job's memory is its caller's. */
void kerf_queue_jobs_init(struct kerf_queue_jobs *q, uint32_t depth);
void kerf_queue_jobs_finish(struct kerf_queue_jobs *q);

/* A new context, idle; before the first job. */
void kerf_queue_jobs_add(struct kerf_queue_jobs *q, struct kerf_queue_context *c);

/* 0 and the context in which the caller starts it, or NULL if it waits; -EAGAIN: too many do. */
int kerf_queue_jobs_submit(struct kerf_queue_jobs *q, struct kerf_job *job,
			   struct kerf_queue_context **c);

/* Waits for a context, for a job that was not submitted. */
struct kerf_queue_context *kerf_queue_jobs_take(struct kerf_queue_jobs *q, struct kerf_job *job);

/*
 * The context's job is over: true if it has another, which the caller starts. The program,
 * and q with it, may be released as soon as its last job's caller is told: tell it afterwards.
 */
bool kerf_queue_jobs_next(struct kerf_queue_jobs *q, struct kerf_queue_context *c);

/* One that waits ends at once with -ECANCELED; one that has a context is marked there. */
void kerf_queue_jobs_cancel(struct kerf_queue_jobs *q, struct kerf_job *job);

static inline bool kerf_queue_context_cancelled(const struct kerf_queue_context *c)
{
	return __atomic_load_n(&c->cancelled, __ATOMIC_RELAXED);
}

#endif
