/* SPDX-License-Identifier: MIT */
#include "telemetry/predict_priv.h"

#include "util/base.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NS 1e-9
#define MAX_BYTES 1e15
#define OLD_NS (600ull * 1000000000u) /* nothing newer: it does not know any more */

static const struct estimator *const table[] = {
	&kerf_predict_leader,	 &kerf_predict_line,	  &kerf_predict_slow_start,
	&kerf_predict_window,	 &kerf_predict_rls_reset, &kerf_predict_rls,
	&kerf_predict_kalman,	 &kerf_predict_ewma,	  &kerf_predict_max_rate,
	&kerf_predict_last_rate, &kerf_predict_rtt_cwnd,
};

struct kerf_predictor {
	const struct estimator *e;
	void *state;
	struct views views;
	struct interval interval;
	uint64_t updated_ns; /* end of the newest transfer, or the newest look if none is needed */
	uint32_t transfers;
};

const char *kerf_estimator_name(uint32_t i)
{
	return i < KERF_ARRAY_SIZE(table) ? table[i]->name : NULL;
}

const char *kerf_estimator_what(uint32_t i)
{
	return i < KERF_ARRAY_SIZE(table) ? table[i]->what : NULL;
}

int kerf_predictor_open(const char *estimator, struct kerf_predictor **out, struct kerf_err *err)
{
	struct kerf_predictor *p;
	uint32_t i;

	*out = NULL;
	for (i = 0; i < KERF_ARRAY_SIZE(table); i++)
		if (!strcmp(table[i]->name, estimator ? estimator : "leader"))
			break;
	if (i == KERF_ARRAY_SIZE(table))
		return kerf_fail(err, -ENOENT, "no estimator \"%.40s\"", estimator);
	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->e = table[i];
	p->state = calloc(1, KERF_MAX(p->e->size, (size_t)1));
	if (!p->state) {
		free(p);
		return -ENOMEM;
	}
	if (p->e->init)
		p->e->init(p->state);
	kerf_interval_init(&p->interval);
	*out = p;
	return 0;
}

void kerf_predictor_close(struct kerf_predictor *p)
{
	if (!p)
		return;
	free(p->state);
	free(p);
}

void kerf_predictor_link(struct kerf_predictor *p, const struct kerf_link_rec *link)
{
	kerf_views_put(&p->views, link);
}

static void bounds(const struct spread *s, double t, double *low, double *high)
{
	*low = fmin(fmax(t * s->low_ratio - s->low_s, 0), t);
	*high = fmax(t * s->high_ratio + s->high_s, t);
}

void kerf_predictor_learn(struct kerf_predictor *p, const struct kerf_transfer *t)
{
	struct sample x;
	struct spread s;
	struct curve c;
	double expected, low, high;

	if (t->end_ns <= t->start_ns || t->hold_ns >= t->end_ns - t->start_ns || !t->bytes)
		return;
	x.bytes = (double)t->bytes;
	x.seconds = (double)(t->end_ns - t->start_ns - t->hold_ns) * NS;
	if (x.seconds < MIN_S || x.seconds > MAX_S || x.bytes > MAX_BYTES)
		return;
	kerf_views_look(&p->views, t->cookie, t->start_ns, &x.look);
	if (p->e->curve(p->state, &x.look, &c)) {
		expected = kerf_curve_s(&c, x.bytes);
		kerf_interval_get(&p->interval, c.doubt, &s);
		bounds(&s, expected, &low, &high);
		kerf_interval_learn(&p->interval, expected, low, high, x.seconds);
	}
	if (p->e->learn && p->e->learn(p->state, &x))
		kerf_interval_forget(&p->interval);
	kerf_views_ended(&p->views, t->cookie, t->end_ns);
	p->updated_ns = t->end_ns;
	p->transfers++;
}

/* What is known at now_ns. false: nothing. */
static bool know(const struct kerf_predictor *p, uint64_t now_ns, struct look *look,
		 struct curve *c, struct spread *s, __u64 *updated_ns)
{
	kerf_views_look(&p->views, 0, now_ns, look);
	if (!p->e->curve(p->state, look, c))
		return false;
	*updated_ns = KERF_MAX(p->updated_ns, look->link.at_ns);
	kerf_interval_get(&p->interval, c->doubt, s);
	/* Links without a transfer are looked at all the same: that they are there says nothing. */
	return !p->e->learn || now_ns < p->updated_ns || now_ns - p->updated_ns <= OLD_NS;
}

void kerf_predictor_estimate(const struct kerf_predictor *p, uint64_t now_ns,
			     struct kerf_link_estimate *est)
{
	struct look look;
	struct spread s;
	struct curve c = {.name = NULL};

	*est = (struct kerf_link_estimate){.transfers = p->transfers};
	if (!know(p, now_ns, &look, &c, &s, &est->updated_ns))
		return;
	if (!c.name)
		c.name = p->e->name;
	est->latency_ns = llround(fmin(fmax(c.latency_s, -MAX_S), MAX_S) * 1e9);
	est->rate_bytes_s = (uint64_t)fmin(fmax(1 / c.byte_s, 1), 1e15);
	est->low_ppm = (uint32_t)lround(fmin(s.low_ratio, 1000) * 1e6);
	est->high_ppm = (uint32_t)lround(fmin(s.high_ratio, 1000) * 1e6);
	est->low_ns = llround(fmin(fmax(s.low_s, -MAX_S), MAX_S) * 1e9);
	est->high_ns = llround(fmin(fmax(s.high_s, -MAX_S), MAX_S) * 1e9);
	if (c.window_bytes > 0 && c.window_bytes < 1e12) {
		est->window_bytes = (uint64_t)fmax(c.window_bytes, 1);
		est->round_ns = (uint64_t)(fmin(c.round_s, MAX_S) * 1e9);
	}
	est->source = look.link.source ? look.link.source : KERF_SOURCE_RUNTIME;
	snprintf(est->estimator, sizeof(est->estimator), "%s", c.name);
}

static void read_estimate(const struct kerf_link_estimate *est, struct curve *c, struct spread *s)
{
	*c = (struct curve){.latency_s = (double)est->latency_ns * NS,
			    .byte_s = 1 / (double)est->rate_bytes_s,
			    .window_bytes = (double)est->window_bytes,
			    .round_s = (double)est->round_ns * NS};
	*s = (struct spread){.low_ratio = est->low_ppm * 1e-6,
			     .high_ratio = est->high_ppm * 1e-6,
			     .low_s = (double)est->low_ns * NS,
			     .high_s = (double)est->high_ns * NS};
}

double kerf_estimate_s(const struct kerf_link_estimate *est, double bytes, double *low,
		       double *high)
{
	struct spread s;
	struct curve c;
	double t;

	if (!est->rate_bytes_s) {
		*low = 0;
		*high = INFINITY;
		return INFINITY;
	}
	read_estimate(est, &c, &s);
	t = kerf_curve_s(&c, fmax(bytes, 0));
	bounds(&s, t, low, high);
	return t;
}

double kerf_predictor_running(const struct kerf_predictor *p, uint64_t bytes, uint64_t start_ns,
			      uint64_t acked, uint64_t now_ns, double *low, double *high)
{
	struct look look;
	struct spread s;
	struct curve c;
	__u64 updated_ns;
	double elapsed = now_ns > start_ns ? (double)(now_ns - start_ns) * NS : 0;
	bool known = know(p, start_ns, &look, &c, &s, &updated_ns);

	return kerf_running_s(known ? &c : NULL, &s, look.link.min_rtt_s, (double)bytes,
			      (double)acked, elapsed, low, high);
}
