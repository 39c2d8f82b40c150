/* SPDX-License-Identifier: MIT */
#include "op_probe.h"

static void line(struct probe *p, const char *name, int opset, enum kerf_dtype dtype)
{
	probe_begin(p, name, opset);
	probe_in(p, dtype, DIMS(1, 1, 5), VALUES(1, -2, 3, 4, -5));
	probe_ints(p, "kernel_shape", (int64_t[]){2}, 1);
	probe_ints(p, "strides", (int64_t[]){2}, 1);
}

static void test_max(void **state)
{
	static const enum kerf_dtype dtypes[] = {KERF_F32, KERF_F16, KERF_BF16, KERF_F64, KERF_I8};
	struct probe p;
	unsigned i;

	for (i = 0; i < KERF_ARRAY_SIZE(dtypes); i++) {
		line(&p, "MaxPool", 12, dtypes[i]);
		p.op.n_out = 2;
		probe_expect(&p, dtypes[i], DIMS(1, 1, 2), VALUES(1, 4), 0);
		probe_gives(&p, 1, KERF_I64, DIMS(1, 1, 2), VALUES(0, 3), 0);
		probe_int(&p, "ceil_mode", 1);
		probe_expect(&p, dtypes[i], DIMS(1, 1, 3), VALUES(1, 4, -5), 0);
		probe_end(&p);
	}
}

/* storage_order 1 counts rows fastest. */
static void test_indices(void **state)
{
	struct probe p;

	probe_begin(&p, "MaxPool", 12);
	probe_in(&p, KERF_F32, DIMS(1, 2, 2, 3), VALUES(1, 9, 2, 3, 4, 5));
	probe_ints(&p, "kernel_shape", (int64_t[]){2, 3}, 2);
	p.op.n_out = 2;
	probe_expect(&p, KERF_F32, DIMS(1, 2, 1, 1), VALUES(9), 0);
	probe_gives(&p, 1, KERF_I64, DIMS(1, 2, 1, 1), VALUES(1, 7), 0);
	probe_int(&p, "storage_order", 1);
	probe_expect(&p, KERF_F32, DIMS(1, 2, 1, 1), VALUES(9), 0);
	probe_gives(&p, 1, KERF_I64, DIMS(1, 2, 1, 1), VALUES(2, 8), 0);
	probe_end(&p);
}

/* A window that would start in the end padding is dropped; NaN wins. */
static void test_border(void **state)
{
	struct probe p;

	probe_begin(&p, "MaxPool", 12);
	probe_in(&p, KERF_F32, DIMS(1, 1, 3), VALUES(1, NAN, 3));
	probe_ints(&p, "kernel_shape", (int64_t[]){1}, 1);
	probe_ints(&p, "strides", (int64_t[]){2}, 1);
	probe_int(&p, "ceil_mode", 1);
	probe_expect(&p, KERF_F32, DIMS(1, 1, 2), VALUES(1, 3), 0);
	p.ints[0][0] = 2;
	assert_int_equal(probe_run(&p), 0);
	assert_true(isnan(((float *)p.out[0].data)[0]));
	probe_end(&p);
}

static void test_average(void **state)
{
	struct probe p;

	line(&p, "AveragePool", 19, KERF_F32);
	probe_ints(&p, "pads", (int64_t[]){1, 0}, 2);
	probe_expect(&p, KERF_F32, DIMS(1, 1, 3), VALUES(1, 0.5, -0.5), 0);
	probe_int(&p, "count_include_pad", 1);
	probe_expect(&p, KERF_F32, DIMS(1, 1, 3), VALUES(0.5, 0.5, -0.5), 0);
	probe_ints(&p, "dilations", (int64_t[]){3}, 1);
	probe_expect(&p, KERF_F32, DIMS(1, 1, 2), VALUES(1.5, -3.5), 0);
	probe_end(&p);
	line(&p, "LpPool", 11, KERF_F32);
	probe_expect(&p, KERF_F32, DIMS(1, 1, 2), VALUES(sqrt(5), 5), 1e-6);
	probe_int(&p, "p", 1);
	probe_expect(&p, KERF_F32, DIMS(1, 1, 2), VALUES(3, 7), 0);
	probe_end(&p);
}

static void test_global(void **state)
{
	struct probe p;

	probe_begin(&p, "GlobalAveragePool", 1);
	probe_in(&p, KERF_F32, DIMS(1, 2, 2, 1), VALUES(1, 2, 10, 20));
	probe_expect(&p, KERF_F32, DIMS(1, 2, 1, 1), VALUES(1.5, 15), 0);
	p.op.nhwc = true; /* the same memory as [1, 2, 2 (W), 1 (C)] */
	probe_expect(&p, KERF_F32, DIMS(1, 1, 1, 1), VALUES(8.25), 0);
	p.op.def = kerf_op_find(NULL, "GlobalMaxPool", 1);
	probe_expect(&p, KERF_F32, DIMS(1, 1, 1, 1), VALUES(20), 0);
	p.op.def = kerf_op_find(NULL, "GlobalLpPool", 2);
	probe_int(&p, "p", 1);
	probe_expect(&p, KERF_F32, DIMS(1, 1, 1, 1), VALUES(33), 0);
	probe_end(&p);
}

static void test_unpool(void **state)
{
	struct probe p;

	probe_begin(&p, "MaxUnpool", 11);
	probe_in(&p, KERF_F32, DIMS(1, 1, 2), VALUES(7, 8));
	probe_in(&p, KERF_I64, DIMS(1, 1, 2), VALUES(1, 2));
	probe_ints(&p, "kernel_shape", (int64_t[]){2}, 1);
	probe_ints(&p, "strides", (int64_t[]){2}, 1);
	probe_expect(&p, KERF_F32, DIMS(1, 1, 4), VALUES(0, 7, 8, 0), 0);
	((int64_t *)p.in[1].data)[0] = 4;
	assert_int_equal(probe_run(&p), -EINVAL);
	((int64_t *)p.in[1].data)[0] = -1;
	assert_int_equal(probe_run(&p), -EINVAL);
	probe_end(&p);
}

static void test_refused(void **state)
{
	struct probe p;

	line(&p, "AveragePool", 11, KERF_F32);
	p.ints[0][0] = 6;
	probe_refused(&p, -EINVAL, "exceeds the padded input");
	p.ints[0][0] = 0;
	probe_refused(&p, -EINVAL, "kernel 0");
	p.ints[0][0] = 1 << 30;
	probe_refused(&p, -EINVAL, "out of range");
	p.op.n_attr = 0;
	probe_refused(&p, -EINVAL, "kernel_shape");
	p.in[0].dtype = KERF_I32;
	probe_refused(&p, -EINVAL, "int32");
	p.in[0].dtype = KERF_F32;
	p.in[0].rank = 2;
	probe_refused(&p, -EINVAL, "rank 2");
	probe_end(&p);
	line(&p, "LpPool", 11, KERF_F32);
	probe_int(&p, "p", 0);
	probe_refused(&p, -EINVAL, "p is 0");
	probe_end(&p);
	line(&p, "MaxPool", 11, KERF_F32);
	p.op.n_out = 2;
	p.op.nhwc = true;
	p.ints[0][0] = 1;
	probe_refused(&p, -EOPNOTSUPP, "indices");
	probe_end(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_max),	cmocka_unit_test(test_indices),
		cmocka_unit_test(test_border),	cmocka_unit_test(test_average),
		cmocka_unit_test(test_global),	cmocka_unit_test(test_unpool),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
