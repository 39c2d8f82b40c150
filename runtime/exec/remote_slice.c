/* SPDX-License-Identifier: MIT */
#include "exec/remote_slice.h"

#include "graph/slice.h"
#include "util/digest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The whole model's operators that slice has; crops made for a tile share an origin. */
static int fill_ops(const struct kerf_graph *slice, uint32_t n_whole, struct kerf_slice_request *q,
		    struct kerf_err *err)
{
	bool *has = calloc(n_whole + 1, 1);
	uint32_t i;

	q->range = calloc(slice->n_op + 1, sizeof(*q->range));
	if (!q->range || !has) {
		free(has);
		return -ENOMEM;
	}
	for (i = 0; i < slice->n_op; i++)
		has[slice->op[i].origin] = true;
	for (i = 0; i < n_whole; i++) {
		if (!has[i])
			continue;
		if (q->n_range && q->range[q->n_range - 1].end == i)
			q->range[q->n_range - 1].end++;
		else
			q->range[q->n_range++] = (struct kerf_slice_range){i, i + 1};
	}
	free(has);
	if (q->n_range > KERF_SLICE_RANGES)
		return kerf_fail(err, -EOPNOTSUPP, "a slice of %u runs of operators, at most %u",
				 q->n_range, KERF_SLICE_RANGES);
	return 0;
}

/* What the outputs are limited to: rows of a tile, or channels; the same for all of them. */
static void fill_limits(const struct kerf_graph *slice, struct kerf_slice_request *q)
{
	const struct kerf_value *v = &slice->value[slice->out[0]];

	if (v->whole_rows) {
		struct kerf_rows rows = kerf_slice_rows(slice, slice->out[0]);

		q->row_begin = rows.begin;
		q->row_end = rows.end;
		q->padded = slice->padded;
	}
	if (v->whole_channels) {
		q->channel_begin = v->channel0;
		q->channel_end = v->channel0 + v->t.dims[v->t.rank - 1];
	}
}

int kerf_slice_describe(const struct kerf_graph *slice, struct kerf_slice_request *q,
			struct kerf_err *err)
{
	const struct kerf_graph *whole = slice;
	uint8_t sha[32];
	uint32_t i;
	int r;

	while (whole->parent)
		whole = whole->parent;
	kerf_graph_model_sha256(whole, sha);
	kerf_hex(sha, sizeof(sha), q->model);
	q->fingerprint = kerf_graph_fingerprint(whole);
	if (whole->n_in > KERF_SLICE_SHAPES)
		return kerf_fail(err, -EOPNOTSUPP, "a model of %u inputs, at most %u", whole->n_in,
				 KERF_SLICE_SHAPES);
	q->shape = calloc(whole->n_in + 1, sizeof(*q->shape));
	if (!q->shape)
		return -ENOMEM;
	for (i = 0; i < whole->n_in; i++) {
		const struct kerf_value *v = &whole->value[whole->in[i]];
		struct kerf_slice_shape *s = &q->shape[q->n_shape++];

		if (snprintf(s->name, sizeof(s->name), "%s", v->name) >= (int)sizeof(s->name))
			return kerf_fail(err, -EOPNOTSUPP, "input '%.60s...': the name is too long",
					 v->name);
		s->rank = v->t.rank;
		memcpy(s->dims, v->t.dims, sizeof(s->dims));
	}
	if (slice == whole)
		return 0;
	r = fill_ops(slice, whole->n_op, q, err);
	if (!r)
		fill_limits(slice, q);
	return r;
}
