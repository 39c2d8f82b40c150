/* SPDX-License-Identifier: MIT */
/*
 * The peers of this process: their connections, what is expected of transfers to and from them,
 * and what they say of themselves. A peer lives from the first that is heard of it until 64
 * others are wanted and it has no connection.
 *
 * All may be called from any thread. One lock holds for all peers: nothing under it takes longer
 * than a look at each connection, 256 times about 1.5 us.
 */
#ifndef KERF_TELEMETRY_PEERS_H
#define KERF_TELEMETRY_PEERS_H

#include "kerf_state.h"
#include "util/err.h"

#include <stdbool.h>

#define KERF_PEERS (KERF_STATE_NODES - 1)

struct kerf_peers;

struct kerf_peers_config {
	/*
	 * Written by programs, KERF_STATE_LINKS; NULL: connections are asked, if sockets says so.
	 */
	const struct kerf_link_rec *link;
	bool sockets;
	void (*warn)(void *user, const char *line); /* as in telemetry.h */
	void *warn_user;
};

int kerf_peers_open(const struct kerf_peers_config *cfg, struct kerf_peers **p,
		    struct kerf_err *err);
void kerf_peers_close(struct kerf_peers *p); /* NULL allowed */

/* What an observer is told (util/observer.h). */
void kerf_peers_connected(struct kerf_peers *p, const char *url, int fd);
void kerf_peers_disconnected(struct kerf_peers *p, const char *url, int fd);
void kerf_peers_transfer(struct kerf_peers *p, const char *url, const struct kerf_transfer *t);
void kerf_peers_started(struct kerf_peers *p, const char *url, int fd,
			const struct kerf_transfer *t);
void kerf_peers_load(struct kerf_peers *p, const char *url, const char *text, size_t n);

/* Looks at every connection; end: a window ends too, and goodput is made. */
void kerf_peers_sample(struct kerf_peers *p, uint64_t now_ns, bool end);

/*
 * node[KERF_PEERS], zeros or as it was left here before. Returns how many may be taken, free ones
 * among them.
 */
uint32_t kerf_peers_state(struct kerf_peers *p, uint64_t now_ns, struct kerf_node_state *node);

/* As kerf_telemetry_estimate(). */
void kerf_peers_estimate(struct kerf_peers *p, const char *url, bool down, uint64_t now_ns,
			 struct kerf_link_estimate *est);

/*
 * Rates that transfers to the node at url went at, oldest first, bytes/s: the last ones, at most
 * max, of those large enough for a rate to be told from latency. Returns how many are in rate[];
 * *all (may be NULL): how many there have ever been.
 */
#define KERF_PEER_RATES 256
uint32_t kerf_peers_rates(struct kerf_peers *p, const char *url, double *rate, uint32_t max,
			  uint64_t *all);

/* Connections as they were last seen, [KERF_STATE_LINKS]: records without seq. */
void kerf_peers_links(struct kerf_peers *p, struct kerf_link_rec *out);

/* Transfers from now on go there too, [KERF_STATE_TRANSFERS]; NULL: no more. */
void kerf_peers_log(struct kerf_peers *p, struct kerf_transfer_rec *ring);

#endif
