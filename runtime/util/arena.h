/* SPDX-License-Identifier: MIT */
/*
 * Bump allocator: many small objects, one lifetime. Memory is zeroed and
 * aligned to 16 bytes. Not thread safe. NULL on exhaustion.
 */
#ifndef KERF_UTIL_ARENA_H
#define KERF_UTIL_ARENA_H

#include "util/base.h"

struct kerf_arena {
	struct kerf_arena_block *head;
	size_t used; /* bytes handed out, for reports */
};

void *kerf_arena_alloc(struct kerf_arena *a, size_t n);
void *kerf_arena_calloc(struct kerf_arena *a, size_t count, size_t size);
void *kerf_arena_dup(struct kerf_arena *a, const void *src, size_t n);
char *kerf_arena_strdup(struct kerf_arena *a, const char *s);
void kerf_arena_finish(struct kerf_arena *a);

#endif
