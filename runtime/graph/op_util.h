/* SPDX-License-Identifier: MIT */
/*
 * What the operator families share: stepping through tensors with strides,
 * converting rows of elements to and from the type computed in, and reading
 * optional inputs, axes and dtypes with the errors they may give.
 *
 * Every element-wise meaning is written once per domain, not once per dtype:
 *   F  float    float32, float16, bfloat16 (results rounded to the dtype)
 *   D  double   float64, and mixed integer and floating operands
 *   I  int64_t  integers and bool but uint64 (results wrap to the dtype)
 *   U  uint64_t uint64
 */
#ifndef KERF_GRAPH_OP_UTIL_H
#define KERF_GRAPH_OP_UTIL_H

#include "graph/op.h"

enum kerf_domain { KERF_DOM_F, KERF_DOM_D, KERF_DOM_I, KERF_DOM_U };

#define KERF_T(t) (1u << KERF_##t)
#define KERF_T_FLOAT (KERF_T(F32) | KERF_T(F16) | KERF_T(F64) | KERF_T(BF16))
#define KERF_T_UINT (KERF_T(U8) | KERF_T(U16) | KERF_T(U32) | KERF_T(U64))
#define KERF_T_SINT (KERF_T(I8) | KERF_T(I16) | KERF_T(I32) | KERF_T(I64))
#define KERF_T_INT (KERF_T_UINT | KERF_T_SINT)
#define KERF_T_NUM (KERF_T_FLOAT | KERF_T_INT)
#define KERF_T_ANY (KERF_T_NUM | KERF_T(BOOL))
#define KERF_T_INDEX (KERF_T(I32) | KERF_T(I64))

/* The domain that holds every value of both dtypes (b may be KERF_NONE). */
enum kerf_domain kerf_domain_of(enum kerf_dtype a, enum kerf_dtype b);

/* Elements handled at a time: the size of the buffers below. */
#define KERF_ROW 256

union kerf_row {
	float f[KERF_ROW];
	double d[KERF_ROW];
	int64_t i[KERF_ROW];
	uint64_t u[KERF_ROW];
};

/*
 * n <= KERF_ROW elements of t, the first at off, step apart, in the domain's type:
 * in buf, or in t itself where it holds them already.
 */
const void *kerf_row_load(enum kerf_domain dom, union kerf_row *buf, const struct kerf_tensor *t,
			  int64_t off, int64_t step, int n);
/* Where to compute a row of t: t itself where it holds the domain's type, else buf. */
void *kerf_row_dest(enum kerf_domain dom, union kerf_row *buf, struct kerf_tensor *t, int64_t off,
		    int64_t step);
/*
 * Stores what was computed outside t; a value that the dtype cannot hold wraps (integers) or
 * rounds.
 */
void kerf_row_store(enum kerf_domain dom, const void *src, struct kerf_tensor *t, int64_t off,
		    int64_t step, int n);

/*
 * Visits a shape in row-major order, keeping for each operand the offset of the
 * current row. Axes that all operands run through without a gap are merged, so a
 * row is as long as it can be.
 *   for (kerf_walk_init(&w, ...); !w.done; kerf_walk_next(&w))
 *           use elements w.off[k] + i * w.step[k], 0 <= i < w.row
 */
#define KERF_WALK_OPERANDS 4
typedef int64_t kerf_strides[KERF_MAX_RANK];

struct kerf_walk {
	int n, rank; /* operands; axes outside the row */
	bool done;
	int64_t row, off[KERF_WALK_OPERANDS], step[KERF_WALK_OPERANDS];
	int64_t dims[KERF_MAX_RANK], idx[KERF_MAX_RANK];
	kerf_strides stride[KERF_WALK_OPERANDS];
};

void kerf_walk_init(struct kerf_walk *w, int rank, const int64_t *dims, int n,
		    const kerf_strides *stride);
void kerf_walk_next(struct kerf_walk *w);

/* Strides of t's own axes, in elements. */
void kerf_strides_of(const struct kerf_tensor *t, kerf_strides s);
/* Strides of t seen as broadcast to a shape of the given rank: 0 where t has one element. */
void kerf_strides_bcast(const struct kerf_tensor *t, int rank, kerf_strides s);

/* Copies dims elements of elem bytes; the pointers stand at the first element of each side. */
void kerf_copy_strided(void *dst, const kerf_strides ds, const void *src, const kerf_strides ss,
		       int rank, const int64_t *dims, size_t elem);

/* Product of dims [begin, end). */
int64_t kerf_span(const struct kerf_tensor *t, int begin, int end);

/* Input k, or NULL where the node leaves it out. */
static inline const struct kerf_tensor *kerf_op_opt(const struct kerf_op *op,
						    const struct kerf_tensor *in, int k)
{
	return k < op->n_in && in[k].dtype != KERF_NONE ? &in[k] : NULL;
}

/*
 * Whether the operator is an activation that its attributes tell all of (not Clip, PRelu or "act").
 */
bool kerf_op_activation(const struct kerf_op *op, struct kerf_act *act);
/*
 * Whether it is a Clip whose bounds are known; in: its inputs, with data where they are constant.
 */
bool kerf_op_clip(const struct kerf_op *op, const struct kerf_tensor *in, struct kerf_act *act);

static inline bool kerf_op_has_out(const struct kerf_op *op, const struct kerf_tensor *out, int k)
{
	return k < op->n_out && out[k].dtype != KERF_NONE;
}

/* -EINVAL with a sentence unless input k's dtype is in mask (KERF_T_*). */
int kerf_want_dtype(const struct kerf_tensor *in, int k, uint32_t mask, struct kerf_err *err);
/* The same for its rank. */
int kerf_want_rank(const struct kerf_tensor *in, int k, int lo, int hi, struct kerf_err *err);
/* -ENODATA with a sentence unless input k's contents are known. */
int kerf_want_data(const struct kerf_tensor *in, int k, const char *what, struct kerf_err *err);

/* Attribute name as an axis of a value of the given rank: *axis in [0, rank), or -EINVAL. */
int kerf_want_axis(const struct kerf_op *op, const char *name, int64_t absent, int rank, int *axis,
		   struct kerf_err *err);

/*
 * A list of integers that older operator sets have in an attribute and newer ones in
 * input k: copied to v (at most max). *n is -1 where neither is there.
 */
int kerf_want_list(const struct kerf_op *op, const struct kerf_tensor *in, int k, const char *attr,
		   int64_t *v, int max, int *n, struct kerf_err *err);

/* Bit a set for each axis in v; -EINVAL on one out of range or given twice. */
int kerf_axis_set(const int64_t *v, int n, int rank, uint32_t *set, struct kerf_err *err);

/* Shape of a one-dimensional or scalar result. */
void kerf_shape_set(struct kerf_tensor *t, enum kerf_dtype dtype, int rank, const int64_t *dims);

/* Work of operators that only move data. */
int64_t kerf_flops_none(const struct kerf_op *op, const struct kerf_tensor *in,
			const struct kerf_tensor *out);

/* Row rule of operators that treat every row apart: rows of input i as wanted. */
int kerf_rows_same(const struct kerf_op *op, const struct kerf_tensor *in,
		   const struct kerf_tensor *out, int i, struct kerf_rows want,
		   struct kerf_rows *need);

#endif
