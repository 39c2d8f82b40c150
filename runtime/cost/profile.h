/* SPDX-License-Identifier: MIT */
/*
 * Profiles: how long each operator of a graph takes on an engine, measured, and
 * stored (store.h) as one JSON file per (graph, engine, machine). After the rewrites an operator
 * is a fused group: a convolution with its bias, factor and activation.
 *
 * An operator's figure is its median share of a run times the mean time of a run: so
 * the figures add up to what a run costs, also on a CPU that is throttled in bursts,
 * where a burst hits whichever operator was running and single timings mislead.
 *
 * A tile that makes the share x of an operator's output takes fixed + (whole - fixed) * x: the
 * fixed part is what every tile pays (weights read, a job of threads started, the rounding up to
 * whole blocks). It is fitted from tiles of several sizes, measured in turns with the whole.
 *
 * Format 2 of the file has those and each operator's features. A file of format 1 is read as a
 * profile without them, and becomes format 2 when it is measured again; any other is refused.
 */
#ifndef KERF_COST_PROFILE_H
#define KERF_COST_PROFILE_H

#include "cost/features.h"
#include "graph/graph.h"
#include "util/err.h"

struct kerf_profile {
	uint64_t fingerprint; /* of the graph */
	char model[64];	      /* the graph's name, cut off where it is longer */
	char engine[160];     /* what runs it, in words: "cpu: AMD EPYC, avx512, 2 threads" */
	char machine[65];
	uint32_t n_op, runs;
	double *op_s;	      /* seconds, per operator */
	double *op_fixed_s;   /* of op_s: what a tile pays whatever its size; NULL: not measured */
	struct kerf_features *op; /* NULL: not told (format 1) */
	double run_s;	      /* mean of a whole run: the sum of op_s */
	bool predicted;	      /* by predictor.h: nothing was run */
};

/*
 * Fills op_s and run_s from raw timings ns[run * n_op + op]; the other members are the
 * caller's. n_runs >= 1. 0 or -ENOMEM.
 */
int kerf_profile_reduce(struct kerf_profile *p, const uint64_t *ns, uint32_t n_op,
			uint32_t n_runs);

/* Fills fingerprint, model, n_op and op. 0 or -ENOMEM. */
int kerf_profile_describe(struct kerf_profile *p, const struct kerf_graph *g);

/*
 * The fixed part of an operator's time, as a share of it: least squares over tiles of shares
 * x[i] in (0, 1) that took y[i] of the whole's time; in [0, 1]. 0 where n is 0.
 */
double kerf_profile_fixed_share(const double *x, const double *y, uint32_t n);

/* Written atomically; folders are made as needed. A predicted one is not: -EINVAL. */
int kerf_profile_save(const struct kerf_profile *p, struct kerf_err *err);

/*
 * The stored profile of g on this engine of this machine. -ENOENT if there is none;
 * -EINVAL if the file is damaged or of another graph: refused, not believed.
 */
int kerf_profile_load(const struct kerf_graph *g, const char *engine, const char *machine,
		      struct kerf_profile *p, struct kerf_err *err);

/* Any profile, by its file. Errors as above. */
int kerf_profile_read(const char *path, struct kerf_profile *p, struct kerf_err *err);

/*
 * Calls each with every stored profile, in the order of their files' names, until it answers
 * other than 0; that is then the result. Files that cannot be believed are left out and counted
 * in *bad (NULL allowed). -ENOENT: there is no folder.
 */
int kerf_profile_each(int (*each)(const struct kerf_profile *p, void *user), void *user,
		      uint32_t *bad, struct kerf_err *err);

void kerf_profile_finish(struct kerf_profile *p);

#endif
