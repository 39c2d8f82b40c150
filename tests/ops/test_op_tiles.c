/* SPDX-License-Identifier: MIT */
/*
 * Operators with a rows rule, on random shapes and attributes: the channels-last
 * form gives the bits of the channels-first one, and any row range, computed from
 * the rows that rows() names (more of them where the operator allows), gives the
 * bits of the whole run. Then single things of these operators are spoilt: that may be
 * refused, and may not crash.
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

#define MAX_IN 9
#define MAX_ATTR 10

/* One operator with its inputs in ONNX's order. */
struct probe {
	struct kerf_rng rng;
	struct kerf_op op;
	struct kerf_tensor in[MAX_IN];
	struct kerf_attr attr[MAX_ATTR];
	int64_t ints[MAX_ATTR][6];
	uint32_t images; /* bit i: input i is an image and follows the layout */
	int32_t ids[MAX_IN];
};

static int64_t between(struct probe *p, int64_t lo, int64_t hi)
{
	return lo + (int64_t)kerf_rng_below(&p->rng, (uint64_t)(hi - lo + 1));
}

static void *allocated(size_t bytes)
{
	void *m = calloc(1, bytes + 1);

	assert_non_null(m);
	return m;
}

static void fill(struct probe *p, struct kerf_tensor *t)
{
	int64_t i, n = kerf_tensor_count(t);

	t->data = allocated(kerf_tensor_bytes(t));
	for (i = 0; i < n; i++) {
		float v = kerf_rng_float(&p->rng) * 4 - 2;

		switch (t->dtype) {
		case KERF_F32: ((float *)t->data)[i] = v; break;
		case KERF_F16: ((uint16_t *)t->data)[i] = kerf_f32_to_f16(v); break;
		case KERF_I32: ((int32_t *)t->data)[i] = (int32_t)between(p, -2000, 2000); break;
		default: ((uint8_t *)t->data)[i] = (uint8_t)kerf_rng_next(&p->rng);
		}
	}
}

static struct kerf_tensor *input(struct probe *p, enum kerf_dtype dtype, int rank,
				 const int64_t *dims)
{
	struct kerf_tensor *t = &p->in[p->op.n_in++];

	*t = (struct kerf_tensor){.dtype = dtype, .rank = rank};
	memcpy(t->dims, dims, (size_t)rank * sizeof(*dims));
	fill(p, t);
	return t;
}

static struct kerf_tensor *vector(struct probe *p, enum kerf_dtype dtype, int64_t n)
{
	return input(p, dtype, 1, &n);
}

/* A positive scale around s for each of n; a zero point of dtype for each. */
static void quant_params(struct probe *p, float s, enum kerf_dtype dtype, int64_t n)
{
	struct kerf_tensor *t = vector(p, KERF_F32, n);
	int64_t i;

	for (i = 0; i < n; i++)
		((float *)t->data)[i] = s * (0.5f + kerf_rng_float(&p->rng));
	vector(p, dtype, n);
}

static struct kerf_attr *attr(struct probe *p, const char *name, enum kerf_attr_type type)
{
	struct kerf_attr *a = &p->attr[p->op.n_attr++];

	assert_true(p->op.n_attr <= MAX_ATTR);
	*a = (struct kerf_attr){.name = name, .type = type};
	return a;
}

static void attr_int(struct probe *p, const char *name, int64_t v)
{
	attr(p, name, KERF_ATTR_INT)->i = v;
}

static void attr_string(struct probe *p, const char *name, const char *s)
{
	attr(p, name, KERF_ATTR_STRING)->s = s;
}

static int64_t *attr_ints(struct probe *p, const char *name, uint32_t n)
{
	struct kerf_attr *a = attr(p, name, KERF_ATTR_INTS);

	a->n = n;
	a->ints = p->ints[p->op.n_attr - 1];
	return p->ints[p->op.n_attr - 1];
}

/* An image [N, C, spatial...]. */
static struct kerf_tensor *image(struct probe *p, enum kerf_dtype dtype, int64_t c, int spatial,
				 int64_t most)
{
	int64_t d[5] = {between(p, 1, 2), c};
	int i;

	for (i = 0; i < spatial; i++)
		d[2 + i] = between(p, 1, most);
	p->images |= 1u << p->op.n_in;
	return input(p, dtype, spatial + 2, d);
}

/* strides, dilations and pads or auto_pad of a window of the kernel k. */
static void window(struct probe *p, int n, const int64_t *k, bool dilate)
{
	static const char *const autos[] = {"SAME_UPPER", "SAME_LOWER", "VALID"};
	int64_t *v;
	int i;

	v = attr_ints(p, "strides", (uint32_t)n);
	for (i = 0; i < n; i++)
		v[i] = between(p, 1, 3);
	if (dilate && between(p, 0, 1)) {
		v = attr_ints(p, "dilations", (uint32_t)n);
		for (i = 0; i < n; i++)
			v[i] = between(p, 1, 2);
	}
	if (!between(p, 0, 3)) {
		attr_string(p, "auto_pad", autos[between(p, 0, 2)]);
		return;
	}
	v = attr_ints(p, "pads", 2 * (uint32_t)n);
	for (i = 0; i < 2 * n; i++)
		v[i] = between(p, 0, k[i % n] - 1);
}

static void make_conv(struct probe *p, bool integer)
{
	int n = (int)between(p, 1, 3), i;
	int64_t group = between(p, 1, 3), in = between(p, 1, 3), out = between(p, 1, 3), w[5];
	enum kerf_dtype dtype = between(p, 0, 3) ? KERF_F32 : KERF_F16;

	image(p, integer ? KERF_U8 : dtype, group * in, n, n == 3 ? 6 : 12);
	w[0] = group * out;
	w[1] = in;
	for (i = 0; i < n; i++)
		w[2 + i] = between(p, 1, 4);
	input(p, integer ? KERF_I8 : dtype, n + 2, w);
	attr_int(p, "group", group);
	window(p, n, w + 2, true);
	if (integer) {
		vector(p, KERF_U8, 1);
		vector(p, KERF_I8, between(p, 0, 1) ? 1 : w[0]);
	} else if (between(p, 0, 1)) {
		vector(p, dtype, w[0]);
		if (between(p, 0, 1))
			vector(p, dtype, w[0]);
	}
}

static void make_conv_float(struct probe *p)
{
	struct kerf_tensor y = {.dtype = KERF_F32};

	make_conv(p, false);
	if (between(p, 0, 1) || p->op.def->infer(&p->op, p->in, &y, NULL))
		return;
	p->op.n_in = 4; /* bias and factors may be absent */
	p->images |= 1 << 4;
	input(p, y.dtype, y.rank, y.dims);
}

static void make_conv_integer(struct probe *p)
{
	make_conv(p, true);
}

static void make_qlinear_conv(struct probe *p)
{
	int64_t group = between(p, 1, 2), in = between(p, 1, 3), w[4] = {group * 2, in};

	image(p, KERF_U8, group * in, 2, 12);
	quant_params(p, 0.02f, KERF_U8, 1);
	w[2] = between(p, 1, 3);
	w[3] = between(p, 1, 3);
	input(p, KERF_I8, 4, w);
	quant_params(p, 0.01f, KERF_I8, between(p, 0, 1) ? 1 : w[0]);
	quant_params(p, 0.1f, KERF_U8, 1);
	if (between(p, 0, 1))
		vector(p, KERF_I32, w[0]);
	attr_int(p, "group", group);
	window(p, 2, w + 2, true);
	if (between(p, 0, 1))
		p->op.act.kind = KERF_ACT_RELU;
}

static void make_transposed(struct probe *p)
{
	int n = (int)between(p, 1, 3), i;
	int64_t group = between(p, 1, 2), w[5] = {group * 2, between(p, 1, 2)}, *v;

	image(p, KERF_F32, w[0], n, n == 3 ? 4 : 8);
	for (i = 0; i < n; i++)
		w[2 + i] = between(p, 1, 4);
	input(p, KERF_F32, n + 2, w);
	if (between(p, 0, 1))
		vector(p, KERF_F32, group * w[1]);
	attr_int(p, "group", group);
	window(p, n, w + 2, true);
	if (between(p, 0, 1)) {
		v = attr_ints(p, "output_padding", (uint32_t)n);
		for (i = 0; i < n; i++)
			v[i] = between(p, 0, 1);
	}
}

static void make_pool_of(struct probe *p, enum kerf_dtype dtype, bool quant)
{
	int n = (int)between(p, 1, 3), i;
	int64_t k[3];

	image(p, dtype, between(p, 1, 4), n, n == 3 ? 6 : 12);
	if (quant) {
		quant_params(p, 0.1f, KERF_U8, 1);
		quant_params(p, 0.1f, KERF_U8, 1);
	}
	for (i = 0; i < n; i++)
		k[i] = between(p, 1, 4);
	memcpy(attr_ints(p, "kernel_shape", (uint32_t)n), k, (size_t)n * sizeof(*k));
	window(p, n, k, true);
	attr_int(p, "ceil_mode", between(p, 0, 1));
	attr_int(p, "count_include_pad", between(p, 0, 1));
}

static void make_pool(struct probe *p)
{
	make_pool_of(p, KERF_F32, false);
}

static void make_max_pool(struct probe *p)
{
	static const enum kerf_dtype dtypes[] = {KERF_F32, KERF_F16, KERF_U8, KERF_I8};

	make_pool_of(p, dtypes[between(p, 0, 3)], false);
}

static void make_quant_pool(struct probe *p)
{
	make_pool_of(p, KERF_U8, true);
}

static void make_global(struct probe *p)
{
	image(p, KERF_F32, between(p, 1, 4), (int)between(p, 1, 3), 7);
}

static void make_quant_global(struct probe *p)
{
	image(p, KERF_U8, between(p, 1, 4), 2, 7);
	quant_params(p, 0.1f, KERF_U8, 1);
	quant_params(p, 0.1f, KERF_U8, 1);
}

static void make_batch_norm(struct probe *p)
{
	int64_t c = between(p, 1, 5), i;

	image(p, KERF_F32, c, 2, 8);
	for (i = 0; i < 4; i++)
		vector(p, KERF_F32, c);
	for (i = 0; i < c; i++)
		((float *)p->in[4].data)[i] = kerf_rng_float(&p->rng) + 0.1f;
}

static void make_lrn(struct probe *p)
{
	image(p, between(p, 0, 1) ? KERF_F32 : KERF_F16, between(p, 1, 9), 2, 8);
	attr_int(p, "size", between(p, 1, 6));
}

static void make_lp_norm(struct probe *p)
{
	image(p, KERF_F32, between(p, 1, 9), 2, 8);
	attr_int(p, "axis", 1);
	attr_int(p, "p", between(p, 1, 2));
}

static void make_to_space(struct probe *p)
{
	int64_t b = between(p, 1, 3);

	image(p, between(p, 0, 1) ? KERF_F32 : KERF_U8, b * b * between(p, 1, 3), 2, 6);
	attr_int(p, "blocksize", b);
	attr_string(p, "mode", between(p, 0, 1) ? "DCR" : "CRD");
}

static void make_to_depth(struct probe *p)
{
	int64_t b = between(p, 1, 3),
		d[4] = {1, between(p, 1, 3), b * between(p, 1, 5), b * between(p, 1, 5)};

	p->images = 1;
	input(p, KERF_F32, 4, d);
	attr_int(p, "blocksize", b);
}

static void make_resize(struct probe *p)
{
	static const char *const modes[] = {"nearest", "linear", "cubic"};
	static const char *const coords[] = {
		"half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners",
		"asymmetric", "tf_half_pixel_for_nn", "tf_crop_and_resize",
	};
	static const char *const rounds[] = {"round_prefer_floor", "round_prefer_ceil", "floor",
					     "ceil"};
	struct kerf_tensor *x = image(p, KERF_F32, between(p, 1, 3), 2, 9), *t;
	int i;

	attr_string(p, "mode", modes[between(p, 0, 2)]);
	attr_string(p, "coordinate_transformation_mode", coords[between(p, 0, 6)]);
	attr_string(p, "nearest_mode", rounds[between(p, 0, 3)]);
	attr_int(p, "exclude_outside", between(p, 0, 1));
	attr(p, "extrapolation_value", KERF_ATTR_FLOAT)->f = 3;
	t = vector(p, KERF_F32, 8);
	for (i = 0; i < 8; i++)
		((float *)t->data)[i] = i < 4 ? 0 : 1;
	for (i = 2; i < 4; i++) {
		((float *)t->data)[i] = kerf_rng_float(&p->rng) * 0.5f - 0.2f;
		((float *)t->data)[4 + i] = 0.6f + kerf_rng_float(&p->rng) * 0.6f;
	}
	t = vector(p, KERF_F32, 4);
	for (i = 0; i < 4; i++)
		((float *)t->data)[i] = i < 2 ? 1 : 0.3f + 3 * kerf_rng_float(&p->rng);
	if (!between(p, 0, 1))
		return;
	t->dims[0] = 0;
	t = vector(p, KERF_U8, 4 * 8);
	t->dtype = KERF_I64;
	t->dims[0] = 4;
	for (i = 0; i < 4; i++)
		((int64_t *)t->data)[i] = i < 2 ? x->dims[i] : between(p, 1, 20);
}

static void make_quantize(struct probe *p)
{
	int64_t c = between(p, 1, 4);

	image(p, KERF_F32, c, 2, 8);
	quant_params(p, 0.05f, KERF_U8, 1);
}

static const struct {
	const char *name;
	int opset;
	void (*make)(struct probe *p);
} cases[] = {
	{"Conv", 11, make_conv_float},
	{"ConvTranspose", 11, make_transposed},
	{"ConvInteger", 10, make_conv_integer},
	{"QLinearConv", 10, make_qlinear_conv},
	{"MaxPool", 12, make_max_pool},
	{"AveragePool", 19, make_pool},
	{"LpPool", 18, make_pool},
	{"qAveragePool", 13, make_quant_pool},
	{"GlobalAveragePool", 1, make_global},
	{"GlobalMaxPool", 1, make_global},
	{"qGlobalAveragePool", 13, make_quant_global},
	{"BatchNormalization", 15, make_batch_norm},
	{"LRN", 13, make_lrn},
	{"LpNormalization", 13, make_lp_norm},
	{"DepthToSpace", 13, make_to_space},
	{"SpaceToDepth", 13, make_to_depth},
	{"Resize", 19, make_resize},
	{"QuantizeLinear", 13, make_quantize},
};

/* t in the other layout, in memory of its own. */
static struct kerf_tensor turned(const struct kerf_tensor *t)
{
	struct kerf_tensor y = *t;
	int64_t n, c, i, inner = 1;
	size_t e = kerf_dtype_size(t->dtype);

	memmove(&y.dims[1], &t->dims[2], (size_t)(t->rank - 2) * sizeof(*y.dims));
	y.dims[y.rank - 1] = t->dims[1];
	for (i = 2; i < t->rank; i++)
		inner *= t->dims[i];
	y.data = allocated(kerf_tensor_bytes(t));
	for (n = 0; n < t->dims[0]; n++)
		for (c = 0; c < t->dims[1]; c++)
			for (i = 0; i < inner; i++)
				memcpy((char *)y.data +
					       ((size_t)((n * inner + i) * t->dims[1] + c)) * e,
				       (char *)t->data +
					       ((size_t)((n * t->dims[1] + c) * inner + i)) * e,
				       e);
	return y;
}

/* Rows [begin, end) of axis 1. */
static struct kerf_tensor cut(const struct kerf_tensor *t, int64_t begin, int64_t end)
{
	struct kerf_tensor y = *t;
	size_t row = kerf_dtype_size(t->dtype);
	int64_t n;
	int i;

	for (i = 2; i < t->rank; i++)
		row *= (size_t)t->dims[i];
	y.dims[1] = end - begin;
	y.data = allocated(kerf_tensor_bytes(&y));
	for (n = 0; n < t->dims[0]; n++)
		memcpy((char *)y.data + (size_t)(n * y.dims[1]) * row,
		       (char *)t->data + (size_t)(n * t->dims[1] + begin) * row,
		       (size_t)y.dims[1] * row);
	return y;
}

static void assert_same(const char *what, const struct probe *p, const struct kerf_tensor *a,
			const struct kerf_tensor *b)
{
	char ta[KERF_SHAPE_TEXT], tb[KERF_SHAPE_TEXT];

	if (!kerf_tensor_same_shape(a, b) || memcmp(a->data, b->data, kerf_tensor_bytes(a)))
		fail_msg("%s %s: %s is not %s", p->op.def->name, what, kerf_tensor_text(a, ta),
			 kerf_tensor_text(b, tb));
}

static void check_tile(struct probe *p, const struct kerf_tensor *in,
		       const struct kerf_tensor *whole)
{
	struct kerf_tensor part[MAX_IN], out, expected;
	struct kerf_op op = p->op;
	struct kerf_rows want, need = {0, 0};
	bool window = op.def->flags & KERF_OP_WINDOW;
	int k;

	want.begin = between(p, 0, whole->dims[1] - 1);
	want.end = between(p, want.begin + 1, whole->dims[1]);
	for (k = 0; k < op.n_in; k++) {
		part[k] = in[k];
		if (!(p->images >> k & 1))
			continue;
		assert_int_equal(kerf_op_rows(&op, in, whole, k, want, &need), 0);
		assert_true(need.begin >= 0 && need.begin < need.end && need.end <= in[k].dims[1]);
		if (k == 0 && window) {
			need.begin -= between(p, 0, KERF_MIN(need.begin, 2));
			need.end += between(p, 0, KERF_MIN(in[k].dims[1] - need.end, 2));
		}
		part[k] = cut(&in[k], need.begin, need.end);
		if (k == 0)
			op.tile = (struct kerf_op_tile){need.begin, in[k].dims[1], want.begin,
							whole->dims[1]};
	}
	expected = cut(whole, want.begin, want.end);
	out = expected;
	out.data = allocated(kerf_tensor_bytes(&out));
	assert_int_equal(kerf_op_eval(&op, part, &out), 0);
	assert_same("tile", p, &out, &expected);
	free(out.data);
	free(expected.data);
	for (k = 0; k < op.n_in; k++)
		if (p->images >> k & 1)
			free(part[k].data);
}

/* True if the random attributes made a legal operator, which was then checked. */
static bool check_one(struct probe *p)
{
	struct kerf_tensor in[MAX_IN], out = {.dtype = KERF_F32}, last = {.dtype = KERF_F32}, other;
	int k, tiles = 6;

	if (p->op.def->infer(&p->op, p->in, &out, NULL) || !kerf_tensor_count(&out))
		return false;
	out.data = allocated(kerf_tensor_bytes(&out));
	assert_int_equal(kerf_op_eval(&p->op, p->in, &out), 0);
	for (k = 0; k < p->op.n_in; k++)
		in[k] = p->images >> k & 1 ? turned(&p->in[k]) : p->in[k];
	p->op.nhwc = true;
	assert_int_equal(p->op.def->infer(&p->op, in, &last, NULL), 0);
	last.data = allocated(kerf_tensor_bytes(&last));
	assert_int_equal(kerf_op_eval(&p->op, in, &last), 0);
	other = turned(&out);
	assert_same("channels last", p, &last, &other);
	while (tiles--)
		check_tile(p, in, &last);
	free(other.data);
	free(last.data);
	free(out.data);
	for (k = 0; k < p->op.n_in; k++)
		if (p->images >> k & 1)
			free(in[k].data);
	return true;
}

/* One thing of a legal operator changed: refused, or computed within its memory. */
static void check_spoilt(struct probe *p)
{
	static const int64_t extremes[] = {INT64_MIN, INT64_MAX, -1, 0, 1 << 24, 7};
	struct kerf_tensor *t = &p->in[between(p, 0, p->op.n_in - 1)], was = *t;
	struct kerf_attr *a = p->op.n_attr ? &p->attr[between(p, 0, p->op.n_attr - 1)] : NULL;
	struct kerf_tensor out = {.dtype = KERF_F32};
	int64_t *place = NULL, old = 0;

	switch (between(p, 0, a ? 3 : 1)) {
	case 0:
		if (t->rank)
			t->dims[between(p, 0, t->rank - 1)] = between(p, 0, 1);
		break;
	case 1: t->dtype = between(p, 0, 1) ? KERF_U8 : KERF_I8; break;
	default:
		if (a->type == KERF_ATTR_INT)
			place = &a->i;
		else if (a->type == KERF_ATTR_INTS)
			place = &p->ints[a - p->attr][between(p, 0, a->n - 1)];
		if (!place)
			return;
		old = *place;
		*place = extremes[between(p, 0, KERF_ARRAY_SIZE(extremes) - 1)];
	}
	if (!p->op.def->infer(&p->op, p->in, &out, NULL) && !kerf_tensor_check(&out) &&
	    kerf_tensor_bytes(&out) < 1 << 16) {
		out.data = allocated(kerf_tensor_bytes(&out));
		assert_true(kerf_op_eval(&p->op, p->in, &out) <= 0);
		free(out.data);
	}
	*t = was;
	if (place)
		*place = old;
}

static void test_case(void **state)
{
	unsigned i = *(unsigned *)*state, seed, made = 0;
	int k;

	for (seed = 0; seed < 300; seed++) {
		struct probe p = {.op = {.name = "probe", .opset = cases[i].opset, .n_out = 1}};

		kerf_rng_seed(&p.rng, seed * 1000 + i);
		p.op.def = kerf_op_find(NULL, cases[i].name, cases[i].opset);
		assert_non_null(p.op.def);
		p.op.attr = p.attr;
		p.op.in = p.op.out = p.ids;
		cases[i].make(&p);
		made += check_one(&p);
		p.op.nhwc = false;
		for (k = 0; k < 20; k++)
			check_spoilt(&p);
		for (k = 0; k < MAX_IN; k++)
			free(p.in[k].data);
	}
	assert_true(made > 100);
}

int main(void)
{
	struct CMUnitTest tests[KERF_ARRAY_SIZE(cases)];
	unsigned index[KERF_ARRAY_SIZE(cases)], i;

	for (i = 0; i < KERF_ARRAY_SIZE(cases); i++) {
		index[i] = i;
		tests[i] = (struct CMUnitTest){cases[i].name, test_case, NULL, NULL, &index[i]};
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
