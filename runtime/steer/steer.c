/* SPDX-License-Identifier: MIT */
#include "steer/steer.h"

#include "plan/replan.h"
#include "steer/view.h"
#include "util/clock.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct kerf_steer {
	struct kerf_steer_config cfg;
	pthread_mutex_t look; /* one look at a time; taken before lock */
	struct kerf_replan *replan;
	struct kerf_plan plan; /* in force, once it was changed */
	uint64_t requests;     /* when it looked last */
	double looked_s;
	char said[sizeof(((struct kerf_err *)0)->msg)]; /* to failed() last */

	pthread_t thread;
	bool running;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool stop;
	struct kerf_steer_now now;
};

static double now_s(void)
{
	return (double)kerf_now_ns() * 1e-9;
}

/* Requests a second since the last look. */
static double request_rate(struct kerf_steer *s)
{
	struct kerf_session_stats st;
	double now = now_s(), rate;

	kerf_live_stats(s->cfg.live, &st);
	rate = now > s->looked_s ? (double)(st.requests - s->requests) / (now - s->looked_s) : 0;
	s->requests = st.requests;
	s->looked_s = now;
	return rate;
}

static const struct kerf_plan *in_force(const struct kerf_steer *s)
{
	return s->plan.n_step ? &s->plan : s->cfg.plan;
}

static void note(struct kerf_steer *s, const struct kerf_plan *plan, uint32_t changes)
{
	pthread_mutex_lock(&s->lock);
	s->now.changes = changes;
	s->now.n_step = plan->n_step;
	s->now.total_s = plan->total_s;
	memcpy(s->now.reason, plan->reason, sizeof(s->now.reason));
	pthread_mutex_unlock(&s->lock);
}

static int change(struct kerf_steer *s, struct kerf_replan_decision *d, struct kerf_err *err)
{
	int r = kerf_live_change(s->cfg.live, &d->plan, err);

	/* What was decided could not be done: what runs still is in force. */
	if (r) {
		kerf_plan_finish(&d->plan);
		kerf_replan_adopt(s->replan, &s->cfg.problem->p, in_force(s), now_s());
		return r;
	}
	kerf_plan_finish(&s->plan);
	s->plan = d->plan;
	note(s, &s->plan, s->now.changes + 1);
	if (s->cfg.changed)
		s->cfg.changed(s->cfg.user, &s->plan, d->reason);
	return 0;
}

static int look(struct kerf_steer *s, bool *changed, char *reason, struct kerf_err *err)
{
	const struct kerf_replan_move move = {.requests_s = request_rate(s)};
	const struct kerf_steer_config *cfg = &s->cfg;
	struct kerf_cluster_view was = *cfg->view;
	struct kerf_replan_decision d;
	int r;

	kerf_view_links(cfg->telemetry, cfg->cluster, cfg->view);
	kerf_view_past(cfg->telemetry, cfg->cluster, cfg->view);
	kerf_view_loads(cfg->telemetry, cfg->cluster, false, cfg->view);
	kerf_cluster_problem_update(cfg->cluster, &was, cfg->view, cfg->problem);
	r = kerf_replan_decide(s->replan, &cfg->problem->p, now_s(), &move, &d, err);
	if (!r && d.change)
		r = change(s, &d, err);
	if (changed)
		*changed = !r && d.change;
	if (reason)
		snprintf(reason, sizeof(d.reason), "%s", r ? "" : d.reason);
	return r;
}

int kerf_steer_look(struct kerf_steer *s, bool *changed, char *reason, struct kerf_err *err)
{
	int r;

	pthread_mutex_lock(&s->look);
	r = look(s, changed, reason, err);
	pthread_mutex_unlock(&s->look);
	return r;
}

static void tell_failure(struct kerf_steer *s, const struct kerf_err *err)
{
	if (s->cfg.failed && strcmp(s->said, err->msg) != 0)
		s->cfg.failed(s->cfg.user, err->msg);
	snprintf(s->said, sizeof(s->said), "%s", err->msg);
}

static void *watch(void *arg)
{
	struct kerf_steer *s = arg;
	struct timespec until;

	pthread_mutex_lock(&s->lock);
	while (!s->stop) {
		struct kerf_err err = {""};
		uint64_t ns;

		clock_gettime(CLOCK_MONOTONIC, &until);
		ns = (uint64_t)until.tv_nsec + (uint64_t)(s->cfg.seconds * 1e9);
		until.tv_sec += (time_t)(ns / 1000000000u);
		until.tv_nsec = (long)(ns % 1000000000u);
		while (!s->stop && !pthread_cond_timedwait(&s->cond, &s->lock, &until))
			;
		if (s->stop)
			break;
		pthread_mutex_unlock(&s->lock);
		if (kerf_steer_look(s, NULL, NULL, &err))
			tell_failure(s, &err);
		pthread_mutex_lock(&s->lock);
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

int kerf_steer_start(const struct kerf_steer_config *cfg, struct kerf_steer **out,
		     struct kerf_err *err)
{
	struct kerf_steer *s = calloc(1, sizeof(*s));
	pthread_condattr_t attr;
	int r;

	*out = NULL;
	if (!s)
		return -ENOMEM;
	s->cfg = *cfg;
	s->looked_s = now_s();
	pthread_mutex_init(&s->look, NULL);
	pthread_mutex_init(&s->lock, NULL);
	note(s, cfg->plan, 0);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&s->cond, &attr);
	pthread_condattr_destroy(&attr);
	r = kerf_replan_new(cfg->plan->policy, NULL, &s->replan, err);
	if (!r)
		r = kerf_replan_adopt(s->replan, &cfg->problem->p, cfg->plan, now_s());
	if (!r && cfg->seconds > 0) {
		r = -pthread_create(&s->thread, NULL, watch, s);
		s->running = !r;
	}
	if (r) {
		kerf_fail(err, r, "replanning: %s", strerror(-r));
		kerf_steer_stop(s);
		return r;
	}
	*out = s;
	return 0;
}

void kerf_steer_now(struct kerf_steer *s, struct kerf_steer_now *now)
{
	pthread_mutex_lock(&s->lock);
	*now = s->now;
	pthread_mutex_unlock(&s->lock);
}

uint32_t kerf_steer_stop(struct kerf_steer *s)
{
	uint32_t changes;

	if (!s)
		return 0;
	pthread_mutex_lock(&s->lock);
	s->stop = true;
	pthread_cond_signal(&s->cond);
	pthread_mutex_unlock(&s->lock);
	if (s->running)
		pthread_join(s->thread, NULL);
	changes = s->now.changes;
	kerf_plan_finish(&s->plan);
	kerf_replan_free(s->replan);
	pthread_cond_destroy(&s->cond);
	pthread_mutex_destroy(&s->lock);
	pthread_mutex_destroy(&s->look);
	free(s);
	return changes;
}
