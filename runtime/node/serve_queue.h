/* SPDX-License-Identifier: MIT */
/*
 * kerfd as an engine server: local processes that submit to the kernel's queue NAME have
 * their slices prepared and run here, on one of the node's engines.
 *
 * Clients share their buffers' memory with this process and may write there at any time.
 * So tensors stay where they are only where no operator's control depends on their
 * contents; the others are copied.
 */
#ifndef KERF_NODE_SERVE_QUEUE_H
#define KERF_NODE_SERVE_QUEUE_H

#include "node/node_priv.h"

struct kerf_node_serve;

/* spec: one of the node's engines. lost is called when the kernel has given this server up. */
int kerf_node_serve_open(struct kerf_node *n, const char *spec, const char *name,
			 void (*lost)(void *user), void *user, struct kerf_node_serve **s,
			 struct kerf_err *err);
void kerf_node_serve_close(struct kerf_node_serve *s); /* NULL allowed */

#endif
