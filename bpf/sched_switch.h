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

#define KNOWN 4u

/* What is found by walking the kernel's structures holds for this long. */
#define BELIEVED_NS 1000000u

/* What a CPU notes of the task that it runs. A cache line: no other CPU writes it. */
struct kerf_on_cpu {
	__u32 pid;
	__u32 outside;	 /* of the group below: it is not kerf's */
	__u64 run_delay; /* when it last left a CPU, or came to this one if that is forgotten */
	/* A group's queue here, what a weight in it counts for, 65536 being all of it, and when. */
	__u64 queue;
	__u64 share;
	__u64 shared_ns;
	/* Which of the last tasks are kerf's, pid << 1 | is, and since when that is believed. */
	__u64 known_ns;
	__u32 known[KNOWN];
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

static __always_inline bool is_own(struct task_struct *t, __u32 pid, struct kerf_on_cpu *on,
				   __u64 now)
{
	__u32 *known = &on->known[pid & (KNOWN - 1)];
	bool own;
	int i;

	if (now - on->known_ns > BELIEVED_NS) {
		for (i = 0; i < (int)KNOWN; i++)
			on->known[i] = 0;
		on->known_ns = now;
	}
	if (*known >> 1 == pid)
		return *known & 1;
	own = (own_tgid && (__u32)READ(t, tgid) == own_tgid) ||
	      (own_cgroup && CGROUP_ID(t) == own_cgroup);
	*known = pid << 1 | own;
	return own;
}

static __always_inline __u32 class_of(struct task_struct *t, __u32 pid, struct kerf_on_cpu *on,
				      __u64 now)
{
	if (!pid)
		return KERF_CPU_IDLE;
	if (READ(t, prio) < 100) /* MAX_RT_PRIO: real-time, deadline, and who inherits from them */
		return KERF_CPU_RT;
	return is_own(t, pid, on, now) ? KERF_CPU_OWN : KERF_CPU_FAIR;
}

/*
 * The scheduling group that kerf's threads are in (of a session, where the kernel makes one of
 * each, or of a cgroup) and its weight, as last seen. 0: they are in none, so each thread stands
 * for itself.
 */
static __u64 own_group;
static __u64 own_shares;

#define SHARE_ALL 65536u
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

static __always_inline void see_own(struct task_struct *t, struct kerf_on_cpu *on, __u64 now)
{
	struct task_group *group;
	struct cfs_rq *queue;
	__u64 shares = 0;

	if (!bpf_core_field_exists(t->se.parent))
		return;
	queue = READ(t, se.cfs_rq);
	if ((__u64)queue == on->queue && now - on->shared_ns <= BELIEVED_NS)
		return;
	group = READ(queue, tg);
	if (READ(t, se.parent))
		shares = unscaled(READ(group, shares), bpf_core_field_size(group->shares));
	/* All CPUs look here at each switch: the line stays theirs while nothing changes. */
	if (own_group != (__u64)group)
		own_group = (__u64)group;
	if (own_shares != shares)
		own_shares = shares;
	on->queue = (__u64)queue;
	on->share = SHARE_ALL;
	on->outside = 0;
	on->shared_ns = now;
}

/* The share of a group's own weight that a weight in one of its queues counts for. */
static __always_inline __u64 group_share(struct sched_entity *group)
{
	const __u64 size = bpf_core_field_size(group->load.weight);
	__u64 share = SHARE_ALL, all;
	struct cfs_rq *queue;
	int i;

	for (i = 0; i < MAX_NESTED && group; i++) {
		queue = READ(group, my_q);
		all = unscaled(READ(queue, load.weight), size);
		if (all)
			share = share * unscaled(READ(group, load.weight), size) / all;
		group = READ(group, parent);
	}
	return share;
}

/*
 * What a task takes from kerf's threads. One of the same group: its weight. One of another shares
 * that group's weight on this CPU with whoever else of it is runnable here: eight busy tasks
 * of one session are one task to another session. Tasks of one group that follow each other
 * within a millisecond share what was found for the first: walking the groups and dividing costs
 * more than all the rest of a switch.
 */
static __always_inline void weigh(struct task_struct *t, struct kerf_cpu_rec *rec,
				  struct kerf_on_cpu *on, __u64 now)
{
	struct cfs_rq *queue;

	rec->running_weight = weight_alone(t);
	rec->running_outside = 0;
	if (!bpf_core_field_exists(t->se.parent) || !own_group)
		return;
	queue = READ(t, se.cfs_rq);
	if ((__u64)queue != on->queue || now - on->shared_ns > BELIEVED_NS) {
		on->outside = own_shares && (__u64)READ(queue, tg) != own_group;
		on->share = (__u64)READ(queue, tg) == own_group ? SHARE_ALL :
								  group_share(READ(t, se.parent));
		if (on->outside)
			on->share = (on->share << 10) / own_shares;
		on->queue = (__u64)queue;
		on->shared_ns = now;
	}
	rec->running_weight = rec->running_weight * on->share / SHARE_ALL;
	rec->running_outside = on->outside;
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
	rec->running = class_of(next, next_pid, on, now);
	if (rec->running == KERF_CPU_FAIR)
		weigh(next, rec, on, now);
	else if (rec->running == KERF_CPU_OWN)
		see_own(next, on, now);
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
