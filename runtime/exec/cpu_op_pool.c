/* SPDX-License-Identifier: MIT */
/* Pools over channels-last images: float32, and the maximum of bytes. */
#include "exec/cpu_op.h"
#include "graph/op_util.h"
#include "graph/spatial.h"

#include <math.h>
#include <string.h>

struct pool_arg {
	struct kerf_window w; /* of the whole operator */
	struct kerf_grid x, y;
	bool mean, include_pad;
};

void kerf_cpu_taps_within(int64_t start, int64_t dilation, int64_t kernel, int64_t lo, int64_t hi,
			  int64_t *first, int64_t *end)
{
	*first = start < lo ? kerf_div_up(lo - start, dilation) : 0;
	*end = hi > start ? kerf_div_up(hi - start, dilation) : 0;
	*first = KERF_MIN(*first, kernel);
	*end = KERF_MAX(KERF_MIN(*end, kernel), *first);
}

/* Taps of an axis that the input or its padding has: what AveragePool may count. */
static int64_t padded_taps(const struct pool_arg *a, int d, int64_t start, int64_t whole)
{
	int64_t end = whole + a->w.pad_end[d];

	if (end <= start)
		return 0;
	return KERF_MIN(kerf_div_up(end - start, a->w.dilation[d]), a->w.kernel[d]);
}

static void pool_pixel(const struct kerf_cpu_step *s, const struct pool_arg *a, const char *x,
		       char *y, const struct kerf_cpu_taps *t, int64_t padded)
{
	const struct kerf_cpu_pool_fns *f = s->isa->pool;
	int64_t c = a->x.channels, n = t->nh * t->nw;

	if (!n) {
		int64_t i;

		/* Nothing but padding: what the reference gives. */
		for (i = 0; i < c; i++)
			if (s->in[0].dtype == KERF_F32)
				((float *)y)[i] = a->mean ? 0 : -INFINITY;
			else
				y[i] = s->in[0].dtype == KERF_I8 ? INT8_MIN : 0;
		return;
	}
	switch (s->in[0].dtype) {
	case KERF_U8: f->max_u8((uint8_t *)y, (const uint8_t *)x, t, c); break;
	case KERF_I8: f->max_i8((int8_t *)y, (const int8_t *)x, t, c); break;
	default:
		if (a->mean)
			f->mean_f32((float *)y, (const float *)x, t, c,
				    (float)(a->include_pad ? padded : n));
		else
			f->max_f32((float *)y, (const float *)x, t, c);
	}
}

/* One output row of one image. */
static void pool_item(void *arg, int64_t item, int thread)
{
	const struct kerf_cpu_step *s = arg;
	const struct pool_arg *a = s->arg;
	const struct kerf_window *w = &a->w;
	int64_t size = (int64_t)kerf_dtype_size(s->in[0].dtype), row = item % a->y.size[0], ow;
	const char *x = (const char *)s->in[0].data + item / a->y.size[0] * a->x.step_batch * size;
	char *y = (char *)s->out[0].data + (item * a->y.size[1] * a->y.channels) * size, *y0 = y;
	int64_t start_h = (row + a->y.row0) * w->stride[0] - w->pad_begin[0], h0, h1;
	int64_t held = a->x.row0;
	struct kerf_cpu_taps t = {.step_h = w->dilation[0] * a->x.step[0],
				  .step_w = w->dilation[1] * a->x.step[1]};

	kerf_cpu_taps_within(start_h, w->dilation[0], w->kernel[0], held, held + a->x.size[0], &h0,
			     &h1);
	t.nh = h1 - h0;
	for (ow = 0; ow < a->y.size[1]; ow++, y += a->y.channels * size) {
		int64_t start_w = ow * w->stride[1] - w->pad_begin[1], w0, w1, at;

		kerf_cpu_taps_within(start_w, w->dilation[1], w->kernel[1], 0, a->x.size[1], &w0,
				     &w1);
		t.nw = w1 - w0;
		at = (start_h + h0 * w->dilation[0] - held) * a->x.step[0] +
		     (start_w + w0 * w->dilation[1]) * a->x.step[1];
		pool_pixel(s, a, x + at * size, y, &t,
			   padded_taps(a, 0, start_h, a->x.rows) *
				   padded_taps(a, 1, start_w, a->x.size[1]));
	}
	if (s->op->act.kind != KERF_ACT_NONE)
		s->isa->map->act(&s->op->act, (float *)y0, a->y.size[1] * a->y.channels);
}

static int run_pool(const struct kerf_cpu_step *s, struct kerf_pool *pool)
{
	const struct pool_arg *a = s->arg;

	kerf_pool_run(pool, pool_item, (void *)s, a->y.batch * a->y.size[0]);
	return 0;
}

static int choose_window(struct kerf_cpu_build *b, struct kerf_cpu_step *s)
{
	const bool mean = !strcmp(s->op->def->name, "AveragePool");
	enum kerf_dtype t = s->in[0].dtype;
	struct pool_arg *a;

	if (!s->op->nhwc || s->in[0].rank != 4 || kerf_op_has_out(s->op, s->out, 1) ||
	    (t != KERF_F32 && (mean || (t != KERF_U8 && t != KERF_I8))) ||
	    (t != KERF_F32 && s->op->act.kind != KERF_ACT_NONE))
		return -EOPNOTSUPP;
	a = kerf_arena_calloc(b->mem, 1, sizeof(*a));
	if (!a)
		return -ENOMEM;
	if (kerf_whole_window(s->op, &s->in[0], NULL, &a->w, b->err))
		return -EINVAL;
	a->x = kerf_grid_in(s->op, &s->in[0]);
	a->y = kerf_grid_out(s->op, &s->out[0]);
	a->mean = mean;
	a->include_pad = kerf_op_int(s->op, "count_include_pad", 0);
	s->run = run_pool;
	s->arg = a;
	return 0;
}

/* --- over the whole image ---------------------------------------------------- */

#define CHANNELS 64 /* of one item */

struct global_arg {
	struct kerf_planes p;
	bool mean;
};

static void global_item(void *arg, int64_t item, int thread)
{
	const struct kerf_cpu_step *s = arg;
	const struct global_arg *a = s->arg;
	enum kerf_fold f = a->mean ? KERF_FOLD_SUM : KERF_FOLD_MAX;
	int64_t blocks = kerf_div_up(a->p.channels, CHANNELS), n = item / blocks, i;
	int64_t c = item % blocks * CHANNELS, nc = KERF_MIN(CHANNELS, a->p.channels - c);
	const float *x = (const float *)s->in[0].data + n * a->p.step_batch + c * a->p.step_channel;
	float *y = (float *)s->out[0].data + n * a->p.channels + c;

	if (a->p.step_channel == 1)
		s->isa->norm->fold_columns[f](y, x, a->p.inner, a->p.step_inner, nc);
	else
		for (i = 0; i < nc; i++)
			y[i] = s->isa->norm->fold_row[f](x + i * a->p.step_channel, a->p.inner);
	for (i = 0; i < nc && a->mean; i++)
		y[i] /= (float)a->p.inner;
	if (s->op->act.kind != KERF_ACT_NONE)
		s->isa->map->act(&s->op->act, y, nc);
}

static int run_global(const struct kerf_cpu_step *s, struct kerf_pool *pool)
{
	const struct global_arg *a = s->arg;

	kerf_pool_run(pool, global_item, (void *)s,
		      a->p.batch * kerf_div_up(a->p.channels, CHANNELS));
	return 0;
}

static int choose_global(struct kerf_cpu_build *b, struct kerf_cpu_step *s)
{
	struct global_arg *a;

	if (s->in[0].dtype != KERF_F32)
		return -EOPNOTSUPP;
	a = kerf_arena_calloc(b->mem, 1, sizeof(*a));
	if (!a)
		return -ENOMEM;
	a->p = kerf_planes(&s->in[0], s->op->nhwc);
	a->mean = !strcmp(s->op->def->name, "GlobalAveragePool");
	if (a->p.step_channel != 1 && a->p.step_inner != 1)
		return -EOPNOTSUPP;
	s->run = run_global;
	s->arg = a;
	return 0;
}

int kerf_cpu_pool(struct kerf_cpu_build *b, struct kerf_cpu_step *s)
{
	static const struct kerf_cpu_entry table[] = {
		{"MaxPool", choose_window},
		{"AveragePool", choose_window},
		{"GlobalAveragePool", choose_global},
		{"GlobalMaxPool", choose_global},
		{NULL, NULL},
	};

	return kerf_cpu_by_name(table, b, s);
}
