/* SPDX-License-Identifier: MIT */
/*
 * What others leave of the CPUs. Time-sharing: the fair scheduler gives each runnable task its
 * weight's share of the CPU time, so t threads beside others that are runnable c CPUs' worth (they
 * run, or wait for us or for each other) get t / (t + c) of what real-time tasks leave, and never
 * more than a CPU each. Running plus waiting does not change by our own load, unlike utilisation
 * and pressure, which saturate: the estimate is the same before and while a job runs.
 *
 * For one thread on one CPU that is (1 + busy + waiting) / (1 - rt). A task that computes for R and
 * then sleeps for Z counts R / (R + Z): sharing with us it computes for 2 R, and what is left to us
 * is (R + Z) / (2 R + Z), the same as by the formula.
 *
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
	double competing, rt, left, alone, now;

	if (!(load->has & KERF_LOAD_HAS_CPU) || !load->n_cpu)
		return 1;
	if (load->has & KERF_LOAD_HAS_COMPETING)
		competing = load->competing_permille / 1e3;
	else
		competing = (load->fair_permille + (double)load->waiting_permille) / 1e3;
	competing = KERF_MIN(competing, MOST_TASKS);
	rt = KERF_MIN(load->rt_permille / 1e3, RT_MOST * cpus);
	left = cpus - rt;

	/* CPU time per thread and second */
	alone = KERF_MIN(1, cpus / threads);
	now = KERF_MIN(1, left / (threads + competing));
	return KERF_MAX(1, alone / now);
}
