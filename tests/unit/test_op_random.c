/* SPDX-License-Identifier: MIT */
/*
 * Every operator of the table against nonsense: random dtypes, shapes, contents and
 * attributes, among them sensible ones. infer must accept or refuse with a sentence,
 * and what it accepts eval must survive in memory of exactly the inferred size. Says
 * most under the sanitisers. OP=Name runs one operator, ROUNDS=n changes how often.
 */
#include "graph/op.h"
#include "util/rng.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MAX_IO 8
#define MAX_ATTR 8
#define MAX_BYTES ((int64_t)1 << 18)

struct round {
	struct kerf_rng rng;
	struct kerf_op op;
	struct kerf_tensor in[40], out[40];
	int32_t id[40];
	struct kerf_attr attr[MAX_ATTR];
	int64_t ints[MAX_ATTR][12];
	float floats[MAX_ATTR][12];
	uint64_t value[MAX_ATTR][4];
};

static uint64_t below(struct round *r, uint64_t n)
{
	return kerf_rng_below(&r->rng, n);
}

static int64_t any_int(struct round *r)
{
	static const int64_t odd[] = {INT64_MIN, INT64_MAX, INT32_MIN, INT32_MAX, -100, 1 << 20};

	if (!below(r, 40))
		return odd[below(r, KERF_ARRAY_SIZE(odd))];
	return (int64_t)below(r, 8) - 3;
}

static double any_real(struct round *r)
{
	static const double odd[] = {INFINITY, -INFINITY, NAN, 0, 1e30, -1e300};

	if (!below(r, 12))
		return odd[below(r, KERF_ARRAY_SIZE(odd))];
	return kerf_rng_float(&r->rng) * 8 - 3;
}

static enum kerf_dtype any_dtype(struct round *r)
{
	static const enum kerf_dtype t[] = {
		KERF_F32, KERF_F32, KERF_F32, KERF_I64, KERF_I64, KERF_F64, KERF_F16,
		KERF_BF16, KERF_U8, KERF_I8, KERF_I32, KERF_U16, KERF_I16, KERF_U32,
		KERF_U64, KERF_BOOL,
	};

	return t[below(r, KERF_ARRAY_SIZE(t))];
}

static void fill(struct round *r, struct kerf_tensor *t)
{
	int64_t i, n = kerf_tensor_count(t);

	for (i = 0; i < n; i++) {
		double d = any_real(r);
		int64_t v = any_int(r);

		switch (t->dtype) {
		case KERF_F32: ((float *)t->data)[i] = (float)d; break;
		case KERF_F64: ((double *)t->data)[i] = d; break;
		case KERF_F16: ((uint16_t *)t->data)[i] = kerf_f32_to_f16((float)d); break;
		case KERF_BF16: ((uint16_t *)t->data)[i] = kerf_f32_to_bf16((float)d); break;
		case KERF_BOOL: ((uint8_t *)t->data)[i] = v & 1; break;
		default: memcpy((char *)t->data + (size_t)i * kerf_dtype_size(t->dtype), &v,
				kerf_dtype_size(t->dtype));
		}
	}
}

/* A length that a list about the first input may have: one an axis, two, one a spatial axis... */
static int64_t list_length(struct round *r)
{
	int rank = r->in[0].rank;
	const int64_t n[] = {1, rank, rank, 2 * rank, rank - 2, 2 * (rank - 2),
			     (int64_t)below(r, 11)};

	int64_t any = n[below(r, KERF_ARRAY_SIZE(n))];

	return KERF_MIN(KERF_MAX(any, 0), 12);
}

static void make_input(struct round *r, int k)
{
	struct kerf_tensor *t = &r->in[k];
	size_t bytes;
	int a;

	*t = r->in[0];
	/* Like the first, a list of integers about it, or anything. */
	if (k && below(r, 2)) {
		if (below(r, 2)) {
			t->dtype = KERF_I64;
			t->rank = 1;
			t->dims[0] = list_length(r);
		}
	} else {
		t->dtype = k && below(r, 2) ? KERF_I64 : any_dtype(r);
		t->rank = (int)below(r, k ? 3 : 6);
		for (a = 0; a < t->rank; a++)
			t->dims[a] = (int64_t)(below(r, 10) ? 1 + below(r, 4) : 0);
	}
	bytes = kerf_tensor_bytes(t);
	t->data = malloc(bytes ? bytes : 1);
	assert_non_null(t->data);
	fill(r, t);
}

static const struct {
	const char *name;
	enum kerf_attr_type type;
} known[] = {
	{"axis", KERF_ATTR_INT}, {"axes", KERF_ATTR_INTS}, {"perm", KERF_ATTR_INTS},
	{"keepdims", KERF_ATTR_INT}, {"pads", KERF_ATTR_INTS}, {"paddings", KERF_ATTR_INTS},
	{"mode", KERF_ATTR_STRING}, {"value", KERF_ATTR_TENSOR}, {"k", KERF_ATTR_INT},
	{"to", KERF_ATTR_INT}, {"shape", KERF_ATTR_INTS}, {"split", KERF_ATTR_INTS},
	{"starts", KERF_ATTR_INTS}, {"ends", KERF_ATTR_INTS}, {"kernel_shape", KERF_ATTR_INTS},
	{"strides", KERF_ATTR_INTS}, {"dilations", KERF_ATTR_INTS}, {"group", KERF_ATTR_INT},
	{"auto_pad", KERF_ATTR_STRING}, {"ceil_mode", KERF_ATTR_INT}, {"broadcast", KERF_ATTR_INT},
	{"reduction", KERF_ATTR_STRING}, {"batch_dims", KERF_ATTR_INT}, {"upper", KERF_ATTR_INT},
	{"largest", KERF_ATTR_INT}, {"noop_with_empty_axes", KERF_ATTR_INT},
	{"dtype", KERF_ATTR_INT}, {"allowzero", KERF_ATTR_INT}, {"num_outputs", KERF_ATTR_INT},
	{"exclusive", KERF_ATTR_INT}, {"reverse", KERF_ATTR_INT}, {"onesided", KERF_ATTR_INT},
	{"inverse", KERF_ATTR_INT}, {"alpha", KERF_ATTR_FLOAT}, {"beta", KERF_ATTR_FLOAT},
	{"direction", KERF_ATTR_STRING}, {"transA", KERF_ATTR_INT}, {"transB", KERF_ATTR_INT},
	{"hidden_size", KERF_ATTR_INT}, {"blocksize", KERF_ATTR_INT},
	{"equation", KERF_ATTR_STRING}, {"scales", KERF_ATTR_FLOATS}, {"size", KERF_ATTR_INT},
	{"epsilon", KERF_ATTR_FLOAT}, {"ignore_index", KERF_ATTR_INT}, {"fmod", KERF_ATTR_INT},
	{"time_axis", KERF_ATTR_INT}, {"batch_axis", KERF_ATTR_INT},
	{"output_shape", KERF_ATTR_INTS}, {"output_padding", KERF_ATTR_INTS},
	{"is_test", KERF_ATTR_INT}, {"sorted", KERF_ATTR_INT},
	{"select_last_index", KERF_ATTR_INT}, {"coordinate_transformation_mode", KERF_ATTR_STRING},
	{"min_gram_length", KERF_ATTR_INT}, {"max_gram_length", KERF_ATTR_INT},
	{"max_skip_count", KERF_ATTR_INT}, {"ngram_counts", KERF_ATTR_INTS},
	{"ngram_indexes", KERF_ATTR_INTS}, {"pool_int64s", KERF_ATTR_INTS},
};

static void make_attr(struct round *r, int k)
{
	static const char *const words[] = {
		"", "constant", "reflect", "edge", "wrap", "SAME_UPPER", "VALID", "none", "add",
		"mul", "mean", "sum", "LEFT", "RIGHT", "FLOAT", "nearest", "linear", "cubic",
		"forward", "bidirectional", "ij,jk->ik", "...i->i", "DCR", "CRD", "tanh", "bilinear",
		"align_corners", "TF",
	};
	struct kerf_attr *a = &r->attr[k];
	size_t which = below(r, KERF_ARRAY_SIZE(known));
	uint32_t i;

	a->name = known[which].name;
	a->type = below(r, 12) ? known[which].type
			       : (enum kerf_attr_type)below(r, KERF_ATTR_TENSOR + 1);
	a->n = (uint32_t)list_length(r);
	for (i = 0; i < 12; i++) {
		r->ints[k][i] = any_int(r);
		r->floats[k][i] = (float)any_real(r);
	}
	/* Permutations do not come by chance. */
	if (!strcmp(a->name, "perm") && below(r, 2))
		for (i = 0; i < a->n; i++)
			r->ints[k][i] = a->n - 1 - i;
	switch (a->type) {
	case KERF_ATTR_INT: a->i = any_int(r); break;
	case KERF_ATTR_FLOAT: a->f = (float)any_real(r); break;
	case KERF_ATTR_STRING: a->s = words[below(r, KERF_ARRAY_SIZE(words))]; break;
	case KERF_ATTR_INTS: a->ints = r->ints[k]; break;
	case KERF_ATTR_FLOATS: a->floats = r->floats[k]; break;
	default:
		a->t = (struct kerf_tensor){any_dtype(r), 1, {(int64_t)below(r, 3)}, r->value[k]};
		fill(r, &a->t);
	}
}

static int64_t up_to(struct round *r, int lo, int hi, int any)
{
	return lo + (int64_t)below(r, (uint64_t)((hi < 0 ? KERF_MAX(any, lo) : hi) - lo + 1));
}

static void check_eval(struct round *r)
{
	int64_t bytes = 0;
	int k, s;

	for (k = 0; k < r->op.n_out; k++) {
		if (!r->out[k].dtype)
			continue;
		if (kerf_tensor_check(&r->out[k]))
			return;
		bytes += (int64_t)kerf_tensor_bytes(&r->out[k]);
	}
	if (bytes > MAX_BYTES)
		return;
	for (k = 0; k < r->op.n_out; k++) {
		size_t n = kerf_tensor_bytes(&r->out[k]);

		r->out[k].data = malloc(n ? n : 1);
		assert_non_null(r->out[k].data);
	}
	s = r->op.def->eval(&r->op, r->in, r->out);
	assert_true(s <= 0);
	for (k = 0; k < r->op.n_out; k++) {
		/* A bounded operator may have lowered dims, never raised them. */
		if (!s && r->out[k].dtype)
			assert_int_equal(kerf_tensor_check(&r->out[k]), 0);
		free(r->out[k].data);
	}
}

static bool play(const struct kerf_op_def *def, struct round *r)
{
	struct kerf_err err = {""};
	void *data[MAX_IO];
	int k, s;

	memset(&r->op, 0, sizeof(r->op));
	memset(r->in, 0, sizeof(r->in));
	memset(r->out, 0, sizeof(r->out));
	r->op.def = def;
	r->op.name = "random";
	r->op.opset = def->since;
	r->op.n_in = (int)up_to(r, def->min_in, KERF_MIN(def->max_in, MAX_IO), 4);
	r->op.n_out = (int)up_to(r, def->min_out, KERF_MIN(def->max_out, MAX_IO), 3);
	r->op.in = r->op.out = r->id;
	r->op.attr = r->attr;
	r->op.n_attr = (uint32_t)below(r, MAX_ATTR + 1);
	for (k = 0; k < (int)r->op.n_attr; k++)
		make_attr(r, k);
	for (k = 0; k < r->op.n_in; k++)
		make_input(r, k);
	for (k = 0; k < r->op.n_in; k++) {
		data[k] = r->in[k].data;
		/* Optional ones may be left out in between; contents may be unknown. */
		if (k >= def->min_in && k < r->op.n_in - 1 && !below(r, 4))
			memset(&r->in[k], 0, sizeof(r->in[k]));
		else if (!below(r, 6))
			r->in[k].data = NULL;
	}
	for (k = 0; k < r->op.n_out; k++)
		r->out[k].dtype = KERF_F32;
	s = def->infer(&r->op, r->in, r->out, &err);
	if (s && (s > 0 || (s != -ENOMEM && s != -ENODATA && !err.msg[0])))
		fail_msg("%s since %d: infer says %d '%s'", def->name, def->since, s, err.msg);
	for (k = 0; k < r->op.n_in; k++)
		if (r->in[k].dtype)
			r->in[k].data = data[k];
	if (!s)
		check_eval(r);
	for (k = 0; k < r->op.n_in; k++)
		free(data[k]);
	return !s;
}

static void test_random(void **state)
{
	const char *only = getenv("OP"), *rounds = getenv("ROUNDS");
	long n = rounds ? strtol(rounds, NULL, 10) : 3000, i;
	struct round *r = calloc(1, sizeof(*r));
	const struct kerf_op_def *def;
	uint32_t at;

	assert_non_null(r);
	for (at = 0; (def = kerf_op_at(at)); at++) {
		long accepted = 0;

		if (def->flags & KERF_OP_INTERNAL || (only && strcmp(only, def->name)))
			continue;
		for (i = 0; i < n; i++) {
			kerf_rng_seed(&r->rng, (uint64_t)at << 32 | (uint64_t)i);
			accepted += play(def, r);
		}
		if (only)
			print_message("%s since %d: %ld of %ld accepted\n", def->name, def->since,
				      accepted, n);
	}
	free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_random)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
