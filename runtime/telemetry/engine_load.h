/* SPDX-License-Identifier: MIT */
/*
 * Engines' counters to loads over a window: depth, running, busy, wait. No I/O, no clock.
 *
 * Counters come from whoever counts: the runtime (exec/meter.h) or BPF programs; nothing about
 * them is believed that cannot be: they may be torn, go back, or be far apart.
 */
#ifndef KERF_TELEMETRY_ENGINE_LOAD_H
#define KERF_TELEMETRY_ENGINE_LOAD_H

#include "kerf_state.h"

#include <stdbool.h>
#include <stdint.h>

#define KERF_ENGINE_WINDOW (2 * KERF_STATE_ENGINES)

/* Starts as zeros. */
struct kerf_engine_window {
	uint64_t at_ns; /* its begin; 0: never ended one */
	uint32_t n;
	struct kerf_engine_seen {
		struct kerf_engine_rec rec;
		uint64_t occupied_ns; /* accounted for so far */
		uint32_t wait_us;     /* of the last window in which jobs ended */
	} seen[KERF_ENGINE_WINDOW];
};

/*
 * Ends the window: rec[n] as they are now, of which at most KERF_ENGINE_WINDOW engines count;
 * fills load->engine[] and n_engine with what changed since the last call, in the order of rec,
 * and where they are more, the busiest KERF_NODE_LOAD_ENGINES of them.
 *
 * Records of one kernel queue are one engine, whoever counts: the better source's counters, and
 * the name of the one that has one. Engines are known again by kind, device, index and name.
 * New ones, and those whose counters went back, count from zero; in the first window of all,
 * nothing is known of the time before, so nothing is busy.
 */
void kerf_engine_window_end(struct kerf_engine_window *w, const struct kerf_engine_rec *rec,
			    uint32_t n, uint64_t now_ns, struct kerf_node_load *load);

#endif
