/* SPDX-License-Identifier: MIT */
#include "graph/spatial.h"

#include <stdlib.h>
#include <string.h>

int64_t kerf_broadcast_index(const struct kerf_tensor *c, const struct kerf_tensor *y, int64_t o)
{
	int64_t off = 0, step = 1;
	int i;

	for (i = 0; i < c->rank; i++) {
		int64_t d = c->dims[c->rank - 1 - i], at = o % y->dims[y->rank - 1 - i];

		o /= y->dims[y->rank - 1 - i];
		if (d != 1)
			off += at * step;
		step *= d;
	}
	return off;
}

struct kerf_planes kerf_planes(const struct kerf_tensor *t, bool nhwc)
{
	struct kerf_planes p = {.batch = t->rank > 0 ? t->dims[0] : 1, .channels = 1, .inner = 1};
	int i, c = nhwc ? t->rank - 1 : 1;

	for (i = 1; i < t->rank; i++) {
		if (i == c)
			p.channels = t->dims[i];
		else
			p.inner *= t->dims[i];
	}
	p.step_batch = p.channels * p.inner;
	p.step_channel = nhwc ? 1 : p.inner;
	p.step_inner = nhwc ? p.channels : 1;
	return p;
}

static struct kerf_grid grid_of(const struct kerf_tensor *t, bool nhwc)
{
	struct kerf_grid g = {.n = t->rank - 2, .batch = t->dims[0]};
	int64_t step;
	int i;

	g.channels = t->dims[nhwc ? t->rank - 1 : 1];
	step = nhwc ? g.channels : 1;
	for (i = g.n - 1; i >= 0; i--) {
		g.size[i] = t->dims[i + (nhwc ? 1 : 2)];
		g.step[i] = step;
		step *= g.size[i];
	}
	g.step_channel = nhwc ? 1 : step;
	g.step_batch = nhwc ? step : step * g.channels;
	g.rows = g.size[0];
	return g;
}

struct kerf_grid kerf_grid_in(const struct kerf_op *op, const struct kerf_tensor *t)
{
	struct kerf_grid g = grid_of(t, op->nhwc);

	if (op->tile.out_rows) {
		g.row0 = op->tile.in_row0;
		g.rows = op->tile.in_rows;
	}
	return g;
}

struct kerf_grid kerf_grid_out(const struct kerf_op *op, const struct kerf_tensor *t)
{
	struct kerf_grid g = grid_of(t, op->nhwc);

	if (op->tile.out_rows) {
		g.row0 = op->tile.out_row0;
		g.rows = op->tile.out_rows;
	}
	return g;
}

bool kerf_grid_next(const struct kerf_grid *g, int64_t pos[3])
{
	int i;

	for (i = g->n - 1; i >= 0; i--) {
		if (++pos[i] < g->size[i])
			return true;
		pos[i] = 0;
	}
	return false;
}

int64_t kerf_grid_offset(const struct kerf_grid *g, const int64_t pos[3])
{
	int64_t o = 0;
	int i;

	for (i = 0; i < g->n; i++)
		o += pos[i] * g->step[i];
	return o;
}

int64_t kerf_grid_count(const struct kerf_grid *g)
{
	int64_t n = 1;
	int i;

	for (i = 0; i < g->n; i++)
		n *= g->size[i];
	return n;
}

int kerf_whole_window(const struct kerf_op *op, const struct kerf_tensor *x,
		      const int64_t *kernel_from_weights, struct kerf_window *w,
		      struct kerf_err *err)
{
	struct kerf_op whole = *op;
	struct kerf_tensor t = *x;

	if (op->tile.out_rows && t.rank > 2) {
		t.dims[1] = op->tile.in_rows;
		memset(&whole.tile, 0, sizeof(whole.tile));
	}
	return kerf_op_window(&whole, &t, kernel_from_weights, w, err);
}

/* Pads of one axis of ConvTranspose so that it makes want elements of natural ones. */
static void split_total(int64_t natural, int64_t want, bool upper, int64_t *b, int64_t *e)
{
	int64_t total = KERF_MAX(natural - want, 0);

	*b = upper ? total / 2 : total - total / 2;
	*e = total - *b;
}

int kerf_transposed_window(const struct kerf_op *op, const struct kerf_tensor *x,
			   const int64_t *kernel_from_weights, struct kerf_window *w,
			   int64_t out[3], struct kerf_err *err)
{
	const char *auto_pad = kerf_op_string(op, "auto_pad", "NOTSET");
	const int64_t *extra, *shape;
	uint32_t n_extra, n_shape, n;
	bool same = !strncmp(auto_pad, "SAME_", 5), upper = !strcmp(auto_pad, "SAME_UPPER");
	int i, r;

	r = kerf_whole_window(op, x, kernel_from_weights, w, err);
	if (r)
		return r;
	n = (uint32_t)w->n_spatial;
	extra = kerf_op_ints(op, "output_padding", &n_extra);
	shape = kerf_op_ints(op, "output_shape", &n_shape);
	if ((n_extra && n_extra != n) || (n_shape && n_shape != n && n_shape != n + 2))
		return kerf_fail(err, -EINVAL,
				 "output_padding and output_shape have %u and %u elements for %u "
				 "spatial axes",
				 n_extra, n_shape, n);
	if (n_shape == n + 2)
		shape += 2;
	for (i = 0; i < w->n_spatial; i++) {
		bool row = i == 0 && op->nhwc && op->tile.out_rows;
		int64_t in = row ? op->tile.in_rows : x->dims[i + (op->nhwc ? 1 : 2)];
		int64_t add = n_extra ? extra[i] : 0, natural;

		if (add < 0 || add > 1 << 24 || (n_shape && (shape[i] < 1 || shape[i] > 1 << 30)))
			return kerf_fail(err, -EINVAL,
					 "output_padding[%d] or output_shape[%d] out of range", i,
					 i);
		if (!kerf_mul(w->stride[i], KERF_MAX(in - 1, 0), &natural) ||
		    natural > (int64_t)1 << 40)
			return kerf_fail(err, -EINVAL, "the output of axis %d is too large", i);
		natural += add + (w->kernel[i] - 1) * w->dilation[i] + 1;
		if (n_shape || same) {
			out[i] = n_shape ? shape[i] : in * w->stride[i];
			split_total(natural, out[i], upper, &w->pad_begin[i], &w->pad_end[i]);
		} else {
			out[i] = natural - w->pad_begin[i] - w->pad_end[i];
		}
		if (out[i] < 0)
			return kerf_fail(err, -EINVAL, "pads leave axis %d with %lld elements", i,
					 (long long)out[i]);
	}
	return 0;
}

int kerf_taps_init(struct kerf_taps *t, const struct kerf_window *w, const struct kerf_grid *x)
{
	int64_t n = 1;
	int i;

	for (i = 0; i < w->n_spatial; i++)
		n *= KERF_MAX(KERF_MIN(w->kernel[i], x->size[i]), 1);
	memset(t, 0, sizeof(*t));
	t->x = malloc((size_t)n * 2 * sizeof(*t->x));
	if (!t->x)
		return -ENOMEM;
	t->k = t->x + n;
	return 0;
}

void kerf_taps_finish(struct kerf_taps *t)
{
	free(t->x);
}

/* One axis: taps k = lo, lo + by, ... of n meet held elements at + (k - lo) / by * move. */
struct axis {
	int64_t lo, n, by, at, move;
};

static int64_t floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

static int64_t ceil_div(int64_t a, int64_t b)
{
	return -floor_div(-a, b);
}

static void list_taps(struct kerf_taps *t, const struct kerf_window *w, const struct kerf_grid *x,
		      const struct axis *a)
{
	int64_t i[3] = {0, 0, 0}, k, off;
	int d, n = w->n_spatial;

	t->n = 0;
	for (d = 0; d < n; d++)
		if (a[d].n <= 0)
			return;
	for (;;) {
		for (k = off = 0, d = 0; d < n; d++) {
			k = k * w->kernel[d] + a[d].lo + i[d] * a[d].by;
			off += (a[d].at + i[d] * a[d].move) * x->step[d];
		}
		t->k[t->n] = k;
		t->x[t->n++] = off;
		for (d = n - 1; d >= 0; d--) {
			if (++i[d] < a[d].n)
				break;
			i[d] = 0;
		}
		if (d < 0)
			return;
	}
}

void kerf_taps_at(struct kerf_taps *t, const struct kerf_window *w, const struct kerf_grid *x,
		  const struct kerf_grid *y, const int64_t pos[3])
{
	struct axis a[3];
	int d;

	t->padded = 1;
	for (d = 0; d < w->n_spatial; d++) {
		int64_t held0 = d ? 0 : x->row0, whole = d ? x->size[d] : x->rows;
		int64_t start = (pos[d] + (d ? 0 : y->row0)) * w->stride[d] - w->pad_begin[d];
		int64_t dil = w->dilation[d];
		int64_t hi = floor_div(held0 + x->size[d] - 1 - start, dil);

		a[d].lo = KERF_MAX(ceil_div(held0 - start, dil), 0);
		a[d].n = KERF_MIN(hi, w->kernel[d] - 1) - a[d].lo + 1;
		a[d].by = 1;
		a[d].at = start + a[d].lo * dil - held0;
		a[d].move = dil;
		hi = floor_div(whole + w->pad_end[d] - 1 - start, dil);
		t->padded *= KERF_MAX(KERF_MIN(hi, w->kernel[d] - 1) + 1, 0);
	}
	list_taps(t, w, x, a);
}

void kerf_taps_transposed_at(struct kerf_taps *t, const struct kerf_window *w,
			     const struct kerf_grid *x, const struct kerf_grid *y,
			     const int64_t pos[3])
{
	struct axis a[3];
	int d;

	for (d = 0; d < w->n_spatial; d++) {
		int64_t held0 = d ? 0 : x->row0, s = w->stride[d], dil = w->dilation[d];
		int64_t at = pos[d] + (d ? 0 : y->row0) + w->pad_begin[d], k;
		int64_t lo = KERF_MAX(ceil_div(at - (held0 + x->size[d] - 1) * s, dil), 0);

		/* Input i meets tap k where i * stride + k * dilation == at. */
		for (k = lo; k < w->kernel[d] && k < lo + s && (at - k * dil) % s; k++)
			;
		a[d].n = 0;
		if (k == w->kernel[d] || k == lo + s)
			continue;
		a[d].lo = k;
		a[d].at = floor_div(at - k * dil, s) - held0;
		for (a[d].by = 1; a[d].by < w->kernel[d] && a[d].by * dil % s; a[d].by++)
			;
		a[d].move = -(a[d].by * dil / s);
		k = KERF_MIN(floor_div(at - held0 * s, dil), w->kernel[d] - 1);
		if (k >= a[d].lo)
			a[d].n = (k - a[d].lo) / a[d].by + 1;
	}
	list_taps(t, w, x, a);
}

struct kerf_rows kerf_rows_clamp(int64_t first, int64_t last, int64_t n)
{
	struct kerf_rows r;

	r.begin = KERF_MAX(KERF_MIN(first, n - 1), 0);
	r.end = KERF_MIN(KERF_MAX(last + 1, r.begin + 1), n);
	return r;
}

struct kerf_rows kerf_rows_all(const struct kerf_tensor *t)
{
	return (struct kerf_rows){0, t->rank > 1 ? t->dims[1] : 0};
}

int kerf_window_rows(const struct kerf_op *op, const struct kerf_tensor *in,
		     const int64_t *kernel_from_weights, int i, struct kerf_rows want,
		     struct kerf_rows *need)
{
	struct kerf_window w;
	int r;

	if (!op->nhwc)
		return -EOPNOTSUPP;
	if (i != 0) {
		*need = kerf_rows_all(&in[i]);
		return 0;
	}
	r = kerf_op_window(op, &in[0], kernel_from_weights, &w, NULL);
	if (r)
		return r;
	*need = kerf_rows_clamp(want.begin * w.stride[0] - w.pad_begin[0],
				(want.end - 1) * w.stride[0] - w.pad_begin[0] +
					(w.kernel[0] - 1) * w.dilation[0],
				in[0].dims[1]);
	return 0;
}

int kerf_same_rows(const struct kerf_op *op, const struct kerf_tensor *in,
		   const struct kerf_tensor *out, int i, struct kerf_rows want,
		   struct kerf_rows *need)
{
	if (!op->nhwc)
		return -EOPNOTSUPP;
	*need = i == 0 ? want : kerf_rows_all(&in[i]);
	return 0;
}

const float *kerf_f32_of(const struct kerf_tensor *t, float **owned)
{
	int64_t i, n = kerf_tensor_count(t);

	*owned = NULL;
	if (t->dtype == KERF_F32)
		return t->data;
	*owned = malloc((size_t)KERF_MAX(n, 1) * sizeof(float));
	if (!*owned)
		return NULL;
	for (i = 0; i < n; i++)
		(*owned)[i] = (float)kerf_tensor_float(t, i);
	return *owned;
}

void kerf_f32_put(struct kerf_tensor *t, int64_t i, float v)
{
	switch (t->dtype) {
	case KERF_F32: ((float *)t->data)[i] = v; break;
	case KERF_F16: ((uint16_t *)t->data)[i] = kerf_f32_to_f16(v); break;
	case KERF_BF16: ((uint16_t *)t->data)[i] = kerf_f32_to_bf16(v); break;
	case KERF_F64: ((double *)t->data)[i] = v; break;
	default: break;
	}
}

void kerf_int_put(struct kerf_tensor *t, int64_t i, uint64_t v)
{
	switch (kerf_dtype_size(t->dtype)) {
	case 1: ((uint8_t *)t->data)[i] = (uint8_t)v; break;
	case 2: ((uint16_t *)t->data)[i] = (uint16_t)v; break;
	case 4: ((uint32_t *)t->data)[i] = (uint32_t)v; break;
	default: ((uint64_t *)t->data)[i] = v;
	}
}

int kerf_want_f32_like(const struct kerf_tensor *t, int k, struct kerf_err *err)
{
	if (kerf_is_f32_like(t->dtype))
		return 0;
	return kerf_fail(err, t->dtype == KERF_F64 ? -EOPNOTSUPP : -EINVAL,
			 "input %d is %s, expected float32, float16 or bfloat16", k,
			 kerf_dtype_name(t->dtype));
}
