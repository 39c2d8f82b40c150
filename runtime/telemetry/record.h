/* SPDX-License-Identifier: MIT */
/*
 * Reading and writing records that carry a sequence counter (bpf/kerf_state.h). Readers cost
 * writers nothing. size is the record's, a multiple of 8.
 */
#ifndef KERF_TELEMETRY_RECORD_H
#define KERF_TELEMETRY_RECORD_H

#include "kerf_state.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* false: it was being written each time; the copy is not to be used. */
static inline bool kerf_record_read(const void *record, void *copy, uint32_t size)
{
	const uint32_t *seq = record;
	int tries;

	for (tries = 0; tries < 64; tries++) {
		uint32_t before = __atomic_load_n(seq, __ATOMIC_ACQUIRE);

		if (before & 1)
			continue;
		memcpy(copy, record, size);
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (__atomic_load_n(seq, __ATOMIC_RELAXED) == before &&
		    ((const uint32_t *)copy)[size / 4 - 1] == kerf_record_check(copy, size))
			return true;
	}
	return false;
}

/* value's seq and check are ignored. One writer at a time. */
static inline void kerf_record_write(void *record, const void *value, uint32_t size)
{
	uint32_t *seq = record, now = *seq;

	__atomic_store_n(seq, now + 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
	memcpy((char *)record + 4, (const char *)value + 4, size - 8);
	((uint32_t *)record)[size / 4 - 1] = kerf_record_check(record, size);
	__atomic_store_n(seq, now + 2, __ATOMIC_RELEASE);
}

#endif
