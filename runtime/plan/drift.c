/* SPDX-License-Identifier: MIT */
#include "plan/drift.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static double work_s(const struct kerf_problem *p, uint32_t e)
{
	double sum = 0;
	uint32_t o;

	for (o = 0; o < p->graph->n_op; o++) {
		double s = p->op_s[(size_t)o * p->n_engine + e];

		sum += s < INFINITY ? s : 0;
	}
	return sum;
}

int kerf_drift_remember(struct kerf_drift *d, const struct kerf_problem *p)
{
	uint32_t i, n = p->n_node * p->n_node;

	if (!d->rate || d->n_node != p->n_node) {
		double *rate = calloc(n + 1, sizeof(*rate));

		if (!rate)
			return -ENOMEM;
		free(d->rate);
		d->rate = rate;
		d->n_node = p->n_node;
	}
	for (i = 0; i < n; i++)
		d->rate[i] = p->link[i].rate_bytes_s;
	for (i = 0; i < p->n_engine; i++)
		d->work_s[i] = work_s(p, i);
	return 0;
}

void kerf_drift_finish(struct kerf_drift *d)
{
	free(d->rate);
	memset(d, 0, sizeof(*d));
}

static double factor(double a, double b)
{
	return a > 0 && b > 0 ? fmax(a / b, b / a) : a > 0 || b > 0 ? INFINITY : 1;
}

void kerf_drift_most(const struct kerf_drift *d, const struct kerf_problem *p,
		     struct kerf_drift_most *most)
{
	uint32_t a, b, e;

	*most = (struct kerf_drift_most){.factor = d->rate ? 1 : INFINITY};
	if (!d->rate)
		return;
	for (a = 0; a < p->n_node; a++)
		for (b = 0; b < p->n_node; b++) {
			double was = d->rate[a * p->n_node + b],
			       now = p->link[a * p->n_node + b].rate_bytes_s;
			double f = a == b ? 1 : factor(now, was);

			if (f > most->factor)
				*most = (struct kerf_drift_most){.factor = f,
								 .was = was,
								 .now = now,
								 .link = true,
								 .from = a,
								 .to = b};
		}
	for (e = 0; e < p->n_engine; e++) {
		double now = work_s(p, e), f = factor(now, d->work_s[e]);

		if (f > most->factor)
			*most = (struct kerf_drift_most){
				.factor = f, .was = d->work_s[e], .now = now, .engine = e};
	}
}
