// SPDX-License-Identifier: GPL-2.0-only
/*
 * For tests: two engines behind the kernel's GPU scheduler, whose jobs are timers, so that the
 * scheduler's own trace events come without a GPU. Engine 0 runs one job at a time, engine 1 two.
 *
 * gpu_jobs_new is the same with events of newer kernels.
 *
 *	echo "ENGINE N US STATUS" >/sys/module/gpu_jobs/parameters/run   N jobs of US us, of a new client
 *	echo ENGINE >/sys/module/gpu_jobs/parameters/kill                all its clients are gone
 */
#include <linux/dma-fence.h>
#include <linux/hrtimer.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/version.h>

#include <drm/gpu_scheduler.h>

#ifndef GPU_JOBS_TRACE_H
#define trace_drm_sched_job_queue(job, entity)
#define trace_drm_sched_job_run(job, entity)
#endif

#define N_ENGINES 2
#define N_CLIENTS 16
#define MAX_JOBS 1000

struct engine {
	struct drm_gpu_scheduler sched;
	struct drm_sched_entity client[N_CLIENTS];
	unsigned int n_clients;
	spinlock_t lock; /* of its jobs' fences */
	u64 context;
	atomic_t seqno;
	atomic_t jobs; /* not freed yet */
};

static struct engine engines[N_ENGINES];
static DECLARE_WAIT_QUEUE_HEAD(idle);

struct job {
	struct drm_sched_job base;
	struct engine *engine;
	unsigned int us;
	int status;
};

/* What the hardware would be: freed by RCU after the timer's function has long returned */
struct run {
	struct dma_fence fence;
	struct hrtimer timer;
	int status;
};

static const char *fence_name(struct dma_fence *fence)
{
	return "gpu_jobs";
}

static const struct dma_fence_ops fence_ops = {
	.get_driver_name = fence_name,
	.get_timeline_name = fence_name,
};

static enum hrtimer_restart over(struct hrtimer *timer)
{
	struct run *run = container_of(timer, struct run, timer);

	if (run->status)
		dma_fence_set_error(&run->fence, run->status);
	dma_fence_signal(&run->fence);
	dma_fence_put(&run->fence);
	return HRTIMER_NORESTART;
}

static struct dma_fence *run_job(struct drm_sched_job *base)
{
	struct job *job = container_of(base, struct job, base);
	struct engine *e = job->engine;
	struct run *run = kzalloc(sizeof(*run), GFP_KERNEL);

	if (!run)
		return ERR_PTR(-ENOMEM);
	trace_drm_sched_job_run(base, NULL);
	dma_fence_init(&run->fence, &fence_ops, &e->lock, e->context, atomic_inc_return(&e->seqno));
	run->status = job->status;
	hrtimer_init(&run->timer, CLOCK_MONOTONIC, HRTIMER_MODE_REL);
	run->timer.function = over;
	dma_fence_get(&run->fence);
	hrtimer_start(&run->timer, ns_to_ktime((u64)job->us * NSEC_PER_USEC), HRTIMER_MODE_REL);
	return &run->fence;
}

static enum drm_gpu_sched_stat timed_out(struct drm_sched_job *base)
{
	return DRM_GPU_SCHED_STAT_NOMINAL;
}

static void free_job(struct drm_sched_job *base)
{
	struct job *job = container_of(base, struct job, base);
	struct engine *e = job->engine;

	drm_sched_job_cleanup(base);
	kfree(job);
	if (atomic_dec_and_test(&e->jobs))
		wake_up_all(&idle);
}

static const struct drm_sched_backend_ops ops = {
	.run_job = run_job,
	.timedout_job = timed_out,
	.free_job = free_job,
};

static int job_init(struct job *job, struct drm_sched_entity *client)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 8, 0)
	return drm_sched_job_init(&job->base, client, 1, job, 0);
#else
	return drm_sched_job_init(&job->base, client, job);
#endif
}

static int push(struct engine *e, struct drm_sched_entity *client, unsigned int us, int status)
{
	struct job *job = kzalloc(sizeof(*job), GFP_KERNEL);
	int r;

	if (!job)
		return -ENOMEM;
	job->engine = e;
	job->us = us;
	job->status = status;
	r = job_init(job, client);
	if (r) {
		kfree(job);
		return r;
	}
	atomic_inc(&e->jobs);
	drm_sched_job_arm(&job->base);
	trace_drm_sched_job_queue(&job->base, client);
	drm_sched_entity_push_job(&job->base);
	return 0;
}

/* Parameters are written one at a time. */
static int run_set(const char *text, const struct kernel_param *param)
{
	struct drm_gpu_scheduler *sched;
	struct drm_sched_entity *client;
	unsigned int which, n, us, i;
	struct engine *e;
	int status, r;

	if (sscanf(text, "%u %u %u %d", &which, &n, &us, &status) != 4 || which >= N_ENGINES ||
	    n > MAX_JOBS || status > 0 || status < -MAX_ERRNO)
		return -EINVAL;
	e = &engines[which];
	if (e->n_clients == N_CLIENTS)
		return -ENOSPC;
	client = &e->client[e->n_clients];
	sched = &e->sched;
	r = drm_sched_entity_init(client, DRM_SCHED_PRIORITY_NORMAL, &sched, 1, NULL);
	if (r)
		return r;
	e->n_clients++;
	for (i = 0; i < n && !r; i++)
		r = push(e, client, us, status);
	return r;
}

/* What waits is dropped; what runs ends. */
static void kill(struct engine *e)
{
	while (e->n_clients)
		drm_sched_entity_fini(&e->client[--e->n_clients]);
	wait_event(idle, !atomic_read(&e->jobs));
}

static int kill_set(const char *text, const struct kernel_param *param)
{
	unsigned int which;

	if (sscanf(text, "%u", &which) != 1 || which >= N_ENGINES)
		return -EINVAL;
	kill(&engines[which]);
	return 0;
}

static const struct kernel_param_ops run_ops = {.set = run_set};
static const struct kernel_param_ops kill_ops = {.set = kill_set};

module_param_cb(run, &run_ops, NULL, 0200);
MODULE_PARM_DESC(run, "\"ENGINE N US STATUS\": N jobs of US us each");
module_param_cb(kill, &kill_ops, NULL, 0200);
MODULE_PARM_DESC(kill, "\"ENGINE\": all its clients are gone");

static int engine_init(struct engine *e, unsigned int depth, const char *name)
{
	const struct drm_sched_init_args args = {
		.ops = &ops,
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 8, 0)
		.num_rqs = DRM_SCHED_PRIORITY_COUNT,
#endif
		.credit_limit = depth,
		.timeout = MAX_SCHEDULE_TIMEOUT,
		.name = name,
	};

	spin_lock_init(&e->lock);
	e->context = dma_fence_context_alloc(1);
	return drm_sched_init(&e->sched, &args);
}

static int __init gpu_jobs_init(void)
{
	int r = engine_init(&engines[0], 1, "gpu_jobs.0");

	if (r)
		return r;
	r = engine_init(&engines[1], 2, "gpu_jobs.1");
	if (r)
		drm_sched_fini(&engines[0].sched);
	return r;
}

static void __exit gpu_jobs_exit(void)
{
	int i;

	for (i = 0; i < N_ENGINES; i++) {
		kill(&engines[i]);
		drm_sched_fini(&engines[i].sched);
	}
	/* The last timer's function may still be on its way out. */
	synchronize_rcu();
}

module_init(gpu_jobs_init);
module_exit(gpu_jobs_exit);
MODULE_DESCRIPTION("Jobs of a GPU scheduler without a GPU, for tests");
MODULE_LICENSE("GPL");
