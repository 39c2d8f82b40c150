/* SPDX-License-Identifier: MIT */
/*
 * The load of this node: counters in, figures of the last window out.
 *
 * CPU counters are struct kerf_cpu_rec, whoever wrote them: a BPF program, or load_proc.c out of
 * /proc/stat and /proc/schedstat. Memory, pressure, frequency, temperature and power are read
 * from files, the roots being settable. Used by one thread.
 */
#ifndef KERF_TELEMETRY_LOAD_H
#define KERF_TELEMETRY_LOAD_H

#include "kerf_state.h"
#include "util/err.h"

struct kerf_load;

struct kerf_load_config {
	const char *proc, *sys;		/* NULL: /proc, /sys */
	const struct kerf_cpu_rec *cpu; /* written by a program, KERF_STATE_CPUS; NULL: read /proc */
	const struct kerf_zone_rec *zone; /* the same, KERF_STATE_ZONES; NULL: read /sys */
};

int kerf_load_open(const struct kerf_load_config *cfg, struct kerf_load **l, struct kerf_err *err);
void kerf_load_close(struct kerf_load *l); /* NULL allowed */

/* Ends a window at now_ns and fills everything of load but its engines. */
void kerf_load_sample(struct kerf_load *l, uint64_t now_ns, struct kerf_node_load *load);

/* What it made of /proc and /sys, for publishing where no program writes. NULL: a program does. */
const struct kerf_cpu_rec *kerf_load_cpus(const struct kerf_load *l);
const struct kerf_zone_rec *kerf_load_zones(const struct kerf_load *l);

/*
 * How much longer n_thread CPU-bound threads would run on that node than on an idle one; >= 1.
 * From load alone, so that it serves for a peer's load too.
 */
double kerf_load_slowdown(const struct kerf_node_load *load, uint32_t n_thread);

#endif
