/* SPDX-License-Identifier: MIT */
/* QDQ islands: what each becomes, and that it computes what the float operators did. */
#include "graph/rewrite.h"

#include "graph_build.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static int32_t b_bytes(struct kerf_graph *g, enum kerf_dtype dtype, int rank, const int64_t *dims,
                       int value)
{
	int32_t v = b_value(g, NULL, dtype, rank, dims);
	struct kerf_tensor *t = &g->value[v].t;
	struct kerf_rng rng;
	int64_t i;

	kerf_rng_seed(&rng, (uint64_t)v + 5);
	t->data = kerf_graph_alloc(g, kerf_tensor_bytes(t));
	for (i = 0; i < kerf_tensor_count(t); i++)
		((uint8_t *)t->data)[i] =
			(uint8_t)(value >= 0 ? value : (int)kerf_rng_below(&rng, 255) - 127);
	return v;
}

/* Quantised to steps of scale and back. */
static int32_t b_qdq(struct kerf_graph *g, int32_t x, float scale, int zero)
{
	int32_t s = b_scalar(g, scale), z = b_bytes(g, KERF_U8, 0, NULL, zero);
	int32_t q = b_op(g, "QuantizeLinear", IN(x, s, z), NO_ATTR);

	return b_op(g, "DequantizeLinear", IN(q, s, z), NO_ATTR);
}

/* Weights: int8 constants with one scale for each of dims[axis] channels. */
static int32_t b_weights(struct kerf_graph *g, int64_t axis, int rank, const int64_t *dims)
{
	int32_t w = b_bytes(g, KERF_I8, rank, dims, -1);
	int32_t s = b_const(g, 0.002f, 0.01f, DIMS(dims[axis]));
	int32_t z = b_bytes(g, KERF_I8, 1, &dims[axis], 0);

	return b_op(g, "DequantizeLinear", IN(w, s, z), ATTR(A_INT("axis", axis)));
}

/*
 * Rewrites; outputs may differ by `steps` of `scale`. Leaves the rewritten graph in *out
 * if that is not NULL.
 */
static void check(struct kerf_graph *(*make)(void), float scale, double steps,
                  struct kerf_graph **out)
{
	struct kerf_graph *a = make(), *b = make();
	struct kerf_tensor x, y;
	struct kerf_err err = {""};
	double most = 0;
	uint64_t seed;
	int64_t i;

	if (kerf_rewrite(b, &err) || kerf_graph_verify(b, &err))
		fail_msg("%s", err.msg);
	for (seed = 1; seed < 6; seed++) {
		assert_int_equal(graph_eval(a, seed, &x), 0);
		assert_int_equal(graph_eval(b, seed, &y), 0);
		assert_true(x.dtype == y.dtype && kerf_tensor_same_shape(&x, &y));
		for (i = 0; i < kerf_tensor_count(&x); i++)
			most = fmax(most,
			            fabs(kerf_tensor_float(&x, i) - kerf_tensor_float(&y, i)));
		graph_eval_free(a, &x);
		graph_eval_free(b, &y);
	}
	if (most > scale * steps * 1.0001)
		fail_msg("differs by %g, a step is %g", most, (double)scale);
	kerf_graph_unref(a);
	if (out)
		*out = b;
	else
		kerf_graph_unref(b);
}

static uint32_t total_floats(const struct kerf_graph *g)
{
	return count_ops(g, "Conv") + count_ops(g, "Gemm") + count_ops(g, "MatMul") +
	       count_ops(g, "Add") + count_ops(g, "Mul") + count_ops(g, "Concat") +
	       count_ops(g, "Relu") + count_ops(g, "Sigmoid") + count_ops(g, "AveragePool") +
	       count_ops(g, "GlobalAveragePool");
}

static int32_t input(struct kerf_graph *g)
{
	return b_qdq(g, b_input(g, "x", DIMS(1, 4, 8, 9)), 1.0f / 120, 128);
}

static struct kerf_graph *make_conv(void)
{
	struct kerf_graph *g = kerf_graph_new("conv");
	int32_t w = b_weights(g, 0, DIMS(6, 4, 3, 3)), b = b_const(g, -1, 1, DIMS(6)), t;

	t = b_op(g, "Conv", IN(input(g), w, b), ATTR(A_INTS("pads", 1, 1, 1, 1)));
	t = b_op(g, "Clip", IN(t, b_scalar(g, 0), b_scalar(g, 2)), NO_ATTR);
	kerf_graph_add_output(g, b_qdq(g, t, 0.02f, 10));
	return g;
}

static void test_conv(void **state)
{
	struct kerf_graph *g;

	check(make_conv, 0.02f, 1, &g);
	assert_int_equal(count_ops(g, "QLinearConv"), 1);
	assert_int_equal(total_floats(g) + count_ops(g, "Clip"), 0);
	assert_int_equal(count_ops(g, "QuantizeLinear"), 1);
	assert_int_equal(count_ops(g, "DequantizeLinear"), 1);
	kerf_graph_unref(g);
}

/* A residual block, pooling and a classifier. */
static struct kerf_graph *make_residual(void)
{
	struct kerf_graph *g = kerf_graph_new("residual");
	int32_t x = input(g), t, u;

	t = b_op(g, "Conv", IN(x, b_weights(g, 0, DIMS(4, 4, 3, 3))),
	         ATTR(A_INTS("pads", 1, 1, 1, 1)));
	t = b_qdq(g, b_op(g, "Relu", IN(t), NO_ATTR), 0.01f, 0);
	t = b_op(g, "Conv", IN(t, b_weights(g, 0, DIMS(4, 1, 3, 3))),
	         ATTR(A_INTS("pads", 1, 1, 1, 1), A_INT("group", 4)));
	t = b_qdq(g, t, 0.02f, 120);
	t = b_op(g, "Relu", IN(b_op(g, "Add", IN(t, x), NO_ATTR)), NO_ATTR);
	t = b_qdq(g, t, 0.02f, 0);
	t = b_op(g, "MaxPool", IN(t), ATTR(A_INTS("kernel_shape", 2, 2), A_INTS("strides", 2, 2)));
	t = b_qdq(g, t, 0.02f, 0);
	u = b_op(g, "AveragePool", IN(t),
	         ATTR(A_INTS("kernel_shape", 3, 3), A_INTS("pads", 1, 1, 1, 1)));
	u = b_qdq(g, u, 0.015f, 3);
	t = b_qdq(g, b_op(g, "Concat", IN(t, u), ATTR(A_INT("axis", 1))), 0.02f, 0);
	t = b_qdq(g, b_op(g, "GlobalAveragePool", IN(t), NO_ATTR), 0.01f, 0);
	t = b_qdq(g, b_op(g, "Flatten", IN(t), NO_ATTR), 0.01f, 0);
	t = b_op(g, "Gemm", IN(t, b_weights(g, 0, DIMS(10, 8)), b_const(g, -1, 1, DIMS(10))),
	         ATTR(A_INT("transB", 1)));
	kerf_graph_add_output(g, b_qdq(g, t, 0.01f, 128));
	return g;
}

static void test_residual(void **state)
{
	struct kerf_graph *g;

	/* A step lost early may move the last sum by a few of its own. */
	check(make_residual, 0.01f, 2, &g);
	assert_int_equal(count_ops(g, "QLinearConv"), 2);
	assert_int_equal(count_ops(g, "qAdd"), 1);
	assert_int_equal(count_ops(g, "qAveragePool"), 1);
	assert_int_equal(count_ops(g, "qConcat"), 1);
	assert_int_equal(count_ops(g, "qGlobalAveragePool"), 1);
	assert_int_equal(count_ops(g, "qGemm"), 1);
	assert_int_equal(total_floats(g), 0);
	assert_int_equal(count_ops(g, "QuantizeLinear"), 1);
	assert_int_equal(count_ops(g, "DequantizeLinear"), 1);
	assert_int_equal(count_ops(g, "Transpose"), 1);
	kerf_graph_unref(g);
}

/* What moves or maps elements, or changes the zero point alone, is exact. */
static struct kerf_graph *make_exact(void)
{
	struct kerf_graph *g = kerf_graph_new("exact");
	int32_t t = b_qdq(g, b_op(g, "Sigmoid", IN(input(g)), NO_ATTR), 1.0f / 255, 0);

	t = b_qdq(g, b_op(g, "LeakyRelu", IN(t), NO_ATTR), 0.004f, 7);
	t = b_op(g, "MaxPool", IN(t),
	         ATTR(A_INTS("kernel_shape", 3, 3), A_INTS("pads", 1, 1, 1, 1)));
	t = b_qdq(g, t, 0.004f, 9);
	t = b_qdq(g, b_op(g, "Transpose", IN(t), ATTR(A_INTS("perm", 0, 1, 3, 2))), 0.004f, 9);
	t = b_qdq(g, b_op(g, "Pad", IN(t, b_ints(g, DIMS(0, 0, 1, 0, 0, 0, 0, 2))), NO_ATTR),
	          0.004f, 9);
	t = b_qdq(g, b_op(g, "Relu", IN(t), NO_ATTR), 0.004f, 1);
	t = b_qdq(g, b_reshape(g, t, DIMS(1, -1)), 0.004f, 1);
	kerf_graph_add_output(g, t);
	return g;
}

static void test_exact(void **state)
{
	struct kerf_graph *g;

	check(make_exact, 0, 0, &g);
	assert_int_equal(count_ops(g, "qLut"), 2);
	assert_int_equal(count_ops(g, "QuantizeLinear"), 1);
	assert_int_equal(count_ops(g, "DequantizeLinear"), 1);
	kerf_graph_unref(g);
}

static struct kerf_graph *make_matmul(void)
{
	struct kerf_graph *g = kerf_graph_new("matmul");
	int32_t x = b_qdq(g, b_input(g, "x", DIMS(2, 5, 8)), 1.0f / 120, 128), t, u;

	t = b_op(g, "MatMul", IN(x, b_weights(g, 1, DIMS(8, 8))), NO_ATTR);
	t = b_qdq(g, b_op(g, "Add", IN(b_const(g, -1, 1, DIMS(8)), t), NO_ATTR), 0.02f, 128);
	u = b_qdq(g, b_op(g, "Transpose", IN(t), ATTR(A_INTS("perm", 0, 2, 1))), 0.02f, 128);
	t = b_qdq(g, b_op(g, "MatMul", IN(x, u), NO_ATTR), 0.03f, 128);
	kerf_graph_add_output(g, t);
	return g;
}

static void test_matmul(void **state)
{
	struct kerf_graph *g;

	/* The second product sums 8 values of which each may be one step of 0.02 off. */
	check(make_matmul, 0.03f, 4, &g);
	assert_int_equal(count_ops(g, "qGemm"), 1);
	assert_int_equal(count_ops(g, "QLinearMatMul"), 1);
	assert_int_equal(total_floats(g), 0);
	kerf_graph_unref(g);
}

/* Weights alone are quantised: they become float constants, the Conv stays one. */
static struct kerf_graph *make_weights_only(void)
{
	struct kerf_graph *g = kerf_graph_new("weights");
	int32_t x = b_input(g, "x", DIMS(1, 4, 8, 9));

	kerf_graph_add_output(g,
	                      b_op(g, "Conv", IN(x, b_weights(g, 0, DIMS(6, 4, 3, 3))), NO_ATTR));
	return g;
}

static void test_weights_only(void **state)
{
	struct kerf_graph *g;

	check(make_weights_only, 1e-6f, 1, &g);
	assert_int_equal(count_ops(g, "Conv"), 1);
	assert_int_equal(count_ops(g, "DequantizeLinear"), 0);
	kerf_graph_unref(g);
}

/* Resize that only moves elements, but for those it makes: they are 0.75, not a byte. */
static struct kerf_graph *make_crop(void)
{
	struct kerf_graph *g = kerf_graph_new("crop");
	int32_t x = b_qdq(g, b_input(g, "x", DIMS(1, 1, 4, 4)), 1.0f / 100, 128), t;
	int32_t roi = b_const(g, 0, 1, DIMS(8));
	static const float corners[] = {0, 0, -0.5f, -0.5f, 1, 1, 1.5f, 1.5f};

	memcpy(g->value[roi].t.data, corners, sizeof(corners));
	t = b_op(g, "Resize", IN(x, roi, -1, b_ints(g, DIMS(1, 1, 8, 8))),
	         ATTR(A_STRING("mode", "nearest"), A_FLOAT("extrapolation_value", 0.75f),
	              A_STRING("coordinate_transformation_mode", "tf_crop_and_resize")));
	kerf_graph_add_output(g, b_qdq(g, t, 1.0f / 100, 128));
	return g;
}

static void test_crop(void **state)
{
	check(make_crop, 1.0f / 100, 0.1, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_conv),         cmocka_unit_test(test_residual),
		cmocka_unit_test(test_exact),        cmocka_unit_test(test_matmul),
		cmocka_unit_test(test_weights_only), cmocka_unit_test(test_crop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
