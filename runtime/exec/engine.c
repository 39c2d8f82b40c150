/* SPDX-License-Identifier: MIT */
#include "exec/engine.h"

#include <semaphore.h>
#include <stdlib.h>
#include <string.h>

static const struct kerf_engine_ops *const local_engines[] = {
	&kerf_engine_cpu,
	&kerf_engine_ref,
	&kerf_engine_null,
};

int kerf_engine_open(const char *spec, const struct kerf_engine_config *cfg,
		     struct kerf_engine **engine, struct kerf_err *err)
{
	static const struct kerf_engine_config defaults;
	unsigned i;

	if (!cfg)
		cfg = &defaults;
	if (!strncmp(spec, "http://", 7))
		return kerf_engine_remote.open(spec, cfg, engine, err);
	for (i = 0; i < KERF_ARRAY_SIZE(local_engines); i++) {
		size_t n = strlen(local_engines[i]->kind);

		if (!strncmp(spec, local_engines[i]->kind, n) && (!spec[n] || spec[n] == ':'))
			return local_engines[i]->open(spec + n, cfg, engine, err);
	}
	return kerf_fail(err, -ENOENT, "engine '%s': expected cpu, ref, null or http://HOST:PORT[/ENGINE]",
			 spec);
}

void kerf_engine_close(struct kerf_engine *e)
{
	if (e)
		e->ops->close(e);
}

/* A semaphore: a condition's waiter wakes only to wait for the lock of who woke it. */
struct waiter {
	sem_t done;
	int status;
};

static void wake_waiter(struct kerf_job *job, int status)
{
	struct waiter *w = job->user;

	w->status = status;
	sem_post(&w->done);
}

int kerf_engine_run(struct kerf_program *p, const struct kerf_tensor *in, struct kerf_tensor *out,
		    struct kerf_job *times)
{
	struct waiter w;
	struct kerf_job job = {.program = p, .in = in, .out = out, .done = wake_waiter, .user = &w};
	int r;

	sem_init(&w.done, 0, 0);
	r = p->engine->ops->submit(&job);
	if (!r) {
		while (sem_wait(&w.done))
			; /* a signal's handler ran */
		r = w.status;
		if (times)
			*times = job;
	}
	sem_destroy(&w.done);
	return r;
}

void *kerf_tensor_alloc(size_t bytes)
{
	size_t n = kerf_align(bytes ? bytes : 1);
	void *p = aligned_alloc(KERF_ALIGN, n);

	if (p)
		memset(p, 0, n);
	return p;
}
