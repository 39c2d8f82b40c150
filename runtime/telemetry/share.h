/* SPDX-License-Identifier: MIT */
/*
 * The regions that readers get: those that programs write as they are, the others in memory of
 * ours that is kept up to date here. Used under its owner's lock.
 */
#ifndef KERF_TELEMETRY_SHARE_H
#define KERF_TELEMETRY_SHARE_H

#include "telemetry/source.h"

struct kerf_share;

/*
 * bpf NULL: no program writes anything. What a program is there for but does not write yet, as head
 * says, is in memory of ours from then on. head's beat is kept in the copy that is shared.
 */
int kerf_share_open(const char *path, const struct kerf_bpf *bpf,
		    const struct kerf_state_head *head, struct kerf_share **s,
		    struct kerf_err *err);
void kerf_share_close(struct kerf_share *s); /* NULL allowed */

/* A region has got a better source. */
void kerf_share_regions(struct kerf_share *s, const struct kerf_state_head *head);
void kerf_share_beat(struct kerf_share *s, uint64_t now_ns);
void kerf_share_state(struct kerf_share *s, const struct kerf_state *state);

/* Of regions that readers have of a program, or a NULL record, nothing is copied. */
void kerf_share_links(struct kerf_share *s, const struct kerf_link_rec *link);
void kerf_share_cpus(struct kerf_share *s, const struct kerf_cpu_rec *cpu);
void kerf_share_zones(struct kerf_share *s, const struct kerf_zone_rec *zone);
void kerf_share_engines(struct kerf_share *s, const struct kerf_engine_rec *rec, uint32_t n);

/* [KERF_STATE_TRANSFERS], written by whoever sees them. */
struct kerf_transfer_rec *kerf_share_transfers(struct kerf_share *s);

/* Bytes of a record, and how many a region has. */
extern const uint32_t kerf_region_size[KERF_N_REGION][2];

#endif
