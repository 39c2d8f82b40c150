/* SPDX-License-Identifier: MIT */
/* The quantised arithmetic, and the operators that use it. */
#include "op_probe.h"

#include "graph/quant.h"

static void test_round(void **state)
{
	assert_int_equal(kerf_quant_round(0.5f, 0, -128, 127), 0);
	assert_int_equal(kerf_quant_round(1.5f, 0, -128, 127), 2);
	assert_int_equal(kerf_quant_round(-2.5f, 10, -128, 127), 8);
	assert_int_equal(kerf_quant_round(1e30f, 10, 0, 255), 255);
	assert_int_equal(kerf_quant_round(-1e30f, 10, 0, 255), 0);
	assert_int_equal(kerf_quant_round(NAN, 10, 0, 255), 0);
	assert_int_equal(kerf_quant_acc(INT32_MIN, 1e-7f, 128, 0, 255), 0);
	assert_int_equal(kerf_quant_acc(3, 0.5f, 128, 0, 255), 130);
}

static void test_bounds(void **state)
{
	struct kerf_act clip = {KERF_ACT_CLIP, 0, 6}, relu = {KERF_ACT_RELU, 0, 0};
	struct kerf_act tanh_act = {KERF_ACT_TANH, 0, 0};
	int32_t lo, hi;

	assert_true(kerf_quant_bounds(&clip, KERF_U8, 0.1f, 20, &lo, &hi));
	assert_int_equal(lo, 20);
	assert_int_equal(hi, 80);
	assert_true(kerf_quant_bounds(&clip, KERF_I8, 0.01f, 0, &lo, &hi));
	assert_int_equal(hi, 127);
	assert_true(kerf_quant_bounds(&relu, KERF_I8, 0.1f, -128, &lo, &hi));
	assert_int_equal(lo, -128);
	assert_false(kerf_quant_bounds(&tanh_act, KERF_I8, 0.1f, 0, &lo, &hi));
	assert_false(kerf_quant_bounds(&relu, KERF_F32, 0.1f, 0, &lo, &hi));
}

static void quantised(struct probe *p, enum kerf_dtype dtype, const int64_t *dims, int rank,
		      const double *v, int n, double scale, double zero)
{
	probe_in(p, dtype, dims, rank, v, n);
	probe_in(p, KERF_F32, SCALAR, VALUES(scale));
	probe_in(p, dtype, SCALAR, VALUES(zero));
}

static void target(struct probe *p, enum kerf_dtype dtype, double scale, double zero)
{
	probe_in(p, KERF_F32, SCALAR, VALUES(scale));
	probe_in(p, dtype, SCALAR, VALUES(zero));
}

static void test_quantize(void **state)
{
	struct probe p;

	probe_begin(&p, "QuantizeLinear", 13);
	probe_in(&p, KERF_F32, DIMS(2, 3), VALUES(1, 2.5, -300, 1, 3, 1000));
	probe_in(&p, KERF_F32, DIMS(2), VALUES(1, 2));
	probe_in(&p, KERF_I8, DIMS(2), VALUES(0, 1));
	probe_int(&p, "axis", 0);
	/* 2.5 and 1.5 to even; saturated. */
	probe_expect(&p, KERF_I8, DIMS(2, 3), VALUES(1, 2, -128, 1, 3, 127), 0);
	p.attr[0].i = 1;
	probe_refused(&p, -EINVAL, "vector of 3");
	p.attr[0].i = 2;
	probe_refused(&p, -EINVAL, "axis 2");
	probe_int(&p, "block_size", 4);
	probe_refused(&p, -EOPNOTSUPP, "block_size");
	probe_end(&p);
	probe_begin(&p, "DequantizeLinear", 13);
	probe_in(&p, KERF_U8, DIMS(1, 2, 2), VALUES(0, 255, 128, 3));
	probe_in(&p, KERF_F32, DIMS(2), VALUES(0.5, 2));
	probe_in(&p, KERF_U8, DIMS(2), VALUES(1, 128));
	probe_expect(&p, KERF_F32, DIMS(1, 2, 2), VALUES(-0.5, 127, 0, -250), 0);
	p.op.nhwc = true; /* the same memory as [1, 2 (W), 2 (C)] */
	probe_expect(&p, KERF_F32, DIMS(1, 2, 2), VALUES(-0.5, 254, 63.5, -250), 0);
	p.in[2].dtype = KERF_I8;
	probe_refused(&p, -EINVAL, "zero point is int8");
	probe_end(&p);
}

static void test_dynamic(void **state)
{
	struct probe p;

	probe_begin(&p, "DynamicQuantizeLinear", 11);
	p.op.n_out = 3;
	probe_in(&p, KERF_F32, DIMS(3), VALUES(0));
	probe_expect(&p, KERF_U8, DIMS(3), VALUES(0), 0);
	probe_gives(&p, 1, KERF_F32, SCALAR, VALUES(1), 0);
	((float *)p.in[0].data)[1] = -1;
	((float *)p.in[0].data)[2] = 254;
	probe_expect(&p, KERF_U8, DIMS(3), VALUES(1, 0, 255), 0);
	probe_gives(&p, 2, KERF_U8, SCALAR, VALUES(1), 0);
	probe_end(&p);
}

static void test_conv(void **state)
{
	struct probe p;

	probe_begin(&p, "QLinearConv", 10);
	quantised(&p, KERF_U8, DIMS(1, 1, 3), VALUES(1, 2, 3), 0.5, 2);
	probe_in(&p, KERF_I8, DIMS(2, 1, 1), VALUES(3, -4));
	probe_in(&p, KERF_F32, DIMS(2), VALUES(1, 2));
	probe_in(&p, KERF_I8, DIMS(2), VALUES(0, 0));
	target(&p, KERF_U8, 0.25, 10);
	probe_in(&p, KERF_I32, DIMS(2), VALUES(1, 0));
	/* (x - 2) * w + b: -2 1 4, times 2; 4 0 -4, times 4 */
	probe_expect(&p, KERF_U8, DIMS(1, 2, 3), VALUES(6, 12, 18, 26, 10, 0), 0);
	p.op.act.kind = KERF_ACT_RELU;
	probe_expect(&p, KERF_U8, DIMS(1, 2, 3), VALUES(10, 12, 18, 26, 10, 10), 0);
	p.op.act.kind = KERF_ACT_GELU;
	probe_refused(&p, -EOPNOTSUPP, "activation");
	p.op.act.kind = KERF_ACT_NONE;
	p.in[2].dtype = KERF_I8;
	probe_refused(&p, -EINVAL, "zero point (input 2)");
	p.in[2].dtype = KERF_U8;
	p.in[8].dtype = KERF_F32;
	probe_refused(&p, -EINVAL, "bias");
	probe_end(&p);
}

static void test_gemm(void **state)
{
	struct probe p;

	probe_begin(&p, "qGemm", 13);
	quantised(&p, KERF_I8, DIMS(2, 2), VALUES(1, 2, 3, 4), 1, 1);
	quantised(&p, KERF_I8, DIMS(3, 2), VALUES(1, 0, 0, 1, 2, 2), 1, 0);
	target(&p, KERF_I8, 2, -1);
	probe_in(&p, KERF_I32, DIMS(3), VALUES(0, 10, 1000));
	/* 0 1 | 2 3 times [N, K]: halves go to even */
	probe_expect(&p, KERF_I8, DIMS(2, 3), VALUES(-1, 5, 127, 0, 5, 127), 0);
	p.in[3].dims[1] = 1;
	probe_refused(&p, -EINVAL, "[N, K]");
	probe_end(&p);
}

/* qAdd against its real value: never more than one step away, nearly always none. */
static void test_add(void **state)
{
	static const float scales[] = {0.013f, 0.7f, 0.0021f};
	struct probe p;
	int a, b, s, off = 0, y;

	for (s = 0; s < 3; s++) {
		probe_begin(&p, "qAdd", 13);
		quantised(&p, KERF_U8, DIMS(256, 1), VALUES(0), (double)scales[s], 100);
		quantised(&p, KERF_I8, DIMS(256), VALUES(0), 0.0123, -3);
		target(&p, KERF_U8, 0.02, 7);
		for (a = 0; a < 256; a++)
			((uint8_t *)p.in[0].data)[a] = ((uint8_t *)p.in[3].data)[a] = (uint8_t)a;
		assert_int_equal(probe_run(&p), 0);
		for (a = 0; a < 256; a++)
			for (b = 0; b < 256; b++) {
				double real = ((a - 100) * (double)scales[s] +
					       ((int8_t)b + 3) * (double)0.0123f) /
					      (double)0.02f;

				y = ((uint8_t *)p.out[0].data)[a * 256 + b];
				real = fmin(fmax(rint(real) + 7, 0), 255);
				assert_true(fabs(real - y) <= 1);
				off += real != y;
			}
		probe_end(&p);
	}
	assert_true(off < 3 * 65536 / 1000);
}

static void test_mul(void **state)
{
	struct probe p;

	probe_begin(&p, "qMul", 13);
	quantised(&p, KERF_U8, DIMS(3), VALUES(0, 128, 255), 0.5, 128);
	quantised(&p, KERF_U8, DIMS(1), VALUES(4), 0.5, 2);
	target(&p, KERF_I8, 2, 1);
	/* -64 0 63.5 times 1, over 2 */
	probe_expect(&p, KERF_I8, DIMS(3), VALUES(-31, 1, 33), 0);
	probe_end(&p);
}

static void test_pools(void **state)
{
	struct probe p;

	probe_begin(&p, "qAveragePool", 13);
	quantised(&p, KERF_U8, DIMS(1, 1, 4), VALUES(10, 20, 31, 250), 1, 10);
	target(&p, KERF_U8, 0.5, 3);
	probe_ints(&p, "kernel_shape", (int64_t[]){2}, 1);
	probe_ints(&p, "pads", (int64_t[]){1, 0}, 2);
	probe_expect(&p, KERF_U8, DIMS(1, 1, 4), VALUES(3, 13, 34, 255), 0);
	probe_end(&p);
	probe_begin(&p, "qGlobalAveragePool", 13);
	quantised(&p, KERF_I8, DIMS(1, 2, 2), VALUES(-128, 127, 3, 4), 1, 0);
	target(&p, KERF_I8, 1, 0);
	probe_expect(&p, KERF_I8, DIMS(1, 2, 1), VALUES(0, 4), 0);
	probe_end(&p);
}

static void test_concat(void **state)
{
	struct probe p;

	probe_begin(&p, "qConcat", 13);
	target(&p, KERF_U8, 0.5, 10);
	quantised(&p, KERF_U8, DIMS(2, 1), VALUES(12, 255), 0.5, 10);
	quantised(&p, KERF_I8, DIMS(2, 2), VALUES(0, 1, -1, 127), 1, 0);
	probe_int(&p, "axis", -1);
	probe_expect(&p, KERF_U8, DIMS(2, 3), VALUES(12, 10, 12, 255, 8, 255), 0);
	p.in[5].dims[0] = 1;
	probe_refused(&p, -EINVAL, "differs on axis 0");
	p.op.n_in = 7;
	probe_refused(&p, -EINVAL, "7 inputs");
	probe_end(&p);
}

static void test_lut(void **state)
{
	struct probe p;
	int i;

	probe_begin(&p, "qLut", 13);
	probe_in(&p, KERF_I8, DIMS(3), VALUES(-128, -1, 5));
	probe_in(&p, KERF_U8, DIMS(256), VALUES(0));
	for (i = 0; i < 256; i++)
		((uint8_t *)p.in[1].data)[i] = (uint8_t)(255 - i);
	probe_expect(&p, KERF_U8, DIMS(3), VALUES(127, 0, 250), 0);
	p.in[1].dims[0] = 255;
	probe_refused(&p, -EINVAL, "table of 256");
	probe_end(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round),	 cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_quantize), cmocka_unit_test(test_dynamic),
		cmocka_unit_test(test_conv),	 cmocka_unit_test(test_gemm),
		cmocka_unit_test(test_add),	 cmocka_unit_test(test_mul),
		cmocka_unit_test(test_pools),	 cmocka_unit_test(test_concat),
		cmocka_unit_test(test_lut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
