/* SPDX-License-Identifier: MIT */
/* What the link looked like lately, and what TCP will make of a pause. */
#include "telemetry/predict_priv.h"

#include <math.h>
#include <string.h>

#define NS 1e-9
#define INITIAL_SEGMENTS 10 /* RFC 6928 */
#define RTO_MIN_S 0.2	    /* Linux's */

/* The slot of cookie, or the one to take for it. */
static struct view_connection *connection(struct views *v, uint64_t cookie)
{
	struct view_connection *least = &v->connection[0];
	int i;

	for (i = 0; i < VIEW_CONNECTIONS; i++) {
		if (v->connection[i].used && v->connection[i].cookie == cookie) {
			least = &v->connection[i];
			break;
		}
		if (v->connection[i].used < least->used)
			least = &v->connection[i];
	}
	if (!least->used || least->cookie != cookie)
		*least = (struct view_connection){.cookie = cookie};
	least->used = ++v->uses;
	return least;
}

/*
 * The highest of ten round trips, if any sample is that young; the sender's own pauses do not
 * show in it: a sample that they limited counts only if it is higher than the others.
 */
static double max_rate(struct view_connection *c, const struct kerf_link_rec *link, double srtt_s)
{
	double last = c->rate[(c->at + VIEW_RATES - 1) % VIEW_RATES], max = 0;
	double rate = link->has & KERF_LINK_HAS_RATE ? (double)link->rate_bytes_s : 0;
	uint32_t i;

	for (i = 0; i < VIEW_RATES; i++)
		if (c->rate_ns[i] <= link->updated_ns &&
		    (double)(link->updated_ns - c->rate_ns[i]) * NS <= 10 * srtt_s)
			max = fmax(max, c->rate[i]);
	if (rate > 0 && (!link->app_limited || rate > (max > 0 ? max : last))) {
		c->rate[c->at] = rate;
		c->rate_ns[c->at] = link->updated_ns;
		c->at = (c->at + 1) % VIEW_RATES;
		max = fmax(max, rate);
	}
	if (max <= 0)
		max = last;
	return max;
}

void kerf_views_put(struct views *v, const struct kerf_link_rec *link)
{
	struct link_view w = {.cookie = link->cookie, .at_ns = link->updated_ns};
	double mss = link->mss_bytes ? link->mss_bytes : 1448;
	uint32_t i, n;

	if (link->life != KERF_LINK_LIVE || !link->updated_ns)
		return;
	if (v->n && v->view[v->n - 1].cookie == w.cookie && v->view[v->n - 1].at_ns == w.at_ns)
		return;
	w.source = link->source < KERF_N_SOURCE ? link->source : KERF_SOURCE_NONE;
	if (link->has & KERF_LINK_HAS_RTT) {
		w.srtt_s = link->srtt_us * 1e-6;
		w.min_rtt_s = link->min_rtt_us * 1e-6;
		if (w.min_rtt_s <= 0 || w.min_rtt_s > w.srtt_s)
			w.min_rtt_s = w.srtt_s;
		w.rto_s = w.srtt_s + fmax(RTO_MIN_S, 4e-6 * link->rttvar_us);
	}
	w.mss_bytes = mss;
	w.cwnd_bytes = link->cwnd_segments * mss;
	w.avoids = link->ssthresh_segments && link->cwnd_segments >= link->ssthresh_segments;
	if (link->has & KERF_LINK_HAS_RATE)
		w.rate = (double)link->rate_bytes_s;
	w.max_rate = max_rate(connection(v, w.cookie), link, w.srtt_s);

	/* Full: of the older half every other one goes. */
	if (v->n == VIEWS) {
		for (n = 0, i = 1; i < VIEWS; i += i < VIEWS / 2 ? 2 : 1)
			v->view[n++] = v->view[i];
		v->n = n;
	}
	v->view[v->n++] = w;
}

void kerf_views_ended(struct views *v, uint64_t cookie, uint64_t end_ns)
{
	struct view_connection *c = connection(v, cookie);

	if (end_ns > c->ended_ns)
		c->ended_ns = end_ns;
}

/*
 * After a pause of a retransmission timeout the congestion window is halved, for each one again,
 * down to the initial one (RFC 2861; tcp_cwnd_restart() of Linux).
 */
static double first_window(const struct link_view *l, double idle_s)
{
	double periods = l->rto_s > 0 ? floor(idle_s / l->rto_s) : 0;
	double least = fmin(l->cwnd_bytes, INITIAL_SEGMENTS * l->mss_bytes);

	if (periods < 1)
		return l->avoids ? INFINITY : l->cwnd_bytes; /* it does not grow in rounds */
	return fmax(l->cwnd_bytes * exp2(-fmin(periods, 60)), least);
}

void kerf_views_look(const struct views *v, uint64_t cookie, uint64_t at_ns, struct look *look)
{
	const struct link_view *best = NULL;
	double idle_s = 0;
	uint32_t i;

	*look = (struct look){.window_bytes = 0};
	for (i = 0; i < v->n; i++) {
		const struct link_view *l = &v->view[i];

		if (l->at_ns > at_ns || (cookie && l->cookie != cookie))
			continue;
		if (!best || l->at_ns >= best->at_ns)
			best = l;
	}
	if (!best) {
		if (cookie)
			kerf_views_look(v, 0, at_ns, look);
		return;
	}
	look->link = *best;
	for (i = 0; i < VIEW_CONNECTIONS; i++) {
		const struct view_connection *c = &v->connection[i];

		if (c->used && c->cookie == best->cookie && c->ended_ns && c->ended_ns < at_ns)
			idle_s = (double)(at_ns - c->ended_ns) * NS;
	}
	if (best->cwnd_bytes > 0 && best->min_rtt_s > 0)
		look->window_bytes = first_window(best, idle_s);
}
