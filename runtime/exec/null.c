/* SPDX-License-Identifier: MIT */
/*
 * The null engine takes any slice and computes nothing: outputs stay as they are. What
 * a job costs on it is what kerf itself costs: queueing, waking, the wire.
 */
#include "exec/worker.h"
#include "util/machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct null_engine {
	struct kerf_engine base;
	struct kerf_worker worker;
};

static int null_run(struct kerf_job *job)
{
	return 0;
}

static int null_open(const char *spec, const struct kerf_engine_config *cfg,
		     struct kerf_engine **engine, struct kerf_err *err)
{
	struct null_engine *e;
	int r;

	if (*spec)
		return kerf_fail(err, -EINVAL, "engine null: takes no '%s'", spec);
	e = calloc(1, sizeof(*e));
	if (!e)
		return -ENOMEM;
	e->base.ops = &kerf_engine_null;
	r = kerf_worker_init(&e->worker, cfg->depth, null_run);
	if (r) {
		free(e);
		return kerf_fail(err, r, "engine null: cannot start a thread: %s", strerror(-r));
	}
	*engine = &e->base;
	return 0;
}

static void null_close(struct kerf_engine *engine)
{
	struct null_engine *e = (struct null_engine *)engine;

	kerf_worker_finish(&e->worker);
	free(e);
}

static void null_describe(struct kerf_engine *engine, struct kerf_engine_info *info)
{
	memset(info, 0, sizeof(*info));
	snprintf(info->name, sizeof(info->name), "null");
	snprintf(info->kind, sizeof(info->kind), "null");
	snprintf(info->device, sizeof(info->device), "computes nothing");
	kerf_machine_id(info->machine);
	info->dtypes = ~0u;
	info->depth = kerf_worker_depth(&((struct null_engine *)engine)->worker);
}

static bool null_supports(struct kerf_engine *engine, const struct kerf_graph *g,
			  const struct kerf_op *op)
{
	return true;
}

static int null_prepare(struct kerf_engine *engine, struct kerf_graph *slice,
			struct kerf_program **program, struct kerf_err *err)
{
	struct kerf_program *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->engine = engine;
	p->slice = kerf_graph_ref(slice);
	*program = p;
	return 0;
}

static void null_release(struct kerf_program *p)
{
	kerf_graph_unref(p->slice);
	free(p);
}

static void null_program_info(const struct kerf_program *p, struct kerf_program_info *info)
{
	memset(info, 0, sizeof(*info));
}

static int null_submit(struct kerf_job *job)
{
	return kerf_worker_submit(&((struct null_engine *)job->program->engine)->worker, job);
}

static void null_cancel(struct kerf_job *job)
{
	kerf_worker_cancel(&((struct null_engine *)job->program->engine)->worker, job);
}

static int null_profile(struct kerf_program *p, const struct kerf_tensor *in,
			struct kerf_tensor *out, uint64_t *op_ns)
{
	memset(op_ns, 0, p->slice->n_op * sizeof(*op_ns));
	return 0;
}

const struct kerf_engine_ops kerf_engine_null = {
	.abi = KERF_ENGINE_ABI,
	.kind = "null",
	.open = null_open,
	.close = null_close,
	.describe = null_describe,
	.supports = null_supports,
	.prepare = null_prepare,
	.release = null_release,
	.program_info = null_program_info,
	.submit = null_submit,
	.cancel = null_cancel,
	.profile = null_profile,
};
