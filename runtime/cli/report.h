/* SPDX-License-Identifier: MIT */
/* What kerf report makes of a trace, and draws. */
#ifndef KERF_CLI_REPORT_H
#define KERF_CLI_REPORT_H

#include "telemetry/trace.h"

#define KERF_REPORT_COLUMNS 900 /* of a panel, one a pixel */
#define KERF_REPORT_SERIES 64	/* nodes that are told apart; this one is the first */
#define KERF_REPORT_EVENTS 4096

/*
 * A figure over time, reduced to what a line of one column a pixel can show: the first, least,
 * largest and last value of each (Jugel et al., "M4: a visualization-oriented time series data
 * aggregation", VLDB 2014). A value holds until the next.
 */
struct kerf_report_column {
	float first, min, max, last;
	bool any;  /* a value came in this column */
	bool ends; /* after the last one it was not known any more */
};

enum kerf_report_figure {
	KERF_REPORT_UP,	      /* estimated rate from here, Mbit/s */
	KERF_REPORT_DOWN,     /* to here */
	KERF_REPORT_RTT,      /* ms */
	KERF_REPORT_BUSY,     /* % of its CPUs, whoever's */
	KERF_REPORT_SLOWDOWN, /* of a new CPU-bound thread */
	KERF_N_REPORT_FIGURE
};

struct kerf_report_series {
	char url[KERF_URL_BYTES]; /* empty: this node */
	struct kerf_report_column *figure[KERF_N_REPORT_FIGURE]; /* NULL: never known */
};

struct kerf_report_transfer {
	double t_s, actual_s, predicted_s, low_s, high_s, bytes; /* t_s: its end, of the trace */
	uint8_t series;
	bool down;
};

struct kerf_report_event {
	double t_s;
	bool mark; /* else a plan came into force */
	char label[64];
	char *text; /* all of it */
};

struct kerf_report {
	uint64_t begin_ns, end_ns;
	uint64_t records, plans, marks;
	uint32_t n_series, n_event, more_series, more_events;
	struct kerf_report_series series[KERF_REPORT_SERIES];
	struct kerf_report_event event[KERF_REPORT_EVENTS];
	struct kerf_report_column *observed_ms, *predicted_ms; /* of a request; NULL: never known */
	struct kerf_report_transfer *transfer;
	size_t n_transfer, max_transfer;
};

/* How well the transfers of one series in one direction were predicted. */
struct kerf_report_score {
	size_t transfers, predicted;
	double bytes, goodput_bytes_s;		  /* the median transfer's */
	double median_error, p90_error, coverage; /* |predicted - actual| / actual; in [low, high] */
};

/* Reads the file twice. *r is finished in any case. */
int kerf_report_read(const char *path, struct kerf_report *r, struct kerf_err *err);
void kerf_report_finish(struct kerf_report *r);

/* -ENOMEM. predicted 0: the errors and coverage are 0 and mean nothing. */
int kerf_report_score(const struct kerf_report *r, uint32_t series, bool down,
		      struct kerf_report_score *score);

/* "this node", or its URL without the scheme. */
const char *kerf_report_label(const struct kerf_report_series *s);

int kerf_report_svg(const struct kerf_report *r, const char *title, FILE *f);

#endif
