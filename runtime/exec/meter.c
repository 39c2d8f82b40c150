/* SPDX-License-Identifier: MIT */
#include "exec/meter.h"

#include "exec/engine.h"
#include "util/clock.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void add(uint64_t *counter, uint64_t n)
{
	__atomic_fetch_add(counter, n, __ATOMIC_RELAXED);
}

static uint64_t get(const uint64_t *counter)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

static void touch(struct kerf_meter *m, uint64_t now_ns)
{
	__atomic_store_n(&m->updated_ns, now_ns, __ATOMIC_RELAXED);
}

/* Cancelled jobs, and those that found the queue full, say nothing of the engine's health. */
static bool is_error(int status)
{
	return status && status != -ECANCELED && status != -EAGAIN;
}

static uint64_t bytes_of(const struct kerf_job *job)
{
	const struct kerf_program *p = job->program;
	uint32_t n_in = p->part ? p->takes : p->slice->n_in;
	uint32_t n_out = p->part ? p->gives : p->slice->n_out;
	uint64_t bytes = 0;
	uint32_t i;

	for (i = 0; i < n_in; i++)
		bytes += kerf_tensor_bytes(&job->in[i]);
	for (i = 0; i < n_out; i++)
		bytes += kerf_tensor_bytes(&job->out[i]);
	return bytes;
}

int kerf_engine_submit(struct kerf_job *job)
{
	struct kerf_engine *e = job->program->engine;
	struct kerf_meter *m = &e->meter;
	int r;

	job->queued_ns = kerf_now_ns();
	job->start_ns = job->end_ns = job->busy_ns = 0;
	/* Before: once the engine has it, it may end, and the engine be closed. */
	add(&m->queued, 1);
	touch(m, job->queued_ns);
	r = e->ops->submit(job);
	if (r) {
		add(&m->dropped, 1);
		add(&m->errors, is_error(r));
	}
	return r;
}

/*
 * occupied_ns is the sum of the times at which the engine fell idle less those at which it became
 * busy. Every crossing is seen by exactly one caller, so it is right whatever order they add in.
 * The clock is read after the one and before the other: no two stretches overlap, wherever
 * threads are held up.
 */
void kerf_job_start(struct kerf_job *job)
{
	struct kerf_meter *m = &job->program->engine->meter;
	bool again = job->start_ns, first;

	if (again) {
		job->start_ns = kerf_now_ns();
		return;
	}
	first = !__atomic_fetch_add(&m->running, 1, __ATOMIC_ACQ_REL);
	job->start_ns = kerf_now_ns();
	add(&m->started, 1);
	if (first)
		add(&m->occupied_ns, -job->start_ns);
	touch(m, job->start_ns);
}

void kerf_job_done(struct kerf_job *job, int status)
{
	struct kerf_meter *m = &job->program->engine->meter;
	uint64_t now = kerf_now_ns();

	add(&m->errors, is_error(status));
	if (job->start_ns) {
		add(&m->wait_ns, job->start_ns - job->queued_ns);
		add(&m->busy_ns, job->busy_ns);
		add(&m->bytes, bytes_of(job));
		add(&m->done, 1);
		if (__atomic_fetch_sub(&m->running, 1, __ATOMIC_ACQ_REL) == 1)
			add(&m->occupied_ns, now);
	} else {
		job->start_ns = job->end_ns = now;
		add(&m->dropped, 1);
	}
	touch(m, now);
	job->done(job, status);
}

static void fill(struct kerf_engine *e, uint32_t place, struct kerf_engine_rec *r)
{
	const struct kerf_meter *m = &e->meter;
	struct kerf_engine_info info;

	e->ops->describe(e, &info);
	*r = (struct kerf_engine_rec){
		.kind = info.kernel_queue ? KERF_ENGINE_QUEUE : KERF_ENGINE_RUNTIME,
		.device = info.kernel_queue ? info.kernel_device : 0,
		.index = info.kernel_queue ? info.kernel_index : place,
		.source = KERF_SOURCE_RUNTIME,
		.queued = get(&m->queued),
		.started = get(&m->started),
		.done = get(&m->done),
		.dropped = get(&m->dropped),
		.errors = get(&m->errors),
		.wait_ns = get(&m->wait_ns),
		.busy_ns = get(&m->busy_ns),
		.bytes = get(&m->bytes),
		.updated_ns = get(&m->updated_ns),
		.occupied_ns = get(&m->occupied_ns),
	};
	snprintf(r->name, sizeof(r->name), "%.31s", info.name);
}

uint32_t kerf_engine_records(struct kerf_engine *const *e, uint32_t n,
			     struct kerf_engine_rec *out)
{
	uint32_t i, k = 0;

	for (i = 0; i < n; i++)
		if (e[i])
			fill(e[i], i, &out[k++]);
	return k;
}
