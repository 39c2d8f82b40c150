/* SPDX-License-Identifier: MIT */
/*
 * One thread that runs an engine's jobs in the order they came. Engines that compute
 * in this process (ref, null, cpu) stand on it.
 */
#ifndef KERF_EXEC_WORKER_H
#define KERF_EXEC_WORKER_H

#include "exec/engine.h"

#include <pthread.h>

struct kerf_worker {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct kerf_job *head, **tail;
	uint32_t queued, depth;
	bool stop;
	int (*run)(struct kerf_job *job); /* called without the lock; the job's status */
	pthread_mutex_t busy;		  /* held while a job or a profile run computes */
};

/* depth: jobs that may wait; 0: any number, for a job's memory is its caller's. */
int kerf_worker_init(struct kerf_worker *w, uint32_t depth, int (*run)(struct kerf_job *job));

/* Jobs worth having in flight: enough that the thread never waits for its callers. */
static inline uint32_t kerf_worker_depth(const struct kerf_worker *w)
{
	return w->depth ? w->depth : 16;
}

/* Runs what is queued, then ends the thread. */
void kerf_worker_finish(struct kerf_worker *w);

/* -EAGAIN when depth jobs are queued. Allocates nothing. */
int kerf_worker_submit(struct kerf_worker *w, struct kerf_job *job);

/* Takes the job off the queue and ends it with -ECANCELED; too late once it runs. */
void kerf_worker_cancel(struct kerf_worker *w, struct kerf_job *job);

#endif
