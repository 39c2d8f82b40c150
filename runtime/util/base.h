/* SPDX-License-Identifier: MIT */
/* Small things every file needs: sizes, bounds, overflow-checked arithmetic. */
#ifndef KERF_UTIL_BASE_H
#define KERF_UTIL_BASE_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KERF_ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define KERF_MIN(a, b) ((a) < (b) ? (a) : (b))
#define KERF_MAX(a, b) ((a) > (b) ? (a) : (b))
#define KERF_CONTAINER_OF(p, type, member) ((type *)((char *)(p)-offsetof(type, member)))
#define KERF_PRINTF(f, a) __attribute__((format(printf, f, a)))

/* Cache line and widest vector: alignment of every tensor buffer. */
#define KERF_ALIGN 64

static inline size_t kerf_align(size_t n)
{
	return (n + KERF_ALIGN - 1) & ~(size_t)(KERF_ALIGN - 1);
}

/* *out = a * b; false on overflow. */
static inline bool kerf_mul(int64_t a, int64_t b, int64_t *out)
{
	return !__builtin_mul_overflow(a, b, out);
}

static inline int64_t kerf_div_up(int64_t a, int64_t b)
{
	return (a + b - 1) / b;
}

#endif
