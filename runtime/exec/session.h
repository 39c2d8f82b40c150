/* SPDX-License-Identifier: MIT */
/*
 * A session: a plan prepared on its engines, taking requests.
 *
 * Opening prepares every step's slice and allocates every tensor of `depth`
 * requests (session_route.h tells how values get around); from then on a request allocates nothing.
 * Several requests are in flight at once, so the local slice of one runs while the remote slice of
 * another does. A step is submitted as soon as the values it reads are there.
 */
#ifndef KERF_EXEC_SESSION_H
#define KERF_EXEC_SESSION_H

#include "exec/engine.h"
#include "plan/plan.h"

struct kerf_session;

struct kerf_session_stats {
	uint64_t requests, failures;
	size_t weight_bytes, arena_bytes, tensor_bytes;
	uint32_t depth;
};

/*
 * What one step of one request took, ns since the request was submitted. All 0 for a step that
 * neighbours alone feed and empty: home does not see it.
 */
struct kerf_step_time {
	uint64_t submit_ns, done_ns, busy_ns;
};

/*
 * engines[i] is what plan's engine i means; the session does not own them, and they
 * outlive it. plan is not kept. depth 0: 2.
 */
int kerf_session_open(struct kerf_graph *g, const struct kerf_plan *plan,
		      struct kerf_engine *const *engines, uint32_t depth,
		      struct kerf_session **s, struct kerf_err *err);
void kerf_session_close(struct kerf_session *s); /* waits for requests in flight */

/*
 * Runs one request: in[] and out[] as the graph's inputs and outputs, memory the
 * caller's, data aligned to KERF_ALIGN, until done. out dims may shrink for bounded
 * values, and are 0 for outputs that a plan with an early exit does not make. 0, or -EAGAIN when
 * depth requests are in flight. Any thread.
 */
typedef void (*kerf_session_done)(void *user, int status);
int kerf_session_submit(struct kerf_session *s, const struct kerf_tensor *in,
			struct kerf_tensor *out, kerf_session_done done, void *user);

/* The same, waiting. times: NULL, or one entry a step. */
int kerf_session_run(struct kerf_session *s, const struct kerf_tensor *in, struct kerf_tensor *out,
		     struct kerf_step_time *times);

/*
 * Why the last request that failed did: which step, on which engine or node, and what it says. It
 * is known before that request's done is called, or run returns; err is left as it is if none
 * failed.
 */
void kerf_session_why(struct kerf_session *s, struct kerf_err *err);

uint32_t kerf_session_steps(const struct kerf_session *s);
void kerf_session_stats(struct kerf_session *s, struct kerf_session_stats *st);

#endif
