/* SPDX-License-Identifier: MIT */
/*
 * Lines through the last transfers, by least absolute error of the logarithm.
 *
 * A transfer that met a busy scheduler or a burst of losses takes much longer, never much shorter:
 * squares would bend the line to it, absolute values do not, and logarithms give small transfers
 * the weight of large ones. Fitted by iteratively reweighted least squares (E. J. Schlossmacher,
 * JASA 68, 1973), old transfers counting less.
 *
 * Two more terms take in what the sender knew when it began:
 *  - window: under losses the congestion window wanders (Mathis et al. 1997), and what
 *    it is now says more about the next second than any past transfer. Its term is the time
 *    that the bytes would take at a window a round trip.
 *  - slow_start: after a pause of a retransmission timeout or more the window is cut
 *    (M. Handley, J. Padhye, S. Floyd, RFC 2861), and grows again in rounds, in which the sender
 *    waits (N. Cardwell, S. Savage, T. Anderson: Modeling TCP latency, INFOCOM 2000).
 *    The waits are taken off before the fit and added after it.
 *
 * When one transfer is far off, the link may have changed or something was in the way. The next
 * is expected as if the rate had changed, and decides: what was before the change is
 * forgotten, or the doubt is.
 */
#include "telemetry/predict_priv.h"

#include "util/base.h"
#include "util/link_time.h"

#include <math.h>
#include <stdlib.h>

#define ROUNDS 14	/* of reweighting */
#define AGE 0.98	/* weight of a transfer beside the one after it */
#define WINDOW_HOLD 3.0 /* of hold(), in transfers of an error of 100 % */
#define MOST 0.3	/* log errors below are equal in the first round, */
#define SHRINK 0.45	/* below this share of it in the next, */
#define LEAST 3e-5	/* and below this at the end: else points once hit would hold the line */

double kerf_curve_s(const struct curve *c, double bytes)
{
	double t = kerf_link_time_s(bytes, c->latency_s, c->byte_s, c->window_bytes, c->round_s);

	return fmin(fmax(t, MIN_S), MAX_S);
}

static struct line_point *nth(struct line_state *s, uint32_t age)
{
	return &s->point[(s->at + LINE_SAMPLES - 1 - age) % LINE_SAMPLES];
}

static double window_s(double bytes, double window_bytes, double rtt_s)
{
	return bytes * rtt_s / window_bytes;
}

/* The solution of n equations a[i] . x = a[i][n], by elimination with pivots. */
static bool solve(double a[LINE_TERMS][LINE_TERMS + 1], int n, double *x)
{
	int i, j, k, best;

	for (i = 0; i < n; i++) {
		for (best = i, j = i + 1; j < n; j++)
			if (fabs(a[j][i]) > fabs(a[best][i]))
				best = j;
		if (fabs(a[best][i]) < 1e-300)
			return false;
		for (k = 0; k <= n; k++) {
			double t = a[i][k];

			a[i][k] = a[best][k];
			a[best][k] = t;
		}
		for (j = 0; j < n; j++) {
			double f = j == i ? 0 : a[j][i] / a[i][i];

			for (k = i; f != 0 && k <= n; k++)
				a[j][k] -= f * a[i][k];
		}
	}
	for (i = 0; i < n; i++) {
		x[i] = a[i][n] / a[i][i];
		if (!isfinite(x[i]))
			return false;
	}
	return true;
}

/* The points as equations; the terms are scaled, so that those are even. */
struct fit {
	uint32_t n;
	int terms;
	double f[LINE_SAMPLES][LINE_TERMS], seconds[LINE_SAMPLES], weight[LINE_SAMPLES];
	double scale[LINE_TERMS];
	double prior_s, mean_s;
};

static void prepare(struct fit *f, struct line_state *s, enum line_kind kind)
{
	double age = 1, sum = 0, seconds = 0;
	uint32_t i;

	*f = (struct fit){.n = s->n,
			  .terms = kind == LINE_WINDOW ? 3 : 2,
			  .prior_s = s->prior_latency_s,
			  .scale = {1}};
	for (i = 0; i < s->n; i++, age *= AGE) {
		const struct line_point *p = nth(s, i);
		double wait = 0;

		/* By the rate of the last fit */
		if (kind == LINE_SLOW_START)
			wait = kerf_slow_start_s(p->bytes, s->theta[1], p->window_bytes, p->rtt_s);
		f->f[i][0] = 1;
		f->f[i][1] = p->bytes;
		f->f[i][2] = f->terms > 2 ? window_s(p->bytes, p->window_bytes, p->rtt_s) : 0;
		f->seconds[i] = fmax(p->seconds - wait, 0.1 * p->seconds);
		f->weight[i] = age;
		sum += age;
		seconds += age * f->seconds[i];
		f->scale[1] += age * f->f[i][1];
		f->scale[2] += age * f->f[i][2];
	}
	f->mean_s = seconds / sum;
	f->scale[1] /= sum;
	f->scale[2] = f->scale[2] > 0 ? f->scale[2] / sum : 1;
	for (i = 0; i < f->n; i++) {
		f->f[i][1] /= f->scale[1];
		f->f[i][2] /= f->scale[2];
	}
}

/*
 * What the points leave open, weak equations hold: the latency is the prior one, the rest of the
 * time is the bytes'. Of the window's line, which few noisy points would bend anywhere, half of
 * that, and three quarters of what a window a round trip takes.
 */
static void hold(const struct fit *f, double a[LINE_TERMS][LINE_TERMS + 1])
{
	double one = 1 / (f->mean_s * f->mean_s),
	       rest = fmax(f->mean_s - f->prior_s, 0.1 * f->mean_s);

	a[0][0] += 0.3 * one;
	a[0][f->terms] += 0.3 * one * f->prior_s;
	if (f->terms == 2) {
		a[1][1] += 1e-3 * one;
		a[1][2] += 1e-3 * one * rest;
	} else {
		a[1][1] += WINDOW_HOLD * one;
		a[1][3] += WINDOW_HOLD * one * 0.5 * rest;
		a[2][2] += WINDOW_HOLD * one;
		a[2][3] += WINDOW_HOLD * one * 0.75 * f->scale[2];
	}
}

/* One round: squares of relative errors, weighed by 1 / the last round's error. theta is scaled. */
static bool reweight(const struct fit *f, double least, double *theta)
{
	double a[LINE_TERMS][LINE_TERMS + 1] = {{0}};
	uint32_t i;
	int j, k;

	for (i = 0; i < f->n; i++) {
		const double *v = f->f[i];
		double y = f->seconds[i], t = theta[0] + theta[1] * v[1] + theta[2] * v[2], w;

		t = fmax(t, 0.05 * y);
		w = f->weight[i] / (t * fmax(fabs(y - t), least * t));
		for (j = 0; j < f->terms; j++) {
			for (k = j; k < f->terms; k++)
				a[j][k] += w * v[j] * v[k];
			a[j][f->terms] += w * v[j] * y;
		}
	}
	for (j = 1; j < f->terms; j++)
		for (k = 0; k < j; k++)
			a[j][k] = a[k][j];
	hold(f, a);
	return solve(a, f->terms, theta);
}

/* The line through one point that has the prior latency. */
static void through(struct line_state *s, enum line_kind kind, const struct line_point *p)
{
	double wait, seconds;
	int i;

	s->theta[0] = fmin(s->prior_latency_s, 0.5 * p->seconds);
	s->theta[1] = (p->seconds - s->theta[0]) / p->bytes;
	s->theta[2] = 0;
	for (i = 0; kind == LINE_SLOW_START && i < 4; i++) {
		wait = kerf_slow_start_s(p->bytes, s->theta[1], p->window_bytes, p->rtt_s);
		seconds = fmax(p->seconds - wait, 0.2 * p->seconds);
		s->theta[0] = fmin(s->prior_latency_s, 0.5 * seconds);
		s->theta[1] = (seconds - s->theta[0]) / p->bytes;
	}
}

static void refit(struct line_state *s, enum line_kind kind)
{
	struct fit f;
	double theta[LINE_TERMS], least = MOST;
	int i;

	if (!s->known || s->n < 2) {
		through(s, kind, nth(s, 0));
		s->known = true;
		if (s->n < 2)
			return;
	}
	prepare(&f, s, kind);
	for (i = 0; i < LINE_TERMS; i++)
		theta[i] = s->theta[i] * f.scale[i];
	for (i = 0; i < ROUNDS; i++, least = fmax(least * SHRINK, LEAST)) {
		if (!reweight(&f, least, theta))
			return;
		/* More bytes do not take less time, nor does a smaller window. */
		if (f.terms > 2 && (theta[2] < 0 || theta[1] < 0)) {
			f.terms = 2;
			theta[2] = 0;
			theta[1] = fmax(s->theta[1] * f.scale[1], 1e-3 * f.mean_s);
		}
		if (theta[1] <= 0) {
			theta[0] = 0;
			theta[1] = f.mean_s;
		}
	}
	for (i = 0; i < LINE_TERMS; i++)
		s->theta[i] = theta[i] / f.scale[i];
}

static bool curve_of(const struct line_state *s, enum line_kind kind, const double *theta,
		     double window_bytes, double rtt_s, struct curve *c)
{
	*c = (struct curve){.latency_s = theta[0], .byte_s = theta[1]};
	if (kind != LINE_PLAIN && (window_bytes <= 0 || rtt_s <= 0))
		return false;
	if (kind == LINE_WINDOW)
		c->byte_s += theta[2] * window_s(1, window_bytes, rtt_s);
	if (kind == LINE_SLOW_START) {
		c->window_bytes = window_bytes;
		c->round_s = rtt_s;
	}
	return c->byte_s > 0;
}

static double error_of(const struct line_state *s, enum line_kind kind, const struct line_point *p)
{
	struct curve c;

	return curve_of(s, kind, s->theta, p->window_bytes, p->rtt_s, &c)
		       ? log(p->seconds / kerf_curve_s(&c, p->bytes))
		       : 0;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* The error that the share q of the transfers before the last skip did not reach. */
static double usual_error(struct line_state *s, double q, uint32_t skip)
{
	double e[LINE_SAMPLES];
	uint32_t i, n = 0;

	for (i = skip; i + 2 < s->n; i++)
		e[n++] = fabs(nth(s, i)->error);
	if (n < 4)
		return 0.3;
	qsort(e, n, sizeof(*e), compare);
	return e[(uint32_t)(q * (n - 1) + 0.5)];
}

static void forget_before(struct line_state *s, uint32_t keep)
{
	s->n = keep;
	s->known = false;
}

/* The last three all on one side and unusual: once in 500 by chance. */
static bool drifted(struct line_state *s)
{
	double usual, e;
	uint32_t i;

	if (s->n < 6)
		return false;
	usual = fmax(usual_error(s, 0.8, 3), 0.03);
	for (i = 0; i < 3; i++) {
		e = nth(s, i)->error;
		if (fabs(e) < usual || e * nth(s, 0)->error < 0)
			return false;
	}
	return true;
}

static bool line_learn(struct line_state *s, enum line_kind kind, const struct sample *x)
{
	struct line_point p = {.bytes = x->bytes,
			       .seconds = x->seconds,
			       .window_bytes = x->look.window_bytes,
			       .rtt_s = x->look.link.min_rtt_s};
	struct line_state changed;
	bool doubt = s->doubt, changes = false;

	if (kind == LINE_WINDOW)
		p.window_bytes = x->look.link.cwnd_bytes;
	if (kind != LINE_PLAIN && (p.window_bytes <= 0 || p.rtt_s <= 0))
		return false;
	if (!s->n)
		s->prior_latency_s = x->look.link.min_rtt_s;
	p.error = s->known ? error_of(s, kind, &p) : 0;
	s->doubt = false;
	if (doubt) {
		/* Was the last transfer the first of a changed link? */
		changed = *s;
		forget_before(&changed, 1);
		changed.prior_latency_s = s->theta[0];
		refit(&changed, kind);
		if (fabs(error_of(&changed, kind, &p)) < fabs(p.error)) {
			*s = changed;
			changes = true;
			p.error = error_of(s, kind, &p);
		}
	}
	if ((doubt || s->n >= 2) &&
	    fabs(p.error) > fmin(fmax(0.2, 2.5 * usual_error(s, 0.9, 0)), 0.9))
		s->doubt = true;
	s->point[s->at] = p;
	s->at = (s->at + 1) % LINE_SAMPLES;
	s->n = KERF_MIN(s->n + 1, LINE_SAMPLES);
	if (drifted(s)) {
		s->prior_latency_s = s->theta[0];
		forget_before(s, 3);
		s->doubt = false;
	}
	/* In doubt the line stays as it was before: the next transfer is compared with it. */
	if (!s->doubt)
		refit(s, kind);
	return changes;
}

static bool line_curve(const struct line_state *s, enum line_kind kind, const struct look *look,
		       struct curve *c)
{
	double window = kind == LINE_WINDOW ? look->link.cwnd_bytes : look->window_bytes;
	double rtt = look->link.min_rtt_s;
	struct line_state changed;
	bool known;

	if (!s->known)
		return false;
	if (!s->doubt)
		return curve_of(s, kind, s->theta, window, rtt, c);
	changed = *s;
	forget_before(&changed, 1);
	changed.prior_latency_s = s->theta[0];
	refit(&changed, kind);
	known = curve_of(&changed, kind, changed.theta, window, rtt, c);
	c->doubt = true;
	return known;
}

#define KIND(word, KIND)                                                                      \
	static bool word##_learn(void *state, const struct sample *x)                         \
	{                                                                                     \
		return line_learn(state, KIND, x);                                            \
	}                                                                                     \
	static bool word##_curve(const void *state, const struct look *look, struct curve *c) \
	{                                                                                     \
		return line_curve(state, KIND, look, c);                                      \
	}

KIND(plain, LINE_PLAIN)
KIND(window, LINE_WINDOW)
KIND(slow_start, LINE_SLOW_START)

const struct estimator kerf_predict_line = {
	.name = "line",
	.what = "a + bytes * b by least absolute log error (Schlossmacher 1973)",
	.size = sizeof(struct line_state),
	.learn = plain_learn,
	.curve = plain_curve,
};

const struct estimator kerf_predict_window = {
	.name = "window",
	.what = "the same, b depending on the congestion window (Mathis et al. 1997)",
	.size = sizeof(struct line_state),
	.learn = window_learn,
	.curve = window_curve,
};

const struct estimator kerf_predict_slow_start = {
	.name = "slow_start",
	.what = "the same, and the waits of slow start (Cardwell, Savage, Anderson 2000)",
	.size = sizeof(struct line_state),
	.learn = slow_start_learn,
	.curve = slow_start_curve,
};
