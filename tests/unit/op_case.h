/* SPDX-License-Identifier: MIT */
/*
 * Operator tests as tables: one row says an operator, its attributes, its inputs and
 * what comes out, or the error and a word of its sentence.
 *
 * Tensors are text, "f32[2,3] 1 2 3 4 5 6": dtype, dims, elements ("?": one element
 * repeated follows, "f32[4] ?0"); NULL is an absent input. Attributes are text too:
 * "axis=1 alpha=0.5 pads=[1,2] scales=[1.0,2] mode=reflect value=f32[1]:7".
 */
#ifndef KERF_TESTS_OP_CASE_H
#define KERF_TESTS_OP_CASE_H

#include "graph/op.h"

#include <ctype.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* A row says only what matters to it. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

#define CASE_IN 6
#define CASE_OUT 4
#define CASE_ATTR 8

struct op_case {
	const char *op;
	int opset;
	const char *attr;
	const char *in[CASE_IN], *out[CASE_OUT];
	int error;	  /* what infer says, or if late is set what eval says */
	const char *says; /* in infer's sentence */
	bool late;
	uint32_t unknown; /* bit i: contents of input i are not known at inference */
};

static const struct {
	const char *name;
	enum kerf_dtype t;
} case_dtypes[] = {
	{"f32", KERF_F32}, {"f64", KERF_F64}, {"f16", KERF_F16},   {"bf16", KERF_BF16},
	{"i8", KERF_I8},   {"u8", KERF_U8},   {"i16", KERF_I16},   {"u16", KERF_U16},
	{"i32", KERF_I32}, {"u32", KERF_U32}, {"i64", KERF_I64},   {"u64", KERF_U64},
	{"bool", KERF_BOOL},
};

static inline void case_set(struct kerf_tensor *t, int64_t i, const char *text)
{
	double d = strtod(text, NULL);
	int64_t n = text[0] == '-' ? strtoll(text, NULL, 10)
				   : (int64_t)strtoull(text, NULL, 10);

	switch (t->dtype) {
	case KERF_F32: ((float *)t->data)[i] = (float)d; break;
	case KERF_F64: ((double *)t->data)[i] = d; break;
	case KERF_F16: ((uint16_t *)t->data)[i] = kerf_f32_to_f16((float)d); break;
	case KERF_BF16: ((uint16_t *)t->data)[i] = kerf_f32_to_bf16((float)d); break;
	case KERF_I64:
	case KERF_U64: ((int64_t *)t->data)[i] = n; break;
	case KERF_I32:
	case KERF_U32: ((int32_t *)t->data)[i] = (int32_t)n; break;
	case KERF_I16:
	case KERF_U16: ((int16_t *)t->data)[i] = (int16_t)n; break;
	default: ((int8_t *)t->data)[i] = (int8_t)n; break;
	}
}

/* Contents are malloc'ed to the byte, so a sanitiser sees a step too far. */
static inline struct kerf_tensor case_tensor(const char *text)
{
	struct kerf_tensor t = {.dtype = KERF_NONE};
	const char *p = text;
	int64_t n, i;
	size_t k;

	if (!text)
		return t;
	for (k = 0; k < KERF_ARRAY_SIZE(case_dtypes); k++) {
		size_t len = strlen(case_dtypes[k].name);

		if (!strncmp(text, case_dtypes[k].name, len) && text[len] == '[') {
			t.dtype = case_dtypes[k].t;
			p = text + len + 1;
		}
	}
	if (!t.dtype)
		fail_msg("'%s' is no tensor", text);
	while (*p != ']') {
		t.dims[t.rank++] = strtoll(p, (char **)&p, 10);
		p += *p == ',';
	}
	n = kerf_tensor_count(&t);
	t.data = malloc(kerf_tensor_bytes(&t) ? kerf_tensor_bytes(&t) : 1);
	assert_non_null(t.data);
	for (p++, i = 0; i < n; i++) {
		while (*p == ' ' || *p == ':')
			p++;
		if (!*p)
			fail_msg("'%s' has too few elements", text);
		if (*p == '?') {
			case_set(&t, i, p + 1);
			continue;
		}
		case_set(&t, i, p);
		while (*p && *p != ' ')
			p++;
	}
	return t;
}

static inline void case_list(struct kerf_attr *a, const char *v)
{
	bool floats = strchr(v, '.');
	int64_t *list = calloc(strlen(v) + 1, sizeof(*list));

	assert_non_null(list);
	a->type = floats ? KERF_ATTR_FLOATS : KERF_ATTR_INTS;
	for (v++; *v && *v != ']'; v += *v == ',') {
		if (floats)
			((float *)list)[a->n++] = strtof(v, (char **)&v);
		else
			list[a->n++] = strtoll(v, (char **)&v, 10);
	}
	a->ints = list;
}

/* text is cut into pieces; attributes point into it. */
static inline uint32_t case_attrs(char *text, struct kerf_attr attr[CASE_ATTR])
{
	uint32_t n = 0;
	char *save, *word;

	for (word = strtok_r(text, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
		struct kerf_attr *a = &attr[n++];
		char *v = strchr(word, '=');

		assert_true(v && n <= CASE_ATTR);
		*v++ = 0;
		a->name = word;
		if (*v == '[') {
			case_list(a, v);
		} else if (isdigit((unsigned char)*v) || *v == '-') {
			a->type = strchr(v, '.') ? KERF_ATTR_FLOAT : KERF_ATTR_INT;
			if (a->type == KERF_ATTR_FLOAT)
				a->f = strtof(v, NULL);
			else
				a->i = strtoll(v, NULL, 10);
		} else if (strchr(v, '[')) {
			a->type = KERF_ATTR_TENSOR;
			a->t = case_tensor(v);
		} else {
			a->type = KERF_ATTR_STRING;
			a->s = v;
		}
	}
	return n;
}

static inline void case_same(const struct op_case *c, int k, const struct kerf_tensor *got)
{
	struct kerf_tensor want = case_tensor(c->out[k]);
	char a[KERF_SHAPE_TEXT], b[KERF_SHAPE_TEXT];
	int64_t i;

	if (want.dtype != got->dtype || !kerf_tensor_same_shape(&want, got))
		fail_msg("%s (opset %d, %s): output %d is %s, expected %s", c->op, c->opset,
			 c->attr ? c->attr : "", k, kerf_tensor_text(got, a),
			 kerf_tensor_text(&want, b));
	for (i = 0; i < kerf_tensor_count(got); i++) {
		double x = kerf_tensor_float(got, i), y = kerf_tensor_float(&want, i);

		if (x != y && !(x != x && y != y) && !(fabs(x - y) <= 1e-6 + 1e-6 * fabs(y)))
			fail_msg("%s (opset %d, %s): output %d element %lld is %.9g, expected %.9g",
				 c->op, c->opset, c->attr ? c->attr : "", k, (long long)i, x, y);
	}
	free(want.data);
}

static inline void case_error(const struct op_case *c, const char *step, int r, int want,
			      const struct kerf_err *err)
{
	if (r != want)
		fail_msg("%s (opset %d, %s): %s says %d '%s', expected %d", c->op, c->opset,
			 c->attr ? c->attr : "", step, r, err->msg, want);
	if (want && c->says && !c->late && !strstr(err->msg, c->says))
		fail_msg("%s (opset %d): '%s' does not say '%s'", c->op, c->opset, err->msg,
			 c->says);
}

static inline void case_run(const struct op_case *c)
{
	struct kerf_tensor in[16] = {{.dtype = KERF_NONE}}, out[16] = {{.dtype = KERF_NONE}};
	struct kerf_attr attr[CASE_ATTR] = {{.name = NULL}};
	char *text = strdup(c->attr ? c->attr : "");
	void *data[CASE_IN] = {NULL};
	struct kerf_op op = {.def = kerf_op_find(NULL, c->op, c->opset), .name = "case"};
	struct kerf_err err = {""};
	int k, r;

	if (!op.def)
		fail_msg("%s is not there at opset %d", c->op, c->opset);
	op.opset = c->opset;
	op.attr = attr;
	op.n_attr = case_attrs(text, attr);
	for (k = 0; k < CASE_IN; k++) {
		in[k] = case_tensor(c->in[k]);
		data[k] = in[k].data;
		if (c->in[k])
			op.n_in = k + 1;
		if (c->unknown >> k & 1)
			in[k].data = NULL;
	}
	for (k = 0; k < CASE_OUT; k++)
		if (c->out[k] || k < op.def->min_out) {
			op.n_out = k + 1;
			out[k].dtype = c->out[k] || c->error ? KERF_F32 : KERF_NONE;
		}
	r = op.def->infer(&op, in, out, &err);
	case_error(c, "infer", r, c->late ? 0 : c->error, &err);
	for (k = 0; k < CASE_IN; k++)
		in[k].data = data[k];
	if (!r) {
		for (k = 0; k < op.n_out; k++) {
			assert_int_equal(kerf_tensor_check(&out[k]), 0);
			out[k].data = malloc(kerf_tensor_bytes(&out[k]) + 1);
			assert_non_null(out[k].data);
		}
		r = kerf_op_eval(&op, in, out);
		case_error(c, "eval", r, c->late ? c->error : 0, &err);
		for (k = 0; k < op.n_out; k++) {
			if (!r && c->out[k])
				case_same(c, k, &out[k]);
			free(out[k].data);
		}
	}
	for (k = 0; k < CASE_IN; k++)
		free(data[k]);
	for (k = 0; k < (int)op.n_attr; k++) {
		if (attr[k].type == KERF_ATTR_INTS || attr[k].type == KERF_ATTR_FLOATS)
			free((void *)attr[k].ints);
		if (attr[k].type == KERF_ATTR_TENSOR)
			free(attr[k].t.data);
	}
	free(text);
}

#define CASE_TABLE(NAME, TABLE)                                                                   \
	static void NAME(void **state)                                                            \
	{                                                                                         \
		size_t i;                                                                         \
                                                                                                  \
		for (i = 0; i < KERF_ARRAY_SIZE(TABLE); i++)                                      \
			case_run(&TABLE[i]);                                                      \
	}

#endif
