/* SPDX-License-Identifier: MIT */
/*
 * Parts for tests: a model of convolutions in bands of rows over some nodes, with halos exchanged
 * between neighbours; inputs come from home and outputs go there.
 */
#ifndef KERF_TESTS_NET_PART_H
#define KERF_TESTS_NET_PART_H

#include "net_job.h"

#include "exec/remote_part.h"
#include "graph/slice.h"

#define BAND_ROWS 24
#define BAND_LAYERS 3
#define BAND_MAX 4

/* x [1,3,24,9]; layers of 3x3 convolutions with 5 channels and a rectifier each. */
static inline void band_write_model(const char *path)
{
	static const int64_t pads[4] = {1, 1, 1, 1};
	struct kerf_err err = {""};
	struct onnx_build b;
	struct kerf_rng rng;
	uint8_t *bytes;
	uint32_t l, i;
	size_t size;

	kerf_rng_seed(&rng, 7);
	onnx_build_init(&b, 13);
	onnx_build_input(&b, "x0", 1, "1,3,24,9");
	for (l = 0; l < BAND_LAYERS; l++) {
		int64_t dims[4] = {5, l ? 5 : 3, 3, 3};
		char w[8], in[16], y[8], out[8];
		float data[5 * 5 * 9];
		Onnx__TensorProto *t;
		Onnx__NodeProto *n;

		for (i = 0; i < KERF_ARRAY_SIZE(data); i++)
			data[i] = (float)kerf_rng_below(&rng, 2000) / 1000 - 1;
		snprintf(w, sizeof(w), "w%u", l);
		snprintf(in, sizeof(in), "x%u,w%u", l, l);
		snprintf(y, sizeof(y), "y%u", l);
		snprintf(out, sizeof(out), "x%u", l + 1);
		t = onnx_build_tensor(&b, w, 1, dims, 4);
		t->has_raw_data = 1;
		t->raw_data.len = (size_t)(5 * dims[1] * 9) * sizeof(float);
		t->raw_data.data = kerf_arena_dup(&b.arena, data, t->raw_data.len);
		onnx_build_initializer(&b, t);
		n = onnx_build_node(&b, "Conv", in, y);
		onnx_build_ints(&b, n, "pads", pads, 4);
		onnx_build_node(&b, "Relu", y, out);
	}
	onnx_build_output(&b, "x3", 1, "1,5,24,9");
	bytes = onnx_build_pack(&b, &size);
	if (kerf_file_write(path, bytes, size, &err))
		net_die(path, &err);
	onnx_build_finish(&b);
}

/* Bands of one layer each, over n engines; program[layer][band]. */
struct bands {
	struct kerf_graph *whole;
	uint32_t n, conv[BAND_LAYERS];
	struct kerf_graph *slice[BAND_LAYERS][BAND_MAX];
	struct kerf_program *program[BAND_LAYERS][BAND_MAX];
	struct kerf_part part[BAND_LAYERS][BAND_MAX];
};

static inline struct kerf_rows band_of(uint32_t k, uint32_t n)
{
	return (struct kerf_rows){BAND_ROWS * k / n, BAND_ROWS * (k + 1) / n};
}

/* Operators of layer l: the first takes what stands before it along. */
static inline uint32_t band_ops(const struct bands *b, uint32_t l, uint32_t *ids)
{
	uint32_t from = l ? b->conv[l - 1] + 1 : 0, i;

	for (i = from; i <= b->conv[l]; i++)
		ids[i - from] = i;
	return i - from;
}

static inline struct kerf_graph *band_slice(const struct bands *b, uint32_t l, uint32_t k)
{
	struct kerf_err err = {""};
	struct kerf_graph *slice;
	uint32_t ids[16];
	struct kerf_slice_spec spec = {.op = ids, .rows = band_of(k, b->n)};

	spec.n_op = band_ops(b, l, ids);
	if (kerf_slice_make(b->whole, &spec, &slice, &err))
		net_die("slice", &err);
	return slice;
}

static inline struct kerf_port *band_add(struct kerf_port **list, uint32_t *n)
{
	struct kerf_port *p;

	*list = realloc(*list, (*n + 1) * sizeof(**list));
	if (!*list)
		abort();
	p = &(*list)[(*n)++];
	memset(p, 0, sizeof(*p));
	p->piece = calloc(1, sizeof(*p->piece));
	p->n_piece = 1;
	if (!p->piece)
		abort();
	return p;
}

/*
 * Ports of every slice: home's input to the first layer, home's output from the last, and between
 * layers the rows that a band has and another needs.
 */
static inline void band_ports(struct bands *b)
{
	uint32_t l, j, k;

	for (l = 0; l < BAND_LAYERS; l++)
		for (k = 0; k < b->n; k++) {
			struct kerf_part *p = &b->part[l][k];
			struct kerf_rows need =
				kerf_slice_rows(b->slice[l][k], b->slice[l][k]->in[0]);

			if (!l)
				band_add(&p->in, &p->n_in)->home = true;
			if (l == BAND_LAYERS - 1)
				band_add(&p->out, &p->n_out)->home = true;
			for (j = 0; l && j < b->n; j++) {
				struct kerf_part *from = &b->part[l - 1][j];
				struct kerf_rows has = band_of(j, b->n);
				struct kerf_rows both = {KERF_MAX(has.begin, need.begin),
							 KERF_MIN(has.end, need.end)};
				struct kerf_port *out;

				if (both.begin >= both.end)
					continue;
				out = band_add(&from->out, &from->n_out);
				out->piece->rows = both;
				out->port = p->n_in; /* its slice is not there yet: see band_prepare */
				snprintf(out->slice, sizeof(out->slice), "%u", k);
				band_add(&p->in, &p->n_in)->piece->rows = both;
			}
		}
}

static inline void band_init(struct bands *b, const char *path, uint32_t n)
{
	struct kerf_err err = {""};
	uint32_t l, k, i;

	memset(b, 0, sizeof(*b));
	b->n = n;
	if (kerf_model_load(path, NULL, &b->whole, &err))
		net_die(path, &err);
	for (i = l = 0; i < b->whole->n_op && l < BAND_LAYERS; i++)
		if (!strcmp(b->whole->op[i].def->name, "Conv"))
			b->conv[l++] = i;
	if (l != BAND_LAYERS)
		net_die("layers", NULL);
	for (l = 0; l < BAND_LAYERS; l++)
		for (k = 0; k < n; k++)
			b->slice[l][k] = band_slice(b, l, k);
	band_ports(b);
}

/* Band k on engine[k]; from the last layer on, so that ports out have somewhere to lead. */
static inline int band_prepare(struct bands *b, struct kerf_engine *const *engine,
			       struct kerf_err *err)
{
	uint32_t l, k, i;
	int r = 0;

	for (l = BAND_LAYERS; l-- && !r;)
		for (k = 0; k < b->n && !r; k++) {
			for (i = 0; i < b->part[l][k].n_out; i++) {
				struct kerf_port *p = &b->part[l][k].out[i];
				uint32_t to = (uint32_t)atoi(p->slice);

				if (!p->home)
					engine[to]->ops->part_address(b->program[l + 1][to], p->url,
								      p->slice);
			}
			r = engine[k]->ops->prepare_part(engine[k], b->slice[l][k], &b->part[l][k],
							 &b->program[l][k], err);
		}
	return r;
}

static inline void band_finish(struct bands *b)
{
	uint32_t l, k;

	for (l = 0; l < BAND_LAYERS; l++)
		for (k = 0; k < b->n; k++) {
			if (b->program[l][k])
				b->program[l][k]->engine->ops->release(b->program[l][k]);
			kerf_part_finish(&b->part[l][k]);
			kerf_graph_unref(b->slice[l][k]);
		}
	kerf_graph_unref(b->whole);
}

/* What all layers together make of x, on this machine; the caller frees its data. */
static inline struct kerf_tensor band_local(const struct bands *b, const struct kerf_tensor *x)
{
	uint32_t ids[32], i;
	struct kerf_slice_spec spec = {.op = ids, .n_op = b->conv[BAND_LAYERS - 1] + 1};
	struct kerf_err err = {""};
	struct kerf_graph *slice;
	struct kerf_engine *e;
	struct kerf_program *p;
	struct kerf_tensor y;

	for (i = 0; i < spec.n_op; i++)
		ids[i] = i;
	if (kerf_slice_make(b->whole, &spec, &slice, &err) || kerf_engine_open("ref", NULL, &e, &err))
		net_die("local", &err);
	p = net_prepare(e, slice);
	y = slice->value[slice->out[0]].t;
	y.data = kerf_tensor_alloc(kerf_tensor_bytes(&y));
	if (kerf_engine_run(p, x, &y, NULL))
		net_die("local run", NULL);
	e->ops->release(p);
	kerf_graph_unref(slice);
	kerf_engine_close(e);
	return y;
}

/* One request: jobs of the first layer and of the last. */
struct band_request {
	struct kerf_job job[2][BAND_MAX];
	struct kerf_tensor in, out[BAND_MAX];
	struct kerf_err why[2][BAND_MAX];
	int status[2][BAND_MAX];
	pthread_mutex_t lock;
	pthread_cond_t cond;
	uint32_t left;
};

static inline void band_done(struct kerf_job *job, int status)
{
	struct band_request *q = job->user;
	int *at = &q->status[0][0] + (job - &q->job[0][0]);

	pthread_mutex_lock(&q->lock);
	*at = status;
	q->left--;
	pthread_cond_signal(&q->cond);
	pthread_mutex_unlock(&q->lock);
}

/* Jobs for x as bytes to every band of the first layer; replies of the last into out. */
static inline void band_wants(struct bands *b, struct band_request *q, const struct kerf_tensor *x,
			      uint64_t number)
{
	uint32_t i, k;

	memset(q, 0, sizeof(*q));
	pthread_mutex_init(&q->lock, NULL);
	pthread_cond_init(&q->cond, NULL);
	q->in = (struct kerf_tensor){.dtype = KERF_U8, .rank = 1,
				     .dims = {(int64_t)kerf_tensor_bytes(x)}, .data = x->data};
	q->left = 2 * b->n;
	for (i = 0; i < 2; i++)
		for (k = 0; k < b->n; k++) {
			struct kerf_program *p = b->program[i ? BAND_LAYERS - 1 : 0][k];

			if (i) {
				size_t n = kerf_port_bytes(p->slice, false,
							   &b->part[BAND_LAYERS - 1][k].out[0]);

				q->out[k] = (struct kerf_tensor){.dtype = KERF_U8, .rank = 1,
								 .dims = {(int64_t)n}};
				q->out[k].data = kerf_tensor_alloc(n);
			}
			q->job[i][k] = (struct kerf_job){.program = p,
							 .in = &q->in,
							 .out = &q->out[k],
							 .done = band_done,
							 .user = q,
							 .request = number,
							 .why = &q->why[i][k]};
		}
}

static inline void band_submit(struct bands *b, struct band_request *q, const struct kerf_tensor *x,
			       uint64_t number)
{
	uint32_t i, k;
	int r;

	band_wants(b, q, x, number);
	for (i = 0; i < 2; i++)
		for (k = 0; k < b->n; k++) {
			r = kerf_engine_submit(&q->job[i][k]);
			if (r)
				band_done(&q->job[i][k], r);
		}
}

/* True when all jobs were done within ms. */
static inline bool band_wait(struct band_request *q, int ms)
{
	struct timespec ts;
	bool done;

	clock_gettime(CLOCK_REALTIME, &ts);
	ts.tv_sec += ms / 1000;
	pthread_mutex_lock(&q->lock);
	while (q->left && !pthread_cond_timedwait(&q->cond, &q->lock, &ts))
		;
	done = !q->left;
	pthread_mutex_unlock(&q->lock);
	return done;
}

static inline void band_request_finish(struct band_request *q)
{
	uint32_t k;

	for (k = 0; k < BAND_MAX; k++)
		free(q->out[k].data);
	pthread_mutex_destroy(&q->lock);
	pthread_cond_destroy(&q->cond);
}

#endif
