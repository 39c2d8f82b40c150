/* SPDX-License-Identifier: MIT */
/*
 * Whether a peer is still there. Its kernel acknowledges and takes connections long after its
 * process was stopped or hangs, so only what the process itself does counts: bytes of a reply,
 * bytes of ours that it took, and an answer to a question, GET /v2/health/live, which any server of
 * the protocol answers without work.
 *
 * While a job or a call is under way and nothing moves for a fifth of the patience, it is asked, on a
 * connection of its own. A peer that has answered may take as long as its job needs; on a slow link the
 * bytes themselves say that it lives, however long they take. If the patience ends with neither, it
 * is lost. Time in which this process itself did not run counts for nothing: what has come
 * meanwhile is read before anybody looks at a clock.
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
}

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

/* A connection that cannot be made is a question without an answer. */
static void ask(struct remote_engine *e)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = &e->question};
	char text[400];
	int n = snprintf(text, sizeof(text),
			 "GET /v2/health/live HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", e->host);

	e->asked_ns = kerf_now_ns();
	if (kerf_wire_open(e->url, e->insecure, &e->question, NULL)) {
		e->question = NULL;
		return;
	}
	if (kerf_wire_send(e->question, text, (size_t)n) != n ||
	    epoll_ctl(e->epoll_fd, EPOLL_CTL_ADD, kerf_wire_fd(e->question), &ev)) {
		kerf_wire_close(e->question);
		e->question = NULL;
	}
}

bool remote_life_lost(struct remote_engine *e, uint64_t since_ns, struct kerf_err *why)
{
	uint64_t now = kerf_now_ns();

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
		if (now > since_ns + e->patience_ns / 5)
			ask(e);
		return false;
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
}
