/* SPDX-License-Identifier: MIT */
#include "op_probe.h"

static void ramp(struct probe *p, const char *name, int opset)
{
	probe_begin(p, name, opset);
	probe_in(p, KERF_F32, DIMS(1, 1, 1, 4), VALUES(0, 10, 20, 30));
}

/* Before opset 11 positions are x / scale, cut off. */
static void test_upsample(void **state)
{
	struct probe p;
	float scales[] = {1, 1, 1, 1.5f};

	ramp(&p, "Upsample", 7);
	probe_attr(&p, "scales", KERF_ATTR_FLOATS)->floats = scales;
	p.attr[0].n = 4;
	probe_expect(&p, KERF_F32, DIMS(1, 1, 1, 6), VALUES(0, 0, 10, 20, 20, 30), 0);
	probe_string(&p, "mode", "linear");
	scales[3] = 2;
	probe_expect(&p, KERF_F32, DIMS(1, 1, 1, 8), VALUES(0, 5, 10, 15, 20, 25, 30, 30), 1e-5);
	scales[3] = -1;
	probe_refused(&p, -EINVAL, "scale 3");
	scales[3] = NAN;
	probe_refused(&p, -EINVAL, "scale 3");
	p.attr[0].n = 3;
	probe_refused(&p, -EINVAL, "4 elements");
	p.op.n_attr = 0;
	probe_refused(&p, -EINVAL, "scales is missing");
	probe_end(&p);
}

static void test_resize_10(void **state)
{
	struct probe p;

	ramp(&p, "Resize", 10);
	probe_in(&p, KERF_F32, DIMS(4), VALUES(1, 1, 1, 0.5));
	probe_expect(&p, KERF_F32, DIMS(1, 1, 1, 2), VALUES(0, 20), 0);
	free(p.in[1].data);
	p.in[1].data = NULL;
	assert_int_equal(probe_run(&p), -ENODATA);
	probe_end(&p);
}

static void test_resize(void **state)
{
	struct probe p;

	ramp(&p, "Resize", 18);
	probe_absent(&p);
	probe_absent(&p);
	probe_in(&p, KERF_I64, DIMS(1), VALUES(8));
	probe_ints(&p, "axes", (int64_t[]){-1}, 1);
	probe_string(&p, "mode", "linear");
	probe_expect(&p, KERF_F32, DIMS(1, 1, 1, 8),
		     VALUES(0, 2.5, 7.5, 12.5, 17.5, 22.5, 27.5, 30), 1e-5);
	probe_string(&p, "coordinate_transformation_mode", "align_corners");
	((int64_t *)p.in[3].data)[0] = 7;
	probe_expect(&p, KERF_F32, DIMS(1, 1, 1, 7), VALUES(0, 5, 10, 15, 20, 25, 30), 1e-5);
	probe_int(&p, "antialias", 1);
	probe_refused(&p, -EOPNOTSUPP, "antialias");
	p.attr[3].i = 0;
	((int64_t *)p.in[3].data)[0] = -1;
	probe_refused(&p, -EINVAL, "size 0 is -1");
	((int64_t *)p.in[3].data)[0] = INT64_MAX;
	probe_refused(&p, -EINVAL, "size 0");
	p.ints[0][0] = 4;
	probe_refused(&p, -EINVAL, "axes[0]");
	p.attr[2].s = "sideways";
	probe_refused(&p, -EINVAL, "sideways");
	probe_end(&p);
}

static void test_aspect(void **state)
{
	struct probe p;

	probe_begin(&p, "Resize", 18);
	probe_in(&p, KERF_U8, DIMS(2, 4), VALUES(1, 2, 3, 4, 5, 6, 7, 8));
	probe_absent(&p);
	probe_absent(&p);
	probe_in(&p, KERF_I64, DIMS(2), VALUES(1, 4));
	probe_string(&p, "keep_aspect_ratio_policy", "not_larger");
	probe_string(&p, "nearest_mode", "floor");
	probe_string(&p, "coordinate_transformation_mode", "asymmetric");
	probe_expect(&p, KERF_U8, DIMS(1, 2), VALUES(1, 3), 0);
	p.attr[0].s = "not_smaller";
	probe_expect(&p, KERF_U8, DIMS(2, 4), VALUES(1, 2, 3, 4, 5, 6, 7, 8), 0);
	probe_end(&p);
}

static void test_depth(void **state)
{
	struct probe p;

	probe_begin(&p, "DepthToSpace", 13);
	probe_in(&p, KERF_U8, DIMS(1, 8, 1, 1), VALUES(0, 1, 2, 3, 4, 5, 6, 7));
	probe_int(&p, "blocksize", 2);
	probe_expect(&p, KERF_U8, DIMS(1, 2, 2, 2), VALUES(0, 2, 4, 6, 1, 3, 5, 7), 0);
	probe_string(&p, "mode", "CRD");
	probe_expect(&p, KERF_U8, DIMS(1, 2, 2, 2), VALUES(0, 1, 2, 3, 4, 5, 6, 7), 0);
	p.attr[0].i = 3;
	probe_refused(&p, -EINVAL, "multiple of blocksize");
	p.attr[0].i = 0;
	probe_refused(&p, -EINVAL, "blocksize is 0");
	p.attr[0].i = INT64_MIN;
	probe_refused(&p, -EINVAL, "blocksize");
	probe_end(&p);
}

static void test_grid(void **state)
{
	struct probe p;

	ramp(&p, "GridSample", 16);
	probe_in(&p, KERF_F32, DIMS(1, 1, 4, 2), VALUES(-0.75, 0, -0.5, 0, 5, 0, NAN, 0));
	probe_string(&p, "padding_mode", "border");
	probe_expect(&p, KERF_F32, DIMS(1, 1, 1, 4), VALUES(0, 5, 30, 0), 1e-5);
	p.attr[0].s = "reflection"; /* 5 is 11.5 pixels: back at 4 - 0.5, 0 - 0.5, 3.5 */
	((float *)p.in[1].data)[6] = 1e30f;
	assert_int_equal(probe_run(&p), 0);
	p.in[1].dims[3] = 3;
	probe_refused(&p, -EINVAL, "grid is not");
	probe_string(&p, "mode", "spline");
	probe_refused(&p, -EINVAL, "spline");
	probe_end(&p);
}

static void test_suppression(void **state)
{
	struct probe p;

	probe_begin(&p, "NonMaxSuppression", 11);
	probe_in(&p, KERF_F32, DIMS(1, 4, 4),
		 VALUES(0, 0, 1, 1, 0, 0, 1, 0.9, 5, 5, 6, 6, 1, 1, 0, 0));
	probe_in(&p, KERF_F32, DIMS(1, 1, 4), VALUES(0.5, 0.9, 0.5, NAN));
	probe_in(&p, KERF_I64, DIMS(1), VALUES(10));
	probe_in(&p, KERF_F32, DIMS(1), VALUES(0.5));
	probe_expect(&p, KERF_I64, DIMS(2, 3), VALUES(0, 0, 1, 0, 0, 2), 0);
	((int64_t *)p.in[2].data)[0] = 1;
	probe_expect(&p, KERF_I64, DIMS(1, 3), VALUES(0, 0, 1), 0);
	((int64_t *)p.in[2].data)[0] = -5;
	probe_expect(&p, KERF_I64, DIMS(0, 3), VALUES(0), 0);
	p.in[1].dims[2] = 3;
	probe_refused(&p, -EINVAL, "boxes and scores");
	probe_end(&p);
}

static void test_roi(void **state)
{
	struct probe p;

	probe_begin(&p, "RoiAlign", 16);
	probe_in(&p, KERF_F32, DIMS(1, 1, 2, 2), VALUES(0, 1, 2, 3));
	probe_in(&p, KERF_F32, DIMS(1, 4), VALUES(0, 0, 2, 2));
	probe_in(&p, KERF_I64, DIMS(1), VALUES(0));
	probe_expect(&p, KERF_F32, DIMS(1, 1, 1, 1), VALUES(1.5), 1e-6);
	((int64_t *)p.in[2].data)[0] = 1;
	assert_int_equal(probe_run(&p), -EINVAL);
	((int64_t *)p.in[2].data)[0] = 0;
	((float *)p.in[1].data)[2] = 1e9f; /* would be 10^18 samples */
	((float *)p.in[1].data)[3] = 1e9f;
	assert_int_equal(probe_run(&p), -EINVAL);
	((float *)p.in[1].data)[3] = NAN;
	assert_int_equal(probe_run(&p), -EINVAL);
	probe_int(&p, "sampling_ratio", INT64_MAX);
	probe_refused(&p, -EINVAL, "sampling_ratio");
	probe_end(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_upsample),    cmocka_unit_test(test_resize_10),
		cmocka_unit_test(test_resize),	    cmocka_unit_test(test_aspect),
		cmocka_unit_test(test_depth),	    cmocka_unit_test(test_grid),
		cmocka_unit_test(test_suppression), cmocka_unit_test(test_roi),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
