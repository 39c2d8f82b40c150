/* SPDX-License-Identifier: MIT */
/*
 * The serving thread takes jobs in; what is prepared goes to the engine at once, what is
 * not goes through the maker, a thread that prepares one program after the other.
 */
#include "node/serve_queue.h"

#include "exec/queue_serve.h"
#include "exec/queue_user.h"
#include "graph/op.h"

#include <stdlib.h>
#include <string.h>

#define DEPTH 4u
#define GRACE_MS 10000

_Static_assert(KERF_USER_IO + 3 == KERF_SERVE_WINDOWS, "a job's windows");

/* A slice of a client, by the buffer its request lies in. */
struct program {
	struct program *next;
	uint64_t client_id, bo_id;
	struct kerf_served *served; /* NULL: not made (yet) */
	bool gone;
	uint32_t refs; /* jobs */
	bool in_place[KERF_USER_IO]; /* inputs, then outputs: used where the client has them */
	bool copies;		     /* some are not */
};

/* What a job needs beside the kernel's view of it; by slot. */
struct serve_job {
	struct kerf_serve_job *job;
	struct serve_job *next;
	struct kerf_node_serve *s;
	struct program *p;
	struct kerf_served_job *copies;
	bool with_engine; /* engine_job is the engine's */
	struct kerf_job engine_job;
	struct kerf_tensor io[KERF_USER_IO];
};

struct kerf_node_serve {
	struct kerf_node *node;
	struct kerf_serve *kernel;
	void (*lost)(void *user);
	void *lost_user;
	char engine[64];
	struct serve_job jobs[DEPTH];

	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct program *programs;
	struct serve_job *todo, **todo_tail;
	bool stop;
	pthread_t maker;
};

/* --- Which tensors may stay in shared memory --- */

/* Operators that touch memory as shapes say, whatever the values of their tensors are. */
static bool is_oblivious(const struct kerf_op *op)
{
	static const char *const names[] = {
		"Conv", "ConvTranspose", "ConvInteger", "QLinearConv", "MatMul", "Gemm",
		"MatMulInteger", "QLinearMatMul", "qGemm", "Transpose", "Concat", "qConcat", "Add",
		"qAdd", "Sub", "Mul", "Relu", "LeakyRelu", "Clip", "Sigmoid", "Tanh", "act",
		"Softmax", "BatchNormalization", "LayerNormalization", "AveragePool", "MaxPool",
		"GlobalAveragePool", "QuantizeLinear", "DequantizeLinear", "Identity", "Flatten",
		"Reshape", "Squeeze", "Unsqueeze", "rowCrop",
	};
	size_t i;

	for (i = 0; i < KERF_ARRAY_SIZE(names); i++)
		if (!strcmp(op->def->name, names[i]))
			return true;
	return false;
}

static bool is_plain(enum kerf_dtype t)
{
	return t == KERF_F32 || t == KERF_F16 || t == KERF_I8 || t == KERF_U8;
}

/*
 * An input may stay if what reads it is oblivious; an output, if what makes it is and
 * nothing reads it. (No engine keeps other values in an input's or output's memory: see
 * graph/memplan.h.)
 */
static bool may_share(const struct kerf_graph *g, int32_t id, bool output)
{
	const struct kerf_value *v = &g->value[id];
	uint32_t i;
	int k;

	if (!is_plain(v->t.dtype) || v->bounded || (output && v->producer < 0))
		return false;
	if (output && !is_oblivious(&g->op[v->producer]))
		return false;
	for (i = 0; i < g->n_op; i++)
		for (k = 0; k < g->op[i].n_in; k++)
			if (g->op[i].in[k] == id && (output || !is_oblivious(&g->op[i])))
				return false;
	return true;
}

static void decide_places(struct program *p)
{
	const struct kerf_graph *g = p->served->graph;
	uint32_t i;

	p->copies = false;
	for (i = 0; i < g->n_in + g->n_out; i++) {
		p->in_place[i] = i < g->n_in ? may_share(g, g->in[i], false)
					     : may_share(g, g->out[i - g->n_in], true);
		p->copies = p->copies || !p->in_place[i];
	}
}

/* --- Programs --- */

/* With a reference; made if it is new. NULL: no memory. */
static struct program *get_program(struct kerf_node_serve *s, uint64_t client_id, uint64_t bo_id)
{
	struct program *p;

	pthread_mutex_lock(&s->lock);
	for (p = s->programs; p; p = p->next)
		if (p->client_id == client_id && p->bo_id == bo_id && !p->gone)
			break;
	if (!p) {
		p = calloc(1, sizeof(*p));
		if (p) {
			p->client_id = client_id;
			p->bo_id = bo_id;
			p->next = s->programs;
			s->programs = p;
		}
	}
	if (p)
		p->refs++;
	pthread_mutex_unlock(&s->lock);
	return p;
}

/* Under s->lock: out of the list if nothing needs it; the caller frees it then. */
static bool unlink_unused(struct kerf_node_serve *s, struct program *p)
{
	struct program **at;

	if (p->refs || (p->served && !p->gone))
		return false;
	for (at = &s->programs; *at != p; at = &(*at)->next)
		;
	*at = p->next;
	return true;
}

static void free_program(struct kerf_node_serve *s, struct program *p)
{
	if (p->served) {
		kerf_node_drop_slice(s->node, kerf_node_slice_id(p->served));
		kerf_node_put(s->node, p->served);
	}
	free(p);
}

static void put_program(struct kerf_node_serve *s, struct program *p)
{
	bool unused;

	pthread_mutex_lock(&s->lock);
	p->refs--;
	unused = unlink_unused(s, p);
	pthread_mutex_unlock(&s->lock);
	if (unused)
		free_program(s, p);
}

static void on_bo_gone(void *user, uint64_t bo_id)
{
	struct kerf_node_serve *s = user;
	struct program *p, *next, *unused = NULL;

	pthread_mutex_lock(&s->lock);
	for (p = s->programs; p; p = next) {
		next = p->next;
		if (p->bo_id != bo_id)
			continue;
		p->gone = true;
		if (unlink_unused(s, p)) {
			p->next = unused;
			unused = p;
		}
	}
	pthread_mutex_unlock(&s->lock);
	for (p = unused; p; p = next) {
		next = p->next;
		free_program(s, p);
	}
}

/* --- Running --- */

static struct kerf_user_reply *reply_of(struct serve_job *j)
{
	return j->job->window[1].data;
}

/* status: what the kernel is told. */
static void end_job(struct serve_job *j, int status, uint64_t busy_ns)
{
	struct kerf_node_serve *s = j->s;
	struct kerf_serve_job *job = j->job;

	if (j->copies)
		kerf_served_give(j->copies);
	if (j->p)
		put_program(s, j->p);
	/* The slot, and with it j, may have its next job before this returns. */
	kerf_serve_done(job, status, busy_ns);
}

/* The engine is through with it. */
static void answer(struct serve_job *j, int status, uint64_t busy_ns)
{
	const struct kerf_graph *g = j->p->served->graph;
	struct kerf_user_reply *reply = reply_of(j);
	uint32_t i;

	for (i = 0; i < g->n_out; i++) {
		const struct kerf_tensor *t = &j->io[g->n_in + i];

		memcpy(reply->dims[i], t->dims, sizeof(t->dims));
		if (!status && !j->p->in_place[g->n_in + i])
			memcpy(j->job->window[2 + g->n_in + i].data, t->data, kerf_tensor_bytes(t));
	}
	reply->n_in = g->n_in;
	reply->n_out = g->n_out;
	reply->status = status;
	end_job(j, 0, busy_ns);
}

static void on_done(struct kerf_job *engine_job, int status)
{
	struct serve_job *j = engine_job->user;

	pthread_mutex_lock(&j->s->lock);
	j->with_engine = false;
	pthread_mutex_unlock(&j->s->lock);
	answer(j, status, engine_job->busy_ns);
}

/* True if an input may have these dims. */
static bool dims_fit(const struct kerf_value *v, const int64_t *dims)
{
	int d;

	for (d = 0; d < v->t.rank; d++)
		if (v->bounded ? dims[d] < 0 || dims[d] > v->t.dims[d] : dims[d] != v->t.dims[d])
			return false;
	return true;
}

/* The client's windows must be the slice's tensors. */
static bool windows_fit(const struct serve_job *j)
{
	const struct kerf_graph *g = j->p->served->graph;
	const struct kerf_user_cmd *cmd = j->job->cmd;
	bool profile = cmd->op == KERF_USER_PROFILE;
	uint32_t n = 2 + g->n_in + g->n_out, i;

	if (cmd->n_in != g->n_in || cmd->n_out != g->n_out || j->job->n_window != n + profile)
		return false;
	if (profile &&
	    (!j->job->window[n].writable || j->job->window[n].size != g->n_op * sizeof(uint64_t)))
		return false;
	for (i = 0; i < g->n_in + g->n_out; i++) {
		const struct kerf_serve_window *w = &j->job->window[2 + i];
		bool output = i >= g->n_in;
		int32_t id = output ? g->out[i - g->n_in] : g->in[i];

		if (w->size != KERF_MAX(kerf_tensor_bytes(&g->value[id].t), 1) ||
		    (uintptr_t)w->data % KERF_ALIGN || (output && !w->writable) ||
		    (!output && !dims_fit(&g->value[id], cmd->dims[i])))
			return false;
	}
	return true;
}

/* Where the engine finds the tensors. False: the job has ended. */
static bool place_tensors(struct serve_job *j)
{
	struct kerf_served *served = j->p->served;
	const struct kerf_graph *g = served->graph;
	const struct kerf_user_cmd *cmd = j->job->cmd;
	uint32_t i;

	if (!windows_fit(j)) {
		end_job(j, -EIO, 0);
		return false;
	}
	if (j->p->copies) {
		/* As many as there are slots: one is free. */
		j->copies = kerf_served_take(served, 0);
		if (!j->copies) {
			reply_of(j)->status = -ENOMEM;
			end_job(j, 0, 0);
			return false;
		}
	}
	for (i = 0; i < g->n_in + g->n_out; i++) {
		struct kerf_tensor *t = &j->io[i];

		*t = i < g->n_in ? g->value[g->in[i]].t : g->value[g->out[i - g->n_in]].t;
		t->data = j->job->window[2 + i].data;
		if (i < g->n_in)
			memcpy(t->dims, cmd->dims[i], t->rank * sizeof(t->dims[0]));
		if (j->p->in_place[i])
			continue;
		t->data = i < g->n_in ? j->copies->in[i].data : j->copies->out[i - g->n_in].data;
		if (i < g->n_in)
			memcpy(t->data, j->job->window[2 + i].data, kerf_tensor_bytes(t));
	}
	return true;
}

static void start(struct serve_job *j)
{
	struct kerf_served *served = j->p->served;
	struct kerf_node_serve *s = j->s;
	int r;

	if (!place_tensors(j))
		return;
	j->engine_job = (struct kerf_job){.program = served->program,
					  .in = j->io,
					  .out = j->io + served->graph->n_in,
					  .done = on_done,
					  .user = j};
	pthread_mutex_lock(&s->lock);
	j->with_engine = true;
	pthread_mutex_unlock(&s->lock);
	r = kerf_engine_submit(&j->engine_job);
	if (!r)
		return;
	pthread_mutex_lock(&s->lock);
	j->with_engine = false;
	pthread_mutex_unlock(&s->lock);
	reply_of(j)->status = r;
	end_job(j, 0, 0);
}

/* On the maker's thread: the engine is its own meanwhile. */
static void profile(struct serve_job *j)
{
	struct kerf_served *served = j->p->served;
	const struct kerf_graph *g = served->graph;
	uint64_t *op_ns;
	int r = -EOPNOTSUPP;

	if (!place_tensors(j))
		return;
	op_ns = calloc(g->n_op + 1, sizeof(*op_ns));
	if (!op_ns)
		r = -ENOMEM;
	else if (served->engine->ops->profile)
		r = served->engine->ops->profile(served->program, j->io, j->io + g->n_in, op_ns);
	if (!r)
		memcpy(j->job->window[2 + g->n_in + g->n_out].data, op_ns,
		       g->n_op * sizeof(*op_ns));
	free(op_ns);
	answer(j, r, 0);
}

/* --- Making --- */

static int store_model(struct kerf_node_serve *s, const char *sha,
		       const struct kerf_serve_window *w, struct kerf_err *err)
{
	struct kerf_upload *u;
	uint64_t stored;
	bool complete;
	int r, end;

	r = kerf_upload_begin(s->node->store, sha, 0, w->size, &u, err);
	if (r)
		return r == -EEXIST ? 0 : r;
	r = kerf_upload_write(u, w->data, w->size, err);
	/* What was written is read again and compared with its name. */
	end = kerf_upload_end(u, &stored, &complete, err);
	return r ? r : end;
}

static int make_program(struct kerf_node_serve *s, struct serve_job *j, struct kerf_err *err)
{
	const struct kerf_serve_window *w = j->job->window;
	const struct kerf_user_cmd *cmd = j->job->cmd;
	struct kerf_slice_request q = {.n_shape = 0};
	struct kerf_served *served;
	char *text;
	int r;

	if (w[0].size > KERF_USER_REQUEST_MAX)
		return kerf_fail(err, -EINVAL, "a request of %llu bytes", (unsigned long long)w[0].size);
	text = malloc(w[0].size);
	if (!text)
		return -ENOMEM;
	memcpy(text, w[0].data, w[0].size);
	r = kerf_slice_request_decode(text, w[0].size, &q, err);
	free(text);
	if (!r && cmd->op == KERF_USER_PREPARE && j->job->n_window == 3)
		r = store_model(s, q.model, &w[2], err);
	if (!r) {
		memcpy(q.engine, s->engine, sizeof(q.engine));
		q.depth = DEPTH;
		r = kerf_node_add_slice(s->node, &q, &served, err);
	}
	kerf_slice_request_finish(&q);
	if (r)
		return r;
	if (served->graph->n_in + served->graph->n_out > KERF_USER_IO) {
		kerf_node_drop_slice(s->node, kerf_node_slice_id(served));
		kerf_node_put(s->node, served);
		return kerf_fail(err, -EOPNOTSUPP, "a slice of %u inputs and outputs, at most %d",
				 served->graph->n_in + served->graph->n_out, KERF_USER_IO);
	}
	pthread_mutex_lock(&s->lock);
	j->p->served = served;
	decide_places(j->p);
	pthread_mutex_unlock(&s->lock);
	return 0;
}

static void make_and_answer(struct kerf_node_serve *s, struct serve_job *j)
{
	const struct kerf_user_cmd *cmd = j->job->cmd;
	struct kerf_user_reply *reply = reply_of(j);
	struct kerf_err err = {""};
	int r = j->p->served ? 0 : make_program(s, j, &err);

	if (!r && cmd->op != KERF_USER_PREPARE) {
		if (cmd->op == KERF_USER_RUN)
			start(j);
		else
			profile(j);
		return;
	}
	memset(reply, 0, sizeof(*reply));
	if (r) {
		_Static_assert(sizeof(reply->message) >= sizeof(err.msg), "a sentence fits");
		memcpy(reply->message, err.msg, sizeof(err.msg));
	} else {
		const struct kerf_served *served = j->p->served;

		reply->n_in = served->graph->n_in;
		reply->n_out = served->graph->n_out;
		reply->weight_bytes = served->info.weight_bytes;
		reply->arena_bytes = served->info.arena_bytes;
	}
	reply->status = r;
	end_job(j, 0, 0);
}

static void *maker_main(void *arg)
{
	struct kerf_node_serve *s = arg;

	pthread_mutex_lock(&s->lock);
	for (;;) {
		struct serve_job *j;

		while (!s->todo && !s->stop)
			pthread_cond_wait(&s->wake, &s->lock);
		j = s->todo;
		if (!j)
			break;
		s->todo = j->next;
		if (!s->todo)
			s->todo_tail = &s->todo;
		pthread_mutex_unlock(&s->lock);
		make_and_answer(s, j);
		pthread_mutex_lock(&s->lock);
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

static bool is_valid(const struct kerf_serve_job *job)
{
	const struct kerf_user_cmd *cmd = job->cmd;

	if (job->cmd_size < KERF_USER_CMD_BYTES(0) || cmd->version != KERF_USER_VERSION ||
	    cmd->op < KERF_USER_PREPARE || cmd->op > KERF_USER_PROFILE ||
	    cmd->n_in > KERF_USER_IO ||
	    job->cmd_size != KERF_USER_CMD_BYTES(cmd->op == KERF_USER_PREPARE ? 0 : cmd->n_in))
		return false;
	if (job->n_window < 2 || (cmd->op == KERF_USER_PREPARE && job->n_window > 3))
		return false;
	return job->window[1].writable && job->window[1].size >= sizeof(struct kerf_user_reply) &&
	       (uintptr_t)job->window[1].data % KERF_ALIGN == 0;
}

static void on_run(void *user, struct kerf_serve_job *job)
{
	struct kerf_node_serve *s = user;
	struct serve_job *j = &s->jobs[job->slot];
	const struct kerf_user_cmd *cmd = job->cmd;
	struct program *p;
	bool made;

	*j = (struct serve_job){.job = job, .s = s};
	p = is_valid(job) ? get_program(s, job->client_id, job->window[0].bo_id) : NULL;
	if (!p) {
		end_job(j, -EIO, 0);
		return;
	}
	j->p = p;
	pthread_mutex_lock(&s->lock);
	made = p->served && cmd->op == KERF_USER_RUN;
	if (!made) {
		*s->todo_tail = j;
		s->todo_tail = &j->next;
		pthread_cond_signal(&s->wake);
	}
	pthread_mutex_unlock(&s->lock);
	if (made)
		start(j);
}

/* Takes j out of the maker's line. Under s->lock. */
static bool leave_line(struct kerf_node_serve *s, struct serve_job *j)
{
	struct serve_job **at;

	for (at = &s->todo; *at && *at != j; at = &(*at)->next)
		;
	if (!*at)
		return false;
	*at = j->next;
	if (!*at)
		s->todo_tail = at;
	return true;
}

/* What waits ends at once: only what is being computed holds its slot for longer. */
static void on_cancel(void *user, uint32_t slot)
{
	struct kerf_node_serve *s = user;
	struct serve_job *j = &s->jobs[slot];
	struct program *p = NULL;
	bool waited;

	pthread_mutex_lock(&s->lock);
	waited = leave_line(s, j);
	if (!waited && j->with_engine && j->p->served->engine->ops->cancel) {
		p = j->p;
		p->refs++;
	}
	pthread_mutex_unlock(&s->lock);
	if (waited)
		end_job(j, -EIO, 0);
	if (!p)
		return;
	/* It may be over by now, but j is no other job's before this thread reads of one. */
	p->served->engine->ops->cancel(&j->engine_job);
	put_program(s, p);
}

static void on_lost(void *user)
{
	struct kerf_node_serve *s = user;

	s->lost(s->lost_user);
}

/* --- Life --- */

int kerf_node_serve_open(struct kerf_node *n, const char *spec, const char *name,
			 void (*lost)(void *user), void *user, struct kerf_node_serve **out,
			 struct kerf_err *err)
{
	struct kerf_engine *engine = kerf_node_engine(n, spec);
	struct kerf_node_serve *s;
	struct kerf_engine_info info;
	struct kerf_serve_config cfg = {.name = name,
					.depth = DEPTH,
					.grace_ms = GRACE_MS,
					.run = on_run,
					.cancel = on_cancel,
					.bo_gone = on_bo_gone,
					.lost = on_lost};
	int r;

	if (!engine || strlen(spec) >= sizeof(s->engine))
		return kerf_fail(err, -EINVAL, "'%s' is not one of the node's engines", spec);
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	engine->ops->describe(engine, &info);
	cfg.caps = KERF_USER_CAPS(info.dtypes);
	cfg.user = s;
	s->node = n;
	s->lost = lost;
	s->lost_user = user;
	memcpy(s->engine, spec, strlen(spec));
	s->todo_tail = &s->todo;
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->wake, NULL);
	r = -pthread_create(&s->maker, NULL, maker_main, s);
	if (r)
		goto free_serve;
	r = kerf_serve_open(&cfg, &s->kernel, err);
	if (r)
		goto stop_maker;
	*out = s;
	return 0;
stop_maker:
	pthread_mutex_lock(&s->lock);
	s->stop = true;
	pthread_cond_signal(&s->wake);
	pthread_mutex_unlock(&s->lock);
	pthread_join(s->maker, NULL);
free_serve:
	pthread_cond_destroy(&s->wake);
	pthread_mutex_destroy(&s->lock);
	free(s);
	return r;
}

void kerf_node_serve_close(struct kerf_node_serve *s)
{
	struct program *p;

	if (!s)
		return;
	/* Waits for jobs that run, those that the maker has among them. */
	kerf_serve_close(s->kernel);
	pthread_mutex_lock(&s->lock);
	s->stop = true;
	pthread_cond_signal(&s->wake);
	pthread_mutex_unlock(&s->lock);
	pthread_join(s->maker, NULL);
	while ((p = s->programs)) {
		s->programs = p->next;
		free_program(s, p);
	}
	pthread_cond_destroy(&s->wake);
	pthread_mutex_destroy(&s->lock);
	free(s);
}
