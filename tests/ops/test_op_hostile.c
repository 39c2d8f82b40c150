/* SPDX-License-Identifier: MIT */
/*
 * Every operator of the table with random dtypes, shapes, attributes and contents,
 * most of them nonsense: infer refuses with an error, or promises outputs that eval
 * then fills or refuses. Nothing may crash or write elsewhere (the suite runs under
 * ASan and UBSan too), and what infer promised stays small and quick to compute.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "graph/op.h"
#include "util/rng.h"

#define MAX_IN 10
#define MAX_OUT 6
#define MAX_ATTR 16
#define ROUNDS 400

static const char *const int_names[] = {
	"axis",
	"group",
	"ceil_mode",
	"count_include_pad",
	"storage_order",
	"keepdims",
	"blocksize",
	"p",
	"size",
	"transA",
	"transB",
	"hidden_size",
	"layout",
	"input_forget",
	"stash_type",
	"num_groups",
	"output_height",
	"output_width",
	"sampling_ratio",
	"exclude_outside",
	"to",
	"linear_before_reset",
	"largest",
	"batch_dims",
	"select_last_index",
	"exclusive",
	"reverse",
	"align_corners",
	"center_point_box",
	"output_dtype",
	"block_size",
	"allowzero",
	"upper",
	"begin",
	"end",
	"fmod",
	"ignore_index",
	"k",
	"noop_with_empty_axes",
	"time_axis",
	"batch_axis",
	"spatial",
	"num_outputs",
	"onesided",
	"dtype",
};
static const char *const list_names[] = {
	"kernel_shape", "strides", "dilations",	  "pads",	  "axes",  "perm",
	"split",	"starts",  "ends",	  "output_shape", "shape", "output_padding",
	"repeats",	"sizes",   "image_shape", "steps",
};
static const char *const float_names[] = {
	"alpha", "beta",	  "epsilon",	   "bias",
	"clip",	 "spatial_scale", "cubic_coeff_a", "extrapolation_value",
	"min",	 "max",		  "lambd",	   "gamma",
};
static const char *const string_names[] = {
	"auto_pad",
	"mode",
	"coordinate_transformation_mode",
	"nearest_mode",
	"padding_mode",
	"direction",
	"activations",
	"equation",
	"reduction",
	"keep_aspect_ratio_policy",
	"approximate",
};
static const char *const words[] = {
	"SAME_UPPER",
	"SAME_LOWER",
	"VALID",
	"NOTSET",
	"nearest",
	"linear",
	"cubic",
	"bilinear",
	"DCR",
	"CRD",
	"half_pixel",
	"align_corners",
	"tf_crop_and_resize",
	"asymmetric",
	"round_prefer_ceil",
	"floor",
	"reflection",
	"border",
	"zeros",
	"reverse",
	"bidirectional",
	"forward",
	"Relu,Tanh",
	"Sigmoid,Tanh,Softplus",
	"bogus",
	"",
	"ij,jk->ik",
	"i...,...j",
	"ii->i",
	"...ij->...",
	"ij",
	"add",
	"mul",
	"mean",
	"sum",
	"none",
	"edge",
	"reflect",
	"constant",
	"wrap",
	"max",
	"avg",
	"not_larger",
	"not_smaller",
	"tanh",
};

struct attempt {
	struct kerf_rng rng;
	struct kerf_op op;
	struct kerf_tensor in[MAX_IN], out[MAX_OUT];
	struct kerf_attr attr[MAX_ATTR];
	int64_t ints[MAX_ATTR][6];
	float floats[MAX_ATTR][4];
	int32_t ids[MAX_IN + MAX_OUT];
	int rank; /* most inputs share these, so that some attempts are legal */
	int64_t dims[KERF_MAX_RANK];
	enum kerf_dtype dtype;
};

static uint64_t below(struct attempt *a, uint64_t n)
{
	return kerf_rng_below(&a->rng, n);
}

static int64_t some_int(struct attempt *a)
{
	static const int64_t extremes[] = {INT64_MIN, INT64_MAX, INT32_MAX,	  -1,
					   0,	      1 << 24,	 (int64_t)1 << 40};

	return below(a, 12) ? (int64_t)below(a, 6) - 1 : extremes[below(a, 7)];
}

static float some_float(struct attempt *a)
{
	static const float extremes[] = {0, -1, 1e30f, -1e30f, 1e-30f, (float)1e40, -(float)1e40};

	if (below(a, 12))
		return kerf_rng_float(&a->rng) * 4 - 1;
	return below(a, 8) ? extremes[below(a, 7)] : (float)1e40 - (float)1e40;
}

static enum kerf_dtype some_dtype(struct attempt *a)
{
	static const enum kerf_dtype all[] = {
		KERF_F32, KERF_F16, KERF_F64, KERF_BF16, KERF_U8,  KERF_I8,  KERF_I32,
		KERF_I64, KERF_U32, KERF_U64, KERF_BOOL, KERF_I16, KERF_U16,
	};

	return below(a, 3) ? KERF_F32 : all[below(a, KERF_ARRAY_SIZE(all))];
}

static void fill(struct attempt *a, struct kerf_tensor *t)
{
	size_t i, n = (size_t)kerf_tensor_count(t), size = kerf_dtype_size(t->dtype);

	t->data = malloc(n ? n * size : 1);
	assert_non_null(t->data);
	for (i = 0; i < n; i++) {
		float f = some_float(a);
		int64_t v = some_int(a);

		switch (t->dtype) {
		case KERF_F32: ((float *)t->data)[i] = f; break;
		case KERF_F64: ((double *)t->data)[i] = (double)f; break;
		case KERF_F16: ((uint16_t *)t->data)[i] = kerf_f32_to_f16(f); break;
		case KERF_BF16: ((uint16_t *)t->data)[i] = kerf_f32_to_bf16(f); break;
		case KERF_BOOL: ((uint8_t *)t->data)[i] = v & 1; break;
		default: memcpy((char *)t->data + i * size, &v, size); break;
		}
	}
}

static void some_tensor(struct attempt *a, struct kerf_tensor *t)
{
	int i;

	*t = (struct kerf_tensor){.dtype = below(a, 3) ? a->dtype : some_dtype(a)};
	switch (below(a, 4)) {
	case 0: t->rank = (int)below(a, 6); break;
	case 1: t->rank = (int)below(a, 2); break;
	default: t->rank = a->rank; break;
	}
	for (i = 0; i < t->rank; i++)
		t->dims[i] = below(a, 8) ? a->dims[i] : (int64_t)below(a, 6);
	fill(a, t);
}

static void some_attrs(struct attempt *a)
{
	uint32_t i, n = (uint32_t)below(a, MAX_ATTR), k;

	for (i = 0; i < n; i++) {
		struct kerf_attr *t = &a->attr[i];

		switch (below(a, 6)) {
		case 0:
		case 1:
			t->type = KERF_ATTR_INT;
			t->name = int_names[below(a, KERF_ARRAY_SIZE(int_names))];
			t->i = some_int(a);
			break;
		case 2:
		case 3:
			t->type = KERF_ATTR_INTS;
			t->name = list_names[below(a, KERF_ARRAY_SIZE(list_names))];
			t->n = (uint32_t)below(a, 4) ? (uint32_t)KERF_MAX(a->rank - 2, 0)
						     : (uint32_t)below(a, 7);
			if (!strcmp(t->name, "pads") && t->n < 4)
				t->n *= 2;
			for (k = 0; k < t->n; k++)
				a->ints[i][k] = some_int(a);
			t->ints = a->ints[i];
			break;
		case 4:
			t->type = below(a, 4) ? KERF_ATTR_FLOAT : KERF_ATTR_FLOATS;
			t->name = float_names[below(a, KERF_ARRAY_SIZE(float_names))];
			if (t->type == KERF_ATTR_FLOATS) {
				t->name = below(a, 2) ? "scales" : "activation_alpha";
				t->n = (uint32_t)below(a, 5);
				for (k = 0; k < t->n; k++)
					a->floats[i][k] = some_float(a);
				t->floats = a->floats[i];
			} else {
				t->f = some_float(a);
			}
			break;
		default:
			t->type = KERF_ATTR_STRING;
			t->name = string_names[below(a, KERF_ARRAY_SIZE(string_names))];
			t->s = words[below(a, KERF_ARRAY_SIZE(words))];
		}
	}
	a->op.n_attr = n;
	a->op.attr = a->attr;
}

static void some_inputs(struct attempt *a)
{
	const struct kerf_op_def *def = a->op.def;
	int most = def->max_in < 0 ? def->min_in + 2 : def->max_in, k;

	most = KERF_MIN(most, MAX_IN);
	a->op.n_in =
		def->min_in + (int)below(a, (uint64_t)(most - KERF_MIN(def->min_in, most)) + 1);
	a->op.n_in = KERF_MIN(a->op.n_in, MAX_IN);
	a->rank = (int)below(a, 5) + 1;
	a->dtype = some_dtype(a);
	for (k = 0; k < KERF_MAX_RANK; k++)
		a->dims[k] = (int64_t)below(a, 5) + 1;
	for (k = 0; k < a->op.n_in; k++)
		if (k < def->min_in || below(a, 4))
			some_tensor(a, &a->in[k]);
}

/* True if eval may be tried: everything promised is of a sane and small size. */
static bool allocate_outputs(struct attempt *a)
{
	bool ok = true;
	int k;

	for (k = 0; k < a->op.n_out; k++) {
		struct kerf_tensor *t = &a->out[k];

		if (!t->dtype)
			continue;
		if (!kerf_dtype_size(t->dtype) || kerf_tensor_check(t) ||
		    kerf_tensor_bytes(t) > 1 << 16)
			ok = false;
	}
	for (k = 0; ok && k < a->op.n_out; k++) {
		a->out[k].data = malloc(kerf_tensor_bytes(&a->out[k]) + 1);
		assert_non_null(a->out[k].data);
	}
	return ok;
}

/* 1 if eval succeeded. */
static int attempt(const struct kerf_op_def *def, uint64_t seed)
{
	struct attempt a = {
		.op = {.def = def, .name = "hostile", .in = a.ids, .out = a.ids + MAX_IN}};
	struct kerf_err err;
	int k, r, done = 0;

	err.msg[0] = 0;
	kerf_rng_seed(&a.rng, seed);
	a.op.opset = def->since +
		     (int)below(&a, (uint64_t)((def->until ? def->until : 21) - def->since) + 1);
	some_inputs(&a);
	some_attrs(&a);
	a.op.nhwc = def->flags & KERF_OP_SPATIAL && below(&a, 3) == 0;
	a.op.n_out = KERF_MIN(def->max_out < 0 ? def->min_out + 1 : def->max_out, MAX_OUT);
	if (below(&a, 2))
		a.op.n_out = KERF_MIN(KERF_MAX(def->min_out, 1), a.op.n_out);
	for (k = 0; k < a.op.n_out; k++)
		a.out[k].dtype = KERF_F32;
	r = def->infer(&a.op, a.in, a.out, &err);
	for (k = 0; k < a.op.n_out; k++)
		a.out[k].data = NULL; /* infer may copy an input's description */
	assert_true(r <= 0);
	assert_true(memchr(err.msg, 0, sizeof(err.msg)) != NULL);
	if (!r && allocate_outputs(&a)) {
		r = kerf_op_eval(&a.op, a.in, a.out);
		assert_true(r <= 0);
		done = !r;
		if (def->flops)
			assert_true(def->flops(&a.op, a.in, a.out) >= 0);
	}
	for (k = 0; k < MAX_IN; k++)
		free(a.in[k].data);
	for (k = 0; k < a.op.n_out; k++)
		free(a.out[k].data);
	return done;
}

static void test_all(void **state)
{
	const struct kerf_op_def *def;
	unsigned i, k, computed = 0;

	for (i = 0; (def = kerf_op_at(i)); i++)
		for (k = 0; k < ROUNDS; k++)
			computed += (unsigned)attempt(def, i * ROUNDS + k);
	print_message("%u operators, %u of %u attempts computed\n", i, computed, i * ROUNDS);
	assert_true(computed > i * ROUNDS / 50);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
