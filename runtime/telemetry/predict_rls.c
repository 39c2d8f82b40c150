/* SPDX-License-Identifier: MIT */
/*
 * Recursive least squares of seconds = a + megabytes * b (L. Ljung: System Identification,
 * 2nd ed., 1999, 11.2), plain and with a reset when it has been wrong twice running.
 */
#include "telemetry/predict_priv.h"

#include <math.h>

#define MB 1e-6
/* Transfers of one size say nothing of the slope: all their time would be taken for latency. */
#define SPREAD 1.25

static void rls_init(void *state)
{
	*(struct rls_state *)state = (struct rls_state){.p = {{1e2, 0}, {0, 1e2}}};
}

static void update(struct rls_state *s, const struct sample *x, double forget)
{
	double phi[2] = {1, x->bytes * MB}, g[2], e, d;

	g[0] = s->p[0][0] * phi[0] + s->p[0][1] * phi[1];
	g[1] = s->p[1][0] * phi[0] + s->p[1][1] * phi[1];
	d = forget + phi[0] * g[0] + phi[1] * g[1];
	e = x->seconds - s->theta[0] * phi[0] - s->theta[1] * phi[1];
	s->theta[0] += g[0] / d * e;
	s->theta[1] += g[1] / d * e;
	s->p[0][0] = fmin((s->p[0][0] - g[0] * g[0] / d) / forget, 1e6);
	s->p[0][1] = s->p[1][0] = (s->p[0][1] - g[0] * g[1] / d) / forget;
	s->p[1][1] = fmin((s->p[1][1] - g[1] * g[1] / d) / forget, 1e6);
	/* Sizes that never change let one direction grow without end. */
	if (s->p[0][0] * s->p[1][1] <= s->p[0][1] * s->p[0][1] || !isfinite(s->p[0][1]))
		s->p[0][0] = s->p[1][1] = 1e2, s->p[0][1] = s->p[1][0] = 0;
	s->least = s->n ? fmin(s->least, x->bytes) : x->bytes;
	s->most = fmax(s->most, x->bytes);
	s->n++;
}

static bool rls_curve(const void *state, const struct look *look, struct curve *c)
{
	const struct rls_state *s = state;

	if (!s->n || s->theta[1] <= 0 || s->most < SPREAD * s->least)
		return false;
	*c = (struct curve){.latency_s = s->theta[0], .byte_s = s->theta[1] * MB};
	return true;
}

static bool rls_learn(void *state, const struct sample *x)
{
	update(state, x, 0.98);
	return false;
}

static bool rls_reset_learn(void *state, const struct sample *x)
{
	struct rls_state *s = state;
	struct curve c;
	double e;

	if (s->n >= 2 && rls_curve(s, NULL, &c)) {
		e = fabs(log(x->seconds / kerf_curve_s(&c, x->bytes)));
		s->bad = e > fmax(0.2, 4 * s->error) ? s->bad + 1 : 0;
		if (s->bad == 2)
			rls_init(s);
		else
			s->error += 0.1 * (fmin(e, 1) - s->error);
	}
	update(s, x, 0.95);
	return false;
}

const struct estimator kerf_predict_rls = {
	.name = "rls",
	.what = "a + bytes * b by recursive least squares, forgetting 2 % a transfer",
	.size = sizeof(struct rls_state),
	.init = rls_init,
	.learn = rls_learn,
	.curve = rls_curve,
};

const struct estimator kerf_predict_rls_reset = {
	.name = "rls_reset",
	.what = "the same, forgetting 5 %, begun anew after two transfers far off",
	.size = sizeof(struct rls_state),
	.init = rls_init,
	.learn = rls_reset_learn,
	.curve = rls_curve,
};
