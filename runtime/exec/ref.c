/* SPDX-License-Identifier: MIT */
/*
 * The reference engine: every operator by its plain C meaning, one value one block of
 * memory, one thread. Slow and obvious; the oracle of every other engine.
 */
#include "exec/interp.h"
#include "exec/worker.h"
#include "util/clock.h"
#include "util/machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct ref_engine {
	struct kerf_engine base;
	struct kerf_worker worker;
};

struct ref_program {
	struct kerf_program base;
	struct kerf_tensor *values; /* per value of the slice */
	struct kerf_tensor *scratch;
	struct kerf_program_info info;
};

static int ref_execute(struct ref_program *p, const struct kerf_tensor *in,
		       struct kerf_tensor *out, uint64_t *op_ns)
{
	struct kerf_graph *g = p->base.slice;
	uint32_t i;
	int k, r;

	for (i = 0; i < g->n_in; i++)
		p->values[g->in[i]] = in[i];
	for (i = 0; i < g->n_op; i++) {
		const struct kerf_op *op = &g->op[i];
		uint64_t t0 = op_ns ? kerf_now_ns() : 0;

		/* A bounded value may have shrunk in the last run. */
		for (k = 0; k < op->n_out; k++)
			if (op->out[k] >= 0)
				memcpy(p->values[op->out[k]].dims, g->value[op->out[k]].t.dims,
				       sizeof(p->values[op->out[k]].dims));
		r = kerf_interp_op(g, op, p->values, p->scratch);
		if (r)
			return r;
		if (op_ns)
			op_ns[i] = kerf_now_ns() - t0;
	}
	for (i = 0; i < g->n_out; i++) {
		const struct kerf_tensor *v = &p->values[g->out[i]];

		memcpy(out[i].data, v->data, kerf_tensor_bytes(v));
		memcpy(out[i].dims, v->dims, sizeof(v->dims));
	}
	return 0;
}

static int ref_run(struct kerf_job *job)
{
	return ref_execute((struct ref_program *)job->program, job->in, job->out, NULL);
}

static int ref_open(const char *spec, const struct kerf_engine_config *cfg,
		    struct kerf_engine **engine, struct kerf_err *err)
{
	struct ref_engine *e;
	int r;

	if (*spec)
		return kerf_fail(err, -EINVAL, "engine ref: takes no '%s'", spec);
	e = calloc(1, sizeof(*e));
	if (!e)
		return -ENOMEM;
	e->base.ops = &kerf_engine_ref;
	r = kerf_worker_init(&e->worker, cfg->depth, ref_run);
	if (r) {
		free(e);
		return kerf_fail(err, r, "engine ref: cannot start a thread: %s", strerror(-r));
	}
	*engine = &e->base;
	return 0;
}

static void ref_close(struct kerf_engine *engine)
{
	struct ref_engine *e = (struct ref_engine *)engine;

	kerf_worker_finish(&e->worker);
	free(e);
}

static void ref_describe(struct kerf_engine *engine, struct kerf_engine_info *info)
{
	struct ref_engine *e = (struct ref_engine *)engine;

	memset(info, 0, sizeof(*info));
	snprintf(info->name, sizeof(info->name), "ref");
	snprintf(info->kind, sizeof(info->kind), "ref");
	snprintf(info->device, sizeof(info->device), "plain C, 1 thread");
	kerf_machine_id(info->machine);
	info->memory_bytes = kerf_machine_memory();
	info->dtypes = ~0u;
	info->depth = kerf_worker_depth(&e->worker);
	info->threads = 1;
}

static bool ref_supports(struct kerf_engine *engine, const struct kerf_graph *g,
			 const struct kerf_op *op)
{
	return op->def->eval != NULL;
}

static void ref_release(struct kerf_program *program)
{
	struct ref_program *p = (struct ref_program *)program;
	struct kerf_graph *g = p->base.slice;
	uint32_t i;

	for (i = 0; p->values && i < g->n_value; i++)
		if (g->value[i].producer >= 0 ||
		    (g->value[i].t.data && p->values[i].data != g->value[i].t.data))
			free(p->values[i].data);
	free(p->values);
	free(p->scratch);
	kerf_graph_unref(g);
	free(p);
}

static int ref_prepare(struct kerf_engine *engine, struct kerf_graph *slice,
		       struct kerf_program **program, struct kerf_err *err)
{
	struct ref_program *p = calloc(1, sizeof(*p));
	uint64_t t0 = kerf_now_ns();
	uint32_t i;

	if (!p)
		return -ENOMEM;
	p->base.engine = engine;
	p->base.slice = kerf_graph_ref(slice);
	p->values = calloc(slice->n_value + 1, sizeof(*p->values));
	p->scratch = calloc(kerf_interp_slots(slice) + 1, sizeof(*p->scratch));
	if (!p->values || !p->scratch)
		goto nomem;
	for (i = 0; i < slice->n_value; i++) {
		p->values[i] = slice->value[i].t;
		if (slice->value[i].producer < 0 && kerf_tensor_is_aligned(&p->values[i]))
			continue;
		p->values[i].data = kerf_tensor_alloc(kerf_tensor_bytes(&slice->value[i].t));
		if (!p->values[i].data)
			goto nomem;
		if (slice->value[i].t.data)
			memcpy(p->values[i].data, slice->value[i].t.data,
			       kerf_tensor_bytes(&p->values[i]));
		p->info.arena_bytes += kerf_tensor_bytes(&slice->value[i].t);
	}
	p->info.prepare_ns = kerf_now_ns() - t0;
	*program = &p->base;
	return 0;
nomem:
	ref_release(&p->base);
	return kerf_fail(err, -ENOMEM, "engine ref: out of memory");
}

static void ref_program_info(const struct kerf_program *p, struct kerf_program_info *info)
{
	*info = ((const struct ref_program *)p)->info;
}

static struct kerf_worker *ref_worker(struct kerf_job *job)
{
	return &((struct ref_engine *)job->program->engine)->worker;
}

static int ref_submit(struct kerf_job *job)
{
	return kerf_worker_submit(ref_worker(job), job);
}

static void ref_cancel(struct kerf_job *job)
{
	kerf_worker_cancel(ref_worker(job), job);
}

static int ref_profile(struct kerf_program *program, const struct kerf_tensor *in,
		       struct kerf_tensor *out, uint64_t *op_ns)
{
	struct kerf_worker *w = &((struct ref_engine *)program->engine)->worker;
	int r;

	pthread_mutex_lock(&w->busy);
	r = ref_execute((struct ref_program *)program, in, out, op_ns);
	pthread_mutex_unlock(&w->busy);
	return r;
}

const struct kerf_engine_ops kerf_engine_ref = {
	.abi = KERF_ENGINE_ABI,
	.kind = "ref",
	.open = ref_open,
	.close = ref_close,
	.describe = ref_describe,
	.supports = ref_supports,
	.prepare = ref_prepare,
	.release = ref_release,
	.program_info = ref_program_info,
	.submit = ref_submit,
	.cancel = ref_cancel,
	.profile = ref_profile,
};
