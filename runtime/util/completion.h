/* SPDX-License-Identifier: MIT */
/*
 * Waiting for one thing that another thread ends with a status; on the waiter's stack. A
 * semaphore: its waiter may go as soon as it is posted, and wakes without taking a lock.
 */
#ifndef KERF_UTIL_COMPLETION_H
#define KERF_UTIL_COMPLETION_H

#include <semaphore.h>

struct kerf_completion {
	sem_t done;
	int status;
};

static inline void kerf_completion_init(struct kerf_completion *c)
{
	sem_init(&c->done, 0, 0);
}

static inline void kerf_complete(struct kerf_completion *c, int status)
{
	c->status = status;
	sem_post(&c->done);
}

/* The status. */
static inline int kerf_completion_wait(struct kerf_completion *c)
{
	while (sem_wait(&c->done))
		; /* a signal's handler ran */
	sem_destroy(&c->done);
	return c->status;
}

#endif
