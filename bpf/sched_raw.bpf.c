/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * sched_switch.h on raw_tp/sched_switch: for kernels without BTF, given a BTF file of that kernel
 * (some hundred bytes of it do: bpftool gen min_core_btf). Without any, where a task's fields lie
 * is not known, and nothing here can be told from a switch.
 */
#define READ(task, field) BPF_CORE_READ(task, field)
#define CGROUP_ID(task) BPF_CORE_READ(task, cgroups, dfl_cgrp, kn, id)
#include "sched_switch.h"

SEC("raw_tp/sched_switch")
int kerf_sched_switch(struct bpf_raw_tracepoint_args *ctx)
{
	return on_switch((struct task_struct *)ctx->args[1], (struct task_struct *)ctx->args[2]);
}
