/* SPDX-License-Identifier: MIT */
#include "node/served.h"

#include "node/part.h"
#include "util/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int fill_io(const struct kerf_graph *g, const int32_t *ids, uint32_t n, const char *what,
		   struct kerf_oip_io **list, bool *bounded, struct kerf_err *err)
{
	struct kerf_oip_io *io;
	uint32_t i;

	if (n > KERF_OIP_TENSORS)
		return kerf_fail(err, -EOPNOTSUPP, "%u %ss, at most %u can be served", n, what,
				 KERF_OIP_TENSORS);
	io = calloc(n + 1, sizeof(*io));
	if (!io)
		return -ENOMEM;
	for (i = 0; i < n; i++) {
		const struct kerf_value *v = &g->value[ids[i]];

		io[i].name = v->name;
		io[i].t = v->t;
		io[i].t.data = NULL;
		*bounded = *bounded || v->bounded;
	}
	*list = io;
	return 0;
}

static void on_done(struct kerf_job *job, int status)
{
	struct kerf_served_job *j = job->user;

	j->status = status;
	sem_post(&j->done);
}

/* One block: inputs, room for the header, outputs; each tensor aligned. */
static int init_job(struct kerf_served *s, struct kerf_served_job *j)
{
	size_t size = KERF_SERVED_HEADER_ROOM, at = 0;
	uint32_t i;

	for (i = 0; i < s->spec.n_in; i++)
		size += kerf_align(kerf_tensor_bytes(&s->in[i].t));
	for (i = 0; i < s->spec.n_out; i++)
		size += kerf_align(kerf_tensor_bytes(&s->out[i].t));
	j->s = s;
	j->in = calloc(s->spec.n_in + s->spec.n_out + 1, sizeof(*j->in));
	j->memory = kerf_tensor_alloc(size);
	if (!j->in || !j->memory)
		return -ENOMEM;
	j->out = j->in + s->spec.n_in;
	for (i = 0; i < s->spec.n_in; i++) {
		j->in[i] = s->in[i].t;
		j->in[i].data = j->memory + at;
		at += kerf_align(kerf_tensor_bytes(&s->in[i].t));
	}
	at += KERF_SERVED_HEADER_ROOM;
	j->first_out = j->memory + at;
	for (i = 0; i < s->spec.n_out; i++) {
		j->out[i] = s->out[i].t;
		j->out[i].data = j->memory + at;
		at += kerf_align(kerf_tensor_bytes(&s->out[i].t));
	}
	s->bytes += size;
	j->job.program = s->program;
	j->job.in = j->in;
	j->job.out = j->out;
	j->job.done = on_done;
	j->job.user = j;
	return 0;
}

static int make_jobs(struct kerf_served *s)
{
	uint32_t i;

	s->jobs = calloc(s->depth, sizeof(*s->jobs));
	if (!s->jobs)
		return -ENOMEM;
	for (i = 0; i < s->depth; i++) {
		struct kerf_served_job *j = &s->jobs[i];

		sem_init(&j->done, 0, 0);
		j->next = s->free;
		s->free = j;
	}
	for (i = 0; i < s->depth; i++)
		if (init_job(s, &s->jobs[i]))
			return -ENOMEM;
	return 0;
}

static int make_reply(struct kerf_served *s)
{
	struct kerf_oip_request all;
	uint32_t i;

	memset(&all, 0, sizeof(all));
	for (i = 0; i < s->spec.n_out; i++)
		all.form[i] = KERF_OIP_BINARY;
	return kerf_oip_reply_encode(&s->spec, &all, s->jobs[0].out, &s->reply, &s->reply_size);
}

int kerf_served_new(const char *name, struct kerf_graph *g, struct kerf_engine *engine,
		    uint32_t depth, struct kerf_served **out, struct kerf_err *err)
{
	struct kerf_served *s = calloc(1, sizeof(*s));
	pthread_condattr_t attr;
	bool ignored = false;
	int r;

	if (!s)
		return -ENOMEM;
	pthread_mutex_init(&s->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&s->freed, &attr);
	pthread_condattr_destroy(&attr);
	s->graph = kerf_graph_ref(g);
	s->engine = engine;
	s->depth = depth;
	snprintf(s->name, sizeof(s->name), "%s", name);
	r = fill_io(g, g->in, g->n_in, "input", &s->in, &ignored, err);
	if (!r)
		r = fill_io(g, g->out, g->n_out, "output", &s->out, &s->bounded, err);
	if (r)
		goto fail;
	s->spec = (struct kerf_oip_spec){s->name, g->n_in, g->n_out, s->in, s->out};
	s->in_bytes = kerf_oip_bytes(s->in, g->n_in);
	s->out_bytes = kerf_oip_bytes(s->out, g->n_out);
	r = engine->ops->prepare(engine, g, &s->program, err);
	if (r)
		goto fail;
	engine->ops->program_info(s->program, &s->info);
	s->bytes = s->info.weight_bytes + s->info.arena_bytes;
	r = make_jobs(s);
	if (!r)
		r = make_reply(s);
	if (r)
		goto fail;
	*out = s;
	return 0;
fail:
	kerf_fail(err, r, "cannot prepare '%s': %s", name, strerror(-r));
	kerf_served_free(s);
	return r;
}

void kerf_served_free(struct kerf_served *s)
{
	uint32_t i;

	kerf_node_part_free(s->part);
	for (i = 0; s->jobs && i < s->depth; i++) {
		sem_destroy(&s->jobs[i].done);
		free(s->jobs[i].in);
		free(s->jobs[i].memory);
	}
	free(s->jobs);
	if (s->program)
		s->engine->ops->release(s->program);
	kerf_graph_unref(s->graph);
	pthread_cond_destroy(&s->freed);
	pthread_mutex_destroy(&s->lock);
	free(s->in);
	free(s->out);
	free(s->reply);
	free(s);
}

/* The first free job, if there is one. Under s->lock. */
static struct kerf_served_job *pop(struct kerf_served *s)
{
	struct kerf_served_job *j = s->free;
	uint32_t i;

	if (!j)
		return NULL;
	s->free = j->next;
	/* The job before may have shrunk them. */
	for (i = 0; i < s->spec.n_out; i++)
		memcpy(j->out[i].dims, s->out[i].t.dims, sizeof(j->out[i].dims));
	return j;
}

struct kerf_served_job *kerf_served_take(struct kerf_served *s, uint32_t wait_ms)
{
	uint64_t until = kerf_now_ns() + wait_ms * 1000000ull;
	struct timespec ts = {.tv_sec = (time_t)(until / 1000000000u),
			      .tv_nsec = (long)(until % 1000000000u)};
	struct kerf_served_job *j;

	pthread_mutex_lock(&s->lock);
	while (!s->free && !pthread_cond_timedwait(&s->freed, &s->lock, &ts))
		;
	j = pop(s);
	pthread_mutex_unlock(&s->lock);
	return j;
}

struct kerf_served_job *kerf_served_spare(struct kerf_served *s)
{
	struct kerf_served_job *j;

	pthread_mutex_lock(&s->lock);
	j = s->free && s->free->next ? pop(s) : NULL;
	pthread_mutex_unlock(&s->lock);
	return j;
}

void kerf_served_give(struct kerf_served_job *j)
{
	struct kerf_served *s = j->s;

	pthread_mutex_lock(&s->lock);
	j->next = s->free;
	s->free = j;
	pthread_cond_signal(&s->freed);
	pthread_mutex_unlock(&s->lock);
}

void kerf_served_fill(struct kerf_served_job *j, uint64_t at, const char *data, size_t n)
{
	uint32_t i;

	for (i = 0; i < j->s->spec.n_in && n; i++) {
		size_t size = kerf_tensor_bytes(&j->in[i]), k;

		if (at >= size) {
			at -= size;
			continue;
		}
		k = KERF_MIN(size - (size_t)at, n);
		memcpy((char *)j->in[i].data + at, data, k);
		data += k;
		n -= k;
		at = 0;
	}
}

int kerf_served_run(struct kerf_served_job *j)
{
	int r;

	r = kerf_engine_submit(&j->job);
	if (r)
		return r;
	while (sem_wait(&j->done))
		; /* a signal's handler ran */
	return j->status;
}
