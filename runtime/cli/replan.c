/* SPDX-License-Identifier: MIT */
#include "cli/replan.h"

#include "plan/replan.h"
#include "util/clock.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct kerf_cli_replan {
	const char *model;
	struct kerf_cli_setup *s;
	struct kerf_live *live;
	double seconds;
	struct kerf_replan *replan;
	struct kerf_plan plan; /* in force, once it was changed */
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool stop, complained;
	uint32_t changes;
	uint64_t requests; /* when it looked last */
	double looked_s;
};

static double now_s(void)
{
	return (double)kerf_now_ns() * 1e-9;
}

static void complain(struct kerf_cli_replan *r, const struct kerf_err *err)
{
	if (!r->complained)
		fprintf(stderr, "kerf: replanning: %s\n", err->msg);
	r->complained = true;
}

/* Requests a second since the last look. */
static double request_rate(struct kerf_cli_replan *r)
{
	struct kerf_session_stats st;
	double now = now_s(), rate;

	kerf_live_stats(r->live, &st);
	rate = now > r->looked_s ? (double)(st.requests - r->requests) / (now - r->looked_s) : 0;
	r->requests = st.requests;
	r->looked_s = now;
	return rate;
}

static int change(struct kerf_cli_replan *r, struct kerf_replan_decision *d, struct kerf_err *err)
{
	int ret = kerf_live_change(r->live, &d->plan, err);

	if (ret)
		return ret;
	r->changes++;
	fprintf(stderr, "kerf: plan %s\n", d->reason);
	kerf_cli_telemetry_plan(r->s->telemetry, &d->plan, r->model, d->reason);
	kerf_plan_finish(&r->plan);
	r->plan = d->plan;
	return 0;
}

/* The problem as it is now; whoever made it does not use it meanwhile. */
static int look(struct kerf_cli_replan *r, struct kerf_err *err)
{
	struct kerf_replan_move move = {.requests_s = request_rate(r)};
	struct kerf_cli_setup *s = r->s;
	struct kerf_cluster_view was = s->view;
	struct kerf_replan_decision d;
	int ret;

	kerf_cli_telemetry_links(s->telemetry, &s->cluster, &s->view);
	kerf_cli_telemetry_loads(s->telemetry, &s->cluster, &s->view);
	kerf_cluster_problem_update(&s->cluster, &was, &s->view, &s->problem);
	ret = kerf_replan_decide(r->replan, &s->problem.p, now_s(), &move, &d, err);
	if (ret || !d.change)
		return ret;
	ret = change(r, &d, err);
	/* What was decided could not be done: what runs still is in force. */
	if (ret) {
		kerf_plan_finish(&d.plan);
		kerf_replan_adopt(r->replan, &s->problem.p, r->changes ? &r->plan : &s->plan, now_s());
	}
	return ret;
}

static void *watch(void *arg)
{
	struct kerf_cli_replan *r = arg;
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	pthread_mutex_lock(&r->lock);
	while (!r->stop) {
		struct kerf_err err = {""};
		uint64_t ns = (uint64_t)until.tv_nsec + (uint64_t)(r->seconds * 1e9);

		until.tv_sec += (time_t)(ns / 1000000000u);
		until.tv_nsec = (long)(ns % 1000000000u);
		while (!r->stop && !pthread_cond_timedwait(&r->cond, &r->lock, &until))
			;
		if (r->stop)
			break;
		pthread_mutex_unlock(&r->lock);
		if (look(r, &err))
			complain(r, &err);
		pthread_mutex_lock(&r->lock);
	}
	pthread_mutex_unlock(&r->lock);
	return NULL;
}

int kerf_cli_replan_start(const char *model, struct kerf_cli_setup *s, struct kerf_live *live,
			  double seconds, struct kerf_cli_replan **out, struct kerf_err *err)
{
	struct kerf_cli_replan *r = calloc(1, sizeof(*r));
	pthread_condattr_t attr;
	int ret;

	*out = NULL;
	if (!r)
		return -ENOMEM;
	r->model = model;
	r->s = s;
	r->live = live;
	r->seconds = seconds;
	r->looked_s = now_s();
	pthread_mutex_init(&r->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&r->cond, &attr);
	pthread_condattr_destroy(&attr);
	ret = kerf_replan_new(s->plan.policy, NULL, &r->replan, err);
	if (!ret)
		ret = kerf_replan_adopt(r->replan, &s->problem.p, &s->plan, now_s());
	if (!ret)
		ret = -pthread_create(&r->thread, NULL, watch, r);
	if (ret) {
		kerf_fail(err, ret, "replanning: %s", strerror(-ret));
		kerf_replan_free(r->replan);
		pthread_cond_destroy(&r->cond);
		pthread_mutex_destroy(&r->lock);
		free(r);
		return ret;
	}
	*out = r;
	return 0;
}

uint32_t kerf_cli_replan_stop(struct kerf_cli_replan *r)
{
	uint32_t changes;

	if (!r)
		return 0;
	pthread_mutex_lock(&r->lock);
	r->stop = true;
	pthread_cond_signal(&r->cond);
	pthread_mutex_unlock(&r->lock);
	pthread_join(r->thread, NULL);
	changes = r->changes;
	kerf_plan_finish(&r->plan);
	kerf_replan_free(r->replan);
	pthread_cond_destroy(&r->cond);
	pthread_mutex_destroy(&r->lock);
	free(r);
	return changes;
}
