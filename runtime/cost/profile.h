/* SPDX-License-Identifier: MIT */
/*
 * Profiles: how long each operator of a graph takes on an engine, measured, and
 * stored under $KERF_PROFILE_DIR, else $XDG_CACHE_HOME/kerf/profiles, else
 * ~/.cache/kerf/profiles as one JSON file per (graph fingerprint, engine kind and
 * device, machine).
 *
 * An operator's figure is its share of the program's time (the median over runs)
 * times the mean time of a whole run: so the figures add up to what a run costs, also
 * on a CPU that is throttled in bursts, where single timings mislead.
 */
#ifndef KERF_COST_PROFILE_H
#define KERF_COST_PROFILE_H

#include "graph/graph.h"
#include "util/err.h"

struct kerf_profile {
	uint64_t fingerprint;
	char engine[64];	/* kind and settings: "cpu avx512 2 threads" */
	char machine[65];
	uint32_t n_op, runs;
	double *op_s;		/* seconds, per op */
	double run_s;		/* mean whole run */
};

int kerf_profile_save(const struct kerf_profile *p, struct kerf_err *err);
/* -ENOENT if there is none; -EINVAL if the file is damaged (it is refused, not believed). */
int kerf_profile_load(const struct kerf_graph *g, const char *engine, const char *machine,
		      struct kerf_profile *p, struct kerf_err *err);
/* The same from and to JSON text: it also travels between nodes. *text is malloc'ed. */
int kerf_profile_to_json(const struct kerf_profile *p, char **text);
int kerf_profile_from_json(const char *text, size_t n, struct kerf_profile *p,
			   struct kerf_err *err);
void kerf_profile_finish(struct kerf_profile *p);

/*
 * Reduces raw timings to a profile's figures: ns[run * n_op + op] from each run's
 * operators, wall_ns[run] of each whole run. n_runs >= 1.
 */
int kerf_profile_reduce(struct kerf_profile *p, const uint64_t *ns, const uint64_t *wall_ns,
			uint32_t n_runs);

#endif
