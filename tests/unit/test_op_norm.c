/* SPDX-License-Identifier: MIT */
#include "op_probe.h"

static void test_batch(void **state)
{
	struct probe p;

	probe_begin(&p, "BatchNormalization", 15);
	probe_in(&p, KERF_F32, DIMS(1, 2, 2), VALUES(1, 3, 5, 7));
	probe_in(&p, KERF_F32, DIMS(2), VALUES(1, 10));
	probe_in(&p, KERF_F32, DIMS(2), VALUES(0.5, 0));
	probe_in(&p, KERF_F32, DIMS(2), VALUES(2, 6));
	probe_in(&p, KERF_F32, DIMS(2), VALUES(4, 25));
	probe_float(&p, "epsilon", 0);
	probe_expect(&p, KERF_F32, DIMS(1, 2, 2), VALUES(0, 1, -2, 2), 1e-6);
	p.op.nhwc = true;
	probe_expect(&p, KERF_F32, DIMS(1, 2, 2), VALUES(0, -6, 2, 2), 1e-6);
	probe_int(&p, "training_mode", 1);
	probe_refused(&p, -EOPNOTSUPP, "training");
	p.attr[1].i = 0;
	p.op.n_out = 3;
	probe_refused(&p, -EOPNOTSUPP, "training");
	p.op.n_out = 1;
	p.in[3].dims[0] = 3;
	probe_refused(&p, -EINVAL, "input 3 is not a vector of 2");
	probe_end(&p);
}

/* spatial=0 of opset 7: parameters for each element of an image. */
static void test_batch_per_element(void **state)
{
	struct probe p;

	probe_begin(&p, "BatchNormalization", 7);
	probe_in(&p, KERF_F32, DIMS(1, 1, 2), VALUES(5, 5));
	probe_in(&p, KERF_F32, DIMS(1, 2), VALUES(1, 2));
	probe_in(&p, KERF_F32, DIMS(1, 2), VALUES(0, 1));
	probe_in(&p, KERF_F32, DIMS(1, 2), VALUES(1, 2));
	probe_in(&p, KERF_F32, DIMS(1, 2), VALUES(1, 4));
	probe_int(&p, "spatial", 0);
	probe_float(&p, "epsilon", 0);
	probe_expect(&p, KERF_F32, DIMS(1, 1, 2), VALUES(4, 4), 1e-6);
	probe_end(&p);
}

static void test_group(void **state)
{
	struct probe p;

	probe_begin(&p, "GroupNormalization", 18);
	probe_in(&p, KERF_F32, DIMS(1, 4, 1), VALUES(1, 3, 10, 30));
	probe_in(&p, KERF_F32, DIMS(2), VALUES(1, 2));
	probe_in(&p, KERF_F32, DIMS(2), VALUES(0, 5));
	probe_int(&p, "num_groups", 2);
	probe_float(&p, "epsilon", 0);
	probe_expect(&p, KERF_F32, DIMS(1, 4, 1), VALUES(-1, 1, 3, 7), 1e-6);
	p.op.opset = 21; /* parameters of channels now */
	probe_refused(&p, -EINVAL, "vector of 4");
	p.op.opset = 18;
	p.attr[0].i = 3;
	probe_refused(&p, -EINVAL, "num_groups 3");
	p.attr[0].i = 0;
	probe_refused(&p, -EINVAL, "num_groups 0");
	probe_end(&p);
}

static void test_instance(void **state)
{
	struct probe p;

	probe_begin(&p, "InstanceNormalization", 6);
	probe_in(&p, KERF_F16, DIMS(1, 2, 2), VALUES(1, 3, 10, 30));
	probe_in(&p, KERF_F16, DIMS(2), VALUES(1, 2));
	probe_in(&p, KERF_F16, DIMS(2), VALUES(0, 5));
	probe_float(&p, "epsilon", 0);
	probe_expect(&p, KERF_F16, DIMS(1, 2, 2), VALUES(-1, 1, 3, 7), 1e-3);
	probe_end(&p);
}

static void test_layer(void **state)
{
	struct probe p;

	probe_begin(&p, "LayerNormalization", 17);
	p.op.n_out = 3;
	probe_in(&p, KERF_F32, DIMS(2, 2), VALUES(1, 3, 10, 30));
	probe_in(&p, KERF_F32, DIMS(2), VALUES(1, 2));
	probe_float(&p, "epsilon", 0);
	probe_expect(&p, KERF_F32, DIMS(2, 2), VALUES(-1, 2, -1, 2), 1e-6);
	probe_gives(&p, 1, KERF_F32, DIMS(2, 1), VALUES(2, 20), 0);
	probe_gives(&p, 2, KERF_F32, DIMS(2, 1), VALUES(1, 0.1), 1e-7);
	probe_int(&p, "axis", 2);
	probe_refused(&p, -EINVAL, "axis 2");
	p.attr[1].i = 1;
	p.in[1].dims[0] = 3;
	probe_refused(&p, -EINVAL, "input 1 cannot be broadcast");
	probe_end(&p);
}

/* A mean far from zero must not cost the variance its digits. */
static void test_cancellation(void **state)
{
	struct probe p;

	probe_begin(&p, "LayerNormalization", 17);
	probe_in(&p, KERF_F32, DIMS(1, 2), VALUES(1000000, 1000001));
	probe_in(&p, KERF_F32, DIMS(2), VALUES(1));
	probe_float(&p, "epsilon", 0);
	probe_expect(&p, KERF_F32, DIMS(1, 2), VALUES(-1, 1), 1e-6);
	probe_end(&p);
}

static void test_lp(void **state)
{
	struct probe p;

	probe_begin(&p, "LpNormalization", 1);
	probe_in(&p, KERF_F32, DIMS(2, 2), VALUES(3, 0, 4, 0));
	probe_int(&p, "axis", 0);
	probe_expect(&p, KERF_F32, DIMS(2, 2), VALUES(0.6, 0, 0.8, 0), 1e-7);
	probe_int(&p, "p", 1);
	probe_expect(&p, KERF_F32, DIMS(2, 2), VALUES(3.0 / 7, 0, 4.0 / 7, 0), 1e-7);
	p.attr[1].i = 3;
	probe_refused(&p, -EINVAL, "p 3");
	probe_end(&p);
}

static void test_lrn(void **state)
{
	struct probe p;

	probe_begin(&p, "LRN", 13);
	probe_in(&p, KERF_F32, DIMS(1, 3), VALUES(1, 2, 3));
	probe_int(&p, "size", 2); /* itself and the next channel */
	probe_float(&p, "alpha", 2);
	probe_float(&p, "beta", 1);
	probe_expect(&p, KERF_F32, DIMS(1, 3), VALUES(1.0 / 6, 2.0 / 14, 3.0 / 10), 1e-7);
	p.attr[0].i = INT64_MAX;
	p.attr[1].f = 0;
	probe_expect(&p, KERF_F32, DIMS(1, 3), VALUES(1, 2, 3), 1e-6);
	p.attr[0].i = 0;
	probe_refused(&p, -EINVAL, "size is 0");
	probe_end(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_batch), cmocka_unit_test(test_batch_per_element),
		cmocka_unit_test(test_group), cmocka_unit_test(test_instance),
		cmocka_unit_test(test_layer), cmocka_unit_test(test_cancellation),
		cmocka_unit_test(test_lp),    cmocka_unit_test(test_lrn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
