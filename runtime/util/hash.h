/* SPDX-License-Identifier: MIT */
/*
 * FNV-1a of 64 bits (Fowler, Noll, Vo; RFC 9923): for tables and fingerprints, not
 * against people who look for collisions.
 */
#ifndef KERF_UTIL_HASH_H
#define KERF_UTIL_HASH_H

#include "util/base.h"

#define KERF_HASH_INIT 0xcbf29ce484222325u

static inline uint64_t kerf_hash_mix(uint64_t h, const void *p, size_t n)
{
	const uint8_t *b = p;

	while (n--)
		h = (h ^ *b++) * 0x100000001b3u;
	return h;
}

#endif
