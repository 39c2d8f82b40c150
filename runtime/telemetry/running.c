/* SPDX-License-Identifier: MIT */
#include "telemetry/running.h"

#include "util/base.h"

#include <math.h>
#include <stdio.h>

#define NS 1e-9
#define SEGMENT 1448
#define STEP_NS 20000000u   /* shorter steps show the grain of acknowledgements */
#define STALL_NS 300000000u /* TCP's own pauses are shorter: its least timeout is 200 ms */
#define STEP_BYTES (16 * SEGMENT)
#define OTHER_PACE 2.0	   /* a step this much faster or slower begins anew */
#define CLEARLY 1.3	   /* by less no estimate is corrected, however narrow its interval */
#define SHOWN_NS 40000000u /* that a pace must have been seen for to correct one */

void kerf_running_begin(struct kerf_running *r, uint64_t start_ns, uint64_t bytes)
{
	*r = (struct kerf_running){
		.start_ns = start_ns,
		.bytes = bytes,
		.seen_ns = start_ns,
		.expected_s = INFINITY,
		.high_s = INFINITY,
		.step_ns = start_ns,
		.from_ns = start_ns,
	};
}

/*
 * A rate that changes inside of a transfer is seen in one step of it, and not in its mean. What
 * is too few bytes at either pace to tell them apart is no step.
 */
static void step(struct kerf_running *r)
{
	double took = (double)(r->seen_ns - r->step_ns), bytes = (double)(r->acked - r->step_acked);
	double before = (double)(r->step_acked - r->from_acked), usual;

	if (took < (bytes >= STEP_BYTES / 2 ? STEP_NS : STALL_NS))
		return;
	if (before > 0) {
		usual = before / (double)(r->step_ns - r->from_ns) * took;
		if (fmax(bytes, usual) < STEP_BYTES)
			return;
		if (bytes > OTHER_PACE * usual || bytes < usual / OTHER_PACE) {
			r->from_ns = r->step_ns;
			r->from_acked = r->step_acked;
		}
	}
	r->step_ns = r->seen_ns;
	r->step_acked = r->acked;
}

/* Seconds that it would have run by now, had it gone at its present pace from the beginning. */
static double at_this_pace(const struct kerf_running *r, const struct kerf_link_estimate *est)
{
	double took = (double)(r->seen_ns - r->from_ns) * NS, low, high, part, latency;
	double bytes = fmax((double)(r->acked - r->from_acked), SEGMENT);

	if (r->from_ns == r->start_ns)
		return took;
	if (!est->rate_bytes_s)
		return took / bytes * (double)r->acked;
	part = kerf_estimate_s(est, (double)r->acked, &low, &high);
	latency = fmin(fmax((double)est->latency_ns * NS, 0), part);
	return latency + (part - latency) * took / bytes * (double)est->rate_bytes_s;
}

/*
 * By how much the present pace may be mistaken: where in the first step it began is not seen, nor
 * what is between two acknowledgements.
 */
static double pace_error(const struct kerf_running *r)
{
	if (r->from_ns == r->start_ns)
		return 0;
	return (double)STEP_NS / (double)(r->seen_ns - r->from_ns) +
	       4.0 * SEGMENT / fmax((double)(r->acked - r->from_acked), SEGMENT);
}

/* The estimate, if transfers take whole_s and not what it says of the same bytes. */
static void correct(struct kerf_running *r, const struct kerf_link_estimate *est, double whole_s,
		    double whole_low, double whole_high)
{
	double low, high, s = kerf_estimate_s(est, (double)r->bytes, &low, &high);
	double latency = fmin(fmax((double)est->latency_ns * NS, 0), 0.95 * fmin(s, whole_s));
	double seen = (double)KERF_MAX(r->acked - r->from_acked, (uint64_t)SEGMENT), scale;

	r->corrected = false;
	if (!isfinite(s) || !isfinite(whole_s) || s <= 0 || r->seen_ns - r->from_ns < SHOWN_NS ||
	    fmax(seen, (double)(r->seen_ns - r->from_ns) * NS * (double)est->rate_bytes_s) <
		    STEP_BYTES)
		return;
	if (whole_low <= high && whole_high >= low)
		return;
	scale = (whole_s - latency) / (s - latency);
	if (scale < CLEARLY && scale > 1 / CLEARLY)
		return;
	r->corrected = true;
	r->now = *est;
	r->now.updated_ns = r->seen_ns;
	r->now.rate_bytes_s = (uint64_t)fmin(fmax((double)est->rate_bytes_s / scale, 1), 1e15);
	/* Below 0 it stands for bytes that a shaper lets through at once: as many as before. */
	if (est->latency_ns < 0)
		r->now.latency_ns = llround(fmax((double)est->latency_ns * scale, -3.6e12));
	r->now.low_ppm = KERF_MIN(est->low_ppm, (uint32_t)(fmin(whole_low / whole_s, 1) * 1e6));
	r->now.high_ppm =
		KERF_MAX(est->high_ppm, (uint32_t)(fmin(whole_high / whole_s, 1000) * 1e6));
	snprintf(r->now.estimator, sizeof(r->now.estimator), "running");
}

void kerf_running_look(struct kerf_running *r, const struct kerf_predictor *p, uint64_t acked,
		       uint64_t now_ns)
{
	struct kerf_link_estimate est;
	double elapsed, pace_s, s, error, rest;

	/* Fewer than before: an older look, which says nothing new. */
	if (!r->bytes || r->whole || now_ns <= r->seen_ns || acked < r->acked)
		return;
	/* What the last look but this one showed stays: when the last byte came was not seen. */
	r->whole = acked >= r->bytes;
	if (r->whole)
		return;
	r->acked = acked;
	r->seen_ns = now_ns;
	step(r);
	kerf_predictor_estimate(p, r->start_ns, &est);
	elapsed = (double)(now_ns - r->start_ns) * NS;
	pace_s = fmin(at_this_pace(r, &est), fmin(3600, (double)now_ns * NS));
	s = kerf_predictor_running(p, r->bytes, now_ns - (uint64_t)(pace_s * 1e9), acked, now_ns,
				   &r->low_s, &r->high_s);
	error = 1 + pace_error(r);
	correct(r, &est, s, fmin(r->low_s, s / error), fmax(r->high_s, s * error));
	rest = fmax(s - pace_s, 0);
	r->low_s = fmin(r->low_s, pace_s + rest / error);
	r->high_s = fmax(r->high_s, pace_s + rest * error);
	r->expected_s = s + elapsed - pace_s;
	r->low_s = fmax(r->low_s + elapsed - pace_s, elapsed);
	r->high_s += elapsed - pace_s;
}
