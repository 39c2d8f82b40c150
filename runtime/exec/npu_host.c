/* SPDX-License-Identifier: MIT */
#include "exec/interp.h"
#include "exec/npu.h"

#include <stdlib.h>
#include <string.h>

struct kerf_npu_host {
	const struct kerf_npu_image *im;
	const struct kerf_graph *g;
	void **aligned; /* per value: an aligned copy of a constant, or NULL */
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

int kerf_npu_host_new(const struct kerf_npu_image *im, const struct kerf_graph *g,
		      struct kerf_npu_host **out)
{
	struct kerf_npu_host *h = calloc(1, sizeof(*h));
	uint32_t s, i;
	int r = 0;

	if (!h)
		return -ENOMEM;
	h->im = im;
	h->g = g;
	h->aligned = calloc((size_t)g->n_value + 1, sizeof(*h->aligned));
	if (!h->aligned)
		r = -ENOMEM;
	for (s = 0; s < im->n_stage && !r; s++)
		for (i = 0; i < im->stage[s].n_op && im->stage[s].host && !r; i++)
			r = align_constants(h, &g->op[im->stage[s].first_op + i]);
	if (r)
		kerf_npu_host_free(h);
	else
		*out = h;
	return r;
}

void kerf_npu_host_free(struct kerf_npu_host *h)
{
	uint32_t v;

	if (!h)
		return;
	for (v = 0; h->aligned && v < h->g->n_value; v++)
		free(h->aligned[v]);
	free(h->aligned);
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

int kerf_npu_host_run(const struct kerf_npu_host *h, const struct kerf_npu_stage *s,
		      struct kerf_tensor *values)
{
	const struct kerf_graph *g = h->g;
	uint32_t i;
	int k, r = 0;

	for (i = 0; i < s->n_op && !r; i++) {
		const struct kerf_op *op = &g->op[s->first_op + i];

		/* One that shares its input's memory has nothing to do. */
		if (op->n_out == 1 && op->out[0] >= 0 && op->in[0] >= 0 &&
		    !g->value[op->out[0]].bounded && op->def->flags & KERF_OP_VIEW &&
		    values[op->out[0]].data == values[op->in[0]].data)
			continue;
		/* A bounded value may have shrunk in the last run. */
		for (k = 0; k < op->n_out; k++)
			if (op->out[k] >= 0)
				memcpy(values[op->out[k]].dims, g->value[op->out[k]].t.dims,
				       sizeof(values[op->out[k]].dims));
		r = kerf_interp_op(g, op, values, values + g->n_value);
	}
	return r;
}
