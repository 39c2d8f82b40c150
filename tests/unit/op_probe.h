/* SPDX-License-Identifier: MIT */
/* One operator made by hand, run by its reference meaning, compared with numbers. */
#ifndef TESTS_UNIT_OP_PROBE_H
#define TESTS_UNIT_OP_PROBE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "graph/op.h"

#define PROBE_IN 11
#define PROBE_OUT 4
#define PROBE_ATTR 12

struct probe {
	struct kerf_op op;
	struct kerf_tensor in[PROBE_IN], out[PROBE_OUT];
	struct kerf_attr attr[PROBE_ATTR];
	int64_t ints[PROBE_ATTR][8];
	int32_t ids[PROBE_IN + PROBE_OUT];
	struct kerf_err err;
};

#define DIMS(...) (const int64_t[]){__VA_ARGS__}, (int)(sizeof((int64_t[]){__VA_ARGS__}) / 8)
#define SCALAR NULL, 0
#define VALUES(...) (const double[]){__VA_ARGS__}, (int)(sizeof((double[]){__VA_ARGS__}) / 8)

static inline void probe_begin(struct probe *p, const char *name, int opset)
{
	memset(p, 0, sizeof(*p));
	p->op.def = kerf_op_find(NULL, name, opset);
	assert_non_null(p->op.def);
	p->op.name = name;
	p->op.opset = opset;
	p->op.n_out = 1;
	p->op.attr = p->attr;
	p->op.in = p->ids;
	p->op.out = p->ids + PROBE_IN;
}

static inline void probe_put(struct kerf_tensor *t, int64_t i, double v)
{
	switch (t->dtype) {
	case KERF_F32: ((float *)t->data)[i] = (float)v; break;
	case KERF_F64: ((double *)t->data)[i] = v; break;
	case KERF_F16: ((uint16_t *)t->data)[i] = kerf_f32_to_f16((float)v); break;
	case KERF_BF16: ((uint16_t *)t->data)[i] = kerf_f32_to_bf16((float)v); break;
	case KERF_I8: ((int8_t *)t->data)[i] = (int8_t)v; break;
	case KERF_U8: ((uint8_t *)t->data)[i] = (uint8_t)v; break;
	case KERF_I32: ((int32_t *)t->data)[i] = (int32_t)v; break;
	case KERF_I64: ((int64_t *)t->data)[i] = (int64_t)v; break;
	default: fail();
	}
}

/* Values are repeated until the tensor is full. */
static inline struct kerf_tensor *probe_in(struct probe *p, enum kerf_dtype dtype,
					   const int64_t *dims, int rank, const double *v, int n)
{
	struct kerf_tensor *t = &p->in[p->op.n_in++];
	int64_t i;

	*t = (struct kerf_tensor){.dtype = dtype, .rank = rank};
	if (rank)
		memcpy(t->dims, dims, (size_t)rank * sizeof(*dims));
	t->data = calloc(1, kerf_tensor_bytes(t) + 1);
	assert_non_null(t->data);
	for (i = 0; i < kerf_tensor_count(t); i++)
		probe_put(t, i, v[i % n]);
	return t;
}

static inline void probe_absent(struct probe *p)
{
	p->op.n_in++;
}

static inline struct kerf_attr *probe_attr(struct probe *p, const char *name,
					   enum kerf_attr_type type)
{
	struct kerf_attr *a = &p->attr[p->op.n_attr++];

	assert_true(p->op.n_attr <= PROBE_ATTR);
	*a = (struct kerf_attr){.name = name, .type = type};
	return a;
}

static inline void probe_int(struct probe *p, const char *name, int64_t v)
{
	probe_attr(p, name, KERF_ATTR_INT)->i = v;
}

static inline void probe_float(struct probe *p, const char *name, float v)
{
	probe_attr(p, name, KERF_ATTR_FLOAT)->f = v;
}

static inline void probe_string(struct probe *p, const char *name, const char *s)
{
	probe_attr(p, name, KERF_ATTR_STRING)->s = s;
}

static inline void probe_ints(struct probe *p, const char *name, const int64_t *v, int n)
{
	struct kerf_attr *a = probe_attr(p, name, KERF_ATTR_INTS);

	memcpy(p->ints[p->op.n_attr - 1], v, (size_t)n * sizeof(*v));
	a->ints = p->ints[p->op.n_attr - 1];
	a->n = (uint32_t)n;
}

static inline void probe_free_out(struct probe *p)
{
	int k;

	for (k = 0; k < PROBE_OUT; k++) {
		free(p->out[k].data);
		p->out[k] = (struct kerf_tensor){.dtype = KERF_NONE};
	}
}

/* Infers and evaluates; the first error. */
static inline int probe_run(struct probe *p)
{
	int k, r;

	probe_free_out(p);
	p->err.msg[0] = 0;
	for (k = 0; k < p->op.n_out; k++)
		p->out[k].dtype = KERF_F32;
	r = p->op.def->infer(&p->op, p->in, p->out, &p->err);
	for (k = 0; k < p->op.n_out; k++)
		p->out[k].data = NULL;
	for (k = 0; !r && k < p->op.n_out; k++) {
		r = kerf_tensor_check(&p->out[k]);
		p->out[k].data = r ? NULL : calloc(1, kerf_tensor_bytes(&p->out[k]) + 1);
	}
	return r ? r : kerf_op_eval(&p->op, p->in, p->out);
}

/* It is refused by infer with a sentence that holds these words. */
static inline void probe_refused(struct probe *p, int code, const char *says)
{
	assert_int_equal(probe_run(p), code);
	if (!strstr(p->err.msg, says))
		fail_msg("'%s' does not say '%s'", p->err.msg, says);
}

static inline void probe_gives(struct probe *p, int k, enum kerf_dtype dtype, const int64_t *dims,
			       int rank, const double *v, int n, double tolerance)
{
	const struct kerf_tensor *t = &p->out[k];
	char text[KERF_SHAPE_TEXT];
	int64_t i;

	assert_int_equal(t->dtype, dtype);
	if (t->rank != rank || (rank && memcmp(t->dims, dims, (size_t)rank * sizeof(*dims))))
		fail_msg("output %d is %s", k, kerf_tensor_text(t, text));
	for (i = 0; i < kerf_tensor_count(t); i++)
		if (!(fabs(kerf_tensor_float(t, i) - v[i % n]) <= tolerance))
			fail_msg("element %lld is %g, expected %g", (long long)i,
				 kerf_tensor_float(t, i), v[i % n]);
}

/* Runs, and the first output is this. */
static inline void probe_expect(struct probe *p, enum kerf_dtype dtype, const int64_t *dims,
				int rank, const double *v, int n, double tolerance)
{
	int r = probe_run(p);

	if (r)
		fail_msg("%s: %d %s", p->op.def->name, r, p->err.msg);
	probe_gives(p, 0, dtype, dims, rank, v, n, tolerance);
}

static inline void probe_end(struct probe *p)
{
	int k;

	probe_free_out(p);
	for (k = 0; k < PROBE_IN; k++)
		free(p->in[k].data);
}

#endif
