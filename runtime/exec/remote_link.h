/* SPDX-License-Identifier: MIT */
/* What one node says of its link to another. */
#ifndef KERF_EXEC_REMOTE_LINK_H
#define KERF_EXEC_REMOTE_LINK_H

#include "kerf_state.h"
#include "util/err.h"

/*
 * Asks the node at url; it may probe the link first, which takes some tenths of a second. up: from
 * it to peer. Blocks, 45 s at most. -ENOENT: it is no node that knows of links.
 */
int kerf_remote_link(const char *url, const char *peer, bool insecure,
		     struct kerf_link_estimate *up, struct kerf_link_estimate *down,
		     struct kerf_err *err);

#endif
