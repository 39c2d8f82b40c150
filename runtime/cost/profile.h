/* SPDX-License-Identifier: MIT */
/*
 * Profiles: how long each operator of a graph takes on an engine, measured, and
 * stored under $KERF_PROFILE_DIR, else $XDG_CACHE_HOME/kerf/profiles, else
 * ~/.cache/kerf/profiles as one JSON file per (graph, engine, machine).
 *
 * An operator's figure is its median share of a run times the mean time of a run: so
 * the figures add up to what a run costs, also on a CPU that is throttled in bursts,
 * where a burst hits whichever operator was running and single timings mislead.
 */
#ifndef KERF_COST_PROFILE_H
#define KERF_COST_PROFILE_H

#include "graph/graph.h"
#include "util/err.h"

struct kerf_profile {
	uint64_t fingerprint; /* of the graph */
	char engine[160];     /* what runs it, in words: "cpu: AMD EPYC, avx512, 2 threads" */
	char machine[65];
	uint32_t n_op, runs;
	double *op_s;	      /* seconds, per operator */
	double run_s;	      /* mean of a whole run: the sum of op_s */
};

/*
 * Fills op_s and run_s from raw timings ns[run * n_op + op]; the other members are the
 * caller's. n_runs >= 1. 0 or -ENOMEM.
 */
int kerf_profile_reduce(struct kerf_profile *p, const uint64_t *ns, uint32_t n_op,
			uint32_t n_runs);

/* Written atomically; folders are made as needed. */
int kerf_profile_save(const struct kerf_profile *p, struct kerf_err *err);

/*
 * The stored profile of g on this engine of this machine. -ENOENT if there is none;
 * -EINVAL if the file is damaged or of another graph: refused, not believed.
 */
int kerf_profile_load(const struct kerf_graph *g, const char *engine, const char *machine,
		      struct kerf_profile *p, struct kerf_err *err);

void kerf_profile_finish(struct kerf_profile *p);

#endif
