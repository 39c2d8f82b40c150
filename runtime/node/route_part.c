/* SPDX-License-Identifier: MIT */
/* Slices with ports: home's run, and the messages of neighbours. */
#include "node/node_priv.h"
#include "node/part.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How long a message waits for a slot before it gets 503. */
#define WAIT_MS 10000

struct exchange {
	struct kerf_served *s;
	struct part_slot *slot; /* NULL: no place there yet */
	uint64_t request;
	uint32_t port; /* KERF_PART_HOME: run */
	bool failed;   /* the message says so */
	bool wrong;    /* it has another length than the port's */
	bool come;     /* it is the slot's now */
	bool again;    /* the message has come before */
	bool left;     /* home has gone */
};

static struct kerf_node *node_of(struct kerf_http_request *r)
{
	return r->server_user;
}

static int parse_request(struct kerf_http_request *r, uint64_t *request)
{
	const char *s = kerf_http_header(r, "Kerf-Request");
	uint64_t v = 0;
	size_t i, n = s ? strlen(s) : 0;

	if (!n || n > 20 || s[strspn(s, "0123456789")])
		return kerf_http_error(r, 400, "Kerf-Request is '%.40s', expected a number", s ? s : "");
	for (i = 0; i < n; i++)
		if (__builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(s[i] - '0'), &v))
			return kerf_http_error(r, 400, "Kerf-Request is '%.40s', more than 64 bits", s);
	*request = v;
	return 0;
}

static void begin(struct kerf_http_request *r, struct exchange *q)
{
	struct kerf_err err = {""};
	uint64_t want;
	int status;

	q->s = kerf_node_slice(node_of(r), r->arg[0]);
	if (!q->s || !q->s->part) {
		kerf_http_error(r, 404, "no slice '%s'%s", r->arg[0], q->s ? " with ports" : "");
		return;
	}
	if (parse_request(r, &q->request))
		return;
	status = kerf_node_part_length(q->s->part, q->port, &want, &err);
	if (status) {
		kerf_http_error_code(r, status, &err);
		return;
	}
	if (q->failed)
		want = KERF_PART_WHY;
	q->wrong = r->length != want;
	if (q->wrong && r->length > want) {
		/* The body is not read, so the request is failed here. */
		r->route->end(r);
		return;
	}
	if (q->wrong || q->failed)
		return; /* the server keeps the body */
	/* Without a slot the server keeps it too, and a slot is waited for when it is whole. */
	status = kerf_node_part_claim(q->s->part, q->port, q->request, 0, &q->slot, &err);
	q->again = status == -EALREADY;
	if (status && status != -EAGAIN && !q->again)
		kerf_http_error_code(r, status, &err);
	r->in_pieces = !status;
}

void kerf_route_run_begin(struct kerf_http_request *r)
{
	struct exchange *q = calloc(1, sizeof(*q));

	r->user = q;
	if (!q) {
		kerf_http_error(r, 503, "out of memory");
		return;
	}
	q->port = KERF_PART_HOME;
	q->failed = kerf_http_header(r, "Kerf-Failed") != NULL;
	begin(r, q);
}

void kerf_route_port_begin(struct kerf_http_request *r)
{
	struct exchange *q = calloc(1, sizeof(*q));
	const char *s = r->arg[1];

	r->user = q;
	if (!q) {
		kerf_http_error(r, 503, "out of memory");
		return;
	}
	if (strlen(s) > 4 || s[strspn(s, "0123456789")]) {
		kerf_http_error(r, 404, "no port '%.40s'", s);
		return;
	}
	q->port = (uint32_t)strtoul(s, NULL, 10);
	q->failed = kerf_http_header(r, "Kerf-Failed") != NULL;
	begin(r, q);
}

void kerf_route_message_body(struct kerf_http_request *r, const void *data, size_t n)
{
	const struct exchange *q = r->user;

	memcpy(kerf_node_part_room(q->slot, q->port) + r->got, data, n);
}

/* The whole message goes to its slot. 0, or replied. */
static int hand_over(struct kerf_http_request *r, struct exchange *q)
{
	char wrong[KERF_PART_WHY] = "", by[24];
	const void *data = r->body;
	struct kerf_err err = {""};
	int status = 0;

	if (q->wrong) {
		snprintf(by, sizeof(by), q->port == KERF_PART_HOME ? "run" : "port %u", q->port);
		snprintf(wrong, sizeof(wrong), "slice %.64s: %llu bytes by %s, not what it takes",
			 r->arg[0], (unsigned long long)r->length, by);
		data = wrong;
	}
	if (!q->slot && !q->again) {
		status = kerf_node_part_claim(q->s->part, q->port, q->request,
					      q->wrong ? 0 : WAIT_MS, &q->slot, &err);
		q->again = status == -EALREADY;
	} else if (r->in_pieces) {
		data = kerf_node_part_room(q->slot, q->port);
	}
	if (q->again) {
		q->come = q->slot != NULL;
		status = q->slot ? kerf_node_part_again(q->slot, q->port, data,
							q->failed || q->wrong, &err)
				 : 0;
	} else if (!status) {
		q->come = true;
		status = kerf_node_part_come(q->slot, q->port, data, q->failed || q->wrong, &err);
	}
	if (q->wrong)
		return kerf_http_error(r, 400, "%s", wrong);
	/* Home is told how the request failed. */
	if (!status || (q->come && !q->again && q->port == KERF_PART_HOME))
		return 0;
	return kerf_http_error_code(r, status, &err), -1;
}

void kerf_route_port(struct kerf_http_request *r)
{
	if (!hand_over(r, r->user))
		kerf_http_reply(r, 204, NULL, "");
}

static bool gone(void *user)
{
	return kerf_http_gone(user);
}

void kerf_route_run(struct kerf_http_request *r)
{
	struct exchange *q = r->user;
	struct kerf_err err = {""};
	struct kerf_http_part part;
	uint64_t bytes, busy_ns;
	char number[32];
	int status;

	if (q->failed) {
		if (q->wrong) {
			kerf_http_error(r, 400, "a sentence of %llu bytes, expected %d",
					(unsigned long long)r->length, KERF_PART_WHY);
			return;
		}
		kerf_node_part_fail(q->s->part, q->request, r->body);
		kerf_http_reply(r, 204, NULL, "");
		return;
	}
	if (hand_over(r, q))
		return;
	status = kerf_node_part_wait(q->slot, gone, r, &part.data, &bytes, &busy_ns, &err);
	q->left = status == -ECANCELED && gone(r);
	if (status) {
		kerf_http_error_code(r, status, &err);
		return;
	}
	snprintf(number, sizeof(number), "%llu", (unsigned long long)busy_ns);
	kerf_http_reply_header(r, "Kerf-Busy-Ns", number);
	part.size = bytes;
	if (part.data)
		kerf_http_reply_parts(r, 200, "application/octet-stream", &part, 1);
	else
		kerf_http_reply(r, 204, NULL, "");
}

void kerf_route_message_done(struct kerf_http_request *r)
{
	struct exchange *q = r->user;

	if (!q)
		return;
	if (q->slot && !q->come)
		kerf_node_part_broken(q->slot, q->port, q->again);
	else if (q->slot && q->port == KERF_PART_HOME && q->left)
		kerf_node_part_left(q->slot);
	else if (q->slot && q->port == KERF_PART_HOME)
		kerf_node_part_answered(q->slot);
	if (q->s)
		kerf_node_put(node_of(r), q->s);
	free(q);
}
