/* SPDX-License-Identifier: MIT */
/*
 * The head of an HTTP/1.1 reply, read where it lies: the hot path of the remote engine
 * has no use for a list of headers, only for these fields.
 */
#ifndef KERF_NET_HTTP_HEAD_H
#define KERF_NET_HTTP_HEAD_H

#include "kerf_state.h"
#include "util/err.h"

#include <sys/types.h>

#define KERF_HTTP_REPLY_HEAD_MAX (8u << 10)

struct kerf_http_head {
	int status;
	bool close;	    /* the peer closes the connection after the body */
	uint64_t length;    /* of the body */
	int64_t oip_length; /* Inference-Header-Content-Length; -1 if absent */
	/* What a node tells of itself: absent also if it is no number or too long. */
	uint64_t busy_ns;   /* Kerf-Busy-Ns; 0 if absent */
	int64_t hold_ns;    /* Kerf-Hold-Ns; -1 if absent */
	const char *load;   /* Kerf-Load, in the buffer: not checked, not terminated; NULL if absent */
	size_t load_size;   /* less than KERF_LOAD_TEXT */
};

/*
 * Bytes of the head with its blank line; 0 if more are needed; -EMSGSIZE if there is no
 * end within KERF_HTTP_REPLY_HEAD_MAX; -EPROTO if it is not HTTP/1.1 or has no
 * Content-Length (kerf nodes always send one). Heads of 1xx are skipped and counted.
 */
ssize_t kerf_http_head_parse(const char *buf, size_t n, struct kerf_http_head *head);

#endif
