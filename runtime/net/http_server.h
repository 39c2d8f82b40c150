/* SPDX-License-Identifier: MIT */
/*
 * An HTTP/1.1 server with a route table, bounded in everything a peer can ask for.
 *
 * A route is served in up to four steps, all on the connection's own thread, so that
 * each of them may block:
 *
 *   begin  the head is in. May reply at once, which refuses the body; may set
 *	    r->in_pieces.
 *   body   one piece of the body, if r->in_pieces; may reply, and the rest is dropped.
 *	    Without it the server keeps the body in memory (r->body) and charges it to
 *	    the budget.
 *   end    the body is whole. Must reply.
 *   done   the reply is sent or the connection is gone; what the reply pointed to is
 *	    free again. Called exactly once if begin was called.
 *
 * Limits. Head: 32 KiB. Body: the route's max_body, told before a byte of it is read;
 * a body needs a Content-Length (411). Connections: max_connections. Time: a head must
 * be whole 10 s after its first byte, a body after 30 s plus a second for each 32 KiB,
 * else 408; an idle connection is closed after 75 s. Bodies kept in memory: body_budget
 * bytes all together, else 503.
 */
#ifndef KERF_NET_HTTP_SERVER_H
#define KERF_NET_HTTP_SERVER_H

#include "util/err.h"

#define KERF_HTTP_ARGS 2
#define KERF_HTTP_ARG_MAX 160
#define KERF_HTTP_HEAD_MAX (32u << 10)

struct kerf_http_server;
struct kerf_http_request;

struct kerf_http_route {
	const char *method;
	const char *pattern; /* "/v2/models/?/infer": each '?' is one segment, r->arg[i] */
	uint64_t max_body;   /* 0: no body */
	void (*begin)(struct kerf_http_request *r);
	void (*body)(struct kerf_http_request *r, const void *data, size_t n);
	void (*end)(struct kerf_http_request *r);
	void (*done)(struct kerf_http_request *r);
};

struct kerf_http_request {
	void *server_user;
	void *user; /* the handler's */
	const struct kerf_http_route *route;
	char arg[KERF_HTTP_ARGS][KERF_HTTP_ARG_MAX];
	uint64_t length; /* of the body */
	uint64_t got;	 /* of it, before this piece */
	bool in_pieces;	 /* set by begin */
	/* At end: the whole body, length bytes and a NUL, if the server kept it. */
	char *body;
};

/* Part of a reply. */
struct kerf_http_part {
	const void *data;
	size_t size;
};

struct kerf_http_config {
	const char *listen; /* "127.0.0.1:8470", "[::1]:8470"; port 0: any free one */
	bool insecure;	    /* allow other addresses than loopback */
	uint32_t max_connections; /* 0: 64 */
	uint64_t body_budget;	  /* 0: 256 MiB */
	uint32_t head_timeout_ms; /* 0: 10 s */
	uint32_t body_timeout_ms; /* 0: 30 s; more for large bodies */
	const struct kerf_http_route *routes; /* ended by a NULL method; not copied */
	/*
	 * Just before a reply is sent, for headers that every reply carries. hold_ns: since the
	 * request's last byte was read; -1 if it was not whole. NULL: none.
	 */
	void (*reply)(struct kerf_http_request *r, int64_t hold_ns);
	void *user;
};

/* -EPERM for a non-loopback address without insecure; -ENOSYS if built without the library. */
int kerf_http_server_open(const struct kerf_http_config *cfg, struct kerf_http_server **server,
			  struct kerf_err *err);
/* Takes no new connection or request; waits for requests being answered. NULL allowed. */
void kerf_http_server_close(struct kerf_http_server *server);
uint16_t kerf_http_server_port(const struct kerf_http_server *server);

/* --- For handlers --- */

/* NULL when absent. Names are case-insensitive. Valid until done. */
const char *kerf_http_header(struct kerf_http_request *r, const char *name);
const char *kerf_http_query(struct kerf_http_request *r, const char *name);

/*
 * Before the reply: copied, at most 127 bytes, at most 8 of them, the rest are dropped. After
 * it, so from the configuration's reply(): any length that fits in a head.
 */
void kerf_http_reply_header(struct kerf_http_request *r, const char *name, const char *value);

/*
 * The reply, once a request. Text is copied. Parts are not: they stay the handler's
 * and must not change until done.
 */
void kerf_http_reply(struct kerf_http_request *r, int status, const char *type, const char *text);
void kerf_http_reply_parts(struct kerf_http_request *r, int status, const char *type,
			   const struct kerf_http_part *part, uint32_t n_part);

/* {"error": "sentence"}, as the Open Inference Protocol wants it. Returns status. */
int kerf_http_error(struct kerf_http_request *r, int status, const char *fmt, ...)
	KERF_PRINTF(3, 4);
/* The same from a function's result: -ENOENT 404, -EINVAL 400, -ENOSPC 507, and so on. */
int kerf_http_error_code(struct kerf_http_request *r, int code, const struct kerf_err *err);

/* The peer has closed its connection: nobody waits for the reply. */
bool kerf_http_gone(struct kerf_http_request *r);

/* Charges bytes to the body budget: false (the caller says 503) when it is spent. */
bool kerf_http_charge(struct kerf_http_request *r, uint64_t bytes);

#endif
