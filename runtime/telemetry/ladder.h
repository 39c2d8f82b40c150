/* SPDX-License-Identifier: MIT */
/* Which source each region has, and why not a better one. No I/O. */
#ifndef KERF_TELEMETRY_LADDER_H
#define KERF_TELEMETRY_LADDER_H

#include "telemetry/source.h"

/* Whether a source may be used when nothing better than best may; NONE: any. */
static inline bool kerf_source_allowed(enum kerf_source source, enum kerf_source best)
{
	return best == KERF_SOURCE_NONE || source <= best;
}

/* Fills head->region[]. bpf NULL: no program was tried. */
void kerf_ladder_regions(const struct kerf_bpf *bpf, enum kerf_source best,
			 struct kerf_state_head *head);

#endif
