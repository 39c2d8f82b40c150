/* SPDX-License-Identifier: MIT */
/*
 * A team of threads that run one parallel loop at a time. The caller is thread 0
 * of the team, so a pool of 1 makes no thread. One loop at a time: the owner
 * serialises. Items are handed out in order, dynamically; no result may depend on
 * which thread runs which item.
 */
#ifndef KERF_UTIL_POOL_H
#define KERF_UTIL_POOL_H

#include "util/base.h"

struct kerf_pool;

typedef void (*kerf_pool_fn)(void *arg, int64_t item, int thread);

/* n_threads 0: one per CPU the process may run on. pin: bind thread i to the i-th of them. */
int kerf_pool_new(int n_threads, bool pin, struct kerf_pool **pool);
void kerf_pool_free(struct kerf_pool *pool); /* NULL allowed */
int kerf_pool_threads(const struct kerf_pool *pool);

/* Runs fn(arg, 0 .. n-1, thread) and returns when all are done. Allocates nothing. */
void kerf_pool_run(struct kerf_pool *pool, kerf_pool_fn fn, void *arg, int64_t n);

#endif
