/* SPDX-License-Identifier: MIT */
/*
 * POST /kerf/v1/links: what a node knows of its link to another, or finds out. Estimates are those
 * of kerf_state.h; ages travel in place of times, as clocks differ.
 */
#ifndef KERF_NET_LINK_REQUEST_H
#define KERF_NET_LINK_REQUEST_H

#include "kerf_state.h"
#include "util/err.h"

#include <stddef.h>

/* {"peer": "http://host:port"}; decoding checks the form. */
int kerf_link_request_encode(const char *peer, char **text); /* malloc'ed */
int kerf_link_request_decode(const char *text, size_t n, char peer[KERF_URL_BYTES],
			     struct kerf_err *err);

/* From the node to the peer, and back. A figure that cannot be is -EPROTO. */
int kerf_link_reply_encode(const struct kerf_link_estimate *up,
			   const struct kerf_link_estimate *down, char **text);
int kerf_link_reply_decode(const char *text, size_t n, struct kerf_link_estimate *up,
			   struct kerf_link_estimate *down, struct kerf_err *err);

#endif
