/* SPDX-License-Identifier: MIT */
/* A relay before a node: its bytes can be watched, held up and lost; for tests. */
#ifndef KERF_TESTS_NET_RELAY_H
#define KERF_TESTS_NET_RELAY_H

#include "net_node.h"

#include "net/listen.h"

#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* So many at once, and little more waits in the sockets before it. */
#define NET_RELAY_BYTES (16u << 10)

/*
 * pass is called with what goes up to the node or comes down, on a thread of the connection's own;
 * connections are numbered from 0 as they come. False: it is lost.
 */
struct net_relay {
	bool (*pass)(void *user, uint32_t conn, bool up, const char *data, size_t n);
	void *user;
	char url[64];
	int listen;
	uint16_t to;
	uint32_t n_conn;
	pthread_t thread;
};

struct net_relay_pipe {
	struct net_relay *relay;
	uint32_t conn;
	int fd[2]; /* the client's, the node's */
};

static inline void *net_relay_pump(void *arg)
{
	struct net_relay_pipe *p = arg;
	struct pollfd fd[2] = {{.fd = p->fd[0], .events = POLLIN},
			       {.fd = p->fd[1], .events = POLLIN}};
	char buf[NET_RELAY_BYTES];
	ssize_t n = 1;
	int i;

	while (n > 0) {
		poll(fd, 2, -1);
		for (i = 0; i < 2 && n > 0; i++) {
			if (!fd[i].revents)
				continue;
			n = recv(p->fd[i], buf, sizeof(buf), 0);
			if (n > 0 && p->relay->pass(p->relay->user, p->conn, !i, buf, (size_t)n))
				net_send(p->fd[!i], buf, (size_t)n);
		}
	}
	close(p->fd[0]);
	close(p->fd[1]);
	free(p);
	return NULL;
}

static inline void *net_relay_accept(void *arg)
{
	struct net_relay *r = arg;
	struct test_node to = {.port = r->to};
	int small = NET_RELAY_BYTES;
	pthread_t thread;
	int fd;

	while ((fd = accept(r->listen, NULL, NULL)) >= 0) {
		struct net_relay_pipe *p = malloc(sizeof(*p));

		if (!p)
			abort();
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
		*p = (struct net_relay_pipe){r, r->n_conn++, {fd, net_connect(&to)}};
		if (pthread_create(&thread, NULL, net_relay_pump, p))
			abort();
		pthread_detach(thread);
	}
	return NULL;
}

static inline void net_relay_open(struct net_relay *r, uint16_t to)
{
	uint16_t port = 0;

	r->to = to;
	r->listen = kerf_listen("127.0.0.1:0", false, &port, NULL);
	assert_true(r->listen >= 0);
	snprintf(r->url, sizeof(r->url), "http://127.0.0.1:%u", port);
	assert_int_equal(pthread_create(&r->thread, NULL, net_relay_accept, r), 0);
}

/* Its connections end when either side's do. */
static inline void net_relay_close(struct net_relay *r)
{
	shutdown(r->listen, SHUT_RDWR);
	pthread_join(r->thread, NULL);
	close(r->listen);
}

#endif
