/* SPDX-License-Identifier: MIT */
#include "graph/op_util.h"

#include <math.h>
#include <string.h>

enum kerf_domain kerf_domain_of(enum kerf_dtype a, enum kerf_dtype b)
{
	uint32_t both = 1u << a | (b ? 1u << b : 0);

	if (!(both & KERF_T_FLOAT))
		return both & KERF_T(U64) ? KERF_DOM_U : KERF_DOM_I;
	if (both & KERF_T(F64) || both & ~KERF_T_FLOAT)
		return KERF_DOM_D;
	return KERF_DOM_F;
}

/*
 * What does not fit is undefined in ONNX and in C. Here NaN is 0, the whole range of
 * uint64 keeps its bits, and anything beyond 64 bits saturates.
 */
static int64_t to_i64(double v)
{
	if (v >= 0x1p63)
		return v < 0x1p64 ? (int64_t)(uint64_t)v : -1;
	if (v <= -0x1p63)
		return INT64_MIN;
	return v == v ? (int64_t)v : 0;
}

/* Double to float such that rounding the float once more gives what one rounding would. */
static float round_to_odd(double v)
{
	float f = (float)v;
	uint32_t u;

	if (f == v || v != v || isinf(f))
		return f;
	memcpy(&u, &f, 4);
	if (fabs((double)f) > fabs(v))
		u--;
	u |= 1;
	memcpy(&f, &u, 4);
	return f;
}

#define LOAD(DT, S, EXPR)                                                                         \
	case DT: {                                                                                \
		const S *s = (const S *)t->data + off;                                            \
		for (i = 0; i < n; i++) {                                                         \
			S e = s[i * step];                                                        \
			y[i] = EXPR;                                                              \
		}                                                                                 \
		break;                                                                            \
	}

#define LOAD_INTS                                                                                 \
	LOAD(KERF_BOOL, uint8_t, e != 0)                                                          \
	LOAD(KERF_U8, uint8_t, e)                                                                 \
	LOAD(KERF_I8, int8_t, e)                                                                  \
	LOAD(KERF_U16, uint16_t, e)                                                               \
	LOAD(KERF_I16, int16_t, e)                                                                \
	LOAD(KERF_U32, uint32_t, e)                                                               \
	LOAD(KERF_I32, int32_t, e)                                                                \
	LOAD(KERF_U64, uint64_t, e)                                                               \
	LOAD(KERF_I64, int64_t, e)

#define DEFINE_LOAD(NAME, T, FROM_F64)                                                            \
	static void NAME(T *y, const struct kerf_tensor *t, int64_t off, int64_t step, int n)     \
	{                                                                                         \
		int i;                                                                            \
                                                                                                  \
		switch (t->dtype) {                                                               \
			LOAD_INTS                                                                 \
			LOAD(KERF_F32, float, FROM_F64(e))                                        \
			LOAD(KERF_F64, double, FROM_F64(e))                                       \
			LOAD(KERF_F16, uint16_t, FROM_F64(kerf_f16_to_f32(e)))                    \
			LOAD(KERF_BF16, uint16_t, FROM_F64(kerf_bf16_to_f32(e)))                  \
		default: memset(y, 0, (size_t)n * sizeof(*y));                                    \
		}                                                                                 \
	}

DEFINE_LOAD(load_f, float, (float))
DEFINE_LOAD(load_d, double, (double))
DEFINE_LOAD(load_i, int64_t, to_i64)
DEFINE_LOAD(load_u, uint64_t, (uint64_t)to_i64)

#define STORE(DT, D, EXPR)                                                                        \
	case DT: {                                                                                \
		D *d = (D *)t->data + off;                                                        \
		for (i = 0; i < n; i++)                                                           \
			d[i * step] = (D)(EXPR);                                                  \
		break;                                                                            \
	}

#define DEFINE_STORE(NAME, T, TO_INT, TO_SHORT_FLOAT)                                             \
	static void NAME(const T *x, struct kerf_tensor *t, int64_t off, int64_t step, int n)     \
	{                                                                                         \
		int i;                                                                            \
                                                                                                  \
		switch (t->dtype) {                                                               \
			STORE(KERF_BOOL, uint8_t, x[i] != 0)                                      \
			STORE(KERF_U8, uint8_t, TO_INT(x[i]))                                     \
			STORE(KERF_I8, int8_t, TO_INT(x[i]))                                      \
			STORE(KERF_U16, uint16_t, TO_INT(x[i]))                                   \
			STORE(KERF_I16, int16_t, TO_INT(x[i]))                                    \
			STORE(KERF_U32, uint32_t, TO_INT(x[i]))                                   \
			STORE(KERF_I32, int32_t, TO_INT(x[i]))                                    \
			STORE(KERF_U64, uint64_t, TO_INT(x[i]))                                   \
			STORE(KERF_I64, int64_t, TO_INT(x[i]))                                    \
			STORE(KERF_F32, float, x[i])                                              \
			STORE(KERF_F64, double, x[i])                                             \
			STORE(KERF_F16, uint16_t, kerf_f32_to_f16(TO_SHORT_FLOAT(x[i])))          \
			STORE(KERF_BF16, uint16_t, kerf_f32_to_bf16(TO_SHORT_FLOAT(x[i])))        \
		default: break;                                                                   \
		}                                                                                 \
	}

DEFINE_STORE(store_f, float, to_i64, (float))
DEFINE_STORE(store_d, double, to_i64, round_to_odd)
DEFINE_STORE(store_i, int64_t, (int64_t), (float))
DEFINE_STORE(store_u, uint64_t, (uint64_t), (float))

static bool held_as_is(enum kerf_domain dom, enum kerf_dtype t)
{
	static const enum kerf_dtype own[] = {
		[KERF_DOM_F] = KERF_F32, [KERF_DOM_D] = KERF_F64,
		[KERF_DOM_I] = KERF_I64, [KERF_DOM_U] = KERF_U64,
	};

	return own[dom] == t;
}

const void *kerf_row_load(enum kerf_domain dom, union kerf_row *buf, const struct kerf_tensor *t,
			  int64_t off, int64_t step, int n)
{
	if (step == 1 && held_as_is(dom, t->dtype))
		return (const char *)t->data + (size_t)off * kerf_dtype_size(t->dtype);
	switch (dom) {
	case KERF_DOM_F: load_f(buf->f, t, off, step, n); break;
	case KERF_DOM_D: load_d(buf->d, t, off, step, n); break;
	case KERF_DOM_I: load_i(buf->i, t, off, step, n); break;
	case KERF_DOM_U: load_u(buf->u, t, off, step, n); break;
	}
	return buf;
}

void *kerf_row_dest(enum kerf_domain dom, union kerf_row *buf, struct kerf_tensor *t, int64_t off,
		    int64_t step)
{
	if (step == 1 && held_as_is(dom, t->dtype))
		return (char *)t->data + (size_t)off * kerf_dtype_size(t->dtype);
	return buf;
}

void kerf_row_store(enum kerf_domain dom, const void *src, struct kerf_tensor *t, int64_t off,
		    int64_t step, int n)
{
	switch (dom) {
	case KERF_DOM_F: store_f(src, t, off, step, n); break;
	case KERF_DOM_D: store_d(src, t, off, step, n); break;
	case KERF_DOM_I: store_i(src, t, off, step, n); break;
	case KERF_DOM_U: store_u(src, t, off, step, n); break;
	}
}

void kerf_walk_init(struct kerf_walk *w, int rank, const int64_t *dims, int n,
		    const kerf_strides *stride)
{
	int i, k, r = -1;

	memset(w, 0, sizeof(*w));
	w->n = n;
	w->row = 1;
	for (i = 0; i < rank; i++) {
		bool merge = r >= 0;

		if (dims[i] == 0)
			w->done = true;
		if (dims[i] == 1)
			continue;
		for (k = 0; merge && k < n; k++)
			merge = w->stride[k][r] == stride[k][i] * dims[i];
		if (merge) {
			w->dims[r] *= dims[i];
		} else {
			w->dims[++r] = dims[i];
		}
		for (k = 0; k < n; k++)
			w->stride[k][r] = stride[k][i];
	}
	if (r < 0)
		return;
	w->rank = r;
	w->row = w->dims[r];
	for (k = 0; k < n; k++)
		w->step[k] = w->stride[k][r];
}

void kerf_walk_next(struct kerf_walk *w)
{
	int i, k;

	for (i = w->rank - 1; i >= 0; i--) {
		bool wrap = ++w->idx[i] == w->dims[i];

		for (k = 0; k < w->n; k++)
			w->off[k] += w->stride[k][i] * (wrap ? 1 - w->dims[i] : 1);
		if (!wrap)
			return;
		w->idx[i] = 0;
	}
	w->done = true;
}

void kerf_strides_of(const struct kerf_tensor *t, kerf_strides s)
{
	int64_t step = 1;
	int i;

	for (i = t->rank - 1; i >= 0; i--) {
		s[i] = step;
		step *= t->dims[i];
	}
}

void kerf_strides_bcast(const struct kerf_tensor *t, int rank, kerf_strides s)
{
	int64_t step = 1;
	int i, a;

	for (i = rank - 1, a = t->rank - 1; i >= 0; i--, a--) {
		s[i] = a < 0 || t->dims[a] == 1 ? 0 : step;
		if (a >= 0)
			step *= t->dims[a];
	}
}

#define COPY_ROW(T)                                                                               \
	do {                                                                                      \
		T *d = (T *)dst + w.off[0];                                                       \
		const T *s = (const T *)src + w.off[1];                                           \
		for (i = 0; i < w.row; i++)                                                       \
			d[i * w.step[0]] = s[i * w.step[1]];                                      \
	} while (0)

void kerf_copy_strided(void *dst, const kerf_strides ds, const void *src, const kerf_strides ss,
		       int rank, const int64_t *dims, size_t elem)
{
	kerf_strides both[2] = {{0}, {0}};
	struct kerf_walk w;
	int64_t i;

	memcpy(both[0], ds, (size_t)rank * sizeof(int64_t));
	memcpy(both[1], ss, (size_t)rank * sizeof(int64_t));
	for (kerf_walk_init(&w, rank, dims, 2, both); !w.done; kerf_walk_next(&w)) {
		if (w.row == 1 || (w.step[0] == 1 && w.step[1] == 1)) {
			memcpy((char *)dst + w.off[0] * (int64_t)elem,
			       (const char *)src + w.off[1] * (int64_t)elem, (size_t)w.row * elem);
			continue;
		}
		switch (elem) {
		case 1: COPY_ROW(uint8_t); break;
		case 2: COPY_ROW(uint16_t); break;
		case 4: COPY_ROW(uint32_t); break;
		default: COPY_ROW(uint64_t); break;
		}
	}
}

int64_t kerf_span(const struct kerf_tensor *t, int begin, int end)
{
	int64_t n = 1;

	for (; begin < end; begin++)
		n *= t->dims[begin];
	return n;
}

int kerf_want_dtype(const struct kerf_tensor *in, int k, uint32_t mask, struct kerf_err *err)
{
	if (mask >> in[k].dtype & 1)
		return 0;
	return kerf_fail(err, in[k].dtype == KERF_STRING ? -EOPNOTSUPP : -EINVAL,
			 "input %d is %s, which the operator does not take", k,
			 kerf_dtype_name(in[k].dtype));
}

int kerf_want_rank(const struct kerf_tensor *in, int k, int lo, int hi, struct kerf_err *err)
{
	if (in[k].rank >= lo && in[k].rank <= hi)
		return 0;
	return kerf_fail(err, -EINVAL, "input %d has rank %d, expected %d to %d", k, in[k].rank, lo,
			 hi);
}

int kerf_want_data(const struct kerf_tensor *in, int k, const char *what, struct kerf_err *err)
{
	if (in[k].data || !kerf_tensor_count(&in[k]))
		return 0;
	return kerf_fail(err, -ENODATA, "input %d (%s) must be known when the model is loaded", k,
			 what);
}

int kerf_want_axis(const struct kerf_op *op, const char *name, int64_t absent, int rank, int *axis,
		   struct kerf_err *err)
{
	int64_t v = kerf_op_int(op, name, absent);

	*axis = kerf_axis(v, rank);
	if (*axis >= 0)
		return 0;
	return kerf_fail(err, -EINVAL, "%s is %lld, expected %d to %d", name, (long long)v, -rank,
			 rank - 1);
}

int kerf_want_list(const struct kerf_op *op, const struct kerf_tensor *in, int k, const char *attr,
		   int64_t *v, int max, int *n, struct kerf_err *err)
{
	const struct kerf_tensor *t = kerf_op_opt(op, in, k);
	const int64_t *list = NULL;
	int64_t count = -1, i;
	int r;

	if (t) {
		r = kerf_want_dtype(in, k, KERF_T_INDEX, err);
		if (!r)
			r = kerf_want_rank(in, k, 0, 1, err);
		if (!r)
			r = kerf_want_data(in, k, attr, err);
		if (r)
			return r;
		count = kerf_tensor_count(t);
	} else if (kerf_op_attr(op, attr)) {
		uint32_t len;

		list = kerf_op_ints(op, attr, &len);
		if (!list && len == 0 && kerf_op_attr(op, attr)->type != KERF_ATTR_INTS)
			return kerf_fail(err, -EINVAL, "%s is not a list of integers", attr);
		count = len;
	}
	if (count > max)
		return kerf_fail(err, -EINVAL, "%s has %lld elements, expected at most %d", attr,
				 (long long)count, max);
	for (i = 0; i < count; i++)
		v[i] = t ? kerf_tensor_int(t, i) : list[i];
	*n = (int)count;
	return 0;
}

int kerf_axis_set(const int64_t *v, int n, int rank, uint32_t *set, struct kerf_err *err)
{
	int i;

	*set = 0;
	for (i = 0; i < n; i++) {
		int a = kerf_axis(v[i], rank);

		if (a < 0)
			return kerf_fail(err, -EINVAL, "axis %lld out of range for rank %d",
					 (long long)v[i], rank);
		if (*set >> a & 1)
			return kerf_fail(err, -EINVAL, "axis %lld given twice", (long long)v[i]);
		*set |= 1u << a;
	}
	return 0;
}

void kerf_shape_set(struct kerf_tensor *t, enum kerf_dtype dtype, int rank, const int64_t *dims)
{
	t->dtype = dtype;
	t->rank = rank;
	memmove(t->dims, dims, (size_t)rank * sizeof(*dims));
}

int64_t kerf_flops_none(const struct kerf_op *op, const struct kerf_tensor *in,
			const struct kerf_tensor *out)
{
	return 0;
}

int kerf_rows_same(const struct kerf_op *op, const struct kerf_tensor *in,
		   const struct kerf_tensor *out, int i, struct kerf_rows want,
		   struct kerf_rows *need)
{
	*need = want;
	return 0;
}
