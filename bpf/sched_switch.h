/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Who runs on each CPU and who waits for it, from context switches alone: the kernel keeps each
 * task's waiting time (sched_info.run_delay), so no event at wakeups and no hash of waking tasks
 * is needed. sched.bpf.c and sched_raw.bpf.c define how a task is read (READ,
 * CGROUP_ID) and where this is hung.
 *
 * A wait is added to run_delay when it ends: by getting the CPU, after this event, or by being
 * moved to another CPU's queue. So what a task waited is run_delay as it leaves the CPU less what
 * it was as it left the last one, which `left` remembers by pid. That table forgets on collision;
 * then only the waits that ended by a move are lost.
 */
#ifndef KERF_SCHED_SWITCH_H
#define KERF_SCHED_SWITCH_H

#include "kerf_bpf.h"

/* 0: not told apart. */
__u32 own_tgid; /* set before attaching: by kerf_who where that can be run */
const volatile __u64 own_cgroup = 0; /* id in the v2 hierarchy; set before loading */

struct sched_info {
	unsigned long long run_delay;
} KERF_KERNEL_TYPE;

struct load_weight {
	unsigned long weight;
} KERF_KERNEL_TYPE;

struct task_group {
	unsigned long shares;
} KERF_KERNEL_TYPE;

struct cfs_rq {
	struct load_weight load;
	struct task_group *tg;
} KERF_KERNEL_TYPE;

/* The last three: kernels with group scheduling. */
struct sched_entity {
	struct load_weight load;
	struct sched_entity *parent;
	struct cfs_rq *cfs_rq;
	struct cfs_rq *my_q;
} KERF_KERNEL_TYPE;

struct kernfs_node {
	__u64 id;
} KERF_KERNEL_TYPE;

struct cgroup {
	struct kernfs_node *kn;
} KERF_KERNEL_TYPE;

struct css_set {
	struct cgroup *dfl_cgrp;
} KERF_KERNEL_TYPE;

struct task_struct {
	int prio;
	int pid;
	int tgid;
	struct sched_entity se;
	struct sched_info sched_info;
	struct css_set *cgroups;
} KERF_KERNEL_TYPE;

KERF_REGION_MAP(cpus, struct kerf_cpu_rec, KERF_STATE_CPUS);

/* What a CPU notes of the task that it runs. A cache line: no other CPU writes it. */
struct kerf_on_cpu {
	__u32 pid;
	__u32 pad;
	__u64 run_delay; /* when it last left a CPU, or came to this one if that is forgotten */
	__u64 reserved[6];
};

static struct kerf_on_cpu on_cpu[KERF_STATE_CPUS] __attribute__((aligned(64)));

#define LEFT_SLOTS 4096u
#define LEFT_TAG_BITS 11 /* 1 + what the slot does not tell of a pid, which is below 4194304 */

/* One word, so that two CPUs cannot mix theirs: run_delay << LEFT_TAG_BITS | tag. */
static __u64 left[LEFT_SLOTS] __attribute__((aligned(64)));

/* Neighbouring pids, often on different CPUs, come to different cache lines. */
static __always_inline __u64 *left_slot(__u32 pid)
{
	return &left[(pid * 61u) & (LEFT_SLOTS - 1)];
}

static __always_inline __u64 left_word(__u32 pid, __u64 run_delay)
{
	return run_delay << LEFT_TAG_BITS | ((pid >> 12) + 1);
}

static __always_inline __u32 class_of(struct task_struct *t, __u32 pid)
{
	if (!pid)
		return KERF_CPU_IDLE;
	if (READ(t, prio) < 100) /* MAX_RT_PRIO: real-time, deadline, and who inherits from them */
		return KERF_CPU_RT;
	if (own_tgid && (__u32)READ(t, tgid) == own_tgid)
		return KERF_CPU_OWN;
	if (own_cgroup && CGROUP_ID(t) == own_cgroup)
		return KERF_CPU_OWN;
	return KERF_CPU_FAIR;
}

/*
 * The scheduling group that kerf's threads are in (of a session, where the kernel makes one of
 * each, or of a cgroup) and its weight, as last seen. 0: they are in none, so each thread stands
 * for itself.
 */
static __u64 own_group;
static __u64 own_shares;

#define MAX_NESTED 4 /* groups; those further out count as one */

/* 1024: nice 0. The kernel scales weights by 1024 once more where a long has 64 bits. */
static __always_inline __u64 unscaled(__u64 weight, __u64 size)
{
	return size == 8 ? weight >> 10 : weight;
}

static __always_inline __u64 weight_alone(struct task_struct *t)
{
	return unscaled(READ(t, se.load.weight), bpf_core_field_size(t->se.load.weight));
}

static __always_inline void see_own(struct task_struct *t)
{
	struct task_group *group;
	struct cfs_rq *queue;

	if (!bpf_core_field_exists(t->se.parent))
		return;
	queue = READ(t, se.cfs_rq);
	group = READ(queue, tg);
	own_group = (__u64)group;
	own_shares = READ(t, se.parent)
			     ? unscaled(READ(group, shares), bpf_core_field_size(group->shares))
			     : 0;
}

/*
 * What a task takes from kerf's threads. One of the same group: its weight. One of another shares
 * that group's weight on this CPU with whoever else of it is runnable here: eight busy tasks
 * of one session are one task to another session.
 */
static __always_inline void weigh(struct task_struct *t, struct kerf_cpu_rec *rec)
{
	const __u64 size = bpf_core_field_size(t->se.load.weight);
	__u64 weight = weight_alone(t), all;
	struct sched_entity *group;
	struct cfs_rq *queue;
	int i;

	rec->running_outside = 0;
	if (!bpf_core_field_exists(t->se.parent) || !own_group)
		goto out;
	queue = READ(t, se.cfs_rq);
	if ((__u64)READ(queue, tg) == own_group)
		goto out;
	group = READ(t, se.parent);
	for (i = 0; i < MAX_NESTED && group; i++) {
		queue = READ(group, my_q);
		all = unscaled(READ(queue, load.weight), size);
		if (all)
			weight = weight * unscaled(READ(group, load.weight), size) / all;
		group = READ(group, parent);
	}
	if (own_shares) {
		weight = (weight << 10) / own_shares;
		rec->running_outside = 1;
	}
out:
	rec->running_weight = weight;
}

static __always_inline int on_switch(struct task_struct *prev, struct task_struct *next)
{
	__u64 now = bpf_ktime_get_ns(), ran, waited = 0, weighed, delay, word, *slot;
	__u32 cpu = bpf_get_smp_processor_id();
	__u32 prev_pid = READ(prev, pid), next_pid = READ(next, pid);
	struct kerf_cpu_rec *rec = bpf_map_lookup_elem(&cpus, &cpu);
	struct kerf_on_cpu *on;
	__u32 at;
	bool has_delay = bpf_core_field_exists(prev->sched_info.run_delay);

	if (!rec || cpu >= KERF_STATE_CPUS)
		return 0;
	at = cpu;
	barrier_var(at); /* the mask stays: Linux 5.10 has lost the bound above by now */
	on = &on_cpu[at & (KERF_STATE_CPUS - 1)];

	if (has_delay && prev_pid) {
		delay = READ(prev, sched_info.run_delay);
		if (on->pid == prev_pid && delay > on->run_delay)
			waited = delay - on->run_delay;
		*left_slot(prev_pid) = left_word(prev_pid, delay);
	}

	kerf_record_begin(rec);
	if (!rec->begin_ns) {
		rec->begin_ns = now;
		rec->has = KERF_CPU_HAS_BUSY | KERF_CPU_HAS_RT | KERF_CPU_HAS_COMPETING |
			   (has_delay ? KERF_CPU_HAS_RUN_DELAY : 0) |
			   (own_tgid || own_cgroup ? KERF_CPU_HAS_OWN : 0);
		rec->source = KERF_SOURCE_BTF;
		ran = 0;
	} else {
		/* This clock may go back by some ns when it is corrected. */
		ran = now > rec->switch_ns ? now - rec->switch_ns : 0;
	}
	switch (rec->running) {
	case KERF_CPU_FAIR:
		rec->fair_ns += ran;
		rec->run_delay_ns += waited;
		weighed = (ran + waited) * rec->running_weight >> 10;
		if (rec->running_outside)
			rec->outside_ns += weighed;
		else
			rec->competing_ns += weighed;
		break;
	case KERF_CPU_OWN:
		rec->own_ns += ran;
		rec->own_run_delay_ns += waited;
		break;
	case KERF_CPU_RT: rec->rt_ns += ran; break;
	}
	rec->running = class_of(next, next_pid);
	if (rec->running == KERF_CPU_FAIR)
		weigh(next, rec);
	else if (rec->running == KERF_CPU_OWN)
		see_own(next);
	rec->switch_ns = now;
	rec->updated_ns = now;
	rec->switches++;
	kerf_record_end(rec, sizeof(*rec));

	on->pid = next_pid;
	if (has_delay && next_pid) {
		delay = READ(next, sched_info.run_delay);
		slot = left_slot(next_pid);
		word = *slot;
		if ((word & ((1u << LEFT_TAG_BITS) - 1)) == left_word(next_pid, 0) &&
		    word >> LEFT_TAG_BITS < delay)
			delay = word >> LEFT_TAG_BITS;
		on->run_delay = delay;
	}
	return 0;
}

/*
 * Never attached: run once, by the process whose threads are kerf's, to learn its number as the
 * kernel counts. In a container its own getpid() is another process's.
 */
SEC("raw_tp")
int kerf_who(void *ctx)
{
	own_tgid = bpf_get_current_pid_tgid() >> 32;
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#endif
