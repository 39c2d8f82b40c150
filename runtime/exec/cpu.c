/* SPDX-License-Identifier: MIT */
/*
 * The cpu engine: own kernels on a team of threads, one job at a time in the order
 * they came. See cpu.h for how a program is made.
 */
#include "exec/cpu.h"

#include "exec/worker.h"
#include "util/machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct cpu_engine {
	struct kerf_engine base;
	struct kerf_worker worker;
	struct kerf_pool *pool;
	struct kerf_isa isa;
	int share;		    /* percent */
	struct kerf_cpu_pace *pace; /* of a share below 100, else NULL */
	char cpu[64];
	char machine[65];
};

static int run(struct kerf_program *p, const struct kerf_tensor *in, struct kerf_tensor *out,
	       uint64_t *op_ns, const uint64_t *cancel)
{
	struct kerf_cpu_program *program = (struct kerf_cpu_program *)p;
	struct cpu_engine *e = (struct cpu_engine *)p->engine;

	if (!e->pace)
		return kerf_cpu_program_run(program, e->pool, in, out, op_ns, cancel);
	return kerf_cpu_pace_run(e->pace, program, e->pool, in, out, op_ns, cancel);
}

static int cpu_run(struct kerf_job *job)
{
	return run(job->program, job->in, job->out, NULL, &job->engine_word);
}

static int cpu_open(const char *spec, const struct kerf_engine_config *cfg,
		    struct kerf_engine **engine, struct kerf_err *err)
{
	struct cpu_engine *e;
	int r;

	if (*spec)
		return kerf_fail(err, -EINVAL, "engine cpu: takes no '%s'", spec);
	if (cfg->threads < 0 || cfg->threads > 1024)
		return kerf_fail(err, -EINVAL, "engine cpu: %d threads, expected 0 to 1024",
				 cfg->threads);
	if (cfg->share < 0 || cfg->share > 100)
		return kerf_fail(err, -EINVAL, "engine cpu: %d percent of its speed, expected 1 to 100",
				 cfg->share);
	if (cfg->share % 100 && cfg->threads != 1)
		return kerf_fail(err, -EINVAL, "engine cpu: a share of its speed is for one thread");
	e = calloc(1, sizeof(*e));
	if (!e)
		return -ENOMEM;
	e->base.ops = &kerf_engine_cpu;
	e->share = cfg->share ? cfg->share : 100;
	r = kerf_isa_init(&e->isa, cfg->isa);
	if (r) {
		kerf_fail(err, r, "engine cpu: this machine or build has no isa '%s'",
			      cfg->isa ? cfg->isa : "auto");
		goto fail;
	}
	r = kerf_pool_new(cfg->threads, cfg->pin, &e->pool);
	if (r) {
		kerf_fail(err, r, "engine cpu: cannot start %d threads: %s", cfg->threads,
			  strerror(-r));
		goto fail;
	}
	kerf_machine_cpu(e->cpu, sizeof(e->cpu));
	kerf_machine_id(e->machine);
	r = e->share < 100 ? kerf_cpu_pace_new(100.0 / e->share, &e->pace) : 0;
	if (r)
		goto fail_pool;
	r = kerf_worker_init(&e->worker, cfg->depth, cpu_run);
	if (r) {
		kerf_fail(err, r, "engine cpu: cannot start a thread: %s", strerror(-r));
		goto fail_pool;
	}
	*engine = &e->base;
	return 0;
fail_pool:
	kerf_cpu_pace_free(e->pace);
	kerf_pool_free(e->pool);
fail:
	free(e);
	return r;
}

static void cpu_close(struct kerf_engine *engine)
{
	struct cpu_engine *e = (struct cpu_engine *)engine;

	kerf_worker_finish(&e->worker);
	kerf_cpu_pace_free(e->pace);
	kerf_pool_free(e->pool);
	free(e);
}

static void cpu_describe(struct kerf_engine *engine, struct kerf_engine_info *info)
{
	struct cpu_engine *e = (struct cpu_engine *)engine;
	int n = kerf_pool_threads(e->pool);

	memset(info, 0, sizeof(*info));
	snprintf(info->name, sizeof(info->name), "cpu");
	snprintf(info->kind, sizeof(info->kind), "cpu");
	snprintf(info->device, sizeof(info->device), "%s, %s, %d thread%s", e->cpu, e->isa.name, n,
		 n == 1 ? "" : "s");
	if (e->share < 100)
		snprintf(info->device + strlen(info->device),
			 sizeof(info->device) - strlen(info->device), ", %d %% of its speed", e->share);
	snprintf(info->machine, sizeof(info->machine), "%s", e->machine);
	info->dtypes = 1u << KERF_F32 | 1u << KERF_U8 | 1u << KERF_I8;
	info->memory_bytes = kerf_machine_memory();
	info->depth = kerf_worker_depth(&e->worker);
	info->threads = (uint32_t)n;
}

static bool cpu_supports(struct kerf_engine *engine, const struct kerf_graph *g,
			 const struct kerf_op *op)
{
	return op->def->eval != NULL;
}

static int cpu_prepare(struct kerf_engine *engine, struct kerf_graph *slice,
		       struct kerf_program **program, struct kerf_err *err)
{
	struct cpu_engine *e = (struct cpu_engine *)engine;
	struct kerf_cpu_program *p;
	int r = kerf_cpu_program_new(engine, &e->isa, kerf_pool_threads(e->pool), slice, &p, err);

	if (!r && e->pace) {
		pthread_mutex_lock(&e->worker.busy);
		r = kerf_cpu_pace_learn(e->pace, p, e->pool);
		pthread_mutex_unlock(&e->worker.busy);
		if (r) {
			kerf_fail(err, r, "engine cpu: cannot time '%s': %s", slice->name,
				  strerror(-r));
			kerf_cpu_program_free(p);
		}
	}
	if (!r)
		*program = (struct kerf_program *)p;
	return r;
}

static void cpu_release(struct kerf_program *p)
{
	kerf_cpu_program_free((struct kerf_cpu_program *)p);
}

static void cpu_program_info(const struct kerf_program *p, struct kerf_program_info *info)
{
	kerf_cpu_program_info((const struct kerf_cpu_program *)p, info);
}

static struct kerf_worker *cpu_worker(struct kerf_program *p)
{
	return &((struct cpu_engine *)p->engine)->worker;
}

static int cpu_submit(struct kerf_job *job)
{
	__atomic_store_n(&job->engine_word, 0, __ATOMIC_RELAXED);
	return kerf_worker_submit(cpu_worker(job->program), job);
}

/* A queued job ends at once, a running one before its next operator. */
static void cpu_cancel(struct kerf_job *job)
{
	__atomic_store_n(&job->engine_word, 1, __ATOMIC_RELAXED);
	kerf_worker_cancel(cpu_worker(job->program), job);
}

static int cpu_profile(struct kerf_program *p, const struct kerf_tensor *in,
		       struct kerf_tensor *out, uint64_t *op_ns)
{
	struct cpu_engine *e = (struct cpu_engine *)p->engine;
	int r;

	pthread_mutex_lock(&e->worker.busy);
	r = run(p, in, out, op_ns, NULL);
	pthread_mutex_unlock(&e->worker.busy);
	return r;
}

const struct kerf_engine_ops kerf_engine_cpu = {
	.abi = KERF_ENGINE_ABI,
	.kind = "cpu",
	.open = cpu_open,
	.close = cpu_close,
	.describe = cpu_describe,
	.supports = cpu_supports,
	.prepare = cpu_prepare,
	.release = cpu_release,
	.program_info = cpu_program_info,
	.submit = cpu_submit,
	.cancel = cpu_cancel,
	.profile = cpu_profile,
};
