/* SPDX-License-Identifier: MIT */
/*
 * Messages to one peer share a link: of two that are sent at once both come late, and who waits for
 * the first waits longer than need be. So one connection sends at a time, in the order in which
 * they asked, which is what plan/price.c assumes. The next one begins when little of the last
 * message is still in the socket; TCP_NOTSENT_LOWAT keeps that little, and tells when.
 */
#include "exec/remote_conn.h"

#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>

/* The kernel calls a socket writable below half of it. */
#define UNSENT (16 << 10)

void remote_turn_prepare(const struct remote_conn *c)
{
	int unsent = UNSENT;

	/* Without it turns only change earlier. */
	setsockopt(kerf_wire_fd(c->wire), IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof(unsent));
}

bool remote_turn_take(struct remote_conn *c)
{
	struct remote_engine *e = c->e;
	struct remote_conn **at;
	bool mine;

	pthread_mutex_lock(&e->lock);
	for (at = &e->line; *at && *at != c; at = &(*at)->next_in_line)
		;
	if (!*at) {
		c->next_in_line = NULL;
		*at = c;
	}
	mine = e->line == c;
	pthread_mutex_unlock(&e->lock);
	return mine;
}

bool remote_turn_is(const struct remote_conn *c)
{
	bool mine;

	pthread_mutex_lock(&c->e->lock);
	mine = c->e->line == c;
	pthread_mutex_unlock(&c->e->lock);
	return mine;
}

bool remote_turn_nearly_sent(const struct remote_conn *c)
{
	int unsent;

	return ioctl(kerf_wire_fd(c->wire), SIOCOUTQNSD, &unsent) || unsent < UNSENT / 2;
}

void remote_turn_leave(struct remote_conn *c)
{
	struct remote_engine *e = c->e;
	struct remote_conn **at;
	bool next = false;

	pthread_mutex_lock(&e->lock);
	for (at = &e->line; *at && *at != c; at = &(*at)->next_in_line)
		;
	if (*at) {
		next = at == &e->line && c->next_in_line;
		*at = c->next_in_line;
	}
	pthread_mutex_unlock(&e->lock);
	if (next)
		eventfd_write(e->event_fd, 1);
}
