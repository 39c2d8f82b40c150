/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* sched_switch.h on tp_btf/sched_switch: tasks are read by plain loads, which the verifier checks.
 */
#define READ(task, field) ((task)->field)
#define CGROUP_ID(task) ((task)->cgroups->dfl_cgrp->kn->id)
#include "sched_switch.h"

SEC("tp_btf/sched_switch")
int BPF_PROG(kerf_sched_switch, bool preempt, struct task_struct *prev, struct task_struct *next)
{
	return on_switch(prev, next);
}
