/* SPDX-License-Identifier: MIT */
/* Convolution and matrix products on float32: the heavy kernels of cpu_kernels.h. */
#include "exec/cpu_op.h"
#include "graph/op_util.h"
#include "graph/spatial.h"

#include <string.h>

/* --- Conv: X, W, [B], [S: a factor per output channel], [R: residual] ------------- */

static void free_conv(void *p)
{
	kerf_cpu_conv_free(p);
}

static int run_conv(const struct kerf_cpu_step *s, struct kerf_pool *pool)
{
	const float *residual = s->op->n_in > 4 ? s->in[4].data : NULL;

	kerf_cpu_conv_run(s->arg, pool, s->in[0].data, residual, s->out[0].data, s->scratch);
	return 0;
}

static int conv_desc(const struct kerf_cpu_step *s, struct kerf_cpu_conv_desc *d,
		     struct kerf_err *err)
{
	const struct kerf_tensor *x = &s->in[0], *w = &s->in[1], *y = &s->out[0];
	struct kerf_window win;
	int r = kerf_op_window(s->op, x, w->dims + 2, &win, err), at = win.n_spatial - 1;

	if (r)
		return r;
	*d = (struct kerf_cpu_conv_desc){
		.n = x->dims[0],
		.h = 1,
		.c = x->dims[x->rank - 1],
		.oh = 1,
		.oc = w->dims[0],
		.kh = 1,
		.stride_h = 1,
		.dilation_h = 1,
		.groups = kerf_op_int(s->op, "group", 1),
		.act = s->op->act,
	};
	if (win.n_spatial == 2) {
		d->h = x->dims[1];
		d->oh = y->dims[1];
		d->kh = win.kernel[0];
		d->stride_h = win.stride[0];
		d->dilation_h = win.dilation[0];
		d->pad_h = win.pad_begin[0];
	}
	d->w = x->dims[at + 1];
	d->ow = y->dims[at + 1];
	d->kw = win.kernel[at];
	d->stride_w = win.stride[at];
	d->dilation_w = win.dilation[at];
	d->pad_w = win.pad_begin[at];
	return 0;
}

/* An optional constant vector: false if it is there but not known. */
static bool known_vector(const struct kerf_cpu_step *s, int k, const float **p)
{
	const struct kerf_tensor *t = kerf_op_opt(s->op, s->in, k);

	*p = t ? t->data : NULL;
	return !t || (t->data && t->dtype == KERF_F32);
}

static int choose_conv(struct kerf_cpu_build *b, struct kerf_cpu_step *s)
{
	const struct kerf_tensor *w = &s->in[1];
	const float *bias, *scale;
	struct kerf_cpu_conv_desc d;
	struct kerf_cpu_conv *conv;
	int r;

	if (!s->op->nhwc || s->in[0].dtype != KERF_F32 || w->dtype != KERF_F32 || !w->data ||
	    w->rank < 3 || w->rank > 4 || !known_vector(s, 2, &bias) || !known_vector(s, 3, &scale))
		return -EOPNOTSUPP;
	r = conv_desc(s, &d, b->err);
	if (!r)
		r = kerf_cpu_conv_prepare(s->isa->heavy, &d, w->data, bias, scale, b->pool, &conv);
	if (r)
		return r;
	r = kerf_cpu_own(b, conv, free_conv, kerf_cpu_conv_weight_bytes(conv));
	if (r)
		return r;
	kerf_cpu_forget(b, w->data, kerf_tensor_bytes(w));
	s->scratch_bytes = kerf_cpu_conv_scratch(conv, b->threads);
	s->run = run_conv;
	s->arg = conv;
	return 0;
}

/* --- ConvTranspose: X, W, [B] ------------------------------------------------------ */

static void free_deconv(void *p)
{
	kerf_cpu_deconv_free(p);
}

static int run_deconv(const struct kerf_cpu_step *s, struct kerf_pool *pool)
{
	kerf_cpu_deconv_run(s->arg, pool, s->in[0].data, s->out[0].data, s->scratch);
	return 0;
}

static int deconv_desc(const struct kerf_cpu_step *s, struct kerf_cpu_conv_desc *d,
		       struct kerf_err *err)
{
	const struct kerf_tensor *x = &s->in[0], *w = &s->in[1], *y = &s->out[0];
	const struct kerf_op_tile *tile = &s->op->tile;
	struct kerf_window win;
	int64_t whole[3];
	int r = kerf_transposed_window(s->op, x, w->dims + 2, &win, whole, err), at, rows;

	if (r)
		return r;
	at = win.n_spatial - 1;
	rows = win.n_spatial == 2;
	/* the window is the whole operator's: move it to the rows held and wanted */
	if (tile->out_rows)
		win.pad_begin[0] += tile->out_row0 - win.stride[0] * tile->in_row0;
	*d = (struct kerf_cpu_conv_desc){
		.n = x->dims[0],
		.h = rows ? x->dims[1] : 1,
		.w = x->dims[at + 1],
		.c = x->dims[x->rank - 1],
		.oh = rows ? y->dims[1] : 1,
		.ow = y->dims[at + 1],
		.oc = y->dims[y->rank - 1],
		.kh = rows ? win.kernel[0] : 1,
		.kw = win.kernel[at],
		.stride_h = rows ? win.stride[0] : 1,
		.stride_w = win.stride[at],
		.dilation_h = rows ? win.dilation[0] : 1,
		.dilation_w = win.dilation[at],
		.pad_h = rows ? win.pad_begin[0] : 0,
		.pad_w = win.pad_begin[at],
		.groups = kerf_op_int(s->op, "group", 1),
		.act = s->op->act,
	};
	return 0;
}

static int choose_deconv(struct kerf_cpu_build *b, struct kerf_cpu_step *s)
{
	const struct kerf_tensor *w = &s->in[1];
	struct kerf_cpu_deconv *deconv;
	struct kerf_cpu_conv_desc d;
	const float *bias;
	int r;

	if (!s->op->nhwc || s->in[0].dtype != KERF_F32 || !w->data || w->rank < 3 || w->rank > 4 ||
	    !known_vector(s, 2, &bias) || !kerf_tensor_count(&s->out[0]))
		return -EOPNOTSUPP;
	r = deconv_desc(s, &d, b->err);
	if (!r)
		r = kerf_cpu_deconv_prepare(s->isa->heavy, &d, w->data, bias, b->pool, &deconv);
	if (r)
		return r;
	r = kerf_cpu_own(b, deconv, free_deconv, kerf_cpu_deconv_weight_bytes(deconv));
	if (r)
		return r;
	kerf_cpu_forget(b, w->data, kerf_tensor_bytes(w));
	s->scratch_bytes = kerf_cpu_deconv_scratch(deconv, b->threads);
	s->run = run_deconv;
	s->arg = deconv;
	return 0;
}

/* --- Gemm, MatMul ------------------------------------------------------------------ */

struct gemm_arg {
	struct kerf_cpu_gemm *gemm;
	bool packed;  /* B was constant */
	int residual; /* input that is added, or -1 */
	int64_t residual_row;
};

static void free_gemm(void *p)
{
	kerf_cpu_gemm_free(p);
}

static int run_gemm(const struct kerf_cpu_step *s, struct kerf_pool *pool)
{
	const struct gemm_arg *a = s->arg;

	kerf_cpu_gemm_run(a->gemm, pool, s->in[0].data, a->packed ? NULL : s->in[1].data,
			  a->residual < 0 ? NULL : s->in[a->residual].data, a->residual_row,
			  s->out[0].data, s->scratch);
	return 0;
}

static void drop_weights(void *build, const void *p, size_t bytes)
{
	kerf_cpu_forget(build, p, bytes);
}

static int make_gemm(struct kerf_cpu_build *b, struct kerf_cpu_step *s, struct gemm_arg *a,
		     struct kerf_cpu_gemm_desc *d, const float *bias)
{
	int r;

	d->drop = drop_weights;
	d->drop_arg = b;
	r = kerf_cpu_gemm_prepare(s->isa->heavy, d, s->in[1].data, bias, b->pool, &a->gemm);

	if (r)
		return r;
	r = kerf_cpu_own(b, a->gemm, free_gemm, kerf_cpu_gemm_weight_bytes(a->gemm));
	if (r)
		return r;
	a->packed = s->in[1].data != NULL;
	kerf_cpu_forget(b, s->in[1].data, kerf_tensor_bytes(&s->in[1]));
	s->scratch_bytes = kerf_cpu_gemm_scratch(a->gemm, b->threads);
	s->run = run_gemm;
	s->arg = kerf_arena_dup(b->mem, a, sizeof(*a));
	return s->arg ? 0 : -ENOMEM;
}

/* The last axis of c runs along y's, all others are 1. */
static bool is_row(const struct kerf_tensor *c, int64_t n)
{
	return c->rank >= 1 && c->dims[c->rank - 1] == n && kerf_tensor_count(c) == n;
}

static int choose_gemm(struct kerf_cpu_build *b, struct kerf_cpu_step *s)
{
	const struct kerf_tensor *x = &s->in[0], *w = &s->in[1], *c = kerf_op_opt(s->op, s->in, 2);
	struct gemm_arg a = {.residual = -1};
	struct kerf_cpu_gemm_desc d = {
		.trans_a = kerf_op_int(s->op, "transA", 0),
		.trans_b = kerf_op_int(s->op, "transB", 0),
		.alpha = kerf_op_float(s->op, "alpha", 1),
		.act = s->op->act,
	};
	const float *bias = NULL;

	if (x->dtype != KERF_F32 || w->dtype != KERF_F32 || (c && c->dtype != KERF_F32) ||
	    (c && kerf_op_float(s->op, "beta", 1) != 1))
		return -EOPNOTSUPP;
	d.n = s->out[0].dims[s->out[0].rank - 1];
	d.m = kerf_tensor_count(&s->out[0]) / d.n;
	d.k = w->dims[d.trans_b ? 1 : 0];
	if (c && is_row(c, d.n) && c->data) {
		bias = c->data;
	} else if (c && (is_row(c, d.n) || kerf_tensor_count(c) == d.m * d.n)) {
		a.residual = 2;
		a.residual_row = is_row(c, d.n) ? 0 : d.n;
	} else if (c) {
		return -EOPNOTSUPP;
	}
	return make_gemm(b, s, &a, &d, bias);
}

/* Elements from one product's operand to the next, along each leading axis of y. */
static void batch_steps(const struct kerf_tensor *t, int lead, int64_t *step)
{
	int64_t at = 1;
	int i;

	for (i = 1; i <= 2 && i <= t->rank; i++)
		at *= t->dims[t->rank - i];
	for (i = lead - 1; i >= 0; i--) {
		int d = t->rank - 2 - (lead - i);
		int64_t n = d >= 0 ? t->dims[d] : 1;

		step[i] = n == 1 ? 0 : at;
		at *= n;
	}
}

static int choose_matmul(struct kerf_cpu_build *b, struct kerf_cpu_step *s)
{
	const struct kerf_tensor *x = &s->in[0], *w = &s->in[1], *y = &s->out[0];
	int lead = KERF_MAX(KERF_MAX(x->rank, w->rank) - 2, 0), i;
	struct gemm_arg a = {.residual = -1};
	struct kerf_cpu_gemm_desc d = {.alpha = 1, .act = s->op->act};

	if (x->dtype != KERF_F32 || w->dtype != KERF_F32 || lead > KERF_CPU_MAX_BATCH_RANK)
		return -EOPNOTSUPP;
	d.m = x->rank > 1 ? x->dims[x->rank - 2] : 1;
	d.k = x->dims[x->rank - 1];
	d.n = w->rank > 1 ? w->dims[w->rank - 1] : 1;
	if (w->rank <= 2 && x->rank > 1) {
		/* One B for all: the rows of every A stand one after another. */
		d.m = kerf_tensor_count(x) / d.k;
	} else {
		d.batch_rank = lead;
		for (i = 0; i < lead; i++)
			d.batch[i] = y->dims[i];
		batch_steps(x, lead, d.a_step);
		batch_steps(w, lead, d.b_step);
	}
	return make_gemm(b, s, &a, &d, NULL);
}

int kerf_cpu_linear(struct kerf_cpu_build *b, struct kerf_cpu_step *s)
{
	static const struct kerf_cpu_entry table[] = {
		{"Conv", choose_conv}, {"ConvTranspose", choose_deconv},
		{"Gemm", choose_gemm}, {"MatMul", choose_matmul},
		{NULL, NULL},
	};

	return kerf_cpu_by_name(table, b, s);
}
