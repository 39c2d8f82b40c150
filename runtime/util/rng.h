/* SPDX-License-Identifier: MIT */
/*
 * Seeded pseudo-random numbers, the same on every machine: xoshiro256++
 * (Blackman and Vigna, 2019), seeded by splitmix64.
 */
#ifndef KERF_UTIL_RNG_H
#define KERF_UTIL_RNG_H

#include <stdint.h>

struct kerf_rng {
	uint64_t s[4];
};

static inline void kerf_rng_seed(struct kerf_rng *r, uint64_t seed)
{
	int i;

	for (i = 0; i < 4; i++) {
		uint64_t z = (seed += 0x9e3779b97f4a7c15u);

		z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
		z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
		r->s[i] = z ^ (z >> 31);
	}
}

static inline uint64_t kerf_rng_next(struct kerf_rng *r)
{
	uint64_t *s = r->s, t = s[1] << 17, sum = s[0] + s[3];
	uint64_t out = ((sum << 23) | (sum >> 41)) + s[0];

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = (s[3] << 45) | (s[3] >> 19);
	return out;
}

/* Uniform in [0, n); n > 0. The bias of the modulo is below 2^-32 for n < 2^32. */
static inline uint64_t kerf_rng_below(struct kerf_rng *r, uint64_t n)
{
	return kerf_rng_next(r) % n;
}

/* Uniform in [0, 1), 24 bits. */
static inline float kerf_rng_float(struct kerf_rng *r)
{
	return (float)(kerf_rng_next(r) >> 40) * 0x1p-24f;
}

#endif
