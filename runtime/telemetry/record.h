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

/* Waits for a writer in all reads of a record: past the time that writing the longest takes. */
#define KERF_RECORD_SPINS 20000

/* A record of any type, as words. */
typedef unsigned long __attribute__((may_alias)) kerf_copy_word;
typedef uint32_t __attribute__((may_alias)) kerf_half_word;
typedef uint64_t __attribute__((may_alias)) kerf_check_word;

static inline void kerf_record_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("isb" ::: "memory");
#endif
}

static inline uint64_t kerf_record_load(const void *from)
{
#if __SIZEOF_LONG__ == 8
	return __atomic_load_n((const kerf_check_word *)from, __ATOMIC_RELAXED);
#else /* two: an atomic load of 64 bits may be a call */
	const kerf_half_word *half = from;

	return __atomic_load_n(half, __ATOMIC_RELAXED) |
	       (uint64_t)__atomic_load_n(half + 1, __ATOMIC_RELAXED) << 32;
#endif
}

/*
 * Copies; whether kerf_record_check() of the copy is right. Both in one pass: the words are summed
 * up from registers, which takes a third of the time of a copy that is then read again.
 */
static inline bool kerf_record_copy(const void *record, void *copy, uint32_t size)
{
	const kerf_check_word *from = record;
	kerf_check_word *to = copy;
	uint32_t last = size / 8 - 1, i;
	uint64_t word = kerf_record_load(from), sum = word >> 32;

	to[0] = word;
#pragma GCC unroll 32
	for (i = 1; i < last; i++) {
		to[i] = word = kerf_record_load(from + i);
		sum = (sum << 7 | sum >> 57) ^ word;
	}
	to[last] = word = kerf_record_load(from + last);
	sum = (sum << 7 | sum >> 57) ^ (uint32_t)word;
	return (uint32_t)(word >> 32) == (uint32_t)(sum ^ sum >> 32);
}

/*
 * false: it was being written each time, or its writer died in the midst; the copy is not to be
 * used then. Words are read as relaxed atomics, so that a race with the writer is no undefined
 * behaviour (Boehm, "Can seqlocks get along with programming language memory models?", 2012).
 */
static inline bool kerf_record_read(const void *record, void *copy, uint32_t size)
{
	const kerf_half_word *seq = record;
	uint32_t tries, spins = 0;

	for (tries = 0; tries < 64; tries++) {
		uint32_t before = __atomic_load_n(seq, __ATOMIC_ACQUIRE);
		bool whole;

		while (before & 1 && spins++ < KERF_RECORD_SPINS) {
			kerf_record_pause();
			before = __atomic_load_n(seq, __ATOMIC_ACQUIRE);
		}
		if (before & 1)
			return false;
		whole = kerf_record_copy(record, copy, size);
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (whole && __atomic_load_n(seq, __ATOMIC_RELAXED) == before)
			return true;
	}
	return false;
}

/* value's seq and check are ignored. One writer at a time. */
static inline void kerf_record_write(void *record, const void *value, uint32_t size)
{
	kerf_half_word *to = record;
	const kerf_half_word *from = value;
	uint32_t now = *to, i;

	__atomic_store_n(to, now + 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
	for (i = 1; i < size / 4 - 1; i++)
		__atomic_store_n(to + i, from[i], __ATOMIC_RELAXED);
	__atomic_store_n(to + i, kerf_record_check(value, size), __ATOMIC_RELAXED);
	__atomic_store_n(to, now + 2, __ATOMIC_RELEASE);
}

#endif
