/* SPDX-License-Identifier: MIT */
#include "exec/engine.h"

#include "util/completion.h"

#include <stdlib.h>
#include <string.h>

static const struct kerf_engine_ops *const local_engines[] = {
	&kerf_engine_cpu,
	&kerf_engine_ref,
	&kerf_engine_null,
#ifdef WITH_DRM
	&kerf_engine_npu,
	&kerf_engine_user,
#endif
};

int kerf_engine_open(const char *spec, const struct kerf_engine_config *cfg,
		     struct kerf_engine **engine, struct kerf_err *err)
{
	static const struct kerf_engine_config defaults;
#ifdef WITH_DRM
	static const char queues[] = ", npu:NUMBER, q:NAME";
#else
	static const char queues[] = "";
#endif
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
	return kerf_fail(err, -ENOENT, "engine '%s': expected cpu, ref, null%s or http://HOST:PORT[/ENGINE]",
			 spec, queues);
}

void kerf_engine_close(struct kerf_engine *e)
{
	if (e)
		e->ops->close(e);
}

/* A semaphore: a condition's waiter wakes only to wait for the lock of who woke it. */
static void wake(struct kerf_job *job, int status)
{
	kerf_complete(job->user, status);
}

int kerf_engine_run(struct kerf_program *p, const struct kerf_tensor *in, struct kerf_tensor *out,
		    struct kerf_job *times)
{
	struct kerf_completion c;
	struct kerf_job job = {.program = p, .in = in, .out = out, .done = wake, .user = &c};
	int r;

	kerf_completion_init(&c);
	r = kerf_engine_submit(&job);
	if (r)
		return r;
	r = kerf_completion_wait(&c);
	if (times)
		*times = job;
	return r;
}

const char *kerf_job_text(int status)
{
	switch (status) {
	case -EIO: return "the engine refused the job, broke, or is gone";
	case -ETIMEDOUT: return "the engine took longer than a job may";
	case -ECANCELED: return "it was cancelled";
	case -ENODEV: return "the engine is gone";
	case -EAGAIN: return "the engine's queue is full";
	case -EINVAL: return "an input's contents are out of range";
	default: return strerror(-status);
	}
}

void *kerf_tensor_alloc(size_t bytes)
{
	size_t n = kerf_align(bytes ? bytes : 1);
	void *p = aligned_alloc(KERF_ALIGN, n);

	if (p)
		memset(p, 0, n);
	return p;
}

void *kerf_engine_alloc(struct kerf_engine *e, size_t bytes)
{
	return e && e->ops->alloc ? e->ops->alloc(e, bytes) : kerf_tensor_alloc(bytes);
}

void kerf_engine_free(struct kerf_engine *e, void *data)
{
	if (data && e && e->ops->alloc)
		e->ops->free(e, data);
	else
		free(data);
}
