/* SPDX-License-Identifier: MIT */
/*
 * MatMul, Gemm, MatMulInteger. One chain per output element over ascending k:
 * acc = fma(a, b, acc) from zero; faster kernels keep this order.
 */
#include "graph/op_conv.h"
#include "graph/op_matmul.h"
#include "graph/spatial.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool is_matmul_dtype(enum kerf_dtype t)
{
	return kerf_is_f32_like(t) || t == KERF_F64 || t == KERF_I32 || t == KERF_U32 ||
	       t == KERF_I64 || t == KERF_U64;
}

/* One matrix product; steps in elements. */
struct product {
	int64_t m, n, k;
	int64_t a_m, a_k, b_k, b_n; /* steps; the result is dense m x n */
};

/* Elements in the type they are computed in: float, double, or uint64 (wrapping). */
static void *widened(const struct kerf_tensor *t)
{
	int64_t i, n = kerf_tensor_count(t);
	bool wide = !kerf_is_f32_like(t->dtype);
	void *v = malloc((size_t)KERF_MAX(n, 1) * (wide ? 8 : 4));

	if (!v)
		return NULL;
	for (i = 0; i < n; i++) {
		if (!wide)
			((float *)v)[i] = (float)kerf_tensor_float(t, i);
		else if (t->dtype == KERF_F64)
			((double *)v)[i] = kerf_tensor_float(t, i);
		else
			((uint64_t *)v)[i] = (uint64_t)kerf_tensor_int(t, i);
	}
	return v;
}

static void product_run(const struct product *p, const void *a, const void *b,
			struct kerf_tensor *y, int64_t y0)
{
	bool f32 = kerf_is_f32_like(y->dtype), f64 = y->dtype == KERF_F64;
	int64_t i, j, k;

	for (i = 0; i < p->m; i++)
		for (j = 0; j < p->n; j++) {
			int64_t ia = i * p->a_m, ib = j * p->b_n, o = y0 + i * p->n + j;
			float facc = 0;
			double dacc = 0;
			uint64_t iacc = 0;

			for (k = 0; f32 && k < p->k; k++)
				facc = fmaf(((const float *)a)[ia + k * p->a_k],
					    ((const float *)b)[ib + k * p->b_k], facc);
			for (k = 0; f64 && k < p->k; k++)
				dacc = fma(((const double *)a)[ia + k * p->a_k],
					   ((const double *)b)[ib + k * p->b_k], dacc);
			for (k = 0; !f32 && !f64 && k < p->k; k++)
				iacc += ((const uint64_t *)a)[ia + k * p->a_k] *
					((const uint64_t *)b)[ib + k * p->b_k];
			if (f32)
				kerf_f32_put(y, o, facc);
			else if (f64)
				((double *)y->data)[o] = dacc;
			else
				kerf_int_put(y, o, iacc);
		}
}

/* --- MatMul: NumPy's rules for ranks and broadcasting --- */

int kerf_matmul_infer_shape(const struct kerf_tensor *a, const struct kerf_tensor *b,
			    struct kerf_tensor *y, struct kerf_err *err)
{
	struct kerf_tensor ba = *a, bb = *b;
	int64_t ka, kb;
	char ta[KERF_SHAPE_TEXT], tb[KERF_SHAPE_TEXT];

	if (a->rank < 1 || b->rank < 1)
		return kerf_fail(err, -EINVAL, "a scalar cannot be multiplied as a matrix");
	ka = a->dims[a->rank - 1];
	kb = b->dims[KERF_MAX(b->rank - 2, 0)];
	ba.rank = KERF_MAX(a->rank - 2, 0);
	bb.rank = KERF_MAX(b->rank - 2, 0);
	if (ka != kb || kerf_broadcast(&ba, &bb, y))
		return kerf_fail(err, -EINVAL, "%s and %s cannot be multiplied",
				 kerf_tensor_text(a, ta), kerf_tensor_text(b, tb));
	if (a->rank > 1)
		y->dims[y->rank++] = a->dims[a->rank - 2];
	if (b->rank > 1)
		y->dims[y->rank++] = b->dims[b->rank - 1];
	return 0;
}

static int matmul_infer(const struct kerf_op *op, const struct kerf_tensor *in,
			struct kerf_tensor *out, struct kerf_err *err)
{
	if (in[0].dtype != in[1].dtype || !is_matmul_dtype(in[0].dtype))
		return kerf_fail(err, -EINVAL,
				 "inputs are %s and %s, expected the same float, int32 or int64",
				 kerf_dtype_name(in[0].dtype), kerf_dtype_name(in[1].dtype));
	out[0].dtype = in[0].dtype;
	return kerf_matmul_infer_shape(&in[0], &in[1], &out[0], err);
}

/* Where the matrix of one operand stands for batch index `batch` of y's leading n dims. */
static int64_t batch_offset(const struct kerf_tensor *t, const struct kerf_tensor *y, int n,
			    int64_t batch)
{
	int lead = KERF_MAX(t->rank - 2, 0), i;
	int64_t off = 0, step = 1;

	for (i = 0; i < 2 && i < t->rank; i++)
		step *= t->dims[t->rank - 1 - i];
	for (i = 0; i < n; i++) {
		int64_t at = batch % y->dims[n - 1 - i];

		batch /= y->dims[n - 1 - i];
		if (i >= lead)
			continue;
		if (t->dims[lead - 1 - i] != 1)
			off += at * step;
		step *= t->dims[lead - 1 - i];
	}
	return off;
}

/* Calls run for every matrix product of a MatMul with the offsets of its operands. */
static void
each_product(const struct kerf_tensor *a, const struct kerf_tensor *b, const struct kerf_tensor *y,
	     void (*run)(void *ctx, const struct product *p, int64_t a0, int64_t b0, int64_t y0),
	     void *ctx)
{
	struct product p = {.m = 1, .n = 1, .k = a->dims[a->rank - 1]};
	int lead = KERF_MAX(KERF_MAX(a->rank, b->rank) - 2, 0), i;
	int64_t batches = 1, at;

	if (a->rank > 1)
		p.m = a->dims[a->rank - 2];
	if (b->rank > 1)
		p.n = b->dims[b->rank - 1];
	p.a_m = p.k;
	p.a_k = 1;
	p.b_k = b->rank > 1 ? p.n : 1;
	p.b_n = 1;
	for (i = 0; i < lead; i++)
		batches *= y->dims[i];
	for (at = 0; at < batches; at++)
		run(ctx, &p, batch_offset(a, y, lead, at), batch_offset(b, y, lead, at),
		    at * p.m * p.n);
}

struct matmul_ctx {
	const char *a, *b;
	size_t size;
	struct kerf_tensor *y;
};

static void matmul_product(void *ctx, const struct product *p, int64_t a0, int64_t b0, int64_t y0)
{
	struct matmul_ctx *c = ctx;

	product_run(p, c->a + (size_t)a0 * c->size, c->b + (size_t)b0 * c->size, c->y, y0);
}

static int matmul_eval(const struct kerf_op *op, const struct kerf_tensor *in,
		       struct kerf_tensor *out)
{
	struct matmul_ctx c = {.size = kerf_is_f32_like(in[0].dtype) ? 4 : 8, .y = &out[0]};
	void *a = widened(&in[0]), *b = widened(&in[1]);

	c.a = a;
	c.b = b;
	if (a && b)
		each_product(&in[0], &in[1], &out[0], matmul_product, &c);
	free(a);
	free(b);
	return a && b ? 0 : -ENOMEM;
}

static int64_t matmul_flops(const struct kerf_op *op, const struct kerf_tensor *in,
			    const struct kerf_tensor *out)
{
	return kerf_flops_of(kerf_tensor_count(&out[0]), in[0].dims[in[0].rank - 1]);
}

/* --- MatMulInteger --- */

struct integer_ctx {
	const struct kerf_matmul_integer *m;
	int32_t *acc;
};

static void integer_product(void *ctx, const struct product *p, int64_t a0, int64_t b0, int64_t y0)
{
	struct integer_ctx *c = ctx;
	const struct kerf_matmul_integer *m = c->m;
	int64_t i, j, k;

	for (i = 0; i < p->m; i++)
		for (j = 0; j < p->n; j++) {
			int64_t az = kerf_zero_point(m->a_zero, i),
				bz = kerf_zero_point(m->b_zero, j);
			uint32_t sum = 0;

			for (k = 0; k < p->k; k++)
				sum += (uint32_t)((kerf_tensor_int(m->a, a0 + i * p->a_m + k) -
						   az) *
						  (kerf_tensor_int(m->b, b0 + k * p->b_k + j) -
						   bz));
			c->acc[y0 + i * p->n + j] = (int32_t)sum;
		}
}

void kerf_matmul_integer(const struct kerf_matmul_integer *m, const struct kerf_tensor *y,
			 int32_t *acc)
{
	struct integer_ctx c = {m, acc};

	each_product(m->a, m->b, y, integer_product, &c);
}

int kerf_check_zero(const struct kerf_tensor *z, const struct kerf_tensor *of, const char *name,
		    int64_t n, struct kerf_err *err)
{
	if (!z)
		return 0;
	if (z->dtype != of->dtype ||
	    (kerf_tensor_count(z) != 1 && (z->rank != 1 || z->dims[0] != n)))
		return kerf_fail(err, -EINVAL, "%s is not one %s, nor a vector of %lld", name,
				 kerf_dtype_name(of->dtype), (long long)n);
	return 0;
}

static int integer_infer(const struct kerf_op *op, const struct kerf_tensor *in,
			 struct kerf_tensor *out, struct kerf_err *err)
{
	int k, r;

	for (k = 0; k < 2; k++)
		if (in[k].dtype != KERF_U8 && in[k].dtype != KERF_I8)
			return kerf_fail(err, -EINVAL, "input %d is %s, expected int8 or uint8", k,
					 kerf_dtype_name(in[k].dtype));
	r = kerf_matmul_infer_shape(&in[0], &in[1], &out[0], err);
	if (!r)
		r = kerf_check_zero(kerf_op_opt(op, in, 2), &in[0], "a_zero_point",
				    in[0].rank > 1 ? in[0].dims[in[0].rank - 2] : 1, err);
	if (!r)
		r = kerf_check_zero(kerf_op_opt(op, in, 3), &in[1], "b_zero_point",
				    in[1].rank > 1 ? in[1].dims[in[1].rank - 1] : 1, err);
	out[0].dtype = KERF_I32;
	return r;
}

static int integer_eval(const struct kerf_op *op, const struct kerf_tensor *in,
			struct kerf_tensor *out)
{
	struct kerf_matmul_integer m = {&in[0], &in[1], kerf_op_opt(op, in, 2),
					kerf_op_opt(op, in, 3)};

	kerf_matmul_integer(&m, &out[0], out[0].data);
	return 0;
}

/*
 * --- Gemm: y = alpha * A' * B' + beta * C ---
 *
 * Rewrites also make a form that ONNX has not: an A of rank above 2 (not
 * transposed) is its rows one after another, and y keeps its leading dims.
 */

struct gemm_form {
	struct product p;
	bool ta, tb;
};

static int gemm_form(const struct kerf_op *op, const struct kerf_tensor *in, struct gemm_form *f,
		     struct kerf_err *err)
{
	const struct kerf_tensor *a = &in[0], *b = &in[1];
	int64_t rows = 1, last, kb;
	int i;

	f->ta = kerf_op_int(op, "transA", 0) != 0;
	f->tb = kerf_op_int(op, "transB", 0) != 0;
	if (a->rank < 2 || b->rank != 2 || (f->ta && a->rank != 2))
		return kerf_fail(err, -EINVAL, "inputs have ranks %d and %d, expected 2 and 2",
				 a->rank, b->rank);
	for (i = 0; i < a->rank - 1; i++)
		rows *= a->dims[i];
	last = a->dims[a->rank - 1];
	f->p.m = f->ta ? last : rows;
	f->p.k = f->ta ? rows : last;
	f->p.a_m = f->ta ? 1 : last;
	f->p.a_k = f->ta ? last : 1;
	f->p.n = b->dims[f->tb ? 0 : 1];
	kb = b->dims[f->tb ? 1 : 0];
	f->p.b_k = f->tb ? 1 : f->p.n;
	f->p.b_n = f->tb ? kb : 1;
	if (kb != f->p.k)
		return kerf_fail(err, -EINVAL, "A' has %lld columns, B' has %lld rows",
				 (long long)f->p.k, (long long)kb);
	return 0;
}

static int gemm_infer(const struct kerf_op *op, const struct kerf_tensor *in,
		      struct kerf_tensor *out, struct kerf_err *err)
{
	const struct kerf_tensor *c = kerf_op_opt(op, in, 2);
	struct kerf_tensor b;
	struct gemm_form f;
	int r;

	if (!is_matmul_dtype(in[0].dtype) || in[1].dtype != in[0].dtype ||
	    (c && c->dtype != in[0].dtype))
		return kerf_fail(err, -EINVAL,
				 "inputs are %s and %s, expected the same float, int32 or int64",
				 kerf_dtype_name(in[0].dtype), kerf_dtype_name(in[1].dtype));
	if (!kerf_is_f32_like(in[0].dtype) && in[0].dtype != KERF_F64 &&
	    (fmodf(kerf_op_float(op, "alpha", 1), 1) || fmodf(kerf_op_float(op, "beta", 1), 1)))
		return kerf_fail(err, -EOPNOTSUPP, "a fractional alpha or beta on integers");
	r = gemm_form(op, in, &f, err);
	if (r)
		return r;
	out[0].dtype = in[0].dtype;
	out[0].rank = in[0].rank;
	memcpy(out[0].dims, in[0].dims, sizeof(out[0].dims));
	out[0].dims[in[0].rank - 1] = f.p.n;
	if (in[0].rank == 2)
		out[0].dims[0] = f.p.m;
	if (c && (kerf_broadcast(c, &out[0], &b) || !kerf_tensor_same_shape(&b, &out[0])))
		return kerf_fail(err, -EINVAL, "C cannot be broadcast to the output");
	return 0;
}

static int gemm_check_file(const struct kerf_graph *g, const struct kerf_op *op,
			   struct kerf_err *err)
{
	int32_t a = op->n_in ? op->in[0] : -1;

	if (a < 0 || g->value[a].t.rank == 2)
		return 0;
	return kerf_fail(err, -EINVAL, "input 0 has rank %d, expected 2", g->value[a].t.rank);
}

static void gemm_bias(struct kerf_tensor *y, const struct kerf_tensor *c, float alpha, float beta)
{
	int64_t i, n = kerf_tensor_count(y);

	for (i = 0; i < n; i++) {
		int64_t ic = c ? kerf_broadcast_index(c, y, i) : 0;

		if (kerf_is_f32_like(y->dtype)) {
			float v = alpha * (float)kerf_tensor_float(y, i);

			kerf_f32_put(y, i, c ? v + beta * (float)kerf_tensor_float(c, ic) : v);
		} else if (y->dtype == KERF_F64) {
			double v = (double)alpha * kerf_tensor_float(y, i);

			((double *)y->data)[i] =
				c ? v + (double)beta * kerf_tensor_float(c, ic) : v;
		} else {
			kerf_int_put(y, i,
				     (uint64_t)((int64_t)alpha * kerf_tensor_int(y, i)) +
					     (c ? (uint64_t)((int64_t)beta * kerf_tensor_int(c, ic))
						: 0));
		}
	}
}

static int gemm_eval(const struct kerf_op *op, const struct kerf_tensor *in,
		     struct kerf_tensor *out)
{
	float alpha = kerf_op_float(op, "alpha", 1), beta = kerf_op_float(op, "beta", 1);
	const struct kerf_tensor *c = kerf_op_opt(op, in, 2);
	struct kerf_tensor y = out[0];
	void *a, *b;
	struct gemm_form f;
	int r = gemm_form(op, in, &f, NULL);

	if (r)
		return r;
	a = widened(&in[0]);
	b = widened(&in[1]);
	/* Halves are rounded once, at the end. */
	if (kerf_is_half(y.dtype)) {
		y.dtype = KERF_F32;
		y.data = malloc((size_t)KERF_MAX(kerf_tensor_count(&y), 1) * sizeof(float));
	}
	r = a && b && y.data ? 0 : -ENOMEM;
	if (!r) {
		int64_t i, n = kerf_tensor_count(&y);

		product_run(&f.p, a, b, &y, 0);
		gemm_bias(&y, c, alpha, beta);
		for (i = 0; y.data != out[0].data && i < n; i++)
			kerf_f32_put(&out[0], i, ((float *)y.data)[i]);
	}
	if (y.data != out[0].data)
		free(y.data);
	free(a);
	free(b);
	return r;
}

static int64_t gemm_flops(const struct kerf_op *op, const struct kerf_tensor *in,
			  const struct kerf_tensor *out)
{
	struct gemm_form f;

	return gemm_form(op, in, &f, NULL) ? 0 : kerf_flops_of(f.p.m * f.p.n, f.p.k);
}

const struct kerf_op_def kerf_ops_matmul[] = {
	{
		.name = "MatMul",
		.since = 1,
		.min_in = 2,
		.max_in = 2,
		.min_out = 1,
		.max_out = 1,
		.infer = matmul_infer,
		.eval = matmul_eval,
		.flops = matmul_flops,
	},
	{
		.name = "MatMulInteger",
		.since = 10,
		.min_in = 2,
		.max_in = 4,
		.min_out = 1,
		.max_out = 1,
		.infer = integer_infer,
		.eval = integer_eval,
		.flops = matmul_flops,
	},
	{
		.name = "Gemm",
		.since = 1,
		.min_in = 2,
		.max_in = 3,
		.min_out = 1,
		.max_out = 1,
		.infer = gemm_infer,
		.check_file = gemm_check_file,
		.eval = gemm_eval,
		.flops = gemm_flops,
	},
	{
		.name = "Einsum",
		.since = 12,
		.min_in = 1,
		.max_in = -1,
		.min_out = 1,
		.max_out = 1,
		.infer = kerf_einsum_infer,
		.eval = kerf_einsum_eval,
		.flops = kerf_einsum_flops,
	},
	{.name = NULL},
};
