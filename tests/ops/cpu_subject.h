/* SPDX-License-Identifier: MIT */
/* A case of cpu_cases.h as an operator with its tensors. */
#ifndef TESTS_OPS_CPU_SUBJECT_H
#define TESTS_OPS_CPU_SUBJECT_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exec/engine.h"
#include "graph/op.h"
#include "util/rng.h"

#include "ops/cpu_cases.h"

#define MAX_IN 10
#define MAX_OUT 4

struct subject {
	struct kerf_op op;
	struct kerf_attr attr[12];
	int64_t ints[12][16];
	char text[12][64];
	int32_t id[MAX_IN + MAX_OUT];
	struct kerf_tensor in[16], out[16];
	bool constant[MAX_IN];
};

/* --- reading the table ----------------------------------------------------- */

static int read_ints(const char *s, const char *end, int64_t *v, int max)
{
	int n = 0;

	while (s < end && n < max) {
		char *next;

		v[n++] = strtoll(s, &next, 10);
		s = next + (*next == ',');
	}
	return n;
}

/* "I:kernel_shape=3,3 i:group=2 f:alpha=0.5 s:mode=CRD" */
static void read_attrs(struct subject *t, const char *s)
{
	while (s && *s) {
		struct kerf_attr *a = &t->attr[t->op.n_attr];
		const char *eq = strchr(s, '='), *end = eq + strcspn(eq, " ");
		char *name = t->text[t->op.n_attr];

		snprintf(name, sizeof(t->text[0]), "%.*s", (int)(eq - s - 2), s + 2);
		a->name = name;
		switch (*s) {
		case 'i':
			a->type = KERF_ATTR_INT;
			a->i = strtoll(eq + 1, NULL, 10);
			break;
		case 'f':
			a->type = KERF_ATTR_FLOAT;
			a->f = strtof(eq + 1, NULL);
			break;
		case 's':
			a->type = KERF_ATTR_STRING;
			snprintf(name + 32, 32, "%.*s", (int)(end - eq - 1), eq + 1);
			a->s = name + 32;
			break;
		default:
			a->type = KERF_ATTR_INTS;
			a->n = (uint32_t)read_ints(eq + 1, end, t->ints[t->op.n_attr], 16);
			a->ints = t->ints[t->op.n_attr];
		}
		t->op.n_attr++;
		s = end + strspn(end, " ");
	}
}

static void fill(struct kerf_tensor *t, const char *values, bool positive, struct kerf_rng *rng)
{
	int64_t n = kerf_tensor_count(t), i;

	for (i = 0; i < n; i++) {
		double v = kerf_rng_float(rng) * 2 - 1;

		if (values) {
			char *next;

			v = strtod(values, &next);
			if (*next == ',')
				values = next + 1;
		} else if (positive) {
			v = fabs(v) + 0.1;
		} else if (t->dtype != KERF_F32) {
			v = (double)(kerf_rng_next(rng) >> 32);
		}
		switch (kerf_dtype_size(t->dtype)) {
		case 1: ((uint8_t *)t->data)[i] = (uint8_t)(int64_t)v; break;
		case 4:
			if (t->dtype == KERF_F32)
				((float *)t->data)[i] = (float)v;
			else
				((int32_t *)t->data)[i] = (int32_t)v;
			break;
		case 8: ((int64_t *)t->data)[i] = (int64_t)v; break;
		}
	}
}

/* "[=][+]dtype:dims[:values]"; '=' constant, '+' above zero; "" absent. */
static void read_input(struct subject *t, int k, const char *s, struct kerf_rng *rng)
{
	struct kerf_tensor *x = &t->in[k];
	bool positive = false;
	char name[16];
	const char *dims, *values;

	t->id[k] = *s ? k : -1;
	if (!*s)
		return;
	if (*s == '=') {
		t->constant[k] = true;
		s++;
	}
	if (*s == '+') {
		positive = true;
		s++;
	}
	dims = strchr(s, ':') + 1;
	values = strchr(dims, ':');
	snprintf(name, sizeof(name), "%.*s", (int)(dims - 1 - s), s);
	x->dtype = kerf_dtype_by_name(name);
	assert_int_not_equal(x->dtype, KERF_NONE);
	x->rank = read_ints(dims, values ? values : dims + strlen(dims), x->dims, KERF_MAX_RANK);
	x->data = kerf_tensor_alloc(kerf_tensor_bytes(x));
	fill(x, values ? values + 1 : NULL, positive, rng);
}

static struct subject *subject_new(const struct cpu_case *c)
{
	struct subject *t = calloc(1, sizeof(*t));
	struct kerf_err err = {{0}};
	struct kerf_rng rng;
	int k, r;

	kerf_rng_seed(&rng, 7);
	t->op.name = "case";
	t->op.def = kerf_op_find(NULL, c->op, c->opset ? c->opset : 17);
	if (!t->op.def)
		fail_msg("no operator %s", c->op);
	t->op.opset = c->opset ? c->opset : 17;
	t->op.nhwc = c->nhwc;
	t->op.act = c->act;
	t->op.tile = c->tile;
	t->op.attr = t->attr;
	read_attrs(t, c->attr);
	for (k = 0; k < CPU_CASE_IN && c->in[k]; k++)
		read_input(t, k, c->in[k], &rng);
	t->op.n_in = k;
	t->op.in = t->id;
	t->op.n_out = c->n_out ? c->n_out : 1;
	t->op.out = t->id + MAX_IN;
	for (k = 0; k < t->op.n_out; k++) {
		t->op.out[k] = MAX_IN + k;
		t->out[k].dtype = KERF_F32;
	}
	r = t->op.def->infer(&t->op, t->in, t->out, &err);
	if (r)
		fail_msg("%s %s: %s", c->op, c->attr ? c->attr : "", err.msg);
	/* A tile's output rows are its own affair. */
	if (c->rows)
		t->out[0].dims[1] = c->rows;
	for (k = 0; k < t->op.n_out; k++)
		t->out[k].data = kerf_tensor_alloc(kerf_tensor_bytes(&t->out[k]));
	return t;
}

static void subject_free(struct subject *t)
{
	int k;

	for (k = 0; k < t->op.n_in; k++)
		free(t->in[k].data);
	for (k = 0; k < t->op.n_out; k++)
		free(t->out[k].data);
	free(t);
}

/* KERF_TEST_QUICK, set where the processor is emulated: no work above this. */
#define QUICK_FLOPS 4000000

static bool subject_too_long(const struct subject *t)
{
	return getenv("KERF_TEST_QUICK") && t->op.def->flops &&
	       t->op.def->flops(&t->op, t->in, t->out) > QUICK_FLOPS;
}

#endif
