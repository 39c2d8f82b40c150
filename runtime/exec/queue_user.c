/* SPDX-License-Identifier: MIT */
/*
 * The engine q:NAME: a kernel queue behind which a server of this machine (kerfd
 * --serve-engine) runs slices; exec/queue_user.h says what the two say to each other.
 *
 * A program has a few contexts, each with a kernel queue of its own, since a job that fails
 * stops its queue, and a buffer for the reply, for inputs that do not lie in memory of this
 * engine's alloc, and for outputs: the server may write to those at any time, so they are
 * copied before anybody reads them. Jobs beyond the contexts wait in line. If the server dies its
 * successor runs them again, which the kernel sees to; nothing here knows of it.
 */
#include "exec/engine.h"
#include "exec/queue_jobs.h"
#include "exec/queue_memory.h"
#include "exec/queue_user.h"
#include "exec/remote_slice.h"
#include "graph/op.h"
#include "util/clock.h"
#include "util/file.h"
#include "util/machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_CONTEXTS 2
#define MAX_CONTEXTS 8
#define MAX_ERRNO 4095
#define REPLY_BYTES ((uint64_t)(sizeof(struct kerf_user_reply) + KERF_ALIGN - 1) / KERF_ALIGN * KERF_ALIGN)

_Static_assert(KERF_USER_IO + 3 == KERF_MAX_JOB_BOS, "a job's windows");

struct user_engine {
	struct kerf_engine base;
	struct kerf_queue_dev *dev;
	char name[32];
	uint32_t index, server_depth, dtypes, contexts, depth;
	uint64_t memory_bytes;
	struct kerf_queue_memory memory;
};

struct user_program;

struct user_context {
	struct kerf_queue_context base;
	struct user_program *program;
	struct kerf_queue queue;
	struct kerf_queue_event event;
	struct kerf_queue_work work;
	struct kerf_bo bo; /* the reply, then each input and output */
	struct drm_kerf_bo_ref ref[KERF_MAX_JOB_BOS];
	int status; /* why the kernel did not take its job */
};

struct user_program {
	struct kerf_program base;
	struct kerf_program_info info;
	struct kerf_bo request; /* its handle is the server's name for the program */
	uint64_t request_bytes, context_bytes;
	uint64_t io_at[KERF_USER_IO]; /* inputs, then outputs: places in a context's buffer */

	struct kerf_queue_jobs jobs;
	struct user_context *context;
	uint32_t n_context;
};

static struct user_engine *engine_of(const struct user_program *p)
{
	return (struct user_engine *)p->base.engine;
}

/* --- One execution --- */

static const struct kerf_value *io_value(const struct kerf_graph *g, uint32_t k)
{
	return &g->value[k < g->n_in ? g->in[k] : g->out[k - g->n_in]];
}

static struct kerf_user_reply *reply_of(const struct user_context *c)
{
	return c->bo.map;
}

static void *staged(const struct user_context *c, uint32_t k)
{
	return (uint8_t *)c->bo.map + c->program->io_at[k];
}

/* The commands and windows of a job; copies the inputs that have to be. */
static void bind(struct user_context *c, uint32_t op, struct kerf_user_cmd *cmd)
{
	struct user_program *p = c->program;
	const struct kerf_graph *g = p->base.slice;
	uint32_t k;

	cmd->version = KERF_USER_VERSION;
	cmd->op = op;
	cmd->n_in = g->n_in;
	cmd->n_out = g->n_out;
	for (k = 0; k < g->n_in; k++) {
		const struct kerf_tensor *t = &c->base.job->in[k];
		struct drm_kerf_bo_ref *ref = &c->ref[2 + k];

		memcpy(cmd->dims[k], t->dims, sizeof(cmd->dims[k]));
		if (kerf_queue_memory_find(&engine_of(p)->memory, t->data, ref->size, ref))
			continue;
		ref->handle = c->bo.handle;
		ref->offset = p->io_at[k];
		memcpy(staged(c, k), t->data, kerf_tensor_bytes(&io_value(g, k)->t));
	}
}

/* The true dims of outputs, which no server may make other than the slice says. */
static int take_outputs(struct user_context *c)
{
	const struct kerf_graph *g = c->program->base.slice;
	const struct kerf_user_reply *reply = reply_of(c);
	uint32_t k;
	int d;

	for (k = 0; k < g->n_out; k++) {
		const struct kerf_value *v = io_value(g, g->n_in + k);
		const struct kerf_tensor *bound = &v->t;
		struct kerf_tensor *t = &c->base.job->out[k];

		for (d = 0; d < bound->rank; d++) {
			int64_t dim = __atomic_load_n(&reply->dims[k][d], __ATOMIC_RELAXED);

			if (dim < 0 || dim > bound->dims[d] ||
			    (!v->bounded && dim != bound->dims[d]))
				return -EIO;
			t->dims[d] = dim;
		}
		memcpy(t->data, staged(c, g->n_in + k), kerf_tensor_bytes(t));
	}
	return 0;
}

static int make_queue(struct user_context *c)
{
	struct user_engine *e = engine_of(c->program);

	return kerf_queue_create(e->dev, e->index, KERF_PRIORITY_NORMAL, 1, &c->queue);
}

/* What a reply says, as an engine's job ends with it. */
static int reply_status(int status)
{
	switch (status) {
	case 0:
	case -ECANCELED:
	case -ETIMEDOUT:
	case -ENOMEM:
	case -EINVAL: return status;
	default: return -EIO;
	}
}

static void start(struct user_context *c);

/* On the device's thread: gives the context to who waits, then tells the caller. */
static void finish(struct user_context *c, int status)
{
	struct user_program *p = c->program;
	struct kerf_job *job = c->base.job;
	struct drm_kerf_queue_state state;

	if (!status)
		status = reply_status(reply_of(c)->status);
	if (!status)
		status = take_outputs(c);
	job->end_ns = kerf_now_ns();
	job->busy_ns = job->end_ns - job->start_ns;
	if (c->queue.dev && !kerf_queue_state(&c->queue, &state)) {
		job->busy_ns = state.busy_ns - job->engine_word;
		if (state.first_error)
			kerf_queue_destroy(&c->queue);
	}
	if (kerf_queue_jobs_next(&p->jobs, &c->base))
		start(c);
	/* The program may be released as soon as its last job is done. */
	kerf_job_done(job, status);
}

static void on_event(struct kerf_queue_event *event, uint64_t seqno, int status)
{
	finish(KERF_CONTAINER_OF(event, struct user_context, event), kerf_queue_job_status(status));
}

static void on_refusal(struct kerf_queue_work *work)
{
	struct user_context *c = KERF_CONTAINER_OF(work, struct user_context, work);

	finish(c, c->status);
}

static void start(struct user_context *c)
{
	struct user_program *p = c->program;
	const struct kerf_graph *g = p->base.slice;
	struct kerf_user_cmd cmd;
	struct drm_kerf_job job = {
		.cmd = (uintptr_t)&cmd,
		.cmd_size = KERF_USER_CMD_BYTES(g->n_in),
		.bos = {sizeof(c->ref[0]), 2 + g->n_in + g->n_out, (uintptr_t)c->ref}};
	struct drm_kerf_queue_state state = {.busy_ns = 0};
	int r = c->queue.dev ? 0 : make_queue(c);

	kerf_job_start(c->base.job);
	if (!r)
		r = kerf_queue_state(&c->queue, &state);
	c->base.job->engine_word = state.busy_ns;
	if (!r) {
		bind(c, KERF_USER_RUN, &cmd);
		r = kerf_queue_submit(&c->queue, &job, 1, &c->event, NULL);
	}
	if (!r)
		return;
	/* Who submits is not called back from there. */
	c->status = kerf_queue_job_status(r);
	kerf_queue_post(engine_of(p)->dev, &c->work);
}

static int user_submit(struct kerf_job *job)
{
	struct user_program *p = (struct user_program *)job->program;
	struct kerf_queue_context *c;
	int r = kerf_queue_jobs_submit(&p->jobs, job, &c);

	if (c)
		start(KERF_CONTAINER_OF(c, struct user_context, base));
	return r;
}

/* One that the server has ends as it does. */
static void user_cancel(struct kerf_job *job)
{
	kerf_queue_jobs_cancel(&((struct user_program *)job->program)->jobs, job);
}

/* --- Programs --- */

static int init_context(struct user_program *p, struct user_context *c, uint64_t bytes)
{
	const struct kerf_graph *g = p->base.slice;
	uint32_t k;
	int r;

	c->program = p;
	c->event.done = on_event;
	c->work.run = on_refusal;
	r = kerf_bo_create(engine_of(p)->dev, bytes, 0, &c->bo);
	if (!r)
		r = kerf_bo_map(&c->bo);
	if (!r)
		r = make_queue(c);
	if (r)
		return r;
	c->ref[0] = (struct drm_kerf_bo_ref){
		.handle = p->request.handle, .flags = KERF_BO_REF_READ, .size = p->request_bytes};
	c->ref[1] = (struct drm_kerf_bo_ref){.handle = c->bo.handle,
					     .flags = KERF_BO_REF_WRITE,
					     .size = sizeof(struct kerf_user_reply)};
	for (k = 0; k < g->n_in + g->n_out; k++) {
		c->ref[2 + k] = (struct drm_kerf_bo_ref){
			.handle = c->bo.handle,
			.flags = k < g->n_in ? KERF_BO_REF_READ : KERF_BO_REF_WRITE,
			.offset = p->io_at[k],
			.size = KERF_MAX(kerf_tensor_bytes(&io_value(g, k)->t), 1)};
	}
	return 0;
}

static void finish_context(struct user_context *c)
{
	kerf_queue_destroy(&c->queue);
	kerf_bo_finish(&c->bo);
}

static int make_contexts(struct user_program *p)
{
	uint32_t i;
	int r = 0;

	p->n_context = engine_of(p)->contexts;
	p->context = calloc(p->n_context, sizeof(*p->context));
	if (!p->context)
		return -ENOMEM;
	for (i = 0; i < p->n_context && !r; i++) {
		r = init_context(p, &p->context[i], p->context_bytes);
		kerf_queue_jobs_add(&p->jobs, &p->context[i].base);
	}
	return r;
}

static void layout(struct user_program *p)
{
	const struct kerf_graph *g = p->base.slice;
	uint32_t k;

	p->context_bytes = REPLY_BYTES;
	for (k = 0; k < g->n_in + g->n_out; k++) {
		p->io_at[k] = p->context_bytes;
		p->context_bytes += kerf_align(KERF_MAX(kerf_tensor_bytes(&io_value(g, k)->t), 1));
	}
}

static int make_request(struct user_program *p, struct kerf_err *err)
{
	struct kerf_slice_request q = {.depth = 1};
	char *text = NULL;
	int r = kerf_slice_describe(p->base.slice, &q, err);

	if (!r)
		r = kerf_slice_request_encode(&q, &text);
	kerf_slice_request_finish(&q);
	if (r)
		return r;
	p->request_bytes = strlen(text);
	if (p->request_bytes > KERF_USER_REQUEST_MAX)
		r = kerf_fail(err, -EOPNOTSUPP, "the slice's description has %llu bytes, at most %u",
			      (unsigned long long)p->request_bytes, KERF_USER_REQUEST_MAX);
	if (!r)
		r = kerf_bo_create(engine_of(p)->dev, p->request_bytes, 0, &p->request);
	if (!r)
		r = kerf_bo_map(&p->request);
	if (!r)
		memcpy(p->request.map, text, p->request_bytes);
	free(text);
	return r;
}

/* The server's answer to PREPARE, or why there is none; model NULL: it should have it. */
static int ask(struct user_program *p, const struct kerf_bo *model, uint64_t model_bytes,
	       struct kerf_err *err)
{
	struct user_context *c = &p->context[0];
	struct kerf_user_cmd cmd = {
		.version = KERF_USER_VERSION, .op = KERF_USER_PREPARE, .n_in = 0, .n_out = 0};
	struct drm_kerf_bo_ref ref[3] = {c->ref[0], c->ref[1]};
	struct drm_kerf_job job = {.cmd = (uintptr_t)&cmd,
				   .cmd_size = KERF_USER_CMD_BYTES(0),
				   .bos = {sizeof(ref[0]), model ? 3 : 2, (uintptr_t)ref},
				   .timeout_ms = KERF_MAX_TIMEOUT_MS};
	const struct kerf_graph *g = p->base.slice;
	struct kerf_user_reply reply;
	uint64_t seqno;
	int r, status;

	if (model)
		ref[2] = (struct drm_kerf_bo_ref){
			.handle = model->handle, .flags = KERF_BO_REF_READ, .size = model_bytes};
	r = kerf_queue_submit(&c->queue, &job, 1, NULL, &seqno);
	if (!r)
		r = kerf_queue_wait(&c->queue, seqno, INT64_MAX, &status);
	if (!r)
		r = status;
	if (r)
		return kerf_fail(err, kerf_queue_job_status(r), "the server's answer to PREPARE: %s",
				 strerror(-r));
	reply = *reply_of(c);
	reply.message[sizeof(reply.message) - 1] = 0;
	if (reply.status == -ENOENT && !model)
		return -ENOENT;
	if (reply.status > 0 || reply.status < -MAX_ERRNO)
		return kerf_fail(err, -EPROTO,
				 "the server's answer to PREPARE has status %d, expected 0 or a negative errno",
				 reply.status);
	if (reply.status)
		return kerf_fail(err, reply.status, "%s",
				 reply.message[0] ? reply.message : strerror(-reply.status));
	if (reply.n_in != g->n_in || reply.n_out != g->n_out)
		return kerf_fail(err, -EPROTO, "the server's slice has %u inputs and %u outputs, expected "
					       "%u and %u",
				 reply.n_in, reply.n_out, g->n_in, g->n_out);
	p->info.weight_bytes = reply.weight_bytes;
	p->info.arena_bytes = reply.arena_bytes;
	return 0;
}

static int send_model(struct user_program *p, struct kerf_err *err)
{
	const struct kerf_graph *whole = p->base.slice;
	struct kerf_bo model = {.dev = NULL};
	int r;

	while (whole->parent)
		whole = whole->parent;
	if (!whole->file)
		return kerf_fail(err, -EOPNOTSUPP,
				 "the server lacks the model, and here it is not in a file");
	r = kerf_bo_create(engine_of(p)->dev, whole->file->size, 0, &model);
	if (!r)
		r = kerf_bo_map(&model);
	if (!r) {
		memcpy(model.map, whole->file->data, whole->file->size);
		r = ask(p, &model, whole->file->size, err);
	}
	kerf_bo_finish(&model);
	return r;
}

static void user_release(struct kerf_program *program)
{
	struct user_program *p = (struct user_program *)program;
	uint32_t i;

	for (i = 0; p->context && i < p->n_context; i++)
		finish_context(&p->context[i]);
	kerf_bo_finish(&p->request); /* which tells the server */
	free(p->context);
	kerf_queue_jobs_finish(&p->jobs);
	kerf_graph_unref(p->base.slice);
	free(p);
}

static int user_prepare(struct kerf_engine *engine, struct kerf_graph *slice,
			struct kerf_program **program, struct kerf_err *err)
{
	struct user_engine *e = (struct user_engine *)engine;
	struct user_program *p;
	uint64_t begin = kerf_now_ns();
	int r;

	if (slice->n_in + slice->n_out > KERF_USER_IO)
		return kerf_fail(err, -EOPNOTSUPP,
				 "engine q:%s: a slice of %u inputs and outputs, at most %d", e->name,
				 slice->n_in + slice->n_out, KERF_USER_IO);
	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->base.engine = engine;
	p->base.slice = kerf_graph_ref(slice);
	kerf_queue_jobs_init(&p->jobs, e->depth);
	layout(p);
	r = make_request(p, err);
	if (!r)
		r = make_contexts(p);
	if (!r)
		r = ask(p, NULL, 0, err);
	if (r == -ENOENT)
		r = send_model(p, err);
	if (r) {
		user_release(&p->base);
		if (err && err->msg[0])
			kerf_err_prefix(err, "engine q:%s", e->name);
		if (r == -ENOSPC)
			kerf_fail(err, r,
				  "engine q:%s: cannot prepare: a client may have %llu bytes of buffers and "
				  "%d queues",
				  e->name, (unsigned long long)e->memory_bytes, KERF_MAX_QUEUES);
		return kerf_fail(err, r, "engine q:%s: cannot prepare: %s", e->name, strerror(-r));
	}
	p->info.prepare_ns = kerf_now_ns() - begin;
	*program = &p->base;
	return 0;
}

static void user_program_info(const struct kerf_program *p, struct kerf_program_info *info)
{
	*info = ((const struct user_program *)p)->info;
}

/* A context of its own, whose buffer ends with the times. */
static int user_profile(struct kerf_program *program, const struct kerf_tensor *in,
			struct kerf_tensor *out, uint64_t *op_ns)
{
	struct user_program *p = (struct user_program *)program;
	const struct kerf_graph *g = p->base.slice;
	uint32_t n = 2 + g->n_in + g->n_out;
	uint64_t bytes = g->n_op * sizeof(*op_ns), seqno;
	struct kerf_user_cmd cmd;
	struct kerf_job tensors = {.program = program, .in = in, .out = out};
	struct user_context *c = calloc(1, sizeof(*c));
	struct drm_kerf_job job = {.cmd = (uintptr_t)&cmd,
				   .cmd_size = KERF_USER_CMD_BYTES(g->n_in)};
	int r, status = 0;

	if (!c)
		return -ENOMEM;
	r = init_context(p, c, p->context_bytes + KERF_MAX(bytes, 1));
	if (r)
		goto free_context;
	c->base.job = &tensors;
	bind(c, KERF_USER_PROFILE, &cmd);
	c->ref[n] = (struct drm_kerf_bo_ref){.handle = c->bo.handle,
					     .flags = KERF_BO_REF_WRITE,
					     .offset = p->context_bytes,
					     .size = bytes};
	job.bos = (struct drm_kerf_obj_array){sizeof(c->ref[0]), n + 1, (uintptr_t)c->ref};
	r = kerf_queue_submit(&c->queue, &job, 1, NULL, &seqno);
	if (!r)
		r = kerf_queue_wait(&c->queue, seqno, INT64_MAX, &status);
	if (!r)
		r = status;
	r = r ? kerf_queue_job_status(r) : reply_status(reply_of(c)->status);
	if (!r)
		r = take_outputs(c);
	if (!r)
		memcpy(op_ns, (uint8_t *)c->bo.map + p->context_bytes, bytes);
free_context:
	finish_context(c);
	free(c);
	return r;
}

/* --- The engine --- */

static int user_open(const char *spec, const struct kerf_engine_config *cfg,
		     struct kerf_engine **engine, struct kerf_err *err)
{
	struct user_engine *e;
	struct drm_kerf_device_info device;
	struct drm_kerf_engine_info info;
	int r;

	if (*spec != ':' || !spec[1] || strlen(spec) > sizeof(e->name))
		return kerf_fail(err, -EINVAL, "engine q%s: expected q:NAME", spec);
	e = calloc(1, sizeof(*e));
	if (!e)
		return -ENOMEM;
	r = kerf_queue_open_engine(KERF_ENGINE_USER, spec + 1, 0, &e->dev, &e->index, err);
	if (!r)
		r = kerf_queue_engine_info(e->dev, e->index, &info);
	if (!r)
		r = kerf_queue_device_info(e->dev, &device);
	if (!r && (uint32_t)info.caps != KERF_USER_VERSION)
		r = kerf_fail(err, -EOPNOTSUPP, "its server says version %u, expected %u: it is another kerf's, or another program",
			      (uint32_t)info.caps, KERF_USER_VERSION);
	if (r) {
		kerf_err_prefix(err, "engine q%s", spec);
		kerf_queue_close(e->dev);
		free(e);
		return r;
	}
	e->base.ops = &kerf_engine_user;
	snprintf(e->name, sizeof(e->name), "%s", spec + 1);
	e->server_depth = info.depth;
	e->dtypes = (uint32_t)(info.caps >> 32);
	e->memory_bytes = device.max_client_bytes;
	e->depth = cfg->depth;
	e->contexts = KERF_MIN(cfg->depth ? cfg->depth : DEFAULT_CONTEXTS, MAX_CONTEXTS);
	kerf_queue_memory_init(&e->memory, e->dev);
	*engine = &e->base;
	return 0;
}

static void user_close(struct kerf_engine *engine)
{
	struct user_engine *e = (struct user_engine *)engine;

	kerf_queue_memory_finish(&e->memory);
	kerf_queue_close(e->dev);
	free(e);
}

static void user_describe(struct kerf_engine *engine, struct kerf_engine_info *info)
{
	const struct user_engine *e = (struct user_engine *)engine;

	memset(info, 0, sizeof(*info));
	snprintf(info->name, sizeof(info->name), "q:%s", e->name);
	snprintf(info->kind, sizeof(info->kind), "q");
	snprintf(info->device, sizeof(info->device), "served as %s, %u jobs at a time", e->name,
		 e->server_depth);
	kerf_machine_id(info->machine);
	info->dtypes = e->dtypes;
	info->memory_bytes = e->memory_bytes;
	info->depth = e->contexts;
	info->kernel_queue = true;
	info->kernel_device = kerf_queue_minor(e->dev);
	info->kernel_index = e->index;
}

static bool user_supports(struct kerf_engine *engine, const struct kerf_graph *g,
			  const struct kerf_op *op)
{
	return op->def->eval != NULL;
}

static void *user_alloc(struct kerf_engine *engine, size_t bytes)
{
	return kerf_queue_memory_alloc(&((struct user_engine *)engine)->memory, bytes);
}

static void user_free(struct kerf_engine *engine, void *data)
{
	kerf_queue_memory_free(&((struct user_engine *)engine)->memory, data);
}

const struct kerf_engine_ops kerf_engine_user = {
	.abi = KERF_ENGINE_ABI,
	.kind = "q",
	.open = user_open,
	.close = user_close,
	.describe = user_describe,
	.supports = user_supports,
	.prepare = user_prepare,
	.release = user_release,
	.program_info = user_program_info,
	.submit = user_submit,
	.cancel = user_cancel,
	.profile = user_profile,
	.alloc = user_alloc,
	.free = user_free,
};
