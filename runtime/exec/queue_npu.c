/* SPDX-License-Identifier: MIT */
/*
 * The engine npu:N: the N-th NPU among the kernel's queues. A program's commands and
 * weights are made once; a context is what one execution needs beside them: a queue, and a
 * buffer with the arena and room for the job's inputs and outputs. A program has a few
 * contexts, so that the NPU has the next job at hand while the host copies or computes for
 * another; jobs beyond those wait in line.
 *
 * A context goes through its image's stages: commands are submitted and an event tells
 * when they are done; the host's stages run on the device's thread. A job that fails stops
 * its queue in the kernel, so each context has one of its own, made anew after a failure.
 */
#include "exec/engine.h"
#include "exec/npu.h"
#include "exec/queue_jobs.h"
#include "exec/queue_memory.h"
#include "util/clock.h"
#include "util/machine.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_CONTEXTS 3
#define MAX_CONTEXTS 8
#define PROFILE_WAIT_NS 60000000000

struct npu_engine {
	struct kerf_engine base;
	struct kerf_queue_dev *dev;
	uint32_t index, number, features, contexts, depth;
	uint64_t memory_bytes;
	pthread_mutex_t lock;
	struct kerf_queue_memory memory;	     /* given out by alloc */
	uint32_t in_flight;			     /* contexts whose event will come */
	struct npu_context *stalled, **stalled_tail; /* the kernel had no room for their jobs */
};

struct npu_context {
	struct kerf_queue_context base;
	struct npu_program *program;
	struct npu_context *next_stalled;
	struct kerf_queue queue;
	struct kerf_queue_event event;
	struct kerf_queue_work work;
	struct kerf_bo bo; /* arena, then each input and output that commands touch */
	struct kerf_tensor *values;
	void **io;		     /* per input, then per output: where it is in this execution */
	struct drm_kerf_bo_ref *ref; /* per window */
	struct drm_kerf_job *jobs;

	uint32_t stage, piece; /* the next ones; piece counts within the stage */
	uint32_t submitted;    /* pieces that the kernel has */
	uint64_t busy_ns;      /* of the queue before this job */
	uint64_t host_ns;      /* of the host's stages of this job */
	int status;	       /* why it failed before the kernel had it */
};

struct npu_program {
	struct kerf_program base;
	struct kerf_npu_image *im;
	struct kerf_npu_host *host;
	struct kerf_bo weights;
	uint64_t *io_at; /* per input, then per output: its place in a context's buffer */
	uint64_t context_bytes;
	uint32_t n_window, max_pieces; /* pieces: of a stage, at most a submission's */
	struct kerf_program_info info;

	struct kerf_queue_jobs jobs;
	struct npu_context *context;
	uint32_t n_context;
};

static struct npu_engine *engine_of(const struct npu_program *p)
{
	return (struct npu_engine *)p->base.engine;
}

/* --- Memory that jobs use without copying --- */

static void *npu_alloc(struct kerf_engine *engine, size_t bytes)
{
	return kerf_queue_memory_alloc(&((struct npu_engine *)engine)->memory, bytes);
}

static void npu_free(struct kerf_engine *engine, void *data)
{
	kerf_queue_memory_free(&((struct npu_engine *)engine)->memory, data);
}

/* --- One execution --- */

static const struct kerf_value *io_value(const struct kerf_graph *g, uint32_t k)
{
	return &g->value[k < g->n_in ? g->in[k] : g->out[k - g->n_in]];
}

/* Caches agree about all that commands may touch; nothing where devices see them anyway. */
static void sync_memory(struct npu_context *c, uint32_t flags)
{
	const struct npu_program *p = c->program;
	const struct kerf_graph *g = p->base.slice;
	uint32_t k;

	kerf_bo_sync(&c->bo, flags, 0, p->context_bytes);
	for (k = 0; k < g->n_in + g->n_out; k++) {
		const struct drm_kerf_bo_ref *ref = &c->ref[KERF_NPU_W_IO + k];
		struct kerf_bo bo = {.dev = c->bo.dev, .handle = ref->handle};

		if (p->im->uses[k] && ref->handle != c->bo.handle)
			kerf_bo_sync(&bo, flags, ref->offset, ref->size);
	}
}

/* Where each input and output is for this job; copies the inputs that commands read. */
static void bind(struct npu_context *c)
{
	struct npu_program *p = c->program;
	const struct kerf_graph *g = p->base.slice;
	uint32_t k;

	for (k = 0; k < g->n_in + g->n_out; k++) {
		struct drm_kerf_bo_ref *ref = &c->ref[KERF_NPU_W_IO + k];
		void *data =
			k < g->n_in ? c->base.job->in[k].data : c->base.job->out[k - g->n_in].data;
		size_t bytes = kerf_tensor_bytes(&io_value(g, k)->t);

		c->io[k] = data;
		if (!p->im->uses[k] ||
		    kerf_queue_memory_find(&engine_of(p)->memory, data, bytes, ref))
			continue;
		ref->handle = c->bo.handle;
		ref->offset = p->io_at[k];
		c->io[k] = (uint8_t *)c->bo.map + p->io_at[k];
		if (k < g->n_in)
			memcpy(c->io[k], data, bytes);
	}
	sync_memory(c, KERF_SYNC_READ | KERF_SYNC_WRITE | KERF_SYNC_END);
	kerf_npu_host_bind(p->host, c->values, c->bo.map, c->io);
	/* A bounded one may be smaller than the slice says. */
	for (k = 0; k < g->n_in; k++)
		memcpy(c->values[g->in[k]].dims, c->base.job->in[k].dims,
		       sizeof(c->base.job->in[k].dims));
}

static void copy_outputs(struct npu_context *c)
{
	const struct kerf_graph *g = c->program->base.slice;
	uint32_t k;

	sync_memory(c, KERF_SYNC_READ);
	for (k = 0; k < g->n_out; k++) {
		const struct kerf_tensor *v = &c->values[g->out[k]];

		if (v->data != c->base.job->out[k].data)
			memcpy(c->base.job->out[k].data, v->data, kerf_tensor_bytes(v));
		memcpy(c->base.job->out[k].dims, v->dims, sizeof(v->dims));
	}
}

/* A stage of the host's reads and writes what commands do. */
static int host_stage(struct npu_context *c, const struct kerf_npu_stage *s)
{
	uint64_t begin = kerf_now_ns();
	int r;

	sync_memory(c, KERF_SYNC_READ | KERF_SYNC_WRITE);
	r = kerf_npu_host_run(c->program->host, s, c->values);
	sync_memory(c, KERF_SYNC_READ | KERF_SYNC_WRITE | KERF_SYNC_END);
	c->host_ns += kerf_now_ns() - begin;
	return r;
}

static uint64_t queue_busy(const struct npu_context *c)
{
	struct drm_kerf_queue_state state;

	return kerf_queue_state(&c->queue, &state) ? 0 : state.busy_ns;
}

static int make_queue(struct npu_context *c)
{
	struct npu_program *p = c->program;

	c->busy_ns = 0;
	return kerf_queue_create(engine_of(p)->dev, engine_of(p)->index, KERF_PRIORITY_NORMAL,
				 p->max_pieces, &c->queue);
}

static void fill_job(struct npu_context *c, struct drm_kerf_job *job, uint32_t begin, uint32_t end)
{
	*job = (struct drm_kerf_job){
		.cmd = (uintptr_t)(c->program->im->cmd + begin),
		.cmd_size = end - begin,
		.bos = {sizeof(*c->ref), c->program->n_window, (uintptr_t)c->ref},
	};
}

static void go_on(struct npu_context *c, bool on_thread);

static void start(struct npu_context *c)
{
	kerf_job_start(c->base.job);
	c->stage = c->piece = 0;
	c->host_ns = 0;
	c->status = 0;
	if (!c->queue.dev)
		c->status = kerf_queue_job_status(make_queue(c));
	bind(c);
	go_on(c, false);
}

/* Gives the context to who waits, then tells the caller, who may submit the next from there. */
static void finish(struct npu_context *c, int status)
{
	struct npu_program *p = c->program;
	struct kerf_job *job = c->base.job;
	uint64_t busy_ns = c->queue.dev ? queue_busy(c) : c->busy_ns;

	if (!status)
		copy_outputs(c);
	job->end_ns = kerf_now_ns();
	job->busy_ns = c->host_ns + busy_ns - c->busy_ns;
	c->busy_ns = busy_ns;
	if (status)
		kerf_queue_destroy(&c->queue);
	if (kerf_queue_jobs_next(&p->jobs, &c->base))
		start(c);
	/* The program may be released as soon as its last job is done. */
	kerf_job_done(job, status);
}

/* What the kernel says of a job after the first that failed is not the cause. */
static int cause_of(const struct npu_context *c, int status)
{
	struct drm_kerf_queue_state state;

	if (status == -ECANCELED && !kerf_queue_state(&c->queue, &state) && state.first_error)
		status = state.first_error;
	return kerf_queue_job_status(status);
}

/* A context left the kernel: there may be room for one that found none. */
static void leave_kernel(struct npu_engine *e)
{
	struct npu_context *c;
	bool more;

	pthread_mutex_lock(&e->lock);
	e->in_flight--;
	do {
		c = e->stalled;
		if (c) {
			e->stalled = c->next_stalled;
			if (!e->stalled)
				e->stalled_tail = &e->stalled;
		}
		pthread_mutex_unlock(&e->lock);
		if (c)
			go_on(c, true);
		pthread_mutex_lock(&e->lock);
		/* Nothing in flight: nobody else will come by. */
		more = e->stalled && !e->in_flight;
	} while (more);
	pthread_mutex_unlock(&e->lock);
}

static void pieces_done(struct kerf_queue_event *event, uint64_t seqno, int status)
{
	struct npu_context *c = KERF_CONTAINER_OF(event, struct npu_context, event);
	struct npu_engine *e = engine_of(c->program);

	c->piece += c->submitted;
	if (c->piece == c->program->im->stage[c->stage].n_piece) {
		c->piece = 0;
		c->stage++;
	}
	if (status)
		finish(c, cause_of(c, status));
	else
		go_on(c, true);
	leave_kernel(e);
}

/* True if the context now waits for one that is in the kernel; false: there is none. */
static bool stall(struct npu_engine *e, struct npu_context *c)
{
	bool others;

	pthread_mutex_lock(&e->lock);
	others = e->in_flight > 1;
	if (others) {
		e->in_flight--;
		c->next_stalled = NULL;
		*e->stalled_tail = c;
		e->stalled_tail = &c->next_stalled;
	}
	pthread_mutex_unlock(&e->lock);
	return others;
}

/* The stage's next pieces. -EAGAIN: the context waits for room. */
static int submit_pieces(struct npu_context *c, const struct kerf_npu_stage *s)
{
	struct npu_program *p = c->program;
	struct npu_engine *e = engine_of(p);
	uint32_t n = KERF_MIN(s->n_piece - c->piece, p->max_pieces), i;
	int r, tries;

	for (i = 0; i < n; i++) {
		const struct kerf_npu_piece *piece = &p->im->piece[s->first_piece + c->piece + i];

		fill_job(c, &c->jobs[i], piece->begin, piece->end);
	}
	c->submitted = n;
	pthread_mutex_lock(&e->lock);
	e->in_flight++;
	pthread_mutex_unlock(&e->lock);
	/* Alone there is nobody to wait for, but the last may have left just now: try again. */
	for (tries = 0; tries < 2; tries++) {
		/* If it works the context may be another job's when it returns. */
		r = kerf_queue_submit(&c->queue, c->jobs, n, &c->event, NULL);
		if (r != -EAGAIN && r != -ENOMEM)
			break;
		if (stall(e, c))
			return -EAGAIN;
	}
	if (!r)
		return 0;
	pthread_mutex_lock(&e->lock);
	e->in_flight--;
	pthread_mutex_unlock(&e->lock);
	return r == -EAGAIN ? -ENOMEM : r;
}

static void run_posted(struct kerf_queue_work *work)
{
	go_on(KERF_CONTAINER_OF(work, struct npu_context, work), true);
}

/*
 * Takes the job on until the kernel has it or it is over. Only the device's thread computes
 * and tells the caller: who submits is not kept and not called back from there.
 */
static void go_on(struct npu_context *c, bool on_thread)
{
	const struct kerf_npu_image *im = c->program->im;

	while (!c->status && c->stage < im->n_stage) {
		const struct kerf_npu_stage *s = &im->stage[c->stage];
		int r;

		if (kerf_queue_context_cancelled(&c->base)) {
			c->status = -ECANCELED;
		} else if (!s->host && s->n_piece) {
			r = submit_pieces(c, s);
			if (!r || r == -EAGAIN)
				return;
			c->status = cause_of(c, r);
		} else if (on_thread) {
			c->status = host_stage(c, s);
			c->stage++;
		} else {
			break;
		}
	}
	if (on_thread) {
		finish(c, c->status);
		return;
	}
	c->work.run = run_posted;
	kerf_queue_post(engine_of(c->program)->dev, &c->work);
}

static int npu_submit(struct kerf_job *job)
{
	struct npu_program *p = (struct npu_program *)job->program;
	struct kerf_queue_context *c;
	int r = kerf_queue_jobs_submit(&p->jobs, job, &c);

	if (c)
		start(KERF_CONTAINER_OF(c, struct npu_context, base));
	return r;
}

/* One that runs ends before its next stage. */
static void npu_cancel(struct kerf_job *job)
{
	kerf_queue_jobs_cancel(&((struct npu_program *)job->program)->jobs, job);
}

/* --- Profile: each operator a job of its own, by the engine's clock --- */

static int profile_op(struct npu_context *c, uint32_t op, bool host, uint64_t *ns)
{
	const struct kerf_npu_image *im = c->program->im;
	const struct kerf_npu_stage alone = {.host = true, .first_op = op, .n_op = 1};
	uint64_t before = host ? c->host_ns : queue_busy(c), seqno;
	struct drm_kerf_job job;
	int r, status;

	*ns = 0;
	if (host) {
		r = host_stage(c, &alone);
		*ns = c->host_ns - before;
		return r;
	}
	if (im->op_cmd[op] == im->op_cmd[op + 1])
		return 0;
	fill_job(c, &job, im->op_cmd[op], im->op_cmd[op + 1]);
	r = kerf_queue_submit(&c->queue, &job, 1, NULL, &seqno);
	if (!r)
		r = kerf_queue_wait(&c->queue, seqno, (int64_t)kerf_now_ns() + PROFILE_WAIT_NS,
				    &status);
	if (!r)
		r = status;
	*ns = queue_busy(c) - before;
	return kerf_queue_job_status(r);
}

static int npu_profile(struct kerf_program *program, const struct kerf_tensor *in,
		       struct kerf_tensor *out, uint64_t *op_ns)
{
	struct npu_program *p = (struct npu_program *)program;
	struct kerf_job job = {.program = program, .in = in, .out = out};
	struct npu_context *c = KERF_CONTAINER_OF(kerf_queue_jobs_take(&p->jobs, &job),
						  struct npu_context, base);
	uint32_t s, i;
	int r = 0;

	c->host_ns = 0;
	if (!c->queue.dev)
		r = kerf_queue_job_status(make_queue(c));
	bind(c);
	memset(op_ns, 0, p->base.slice->n_op * sizeof(*op_ns));
	for (s = 0; s < p->im->n_stage && !r; s++)
		for (i = 0; i < p->im->stage[s].n_op && !r; i++) {
			uint32_t op = p->im->stage[s].first_op + i;

			r = profile_op(c, op, p->im->stage[s].host, &op_ns[op]);
		}
	if (!r)
		copy_outputs(c);
	c->busy_ns = c->queue.dev ? queue_busy(c) : 0;
	if (r)
		kerf_queue_destroy(&c->queue);
	if (kerf_queue_jobs_next(&p->jobs, &c->base))
		start(c);
	return r;
}

/* --- Programs --- */

static void free_context(struct npu_context *c)
{
	kerf_queue_destroy(&c->queue);
	kerf_bo_finish(&c->bo);
	free(c->values);
	free(c->io);
	free(c->ref);
	free(c->jobs);
}

static void npu_release(struct kerf_program *program)
{
	struct npu_program *p = (struct npu_program *)program;
	uint32_t i;

	for (i = 0; i < p->n_context; i++)
		free_context(&p->context[i]);
	free(p->context);
	kerf_bo_finish(&p->weights);
	kerf_npu_host_free(p->host);
	kerf_npu_image_free(p->im);
	free(p->io_at);
	kerf_queue_jobs_finish(&p->jobs);
	kerf_graph_unref(p->base.slice);
	free(p);
}

/* Places in a context's buffer, behind the arena. */
static int place_io(struct npu_program *p)
{
	const struct kerf_graph *g = p->base.slice;
	uint64_t at = kerf_align(KERF_MAX(p->im->arena_bytes, 1u));
	uint32_t k;

	p->io_at = calloc((size_t)g->n_in + g->n_out + 1, sizeof(*p->io_at));
	if (!p->io_at)
		return -ENOMEM;
	for (k = 0; k < g->n_in + g->n_out; k++) {
		p->io_at[k] = at;
		if (p->im->uses[k])
			at += kerf_align(kerf_tensor_bytes(&io_value(g, k)->t));
	}
	p->context_bytes = at;
	return 0;
}

static void fill_refs(struct npu_context *c)
{
	const struct npu_program *p = c->program;
	const struct kerf_graph *g = p->base.slice;
	uint32_t k;

	c->ref[KERF_NPU_W_WEIGHTS] =
		(struct drm_kerf_bo_ref){p->weights.handle, KERF_BO_REF_READ, 0, p->weights.size};
	c->ref[KERF_NPU_W_ARENA] =
		(struct drm_kerf_bo_ref){c->bo.handle, KERF_BO_REF_READ | KERF_BO_REF_WRITE, 0,
					 kerf_align(KERF_MAX(p->im->arena_bytes, 1u))};
	/* What commands do not touch still has a number: any bytes will do. */
	for (k = 0; k < g->n_in + g->n_out; k++)
		c->ref[KERF_NPU_W_IO + k] = (struct drm_kerf_bo_ref){
			.handle = c->bo.handle,
			.flags = KERF_BO_REF_READ |
				 (k >= g->n_in && p->im->uses[k] ? KERF_BO_REF_WRITE : 0),
			.size = p->im->uses[k] ? kerf_tensor_bytes(&io_value(g, k)->t) : KERF_ALIGN,
		};
}

static int make_context(struct npu_program *p, struct npu_context *c)
{
	const struct kerf_graph *g = p->base.slice;
	int r;

	c->program = p;
	c->event.done = pieces_done;
	c->values = kerf_npu_host_values(p->host);
	c->io = calloc((size_t)g->n_in + g->n_out + 1, sizeof(*c->io));
	c->ref = calloc(p->n_window, sizeof(*c->ref));
	c->jobs = calloc(p->max_pieces, sizeof(*c->jobs));
	if (!c->values || !c->io || !c->ref || !c->jobs)
		return -ENOMEM;
	r = kerf_bo_create(engine_of(p)->dev, p->context_bytes, 0, &c->bo);
	if (!r)
		r = kerf_bo_map(&c->bo);
	if (r)
		return r;
	fill_refs(c);
	return make_queue(c);
}

static int make_weights(struct npu_program *p)
{
	struct kerf_bo *bo = &p->weights;
	int r = kerf_bo_create(engine_of(p)->dev, KERF_MAX(p->im->weight_bytes, 1u), 0, bo);

	if (!r)
		r = kerf_bo_map(bo);
	if (r)
		return r;
	kerf_bo_sync(bo, KERF_SYNC_WRITE, 0, bo->size);
	r = kerf_npu_put_weights(p->im, p->base.slice, bo->map);
	kerf_bo_sync(bo, KERF_SYNC_WRITE | KERF_SYNC_END, 0, bo->size);
	return r;
}

static int make_contexts(struct npu_program *p)
{
	uint32_t i, n = engine_of(p)->contexts;
	int r = 0;

	p->context = calloc(n, sizeof(*p->context));
	if (!p->context)
		return -ENOMEM;
	for (i = 0; i < n && !r; i++) {
		struct npu_context *c = &p->context[p->n_context++];

		r = make_context(p, c);
		kerf_queue_jobs_add(&p->jobs, &c->base);
	}
	return r;
}

static int build_program(struct npu_program *p, struct kerf_err *err)
{
	const struct npu_engine *e = engine_of(p);
	const struct kerf_graph *g = p->base.slice;
	uint32_t s;
	int r = kerf_npu_compile(e->features, g, &p->im, err);

	if (r)
		return r;
	p->n_window = KERF_NPU_W_IO + g->n_in + g->n_out;
	if (p->n_window > KERF_MAX_JOB_BOS)
		return kerf_fail(err, -EOPNOTSUPP,
				 "%u inputs and outputs, a job of the NPU has at most %u",
				 g->n_in + g->n_out, KERF_MAX_JOB_BOS - KERF_NPU_W_IO);
	p->max_pieces = 1;
	for (s = 0; s < p->im->n_stage; s++)
		p->max_pieces = KERF_MAX(p->max_pieces, p->im->stage[s].n_piece);
	p->max_pieces = KERF_MIN(p->max_pieces, KERF_MAX_SUBMIT_JOBS);
	r = kerf_npu_host_new(p->im, g, &p->host);
	if (!r)
		r = place_io(p);
	if (!r)
		r = make_weights(p);
	return r ? r : make_contexts(p);
}

static int npu_prepare(struct kerf_engine *engine, struct kerf_graph *slice,
		       struct kerf_program **program, struct kerf_err *err)
{
	struct npu_engine *e = (struct npu_engine *)engine;
	struct npu_program *p = calloc(1, sizeof(*p));
	uint64_t begin = kerf_now_ns();
	int r;

	if (!p)
		return -ENOMEM;
	p->base.engine = engine;
	p->base.slice = kerf_graph_ref(slice);
	kerf_queue_jobs_init(&p->jobs, e->depth);
	r = build_program(p, err);
	if (r) {
		npu_release(&p->base);
		if (r == -ENOSPC)
			kerf_fail(err, r,
				  "engine npu:%u: cannot prepare: a client may have %llu bytes of buffers and "
				  "%d queues",
				  e->number, (unsigned long long)e->memory_bytes, KERF_MAX_QUEUES);
		return kerf_fail(err, r, "engine npu:%u: cannot prepare: %s", e->number, strerror(-r));
	}
	p->info.weight_bytes = p->im->weight_bytes;
	p->info.arena_bytes = p->im->arena_bytes;
	p->info.prepare_ns = kerf_now_ns() - begin;
	*program = &p->base;
	return 0;
}

static void npu_program_info(const struct kerf_program *p, struct kerf_program_info *info)
{
	*info = ((const struct npu_program *)p)->info;
}

/* --- The engine --- */

static int parse_number(const char *spec, uint32_t *number, struct kerf_err *err)
{
	char *end;
	unsigned long n;

	*number = 0;
	if (!*spec)
		return 0;
	n = strtoul(spec + 1, &end, 10);
	if (spec[1] < '0' || spec[1] > '9' || *end || n > 255)
		return kerf_fail(err, -EINVAL, "engine npu%s: expected npu:NUMBER", spec);
	*number = (uint32_t)n;
	return 0;
}

static int npu_open(const char *spec, const struct kerf_engine_config *cfg,
		    struct kerf_engine **engine, struct kerf_err *err)
{
	struct npu_engine *e = calloc(1, sizeof(*e));
	struct drm_kerf_device_info device;
	struct drm_kerf_engine_info info;
	int r;

	if (!e)
		return -ENOMEM;
	r = parse_number(spec, &e->number, err);
	if (!r)
		r = kerf_queue_open_engine(KERF_ENGINE_NPU, NULL, e->number, &e->dev, &e->index,
					   err);
	if (!r)
		r = kerf_queue_engine_info(e->dev, e->index, &info);
	if (!r)
		r = kerf_queue_device_info(e->dev, &device);
	if (!r && info.caps >> 32 < KERF_NPU_COMMAND_SET_VALUE)
		r = kerf_fail(err, -EOPNOTSUPP,
			      "engine npu:%u: its command set is %u, expected %u or newer",
			      e->number, (uint32_t)(info.caps >> 32), KERF_NPU_COMMAND_SET_VALUE);
	if (r) {
		kerf_err_prefix(err, "engine npu%s", spec);
		kerf_queue_close(e->dev);
		free(e);
		return r;
	}
	e->base.ops = &kerf_engine_npu;
	e->features = (uint32_t)info.caps;
	e->memory_bytes = device.max_client_bytes;
	e->depth = cfg->depth;
	e->contexts = KERF_MIN(cfg->depth ? cfg->depth : DEFAULT_CONTEXTS, MAX_CONTEXTS);
	e->stalled_tail = &e->stalled;
	pthread_mutex_init(&e->lock, NULL);
	kerf_queue_memory_init(&e->memory, e->dev);
	*engine = &e->base;
	return 0;
}

static void npu_close(struct kerf_engine *engine)
{
	struct npu_engine *e = (struct npu_engine *)engine;

	kerf_queue_memory_finish(&e->memory);
	kerf_queue_close(e->dev);
	pthread_mutex_destroy(&e->lock);
	free(e);
}

static void npu_describe(struct kerf_engine *engine, struct kerf_engine_info *info)
{
	struct npu_engine *e = (struct npu_engine *)engine;

	memset(info, 0, sizeof(*info));
	snprintf(info->name, sizeof(info->name), "npu:%u", e->number);
	snprintf(info->kind, sizeof(info->kind), "npu");
	snprintf(info->device, sizeof(info->device), "kerf NPU %u, command set %u", e->number,
		 KERF_NPU_COMMAND_SET_VALUE);
	kerf_machine_id(info->machine);
	if (e->features & KERF_NPU_FEATURE_F32)
		info->dtypes |= 1u << KERF_F32;
	if (e->features & KERF_NPU_FEATURE_INT8)
		info->dtypes |= 1u << KERF_U8 | 1u << KERF_I8;
	info->memory_bytes = e->memory_bytes;
	info->depth = e->contexts;
	info->kernel_queue = true;
	info->kernel_device = kerf_queue_minor(e->dev);
	info->kernel_index = e->index;
}

/* What becomes commands. A slice may hold other operators: the host runs them for it. */
static bool npu_supports(struct kerf_engine *engine, const struct kerf_graph *g,
			 const struct kerf_op *op)
{
	return kerf_npu_supports(((struct npu_engine *)engine)->features, g, op);
}

const struct kerf_engine_ops kerf_engine_npu = {
	.abi = KERF_ENGINE_ABI,
	.kind = "npu",
	.open = npu_open,
	.close = npu_close,
	.describe = npu_describe,
	.supports = npu_supports,
	.prepare = npu_prepare,
	.release = npu_release,
	.program_info = npu_program_info,
	.submit = npu_submit,
	.cancel = npu_cancel,
	.profile = npu_profile,
	.alloc = npu_alloc,
	.free = npu_free,
};
