/* SPDX-License-Identifier: MIT */
/* Replies to a remote engine's jobs, received straight into their outputs. */
#include "exec/remote_conn.h"
#include "util/clock.h"

#include <string.h>

#define FIRST_READ (4u << 10)
#define SAME_LOAD_NS 50000000u

bool remote_reply_good(const struct remote_conn *c)
{
	return c->head.status == 200 || (c->head.status == 204 && remote_program_of(c->job)->raw);
}

/* The heads are whole in rx: checks them, sets dims. Returns their size, 0: more, or -EPROTO. */
static ssize_t read_heads(struct remote_conn *c)
{
	struct remote_program *p = remote_program_of(c->job);
	struct kerf_tensor *out = c->job->out;
	int64_t at[KERF_OIP_TENSORS];
	uint64_t next = 0;
	ssize_t n = kerf_http_head_parse(c->rx, c->rx_size, &c->head);
	const char *oip = c->rx + n;
	uint64_t len;
	uint32_t i;

	if (n <= 0)
		return n;
	if (!remote_reply_good(c)) {
		c->expected = c->head.length;
		return n;
	}
	if (p->raw) {
		c->expected = c->head.length;
		return c->expected == p->out_bytes ? n : -EPROTO;
	}
	if (c->head.oip_length < 0 || (uint64_t)c->head.oip_length > c->head.length ||
	    (uint64_t)n + (uint64_t)c->head.oip_length > REMOTE_HEAD_ROOM)
		return -EPROTO;
	len = (uint64_t)c->head.oip_length;
	if (c->rx_size - (size_t)n < len)
		return 0;
	c->expected = c->head.length - len;
	/* The usual case: the very bytes that were predicted when the slice was prepared. */
	if (len == p->reply_size && !memcmp(oip, p->reply, len)) {
		for (i = 0; i < p->spec.n_out; i++)
			memcpy(out[i].dims, p->out[i].t.dims, sizeof(out[i].dims));
		return c->expected == p->out_bytes ? n + (ssize_t)len : -EPROTO;
	}
	if (kerf_oip_reply_decode(&p->spec, oip, len, c->expected, p->bounded, out, at, NULL))
		return -EPROTO;
	for (i = 0; i < p->spec.n_out; i++) {
		if (at[i] != (int64_t)next)
			return -EPROTO;
		next += kerf_tensor_bytes(&out[i]);
	}
	return n + (ssize_t)len;
}

/* Where byte number c->received of the outputs goes, and how many fit there; 0: no more. */
static char *next_output(const struct remote_conn *c, size_t *n)
{
	struct remote_program *p = remote_program_of(c->job);
	uint64_t from = c->received;
	uint32_t i;

	for (i = 0; i < p->spec.n_out; i++) {
		size_t size = kerf_tensor_bytes(&c->job->out[i]);

		if (from < size) {
			*n = size - (size_t)from;
			return (char *)c->job->out[i].data + from;
		}
		from -= size;
	}
	*n = 0;
	return NULL;
}

/* Data that came with the heads. */
static int take_rest(struct remote_conn *c, const char *data, size_t n)
{
	if (n > c->expected)
		return -EPROTO;
	if (!remote_reply_good(c)) {
		memmove(c->rx, data, n);
		c->received = n;
		return 0;
	}
	while (n) {
		size_t room, k;
		char *to = next_output(c, &room);

		k = KERF_MIN(room, n);
		memcpy(to, data, k);
		c->received += k;
		data += k;
		n -= k;
	}
	return 0;
}

/* Nodes ask for their load every 50 ms: until then the same text is the same report. */
static void tell_load(struct remote_conn *c)
{
	const struct kerf_observer *o = c->e->observer;
	const struct kerf_http_head *h = &c->head;

	if (!o || !o->load || !h->load ||
	    (h->load_size == c->load_size && c->first_ns - c->load_ns < SAME_LOAD_NS &&
	     !memcmp(h->load, c->load, h->load_size)))
		return;
	memcpy(c->load, h->load, h->load_size);
	c->load_size = h->load_size;
	c->load_ns = c->first_ns;
	o->load(o->user, c->e->url, h->load, h->load_size);
}

int remote_reply_read(struct remote_conn *c)
{
	ssize_t n;
	int r;

	while (!c->in_data) {
		if (c->rx_size == REMOTE_HEAD_ROOM)
			return -EPROTO;
		n = kerf_wire_recv(c->wire, c->rx + c->rx_size,
				   KERF_MIN(REMOTE_HEAD_ROOM - c->rx_size, FIRST_READ));
		if (n <= 0)
			return (int)n;
		if (!c->rx_size) {
			c->first_ns = kerf_now_ns();
			c->first_bytes = (size_t)n;
		}
		c->rx_size += (size_t)n;
		n = read_heads(c);
		if (n < 0)
			return (int)n;
		if (!n)
			continue;
		c->in_data = true;
		c->heads = (size_t)n;
		tell_load(c);
		r = take_rest(c, c->rx + n, c->rx_size - (size_t)n);
		if (r)
			return r;
	}
	while (c->received < c->expected) {
		size_t room = REMOTE_REFUSAL_MAX, at = KERF_MIN(c->received, REMOTE_REFUSAL_MAX);
		char *to = remote_reply_good(c) ? next_output(c, &room) : c->rx + at;

		n = kerf_wire_recv(c->wire, to,
				   KERF_MIN(room, (size_t)(c->expected - c->received)));
		if (n <= 0)
			return (int)n;
		c->received += (uint64_t)n;
	}
	return 1;
}
