// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Engines of any other DRM driver that uses the kernel's GPU scheduler: its events when a job is
 * queued and when it is run, under the names of either age, and the end of the job's "finished"
 * fence. That fence is signalled once, with interrupts off, for jobs that ended and for those
 * that were dropped because their client died, and knows the error; the scheduler's own event of
 * a job's end comes for the first kind alone.
 *
 * A job is counted from when it is first seen until its fence is signalled, and in between stands
 * in gpu_jobs: what was there before the program, or found no room, counts nowhere, so nothing
 * drifts. Schedulers run side by side, so counters are added to.
 */
#include "kerf_bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* The second half of the region; bpf/engine.bpf.c has the first. */
#define SLOTS (KERF_STATE_ENGINES / 2)
#define FIRST (KERF_STATE_ENGINES - SLOTS)
#define NO_SLOT (~0u)
#define JOBS 2048
#define ECANCELED 125

struct dma_fence {
	int error;
} KERF_KERNEL_TYPE;

struct drm_sched_fence {
	struct dma_fence finished;
	struct dma_fence *parent; /* the driver's */
} KERF_KERNEL_TYPE;

struct drm_gpu_scheduler {
	const char *name;
} KERF_KERNEL_TYPE;

struct drm_sched_job {
	struct drm_gpu_scheduler *sched;
	struct drm_sched_fence *s_fence;
} KERF_KERNEL_TYPE;

KERF_REGION_MAP(engines, struct kerf_engine_rec, KERF_STATE_ENGINES);

/* A driver that is loaded again may get the same memory for another scheduler: hence the name's. */
struct scheduler_key {
	__u64 scheduler, name;
};

struct scheduler {
	__u32 slot;
	__u32 reserved;
	__u64 running;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, SLOTS);
	__type(key, struct scheduler_key);
	__type(value, struct scheduler);
} gpu_schedulers SEC(".maps");

struct gpu_job {
	struct scheduler_key scheduler;
	__u64 queued_ns, started_ns; /* started_ns 0: waits */
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, JOBS);
	__type(key, __u64); /* of its fence */
	__type(value, struct gpu_job);
} gpu_jobs SEC(".maps");

__u32 gpu_next;	  /* slots given out */
__u64 gpu_missed; /* jobs that found no room, or whose scheduler found none */

static __always_inline struct kerf_engine_rec *record(const struct scheduler *s)
{
	__u32 slot = s->slot;

	return slot == NO_SLOT ? NULL : bpf_map_lookup_elem(&engines, &slot);
}

/* Who puts the key in gives it a slot; to others it has none until then. */
static __always_inline struct scheduler *take_slot(const struct scheduler_key *key)
{
	struct scheduler none = {.slot = NO_SLOT}, *s;
	struct kerf_engine_rec *rec;
	__u32 slot;

	if (bpf_map_update_elem(&gpu_schedulers, key, &none, BPF_NOEXIST))
		return NULL;
	s = bpf_map_lookup_elem(&gpu_schedulers, key);
	if (!s)
		return NULL;
	slot = FIRST + __sync_fetch_and_add(&gpu_next, 1);
	rec = bpf_map_lookup_elem(&engines, &slot);
	if (!rec)
		return NULL;
	rec->index = slot - FIRST;
	rec->source = KERF_SOURCE_BTF;
	bpf_probe_read_kernel_str(rec->name, sizeof(rec->name), (const void *)key->name);
	barrier();
	*(volatile __u32 *)&rec->kind = KERF_ENGINE_DRM;
	s->slot = slot;
	return s;
}

static __always_inline struct kerf_engine_rec *find(const struct scheduler_key *key,
						    struct scheduler **s)
{
	*s = bpf_map_lookup_elem(&gpu_schedulers, key);
	if (!*s)
		*s = take_slot(key);
	return *s ? record(*s) : NULL;
}

static __always_inline void add(__u64 *counter, __u64 n)
{
	__sync_fetch_and_add(counter, n);
}

/* The end of a job that this scheduler has, which is no more in gpu_jobs. */
static __always_inline void end(const struct gpu_job *job, __u64 now, int error)
{
	struct scheduler *s;
	struct kerf_engine_rec *rec = find(&job->scheduler, &s);

	if (!rec)
		return;
	if (job->started_ns) {
		add(&rec->wait_ns, job->started_ns - job->queued_ns);
		add(&rec->busy_ns, now - job->started_ns);
		add(&rec->done, 1);
		if (__sync_fetch_and_sub(&s->running, 1) == 1)
			add(&rec->occupied_ns, now);
		if (error && error != -ECANCELED)
			add(&rec->errors, 1);
	} else {
		/* Its client died, or the scheduler goes: no fault of the engine's */
		add(&rec->dropped, 1);
	}
	rec->updated_ns = now;
}

/* Puts the job into gpu_jobs. False: it is not to be counted. */
static __always_inline bool take_job(__u64 fence, const struct gpu_job *job, __u64 now)
{
	struct gpu_job *before = bpf_map_lookup_elem(&gpu_jobs, &fence);

	/* A fence whose memory was used again without having been signalled */
	if (before) {
		struct gpu_job lost = *before;

		if (!bpf_map_delete_elem(&gpu_jobs, &fence))
			end(&lost, now, 0);
	}
	if (!bpf_map_update_elem(&gpu_jobs, &fence, job, BPF_NOEXIST))
		return true;
	add(&gpu_missed, 1);
	return false;
}

/* A job's scheduler, and the address of the fence that will be signalled */
static __always_inline __u64 look(const __u64 *arg, struct scheduler_key *key)
{
	const struct drm_sched_job *job = (const void *)arg[0];
	struct drm_gpu_scheduler *scheduler = BPF_CORE_READ(job, sched);

	key->scheduler = (__u64)scheduler;
	key->name = (__u64)BPF_CORE_READ(scheduler, name);
	return (__u64)BPF_CORE_READ(job, s_fence) +
	       bpf_core_field_offset(struct drm_sched_fence, finished);
}

static __always_inline int on_queue(const __u64 *arg)
{
	struct gpu_job job = {.started_ns = 0};
	struct kerf_engine_rec *rec;
	struct scheduler *s;
	__u64 fence = look(arg, &job.scheduler);

	job.queued_ns = bpf_ktime_get_ns();
	rec = find(&job.scheduler, &s);
	if (!rec) {
		add(&gpu_missed, 1);
		return 0;
	}
	if (!take_job(fence, &job, job.queued_ns))
		return 0;
	add(&rec->queued, 1);
	rec->updated_ns = job.queued_ns;
	return 0;
}

static __always_inline int on_run(const __u64 *arg)
{
	struct gpu_job seen = {.started_ns = 0}, *job;
	struct kerf_engine_rec *rec;
	struct scheduler *s;
	__u64 fence = look(arg, &seen.scheduler), now = bpf_ktime_get_ns();

	job = bpf_map_lookup_elem(&gpu_jobs, &fence);
	/* Queued before the program was there, or run again */
	if (!job || job->started_ns)
		return 0;
	rec = find(&seen.scheduler, &s);
	if (!rec)
		return 0;
	job->started_ns = now;
	add(&rec->started, 1);
	if (!__sync_fetch_and_add(&s->running, 1))
		add(&rec->occupied_ns, -now);
	rec->updated_ns = now;
	return 0;
}

SEC("raw_tp/drm_sched_job")
int kerf_gpu_queue_old(struct bpf_raw_tracepoint_args *ctx)
{
	return on_queue(ctx->args);
}

SEC("raw_tp/drm_run_job")
int kerf_gpu_run_old(struct bpf_raw_tracepoint_args *ctx)
{
	return on_run(ctx->args);
}

SEC("raw_tp/drm_sched_job_queue")
int kerf_gpu_queue(struct bpf_raw_tracepoint_args *ctx)
{
	return on_queue(ctx->args);
}

SEC("raw_tp/drm_sched_job_run")
int kerf_gpu_run(struct bpf_raw_tracepoint_args *ctx)
{
	return on_run(ctx->args);
}

/* Linux 6.1 leaves the error where the driver put it. */
static __always_inline int error_of(__u64 fence)
{
	const struct drm_sched_fence *s =
		(void *)(fence - bpf_core_field_offset(struct drm_sched_fence, finished));
	struct dma_fence *parent;
	int error = BPF_CORE_READ(s, finished.error);

	if (error)
		return error;
	parent = BPF_CORE_READ(s, parent);
	return parent ? BPF_CORE_READ(parent, error) : 0;
}

SEC("raw_tp/dma_fence_signaled")
int kerf_gpu_end(struct bpf_raw_tracepoint_args *ctx)
{
	__u64 fence = ctx->args[0];
	struct gpu_job *seen = bpf_map_lookup_elem(&gpu_jobs, &fence), job;

	if (!seen)
		return 0;
	job = *seen;
	if (!bpf_map_delete_elem(&gpu_jobs, &fence))
		end(&job, bpf_ktime_get_ns(), error_of(fence));
	return 0;
}
