/* SPDX-License-Identifier: MIT */
/*
 * A cluster: the engines a user named, the links to them, and from both the problem
 * that policies solve. Engines of this process are one node, home; every remote engine
 * is a node of its own.
 */
#ifndef KERF_EXEC_CLUSTER_H
#define KERF_EXEC_CLUSTER_H

#include "cost/profile.h"
#include "exec/engine.h"
#include "net/link_probe.h"
#include "plan/plan.h"

struct kerf_cluster {
	uint32_t n_engine, n_node;
	struct kerf_engine *engine[KERF_MAX_ENGINES];
	struct kerf_engine_info info[KERF_MAX_ENGINES];
	uint32_t node[KERF_MAX_ENGINES];
	struct kerf_link_state link[KERF_MAX_ENGINES]; /* of remote engines, once probed */
};

/* list: engine specs separated by commas, at least one ("cpu,http://10.0.0.2:8470"). */
int kerf_cluster_open(const char *list, const struct kerf_engine_config *cfg,
		      struct kerf_cluster *c, struct kerf_err *err);
void kerf_cluster_close(struct kerf_cluster *c);

/* Measures the link to every remote engine anew. Blocks. */
int kerf_cluster_probe(struct kerf_cluster *c, const struct kerf_engine_config *cfg,
		       struct kerf_err *err);

struct kerf_profile_options {
	double seconds;	   /* measuring time an engine; 0: 1 s */
	bool stored_only;  /* fail rather than measure */
	bool measure;	   /* measure also where a stored profile exists */
};

/*
 * The problem of running g on the cluster: profiles loaded, or measured and stored.
 * Owns its arrays; g and c outlive it.
 */
struct kerf_cluster_problem {
	struct kerf_problem p;
	struct kerf_link_model *link;
	double *op_s;
};
int kerf_cluster_problem(struct kerf_cluster *c, struct kerf_graph *g,
			 const struct kerf_profile_options *opt, struct kerf_cluster_problem *cp,
			 struct kerf_err *err);
void kerf_cluster_problem_finish(struct kerf_cluster_problem *cp);

/*
 * One engine's profile of g: stored, or measured and stored. Failing to store one is an
 * error only with opt->measure.
 */
int kerf_cluster_profile(struct kerf_cluster *c, uint32_t engine, struct kerf_graph *g,
			 const struct kerf_profile_options *opt, struct kerf_profile *p,
			 struct kerf_err *err);

#endif
