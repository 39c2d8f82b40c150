/* SPDX-License-Identifier: MIT */
#include "op_case.h"

static const struct op_case arithmetic[] = {
	{"Add", 14, NULL, {"f32[2,2] 1 2 3 4", "f32[2] 10 20"}, {"f32[2,2] 11 22 13 24"}},
	{"Add", 14, NULL, {"f32[2,1] 1 2", "f32[1,3] 10 20 30"}, {"f32[2,3] 11 21 31 12 22 32"}},
	{"Add", 14, NULL, {"f32[1] 2", "f32[2,1,2] 1 2 3 4"}, {"f32[2,1,2] 3 4 5 6"}},
	{"Add", 14, NULL, {"f32[] 2", "f32[] 3"}, {"f32[] 5"}},
	{"Add", 14, NULL, {"f32[0,2]", "f32[2] 1 2"}, {"f32[0,2]"}},
	{"Add", 14, NULL, {"i8[2] 127 -128", "i8[2] 1 -1"}, {"i8[2] -128 127"}},
	{"Add", 14, NULL, {"u8[2] 255 3", "u8[2] 2 4"}, {"u8[2] 1 7"}},
	{"Add", 14, NULL,
	 {"i64[1] 9223372036854775807", "i64[1] 1"}, {"i64[1] -9223372036854775808"}},
	{"Add", 14, NULL, {"f16[2] 1 2048", "f16[2] 0.5 1"}, {"f16[2] 1.5 2048"}},
	{"Add", 14, NULL, {"bf16[1] 1", "bf16[1] 0.5"}, {"bf16[1] 1.5"}},
	{"Sub", 14, NULL, {"u32[1] 1", "u32[1] 2"}, {"u32[1] 4294967295"}},
	{"Mul", 14, NULL, {"f64[1] 3", "f64[1] 0.1"}, {"f64[1] 0.3"}},
	{"Div", 14, NULL, {"i32[4] 7 -7 7 -7", "i32[4] 2 2 -2 -2"}, {"i32[4] 3 -3 -3 3"}},
	{"Div", 14, NULL, {"i32[1] -2147483648", "i32[1] -1"}, {"i32[1] -2147483648"}},
	{"Div", 14, NULL,
	 {"i64[1] -9223372036854775808", "i64[1] -1"}, {"i64[1] -9223372036854775808"}},
	{"Div", 14, NULL,
	 {"u64[1] 18446744073709551615", "u64[1] 2"}, {"u64[1] 9223372036854775807"}},
	{"Div", 14, NULL, {"f32[2] 1 -1", "f32[2] 0 0"}, {"f32[2] inf -inf"}},
	{"Mod", 13, NULL, {"i32[4] 7 -7 7 -7", "i32[4] 3 3 -3 -3"}, {"i32[4] 1 2 -2 -1"}},
	{"Mod", 13, "fmod=1", {"i32[4] 7 -7 7 -7", "i32[4] 3 3 -3 -3"}, {"i32[4] 1 -1 1 -1"}},
	{"Mod", 13, "fmod=1", {"f32[2] 7.5 -7.5", "f32[2] 2 2"}, {"f32[2] 1.5 -1.5"}},
	{"Mod", 13, NULL, {"i64[1] -9223372036854775808", "i64[1] -1"}, {"i64[1] 0"}},
	{"Pow", 15, NULL, {"i32[3] 2 3 -2", "i32[3] 10 4 3"}, {"i32[3] 1024 81 -8"}},
	{"Pow", 15, NULL, {"i64[3] 2 1 -1", "i64[3] -1 -5 -3"}, {"i64[3] 0 1 -1"}},
	{"Pow", 15, NULL, {"f32[2] 2 9", "i64[2] 3 2"}, {"f32[2] 8 81"}},
	{"Pow", 15, NULL, {"i32[2] 4 9", "f32[2] 0.5 0.5"}, {"i32[2] 2 3"}},
	{"Max", 13, NULL, {"f32[2] 1 nan", "f32[2] nan 1", "f32[2] 5 5"}, {"f32[2] nan nan"}},
	{"Max", 13, NULL, {"u64[1] 18446744073709551615", "u64[1] 1"},
	 {"u64[1] 18446744073709551615"}},
	{"Min", 13, NULL, {"i8[2,1] 3 -4", "i8[2] 1 -8"}, {"i8[2,2] 1 -8 -4 -8"}},
	{"Min", 13, NULL, {"f32[2] 3 -4"}, {"f32[2] 3 -4"}},
	{"Sum", 13, NULL, {"f32[2] 1 2", "f32[1] 3", "f32[2] 4 5"}, {"f32[2] 8 10"}},
	{"Mean", 13, NULL, {"f32[2] 1 2", "f32[2] 3 4", "f32[2] 5 6"}, {"f32[2] 3 4"}},
	{"BitShift", 11, "direction=LEFT", {"u8[3] 1 255 1", "u8[3] 3 1 8"}, {"u8[3] 8 254 0"}},
	{"BitShift", 11, "direction=RIGHT",
	 {"u64[2] 18446744073709551615 4", "u64[2] 63 64"}, {"u64[2] 1 0"}},
	{"BitwiseAnd", 18, NULL, {"i8[2] -1 12", "i8[2] 5 10"}, {"i8[2] 5 8"}},
	{"BitwiseXor", 18, NULL, {"u16[1] 65535", "u16[1] 255"}, {"u16[1] 65280"}},
	{"BitwiseOr", 18, NULL, {"u16[1] 1", "u16[1] 256"}, {"u16[1] 257"}},
	{"BitwiseNot", 18, NULL, {"u8[1] 1"}, {"u8[1] 254"}},
	{"PRelu", 16, NULL, {"f32[1,2,2] -1 2 -3 4", "f32[2,1] 0.5 2"}, {"f32[1,2,2] -0.5 2 -6 4"}},
	{"Where", 16, NULL, {"bool[2] 1 0", "i64[2,1] 1 2", "i64[] 9"}, {"i64[2,2] 1 9 2 9"}},
};

/* Broadcasting was asked for by attributes before opset 7. */
static const struct op_case legacy[] = {
	{"Add", 6, "broadcast=1 axis=0", {"f32[2,3] 1 2 3 4 5 6", "f32[2] 10 20"},
	 {"f32[2,3] 11 12 13 24 25 26"}},
	{"Add", 6, "broadcast=1", {"f32[2,3] 1 2 3 4 5 6", "f32[3] 10 20 30"},
	 {"f32[2,3] 11 22 33 14 25 36"}},
	{"Mul", 6, "broadcast=1 axis=1", {"f32[1,2,2] 1 2 3 4", "f32[2] 10 20"},
	 {"f32[1,2,2] 10 20 60 80"}},
	{"Sub", 6, "broadcast=1", {"f32[2,1] 1 2", "f32[1] 1"}, {"f32[2,1] 0 1"}},
	{"Greater", 6, "broadcast=1 axis=0", {"f32[2,2] 1 2 3 4", "f32[2] 1 3"},
	 {"bool[2,2] 0 1 0 1"}},
	{"PRelu", 6, NULL, {"f32[1,2,1,2] -1 1 -1 1", "f32[2] 2 3"}, {"f32[1,2,1,2] -2 1 -3 1"}},
	{"Add", 6, NULL, {"f32[2,3] ?0", "f32[3] ?0"}, .error = -EINVAL, .says = "broadcast"},
	{"Add", 6, "broadcast=1 axis=2", {"f32[2,3] ?0", "f32[3] ?0"}, .error = -EINVAL,
	 .says = "axis"},
	{"Add", 6, "broadcast=1 axis=9223372036854775807", {"f32[2,3] ?0", "f32[3] ?0"},
	 .error = -EINVAL, .says = "axis"},
	{"PRelu", 6, NULL, {"f32[1,2,2] ?0", "f32[3] ?0"}, .error = -EINVAL, .says = "slope"},
};

static const struct op_case logic[] = {
	{"Equal", 13, NULL, {"f32[3] 1 nan 3", "f32[3] 1 nan 4"}, {"bool[3] 1 0 0"}},
	{"Equal", 13, NULL, {"bool[2] 1 0", "bool[2] 1 1"}, {"bool[2] 1 0"}},
	{"Less", 13, NULL, {"u64[1] 18446744073709551615", "u64[1] 1"}, {"bool[1] 0"}},
	{"Less", 13, NULL, {"i64[1] -1", "i64[1] 1"}, {"bool[1] 1"}},
	{"GreaterOrEqual", 16, NULL, {"i8[2] 1 2", "i8[2] 2 2"}, {"bool[2] 0 1"}},
	{"LessOrEqual", 12, NULL, {"f16[2] 1 2", "f16[2] 1 1"}, {"bool[2] 1 0"}},
	{"And", 7, NULL, {"bool[2,1] 1 0", "bool[2] 1 0"}, {"bool[2,2] 1 0 0 0"}},
	{"Xor", 7, NULL, {"bool[2] 1 0", "bool[2] 1 1"}, {"bool[2] 0 1"}},
	{"Or", 7, NULL, {"bool[2] 1 0", "bool[2] 0 0"}, {"bool[2] 1 0"}},
	{"Not", 1, NULL, {"bool[2] 1 0"}, {"bool[2] 0 1"}},
	{"IsNaN", 13, NULL, {"f32[3] nan 1 inf"}, {"bool[3] 1 0 0"}},
	{"IsInf", 10, NULL, {"f32[3] nan -inf inf"}, {"bool[3] 0 1 1"}},
	{"IsInf", 10, "detect_negative=0", {"f64[3] nan -inf inf"}, {"bool[3] 0 0 1"}},
	{"IsInf", 10, "detect_positive=0", {"f32[3] nan -inf inf"}, {"bool[3] 0 1 0"}},
};

static const struct op_case unary[] = {
	{"Abs", 13, NULL, {"i8[2] -128 -3"}, {"i8[2] -128 3"}},
	{"Abs", 13, NULL, {"u64[1] 18446744073709551615"}, {"u64[1] 18446744073709551615"}},
	{"Neg", 13, NULL, {"i32[2] 5 -2147483648"}, {"i32[2] -5 -2147483648"}},
	{"Sign", 13, NULL, {"f32[4] -2 0 3 nan"}, {"f32[4] -1 0 1 nan"}},
	{"Sign", 13, NULL, {"u8[2] 200 0"}, {"u8[2] 1 0"}},
	{"Round", 11, NULL, {"f32[5] 0.5 1.5 2.5 -0.5 -1.5"}, {"f32[5] 0 2 2 0 -2"}},
	{"Relu", 14, NULL, {"i16[2] -4 4"}, {"i16[2] 0 4"}},
	{"Relu", 14, NULL, {"f32[3] -4 4 nan"}, {"f32[3] 0 4 nan"}},
	{"LeakyRelu", 6, NULL, {"f32[2] -1 1"}, {"f32[2] -0.01 1"}},
	{"LeakyRelu", 16, "alpha=0.5", {"f16[2] -1 1"}, {"f16[2] -0.5 1"}},
	{"Elu", 6, "alpha=2.0", {"f32[2] -1 1"}, {"f32[2] -1.26424112 1"}},
	{"Celu", 12, "alpha=2.0", {"f32[2] -1 1"}, {"f32[2] -0.78693868 1"}},
	{"Selu", 6, NULL, {"f32[2] -1 1"}, {"f32[2] -1.11133074 1.05070102"}},
	{"Selu", 1, NULL, {"f32[1] 1"}, {"f32[1] 1.0507"}},
	{"HardSigmoid", 6, NULL, {"f32[3] -5 0 5"}, {"f32[3] 0 0.5 1"}},
	{"HardSwish", 14, NULL, {"f32[3] -3 1 4"}, {"f32[3] 0 0.66666667 4"}},
	{"Softplus", 1, NULL, {"f32[3] -100 0 100"}, {"f32[3] 0 0.69314718 100"}},
	{"Softsign", 1, NULL, {"f32[2] -1 3"}, {"f32[2] -0.5 0.75"}},
	{"Mish", 18, NULL, {"f32[2] 1 100"}, {"f32[2] 0.86509839 100"}},
	{"Gelu", 20, NULL, {"f32[2] 1 -1"}, {"f32[2] 0.84134475 -0.15865525"}},
	{"Gelu", 20, "approximate=tanh", {"f32[2] 1 -1"}, {"f32[2] 0.84119199 -0.15880801"}},
	{"ThresholdedRelu", 10, "alpha=2.0", {"f32[3] 1 2 3"}, {"f32[3] 0 0 3"}},
	{"Shrink", 9, "lambd=1.5 bias=0.5", {"f32[3] -2 1 2"}, {"f32[3] -1.5 0 1.5"}},
	{"Shrink", 9, "lambd=1.5 bias=1.0", {"i32[3] -4 1 4"}, {"i32[3] -3 0 3"}},
	{"Clip", 6, "min=-1.0", {"f32[3] -5 0 5"}, {"f32[3] -1 0 5"}},
	{"Clip", 11, NULL, {"f32[3] -5 0 5", NULL, "f32[] 2"}, {"f32[3] -5 0 2"}},
	{"Clip", 12, NULL, {"i8[3] -5 0 5", "i8[] -2", "i8[] 2"}, {"i8[3] -2 0 2"}},
	{"Clip", 12, NULL, {"f32[3] -5 0 nan", "f32[] 3", "f32[] 2"}, {"f32[3] 2 2 nan"}},
	{"Clip", 12, NULL, {"f32[2] -5 0"}, {"f32[2] -5 0"}},
	{"Identity", 16, NULL, {"bool[2] 1 0"}, {"bool[2] 1 0"}},
	{"Dropout", 13, NULL, {"f32[2] 1 2"}, {"f32[2] 1 2", "bool[2] 1 1"}},
	{"Dropout", 7, NULL, {"f32[2] 1 2"}, {"f32[2] 1 2", "f32[2] 1 1"}},
	{"Dropout", 6, "is_test=1", {"f32[2] 1 2"}, {"f32[2] 1 2"}},
	{"Dropout", 13, NULL, {"f32[2] 1 2", "f32[] 0", "bool[] 1"}, {"f32[2] 1 2"}},
};

static const struct op_case cast[] = {
	{"Cast", 13, "to=7", {"f32[4] 1.9 -1.9 nan 3e9"}, {"i64[4] 1 -1 0 3000000000"}},
	{"Cast", 13, "to=2", {"i32[3] 256 -1 7"}, {"u8[3] 0 255 7"}},
	{"Cast", 13, "to=9", {"f32[3] 0 0.1 nan"}, {"bool[3] 0 1 1"}},
	{"Cast", 13, "to=1", {"u64[1] 18446744073709551615"}, {"f32[1] 1.8446744e19"}},
	{"Cast", 13, "to=13", {"f64[2] 1e19 -1"}, {"u64[2] 10000000000000000000 18446744073709551615"}},
	{"Cast", 13, "to=10", {"f64[1] 2049"}, {"f16[1] 2048"}},
	/* Rounding to float first would make it a tie and then even: 1. */
	{"Cast", 13, "to=10", {"f64[1] 1.00048828125000001"}, {"f16[1] 1"}},
	{"Cast", 13, "to=10", {"f64[1] 1.0004882812500003"}, {"f16[1] 1.0009765625"}},
	{"Cast", 13, "to=16", {"f32[1] 1.00390625"}, {"bf16[1] 1"}},
	{"Cast", 5, "to=INT32", {"f32[1] 2.5"}, {"i32[1] 2"}},
	{"CastLike", 15, NULL, {"f32[2] 1.5 -2", "i8[1] 0"}, {"i8[2] 1 -2"}},
};

static const struct op_case refused[] = {
	{"Add", 14, NULL, {"f32[2] ?0", "f32[3] ?0"}, .error = -EINVAL, .says = "broadcast"},
	{"Add", 14, NULL, {"f32[2] ?0", "f64[2] ?0"}, .error = -EINVAL, .says = "float64"},
	{"Add", 14, NULL, {"bool[2] ?0", "bool[2] ?0"}, .error = -EINVAL, .says = "bool"},
	{"And", 7, NULL, {"i8[2] ?0", "i8[2] ?0"}, .error = -EINVAL, .says = "int8"},
	{"Mod", 13, NULL, {"f32[2] ?1", "f32[2] ?1"}, .error = -EINVAL, .says = "fmod"},
	{"BitShift", 11, "direction=UP", {"u8[1] 1", "u8[1] 1"}, .error = -EINVAL,
	 .says = "direction"},
	{"BitShift", 11, "direction=LEFT", {"i8[1] 1", "i8[1] 1"}, .error = -EINVAL},
	{"PRelu", 16, NULL, {"f32[2] ?0", "f32[2,2] ?0"}, .error = -EINVAL, .says = "slope"},
	{"Where", 16, NULL, {"f32[1] ?0", "f32[1] ?0", "f32[1] ?0"}, .error = -EINVAL},
	{"Where", 16, NULL, {"bool[2] ?0", "f32[3] ?0", "f32[1] ?0"}, .error = -EINVAL},
	{"Sqrt", 13, NULL, {"i32[1] 4"}, .error = -EINVAL, .says = "int32"},
	{"Gelu", 20, "approximate=fast", {"f32[1] 4"}, .error = -EINVAL, .says = "approximate"},
	{"Clip", 12, NULL, {"f32[1] 4", "f32[2] 1 2"}, .error = -EINVAL},
	{"Clip", 12, NULL, {"f32[1] 4", "f64[] 1"}, .error = -EINVAL},
	{"Cast", 13, "to=8", {"f32[1] 4"}, .error = -EOPNOTSUPP, .says = "string"},
	{"Cast", 13, "to=17", {"f32[1] 4"}, .error = -EOPNOTSUPP},
	{"Cast", 13, "to=-1", {"f32[1] 4"}, .error = -EOPNOTSUPP},
	{"Cast", 13, NULL, {"f32[1] 4"}, .error = -EOPNOTSUPP},
	{"Dropout", 13, NULL, {"f32[1] 4", "f32[] 0.5", "bool[] 1"}, .error = -EOPNOTSUPP,
	 .says = "training"},
	{"Dropout", 13, NULL, {"f32[1] 4", NULL, "bool[] 1"}, .error = -EOPNOTSUPP},
	{"Dropout", 13, NULL, {"f32[1] 4", NULL, "bool[] 0"}, .error = -ENODATA, .unknown = 4},
	{"Dropout", 6, NULL, {"f32[1] 4"}, .error = -EOPNOTSUPP},
	/* Contents are looked at by the run. */
	{"Div", 14, NULL, {"i32[2] 1 2", "i32[2] 1 0"}, .error = -EINVAL, .late = true},
	{"Div", 14, NULL, {"u8[2] 1 2", "u8[2] 1 0"}, .error = -EINVAL, .late = true},
	{"Mod", 13, NULL, {"i64[1] 1", "i64[1] 0"}, .error = -EINVAL, .late = true},
	{"Mod", 13, NULL, {"u64[1] 1", "u64[1] 0"}, .error = -EINVAL, .late = true},
};

CASE_TABLE(test_arithmetic, arithmetic)
CASE_TABLE(test_legacy, legacy)
CASE_TABLE(test_logic, logic)
CASE_TABLE(test_unary, unary)
CASE_TABLE(test_cast, cast)
CASE_TABLE(test_refused, refused)

/* Rows longer than one buffer, strided and broadcast, against plain loops. */
static void test_long_rows(void **state)
{
	enum { N = 700 };
	static float a[3 * N], b[N], y[3 * N];
	static uint16_t ha[3 * N], hy[3 * N];
	struct kerf_tensor in[2] = {{KERF_F32, 2, {3, N}, a}, {KERF_F32, 1, {N}, b}};
	struct kerf_tensor out = {KERF_F32, 2, {3, N}, y};
	struct kerf_op op = {.def = kerf_op_find(NULL, "Sub", 14), .name = "sub", .n_in = 2};
	int i, j;

	for (i = 0; i < 3 * N; i++) {
		a[i] = (float)i;
		ha[i] = kerf_f32_to_f16((float)(i % 64));
	}
	for (i = 0; i < N; i++)
		b[i] = (float)(i * 7);
	assert_int_equal(kerf_op_eval(&op, in, &out), 0);
	for (i = 0; i < 3; i++)
		for (j = 0; j < N; j++)
			assert_true(y[i * N + j] == a[i * N + j] - b[j]);
	in[1].dims[0] = 1;
	assert_int_equal(kerf_op_eval(&op, in, &out), 0);
	for (i = 0; i < 3 * N; i++)
		assert_true(y[i] == a[i]);
	in[0] = (struct kerf_tensor){KERF_F16, 2, {3, N}, ha};
	in[1] = (struct kerf_tensor){KERF_F16, 2, {3, 1}, ha + 1};
	out = (struct kerf_tensor){KERF_F16, 2, {3, N}, hy};
	assert_int_equal(kerf_op_eval(&op, in, &out), 0);
	for (i = 0; i < 3 * N; i++)
		assert_true(kerf_f16_to_f32(hy[i]) == (float)(i % 64 - 1 - i / N));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_arithmetic), cmocka_unit_test(test_legacy),
		cmocka_unit_test(test_logic),	   cmocka_unit_test(test_unary),
		cmocka_unit_test(test_cast),	   cmocka_unit_test(test_refused),
		cmocka_unit_test(test_long_rows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
