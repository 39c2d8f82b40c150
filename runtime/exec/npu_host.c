/* SPDX-License-Identifier: MIT */
#include "exec/cpu.h"
#include "exec/interp.h"
#include "exec/npu.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct kerf_npu_host {
	const struct kerf_npu_image *im;
	const struct kerf_graph *g;
	void **aligned;		    /* per value: an aligned copy of a constant, or NULL */
	struct kerf_cpu_step *step; /* per operator; run is NULL: its reference meaning */
	struct kerf_cpu_build b;
	struct kerf_arena mem;
	struct kerf_isa isa;
	void *scratch;
	pthread_mutex_t lock; /* steps have one set of tensors and one scratch */
};

/* An operator's reference meaning wants its constants aligned. */
static int align_constants(struct kerf_npu_host *h, const struct kerf_op *op)
{
	int k;

	for (k = 0; k < op->n_in; k++) {
		const struct kerf_tensor *t = op->in[k] < 0 ? NULL : &h->g->value[op->in[k]].t;

		if (!t || !t->data || kerf_tensor_is_aligned(t) || h->aligned[op->in[k]])
			continue;
		h->aligned[op->in[k]] = malloc(kerf_tensor_bytes(t));
		if (!h->aligned[op->in[k]])
			return -ENOMEM;
		memcpy(h->aligned[op->in[k]], t->data, kerf_tensor_bytes(t));
	}
	return 0;
}

static bool has_bounded(const struct kerf_graph *g, const int32_t *ids, int n)
{
	int k;

	for (k = 0; k < n; k++)
		if (ids[k] >= 0 && g->value[ids[k]].bounded)
			return true;
	return false;
}

/* A kernel of the cpu engine if it has one and shapes are known. */
static int choose(struct kerf_npu_host *h, uint32_t i, size_t *scratch)
{
	const struct kerf_op *op = &h->g->op[i];
	struct kerf_cpu_step *s = &h->step[i];
	int r;

	if (has_bounded(h->g, op->in, op->n_in) || has_bounded(h->g, op->out, op->n_out))
		return align_constants(h, op);
	s->op = op;
	s->in = kerf_arena_calloc(&h->mem,
				  (size_t)(kerf_op_in_slots(op) + kerf_op_out_slots(op)) + 1,
				  sizeof(*s->in));
	if (!s->in)
		return -ENOMEM;
	s->out = s->in + kerf_op_in_slots(op);
	kerf_op_tensors(h->g, op, s->in, s->out);
	r = kerf_cpu_choose(&h->b, s);
	*scratch = KERF_MAX(*scratch, s->scratch_bytes);
	return r == -EOPNOTSUPP ? align_constants(h, op) : r;
}

static int choose_all(struct kerf_npu_host *h)
{
	size_t scratch = 0;
	uint32_t s, i;
	int r = 0;

	for (s = 0; s < h->im->n_stage && !r; s++)
		for (i = 0; i < h->im->stage[s].n_op && h->im->stage[s].host && !r; i++)
			r = choose(h, h->im->stage[s].first_op + i, &scratch);
	if (!r && scratch) {
		h->scratch = kerf_tensor_alloc(scratch);
		r = h->scratch ? 0 : -ENOMEM;
	}
	return r;
}

int kerf_npu_host_new(const struct kerf_npu_image *im, const struct kerf_graph *g,
		      struct kerf_npu_host **out)
{
	struct kerf_npu_host *h = calloc(1, sizeof(*h));
	int r;

	if (!h)
		return -ENOMEM;
	h->im = im;
	h->g = g;
	h->b = (struct kerf_cpu_build){.g = g, .isa = &h->isa, .threads = 1, .mem = &h->mem};
	pthread_mutex_init(&h->lock, NULL);
	h->aligned = calloc((size_t)g->n_value + 1, sizeof(*h->aligned));
	h->step = calloc((size_t)g->n_op + 1, sizeof(*h->step));
	r = h->aligned && h->step ? kerf_isa_init(&h->isa, NULL) : -ENOMEM;
	if (!r)
		r = kerf_pool_new(1, false, &h->b.pool);
	if (!r)
		r = choose_all(h);
	if (r)
		kerf_npu_host_free(h);
	else
		*out = h;
	return r;
}

void kerf_npu_host_free(struct kerf_npu_host *h)
{
	uint32_t i;

	if (!h)
		return;
	for (i = 0; h->aligned && i < h->g->n_value; i++)
		free(h->aligned[i]);
	for (i = 0; i < h->b.n_owned; i++)
		h->b.owned[i].free(h->b.owned[i].p);
	free(h->b.owned);
	if (h->b.pool)
		kerf_pool_free(h->b.pool);
	kerf_arena_finish(&h->mem);
	free(h->aligned);
	free(h->step);
	free(h->scratch);
	pthread_mutex_destroy(&h->lock);
	free(h);
}

struct kerf_tensor *kerf_npu_host_values(const struct kerf_npu_host *h)
{
	return calloc(h->g->n_value + kerf_interp_slots(h->g) + 1, sizeof(struct kerf_tensor));
}

void kerf_npu_host_bind(const struct kerf_npu_host *h, struct kerf_tensor *values, void *arena,
			void *const *io)
{
	uint32_t v;

	for (v = 0; v < h->g->n_value; v++) {
		const struct kerf_npu_place *p = &h->im->place[v];

		values[v] = h->g->value[v].t;
		if (h->aligned[v])
			values[v].data = h->aligned[v];
		else if (p->window == KERF_NPU_W_ARENA)
			values[v].data = (uint8_t *)arena + p->offset;
		else if (p->window != KERF_NPU_NOWHERE)
			values[v].data = io[p->window - KERF_NPU_W_IO];
	}
}

static int run_step(struct kerf_npu_host *h, struct kerf_cpu_step *s,
		    const struct kerf_tensor *values)
{
	const struct kerf_op *op = s->op;
	int k, r;

	pthread_mutex_lock(&h->lock);
	s->scratch = h->scratch;
	for (k = 0; k < op->n_in; k++)
		if (op->in[k] >= 0)
			s->in[k].data = values[op->in[k]].data;
	for (k = 0; k < op->n_out; k++)
		if (op->out[k] >= 0)
			s->out[k].data = values[op->out[k]].data;
	r = s->run(s, h->b.pool);
	pthread_mutex_unlock(&h->lock);
	return r;
}

/* One that shares its input's memory has nothing to do. */
static bool is_done(const struct kerf_graph *g, const struct kerf_op *op,
		    const struct kerf_tensor *values)
{
	return op->def->flags & KERF_OP_VIEW && op->act.kind == KERF_ACT_NONE && op->in[0] >= 0 &&
	       op->out[0] >= 0 && !g->value[op->out[0]].bounded &&
	       values[op->out[0]].data == values[op->in[0]].data;
}

int kerf_npu_host_run(struct kerf_npu_host *h, const struct kerf_npu_stage *s,
		      struct kerf_tensor *values)
{
	const struct kerf_graph *g = h->g;
	uint32_t i;
	int k, r = 0;

	for (i = 0; i < s->n_op && !r; i++) {
		const struct kerf_op *op = &g->op[s->first_op + i];

		if (is_done(g, op, values))
			continue;
		if (h->step[s->first_op + i].run) {
			r = run_step(h, &h->step[s->first_op + i], values);
			continue;
		}
		/* A bounded value may have shrunk in the last run. */
		for (k = 0; k < op->n_out; k++)
			if (op->out[k] >= 0)
				memcpy(values[op->out[k]].dims, g->value[op->out[k]].t.dims,
				       sizeof(values[op->out[k]].dims));
		r = kerf_interp_op(g, op, values, values + g->n_value);
	}
	return r;
}
