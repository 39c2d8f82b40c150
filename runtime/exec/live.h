/* SPDX-License-Identifier: MIT */
/*
 * A session whose plan can be changed while requests come: they go on with the old plan until the
 * new one is prepared, then new ones take it, and the old one ends with its last request.
 * No request is lost or waits for a change.
 */
#ifndef KERF_EXEC_LIVE_H
#define KERF_EXEC_LIVE_H

#include "exec/session.h"

struct kerf_live;

/* As kerf_session_open(). */
int kerf_live_open(struct kerf_graph *g, const struct kerf_plan *plan,
		   struct kerf_engine *const *engines, uint32_t depth, struct kerf_live **l,
		   struct kerf_err *err);
void kerf_live_close(struct kerf_live *l); /* waits for requests in flight; NULL allowed */

/*
 * Prepares a plan, takes it for all requests from then on, and waits for the old one's. On an
 * error, kerf_session_open()'s, the old plan stays. One thread at a time, not from a done().
 */
int kerf_live_change(struct kerf_live *l, const struct kerf_plan *plan, struct kerf_err *err);

/*
 * As kerf_session_submit() and kerf_session_run(), with the plan that is in force then: of each
 * plan depth requests may be in flight.
 */
int kerf_live_submit(struct kerf_live *l, const struct kerf_tensor *in, struct kerf_tensor *out,
		     kerf_session_done done, void *user);
int kerf_live_run(struct kerf_live *l, const struct kerf_tensor *in, struct kerf_tensor *out);

/* As kerf_session_why(), of all plans. */
void kerf_live_why(struct kerf_live *l, struct kerf_err *err);

/* Requests and failures of all plans together; the rest of the one in force. */
void kerf_live_stats(struct kerf_live *l, struct kerf_session_stats *st);

#endif
