/* SPDX-License-Identifier: MIT */
/* Convolutions: values by hand, what kerf adds to ONNX's, and what is refused. */
#include "op_probe.h"

static void image(struct probe *p, const char *name)
{
	probe_begin(p, name, 11);
	probe_in(p, KERF_F32, DIMS(1, 1, 3, 3), VALUES(1, 2, 3, 4, 5, 6, 7, 8, 9));
}

static void test_conv(void **state)
{
	struct probe p;

	image(&p, "Conv");
	probe_in(&p, KERF_F32, DIMS(1, 1, 2, 2), VALUES(1, 10, 100, 1000));
	probe_expect(&p, KERF_F32, DIMS(1, 1, 2, 2), VALUES(5421, 6532, 8754, 9865), 0);
	probe_ints(&p, "pads", (int64_t[]){1, 0, 0, 1}, 4);
	probe_expect(&p, KERF_F32, DIMS(1, 1, 3, 3),
		     VALUES(2100, 3200, 300, 5421, 6532, 603, 8754, 9865, 906), 0);
	probe_end(&p);
}

/* Bias, weight factors, residual and activation, in that order. */
static void test_fused(void **state)
{
	struct probe p;

	image(&p, "Conv");
	probe_in(&p, KERF_F32, DIMS(2, 1, 2, 2), VALUES(1, 10, 100, 1000, -1, -1, -1, -1));
	probe_in(&p, KERF_F32, DIMS(2), VALUES(1, 4));
	probe_in(&p, KERF_F32, DIMS(2), VALUES(0.5, 2));
	probe_in(&p, KERF_F32, DIMS(1, 2, 2, 2), VALUES(0.5, 0.5, 0.5, 0.5, 20, 30, 40, 50));
	p.op.act = (struct kerf_act){KERF_ACT_CLIP, 0, 4934};
	probe_expect(&p, KERF_F32, DIMS(1, 2, 2, 2), VALUES(2712, 3267.5, 4378.5, 4934, 0, 2, 0, 0),
		     0);
	probe_end(&p);
}

static void test_half(void **state)
{
	struct probe p;

	probe_begin(&p, "Conv", 11);
	/* 2049 is not a float16: sums are float32 and rounded once, 2048 + 1 + 1 = 2050. */
	probe_in(&p, KERF_F16, DIMS(1, 3, 1), VALUES(2048, 1, 1));
	probe_in(&p, KERF_F16, DIMS(1, 3, 1), VALUES(1));
	probe_expect(&p, KERF_F16, DIMS(1, 1, 1), VALUES(2050), 0);
	probe_end(&p);
}

static void test_transposed(void **state)
{
	struct probe p;

	probe_begin(&p, "ConvTranspose", 11);
	probe_in(&p, KERF_F32, DIMS(1, 2, 2), VALUES(1, 2, 10, 20));
	probe_in(&p, KERF_F32, DIMS(2, 1, 3), VALUES(1, 2, 3, 1, 1, 1));
	probe_int(&p, "group", 2);
	probe_ints(&p, "strides", (int64_t[]){2}, 1);
	probe_expect(&p, KERF_F32, DIMS(1, 2, 5), VALUES(1, 2, 5, 4, 6, 10, 10, 30, 20, 20), 0);
	probe_string(&p, "auto_pad", "SAME_UPPER"); /* 4 of 5: the last is cut off */
	probe_expect(&p, KERF_F32, DIMS(1, 2, 4), VALUES(1, 2, 5, 4, 10, 10, 30, 20), 0);
	p.attr[2].s = "SAME_LOWER";
	probe_expect(&p, KERF_F32, DIMS(1, 2, 4), VALUES(2, 5, 4, 6, 10, 30, 20, 20), 0);
	probe_end(&p);
}

static void test_integer(void **state)
{
	struct probe p;

	probe_begin(&p, "ConvInteger", 10);
	probe_in(&p, KERF_U8, DIMS(1, 1, 3), VALUES(0, 128, 255));
	probe_in(&p, KERF_I8, DIMS(2, 1, 3), VALUES(-128, 0, 127, 1, 1, 1));
	probe_in(&p, KERF_U8, SCALAR, VALUES(128));
	probe_in(&p, KERF_I8, DIMS(2), VALUES(0, 1));
	probe_ints(&p, "pads", (int64_t[]){1, 1}, 2);
	/* Padding is the zero point: it adds nothing. */
	probe_expect(&p, KERF_I32, DIMS(1, 2, 3), VALUES(0, 32513, 0, 0, 0, 0), 0);
	probe_end(&p);
}

static void test_refused(void **state)
{
	struct probe p;

	image(&p, "Conv");
	probe_in(&p, KERF_F32, DIMS(2, 1, 2, 2), VALUES(1));
	p.in[1].dims[1] = 3;
	probe_refused(&p, -EINVAL, "3 input channels");
	p.in[1].dims[1] = 1;
	p.in[1].dims[2] = 4;
	probe_refused(&p, -EINVAL, "exceeds the padded input");
	p.in[1].dims[2] = 2;
	p.in[1].dtype = KERF_F16;
	probe_refused(&p, -EINVAL, "float16");
	p.in[1].dtype = KERF_F32;
	probe_int(&p, "group", 0);
	probe_refused(&p, -EINVAL, "group 0");
	p.attr[0].i = 2;
	probe_refused(&p, -EINVAL, "group 2");
	p.attr[0].i = 1;
	probe_ints(&p, "strides", (int64_t[]){0, 1}, 2);
	probe_refused(&p, -EINVAL, "stride 0");
	p.ints[1][0] = INT64_MAX;
	probe_refused(&p, -EINVAL, "out of range");
	p.attr[1].n = 3;
	p.attr[1].ints = p.ints[1];
	probe_refused(&p, -EINVAL, "strides");
	p.op.n_attr = 0;
	probe_in(&p, KERF_F32, DIMS(3), VALUES(1));
	probe_refused(&p, -EINVAL, "input 2 is not a vector of 2");
	p.op.n_in = 2;
	p.in[0].dtype = KERF_F64;
	probe_refused(&p, -EOPNOTSUPP, "float64");
	probe_end(&p);

	image(&p, "ConvTranspose");
	probe_in(&p, KERF_F32, DIMS(1, 1, 2, 2), VALUES(1));
	probe_ints(&p, "pads", (int64_t[]){9, 0, 9, 0}, 4);
	probe_refused(&p, -EINVAL, "pads leave axis 0");
	probe_ints(&p, "output_padding", (int64_t[]){-1, 0}, 2);
	probe_refused(&p, -EINVAL, "output_padding");
	probe_end(&p);
}

/* The work of a shape no machine holds is the largest number, not a negative one. */
static void test_absurd(void **state)
{
	const struct kerf_tensor in[5] = {{KERF_F32, 3, {1, 1, (int64_t)1 << 33}, NULL},
					  {KERF_F32, 3, {1, 1, (int64_t)1 << 32}, NULL}};
	const struct kerf_tensor out = in[0];
	const struct kerf_op_def *def = kerf_op_find(NULL, "Conv", 11);

	assert_true(def->flops(NULL, in, &out) == INT64_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_conv),	cmocka_unit_test(test_fused),
		cmocka_unit_test(test_half),	cmocka_unit_test(test_transposed),
		cmocka_unit_test(test_integer), cmocka_unit_test(test_refused),
		cmocka_unit_test(test_absurd),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
