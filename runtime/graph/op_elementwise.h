/* SPDX-License-Identifier: MIT */
/* One table entry for the meaning of an element-wise operator, and what runs it. */
#ifndef KERF_GRAPH_OP_ELEMENTWISE_H
#define KERF_GRAPH_OP_ELEMENTWISE_H

#include "graph/op_util.h"

/*
 * Element-wise in one or two operands (b is NULL for one), n elements; y may be a.
 * p are the two parameters below. 0, or -EINVAL (integer division by zero).
 */
struct kerf_ew {
	int (*f)(float *y, const float *a, const float *b, const double *p, int n);
	int (*d)(double *y, const double *a, const double *b, const double *p, int n);
	int (*i)(int64_t *y, const int64_t *a, const int64_t *b, const double *p, int n);
	int (*u)(uint64_t *y, const uint64_t *a, const uint64_t *b, const double *p, int n);
	uint32_t dtypes; /* KERF_T_*: integers without i and u are computed in double */
	bool predicate;	 /* the result is bool */
	bool mixed;	 /* the second operand may be of another dtype */
	bool mean;	 /* the folded sum is divided by the number of inputs */
	/* Parameters: int or float attributes, or a string equal to word (1) or not (0). */
	const char *attr[2], *word;
	float absent[2];
	int (*check)(const struct kerf_op *op, const struct kerf_tensor *in, struct kerf_err *err);
};

/* infer and eval of operators whose def->family is a struct kerf_ew. */
int kerf_ew_infer(const struct kerf_op *op, const struct kerf_tensor *in, struct kerf_tensor *out,
		  struct kerf_err *err);
int kerf_ew_eval(const struct kerf_op *op, const struct kerf_tensor *in, struct kerf_tensor *out);

/* out = ew(a, b), broadcast to out's shape; b NULL for one operand; out may be a. */
int kerf_ew_run(const struct kerf_ew *ew, const struct kerf_tensor *a, const struct kerf_tensor *b,
		struct kerf_tensor *out, const double *p);

extern const struct kerf_ew kerf_ew_add, kerf_ew_mul, kerf_ew_min, kerf_ew_max;

/* Row functions from one expression of x (and z) of type T. */
#define KERF_ROW1(NAME, S, ROW_T, EXPR)                                                           \
	static int NAME##_##S(ROW_T *y, const ROW_T *a, const ROW_T *b, const double *p, int n)   \
	{                                                                                         \
		typedef ROW_T T __attribute__((unused));                                          \
		int k;                                                                            \
		for (k = 0; k < n; k++) {                                                         \
			T x = a[k];                                                               \
			y[k] = (T)(EXPR);                                                         \
		}                                                                                 \
		return 0;                                                                         \
	}
#define KERF_ROW2(NAME, S, ROW_T, EXPR)                                                           \
	static int NAME##_##S(ROW_T *y, const ROW_T *a, const ROW_T *b, const double *p, int n)   \
	{                                                                                         \
		typedef ROW_T T __attribute__((unused));                                          \
		int k;                                                                            \
		for (k = 0; k < n; k++) {                                                         \
			T x = a[k], z = b[k];                                                     \
			y[k] = (T)(EXPR);                                                         \
		}                                                                                 \
		return 0;                                                                         \
	}
#define KERF_REAL1(NAME, EXPR) KERF_ROW1(NAME, f, float, EXPR) KERF_ROW1(NAME, d, double, EXPR)
#define KERF_REAL2(NAME, EXPR) KERF_ROW2(NAME, f, float, EXPR) KERF_ROW2(NAME, d, double, EXPR)
#define KERF_INT1(NAME, EXPR) KERF_ROW1(NAME, i, int64_t, EXPR) KERF_ROW1(NAME, u, uint64_t, EXPR)
#define KERF_INT2(NAME, EXPR) KERF_ROW2(NAME, i, int64_t, EXPR) KERF_ROW2(NAME, u, uint64_t, EXPR)
#define KERF_REAL_OF(NAME) .f = NAME##_f, .d = NAME##_d
#define KERF_INT_OF(NAME) .i = NAME##_i, .u = NAME##_u
#define KERF_ALL_OF(NAME) KERF_REAL_OF(NAME), KERF_INT_OF(NAME)

#endif
