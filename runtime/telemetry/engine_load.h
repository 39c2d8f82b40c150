/* SPDX-License-Identifier: MIT */
/* Engines' counters to loads over a window: depth, running, busy, wait. No I/O. */
#ifndef KERF_TELEMETRY_ENGINE_LOAD_H
#define KERF_TELEMETRY_ENGINE_LOAD_H

#include "kerf_state.h"

#include <stdbool.h>
#include <stdint.h>

struct kerf_engine_window {
	uint64_t at_ns;
	struct kerf_engine_rec last[KERF_STATE_ENGINES]; /* at at_ns */
};

/*
 * Ends the window: rec[n] as they are now; fills load->engine[] with what changed since the
 * last call, the busiest KERF_NODE_LOAD_ENGINES of them. Records are matched by (kind, device,
 * index, name). Counters that went back count as a new engine.
 */
void kerf_engine_window_end(struct kerf_engine_window *w, const struct kerf_engine_rec *rec,
			    uint32_t n, uint64_t now_ns, struct kerf_node_load *load);

#endif
