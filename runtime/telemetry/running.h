/* SPDX-License-Identifier: MIT */
/*
 * A transfer that runs, as looks at its connection show it: how long it will take, and whether it
 * shows that the estimate it began with no longer holds. No I/O, no clock, no threads.
 */
#ifndef KERF_TELEMETRY_RUNNING_H
#define KERF_TELEMETRY_RUNNING_H

#include "telemetry/predict.h"

#include <stdbool.h>

struct kerf_running {
	uint64_t start_ns, bytes; /* bytes 0: nothing runs */
	uint64_t acked, seen_ns;  /* as it was seen last */
	bool whole;		  /* all of it was acknowledged */
	bool shared;		  /* others ran to the same node: its pace is not the link's */
	double expected_s, low_s, high_s; /* from its start to its end, 80 %; INFINITY: not known */

	bool corrected; /* now is what is to be expected of others, estimator "running" */
	struct kerf_link_estimate now;

	/* The last step, and since when all steps were of about one pace. */
	uint64_t step_ns, step_acked, from_ns, from_acked;
};

void kerf_running_begin(struct kerf_running *r, uint64_t start_ns, uint64_t bytes);

/* acked bytes of it by now_ns. p knows what was known when it began. */
void kerf_running_look(struct kerf_running *r, const struct kerf_predictor *p, uint64_t acked,
		       uint64_t now_ns);

#endif
