/* SPDX-License-Identifier: MIT */
/*
 * Whether a peer is still there. Its kernel acknowledges and takes connections long after its
 * process was stopped or hangs, so only what the process itself does counts: bytes of a reply,
 * bytes of ours that it took, and an answer to a question, GET /v2/health/live, which any server of
 * the protocol answers without work.
 *
 * While a job or a call is under way and nothing moves for a fifth of the patience, it is asked, on
 * a connection of its own. A peer that has answered may take as long as its job needs; on a slow
 * link the bytes themselves say that it lives, however long they take. If the patience ends with
 * neither, it is lost. Time in which this process itself did not run counts for nothing: what has
 * come meanwhile is read before anybody looks at a clock.
 */
#include "exec/remote.h"

#include "net/http_client.h"
#include "util/clock.h"

#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

#define PATIENCE_NS 10000000000u

void remote_life_init(struct remote_engine *e)
{
	if (!e->patience_ns)
		e->patience_ns = PATIENCE_NS;
	pthread_mutex_init(&e->watch_lock, NULL);
}

/* --- Who waits without a job --- */

void remote_life_watch(struct kerf_engine *engine, struct kerf_watch *w)
{
	struct remote_engine *e = (struct remote_engine *)engine;
	struct kerf_err why = {""};

	pthread_mutex_lock(&e->watch_lock);
	w->next = e->watch;
	e->watch = w;
	if (e->told && remote_wire_lost(e, &why))
		w->lost(w, why.msg);
	pthread_mutex_unlock(&e->watch_lock);
}

void remote_life_unwatch(struct kerf_engine *engine, struct kerf_watch *w)
{
	struct remote_engine *e = (struct remote_engine *)engine;
	struct kerf_watch **p;

	pthread_mutex_lock(&e->watch_lock);
	for (p = &e->watch; *p && *p != w; p = &(*p)->next)
		;
	if (*p)
		*p = w->next;
	pthread_mutex_unlock(&e->watch_lock);
}

/* 0: nobody waits. */
static uint64_t watched_since(struct remote_engine *e)
{
	uint64_t since = 0, t;
	struct kerf_watch *w;

	pthread_mutex_lock(&e->watch_lock);
	for (w = e->watch; w; w = w->next) {
		t = __atomic_load_n(&w->since_ns, __ATOMIC_RELAXED);
		if (__atomic_load_n(&w->waiting, __ATOMIC_ACQUIRE) && (!since || t < since))
			since = t;
	}
	pthread_mutex_unlock(&e->watch_lock);
	return since;
}

void remote_life_tell(struct remote_engine *e)
{
	struct kerf_err why = {""};
	struct kerf_watch *w;

	if (e->told || !remote_wire_lost(e, &why))
		return;
	pthread_mutex_lock(&e->watch_lock);
	e->told = true;
	for (w = e->watch; w; w = w->next)
		w->lost(w, why.msg);
	pthread_mutex_unlock(&e->watch_lock);
}

/* --- Questions --- */

int remote_life_tick_ms(const struct remote_engine *e)
{
	uint64_t ms = e->patience_ns / 10000000u;

	return (int)KERF_MIN(KERF_MAX(ms, (uint64_t)10), (uint64_t)1000);
}

static void drop_question(struct remote_engine *e)
{
	if (e->question) {
		epoll_ctl(e->epoll_fd, EPOLL_CTL_DEL, kerf_wire_fd(e->question), NULL);
		kerf_wire_close(e->question);
	}
	e->question = NULL;
	e->asked_ns = 0;
}

void remote_life_heard(struct remote_engine *e)
{
	__atomic_store_n(&e->heard, true, __ATOMIC_RELAXED);
}

void remote_life_answered(struct remote_engine *e)
{
	remote_life_heard(e);
	drop_question(e);
}

/*
 * A connection that cannot be made is a question without an answer, but one that is refused says
 * that the process is gone. True if so.
 */
static bool ask(struct remote_engine *e, struct kerf_err *why)
{
	struct kerf_err err = {""};
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = &e->question};
	char text[400];
	int r, n = snprintf(text, sizeof(text),
			 "GET /v2/health/live HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", e->host);

	e->asked_ns = kerf_now_ns();
	r = kerf_wire_open(e->url, e->insecure, &e->question, &err);
	if (r) {
		e->question = NULL;
		if (r == -ECONNREFUSED)
			kerf_fail(why, r, "%s", err.msg);
		return r == -ECONNREFUSED;
	}
	if (kerf_wire_send(e->question, text, (size_t)n) != n ||
	    epoll_ctl(e->epoll_fd, EPOLL_CTL_ADD, kerf_wire_fd(e->question), &ev)) {
		kerf_wire_close(e->question);
		e->question = NULL;
	}
	return false;
}

bool remote_life_lost(struct remote_engine *e, uint64_t since_ns, struct kerf_err *why)
{
	uint64_t now = kerf_now_ns(), watched = watched_since(e);
	bool at_once = e->suspect;

	e->suspect = false;
	if (watched && (!since_ns || watched < since_ns))
		since_ns = watched;
	if (__atomic_exchange_n(&e->heard, false, __ATOMIC_RELAXED)) {
		e->heard_ns = now;
		drop_question(e);
	}
	if (!since_ns) {
		drop_question(e);
		return false;
	}
	since_ns = KERF_MAX(since_ns, e->heard_ns);
	if (!e->asked_ns) {
		return (at_once || now > since_ns + e->patience_ns / 5) && ask(e, why);
	}
	if (now < since_ns + e->patience_ns || now < e->asked_ns + e->patience_ns / 5 * 4)
		return false;
	kerf_fail(why, -EIO, "%s: no sign of life for %.3g s: nothing moved, and GET /v2/health/live was "
			     "not answered", e->url, (double)(now - since_ns) * 1e-9);
	drop_question(e);
	return true;
}

void remote_life_finish(struct remote_engine *e)
{
	drop_question(e);
	pthread_mutex_destroy(&e->watch_lock);
}
