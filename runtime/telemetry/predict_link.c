/* SPDX-License-Identifier: MIT */
/* What the connection itself says: nothing here learns from transfers. */
#include "telemetry/predict_priv.h"

/*
 * M. Mathis, J. Semke, J. Mahdavi, T. Ott: The macroscopic behavior of the TCP congestion avoidance
 * algorithm, CCR 27(3), 1997: a window a round trip.
 */
static bool rtt_cwnd_curve(const void *state, const struct look *look, struct curve *c)
{
	const struct link_view *v = &look->link;

	if (v->srtt_s <= 0 || v->cwnd_bytes <= 0)
		return false;
	*c = (struct curve){.latency_s = v->srtt_s, .byte_s = v->srtt_s / v->cwnd_bytes};
	return true;
}

static bool last_rate_curve(const void *state, const struct look *look, struct curve *c)
{
	if (look->link.rate <= 0)
		return false;
	*c = (struct curve){.latency_s = look->link.min_rtt_s, .byte_s = 1 / look->link.rate};
	return true;
}

static bool max_rate_curve(const void *state, const struct look *look, struct curve *c)
{
	if (look->link.max_rate <= 0)
		return false;
	*c = (struct curve){.latency_s = look->link.min_rtt_s, .byte_s = 1 / look->link.max_rate};
	return true;
}

const struct estimator kerf_predict_rtt_cwnd = {
	.name = "rtt_cwnd",
	.what = "srtt + bytes * srtt / cwnd (Mathis et al. 1997)",
	.curve = rtt_cwnd_curve,
};

const struct estimator kerf_predict_last_rate = {
	.name = "last_rate",
	.what = "min RTT + bytes / last delivery rate",
	.curve = last_rate_curve,
};

const struct estimator kerf_predict_max_rate = {
	.name = "max_rate",
	.what = "min RTT + bytes / highest delivery rate of ten round trips (BBR, Cardwell et al. "
		"2016)",
	.curve = max_rate_curve,
};
