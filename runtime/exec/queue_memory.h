/* SPDX-License-Identifier: MIT */
/*
 * Mapped buffers given out as plain memory, and found again by address: so that a job whose
 * tensors lie in them needs no copy. Any thread.
 */
#ifndef KERF_EXEC_QUEUE_MEMORY_H
#define KERF_EXEC_QUEUE_MEMORY_H

#include "exec/queue.h"

#include <pthread.h>

struct kerf_queue_buffer;

struct kerf_queue_memory {
	struct kerf_queue_dev *dev;
	pthread_mutex_t lock;
	struct kerf_queue_buffer *buffers;
};

void kerf_queue_memory_init(struct kerf_queue_memory *m, struct kerf_queue_dev *dev);
void kerf_queue_memory_finish(struct kerf_queue_memory *m); /* frees what is left */

void *kerf_queue_memory_alloc(struct kerf_queue_memory *m, size_t bytes); /* zeroed; NULL: none */
void kerf_queue_memory_free(struct kerf_queue_memory *m, void *data);

/* True, with handle and offset in ref, if the bytes lie in one where a window may begin. */
bool kerf_queue_memory_find(struct kerf_queue_memory *m, const void *data, size_t bytes,
			    struct drm_kerf_bo_ref *ref);

#endif
