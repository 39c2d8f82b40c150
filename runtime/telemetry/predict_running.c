/* SPDX-License-Identifier: MIT */
/*
 * A transfer that runs: what was expected of it, corrected by what is acknowledged so far.
 *
 * It runs f times as long as expected for those bytes, and so, to the degree that f is more than
 * the grain of acknowledgements, will the rest.
 */
#include "telemetry/predict_priv.h"

#include <math.h>

double kerf_running_s(const struct curve *c, const struct spread *spread, double rtt_s,
		      double bytes, double acked, double elapsed, double *low, double *high)
{
	double whole, part, wire, rest, f = 1, usual, grain, signal, sure;

	acked = fmin(acked, bytes);
	if (!c) {
		/* Nothing was learned: as it goes on from the first acknowledgement, one round trip
		 * in. */
		if (acked <= 0 || elapsed <= 0)
			return *low = 0, *high = INFINITY, INFINITY;
		f = fmax(elapsed - rtt_s, 0.1 * elapsed) / acked;
		rest = f * (bytes - acked);
		*low = elapsed + 0.5 * rest;
		*high = elapsed + 2 * rest;
		return elapsed + rest;
	}
	whole = kerf_curve_s(c, bytes);
	if (acked <= 0) {
		/* As expected, or if that is no longer possible, all of it is still to come. */
		rest = elapsed < c->latency_s + rtt_s + 0.1 * whole ? whole - elapsed : whole;
		rest = fmax(rest, 0.1 * whole);
		*low = elapsed + 0.5 * rest;
		*high = elapsed + 2 * rest;
		if (rest == whole - elapsed) {
			*low = whole * spread->low_ratio - spread->low_s;
			*low = fmin(fmax(*low, elapsed), whole);
			*high = fmax(whole * spread->high_ratio + spread->high_s, whole);
		}
		return elapsed + rest;
	}
	/* Only what is sent and acknowledged runs slower or faster, not the way there and back. */
	part = kerf_curve_s(c, acked);
	wire = fmax(elapsed - fmax(c->latency_s, 0), 0.05 * elapsed);
	f = log(fmax(wire, MIN_S) / fmax(part - fmax(c->latency_s, 0), 0.05 * part));
	usual = (part * (spread->high_ratio - spread->low_ratio) + spread->high_s + spread->low_s) /
		(2 * part);
	grain = (0.1 * rtt_s + 2e-4) / fmax(wire, MIN_S) + 1e-3;
	signal = fmax(f * f, usual * usual);
	sure = signal / (signal + grain * grain);
	rest = fmax(whole - part, 0) * exp(f * sure);
	/* What is uncertain is the rest: by the usual share, and by how far off it has been so far.
	 */
	usual = fmax(usual, fabs(f) * (1 - sure) + 0.1 * fabs(f));
	*low = elapsed + rest / (1 + usual);
	*high = elapsed + rest * (1 + usual);
	return elapsed + rest;
}
