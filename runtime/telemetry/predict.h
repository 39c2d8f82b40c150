/* SPDX-License-Identifier: MIT */
/*
 * How long a transfer will take. One predictor for each direction of each link; no I/O, no clock,
 * no threads: the same code runs on live links and on recorded traces.
 *
 * All estimators stand in one table behind one interface, so that each can be run alone beside
 * the others on the same trace (tests/bench) and the leader can be made of some of them: it
 * follows whichever had the least discounted log error (follow the leader).
 */
#ifndef KERF_TELEMETRY_PREDICT_H
#define KERF_TELEMETRY_PREDICT_H

#include "kerf_state.h"
#include "util/err.h"

struct kerf_predictor;

/* "leader" (what the runtime uses), "rtt_cwnd", "last_rate", "max_rate", "ewma", "rls", ... */
const char *kerf_estimator_name(uint32_t i); /* NULL past the last */
const char *kerf_estimator_what(uint32_t i); /* one line, with the paper it comes from */

/* -ENOENT: no estimator of that name (NULL: "leader"). */
int kerf_predictor_open(const char *estimator, struct kerf_predictor **p, struct kerf_err *err);
void kerf_predictor_close(struct kerf_predictor *p); /* NULL allowed */

/* A look at the connection the data goes over (the sending end's), at any time. */
void kerf_predictor_link(struct kerf_predictor *p, const struct kerf_link_rec *link);

/*
 * A transfer has ended; in the order of their ends. Absurd ones (no time, no bytes, over an hour)
 * are not believed. Some 40 us; none of these allocates.
 */
void kerf_predictor_learn(struct kerf_predictor *p, const struct kerf_transfer *t);

/*
 * What is expected of a transfer that begins at now_ns. rate_bytes_s 0: it does not know: no
 * transfer was learned, or none in the ten minutes before. now_ns may be past: links are taken as
 * they were then, so that estimating at a transfer's start just before learning it gives what was
 * expected of it.
 */
void kerf_predictor_estimate(const struct kerf_predictor *p, uint64_t now_ns,
			     struct kerf_link_estimate *est);

/*
 * Seconds for bytes under an estimate, waits of slow start and all; INFINITY if it does not know
 * (*low 0, *high INFINITY). *low, *high: 80 %.
 */
double kerf_estimate_s(const struct kerf_link_estimate *est, double bytes, double *low,
		       double *high);

/*
 * A transfer that runs: of bytes, acked were acknowledged by now. Expected seconds from its
 * start to its end. Works from the first acknowledgement on, also when the rate has just changed.
 */
double kerf_predictor_running(const struct kerf_predictor *p, uint64_t bytes, uint64_t start_ns,
			      uint64_t acked, uint64_t now_ns, double *low, double *high);

#endif
