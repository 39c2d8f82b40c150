/* SPDX-License-Identifier: MIT */
/*
 * The client's side of HTTP, on libcurl, in two forms: calls for everything that is not
 * in a hurry, and a wire, a bare connection that the remote engine drives itself so
 * that a reply's body is received straight into the tensor it belongs to.
 *
 * Plain TCP goes to loopback only, unless insecure. A connect takes at most 2 s; a peer
 * that vanished is noticed within about 5 s by keep-alive probes.
 *
 * A client or wire is used by one thread at a time.
 */
#ifndef KERF_NET_HTTP_CLIENT_H
#define KERF_NET_HTTP_CLIENT_H

#include "util/err.h"

#include <sys/types.h>

struct kerf_http_client;
struct kerf_wire;

struct kerf_http_call {
	const char *method, *path; /* path starts with '/' */
	const char *type;	   /* Content-Type of the body; NULL: JSON */
	const char *header;	   /* one more, "Name: value"; or NULL */
	const void *body;
	size_t size;
	size_t max_reply;    /* 0: 1 MiB */
	uint32_t timeout_ms; /* 0: 10 s */
	/*
	 * Asked about once a second and when something goes on: false breaks the call off, with
	 * -EIO. moved: bytes came, or were taken, since the last time. NULL: it goes on.
	 */
	bool (*going)(void *user, bool moved);
	void *user;
};

struct kerf_http_result {
	int status;
	char *body; /* size bytes and a NUL; free() it */
	size_t size;
};

/* base: "http://host:port". -EPERM beyond loopback without insecure. No I/O but a look-up. */
int kerf_http_client_open(const char *base, bool insecure, struct kerf_http_client **c,
			  struct kerf_err *err);
void kerf_http_client_close(struct kerf_http_client *c); /* NULL allowed */

/* 0 with any status; -EIO, -ECONNREFUSED or -ETIMEDOUT when there was no reply. */
int kerf_http_call(struct kerf_http_client *c, const struct kerf_http_call *call,
		   struct kerf_http_result *result, struct kerf_err *err);

/* The same, and a status other than 2xx is an error with the peer's sentence. */
int kerf_http_call_ok(struct kerf_http_client *c, const struct kerf_http_call *call,
		      struct kerf_http_result *result, struct kerf_err *err);

/* Connects; base as above. */
int kerf_wire_open(const char *base, bool insecure, struct kerf_wire **w, struct kerf_err *err);
void kerf_wire_close(struct kerf_wire *w); /* NULL allowed */
int kerf_wire_fd(const struct kerf_wire *w);

/* Bytes moved, 0: would block (recv: use poll), -EPIPE: the peer closed, -EIO. */
ssize_t kerf_wire_send(struct kerf_wire *w, const void *data, size_t n);
ssize_t kerf_wire_recv(struct kerf_wire *w, void *data, size_t n);

/* base becomes "http://host:port", *host points into it, *rest at what follows in url. */
int kerf_url_split(const char *url, char *base, size_t base_size, const char **host,
		   const char **rest, struct kerf_err *err);

#endif
