/* SPDX-License-Identifier: MIT */
/* Goodput of past transfers, smoothed: seconds are bytes / rate, whatever the size. */
#include "telemetry/predict_priv.h"

#include <math.h>

static bool rate_curve(const void *state, const struct look *look, struct curve *c)
{
	const struct rate_state *s = state;

	if (s->rate <= 0)
		return false;
	*c = (struct curve){.byte_s = 1 / s->rate};
	return true;
}

static bool ewma_learn(void *state, const struct sample *x)
{
	struct rate_state *s = state;
	double rate = x->bytes / x->seconds;

	s->rate += (s->rate > 0 ? 0.25 : 1) * (rate - s->rate);
	return false;
}

/*
 * A random walk of the logarithm, seen through noise; both variances follow the errors, so that
 * a step is taken in at once and noise is not.
 */
static bool kalman_learn(void *state, const struct sample *x)
{
	struct rate_state *s = state;
	double rate = x->bytes / x->seconds, e, walk;

	if (s->rate <= 0) {
		*s = (struct rate_state){.rate = rate, .var = 0.25, .error = 0.01};
		return false;
	}
	e = log(rate / s->rate);
	/* What the noise does not explain is the walk's. */
	walk = fmax(0.0004, e * e - 9 * (s->var + s->error));
	s->var += walk;
	s->gain = s->var / (s->var + s->error);
	s->error += 0.1 * (fmin(e * e, 9 * s->error + 0.0001) - s->error);
	s->error = fmax(s->error, 1e-8);
	s->rate *= exp(s->gain * e);
	s->var *= 1 - s->gain;
	return false;
}

const struct estimator kerf_predict_ewma = {
	.name = "ewma",
	.what = "bytes / exponentially weighted mean of goodput (He, Dovrolis, Ammar 2005)",
	.size = sizeof(struct rate_state),
	.learn = ewma_learn,
	.curve = rate_curve,
};

const struct estimator kerf_predict_kalman = {
	.name = "kalman",
	.what = "bytes / goodput by a Kalman filter of its logarithm",
	.size = sizeof(struct rate_state),
	.learn = kalman_learn,
	.curve = rate_curve,
};
