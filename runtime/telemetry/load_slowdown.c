/* SPDX-License-Identifier: MIT */
/*
 * What others leave of the CPUs. The fair scheduler gives each runnable task its weight's share
 * of the time that real-time tasks leave. t threads beside siblings that are runnable c CPUs'
 * worth (they run, or wait for us or for each other) are T = t + c tasks that want T CPUs and get
 *
 *   X = min(T, max(left / (1 + o), left - d))
 *
 * of the left = n - rt, o being the weight of other groups of tasks beside that of ours, and d
 * what they could use at most. A thread gets X / T, and alone it would get min(1, n / t).
 *
 * Running plus waiting does not change by our own load, unlike utilisation and pressure, which
 * saturate: the estimate is the same before and while a job runs. On one CPU without groups it
 * is (1 + busy + waiting) / (1 - rt). A task that computes for R and then sleeps for Z counts
 * R / (R + Z): sharing with us it computes for 2 R, and what is left to us is (R + Z) / (2 R + Z),
 * the same as by the formula.
 */
#include "telemetry/load.h"

#include "util/base.h"

/* Linux leaves normal tasks 5 % of a CPU that real-time tasks would take whole. */
#define RT_MOST 0.95

/* A report that is not from here may hold anything: no figure counts for more than this. */
#define MOST_TASKS 1e6

double kerf_load_slowdown(const struct kerf_node_load *load, uint32_t n_thread)
{
	double cpus = load->n_cpu, threads = n_thread ? n_thread : 1;
	double busy = load->fair_permille / 1e3 + load->waiting_permille / 1e3;
	double siblings = busy, outside = 0, left, ours, tasks;

	if (!(load->has & KERF_LOAD_HAS_CPU) || !load->n_cpu)
		return 1;
	if (load->has & KERF_LOAD_HAS_COMPETING)
		siblings = load->competing_permille / 1e3;
	if (load->has & KERF_LOAD_HAS_OUTSIDE)
		outside = load->outside_permille / 1e3;
	siblings = KERF_MIN(siblings, MOST_TASKS);
	outside = KERF_MIN(outside, MOST_TASKS);

	left = cpus - KERF_MIN(load->rt_permille / 1e3, RT_MOST * cpus);
	tasks = threads + siblings;
	ours = left / (1 + outside);
	if (outside > 0)
		ours = KERF_MAX(ours, left - KERF_MAX(busy - siblings, 0));
	ours = KERF_MIN(ours, tasks);
	return KERF_MAX(1, KERF_MIN(1, cpus / threads) / KERF_MIN(1, ours / tasks));
}
