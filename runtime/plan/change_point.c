/* SPDX-License-Identifier: MIT */
#include "plan/change_point.h"

#include <math.h>

#define WINDOW 256
#define HAZARD (1.0 / 64) /* chance of a change at a sample */

/*
 * Prior of a run: its mean is worth KAPPA samples at the mean of all; its variance is around
 * BETA / ALPHA, a tenth up or down, which is how steady links look from one transfer to the next.
 */
#define KAPPA 0.1
#define ALPHA 1.0
#define BETA 0.01

struct run {
	double p; /* that it is this one */
	double kappa, mu, beta;
	double gamma; /* of the predictive distribution: Gamma((v + 1) / 2) / Gamma(v / 2) */
	double v;     /* its degrees of freedom, 2 alpha */
};

/* Student's t density of x under the run. */
static double density(const struct run *r, double x)
{
	double scale2 = 2 * r->beta * (r->kappa + 1) / (r->v * r->kappa), d = x - r->mu;

	return r->gamma / sqrt(r->v * M_PI * scale2) *
	       pow(1 + d * d / (r->v * scale2), -(r->v + 1) / 2);
}

static void learn(struct run *r, double x)
{
	double d = x - r->mu;

	r->beta += r->kappa * d * d / (2 * (r->kappa + 1));
	r->mu += d / (r->kappa + 1);
	r->kappa += 1;
	r->v += 1;
	/* Gamma((v + 1) / 2) / Gamma(v / 2) times the one of v - 1 is (v - 1) / 2. */
	r->gamma = (r->v - 1) / 2 / r->gamma;
}

uint32_t kerf_change_point(const double *x, uint32_t n, double *mean)
{
	struct run run[WINDOW + 1], fresh;
	double sample[WINDOW], sum = 0, all = 0;
	uint32_t m = 0, n_run = 0, i, k, best = 0;

	for (i = n; i-- > 0 && m < WINDOW;)
		if (x[i] > 0 && isfinite(x[i]))
			sample[m++] = log(x[i]); /* newest first */
	for (i = 0; i < m; i++)
		all += sample[i];
	*mean = 0;
	if (!m)
		return 0;
	fresh = (struct run){1, KAPPA, all / m, BETA, sqrt(M_PI) / 2, 2 * ALPHA};
	/* run[k]: k samples since the change. */
	run[n_run++] = fresh;
	for (i = m; i-- > 0;) {
		double change = 0, total = 0;

		for (k = n_run; k-- > 0;) {
			double p = run[k].p * density(&run[k], sample[i]);

			change += p * HAZARD;
			run[k + 1] = run[k];
			run[k + 1].p = p * (1 - HAZARD);
			learn(&run[k + 1], sample[i]);
			total += p;
		}
		n_run++;
		run[0] = fresh;
		run[0].p = change;
		for (k = 0; k < n_run; k++)
			run[k].p = total > 0 ? run[k].p / total : 1.0 / n_run;
	}
	/* A change after the last sample says nothing about it. */
	for (best = 1, k = 2; k < n_run; k++)
		best = run[k].p > run[best].p ? k : best;
	for (i = 0; i < best; i++)
		sum += sample[i];
	*mean = exp(sum / best);
	return best;
}
