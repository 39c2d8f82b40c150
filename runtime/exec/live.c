/* SPDX-License-Identifier: MIT */
#include "exec/live.h"

#include <pthread.h>
#include <stdlib.h>

#define DEFAULT_DEPTH 2
/* Requests of two plans, and as many again whose done() has not returned yet. */
#define CALLS_A_DEPTH 4

/* users: requests in it, until their done() has returned. */
struct held {
	struct kerf_session *session;
	uint32_t users;
};

/* One request on its way. */
struct call {
	struct kerf_live *live;
	struct held *held;
	kerf_session_done done;
	void *user;
	struct call *next; /* of those that are free */
};

struct kerf_live {
	struct kerf_graph *graph;
	struct kerf_engine *const *engines;
	uint32_t depth;
	pthread_mutex_t lock;
	pthread_cond_t left;
	struct held *now;
	struct call *call, *free;
	uint64_t requests, failures;
	struct kerf_err why; /* of the last that failed */
};

static int hold(struct kerf_live *l, const struct kerf_plan *plan, struct held **h,
		struct kerf_err *err)
{
	int r;

	*h = calloc(1, sizeof(**h));
	if (!*h)
		return -ENOMEM;
	r = kerf_session_open(l->graph, plan, l->engines, l->depth, &(*h)->session, err);
	if (r) {
		free(*h);
		*h = NULL;
	}
	return r;
}

/* With the lock held: until no request is in it. */
static void end(struct kerf_live *l, struct held *h)
{
	while (h->users)
		pthread_cond_wait(&l->left, &l->lock);
}

static void drop(struct held *h)
{
	if (h)
		kerf_session_close(h->session);
	free(h);
}

int kerf_live_open(struct kerf_graph *g, const struct kerf_plan *plan,
		   struct kerf_engine *const *engines, uint32_t depth, struct kerf_live **out,
		   struct kerf_err *err)
{
	struct kerf_live *l = calloc(1, sizeof(*l));
	uint32_t i;
	int r = -ENOMEM;

	*out = NULL;
	if (!l)
		return r;
	l->graph = g;
	l->engines = engines;
	l->depth = depth ? depth : DEFAULT_DEPTH;
	l->call = calloc((size_t)l->depth * CALLS_A_DEPTH, sizeof(*l->call));
	if (l->call)
		r = hold(l, plan, &l->now, err);
	if (r) {
		free(l->call);
		free(l);
		return r;
	}
	for (i = 0; i < l->depth * CALLS_A_DEPTH; i++) {
		l->call[i].live = l;
		l->call[i].next = l->free;
		l->free = &l->call[i];
	}
	pthread_mutex_init(&l->lock, NULL);
	pthread_cond_init(&l->left, NULL);
	*out = l;
	return 0;
}

void kerf_live_close(struct kerf_live *l)
{
	if (!l)
		return;
	pthread_mutex_lock(&l->lock);
	end(l, l->now);
	pthread_mutex_unlock(&l->lock);
	drop(l->now);
	pthread_cond_destroy(&l->left);
	pthread_mutex_destroy(&l->lock);
	free(l->call);
	free(l);
}

int kerf_live_change(struct kerf_live *l, const struct kerf_plan *plan, struct kerf_err *err)
{
	struct held *next, *old;
	int r = hold(l, plan, &next, err);

	if (r)
		return r;
	pthread_mutex_lock(&l->lock);
	old = l->now;
	l->now = next;
	end(l, old);
	pthread_mutex_unlock(&l->lock);
	drop(old);
	return 0;
}

static struct call *enter(struct kerf_live *l)
{
	struct call *c;

	pthread_mutex_lock(&l->lock);
	c = l->free;
	if (c) {
		l->free = c->next;
		c->held = l->now;
		c->held->users++;
	}
	pthread_mutex_unlock(&l->lock);
	return c;
}

static void leave(struct call *c)
{
	struct kerf_live *l = c->live;

	pthread_mutex_lock(&l->lock);
	if (!--c->held->users)
		pthread_cond_broadcast(&l->left);
	c->next = l->free;
	l->free = c;
	pthread_mutex_unlock(&l->lock);
}

/* A request ended so. Before anybody is told: who was told finds it in the counts. */
static void ended(struct call *c, int status)
{
	struct kerf_live *l = c->live;
	struct kerf_err why = {""};

	if (status)
		kerf_session_why(c->held->session, &why);
	pthread_mutex_lock(&l->lock);
	l->requests++;
	l->failures += status != 0;
	if (status)
		l->why = why;
	pthread_mutex_unlock(&l->lock);
}

static void call_done(void *user, int status)
{
	struct call *c = user;

	ended(c, status);
	c->done(c->user, status);
	leave(c);
}

int kerf_live_submit(struct kerf_live *l, const struct kerf_tensor *in, struct kerf_tensor *out,
		     kerf_session_done done, void *user)
{
	struct call *c = enter(l);
	int r;

	if (!c)
		return -EAGAIN;
	c->done = done;
	c->user = user;
	r = kerf_session_submit(c->held->session, in, out, call_done, c);
	if (r)
		leave(c);
	return r;
}

int kerf_live_run(struct kerf_live *l, const struct kerf_tensor *in, struct kerf_tensor *out)
{
	struct call *c = enter(l);
	int r;

	if (!c)
		return -EAGAIN;
	r = kerf_session_run(c->held->session, in, out, NULL);
	if (r != -EAGAIN)
		ended(c, r);
	leave(c);
	return r;
}

void kerf_live_why(struct kerf_live *l, struct kerf_err *err)
{
	pthread_mutex_lock(&l->lock);
	if (l->why.msg[0])
		kerf_fail(err, 0, "%s", l->why.msg);
	pthread_mutex_unlock(&l->lock);
}

void kerf_live_stats(struct kerf_live *l, struct kerf_session_stats *st)
{
	struct held *h;

	pthread_mutex_lock(&l->lock);
	h = l->now;
	h->users++;
	pthread_mutex_unlock(&l->lock);
	kerf_session_stats(h->session, st);
	pthread_mutex_lock(&l->lock);
	st->requests = l->requests;
	st->failures = l->failures;
	if (!--h->users)
		pthread_cond_broadcast(&l->left);
	pthread_mutex_unlock(&l->lock);
}
