/* SPDX-License-Identifier: MIT */
#include "op_probe.h"

static void test_matmul(void **state)
{
	static const enum kerf_dtype dtypes[] = {KERF_F32, KERF_F16, KERF_F64, KERF_I32, KERF_I64};
	struct probe p;
	unsigned i;

	for (i = 0; i < KERF_ARRAY_SIZE(dtypes); i++) {
		probe_begin(&p, "MatMul", 13);
		probe_in(&p, dtypes[i], DIMS(2, 1, 2, 2), VALUES(1, 2, 3, 4, -1, -2, -3, -4));
		probe_in(&p, dtypes[i], DIMS(3, 2, 1), VALUES(1, 1, 10, 1, 0, 100));
		probe_expect(&p, dtypes[i], DIMS(2, 3, 2, 1),
			     VALUES(3, 7, 12, 34, 200, 400, -3, -7, -12, -34, -200, -400), 0);
		p.in[1].rank = 1; /* a vector is a column */
		p.in[1].dims[0] = 2;
		probe_expect(&p, dtypes[i], DIMS(2, 1, 2), VALUES(3, 7, -3, -7), 0);
		probe_end(&p);
	}
}

static void test_matmul_refused(void **state)
{
	struct probe p;

	probe_begin(&p, "MatMul", 13);
	probe_in(&p, KERF_F32, DIMS(2, 3), VALUES(1));
	probe_in(&p, KERF_F32, DIMS(2, 3), VALUES(1));
	probe_refused(&p, -EINVAL, "float32[2,3] and float32[2,3]");
	p.in[1].rank = 0;
	probe_refused(&p, -EINVAL, "scalar");
	p.in[1].dtype = KERF_U8;
	probe_refused(&p, -EINVAL, "uint8");
	probe_end(&p);
}

static void test_gemm(void **state)
{
	struct probe p;

	probe_begin(&p, "Gemm", 13);
	probe_in(&p, KERF_F32, DIMS(2, 3), VALUES(1, 2, 3, 4, 5, 6));
	probe_in(&p, KERF_F32, DIMS(1, 2), VALUES(10, 1));
	probe_in(&p, KERF_F32, DIMS(3, 1), VALUES(100, 200, 300));
	probe_int(&p, "transA", 1);
	probe_int(&p, "transB", 1);
	probe_float(&p, "alpha", 2);
	probe_float(&p, "beta", 0.5f);
	p.op.act.kind = KERF_ACT_LEAKY_RELU;
	probe_expect(&p, KERF_F32, DIMS(3, 1), VALUES(78, 150, 222), 0);
	p.in[0].dtype = p.in[1].dtype = p.in[2].dtype = KERF_I32;
	probe_refused(&p, -EOPNOTSUPP, "fractional");
	probe_end(&p);
	/* The form that rewrites make: leading axes are rows. */
	probe_begin(&p, "Gemm", 13);
	probe_in(&p, KERF_F32, DIMS(2, 2, 2), VALUES(1, 2, 3, 4, 5, 6, 7, 8));
	probe_in(&p, KERF_F32, DIMS(2, 1), VALUES(1, 10));
	probe_in(&p, KERF_F32, DIMS(1), VALUES(0.5));
	probe_expect(&p, KERF_F32, DIMS(2, 2, 1), VALUES(21.5, 43.5, 65.5, 87.5), 0);
	p.in[2].rank = 2;
	p.in[2].dims[0] = 3;
	p.in[2].dims[1] = 1;
	probe_refused(&p, -EINVAL, "C cannot be broadcast");
	p.in[1].dims[0] = 1;
	probe_refused(&p, -EINVAL, "2 columns, B' has 1 rows");
	probe_end(&p);
}

static void test_integer(void **state)
{
	struct probe p;

	probe_begin(&p, "MatMulInteger", 10);
	probe_in(&p, KERF_U8, DIMS(2, 2), VALUES(0, 255, 10, 20));
	probe_in(&p, KERF_I8, DIMS(2, 2), VALUES(-128, 1, 127, 2));
	probe_in(&p, KERF_U8, DIMS(2), VALUES(0, 10));
	probe_in(&p, KERF_I8, DIMS(2), VALUES(-128, 1));
	probe_expect(&p, KERF_I32, DIMS(2, 2), VALUES(65025, 255, 2550, 10), 0);
	p.in[3].dtype = KERF_U8;
	probe_refused(&p, -EINVAL, "b_zero_point");
	probe_end(&p);
}

static void test_einsum(void **state)
{
	static const struct {
		const char *equation, *says;
	} bad[] = {
		{"ij", "2 terms"},	{"ij,jk,kl", "2 terms"},
		{"ijk,jk", "rank 2"},	{"ij,jk->iz", "output"},
		{"ij,jk->ii", "twice"}, {"i1,jk", "'1'"},
		{"...i...,jk", "rank"}, {"ij,ij", "label 'i' is 2 and 3"},
	};
	struct probe p;
	unsigned i;

	probe_begin(&p, "Einsum", 12);
	probe_in(&p, KERF_F32, DIMS(2, 3), VALUES(1, 2, 3, 4, 5, 6));
	probe_in(&p, KERF_F32, DIMS(3, 1), VALUES(1, 10, 100));
	probe_string(&p, "equation", "ij, jk");
	probe_expect(&p, KERF_F32, DIMS(2, 1), VALUES(321, 654), 0);
	p.attr[0].s = "ij,jk -> ki";
	probe_expect(&p, KERF_F32, DIMS(1, 2), VALUES(321, 654), 0);
	p.attr[0].s = "...a,ab->b";
	probe_expect(&p, KERF_F32, DIMS(1), VALUES(975), 0);
	p.attr[0].s = "ij,jk->";
	probe_expect(&p, KERF_F32, SCALAR, VALUES(975), 0);
	for (i = 0; i < KERF_ARRAY_SIZE(bad); i++) {
		p.attr[0].s = bad[i].equation;
		probe_refused(&p, -EINVAL, bad[i].says);
	}
	probe_end(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_matmul), cmocka_unit_test(test_matmul_refused),
		cmocka_unit_test(test_gemm),   cmocka_unit_test(test_integer),
		cmocka_unit_test(test_einsum),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
