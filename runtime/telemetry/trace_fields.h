/* SPDX-License-Identifier: MIT */
/*
 * The members of kerf_state.h's structs as a trace names them: one table that writer and reader
 * share, so that they cannot disagree. docs/trace.md is the same for people.
 */
#ifndef KERF_TELEMETRY_TRACE_FIELDS_H
#define KERF_TELEMETRY_TRACE_FIELDS_H

#include "telemetry/trace.h"

enum kerf_trace_type {
	KERF_FIELD_UNSIGNED, /* of size bytes, at most max */
	KERF_FIELD_SIGNED,   /* of size bytes, 4 or 8 */
	KERF_FIELD_REAL,     /* a double, seconds: finite, not below 0 */
	KERF_FIELD_TEXT,     /* size bytes with the NUL */
	KERF_FIELD_SOURCE,   /* a byte, enum kerf_source, by its name */
	KERF_FIELD_ADDRESS,  /* of a kerf_link_rec, and with it its family */
	KERF_FIELD_OBJECT,   /* a struct: sub */
	KERF_FIELD_ENGINES,  /* of a kerf_node_load, and with it n_engine: sub */
};

/* A table ends with name NULL. */
struct kerf_trace_field {
	const char *name;
	enum kerf_trace_type type;
	size_t offset, size;
	uint64_t max;
	const struct kerf_trace_field *sub;
};

extern const struct kerf_trace_field kerf_trace_link[], kerf_trace_node[], kerf_trace_transfer[],
	kerf_trace_plan[];

/* Of struct kerf_trace_rec, beside what is in u: "index" of a node, "node" of a transfer, ... */
extern const struct kerf_trace_field kerf_trace_node_head[], kerf_trace_transfer_head[];

/* Longer lines are refused; the longest that is written is under a third of it. */
#define KERF_TRACE_LINE (64u << 10)
#define KERF_TRACE_DEPTH 6
#define KERF_TRACE_VERSION 1

/* What holds between fields. 0, or -EINVAL with a sentence that starts with the field. */
int kerf_trace_check(const struct kerf_trace_rec *rec, struct kerf_err *err);

/* Adds the members of the struct at base that are not 0. -ENOMEM; -EINVAL: one is out of range. */
struct json_object;
int kerf_trace_members(struct json_object *o, const struct kerf_trace_field *f, const void *base);

#endif
