/* SPDX-License-Identifier: MIT */
/* To and from quantised values, and the operators that work on them one by one or in windows. */
#include "exec/cpu_op.h"
#include "graph/op_conv.h"
#include "graph/op_quant.h"
#include "graph/op_util.h"
#include "graph/quant.h"
#include "graph/spatial.h"

#include <string.h>

#define PIECE 8192 /* elements of one item */

struct quant_arg {
	int64_t n;
	float scale; /* of the quantised side, for QuantizeLinear and DequantizeLinear */
	struct kerf_binary8 p;
};

static float scale_of(const struct kerf_tensor *t)
{
	return (float)kerf_tensor_float(t, 0);
}

static bool is_byte(const struct kerf_tensor *t)
{
	return t->dtype == KERF_U8 || t->dtype == KERF_I8;
}

static bool known(const struct kerf_cpu_step *s, int first, int last)
{
	for (; first <= last; first++)
		if (first < s->op->n_in && s->in[first].dtype != KERF_NONE &&
		    (!s->in[first].data || kerf_tensor_count(&s->in[first]) != 1))
			return false;
	return true;
}

static int keep(struct kerf_cpu_build *b, struct kerf_cpu_step *s, const struct quant_arg *a,
		int (*run)(const struct kerf_cpu_step *s, struct kerf_pool *pool))
{
	s->run = run;
	s->arg = kerf_arena_dup(b->mem, a, sizeof(*a));
	return s->arg ? 0 : -ENOMEM;
}

/* Runs item over pieces of PIECE elements of the output. */
static int by_pieces(const struct kerf_cpu_step *s, struct kerf_pool *pool, kerf_pool_fn item)
{
	const struct quant_arg *a = s->arg;

	kerf_pool_run(pool, item, (void *)s, kerf_div_up(a->n, PIECE));
	return 0;
}

#define PIECE_OF(s, item)                     \
	const struct quant_arg *a = (s)->arg; \
	int64_t at = (item)*PIECE, n = KERF_MIN(PIECE, a->n - at);

static void quantize_item(void *arg, int64_t item, int thread)
{
	const struct kerf_cpu_step *s = arg;
	PIECE_OF(s, item)

	s->isa->int8->quantize((uint8_t *)s->out[0].data + at, (const float *)s->in[0].data + at, n,
			       a->scale, a->p.zero, a->p.lo, a->p.hi);
}

static void dequantize_item(void *arg, int64_t item, int thread)
{
	const struct kerf_cpu_step *s = arg;
	PIECE_OF(s, item)
	float *y = (float *)s->out[0].data + at;

	s->isa->int8->dequantize(y, (const uint8_t *)s->in[0].data + at, n, a->p.a_signed, a->scale,
				 a->p.a_zero);
	if (s->op->act.kind != KERF_ACT_NONE)
		s->isa->map->act(&s->op->act, y, n);
}

static void add_item(void *arg, int64_t item, int thread)
{
	const struct kerf_cpu_step *s = arg;
	PIECE_OF(s, item)

	s->isa->int8->add((uint8_t *)s->out[0].data + at, (const uint8_t *)s->in[0].data + at,
			  (const uint8_t *)s->in[3].data + at, n, &a->p);
}

static void multiply_item(void *arg, int64_t item, int thread)
{
	const struct kerf_cpu_step *s = arg;
	PIECE_OF(s, item)

	s->isa->int8->multiply((uint8_t *)s->out[0].data + at, (const uint8_t *)s->in[0].data + at,
			       (const uint8_t *)s->in[3].data + at, n, &a->p);
}

static void rescale_item(void *arg, int64_t item, int thread)
{
	const struct kerf_cpu_step *s = arg;
	PIECE_OF(s, item)

	s->isa->int8->rescale((uint8_t *)s->out[0].data + at, (const uint8_t *)s->in[0].data + at,
			      n, &a->p);
}

static void lut_item(void *arg, int64_t item, int thread)
{
	const struct kerf_cpu_step *s = arg;
	PIECE_OF(s, item)
	const uint8_t *x = (const uint8_t *)s->in[0].data + at, *table = s->in[1].data;
	uint8_t *y = (uint8_t *)s->out[0].data + at;
	int64_t i;

	for (i = 0; i < n; i++)
		y[i] = table[x[i]];
}

static int run_quantize(const struct kerf_cpu_step *s, struct kerf_pool *pool)
{
	return by_pieces(s, pool, quantize_item);
}

static int run_dequantize(const struct kerf_cpu_step *s, struct kerf_pool *pool)
{
	return by_pieces(s, pool, dequantize_item);
}

static int run_add(const struct kerf_cpu_step *s, struct kerf_pool *pool)
{
	return by_pieces(s, pool, add_item);
}

static int run_multiply(const struct kerf_cpu_step *s, struct kerf_pool *pool)
{
	return by_pieces(s, pool, multiply_item);
}

static int run_rescale(const struct kerf_cpu_step *s, struct kerf_pool *pool)
{
	return by_pieces(s, pool, rescale_item);
}

static int run_lut(const struct kerf_cpu_step *s, struct kerf_pool *pool)
{
	return by_pieces(s, pool, lut_item);
}

static int choose_quantize(struct kerf_cpu_build *b, struct kerf_cpu_step *s)
{
	const struct kerf_tensor *zero = kerf_op_opt(s->op, s->in, 2);
	struct quant_arg a = {.n = kerf_tensor_count(&s->out[0])};

	if (s->in[0].dtype != KERF_F32 || s->in[1].dtype != KERF_F32 || !is_byte(&s->out[0]) ||
	    !known(s, 1, 2) || s->op->act.kind != KERF_ACT_NONE)
		return -EOPNOTSUPP;
	a.scale = scale_of(&s->in[1]);
	a.p.zero = (int32_t)kerf_zero_point(zero, 0);
	a.p.lo = s->out[0].dtype == KERF_I8 ? INT8_MIN : 0;
	a.p.hi = s->out[0].dtype == KERF_I8 ? INT8_MAX : UINT8_MAX;
	return keep(b, s, &a, run_quantize);
}

static int choose_dequantize(struct kerf_cpu_build *b, struct kerf_cpu_step *s)
{
	const struct kerf_tensor *zero = kerf_op_opt(s->op, s->in, 2);
	struct quant_arg a = {.n = kerf_tensor_count(&s->out[0])};

	if (s->out[0].dtype != KERF_F32 || !is_byte(&s->in[0]) || !known(s, 1, 2))
		return -EOPNOTSUPP;
	a.scale = scale_of(&s->in[1]);
	a.p.a_signed = s->in[0].dtype == KERF_I8;
	a.p.a_zero = (int32_t)kerf_zero_point(zero, 0);
	return keep(b, s, &a, run_dequantize);
}

/* Parameters of a (in[0 .. 2]) and of the result (in[k], in[k + 1]). */
static int params(struct kerf_cpu_step *s, int k, struct quant_arg *a, float *y_scale)
{
	struct kerf_quant_target t;

	a->n = kerf_tensor_count(&s->out[0]);
	if (!is_byte(&s->in[0]) || !is_byte(&s->out[0]) || !known(s, 1, 2) || !known(s, k, k + 1) ||
	    kerf_quant_target(s->op, &s->in[k], &s->in[k + 1], &t))
		return -EOPNOTSUPP;
	a->p.a_signed = s->in[0].dtype == KERF_I8;
	a->p.a_zero = (int32_t)kerf_zero_point(&s->in[2], 0);
	a->p.zero = t.zero;
	a->p.lo = t.lo;
	a->p.hi = t.hi;
	*y_scale = t.scale;
	return 0;
}

static int choose_binary(struct kerf_cpu_build *b, struct kerf_cpu_step *s)
{
	bool add = !strcmp(s->op->def->name, "qAdd");
	struct quant_arg a = {0};
	float y_scale;
	int r;

	if (!kerf_tensor_same_shape(&s->in[0], &s->in[3]) || !is_byte(&s->in[3]) || !known(s, 4, 5))
		return -EOPNOTSUPP;
	r = params(s, 6, &a, &y_scale);
	if (r)
		return r;
	a.p.b_signed = s->in[3].dtype == KERF_I8;
	a.p.b_zero = (int32_t)kerf_zero_point(&s->in[5], 0);
	if (add) {
		a.p.ma = scale_of(&s->in[1]) / y_scale;
		a.p.mb = scale_of(&s->in[4]) / y_scale;
	} else {
		a.p.ma = kerf_quant_factor(scale_of(&s->in[1]), scale_of(&s->in[4]), y_scale);
	}
	s->overwrite = 1 | 1 << 3;
	return keep(b, s, &a, add ? run_add : run_multiply);
}

static int choose_rescale(struct kerf_cpu_build *b, struct kerf_cpu_step *s)
{
	struct quant_arg a = {0};
	float y_scale;
	int r = params(s, 3, &a, &y_scale);

	if (r)
		return r;
	a.p.ma = scale_of(&s->in[1]) / y_scale;
	s->overwrite = 1;
	return keep(b, s, &a, run_rescale);
}

static int choose_lut(struct kerf_cpu_build *b, struct kerf_cpu_step *s)
{
	struct quant_arg a = {.n = kerf_tensor_count(&s->out[0])};

	s->overwrite = 1;
	return keep(b, s, &a, run_lut);
}

/* --- qConcat: y_s, y_z, (x, s, z)... --------------------------------------------- */

struct concat_part {
	struct kerf_binary8 p;
	int in;
	int64_t run, at; /* bytes of one row of it, and their place in a row of y */
};

struct concat_arg {
	int n_part;
	struct concat_part *part;
	int64_t outer, row, block;
};

static void concat_item(void *arg, int64_t item, int thread)
{
	const struct kerf_cpu_step *s = arg;
	const struct concat_arg *a = s->arg;
	int64_t o, last = KERF_MIN((item + 1) * a->block, a->outer);
	int i;

	for (i = 0; i < a->n_part; i++) {
		const struct concat_part *p = &a->part[i];
		const uint8_t *x = s->in[p->in].data;

		for (o = item * a->block; o < last; o++)
			s->isa->int8->rescale((uint8_t *)s->out[0].data + o * a->row + p->at,
					      x + o * p->run, p->run, &p->p);
	}
}

static int run_concat(const struct kerf_cpu_step *s, struct kerf_pool *pool)
{
	const struct concat_arg *a = s->arg;

	kerf_pool_run(pool, concat_item, (void *)s, kerf_div_up(a->outer, a->block));
	return 0;
}

static int choose_concat(struct kerf_cpu_build *b, struct kerf_cpu_step *s)
{
	int axis = kerf_axis(kerf_op_int(s->op, "axis", 1), s->out[0].rank), i;
	struct kerf_quant_target t;
	struct concat_arg *a;
	int64_t at = 0;

	if (axis < 0 || (s->op->tile.out_rows && axis == 1) || !known(s, 0, 1) ||
	    kerf_quant_target(s->op, &s->in[0], &s->in[1], &t))
		return -EOPNOTSUPP;
	a = kerf_arena_calloc(b->mem, 1, sizeof(*a));
	if (!a)
		return -ENOMEM;
	a->n_part = (s->op->n_in - 2) / 3;
	a->part = kerf_arena_calloc(b->mem, (size_t)a->n_part, sizeof(*a->part));
	if (!a->part)
		return -ENOMEM;
	a->outer = kerf_span(&s->out[0], 0, axis);
	a->row = kerf_span(&s->out[0], axis, s->out[0].rank);
	a->block = KERF_MAX(PIECE / a->row, 1);
	for (i = 0; i < a->n_part; i++) {
		struct concat_part *p = &a->part[i];
		const struct kerf_tensor *x = &s->in[2 + 3 * i];

		if (!known(s, 3 + 3 * i, 4 + 3 * i))
			return -EOPNOTSUPP;
		p->in = 2 + 3 * i;
		p->at = at;
		p->run = kerf_span(x, axis, x->rank);
		at += p->run;
		p->p = (struct kerf_binary8){.a_signed = x->dtype == KERF_I8,
					     .a_zero = (int32_t)kerf_zero_point(&x[2], 0),
					     .zero = t.zero,
					     .lo = t.lo,
					     .hi = t.hi,
					     .ma = scale_of(&x[1]) / t.scale};
	}
	s->run = run_concat;
	s->arg = a;
	return 0;
}

/* --- qAveragePool, qGlobalAveragePool ------------------------------------------------ */

struct mean_arg {
	struct kerf_window w; /* of the whole operator */
	struct kerf_grid x, y;
	bool include_pad;
	float factor;
	struct kerf_binary8 p;
};

static int64_t padded_taps(const struct mean_arg *a, int d, int64_t start, int64_t whole)
{
	int64_t room = whole + a->w.pad_end[d] - start;

	return KERF_MAX(KERF_MIN(kerf_div_up(room, a->w.dilation[d]), a->w.kernel[d]), 0);
}

/* One output row of one image. */
static void mean_item(void *arg, int64_t item, int thread)
{
	const struct kerf_cpu_step *s = arg;
	const struct mean_arg *a = s->arg;
	const struct kerf_window *w = &a->w;
	const uint8_t *x = (const uint8_t *)s->in[0].data + item / a->y.size[0] * a->x.step_batch;
	uint8_t *y = (uint8_t *)s->out[0].data + item * a->y.size[1] * a->y.channels;
	int64_t top = (item % a->y.size[0] + a->y.row0) * w->stride[0] - w->pad_begin[0], h0, h1,
		ox;
	struct kerf_cpu_window8 t = {.step_h = w->dilation[0] * a->x.step[0],
				     .step_w = w->dilation[1] * a->x.step[1]};

	kerf_cpu_taps_within(top, w->dilation[0], w->kernel[0], a->x.row0, a->x.row0 + a->x.size[0],
			     &h0, &h1);
	t.nh = h1 - h0;
	for (ox = 0; ox < a->y.size[1]; ox++, y += a->y.channels) {
		int64_t left = ox * w->stride[1] - w->pad_begin[1], w0, w1, count;

		kerf_cpu_taps_within(left, w->dilation[1], w->kernel[1], 0, a->x.size[1], &w0, &w1);
		t.nw = w1 - w0;
		count = a->include_pad ? padded_taps(a, 0, top, a->x.rows) *
						 padded_taps(a, 1, left, a->x.size[1])
				       : t.nh * t.nw;
		s->isa->int8->mean(y,
				   x + (top + h0 * w->dilation[0] - a->x.row0) * a->x.step[0] +
					   (left + w0 * w->dilation[1]) * a->x.step[1],
				   &t, a->x.channels, a->factor / (float)KERF_MAX(count, 1), &a->p);
	}
}

static int run_mean(const struct kerf_cpu_step *s, struct kerf_pool *pool)
{
	const struct mean_arg *a = s->arg;

	kerf_pool_run(pool, mean_item, (void *)s, a->y.batch * a->y.size[0]);
	return 0;
}

static int choose_mean(struct kerf_cpu_build *b, struct kerf_cpu_step *s)
{
	const bool global = !strcmp(s->op->def->name, "qGlobalAveragePool");
	struct quant_arg q = {0};
	struct mean_arg *a;
	float y_scale;
	int r = params(s, 3, &q, &y_scale), d;

	if (r || !s->op->nhwc || s->in[0].rank != 4)
		return -EOPNOTSUPP;
	a = kerf_arena_calloc(b->mem, 1, sizeof(*a));
	if (!a)
		return -ENOMEM;
	a->x = kerf_grid_in(s->op, &s->in[0]);
	a->y = kerf_grid_out(s->op, &s->out[0]);
	if (global) {
		a->x.row0 = a->y.row0 = 0;
		a->x.rows = a->x.size[0];
		for (d = 0; d < 2; d++) {
			a->w.kernel[d] = a->x.size[d];
			a->w.stride[d] = a->w.dilation[d] = 1;
		}
	} else if (kerf_whole_window(s->op, &s->in[0], NULL, &a->w, b->err)) {
		return -EINVAL;
	}
	a->include_pad = kerf_op_int(s->op, "count_include_pad", 0);
	a->factor = scale_of(&s->in[1]) / y_scale;
	a->p = q.p;
	s->run = run_mean;
	s->arg = a;
	return 0;
}

int kerf_cpu_quant(struct kerf_cpu_build *b, struct kerf_cpu_step *s)
{
	static const struct kerf_cpu_entry table[] = {
		{"QuantizeLinear", choose_quantize},
		{"DequantizeLinear", choose_dequantize},
		{"qAdd", choose_binary},
		{"qMul", choose_binary},
		{"qRescale", choose_rescale},
		{"qLut", choose_lut},
		{"qConcat", choose_concat},
		{"qAveragePool", choose_mean},
		{"qGlobalAveragePool", choose_mean},
		{NULL, NULL},
	};

	return kerf_cpu_by_name(table, b, s);
}
