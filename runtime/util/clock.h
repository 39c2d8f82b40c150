/* SPDX-License-Identifier: MIT */
#ifndef KERF_UTIL_CLOCK_H
#define KERF_UTIL_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t kerf_clock_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* Monotonic time, ns. */
static inline uint64_t kerf_now_ns(void)
{
	return kerf_clock_ns(CLOCK_MONOTONIC);
}

#endif
