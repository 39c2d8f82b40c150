/* SPDX-License-Identifier: MIT */
/*
 * A cluster: the engines a user named, the links to them, and from both the problem
 * that policies solve. Engines of this process are one node, home; remote engines
 * of one address are one as well. What is known of links and loads comes as values, from whoever
 * measures; links of which nothing is known are probed.
 */
#ifndef KERF_EXEC_CLUSTER_H
#define KERF_EXEC_CLUSTER_H

#include "cost/engine_cost.h"
#include "cost/power.h"
#include "cost/profile.h"
#include "exec/engine.h"
#include "plan/plan.h"

#include "kerf_state.h"

#define KERF_CLUSTER_NODES (KERF_MAX_ENGINES + 1)

struct kerf_cluster {
	uint32_t n_engine, n_node;
	struct kerf_engine *engine[KERF_MAX_ENGINES];
	struct kerf_engine_info info[KERF_MAX_ENGINES];
	uint32_t node[KERF_MAX_ENGINES];
};

/*
 * list: engine specs separated by commas, at least one ("cpu,http://10.0.0.2:8470"). cfg's depth is
 * for remote ones alone: a request may have many jobs here.
 */
int kerf_cluster_open(const char *list, const struct kerf_engine_config *cfg,
		      struct kerf_cluster *c, struct kerf_err *err);
void kerf_cluster_close(struct kerf_cluster *c);

/* "http://host:port" of a remote engine's node, as observers are told it; "" for a local one. */
void kerf_cluster_url(const struct kerf_cluster *c, uint32_t engine, char url[KERF_URL_BYTES]);

/* What is known of links and loads, by engine. All zero: nothing. About 27 KB. */
struct kerf_cluster_view {
	/* Of remote engines: from here to there, and back. */
	struct kerf_link_estimate up[KERF_MAX_ENGINES], down[KERF_MAX_ENGINES];
	/*
	 * Between nodes other than home, [from][to]; not known (rate 0): what goes there passes by
	 * home.
	 */
	struct kerf_link_estimate between[KERF_CLUSTER_NODES][KERF_CLUSTER_NODES];
	/*
	 * Of engines that compute on CPUs: their time there beside what an idle node takes. 0: 1.
	 */
	double slowdown[KERF_MAX_ENGINES];
	/* Jobs of others that wait for the engine or run on it. */
	double others[KERF_MAX_ENGINES];
	/* What the engine's node draws now, while nothing of ours runs there. 0: not known. */
	double node_w[KERF_MAX_ENGINES];
	/* Rates of home's busiest link as they were, oldest first, bytes/s. */
	double past_rate[KERF_MAX_PAST];
	uint32_t n_past_rate;
};

/*
 * Sends a probe train to every node whose link view does not know in both directions (rate 0)
 * for any of its engines, and puts what it finds into view. Blocks. Observers see the train's
 * transfers. Where there are two nodes or more beside home, they are asked for their links to each
 * other, which they may have to probe; a pair that says nothing has no direct path, and that is no
 * error.
 */
int kerf_cluster_probe(struct kerf_cluster *c, const struct kerf_engine_config *cfg,
		       struct kerf_cluster_view *view, struct kerf_err *err);

struct kerf_profile_options {
	double seconds;	   /* measuring time an engine; 0: 1 s */
	bool stored_only;  /* fail rather than measure */
	bool predicted;	   /* predict rather than measure (cost/predictor.h) */
	bool measure;	   /* measure also where a stored profile exists */
	const struct kerf_power *power; /* what engines and nodes draw; NULL: not told */
	bool tiles;	   /* what tiles cost is measured for an engine alone, too; takes about as long again */
};

/*
 * The problem of running g on the cluster: profiles loaded, or measured and stored; links and
 * loads as view has them (a link not known is no path). Owns its arrays; g and c outlive it.
 */
struct kerf_cluster_problem {
	struct kerf_problem p;
	struct kerf_outline *outline;
	struct kerf_link_model *link;
	double *op_s, *op_fixed_s, *apart_s, *past_rate;
	struct kerf_plan_node *node;
	bool predicted[KERF_MAX_ENGINES]; /* the engine's operators were never run: cost/predictor.h */
	double sharing[KERF_MAX_ENGINES]; /* what jobs of others multiply its times by */
};
int kerf_cluster_problem(struct kerf_cluster *c, struct kerf_graph *g,
			 const struct kerf_profile_options *opt,
			 const struct kerf_cluster_view *view, struct kerf_cluster_problem *cp,
			 struct kerf_err *err);
void kerf_cluster_problem_finish(struct kerf_cluster_problem *cp);

/*
 * The problem in another state: links as `now` has them (of which it knows nothing stay as they
 * were), operators of engines that compute on CPUs slower or faster by what their slowdown was,
 * `was`, and is now.
 */
void kerf_cluster_problem_update(const struct kerf_cluster *c, const struct kerf_cluster_view *was,
				 const struct kerf_cluster_view *now,
				 struct kerf_cluster_problem *cp);

/*
 * What is stored of an engine for all graphs (cost/engine_cost.h), nothing if there is no file;
 * with calibrate, it is calibrated where that is missing, and stored. Then it may block.
 */
int kerf_cluster_engine_cost(struct kerf_cluster *c, uint32_t engine, bool calibrate,
			     struct kerf_engine_cost *cost, struct kerf_err *err);

/*
 * One engine's profile of g: stored, or measured and stored, or with opt->predicted stored or
 * predicted. Failing to store one is an error only with opt->measure.
 *
 * *slowdown (NULL: not known) is the engine's in a view; it becomes what the profile has to be
 * multiplied by: 1 if it was measured just now, under that very load. Then it is not stored
 * either, unless opt->measure: it is not what the engine can do.
 */
int kerf_cluster_profile(struct kerf_cluster *c, uint32_t engine, struct kerf_graph *g,
			 const struct kerf_profile_options *opt, double *slowdown,
			 struct kerf_profile *p, struct kerf_err *err);

#endif
