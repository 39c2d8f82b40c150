/* SPDX-License-Identifier: MIT */
/*
 * Resize and Upsample of channels-last images. Blending is done along the width into
 * rows of the output's width, then along the height over such rows: the order of the
 * reference. A thread keeps the rows it made while the next output rows need them.
 */
#include "exec/cpu_op.h"
#include "graph/op_resize.h"
#include "graph/op_util.h"

#include <string.h>

#define BLOCK 8 /* output rows of one item */

struct resize_arg {
	int64_t batch, h, w, c, oh, ow;
	const struct kerf_resize_taps *rows, *columns;
	size_t esize;
	size_t row_floats; /* of one kept row */
};

static void nearest_row(const struct resize_arg *a, const char *x, char *y)
{
	size_t pixel = (size_t)a->c * a->esize;
	int64_t i;

	for (i = 0; i < a->ow; i++)
		memcpy(y + (size_t)i * pixel, x + (size_t)a->columns[i].at[0] * pixel, pixel);
}

static void nearest_item(void *arg, int64_t item, int thread)
{
	const struct kerf_cpu_step *s = arg;
	const struct resize_arg *a = s->arg;
	int64_t blocks = kerf_div_up(a->oh, BLOCK), image = item / blocks,
		r = item % blocks * BLOCK, last;
	size_t in_row = (size_t)(a->w * a->c) * a->esize,
	       out_row = (size_t)(a->ow * a->c) * a->esize;
	const char *x = (const char *)s->in[0].data + (size_t)(image * a->h) * in_row;
	char *y = (char *)s->out[0].data + (size_t)(image * a->oh + r) * out_row;
	int64_t made = -1; /* input row of the last output row */

	for (last = KERF_MIN(r + BLOCK, a->oh); r < last; r++, y += out_row) {
		int64_t at = a->rows[r].at[0];

		if (at == made)
			memcpy(y, y - out_row, out_row);
		else
			nearest_row(a, x + (size_t)at * in_row, y);
		made = at;
	}
}

/* One input row at the output's width. */
static void widen_row(const struct kerf_cpu_step *s, const struct resize_arg *a, const float *x,
		      float *y)
{
	const float *from[KERF_RESIZE_TAPS];
	int64_t i;
	int k;

	for (i = 0; i < a->ow; i++, y += a->c) {
		const struct kerf_resize_taps *t = &a->columns[i];

		for (k = 0; k < t->n; k++)
			from[k] = x + t->at[k] * a->c;
		s->isa->pool->blend(y, from, t->w, t->n, a->c);
	}
}

static void blend_item(void *arg, int64_t item, int thread)
{
	const struct kerf_cpu_step *s = arg;
	const struct resize_arg *a = s->arg;
	int64_t blocks = kerf_div_up(a->oh, BLOCK), image = item / blocks,
		r = item % blocks * BLOCK, last;
	const float *x = (const float *)s->in[0].data + image * a->h * a->w * a->c;
	float *y = (float *)s->out[0].data + (image * a->oh + r) * a->ow * a->c;
	float *kept = (float *)s->scratch + (size_t)thread * KERF_RESIZE_TAPS * a->row_floats;
	int64_t made[KERF_RESIZE_TAPS] = {-1, -1, -1, -1}; /* input row of each kept one */
	const float *from[KERF_RESIZE_TAPS];
	int k;

	for (last = KERF_MIN(r + BLOCK, a->oh); r < last; r++, y += a->ow * a->c) {
		const struct kerf_resize_taps *t = &a->rows[r];

		for (k = 0; k < t->n; k++) {
			/* Taps are neighbours, so a row's place follows from its number. */
			int64_t at = t->at[k], place = at % KERF_RESIZE_TAPS;

			if (made[place] != at)
				widen_row(s, a, x + at * a->w * a->c,
					  kept + (size_t)place * a->row_floats);
			made[place] = at;
			from[k] = kept + (size_t)place * a->row_floats;
		}
		s->isa->pool->blend(y, from, t->w, t->n, a->ow * a->c);
		if (s->op->act.kind != KERF_ACT_NONE)
			s->isa->map->act(&s->op->act, y, a->ow * a->c);
	}
}

static int run_nearest(const struct kerf_cpu_step *s, struct kerf_pool *pool)
{
	const struct resize_arg *a = s->arg;

	kerf_pool_run(pool, nearest_item, (void *)s, a->batch * kerf_div_up(a->oh, BLOCK));
	return 0;
}

static int run_blend(const struct kerf_cpu_step *s, struct kerf_pool *pool)
{
	const struct resize_arg *a = s->arg;

	kerf_pool_run(pool, blend_item, (void *)s, a->batch * kerf_div_up(a->oh, BLOCK));
	return 0;
}

static struct kerf_resize_taps *axis_taps(struct kerf_cpu_build *b, const struct kerf_cpu_step *s,
					  int axis, int64_t n, bool *nearest, int *r)
{
	struct kerf_resize_taps *t = kerf_arena_calloc(b->mem, (size_t)n, sizeof(*t));
	int64_t i;

	*r = t ? kerf_resize_axis(s->op, s->in, s->out, axis, t, nearest) : -ENOMEM;
	for (i = 0; !*r && i < n; i++)
		if (!t[i].n)
			*r = -EOPNOTSUPP;
	return t;
}

/* Batch and channels are not resized. */
static bool is_plain(const struct kerf_resize_taps *t, int64_t n, int64_t in)
{
	int64_t i;
	int k;

	for (i = 0; i < n; i++)
		for (k = 0; k < t[i].n; k++)
			if (t[i].w[k] != 0 && (t[i].at[k] != i || t[i].w[k] != 1))
				return false;
	return n == in;
}

static int choose_resize(struct kerf_cpu_build *b, struct kerf_cpu_step *s)
{
	const struct kerf_tensor *x = &s->in[0], *y = &s->out[0];
	struct kerf_resize_taps *taps[4];
	struct resize_arg *a;
	bool nearest = false;
	int i, r = 0, at[4] = {0, 3, 1, 2}; /* where ONNX's axes are stored */

	if (!s->op->nhwc || x->rank != 4)
		return -EOPNOTSUPP;
	for (i = 0; i < 4 && !r; i++)
		taps[i] = axis_taps(b, s, i, y->dims[at[i]], &nearest, &r);
	if (r)
		return r == -ENOMEM ? r : -EOPNOTSUPP;
	if (!is_plain(taps[0], y->dims[0], x->dims[0]) ||
	    !is_plain(taps[1], y->dims[3], x->dims[3]) || (!nearest && x->dtype != KERF_F32) ||
	    (nearest && s->op->act.kind != KERF_ACT_NONE))
		return -EOPNOTSUPP;
	a = kerf_arena_calloc(b->mem, 1, sizeof(*a));
	if (!a)
		return -ENOMEM;
	*a = (struct resize_arg){
		.batch = x->dims[0],
		.h = x->dims[1],
		.w = x->dims[2],
		.c = x->dims[3],
		.oh = y->dims[1],
		.ow = y->dims[2],
		.rows = taps[2],
		.columns = taps[3],
		.esize = kerf_dtype_size(x->dtype),
	};
	a->row_floats = kerf_align((size_t)(a->ow * a->c) * sizeof(float)) / sizeof(float);
	if (!nearest)
		s->scratch_bytes =
			(size_t)b->threads * KERF_RESIZE_TAPS * a->row_floats * sizeof(float);
	s->run = nearest ? run_nearest : run_blend;
	s->arg = a;
	return 0;
}

int kerf_cpu_resize(struct kerf_cpu_build *b, struct kerf_cpu_step *s)
{
	static const struct kerf_cpu_entry table[] = {
		{"Resize", choose_resize},
		{"Upsample", choose_resize},
		{NULL, NULL},
	};

	return kerf_cpu_by_name(table, b, s);
}
