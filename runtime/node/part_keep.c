/* SPDX-License-Identifier: MIT */
/* What parts share: links to neighbours, and the thread that looks after them all. */
#include "node/node_priv.h"
#include "node/part.h"
#include "util/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How late a request's end may be noticed. */
#define TICK_NS 500000000u

/* --- Links --- */

/* Slices are prepared one at a time, so connecting under the lock keeps nobody else waiting. */
int kerf_node_link_get(struct kerf_node *n, const char *url, struct kerf_node_link **link,
		       struct kerf_err *err)
{
	struct kerf_node_link *l;
	int r = 0;

	pthread_mutex_lock(&n->link_lock);
	for (l = n->link; l; l = l->next)
		if (!strcmp(l->url, url) && !kerf_neighbour_lost(l->neighbour))
			break;
	if (!l) {
		l = calloc(1, sizeof(*l));
		r = l ? kerf_neighbour_open(url, n->insecure, n->observer, &l->neighbour, err)
		      : -ENOMEM;
		if (r) {
			free(l);
			goto out;
		}
		snprintf(l->url, sizeof(l->url), "%s", url);
		l->next = n->link;
		n->link = l;
	}
	l->refs++;
	*link = l;
out:
	pthread_mutex_unlock(&n->link_lock);
	return r;
}

void kerf_node_link_put(struct kerf_node *n, struct kerf_node_link *l)
{
	struct kerf_node_link **p;

	if (!l)
		return;
	pthread_mutex_lock(&n->link_lock);
	if (--l->refs) {
		pthread_mutex_unlock(&n->link_lock);
		return;
	}
	for (p = &n->link; *p != l; p = &(*p)->next)
		;
	*p = l->next;
	pthread_mutex_unlock(&n->link_lock);
	kerf_engine_close(l->neighbour);
	free(l);
}

/* --- The keeper --- */

/* References to all slices that have ports; how many. Under n->lock. */
static uint32_t hold_parts(struct kerf_node *n, struct kerf_served *list[KERF_NODE_SLICES])
{
	struct kerf_served *s;
	uint32_t k = 0;

	for (s = n->served; s; s = s->next) {
		if (!s->part)
			continue;
		s->refs++;
		list[k++] = s;
	}
	return k;
}

static void *keep(void *arg)
{
	struct kerf_served *list[KERF_NODE_SLICES], *s;
	struct kerf_node *n = arg;
	uint64_t tick = KERF_MIN(n->part_timeout_ns / 4, (uint64_t)TICK_NS), next = 0, now;
	struct timespec ts;
	uint32_t i, k;

	pthread_mutex_lock(&n->lock);
	while (!n->stopping || n->put) {
		s = n->put;
		if (s) {
			n->put = s->next;
			pthread_mutex_unlock(&n->lock);
			kerf_served_free(s);
			pthread_mutex_lock(&n->lock);
			continue;
		}
		now = kerf_now_ns();
		k = now >= next ? hold_parts(n, list) : 1;
		if (now >= next && k) {
			next = now + tick;
			pthread_mutex_unlock(&n->lock);
			for (i = 0; i < k; i++) {
				kerf_node_part_expire(list[i]->part, now);
				kerf_node_put(n, list[i]);
			}
			pthread_mutex_lock(&n->lock);
			continue;
		}
		ts.tv_sec = (time_t)(next / 1000000000u);
		ts.tv_nsec = (long)(next % 1000000000u);
		if (k)
			pthread_cond_timedwait(&n->changed, &n->lock, &ts);
		else
			pthread_cond_wait(&n->changed, &n->lock);
	}
	pthread_mutex_unlock(&n->lock);
	return NULL;
}

int kerf_node_keep(struct kerf_node *n, struct kerf_err *err)
{
	int r = -pthread_create(&n->keeper, NULL, keep, n);

	n->has_keeper = !r;
	return r ? kerf_fail(err, r, "cannot start a thread: %s", strerror(-r)) : 0;
}

static void each_part(struct kerf_node *n, void (*fn)(struct kerf_node_part *p))
{
	struct kerf_served *list[KERF_NODE_SLICES];
	uint32_t i, k;

	pthread_mutex_lock(&n->lock);
	k = hold_parts(n, list);
	pthread_mutex_unlock(&n->lock);
	for (i = 0; i < k; i++) {
		fn(list[i]->part);
		kerf_node_put(n, list[i]);
	}
}

static void stop(struct kerf_node_part *p)
{
	kerf_node_part_stop(p, "the node ends");
}

void kerf_node_stop_parts(struct kerf_node *n)
{
	each_part(n, stop);
}

/* No request is being answered any more; jobs and messages may still be under way. */
void kerf_node_keep_end(struct kerf_node *n)
{
	struct kerf_served *s;
	bool busy = true;

	if (!n->has_keeper)
		return;
	each_part(n, stop); /* those made since */
	each_part(n, kerf_node_part_drain);
	pthread_mutex_lock(&n->lock);
	n->stopping = true;
	pthread_cond_broadcast(&n->changed);
	/* Who ended a message or a job may not have let go of its slice yet. */
	while (busy) {
		busy = false;
		for (s = n->served; s; s = s->next)
			busy = busy || s->refs;
		if (busy)
			pthread_cond_wait(&n->changed, &n->lock);
	}
	pthread_mutex_unlock(&n->lock);
	pthread_join(n->keeper, NULL);
}
