/* SPDX-License-Identifier: MIT */
#include "exec/queue_memory.h"

#include <stdlib.h>

struct kerf_queue_buffer {
	struct kerf_bo bo;
	struct kerf_queue_buffer *next;
};

void kerf_queue_memory_init(struct kerf_queue_memory *m, struct kerf_queue_dev *dev)
{
	m->dev = dev;
	m->buffers = NULL;
	pthread_mutex_init(&m->lock, NULL);
}

void kerf_queue_memory_finish(struct kerf_queue_memory *m)
{
	while (m->buffers)
		kerf_queue_memory_free(m, m->buffers->bo.map);
	pthread_mutex_destroy(&m->lock);
}

void *kerf_queue_memory_alloc(struct kerf_queue_memory *m, size_t bytes)
{
	struct kerf_queue_buffer *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	if (kerf_bo_create(m->dev, bytes ? bytes : 1, 0, &b->bo) || kerf_bo_map(&b->bo)) {
		kerf_bo_finish(&b->bo);
		free(b);
		return NULL;
	}
	pthread_mutex_lock(&m->lock);
	b->next = m->buffers;
	m->buffers = b;
	pthread_mutex_unlock(&m->lock);
	return b->bo.map;
}

void kerf_queue_memory_free(struct kerf_queue_memory *m, void *data)
{
	struct kerf_queue_buffer **p, *b;

	pthread_mutex_lock(&m->lock);
	for (p = &m->buffers; *p && (*p)->bo.map != data; p = &(*p)->next)
		;
	b = *p;
	if (b)
		*p = b->next;
	pthread_mutex_unlock(&m->lock);
	if (b)
		kerf_bo_finish(&b->bo);
	free(b);
}

bool kerf_queue_memory_find(struct kerf_queue_memory *m, const void *data, size_t bytes,
			    struct drm_kerf_bo_ref *ref)
{
	const struct kerf_queue_buffer *b;
	uintptr_t at = (uintptr_t)data;
	bool found = false;

	pthread_mutex_lock(&m->lock);
	for (b = m->buffers; b && !found; b = b->next) {
		uintptr_t base = (uintptr_t)b->bo.map;

		if (at < base || at - base > b->bo.size || bytes > b->bo.size - (at - base) ||
		    (at - base) % KERF_ALIGN)
			continue;
		ref->handle = b->bo.handle;
		ref->offset = at - base;
		found = true;
	}
	pthread_mutex_unlock(&m->lock);
	return found;
}
