/* SPDX-License-Identifier: MIT */
/*
 * Inside of the predictor: what an estimator is given, and what it answers.
 *
 * Seconds and bytes are doubles here. Everything is checked at the door (predict.c), so
 * estimators see finite numbers above 0 only.
 */
#ifndef KERF_TELEMETRY_PREDICT_PRIV_H
#define KERF_TELEMETRY_PREDICT_PRIV_H

#include "telemetry/predict.h"

#include <stdbool.h>
#include <stdint.h>

#define MIN_S 1e-6   /* nothing takes less */
#define MAX_S 3600.0 /* nor more: such transfers are not believed */

/* The sending end of a connection at a moment. What is not known is 0. */
struct link_view {
	uint64_t cookie, at_ns;
	double srtt_s, min_rtt_s, rto_s;
	double cwnd_bytes, mss_bytes;
	double rate;	 /* bytes/s of the last delivery sample, whatever limited it */
	double max_rate; /* the highest of the last ten round trips, app-limited ones apart */
	bool avoids;	 /* in congestion avoidance: the window no longer doubles */
	uint8_t source;
};

#define VIEWS 64
#define VIEW_CONNECTIONS 8
#define VIEW_RATES 16

struct view_connection {
	uint64_t cookie, used; /* used: in the order of use; the least goes first */
	uint64_t ended_ns;     /* its last transfer */
	uint64_t rate_ns[VIEW_RATES];
	double rate[VIEW_RATES];
	uint32_t at;
};

/* What the link looked like lately. Transfers are learned when they end: it tells how it was
 * before. */
struct views {
	struct link_view view[VIEWS]; /* in the order they came */
	uint32_t n;
	struct view_connection connection[VIEW_CONNECTIONS];
	uint64_t uses;
};

void kerf_views_put(struct views *v, const struct kerf_link_rec *link);
void kerf_views_ended(struct views *v, uint64_t cookie, uint64_t end_ns);

/* What is known when a transfer begins. */
struct look {
	struct link_view link; /* all 0: nothing */
	double window_bytes;   /* that may leave in the first round; 0: not known */
};

struct sample {
	double bytes, seconds;
	struct look look;
};

/* t = latency_s + bytes * byte_s + the waits of slow start if window_bytes is not 0 */
struct curve {
	double latency_s, byte_s;
	double window_bytes, round_s;
	const char *name;
	bool doubt; /* whether the link has changed: taken as if */
};

double kerf_curve_s(const struct curve *c, double bytes);

/* As it was at at_ns; cookie 0: the connection last seen then. */
void kerf_views_look(const struct views *v, uint64_t cookie, uint64_t at_ns, struct look *look);

/* --- Estimators of rates --- */

struct rate_state {
	double rate;		 /* bytes/s; 0: nothing learned */
	double gain, var, error; /* kalman */
};

/* --- Regressions --- */

/* Recursive least squares of seconds = theta[0] + theta[1] * megabytes. */
struct rls_state {
	double theta[2], p[2][2];
	double error; /* smoothed |log error| */
	uint32_t n, bad;
	double least, most; /* bytes of a transfer since it began */
};

#define LINE_SAMPLES 64
#define LINE_TERMS 3

enum line_kind {
	LINE_PLAIN,	 /* latency + bytes / rate */
	LINE_WINDOW,	 /* the rate depends on the congestion window it begins with */
	LINE_SLOW_START, /* and waits of slow start */
};

struct line_point {
	double bytes, seconds;
	double window_bytes, rtt_s;
	double error; /* log(seconds / what was expected) */
};

/* theta: seconds, seconds a byte, and for each second that a window's worth of bytes takes. */
struct line_state {
	struct line_point point[LINE_SAMPLES]; /* a ring: the last n end before at */
	uint32_t at, n;
	bool known, doubt; /* doubt: the last point was so far off that the link may have changed */
	double theta[LINE_TERMS], prior_latency_s;
};

/* --- The interval --- */

#define INTERVAL_SAMPLES 64

struct interval_point {
	double expected, error; /* seconds; error: taken - expected */
	double weight;
};

struct interval {
	struct interval_point point[INTERVAL_SAMPLES];
	uint32_t at, n;
	uint32_t since;		    /* transfers since it began, or the link changed */
	double miss_low, miss_high; /* the tails that are aimed at, so that 10 % are beyond each */
	double per_s, fixed_s;	    /* an error's typical size: fixed_s + per_s * expected */
	double low, high;	    /* quantiles of errors in that unit */
};

struct spread {
	double low_ratio, high_ratio, low_s, high_s; /* t * ratio - low_s, t * ratio + high_s */
};

void kerf_interval_init(struct interval *v);
void kerf_interval_learn(struct interval *v, double expected, double low, double high,
			 double taken);
void kerf_interval_forget(struct interval *v); /* the error before the last one */
void kerf_interval_get(const struct interval *v, bool doubt, struct spread *s);

double kerf_running_s(const struct curve *c, const struct spread *spread, double rtt_s,
		      double bytes, double acked, double elapsed, double *low, double *high);

/* --- The table --- */

struct estimator {
	const char *name, *what;
	size_t size; /* of its state */
	void (*init)(void *state);
	/* true: the link has changed, and the transfer before this one was the first to show it */
	bool (*learn)(void *state, const struct sample *x);
	/* false: it does not know */
	bool (*curve)(const void *state, const struct look *look, struct curve *c);
};

#define LEADER_MEMBERS 4
#define LEADER_RECENT 10

union member_state {
	struct rate_state rate;
	struct line_state line;
};

struct leader_state {
	union member_state member[LEADER_MEMBERS];
	double loss[LEADER_MEMBERS], weight[LEADER_MEMBERS];
	double recent[LEADER_RECENT]; /* log errors of the first member */
	uint32_t n_recent;
};

extern const struct estimator kerf_predict_leader, kerf_predict_rtt_cwnd, kerf_predict_last_rate,
	kerf_predict_max_rate, kerf_predict_ewma, kerf_predict_kalman, kerf_predict_rls,
	kerf_predict_rls_reset, kerf_predict_line, kerf_predict_window, kerf_predict_slow_start;

#endif
