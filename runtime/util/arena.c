/* SPDX-License-Identifier: MIT */
#include "util/arena.h"

#include <stdlib.h>
#include <string.h>

#define BLOCK_SIZE (64u << 10)

struct kerf_arena_block {
	struct kerf_arena_block *next;
	size_t used, size;
	_Alignas(16) char data[];
};

void *kerf_arena_alloc(struct kerf_arena *a, size_t n)
{
	struct kerf_arena_block *b = a->head;
	void *p;

	if (n > SIZE_MAX / 2)
		return NULL;
	n = (n + 15) & ~(size_t)15;
	if (!b || b->size - b->used < n) {
		size_t size = n > BLOCK_SIZE ? n : BLOCK_SIZE;

		b = calloc(1, sizeof(*b) + size);
		if (!b)
			return NULL;
		b->size = size;
		b->next = a->head;
		a->head = b;
	}
	p = b->data + b->used;
	b->used += n;
	a->used += n;
	return p;
}

void *kerf_arena_calloc(struct kerf_arena *a, size_t count, size_t size)
{
	size_t n;

	if (__builtin_mul_overflow(count, size, &n))
		return NULL;
	return kerf_arena_alloc(a, n);
}

void *kerf_arena_dup(struct kerf_arena *a, const void *src, size_t n)
{
	void *p = kerf_arena_alloc(a, n);

	if (p && n)
		memcpy(p, src, n);
	return p;
}

char *kerf_arena_strdup(struct kerf_arena *a, const char *s)
{
	return kerf_arena_dup(a, s, strlen(s) + 1);
}

void kerf_arena_finish(struct kerf_arena *a)
{
	struct kerf_arena_block *b, *next;

	for (b = a->head; b; b = next) {
		next = b->next;
		free(b);
	}
	a->head = NULL;
	a->used = 0;
}
