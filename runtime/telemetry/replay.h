/* SPDX-License-Identifier: MIT */
/*
 * The state again, out of a trace: what the planner would have seen at that time. For tests and
 * the simulator. Nodes and the plan; links and transfers are read with trace.h.
 */
#ifndef KERF_TELEMETRY_REPLAY_H
#define KERF_TELEMETRY_REPLAY_H

#include "telemetry/trace.h"

struct kerf_replay;

/* Errors as kerf_trace_open(). */
int kerf_replay_open(const char *path, struct kerf_replay **r, struct kerf_err *err);
void kerf_replay_close(struct kerf_replay *r); /* NULL allowed */

/*
 * The state becomes that of t_ns: everything up to and at t_ns has happened. -EINVAL: t_ns is
 * before the last one asked for, or the trace is refused (err says where); it stays as it was
 * at the last good record then.
 */
int kerf_replay_to(struct kerf_replay *r, uint64_t t_ns, struct kerf_err *err);

/* When the next record was taken; UINT64_MAX: there is none. */
uint64_t kerf_replay_next_ns(const struct kerf_replay *r);

/* Until r is closed; changes with kerf_replay_to(). updated_ns: of the newest record in it. */
const struct kerf_state *kerf_replay_state(const struct kerf_replay *r);

#endif
