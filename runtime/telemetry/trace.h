/* SPDX-License-Identifier: MIT */
/*
 * Traces of the state over time: JSON Lines, one object a line, documented in docs/trace.md.
 * The first line is {"kerf_trace": 1, ...}; then, each with "t_ns" that never goes back:
 * links, loads, engines, transfers, plans, and events. Written by `kerf record`, read by tests,
 * `kerf report`, replay and the simulator.
 */
#ifndef KERF_TELEMETRY_TRACE_H
#define KERF_TELEMETRY_TRACE_H

#include "kerf_state.h"
#include "util/err.h"

#include <stdio.h>

enum kerf_trace_kind {
	KERF_TRACE_LINK,     /* rec.link, as it was */
	KERF_TRACE_NODE,     /* rec.node: url, estimates, load, of one node */
	KERF_TRACE_TRANSFER, /* rec.transfer to node.url, with what was predicted */
	KERF_TRACE_PLAN,     /* rec.plan */
	KERF_TRACE_MARK,     /* rec.mark: a word from outside ("rate 20mbit") */
};

struct kerf_trace_rec {
	enum kerf_trace_kind kind;
	uint64_t t_ns;
	uint32_t node; /* index, for NODE and TRANSFER */
	/*
	 * Of a TRANSFER: expected of end - start - hold, and 80 % of it; 0: nothing was expected.
	 */
	double predicted_s, low_s, high_s;
	union {
		struct kerf_link_rec link;
		struct kerf_node_state node;
		struct kerf_transfer transfer;
		struct kerf_plan_note plan;
		char mark[128];
	} u;
};

/*
 * Writes to path, over what was there. Buffered: a full disk shows at some put, or at finish.
 * Text that is not UTF-8 is written with '?' in place of such bytes.
 */
struct kerf_trace_writer;
int kerf_trace_create(const char *path, struct kerf_trace_writer **w, struct kerf_err *err);

/*
 * -EINVAL: time goes back, or a value that no reader would take; nothing was written, and the
 * trace can go on. -ENOSPC, ...: the trace is lost from here on, as later calls say too.
 */
int kerf_trace_put(struct kerf_trace_writer *w, const struct kerf_trace_rec *rec);
/* Flushes; frees always. */
int kerf_trace_finish(struct kerf_trace_writer *w, struct kerf_err *err);

struct kerf_trace_reader;
int kerf_trace_open(const char *path, struct kerf_trace_reader **r, struct kerf_err *err);
/* Takes f, closed at the end or on failure; name is for sentences. */
int kerf_trace_read(FILE *f, const char *name, struct kerf_trace_reader **r, struct kerf_err *err);
/* 1: *rec is filled; 0: the end; -EINVAL names line, field, expected and found; -EIO. */
int kerf_trace_next(struct kerf_trace_reader *r, struct kerf_trace_rec *rec, struct kerf_err *err);
void kerf_trace_close(struct kerf_trace_reader *r); /* NULL allowed */

#endif
