/* SPDX-License-Identifier: MIT */
/*
 * A published state, written to a trace: what changed since the step before, and each transfer
 * once. No clock, no threads: whoever calls says when.
 */
#ifndef KERF_TELEMETRY_RECORDER_H
#define KERF_TELEMETRY_RECORDER_H

#include "telemetry/publish.h"
#include "telemetry/trace.h"

struct kerf_recorder;

struct kerf_recorder_count {
	uint64_t records;
	uint64_t missed;  /* transfers that were gone before a step came by */
	uint64_t refused; /* what the publisher wrote is no figure: not recorded */
	uint64_t torn;	  /* steps in which the state was being written all the time */
};

/* from and to stay the caller's, and open. Transfers count from now on. -ENOMEM. */
int kerf_recorder_open(const struct kerf_state_reader *from, struct kerf_trace_writer *to,
		       struct kerf_recorder **r);
void kerf_recorder_close(struct kerf_recorder *r); /* NULL allowed */

/* now_ns never goes back. An error of kerf_trace_put() that is not of one record. */
int kerf_recorder_step(struct kerf_recorder *r, uint64_t now_ns);

void kerf_recorder_counted(const struct kerf_recorder *r, struct kerf_recorder_count *count);

#endif
