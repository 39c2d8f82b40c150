/* SPDX-License-Identifier: MIT */
/*
 * Who looks at links and loads while a live session runs, and changes its plan when that pays: what
 * telemetry knows becomes the problem's new state (view.h), the controller decides
 * (plan/replan.h), exec/live.h changes. Requests go on meanwhile.
 */
#ifndef KERF_STEER_STEER_H
#define KERF_STEER_STEER_H

#include "exec/cluster.h"
#include "exec/live.h"
#include "telemetry/telemetry.h"

struct kerf_steer;

/* What is pointed to outlives the steer; problem and view are its own until it is stopped. */
struct kerf_steer_config {
	struct kerf_cluster *cluster;
	struct kerf_cluster_view *view;
	struct kerf_cluster_problem *problem; /* in the state of view */
	const struct kerf_plan *plan;	      /* in force in live, made by its policy for problem */
	struct kerf_live *live;
	struct kerf_telemetry *telemetry; /* NULL: nothing is measured */
	double seconds;			  /* between two looks; 0: only when asked */
	/*
	 * On the thread that looked. The plan was changed; it cannot be, each time for another
	 * reason.
	 */
	void (*changed)(void *user, const struct kerf_plan *plan, const char *reason);
	void (*failed)(void *user, const char *message);
	void *user; /* of both, each may be NULL */
};

/* 0, -EINVAL (the plan cannot run in this state), -ENOMEM, -EAGAIN (no thread). */
int kerf_steer_start(const struct kerf_steer_config *cfg, struct kerf_steer **s,
		     struct kerf_err *err);

/*
 * Looks now; blocks until a new plan is prepared and the old one has ended, if there is to be one.
 * *changed (may be NULL): whether it was; reason[256] (may be NULL): why, or why not. 0, or the
 * error of the policy or of preparing: then the plan in force stays. Any thread but a done().
 */
int kerf_steer_look(struct kerf_steer *s, bool *changed, char *reason, struct kerf_err *err);

/* Of the plan in force; any thread. */
struct kerf_steer_now {
	uint32_t changes; /* so far */
	uint32_t n_step;
	double total_s;	  /* predicted when it was made */
	char reason[512]; /* as struct kerf_plan's */
};
void kerf_steer_now(struct kerf_steer *s, struct kerf_steer_now *now);

/* Waits for a change under way. How often the plan was changed. NULL allowed. */
uint32_t kerf_steer_stop(struct kerf_steer *s);

#endif
