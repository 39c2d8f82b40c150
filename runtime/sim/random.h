/* SPDX-License-Identifier: MIT */
/* Random times, the same on every machine: no function of libm's has a part in them. */
#ifndef KERF_SIM_RANDOM_H
#define KERF_SIM_RANDOM_H

#include "util/rng.h"

#include <math.h>

/* Natural logarithm of x > 0, by ln((1 + z) / (1 - z)) = 2 (z + z^3 / 3 + z^5 / 5 + ...). */
static inline double kerf_sim_log(double x)
{
	double m, z, q, sum = 0;
	int e, k;

	m = frexp(x, &e);
	if (m < 0.70710678118654752) {
		m *= 2;
		e--;
	}
	z = (m - 1) / (m + 1); /* at most 0.1716 */
	q = z * z;
	for (k = 23; k > 0; k -= 2)
		sum = sum * q + 1.0 / k;
	return 2 * z * sum + e * 0.69314718055994531;
}

/* Exponentially distributed, of mean 1; above 0. */
static inline double kerf_sim_exponential(struct kerf_rng *rng)
{
	return -kerf_sim_log(((double)(kerf_rng_next(rng) >> 11) + 1) * 0x1p-53);
}

#endif
