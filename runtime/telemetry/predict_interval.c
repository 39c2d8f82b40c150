/* SPDX-License-Identifier: MIT */
/*
 * The interval that 80 % of the transfers keep, by conformal prediction: quantiles of the last
 * errors in units of their expected size (V. Vovk, A. Gammerman, G. Shafer: Algorithmic Learning
 * in a Random World, 2005, 2.2 and 4.3). Which quantiles follows from how many transfers stayed
 * outside lately, so that the share holds when errors change too (I. Gibbs, E. Candes: Adaptive
 * conformal inference under distribution shift, NeurIPS 2021), each side by itself.
 *
 * An error's expected size is fixed_s + per_s * expected time: a scheduler's delay does not
 * grow with the transfer, a rate's error does.
 */
#include "telemetry/predict_priv.h"

#include "util/base.h"

#include <math.h>
#include <stdlib.h>

#define TAIL 0.1     /* beyond either end */
#define STEP 0.04    /* of the tails aimed at, for each transfer */
#define AGE 0.97     /* weight of an error beside the one after it */
#define LEARNING 5.0 /* transfers after which an error's weight is a quarter of a settled one's */

void kerf_interval_init(struct interval *v)
{
	*v = (struct interval){.miss_low = TAIL, .miss_high = TAIL};
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double median(double *v, uint32_t n)
{
	qsort(v, n, sizeof(*v), compare);
	return 0.5 * (v[(n - 1) / 2] + v[n / 2]);
}

/* Median sizes of the errors of the shorter and of the longer half, and the line through both. */
static void scale(struct interval *v)
{
	double key[INTERVAL_SAMPLES], size[2][INTERVAL_SAMPLES], at[2][INTERVAL_SAMPLES], m[2],
		t[2];
	uint32_t i, n[2] = {0, 0};
	double split;

	for (i = 0; i < v->n; i++)
		key[i] = v->point[i].expected;
	split = median(key, v->n);
	for (i = 0; i < v->n; i++) {
		int half = v->point[i].expected > split;

		size[half][n[half]] = fabs(v->point[i].error);
		at[half][n[half]++] = v->point[i].expected;
	}
	m[0] = median(size[0], n[0]);
	t[0] = median(at[0], n[0]);
	v->per_s = m[0] / t[0];
	v->fixed_s = 0;
	if (n[1]) {
		m[1] = median(size[1], n[1]);
		t[1] = median(at[1], n[1]);
		v->per_s = fmin(fmax((m[1] - m[0]) / (t[1] - t[0]), 0), m[1] / t[1]);
		v->fixed_s = fmax(m[1] - v->per_s * t[1], 0);
	}
	/* Clocks tick in ns. */
	v->fixed_s = fmax(v->fixed_s, 1e-9);
}

struct weighed {
	double z, weight; /* compare() sees z */
};

/* Of v[n], sorted: the next one, of weight 1, is below it with probability q, if v tells that much.
 */
static double quantile(const struct weighed *v, uint32_t n, double weight, double q)
{
	double at = q * (weight + 1), gap = n > 1 ? 0.5 * (v[n - 1].z - v[0].z) / (n - 1) : 0;
	double below = v[0].weight;
	uint32_t i;

	if (at < below)
		return v[0].z - (1 - at / below) * gap;
	for (i = 1; i < n; below += v[i++].weight)
		if (at < below + v[i].weight)
			return v[i - 1].z + (at - below) / v[i].weight * (v[i].z - v[i - 1].z);
	return v[n - 1].z + (at - below) * gap;
}

static void update(struct interval *v)
{
	struct weighed z[INTERVAL_SAMPLES];
	double weight = 1, sum = 0;
	uint32_t i;

	scale(v);
	for (i = 0; i < v->n; i++, weight *= AGE) {
		const struct interval_point *p =
			&v->point[(v->at + INTERVAL_SAMPLES - 1 - i) % INTERVAL_SAMPLES];

		z[i] = (struct weighed){.z = p->error / (v->fixed_s + v->per_s * p->expected),
					.weight = weight * p->weight};
		sum += z[i].weight;
	}
	qsort(z, v->n, sizeof(*z), compare);
	v->low = quantile(z, v->n, sum, v->miss_low);
	v->high = quantile(z, v->n, sum, 1 - v->miss_high);
}

void kerf_interval_learn(struct interval *v, double expected, double low, double high, double taken)
{
	double w;

	v->miss_low = fmin(fmax(v->miss_low + STEP * (TAIL - (taken < low)), 0), 0.4);
	v->miss_high = fmin(fmax(v->miss_high + STEP * (TAIL - (taken > high)), 0), 0.4);
	/* What was expected by few transfers is worse than what will be by many. */
	v->since++;
	w = v->since / (v->since + LEARNING);
	v->point[v->at] = (struct interval_point){
		.expected = expected, .error = taken - expected, .weight = w * w};
	v->at = (v->at + 1) % INTERVAL_SAMPLES;
	v->n = KERF_MIN(v->n + 1, INTERVAL_SAMPLES);
	update(v);
}

/* The mistake that a change of the link makes is not one that is made while it stays. */
void kerf_interval_forget(struct interval *v)
{
	uint32_t last = (v->at + INTERVAL_SAMPLES - 1) % INTERVAL_SAMPLES;

	if (v->n < 2)
		return;
	v->point[(last + INTERVAL_SAMPLES - 1) % INTERVAL_SAMPLES] = v->point[last];
	v->at = last;
	v->n--;
	v->since = 1;
	update(v);
}

void kerf_interval_get(const struct interval *v, bool doubt, struct spread *s)
{
	double unsure = v->since < 1 ? 0.5 : v->since < 2 || doubt ? 0.125 : 0;

	s->low_ratio = fmax(1 + v->low * v->per_s - unsure, 0.02);
	s->high_ratio = fmax(1 + v->high * v->per_s + 2 * unsure, s->low_ratio);
	s->low_s = -v->low * v->fixed_s;
	s->high_s = v->high * v->fixed_s;
}
