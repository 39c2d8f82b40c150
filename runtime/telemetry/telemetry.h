/* SPDX-License-Identifier: MIT */
/*
 * Telemetry: links and load, measured as well as this machine and our rights allow.
 *
 * Opening tries the sources from the best down (bpf/kerf_state.h, enum kerf_source), each by
 * loading and attaching, and keeps for each region the first that works and, in words, why
 * none better did. Nothing that is missing is an error: with no rights at all there are the
 * runtime's own timings and /proc. One thread samples every period and makes struct kerf_state.
 *
 * Open before other threads are made if privileges are to be dropped: they are a thread's own.
 */
#ifndef KERF_TELEMETRY_TELEMETRY_H
#define KERF_TELEMETRY_TELEMETRY_H

#include "kerf_state.h"
#include "util/err.h"
#include "util/observer.h"

struct kerf_bpf;
struct kerf_telemetry;

struct kerf_telemetry_config {
	enum kerf_source best;	/* nothing better is tried; NONE: anything */
	uint32_t period_ms;	/* 0: 50 */
	bool drop_privileges;	/* those of telemetry/privileges.h, once everything is attached */
	const char *btf;	/* a BTF file in place of the kernel's; NULL: the kernel's */
	const char *proc, *sys; /* roots, for tests; NULL: /proc, /sys */
	/* A peer's report was refused, the first of that peer: a line for people. Any thread. */
	void (*warn)(void *user, const char *line);
	void *warn_user;
};

/* The engines of this process; fills out[], returns how many (at most max). Any thread. */
typedef uint32_t (*kerf_engines_fn)(void *user, struct kerf_engine_rec *out, uint32_t max);

int kerf_telemetry_open(const struct kerf_telemetry_config *cfg, struct kerf_telemetry **t,
			struct kerf_err *err);
void kerf_telemetry_close(struct kerf_telemetry *t); /* NULL allowed */

/*
 * Serves readers on a Unix socket at path (telemetry/publish.h) from now until it is closed; once.
 * Without it nothing is shared with other processes.
 */
int kerf_telemetry_publish(struct kerf_telemetry *t, const char *path, struct kerf_err *err);

/* Which source each region has by now, and why not a better one. Any thread. */
void kerf_telemetry_head(struct kerf_telemetry *t, struct kerf_state_head *head);

/* The programs that were tried (telemetry/source.h); NULL: none was. */
const struct kerf_bpf *kerf_telemetry_bpf(const struct kerf_telemetry *t);

/* To hand to engines' configurations; lives as long as t. */
const struct kerf_observer *kerf_telemetry_observer(struct kerf_telemetry *t);

/* fn NULL: none. When this returns, what was given before is not called any more. */
void kerf_telemetry_engines(struct kerf_telemetry *t, kerf_engines_fn fn, void *user);

/* The plan that is in force from now on: shown to readers, recorded. */
void kerf_telemetry_plan(struct kerf_telemetry *t, const struct kerf_plan_note *note);

/* A consistent snapshot. About 120 KB. Any thread. */
void kerf_telemetry_state(struct kerf_telemetry *t, struct kerf_state *state);

/* This node's load as now, for replies to peers: a short text, no newline. Any thread. */
size_t kerf_telemetry_load_text(struct kerf_telemetry *t, char *text, size_t size);

/*
 * Bytes to or from the node at url; est->rate_bytes_s 0: not known. If a transfer that runs there
 * shows clearly another rate than was known when it began, that one, at once. Any thread.
 */
void kerf_telemetry_estimate(struct kerf_telemetry *t, const char *url, bool down,
			     struct kerf_link_estimate *est);

/* As kerf_peers_rates() (telemetry/peers.h). Any thread. */
uint32_t kerf_telemetry_rates(struct kerf_telemetry *t, const char *url, double *rate, uint32_t max,
			      uint64_t *all);

#endif
