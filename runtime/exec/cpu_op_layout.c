/* SPDX-License-Identifier: MIT */
/* Operators that move elements and compute nothing: all are kerf_copy in some order. */
#include "exec/cpu_copy.h"
#include "exec/cpu_op.h"
#include "graph/op_util.h"

#include <string.h>

struct piece {
	struct kerf_copy copy;
	int in, out;
};

struct layout_arg {
	int n_piece;
	struct piece *piece;
};

static int run_pieces(const struct kerf_cpu_step *s, struct kerf_pool *pool)
{
	const struct layout_arg *a = s->arg;
	int i;

	for (i = 0; i < a->n_piece; i++) {
		const struct piece *p = &a->piece[i];

		kerf_copy_run(&p->copy, s->in[p->in].data, s->out[p->out].data, pool);
	}
	return 0;
}

static struct layout_arg *new_pieces(struct kerf_cpu_build *b, struct kerf_cpu_step *s, int n)
{
	struct layout_arg *a = kerf_arena_calloc(b->mem, 1, sizeof(*a));
	int i;

	if (!a)
		return NULL;
	a->n_piece = n;
	a->piece = kerf_arena_calloc(b->mem, (size_t)n, sizeof(*a->piece));
	if (!a->piece)
		return NULL;
	for (i = 0; i < n; i++)
		a->piece[i].copy.esize = kerf_dtype_size(s->out[0].dtype);
	s->run = run_pieces;
	s->arg = a;
	return a;
}

static int choose_transpose(struct kerf_cpu_build *b, struct kerf_cpu_step *s)
{
	const struct kerf_tensor *x = &s->in[0], *y = &s->out[0];
	struct layout_arg *a = new_pieces(b, s, 1);
	kerf_strides from, to;
	const int64_t *perm;
	uint32_t n;
	int d;

	if (!a)
		return -ENOMEM;
	perm = kerf_op_ints(s->op, "perm", &n);
	kerf_strides_of(x, from);
	kerf_strides_of(y, to);
	for (d = 0; d < y->rank; d++)
		kerf_copy_dim(&a->piece[0].copy, y->dims[d], from[n ? perm[d] : x->rank - 1 - d],
			      to[d]);
	kerf_copy_plan(&a->piece[0].copy);
	return 0;
}

/* Copies between the whole of one tensor and a band of another along one axis. */
static void band(struct piece *p, const struct kerf_tensor *part, const struct kerf_tensor *whole,
		 int axis, int64_t at, bool into)
{
	int64_t outer = kerf_span(part, 0, axis), inner = kerf_span(part, axis, part->rank);
	int64_t step = kerf_span(whole, axis, whole->rank);
	int64_t skip = at * kerf_span(whole, axis + 1, whole->rank);

	kerf_copy_dim(&p->copy, outer, into ? inner : step, into ? step : inner);
	kerf_copy_dim(&p->copy, inner, 1, 1);
	p->copy.from0 = into ? 0 : skip;
	p->copy.to0 = into ? skip : 0;
	kerf_copy_plan(&p->copy);
}

static bool cuts_rows(const struct kerf_op *op, int axis)
{
	return op->tile.out_rows && axis == 1;
}

static int choose_concat(struct kerf_cpu_build *b, struct kerf_cpu_step *s)
{
	int axis = kerf_axis(kerf_op_int(s->op, "axis", 0), s->out[0].rank), k;
	struct layout_arg *a;
	int64_t at = 0;

	if (axis < 0 || cuts_rows(s->op, axis))
		return -EOPNOTSUPP;
	a = new_pieces(b, s, s->op->n_in);
	if (!a)
		return -ENOMEM;
	for (k = 0; k < s->op->n_in; k++) {
		a->piece[k].in = k;
		band(&a->piece[k], &s->in[k], &s->out[0], axis, at, true);
		at += s->in[k].dims[axis];
	}
	return 0;
}

static int choose_crop(struct kerf_cpu_build *b, struct kerf_cpu_step *s)
{
	struct layout_arg *a = new_pieces(b, s, 1);

	if (!a)
		return -ENOMEM;
	band(&a->piece[0], &s->out[0], &s->in[0], (int)kerf_op_int(s->op, "axis", 1),
	     kerf_op_int(s->op, "begin", 0), false);
	return 0;
}

static int choose_split(struct kerf_cpu_build *b, struct kerf_cpu_step *s)
{
	int axis = kerf_axis(kerf_op_int(s->op, "axis", 0), s->in[0].rank), k;
	struct layout_arg *a;
	int64_t at = 0;

	if (axis < 0 || cuts_rows(s->op, axis))
		return -EOPNOTSUPP;
	for (k = 0; k < s->op->n_out; k++)
		if (s->op->out[k] < 0)
			return -EOPNOTSUPP;
	a = new_pieces(b, s, s->op->n_out);
	if (!a)
		return -ENOMEM;
	for (k = 0; k < s->op->n_out; k++) {
		a->piece[k].out = k;
		band(&a->piece[k], &s->out[k], &s->in[0], axis, at, false);
		at += s->out[k].dims[axis];
	}
	return 0;
}

static int choose_slice(struct kerf_cpu_build *b, struct kerf_cpu_step *s)
{
	const struct kerf_tensor *x = &s->in[0], *y = &s->out[0];
	int64_t start[KERF_MAX_RANK], axis[KERF_MAX_RANK], step[KERF_MAX_RANK];
	int n, n_axes, n_steps, i, d;
	struct layout_arg *a;
	kerf_strides from, to;
	struct kerf_copy *c;

	if (kerf_want_list(s->op, s->in, 1, "starts", start, KERF_MAX_RANK, &n, NULL) ||
	    kerf_want_list(s->op, s->in, 3, "axes", axis, KERF_MAX_RANK, &n_axes, NULL) ||
	    kerf_want_list(s->op, s->in, 4, "steps", step, KERF_MAX_RANK, &n_steps, NULL) || n < 0)
		return -EOPNOTSUPP;
	a = new_pieces(b, s, 1);
	if (!a)
		return -ENOMEM;
	c = &a->piece[0].copy;
	kerf_strides_of(x, from);
	kerf_strides_of(y, to);
	for (i = 0; i < n; i++) {
		int64_t dim, by = n_steps > 0 ? step[i] : 1, at = start[i];

		d = kerf_axis(n_axes > 0 ? axis[i] : i, x->rank);
		if (d < 0 || cuts_rows(s->op, d))
			return -EOPNOTSUPP;
		dim = x->dims[d];
		at = at < 0 ? at + dim : at;
		at = KERF_MIN(KERF_MAX(at, 0), by < 0 ? dim - 1 : dim);
		c->from0 += at * from[d];
		from[d] *= by;
	}
	for (d = 0; d < y->rank; d++)
		kerf_copy_dim(c, y->dims[d], from[d], to[d]);
	kerf_copy_plan(c);
	return 0;
}

static int choose_expand(struct kerf_cpu_build *b, struct kerf_cpu_step *s)
{
	struct layout_arg *a = new_pieces(b, s, 1);
	const struct kerf_tensor *y = &s->out[0];
	kerf_strides from, to;
	int d;

	if (!a)
		return -ENOMEM;
	kerf_strides_bcast(&s->in[0], y->rank, from);
	kerf_strides_of(y, to);
	for (d = 0; d < y->rank; d++)
		kerf_copy_dim(&a->piece[0].copy, y->dims[d], from[d], to[d]);
	kerf_copy_plan(&a->piece[0].copy);
	return 0;
}

/* Blocks of channels to blocks of pixels (DepthToSpace), or back. */
static int choose_blocks(struct kerf_cpu_build *b, struct kerf_cpu_step *s)
{
	const bool deep = !strcmp(s->op->def->name, "DepthToSpace"); /* the input is */
	const bool crd = deep && !strcmp(kerf_op_string(s->op, "mode", "DCR"), "CRD");
	const struct kerf_tensor *low = deep ? &s->in[0] : &s->out[0];
	const struct kerf_tensor *high = deep ? &s->out[0] : &s->in[0];
	int64_t bs = kerf_op_int(s->op, "blocksize", 1), c, dim[6], at_low[6], at_high[6];
	int h = s->op->nhwc ? 1 : 2, ch = s->op->nhwc ? 3 : 1, d;
	struct layout_arg *a;
	kerf_strides sl, sh;

	if (low->rank != 4 || s->op->tile.out_rows)
		return -EOPNOTSUPP;
	c = high->dims[ch];
	a = new_pieces(b, s, 1);
	if (!a)
		return -ENOMEM;
	kerf_strides_of(low, sl);
	kerf_strides_of(high, sh);
	/* batch, row, column, channel, row in block, column in block */
	dim[0] = low->dims[0], at_low[0] = sl[0], at_high[0] = sh[0];
	dim[1] = low->dims[h], at_low[1] = sl[h], at_high[1] = bs * sh[h];
	dim[2] = low->dims[h + 1], at_low[2] = sl[h + 1], at_high[2] = bs * sh[h + 1];
	dim[3] = c, at_low[3] = (crd ? bs * bs : 1) * sl[ch], at_high[3] = sh[ch];
	dim[4] = bs, at_low[4] = (crd ? bs : bs * c) * sl[ch], at_high[4] = sh[h];
	dim[5] = bs, at_low[5] = (crd ? 1 : c) * sl[ch], at_high[5] = sh[h + 1];
	for (d = 0; d < 6; d++)
		kerf_copy_dim(&a->piece[0].copy, dim[d], deep ? at_low[d] : at_high[d],
			      deep ? at_high[d] : at_low[d]);
	kerf_copy_plan(&a->piece[0].copy);
	return 0;
}

struct gather_arg {
	int64_t outer, n, dim;
	size_t row; /* bytes moved at a time */
};

struct gather_run {
	const struct gather_arg *a;
	const struct kerf_tensor *x, *index;
	char *y;
};

static void gather_item(void *arg, int64_t item, int thread)
{
	const struct gather_run *g = arg;
	int64_t o = item / g->a->n, at = kerf_tensor_int(g->index, item % g->a->n);

	if (at < 0)
		at += g->a->dim;
	memcpy(g->y + (size_t)item * g->a->row,
	       (const char *)g->x->data + (size_t)(o * g->a->dim + at) * g->a->row, g->a->row);
}

static int run_gather(const struct kerf_cpu_step *s, struct kerf_pool *pool)
{
	const struct gather_arg *a = s->arg;
	struct gather_run g = {a, &s->in[0], &s->in[1], s->out[0].data};
	int64_t i;

	for (i = 0; i < a->n; i++) {
		int64_t at = kerf_tensor_int(&s->in[1], i);

		if (at < -a->dim || at >= a->dim)
			return -EINVAL;
	}
	kerf_pool_run(pool, gather_item, &g, a->outer * a->n);
	return 0;
}

static int choose_gather(struct kerf_cpu_build *b, struct kerf_cpu_step *s)
{
	int axis = kerf_axis(kerf_op_int(s->op, "axis", 0), s->in[0].rank);
	struct gather_arg *a;

	if (axis < 0 || s->op->tile.out_rows)
		return -EOPNOTSUPP;
	a = kerf_arena_calloc(b->mem, 1, sizeof(*a));
	if (!a)
		return -ENOMEM;
	a->outer = kerf_span(&s->in[0], 0, axis);
	a->n = kerf_tensor_count(&s->in[1]);
	a->dim = s->in[0].dims[axis];
	a->row = (size_t)kerf_span(&s->in[0], axis + 1, s->in[0].rank) *
		 kerf_dtype_size(s->in[0].dtype);
	/* Element by element the copying is not what it costs. */
	if (a->row < 32)
		return -EOPNOTSUPP;
	s->run = run_gather;
	s->arg = a;
	return 0;
}

int kerf_cpu_layout(struct kerf_cpu_build *b, struct kerf_cpu_step *s)
{
	static const struct kerf_cpu_entry table[] = {
		{"Transpose", choose_transpose}, {"Concat", choose_concat},
		{"Split", choose_split},	 {"Slice", choose_slice},
		{"Expand", choose_expand},	 {"DepthToSpace", choose_blocks},
		{"SpaceToDepth", choose_blocks}, {"Gather", choose_gather},
		{"rowCrop", choose_crop},	 {NULL, NULL},
	};

	if (s->op->act.kind != KERF_ACT_NONE)
		return -EOPNOTSUPP;
	return kerf_cpu_by_name(table, b, s);
}
