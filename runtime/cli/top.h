/* SPDX-License-Identifier: MIT */
/* What kerf top knows, the text it makes of that, and where the text goes. */
#ifndef KERF_CLI_TOP_H
#define KERF_CLI_TOP_H

#include "telemetry/publish.h"

#include <stdio.h>

/*
 * A copy of what a node publishes. Whoever publishes may be anybody: text is terminated, counts
 * are within their arrays. About 200 KB.
 */
struct kerf_top_sample {
	uint64_t now_ns;
	bool alive;
	bool whole; /* state was not being written all the time; if it was, it is no state */
	struct kerf_state_head head;
	struct kerf_state state;
	uint32_t n_link, n_cpu, n_zone, n_engine;
	struct kerf_link_rec link[KERF_STATE_LINKS]; /* those that live */
	struct kerf_cpu_rec cpu[KERF_STATE_CPUS];    /* by number; updated_ns 0: none */
	struct kerf_zone_rec zone[KERF_STATE_ZONES]; /* those that are */
	struct kerf_engine_rec engine[KERF_STATE_ENGINES];
};

void kerf_top_take(const struct kerf_state_reader *r, uint64_t now_ns, struct kerf_top_sample *s);

enum kerf_top_view {
	KERF_TOP_ALL,
	KERF_TOP_LINKS,
	KERF_TOP_CPUS,
	KERF_TOP_ENGINES,
	KERF_TOP_PLAN,
	KERF_TOP_SOURCES,
	KERF_N_TOP_VIEW
};

const char *kerf_top_view_name(enum kerf_top_view v);

/* Lines of ASCII. One that is a heading begins with KERF_TOP_HEADING, which is not shown. */
#define KERF_TOP_HEADING '#'

/* What happened between before and now goes to f, as text without control characters. */
void kerf_top_print(const struct kerf_top_sample *before, const struct kerf_top_sample *now,
		    enum kerf_top_view view, FILE *f);

/* One JSON object in one line. -ENOMEM. */
int kerf_top_print_json(const struct kerf_top_sample *before, const struct kerf_top_sample *now,
			FILE *f);

/* Of one CPU between two samples: shares of the time; false: not known. */
struct kerf_top_cpu {
	double fair, rt, own, wait;
};
bool kerf_top_cpu(const struct kerf_top_sample *before, const struct kerf_top_sample *now,
		  uint32_t i, struct kerf_top_cpu *out);

/*
 * A whole screen (ncurses), until the user leaves. take refreshes the two samples. 1: this
 * terminal can do no more than text.
 */
int kerf_top_screen(void (*take)(void *user, const struct kerf_top_sample **before,
				 const struct kerf_top_sample **now),
		    void *user, int interval_ms);

#endif
