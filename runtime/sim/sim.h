/* SPDX-License-Identifier: MIT */
/*
 * A simulation: a scenario's world (core.h), and who plans in it. Every node that requests arrive
 * at is a home; its problem is itself and the nodes that it has links to, in the state that it
 * sees: who is there, rates of links, lines at engines. Plans come from the same policies and the
 * same pricing as anywhere else. They are kept by the state they were made for, in steps of an
 * eighth of an octave of a rate and a quarter of one of a load, so that a million requests of
 * a thousand homes that look alike plan once.
 */
#ifndef KERF_SIM_SIM_H
#define KERF_SIM_SIM_H

#include "sim/core.h"
#include "sim/scenario.h"

#include <stdio.h>

/* Loads a scenario's model; the simulation takes over the reference. */
typedef int (*kerf_sim_load_fn)(void *user, const struct kerf_scenario_model *m,
				struct kerf_graph **g, struct kerf_err *err);

struct kerf_sim {
	const struct kerf_scenario *s;
	struct kerf_sim_world world;
	struct kerf_sim_planner *planner;
	uint64_t plans_made, plans_kept; /* policy calls; times a state's plan was at hand */
	char why_unplanned[512];	 /* the first time no plan could be made */
};

/* s outlives it. 0 or an error with a sentence; kerf_sim_finish() in any case. */
int kerf_sim_make(const struct kerf_scenario *s, kerf_sim_load_fn load, void *user,
		  struct kerf_sim *sim, struct kerf_err *err);
int kerf_sim_run(struct kerf_sim *sim, struct kerf_err *err);
void kerf_sim_finish(struct kerf_sim *sim);

/* Of latencies, seconds; all 0 where n is 0. */
struct kerf_sim_latency {
	uint64_t n;
	double mean, p50, p90, p99, max;
};

struct kerf_sim_result {
	struct kerf_sim_latency all, *node; /* node[n_node] */
	double throughput_hz;		    /* done over the time until the last was */
	double mean_in_system, work_j, idle_j;
};

int kerf_sim_result(const struct kerf_sim *sim, struct kerf_sim_result *r); /* or -ENOMEM */
void kerf_sim_result_finish(struct kerf_sim_result *r);
/* Not finished ones have their time until the end. */
double kerf_sim_node_idle_j(const struct kerf_sim *sim, uint32_t node);

/* One row a node, and one of all; per engine in the JSON. */
void kerf_sim_csv(const struct kerf_sim *sim, const struct kerf_sim_result *r, FILE *f);
void kerf_sim_json(const struct kerf_sim *sim, const struct kerf_sim_result *r, FILE *f);

#endif
