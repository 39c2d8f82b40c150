// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Engines behind kerf's module, from its trace events kerf:kerf_job_queued, _started and _done.
 * Their arguments are integers (kmod/kerf_trace.h), so no type information is needed.
 *
 * Each event says how many jobs wait for and run on the engine after it, and an engine's events
 * come one at a time, under the device's lock. So the counters are brought into agreement with
 * what was said, without atomic operations: nothing drifts because of jobs that were there before
 * the program, ran again after a reset, or ended without ever having started.
 */
#include "kerf_bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* The first half of the region; bpf/gpu.bpf.c has the other. */
#define SLOTS (KERF_STATE_ENGINES / 2)
#define ECANCELED 125

enum { DEVICE, ENGINE, CLIENT, QUEUE, SEQNO, WAIT_NS, BUSY_NS, BYTES, STATUS, COOKIE, WAITING,
       RUNNING };

KERF_REGION_MAP(engines, struct kerf_engine_rec, KERF_STATE_ENGINES);

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, SLOTS);
	__type(key, __u64); /* device << 32 | index */
	__type(value, __u32);
} engine_slots SEC(".maps");

__u32 engine_next;   /* slots given out */
__u64 engine_missed; /* events of engines that found none */

/* Two engines of two devices may be new at once; one engine may not. */
static __always_inline struct kerf_engine_rec *take_slot(__u64 key)
{
	__u32 slot = __sync_fetch_and_add(&engine_next, 1);
	struct kerf_engine_rec *rec;

	if (slot >= SLOTS) {
		__sync_fetch_and_sub(&engine_next, 1);
		return NULL;
	}
	if (bpf_map_update_elem(&engine_slots, &key, &slot, BPF_NOEXIST))
		return NULL;
	rec = bpf_map_lookup_elem(&engines, &slot);
	if (!rec)
		return NULL;
	rec->device = key >> 32;
	rec->index = key;
	rec->source = KERF_SOURCE_BPF;
	barrier();
	*(volatile __u32 *)&rec->kind = KERF_ENGINE_QUEUE;
	return rec;
}

static __always_inline struct kerf_engine_rec *find(const __u64 *arg)
{
	__u64 key = (__u64)(__u32)arg[DEVICE] << 32 | (__u32)arg[ENGINE];
	__u32 *slot = bpf_map_lookup_elem(&engine_slots, &key);
	struct kerf_engine_rec *rec;

	rec = slot ? bpf_map_lookup_elem(&engines, slot) : take_slot(key);
	if (!rec)
		__sync_fetch_and_add(&engine_missed, 1);
	return rec;
}

/*
 * Makes started - done what runs, and queued - started - dropped what waits. Counters go up
 * alone: jobs that are gone without an event have ended, those that came without one have begun.
 */
static __always_inline void agree(struct kerf_engine_rec *rec, const __u64 *arg)
{
	__u32 running = arg[RUNNING], waiting = arg[WAITING];
	__u64 now = bpf_ktime_get_ns(), queued;
	__s64 more = running - (__s64)(rec->started - rec->done);

	if (more > 0)
		rec->started += more;
	else
		rec->done -= more;
	queued = rec->started + rec->dropped + waiting;
	if (queued >= rec->queued)
		rec->queued = queued;
	else
		rec->dropped += rec->queued - queued;
	if (running && (__s64)rec->occupied_ns >= 0)
		rec->occupied_ns -= now;
	else if (!running && (__s64)rec->occupied_ns < 0)
		rec->occupied_ns += now;
	rec->updated_ns = now;
}

SEC("raw_tp/kerf_job_queued")
int kerf_engine_queued(struct bpf_raw_tracepoint_args *ctx)
{
	struct kerf_engine_rec *rec = find(ctx->args);

	if (rec)
		agree(rec, ctx->args);
	return 0;
}

SEC("raw_tp/kerf_job_started")
int kerf_engine_started(struct bpf_raw_tracepoint_args *ctx)
{
	struct kerf_engine_rec *rec = find(ctx->args);

	if (rec) {
		rec->started++;
		agree(rec, ctx->args);
	}
	return 0;
}

/* It ran if one less runs now; else it ended in the line. */
SEC("raw_tp/kerf_job_done")
int kerf_engine_done(struct bpf_raw_tracepoint_args *ctx)
{
	struct kerf_engine_rec *rec = find(ctx->args);
	__s32 status = ctx->args[STATUS];

	if (!rec)
		return 0;
	if (rec->started - rec->done > (__u32)ctx->args[RUNNING]) {
		rec->done++;
		rec->wait_ns += ctx->args[WAIT_NS];
		rec->busy_ns += ctx->args[BUSY_NS];
		rec->bytes += ctx->args[BYTES];
	} else {
		rec->dropped++;
	}
	if (status && status != -ECANCELED)
		rec->errors++;
	agree(rec, ctx->args);
	return 0;
}
