/* SPDX-License-Identifier: MIT */
/*
 * A part is made, with room for the messages of all its slots and links to its neighbours, and
 * freed.
 */
#include "node/part_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint64_t kerf_node_part_bytes(const struct kerf_graph *slice, const struct kerf_part *part)
{
	uint64_t n = 0;
	uint32_t i;

	for (i = 0; i < part->n_in; i++)
		n += kerf_align(kerf_port_bytes(slice, true, &part->in[i]));
	for (i = 0; i < part->n_out; i++)
		n += kerf_align(kerf_port_bytes(slice, false, &part->out[i]));
	return n;
}

static int make_slot(struct kerf_node_part *p, struct part_slot *s)
{
	uint32_t n_in = p->part.n_in, n_out = p->part.n_out, i;
	uint64_t bytes = kerf_node_part_bytes(graph_of(p), &p->part);
	char *at;

	s->p = p;
	s->send = calloc(n_out + 1, sizeof(*s->send));
	s->in = calloc(n_in + n_out + 1, sizeof(*s->in));
	s->come = calloc(n_in + 1, sizeof(*s->come));
	s->memory = at = kerf_tensor_alloc(bytes + 1);
	if (!s->send || !s->in || !s->come || !at)
		return -ENOMEM;
	s->out = s->in + n_in;
	for (i = 0; i < n_in; i++) {
		s->in[i] = at;
		at += kerf_align(kerf_port_bytes(graph_of(p), true, &p->part.in[i]));
	}
	for (i = 0; i < n_out; i++) {
		s->out[i] = at;
		at += kerf_align(kerf_port_bytes(graph_of(p), false, &p->part.out[i]));
		s->send[i] = (struct part_send){
			.slot = s,
			.port = i,
			.message = {.dtype = KERF_U8, .rank = 1},
			.job = {.in = &s->send[i].message,
				.done = kerf_node_part_sent,
				.user = &s->send[i]},
		};
	}
	s->job = kerf_served_take(p->s, 0);
	s->job->job.done = kerf_node_part_ran;
	s->job->job.user = s;
	return 0;
}

/* A port of this node: there already, and of the same length. */
static int check_here(struct kerf_node_part *p, const struct kerf_port *port, uint64_t bytes,
		      struct kerf_err *err)
{
	char name[KERF_SERVED_NAME_MAX];
	struct kerf_served *to;
	uint64_t want = 0;
	int r;

	snprintf(name, sizeof(name), KERF_NODE_SLICE_NAME "%s", port->slice);
	to = kerf_node_get(p->n, name);
	if (to && to->part)
		r = kerf_node_part_length(to->part, port->port, &want, err);
	else
		r = kerf_fail(err, -EINVAL, "this node has no slice '%s' with ports", port->slice);
	if (!r && want != bytes)
		r = kerf_fail(err, -EINVAL, "port %u of slice %s takes %llu bytes, is sent %llu",
			      port->port, port->slice, (unsigned long long)want,
			      (unsigned long long)bytes);
	if (to)
		kerf_node_put(p->n, to);
	return r == -ENOENT ? -EINVAL : r;
}

static int make_out(struct kerf_node_part *p, uint32_t i, struct kerf_err *err)
{
	const struct kerf_port *port = &p->part.out[i];
	size_t bytes = kerf_port_bytes(graph_of(p), false, port);
	struct part_out *out = &p->out[i];
	uint32_t k;
	int r;

	if (port->home)
		return 0;
	if (!port->url[0])
		return check_here(p, port, bytes, err);
	r = kerf_node_link_get(p->n, port->url, &out->link, err);
	if (!r)
		r = kerf_neighbour_port(out->link->neighbour, port->slice, port->port, bytes, false,
					&out->message);
	if (!r)
		r = kerf_neighbour_port(out->link->neighbour, port->slice, port->port,
					KERF_PART_WHY, true, &out->failure);
	for (k = 0; k < p->s->depth && !r; k++)
		p->slot[k].send[i].job.program = out->message;
	return r;
}

static uint32_t home_of(const struct kerf_port *port, uint32_t n)
{
	uint32_t i;

	for (i = 0; i < n; i++)
		if (port[i].home)
			return i;
	return KERF_PART_HOME;
}

int kerf_node_part_new(struct kerf_node *n, struct kerf_served *s, struct kerf_part *part,
		       struct kerf_err *err)
{
	struct kerf_node_part *p = calloc(1, sizeof(*p));
	pthread_condattr_t attr;
	uint32_t i;
	int r = 0;

	if (!p) {
		kerf_part_finish(part);
		return -ENOMEM;
	}
	s->part = p; /* kerf_served_free() frees it */
	p->n = n;
	p->s = s;
	p->part = *part;
	memset(part, 0, sizeof(*part));
	p->home_in = home_of(p->part.in, p->part.n_in);
	p->home_out = home_of(p->part.out, p->part.n_out);
	p->waiting_tail = &p->waiting;
	pthread_mutex_init(&p->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&p->changed, &attr);
	pthread_condattr_destroy(&attr);
	p->slot = calloc(s->depth, sizeof(*p->slot));
	p->out = calloc(p->part.n_out + 1, sizeof(*p->out));
	if (!p->slot || !p->out)
		return -ENOMEM;
	if (!p->part.n_in && p->home_out == KERF_PART_HOME)
		return kerf_fail(err, -EINVAL, "'ports': nothing ever makes this slice run");
	for (i = 0; i < s->depth && !r; i++)
		r = make_slot(p, &p->slot[i]);
	for (i = 0; i < p->part.n_out && !r; i++) {
		r = make_out(p, i, err);
		if (r)
			kerf_err_prefix(err, "port out %u", i);
	}
	s->bytes += s->depth * kerf_node_part_bytes(graph_of(p), &p->part);
	return r;
}

void kerf_node_part_free(struct kerf_node_part *p)
{
	uint32_t i;

	if (!p)
		return;
	for (i = 0; p->out && i < p->part.n_out; i++) {
		struct part_out *out = &p->out[i];

		if (out->message)
			out->message->engine->ops->release(out->message);
		if (out->failure)
			out->failure->engine->ops->release(out->failure);
		kerf_node_link_put(p->n, out->link);
	}
	for (i = 0; p->slot && i < p->s->depth; i++) {
		free(p->slot[i].send);
		free(p->slot[i].in);
		free(p->slot[i].come);
		free(p->slot[i].memory);
	}
	free(p->slot);
	free(p->out);
	kerf_part_finish(&p->part);
	pthread_cond_destroy(&p->changed);
	pthread_mutex_destroy(&p->lock);
	free(p);
}
