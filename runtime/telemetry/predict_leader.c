/* SPDX-License-Identifier: MIT */
/*
 * Follow the leader: each transfer is expected as by the member whose expectations were best
 * lately, by discounted log error (N. Cesa-Bianchi, G. Lugosi: Prediction, Learning, and Games,
 * 2006, 7.2; over forecasters of networks: R. Wolski, Dynamically forecasting network performance
 * using the Network Weather Service, 1998). An error counts by its logarithm over GRAIN: an
 * outlier ends no lead, and between 0.01 and 0.1 % there is no race.
 */
#include "telemetry/predict_priv.h"

#include "util/base.h"

#include <math.h>

#define DISCOUNT 0.95
#define NOISE 0.06	 /* log errors above are large */
#define NOISY_WINDOW 0.7 /* how much better the window is thought to be then */
#define GRAIN 0.01	 /* errors below are nearly equal */

#define LINES 3 /* members that are of predict_line.c, the first of all */

/* None that knows a rate without a transfer: it may be a burst that a shaper let through. */
static const struct {
	const struct estimator *e;
	double prior; /* log error it is thought to make before it has made any */
} member[LEADER_MEMBERS] = {
	{&kerf_predict_line, 0.10},
	{&kerf_predict_slow_start, 0.11},
	{&kerf_predict_window, 0.12},
	{&kerf_predict_kalman, 0.20},
};

/* Two thirds of the line's last errors are large: losses, not a step or an outlier. */
static bool noisy(const struct leader_state *s)
{
	uint32_t n = KERF_MIN(s->n_recent, LEADER_RECENT), large = 0, i;

	for (i = 0; i < n; i++)
		large += s->recent[i] > NOISE;
	return n >= 5 && 3 * large > 2 * n;
}

/* What they are thought to be before anything is known of them. */
static void begin(struct leader_state *s)
{
	int i;

	for (i = 0; i < LEADER_MEMBERS; i++) {
		s->loss[i] = log1p(member[i].prior / GRAIN);
		s->weight[i] = 1;
	}
}

static void leader_init(void *state)
{
	struct leader_state *s = state;
	int i;

	for (i = 0; i < LEADER_MEMBERS; i++)
		if (member[i].e->init)
			member[i].e->init(&s->member[i]);
	begin(s);
}

static bool leader_learn(void *state, const struct sample *x)
{
	struct leader_state *s = state;
	bool doubt = s->member[0].line.doubt, changes = false;
	struct curve c;
	double e;
	int i;

	for (i = 0; i < LEADER_MEMBERS; i++) {
		/* A transfer that tells whether the link has changed is no test of who knows it
		 * best. */
		if (!doubt && member[i].e->curve(&s->member[i], &x->look, &c)) {
			e = fabs(log(x->seconds / kerf_curve_s(&c, x->bytes)));
			s->loss[i] = DISCOUNT * s->loss[i] + log1p(e / GRAIN);
			s->weight[i] = DISCOUNT * s->weight[i] + 1;
			if (!i)
				s->recent[s->n_recent++ % LEADER_RECENT] = e;
		}
		if (member[i].e->learn(&s->member[i], x) && !i)
			changes = true;
	}
	/* It has: who was good at the old one need not be at this. */
	if (changes)
		begin(s);
	return changes;
}

static bool leader_curve(const void *state, const struct look *look, struct curve *c)
{
	const struct leader_state *s = state;
	double best = INFINITY, mean;
	struct curve one;
	int i;

	for (i = 0; i < LEADER_MEMBERS; i++) {
		if (!member[i].e->curve(&s->member[i], look, &one))
			continue;
		/* A line knows what a changed link would be like; the others go there slowly. */
		if (i >= LINES && s->member[0].line.doubt)
			break;
		mean = s->loss[i] / s->weight[i];
		/* Among guesses the one that has a reason. */
		if (member[i].e == &kerf_predict_window && noisy(s))
			mean *= NOISY_WINDOW;
		if (mean < best) {
			best = mean;
			*c = one;
			c->name = member[i].e->name;
		}
	}
	return best < INFINITY;
}

const struct estimator kerf_predict_leader = {
	.name = "leader",
	.what = "whichever of the others was best lately (follow the leader; Cesa-Bianchi, Lugosi "
		"2006)",
	.size = sizeof(struct leader_state),
	.init = leader_init,
	.learn = leader_learn,
	.curve = leader_curve,
};
