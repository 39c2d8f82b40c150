/* SPDX-License-Identifier: MIT */
/*
 * Engines of other nodes, in this process: they have all of exec/part.h's ports, and a network that
 * is a function call. What a slice computes, and every message, is real.
 *
 * What no right session does is counted in far_net.wrong, with the last reason in why: a message
 * twice or of another size, a job of a part that neighbours alone make run, a port that is not
 * there.
 */
#ifndef KERF_TESTS_FAR_ENGINE_H
#define KERF_TESTS_FAR_ENGINE_H

#include "exec/engine.h"
#include "exec/part.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct far_net {
	pthread_mutex_t lock;
	pthread_cond_t idle;
	struct far_part *parts;
	uint64_t ids;
	unsigned wrong, messages, runs, part_jobs;
	char why[160];
	int fail_run;	  /* the run that fails, counted down; < 0: none */
	int fail_prepare; /* the same of programs made */
};

struct far_engine {
	struct kerf_engine base;
	struct kerf_engine_ops ops;
	struct kerf_engine *inner;
	struct far_net *net;
	char url[32];
	bool knows_parts; /* else prepare_part is -EOPNOTSUPP */
	/* Connections: jobs of parts at a time, the others wait in line; 0: any number. */
	unsigned lanes, taken;
	struct kerf_job *line[256];
	unsigned n_line;
};

/* One request at one part. */
struct far_run {
	struct far_run *next;
	struct far_part *part;
	uint64_t number;
	struct kerf_tensor *in, *out;
	bool *got; /* per port in */
	uint32_t n_got;
	struct kerf_job inner, *home;
	bool running, ran, failed;
};

struct far_part {
	struct kerf_program base;
	struct kerf_program *inner;
	struct far_part *next;
	uint64_t id;
	bool plain;
	struct kerf_part part;
	struct far_run *runs;
};

/* Jobs to end once the lock is not held. */
struct far_ended {
	struct kerf_job *job;
	int status;
};
struct far_end_list {
	struct far_ended job[256];
	unsigned n;
};

static inline void far_end(struct far_end_list *l, struct kerf_job *job, int status)
{
	assert_true(l->n < KERF_ARRAY_SIZE(l->job));
	l->job[l->n++] = (struct far_ended){job, status};
}

static inline void far_begin(struct kerf_job *job);

static inline void far_end_all(const struct far_end_list *l)
{
	unsigned i;

	for (i = 0; i < l->n; i++) {
		struct far_engine *e = (struct far_engine *)l->job[i].job->program->engine;
		bool part = l->job[i].job->program->part;
		struct kerf_job *next = NULL;

		kerf_job_done(l->job[i].job, l->job[i].status);
		if (!part || !e->lanes)
			continue;
		pthread_mutex_lock(&e->net->lock);
		if (e->n_line) {
			next = e->line[0];
			memmove(e->line, e->line + 1, --e->n_line * sizeof(*e->line));
		} else {
			e->taken--;
		}
		pthread_mutex_unlock(&e->net->lock);
		if (next)
			far_begin(next);
	}
}

static inline void far_wrong(struct far_net *net, const char *why)
{
	net->wrong++;
	snprintf(net->why, sizeof(net->why), "%s", why);
}

static inline struct far_net *far_net_of(const struct far_part *p)
{
	return ((struct far_engine *)p->base.engine)->net;
}

/* --- requests at parts --- */

static inline struct kerf_tensor *far_tensors(const struct kerf_graph *g, const int32_t *v,
					      uint32_t n)
{
	struct kerf_tensor *t = calloc((size_t)n + 1, sizeof(*t));
	uint32_t i;

	assert_non_null(t);
	for (i = 0; i < n; i++) {
		t[i] = g->value[v[i]].t;
		t[i].data = kerf_tensor_alloc(kerf_tensor_bytes(&t[i]));
		assert_non_null(t[i].data);
	}
	return t;
}

static inline struct far_run *far_run_of(struct far_part *p, uint64_t number)
{
	const struct kerf_graph *g = p->base.slice;
	struct far_run *r;

	for (r = p->runs; r; r = r->next)
		if (r->number == number)
			return r;
	r = calloc(1, sizeof(*r));
	assert_non_null(r);
	*r = (struct far_run){.next = p->runs, .part = p, .number = number};
	r->in = far_tensors(g, g->in, g->n_in);
	r->out = far_tensors(g, g->out, g->n_out);
	r->got = calloc((size_t)p->part.n_in + 1, sizeof(*r->got));
	assert_non_null(r->got);
	p->runs = r;
	return r;
}

static inline void far_run_free(struct far_run *r)
{
	const struct kerf_graph *g = r->part->base.slice;
	struct far_run **at;
	uint32_t i;

	for (at = &r->part->runs; *at != r; at = &(*at)->next)
		;
	*at = r->next;
	for (i = 0; r->in && i < g->n_in; i++)
		free(r->in[i].data);
	for (i = 0; r->out && i < g->n_out; i++)
		free(r->out[i].data);
	free(r->in);
	free(r->out);
	free(r->got);
	free(r);
}

static inline struct far_part *far_find(struct far_net *net, const struct far_part *from,
					const struct kerf_port *port)
{
	const char *url = *port->url ? port->url : ((struct far_engine *)from->base.engine)->url;
	struct far_part *p;
	char id[64];

	for (p = net->parts; p; p = p->next) {
		snprintf(id, sizeof(id), "%llx", (unsigned long long)p->id);
		if (!strcmp(id, port->slice) &&
		    !strcmp(((struct far_engine *)p->base.engine)->url, url))
			return p;
	}
	return NULL;
}

static inline void far_deliver(struct far_part *p, uint32_t port, uint64_t number, const char *wire,
			       size_t bytes, struct far_end_list *l);

static inline void far_give(const struct far_part *p, const struct kerf_port *port,
			    const struct kerf_tensor *out, char *wire)
{
	uint32_t i;

	for (i = 0; i < port->n_piece; i++) {
		kerf_piece_give(p->base.slice, &port->piece[i], &out[port->piece[i].io], wire);
		wire += kerf_piece_bytes(p->base.slice, false, &port->piece[i]);
	}
}

/* Its reply, if home has asked, and its end. */
static inline void far_answer(struct far_run *r, struct far_end_list *l)
{
	struct far_part *p = r->part;
	uint32_t i;

	if ((p->base.takes || p->base.gives) && !r->home)
		return;
	for (i = 0; i < p->part.n_out && !r->failed; i++)
		if (p->part.out[i].home)
			far_give(p, &p->part.out[i], r->out, r->home->out[0].data);
	if (r->home)
		far_end(l, r->home, r->failed ? -EIO : 0);
	far_run_free(r);
}

/* Sends on what was made, or that it failed. */
static inline void far_spread(struct far_run *r, struct far_end_list *l)
{
	struct far_part *p = r->part, *to;
	uint32_t i;

	for (i = 0; i < p->part.n_out; i++) {
		const struct kerf_port *port = &p->part.out[i];
		size_t bytes = kerf_port_bytes(p->base.slice, false, port);
		char *wire = NULL;

		if (port->home)
			continue;
		to = far_find(far_net_of(p), p, port);
		if (!to) {
			far_wrong(far_net_of(p), "a message to a slice that is not there");
			continue;
		}
		if (!r->failed) {
			wire = malloc(bytes + 1);
			assert_non_null(wire);
			far_give(p, port, r->out, wire);
		}
		far_net_of(p)->messages++;
		far_deliver(to, port->port, r->number, wire, bytes, l);
		free(wire);
	}
	far_answer(r, l);
}

static inline bool far_fails(int *countdown)
{
	return *countdown >= 0 && (*countdown)-- == 0;
}

static inline void far_ran(struct kerf_job *job, int status)
{
	struct far_run *r = job->user;
	struct far_part *p = r->part;
	struct far_net *net = far_net_of(p);
	struct far_end_list l = {.n = 0};
	struct kerf_job *home;

	pthread_mutex_lock(&net->lock);
	home = r->home;
	net->runs++;
	r->running = false;
	r->ran = true;
	if (far_fails(&net->fail_run))
		status = -EIO;
	if (p->plain) {
		home->busy_ns = job->busy_ns;
		far_run_free(r);
		far_end(&l, home, status);
	} else {
		r->failed |= status != 0;
		far_spread(r, &l);
	}
	pthread_cond_broadcast(&net->idle);
	pthread_mutex_unlock(&net->lock);
	far_end_all(&l);
}

static inline void far_start(struct far_run *r, const struct kerf_tensor *in,
			     struct kerf_tensor *out)
{
	r->inner = (struct kerf_job){
		.program = r->part->inner, .in = in, .out = out, .done = far_ran, .user = r};
	r->running = true;
	assert_int_equal(kerf_engine_submit(&r->inner), 0);
}

static inline void far_take(struct far_run *r, uint32_t index, const char *wire)
{
	struct far_part *p = r->part;
	const struct kerf_port *port = &p->part.in[index];
	uint32_t i;

	if (r->got[index]) {
		far_wrong(far_net_of(p), "a message comes twice");
		return;
	}
	r->got[index] = true;
	for (i = 0; i < port->n_piece; i++) {
		if (kerf_piece_take(p->base.slice, &port->piece[i], &r->in[port->piece[i].io],
				    wire))
			far_wrong(far_net_of(p), "a message that no encoder makes");
		wire += kerf_piece_bytes(p->base.slice, true, &port->piece[i]);
	}
	if (++r->n_got == p->part.n_in)
		far_start(r, r->in, r->out);
}

static inline void far_break(struct far_run *r, struct far_end_list *l)
{
	if (r->failed || r->running || r->ran)
		return;
	r->failed = true;
	far_spread(r, l);
}

/* wire NULL: the request failed before. */
static inline void far_deliver(struct far_part *p, uint32_t port, uint64_t number, const char *wire,
			       size_t bytes, struct far_end_list *l)
{
	struct far_run *r = far_run_of(p, number);

	if (port >= p->part.n_in || p->part.in[port].home ||
	    bytes != kerf_port_bytes(p->base.slice, true, &p->part.in[port])) {
		far_wrong(far_net_of(p), "a message for another port");
		return;
	}
	if (!wire)
		far_break(r, l);
	else if (!r->failed)
		far_take(r, port, wire);
}

/* --- the engine --- */

/* Its request is sent. */
static inline void far_begin(struct kerf_job *job)
{
	struct far_part *p = (struct far_part *)job->program;
	struct far_net *net = far_net_of(p);
	struct far_end_list l = {.n = 0};
	struct far_run *r;
	uint32_t i;

	kerf_job_start(job);
	pthread_mutex_lock(&net->lock);
	if (p->plain) {
		r = calloc(1, sizeof(*r));
		assert_non_null(r);
		*r = (struct far_run){.next = p->runs, .part = p, .home = job};
		p->runs = r;
		far_start(r, job->in, job->out);
		pthread_mutex_unlock(&net->lock);
		return;
	}
	net->part_jobs++;
	r = far_run_of(p, job->request);
	if (r->home || !(p->base.takes || p->base.gives))
		far_wrong(net, "a job nobody waits for, or a number twice");
	r->home = job;
	if (r->failed || r->ran) {
		far_answer(r, &l);
	} else {
		for (i = 0; i < p->part.n_in; i++)
			if (p->part.in[i].home)
				far_take(r, i, job->in[0].data);
	}
	pthread_mutex_unlock(&net->lock);
	far_end_all(&l);
}

static inline int far_submit(struct kerf_job *job)
{
	struct far_engine *e = (struct far_engine *)job->program->engine;
	bool waits = false;

	pthread_mutex_lock(&e->net->lock);
	if (job->program->part && e->lanes) {
		waits = e->taken == e->lanes;
		e->taken += !waits;
		assert_true(e->n_line < KERF_ARRAY_SIZE(e->line));
		if (waits)
			e->line[e->n_line++] = job;
	}
	pthread_mutex_unlock(&e->net->lock);
	if (!waits)
		far_begin(job);
	return 0;
}

static inline void far_cancel(struct kerf_job *job)
{
	struct far_part *p = (struct far_part *)job->program;
	struct far_net *net = far_net_of(p);
	struct far_engine *e = (struct far_engine *)job->program->engine;
	struct far_end_list l = {.n = 0};
	struct far_run *r;
	unsigned i;

	pthread_mutex_lock(&net->lock);
	for (i = 0; i < e->n_line && e->line[i] != job; i++)
		;
	if (i < e->n_line) {
		memmove(e->line + i, e->line + i + 1, (--e->n_line - i) * sizeof(*e->line));
		pthread_mutex_unlock(&net->lock);
		kerf_job_done(job, -ECANCELED);
		return;
	}
	for (r = p->runs; r && r->home != job; r = r->next)
		;
	if (r && !r->running && !r->ran) {
		r->home = NULL;
		far_end(&l, job, -ECANCELED);
		far_break(r, &l);
	}
	pthread_mutex_unlock(&net->lock);
	far_end_all(&l);
}

static inline int far_make(struct kerf_engine *engine, struct kerf_graph *slice,
			   struct far_part **part, struct kerf_err *err)
{
	struct far_engine *e = (struct far_engine *)engine;
	struct far_part *p = calloc(1, sizeof(*p));
	int r;

	assert_non_null(p);
	if (far_fails(&e->net->fail_prepare)) {
		free(p);
		return kerf_fail(err, -EIO, "it broke, as asked");
	}
	r = e->inner->ops->prepare(e->inner, slice, &p->inner, err);
	if (r) {
		free(p);
		return r;
	}
	p->base.engine = engine;
	p->base.slice = kerf_graph_ref(slice);
	pthread_mutex_lock(&e->net->lock);
	p->id = ++e->net->ids;
	p->next = e->net->parts;
	e->net->parts = p;
	pthread_mutex_unlock(&e->net->lock);
	*part = p;
	return 0;
}

static inline int far_prepare(struct kerf_engine *engine, struct kerf_graph *slice,
			      struct kerf_program **program, struct kerf_err *err)
{
	struct far_part *p = NULL;
	int r = far_make(engine, slice, &p, err);

	if (r)
		return r;
	p->plain = true;
	*program = &p->base;
	return 0;
}

static inline struct kerf_port *far_copy_ports(const struct kerf_port *port, uint32_t n, bool *home)
{
	struct kerf_port *copy = calloc((size_t)n + 1, sizeof(*copy));
	uint32_t i;

	assert_non_null(copy);
	for (i = 0; i < n; i++) {
		copy[i] = port[i];
		copy[i].piece = calloc((size_t)port[i].n_piece + 1, sizeof(*copy[i].piece));
		assert_non_null(copy[i].piece);
		memcpy(copy[i].piece, port[i].piece, port[i].n_piece * sizeof(*copy[i].piece));
		*home |= port[i].home;
	}
	return copy;
}

static inline int far_prepare_part(struct kerf_engine *engine, struct kerf_graph *slice,
				   const struct kerf_part *part, struct kerf_program **program,
				   struct kerf_err *err)
{
	struct far_engine *e = (struct far_engine *)engine;
	struct far_part *p = NULL, *to;
	uint32_t i;
	int r;

	if (!e->knows_parts)
		return kerf_fail(err, -EOPNOTSUPP, "the peer does not take pieces");
	r = kerf_part_check(slice, part, err);
	if (r)
		return r;
	r = far_make(engine, slice, &p, err);
	if (r)
		return r;
	p->part.n_in = part->n_in;
	p->part.n_out = part->n_out;
	p->part.in = far_copy_ports(part->in, part->n_in, &p->base.takes);
	p->part.out = far_copy_ports(part->out, part->n_out, &p->base.gives);
	p->base.part = true;
	for (i = 0; i < part->n_out; i++) {
		const struct kerf_port *port = &part->out[i];

		if (port->home)
			continue;
		to = far_find(e->net, p, port);
		if (!to || to->plain || port->port >= to->part.n_in ||
		    kerf_port_bytes(slice, false, port) !=
			    kerf_port_bytes(to->base.slice, true, &to->part.in[port->port]))
			far_wrong(e->net, "a port that leads nowhere, or to one of another size");
	}
	*program = &p->base;
	return 0;
}

static inline void far_address(const struct kerf_program *program, char url[256], char slice[64])
{
	const struct far_part *p = (const struct far_part *)program;

	snprintf(url, 256, "%s", ((struct far_engine *)p->base.engine)->url);
	snprintf(slice, 64, "%llx", (unsigned long long)p->id);
}

static inline bool far_busy(const struct far_part *p)
{
	const struct far_run *r;

	for (r = p->runs; r; r = r->next)
		if (r->running)
			return true;
	return false;
}

/*
 * The k-th run from now on fails (< 0: none); what an earlier request left behind does not count.
 */
static inline void far_fail_run(struct far_net *net, int k)
{
	const struct far_part *p;

	pthread_mutex_lock(&net->lock);
	for (p = net->parts; p;) {
		if (!far_busy(p)) {
			p = p->next;
			continue;
		}
		/* Meanwhile another may begin. */
		pthread_cond_wait(&net->idle, &net->lock);
		p = net->parts;
	}
	net->fail_run = k;
	pthread_mutex_unlock(&net->lock);
}

static inline void far_release(struct kerf_program *program)
{
	struct far_part *p = (struct far_part *)program, **at;
	struct far_net *net = far_net_of(p);

	pthread_mutex_lock(&net->lock);
	while (far_busy(p))
		pthread_cond_wait(&net->idle, &net->lock);
	for (at = &net->parts; *at != p; at = &(*at)->next)
		;
	*at = p->next;
	while (p->runs)
		far_run_free(p->runs);
	pthread_mutex_unlock(&net->lock);
	p->inner->engine->ops->release(p->inner);
	kerf_part_finish(&p->part);
	kerf_graph_unref(p->base.slice);
	free(p);
}

static inline void far_describe(struct kerf_engine *engine, struct kerf_engine_info *info)
{
	struct far_engine *e = (struct far_engine *)engine;

	e->inner->ops->describe(e->inner, info);
	info->remote = true;
	snprintf(info->name, sizeof(info->name), "%s/x", e->url);
}

static inline bool far_supports(struct kerf_engine *engine, const struct kerf_graph *g,
				const struct kerf_op *op)
{
	struct far_engine *e = (struct far_engine *)engine;

	return e->inner->ops->supports(e->inner, g, op);
}

static inline void far_net_open(struct far_net *net)
{
	memset(net, 0, sizeof(*net));
	net->fail_run = net->fail_prepare = -1;
	pthread_mutex_init(&net->lock, NULL);
	pthread_cond_init(&net->idle, NULL);
}

static inline void far_net_close(struct far_net *net)
{
	assert_null(net->parts);
	pthread_cond_destroy(&net->idle);
	pthread_mutex_destroy(&net->lock);
}

/* An engine of that node; ports: the node can exchange pieces with its neighbours. */
static inline void far_engine_open(struct far_engine *e, struct far_net *net, unsigned node,
				   const char *spec, bool ports)
{
	struct kerf_engine_config cfg = {.threads = 1};
	struct kerf_err err = {""};

	memset(e, 0, sizeof(*e));
	e->net = net;
	e->knows_parts = ports;
	snprintf(e->url, sizeof(e->url), "http://node%u:8470", node);
	if (kerf_engine_open(spec, &cfg, &e->inner, &err))
		fail_msg("%s", err.msg);
	e->ops = (struct kerf_engine_ops){
		.abi = KERF_ENGINE_ABI,
		.kind = "far",
		.describe = far_describe,
		.prepare_part = far_prepare_part,
		.part_address = far_address,
		.supports = far_supports,
		.prepare = far_prepare,
		.release = far_release,
		.submit = far_submit,
		.cancel = far_cancel,
	};
	e->base.ops = &e->ops;
}

static inline void far_engine_close(struct far_engine *e)
{
	kerf_engine_close(e->inner);
}

#endif
