/* SPDX-License-Identifier: MIT */
/* The NPU's CONV and FC (npu_layer.h). */
#include "ops/npu_layer.h"

/* --- CONV, FC -------------------------------------------------------------------------- */

struct conv_case {
	int64_t n, h, w, c, oc, kh, kw, stride[2], dilation[2], pads[4], groups;
};

static const struct conv_case convs[] = {
	{1, 5, 5, 3, 4, 3, 3, {1, 1}, {1, 1}, {1, 1, 1, 1}, 1},
	{2, 7, 9, 8, 33, 1, 1, {1, 1}, {1, 1}, {0}, 1},
	{1, 7, 9, 16, 70, 1, 1, {1, 1}, {1, 1}, {0}, 1}, /* patches in place */
	{1, 14, 14, 20, 40, 3, 3, {2, 2}, {1, 1}, {1, 1, 1, 1}, 1},
	{1, 15, 13, 3, 64, 7, 7, {2, 2}, {1, 1}, {3, 3, 3, 3}, 1},
	{1, 12, 12, 6, 10, 3, 5, {1, 2}, {2, 1}, {2, 0, 1, 3}, 1},
	{2, 9, 8, 12, 18, 3, 3, {1, 1}, {1, 1}, {1, 1, 1, 1}, 3},
	{1, 20, 17, 40, 40, 3, 3, {1, 1}, {1, 1}, {1, 1, 1, 1}, 40}, /* depthwise */
	{2, 20, 17, 19, 19, 5, 3, {2, 1}, {1, 2}, {2, 2, 2, 2}, 19},
	{1, 9, 9, 8, 16, 3, 3, {1, 1}, {1, 1}, {1, 1, 1, 1}, 8}, /* two channels of each */
	{1, 30, 30, 70, 65, 3, 3, {1, 1}, {1, 1}, {1, 1, 1, 1}, 1},
	{1, 3, 3, 5, 7, 3, 3, {1, 1}, {1, 1}, {0}, 1},
};

static void conv_attributes(struct probe *p, const struct conv_case *c)
{
	p->op.nhwc = true;
	probe_ints(p, "strides", c->stride, 2);
	probe_ints(p, "dilations", c->dilation, 2);
	probe_ints(p, "pads", c->pads, 4);
	probe_int(p, "group", c->groups);
}

/* OIHW weights as the NPU wants them. */
static uint64_t put_weights(struct layer *l, const struct kerf_tensor *w)
{
	size_t size = kerf_dtype_size(w->dtype);
	int64_t taps = w->dims[2] * w->dims[3], ic = w->dims[1], o, i, t;
	uint8_t *to = malloc(kerf_tensor_bytes(w));
	uint64_t at;

	assert_non_null(to);
	for (o = 0; o < w->dims[0]; o++)
		for (t = 0; t < taps; t++)
			for (i = 0; i < ic; i++)
				memcpy(to + (size_t)((o * taps + t) * ic + i) * size,
				       (uint8_t *)w->data +
					       (size_t)((o * ic + i) * taps + t) * size,
				       size);
	at = put(l, to, kerf_tensor_bytes(w));
	free(to);
	return at;
}

static struct kerf_npu_conv conv_command(const struct conv_case *c, const struct kerf_tensor *x,
					 const struct kerf_tensor *y, enum kerf_dtype w)
{
	return (struct kerf_npu_conv){
		.cmd = npu_cmd(KERF_NPU_CONV, sizeof(struct kerf_npu_conv)),
		.x = tensor(x, 0, 0),
		.w = {0, (uint32_t)c->oc, (uint32_t)c->kh, (uint32_t)c->kw,
		      (uint32_t)(c->c / c->groups), (uint32_t)w, 0},
		.y = tensor(y, OUT, 0),
		.bias = KERF_NPU_NO_ADDR,
		.scale = KERF_NPU_NO_ADDR,
		.residual = KERF_NPU_NO_ADDR,
		.stride_h = (uint32_t)c->stride[0],
		.stride_w = (uint32_t)c->stride[1],
		.dilation_h = (uint32_t)c->dilation[0],
		.dilation_w = (uint32_t)c->dilation[1],
		.pad_top = (uint32_t)c->pads[0],
		.pad_left = (uint32_t)c->pads[1],
		.groups = (uint32_t)c->groups,
	};
}

static void conv_f32(struct layer *l, const struct conv_case *c, const struct kerf_act *act,
		     bool bias, bool residual)
{
	const struct kerf_tensor *y;
	struct kerf_npu_conv cmd;
	struct probe p;

	probe_begin(&p, "Conv", 13);
	conv_attributes(&p, c);
	random_in(&p, KERF_F32, DIMS(c->n, c->h, c->w, c->c));
	random_in(&p, KERF_F32, DIMS(c->oc, c->c / c->groups, c->kh, c->kw));
	if (bias)
		random_in(&p, KERF_F32, DIMS(c->oc));
	else
		probe_absent(&p);
	y = reference(&p);
	if (residual) {
		int64_t dims[4];

		probe_absent(&p);
		memcpy(dims, y->dims, sizeof(dims));
		random_in(&p, KERF_F32, dims, 4);
	}
	p.op.act = *act;
	y = reference(&p);
	l->n_in = 0;
	cmd = conv_command(c, &p.in[0], y, KERF_F32);
	cmd.x.addr = put_tensor(l, &p.in[0]);
	cmd.w.addr = put_weights(l, &p.in[1]);
	if (bias)
		cmd.bias = put_tensor(l, &p.in[2]);
	if (residual)
		cmd.residual = put_tensor(l, &p.in[4]);
	cmd.out = out_f32(act);
	expect(l, &cmd, sizeof(cmd), y);
	probe_end(&p);
}

static void test_conv_f32(void **state)
{
	struct layer *l = layer_new();
	unsigned i;

	for (i = 0; i < KERF_ARRAY_SIZE(convs); i++) {
		conv_f32(l, &convs[i], &acts[0], false, false);
		conv_f32(l, &convs[i], &acts[i % KERF_ARRAY_SIZE(acts)], true, i & 1);
	}
	for (i = 0; i < KERF_ARRAY_SIZE(acts); i++) {
		conv_f32(l, &convs[0], &acts[i], true, true);
		conv_f32(l, &convs[7], &acts[i], true, true);
	}
	layer_free(l);
}

/* m of each column, from the operator's inputs as the reference multiplies them. */
static uint64_t put_scales(struct layer *l, const struct probe *p, int64_t n)
{
	const float *w = p->in[4].data, x = *(const float *)p->in[1].data,
		    y = *(const float *)p->in[6].data;
	bool each = kerf_tensor_count(&p->in[4]) > 1;
	float m[512];
	int64_t i;

	assert_true(n <= 512);
	for (i = 0; i < n; i++)
		m[i] = kerf_quant_factor(x, w[each ? i : 0], y);
	return put(l, m, (uint64_t)n * 4);
}

/* x, scale, zero, w, scales, zero, scale of y, zero of y, as QLinearConv has them. */
static void product_inputs(struct probe *p, const struct dtypes *t, const int64_t *x, int x_rank,
			   const int64_t *w, int w_rank, int64_t columns, bool per_column)
{
	const double zero = 0;
	struct kerf_tensor *s;
	int64_t i;

	random_in(p, t->x, x, x_rank);
	scale_in(p, 0.031);
	zero_in(p, t->x, t->x_zero);
	random_in(p, t->w, w, w_rank);
	if (per_column) {
		s = probe_in(p, KERF_F32, &columns, 1, &zero, 1);
		for (i = 0; i < columns; i++)
			((float *)s->data)[i] = 0.001f + kerf_rng_float(&rng) * 0.02f;
		s = probe_in(p, t->w, &columns, 1, &t->w_zero, 1);
	} else {
		scale_in(p, 0.0123);
		zero_in(p, t->w, t->w_zero);
	}
	scale_in(p, 0.71);
	zero_in(p, t->y, t->y_zero);
}

static void conv_8(struct layer *l, const struct conv_case *c, const struct dtypes *t,
		   const struct kerf_act *act, bool bias, bool per_column)
{
	const struct kerf_tensor *y;
	struct kerf_npu_conv cmd;
	struct probe p;

	probe_begin(&p, "QLinearConv", 13);
	conv_attributes(&p, c);
	product_inputs(&p, t, DIMS(c->n, c->h, c->w, c->c),
		       DIMS(c->oc, c->c / c->groups, c->kh, c->kw), c->oc, per_column);
	if (bias)
		random_in(&p, KERF_I32, DIMS(c->oc));
	p.op.act = *act;
	y = reference(&p);
	l->n_in = 0;
	cmd = conv_command(c, &p.in[0], y, t->w);
	cmd.x.addr = put_tensor(l, &p.in[0]);
	cmd.w.addr = put_weights(l, &p.in[3]);
	cmd.x.zero = (uint32_t)(int32_t)t->x_zero;
	cmd.w.zero = (uint32_t)(int32_t)t->w_zero;
	cmd.y.zero = (uint32_t)(int32_t)t->y_zero;
	cmd.scale = put_scales(l, &p, c->oc);
	if (bias)
		cmd.bias = put_tensor(l, &p.in[8]);
	cmd.out = out_8(act, t->y, 0.71f, (int32_t)t->y_zero);
	expect(l, &cmd, sizeof(cmd), y);
	probe_end(&p);
}

static void test_conv_8(void **state)
{
	struct layer *l = layer_new();
	unsigned i, k;

	for (i = 0; i < KERF_ARRAY_SIZE(convs); i++)
		for (k = 0; k < KERF_ARRAY_SIZE(dtypes); k++)
			conv_8(l, &convs[i], &dtypes[k], &acts[(i + k) % 3], k & 1, i & 1);
	layer_free(l);
}

/* A band of rows of a larger image: pads are negative, or what is beyond them is not there. */
static void test_conv_of_a_band(void **state)
{
	const struct conv_case c = {1, 9, 6, 4, 5, 3, 3, {2, 1}, {1, 1}, {1, 1, 1, 1}, 1};
	const struct dtypes *t = &dtypes[0];
	struct layer *l = layer_new();
	const struct kerf_tensor *y;
	struct kerf_npu_conv cmd;
	struct kerf_tensor band;
	struct probe p;

	probe_begin(&p, "QLinearConv", 13);
	conv_attributes(&p, &c);
	product_inputs(&p, t, DIMS(1, 9, 6, 4), DIMS(5, 4, 3, 3), 5, false);
	y = reference(&p);
	/* Rows 3 and 4 of y, which see rows 5 .. 9 of x. */
	cmd = conv_command(&c, &p.in[0], y, t->w);
	cmd.x.addr = put_tensor(l, &p.in[0]);
	cmd.w.addr = put_weights(l, &p.in[3]);
	cmd.scale = put_scales(l, &p, 5);
	cmd.x.zero = (uint32_t)t->x_zero;
	cmd.y.zero = (uint32_t)t->y_zero;
	cmd.out = out_8(&acts[0], t->y, 1, 0);
	cmd.pad_top = (uint32_t)(1 - 3 * 2);
	cmd.y.h = 2;
	band = *y;
	band.dims[1] = 2;
	band.data = (uint8_t *)y->data + 3 * y->dims[2] * y->dims[3];
	expect(l, &cmd, sizeof(cmd), &band);
	/* The same from an x that begins at row 4. */
	cmd.x.addr += 4 * 6 * 4;
	cmd.x.h = 5;
	cmd.pad_top = (uint32_t)(1 - 3 * 2 + 4);
	expect(l, &cmd, sizeof(cmd), &band);
	probe_end(&p);
	layer_free(l);
}

static void fc(struct layer *l, int64_t rows, int64_t k, int64_t columns, const struct dtypes *t,
	       const struct kerf_act *act)
{
	const struct kerf_tensor *y;
	struct kerf_tensor flat;
	struct kerf_npu_fc cmd = {.cmd = npu_cmd(KERF_NPU_FC, sizeof(cmd))};
	struct probe p;

	probe_begin(&p, t ? "qGemm" : "Gemm", t ? 1 : 13);
	if (t) {
		product_inputs(&p, t, DIMS(rows, k), DIMS(columns, k), columns, true);
		random_in(&p, KERF_I32, DIMS(columns));
	} else {
		probe_int(&p, "transB", 1);
		random_in(&p, KERF_F32, DIMS(rows, k));
		random_in(&p, KERF_F32, DIMS(columns, k));
		random_in(&p, KERF_F32, DIMS(columns));
	}
	p.op.act = *act;
	y = reference(&p);
	l->n_in = 0;
	cmd.x = (struct kerf_npu_tensor){put_tensor(l, &p.in[0]), 1, 1, (uint32_t)rows,
					 (uint32_t)k, (uint32_t)p.in[0].dtype, 0};
	cmd.w = (struct kerf_npu_tensor){put_tensor(l, &p.in[t ? 3 : 1]), 1, 1, (uint32_t)columns,
					 (uint32_t)k, (uint32_t)p.in[t ? 3 : 1].dtype, 0};
	cmd.y = (struct kerf_npu_tensor){OUT, 1, 1, (uint32_t)rows, (uint32_t)columns,
					 (uint32_t)y->dtype, 0};
	cmd.bias = put_tensor(l, &p.in[t ? 8 : 2]);
	cmd.scale = cmd.residual = KERF_NPU_NO_ADDR;
	if (t) {
		cmd.x.zero = (uint32_t)(int32_t)t->x_zero;
		cmd.w.zero = (uint32_t)(int32_t)t->w_zero;
		cmd.y.zero = (uint32_t)(int32_t)t->y_zero;
		cmd.scale = put_scales(l, &p, columns);
		cmd.out = out_8(act, t->y, 0.71f, (int32_t)t->y_zero);
	} else {
		cmd.out = out_f32(act);
	}
	flat = *y;
	expect(l, &cmd, sizeof(cmd), &flat);
	probe_end(&p);
}

static void test_fc(void **state)
{
	struct layer *l = layer_new();
	unsigned i;

	for (i = 0; i < KERF_ARRAY_SIZE(dtypes); i++) {
		fc(l, 1, 512, 100, &dtypes[i], &acts[i % 3]);
		fc(l, 37, 77, 33, &dtypes[i], &acts[i % 3]);
	}
	for (i = 0; i < KERF_ARRAY_SIZE(acts); i++)
		fc(l, 1 + i * 7, 300, 17 + i * 5, NULL, &acts[i]);
	fc(l, 3, 1500, 40, NULL, &acts[0]); /* more than a block of k */
	layer_free(l);
}

/* Each x with its own w, and all with one. */
static void test_fc_batch(void **state)
{
	struct layer *l = layer_new();
	struct kerf_npu_fc cmd = {.cmd = npu_cmd(KERF_NPU_FC, sizeof(cmd))};
	float *bt = calloc(3 * 8 * 12, sizeof(*bt)), *residual;
	const struct kerf_tensor *y;
	struct probe p;
	int b, i, k, one;

	for (one = 0; one < 2; one++) {
		int n_w = one ? 1 : 3;

		probe_begin(&p, "MatMul", 13);
		random_in(&p, KERF_F32, DIMS(3, 5, 12));
		random_in(&p, KERF_F32, DIMS(n_w, 12, 8));
		y = reference(&p);
		for (b = 0; b < n_w; b++)
			for (i = 0; i < 8; i++)
				for (k = 0; k < 12; k++)
					bt[(b * 8 + i) * 12 + k] =
						((float *)p.in[1].data)[(b * 12 + k) * 8 + i];
		l->n_in = 0;
		cmd.x = (struct kerf_npu_tensor){put_tensor(l, &p.in[0]), 3, 1, 5, 12, KERF_F32, 0};
		cmd.w = (struct kerf_npu_tensor){put(l, bt, (uint64_t)n_w * 8 * 12 * 4),
						 (uint32_t)n_w, 1, 8, 12, KERF_F32, 0};
		cmd.y = (struct kerf_npu_tensor){OUT, 3, 1, 5, 8, KERF_F32, 0};
		cmd.bias = cmd.scale = cmd.residual = KERF_NPU_NO_ADDR;
		expect(l, &cmd, sizeof(cmd), y);
		/* And added to something. */
		residual = calloc(3 * 5 * 8, sizeof(*residual));
		assert_non_null(residual);
		for (i = 0; i < 3 * 5 * 8; i++) {
			residual[i] = (float)i;
			((float *)y->data)[i] += residual[i];
		}
		cmd.residual = put(l, residual, 3 * 5 * 8 * sizeof(*residual));
		expect(l, &cmd, sizeof(cmd), y);
		free(residual);
		probe_end(&p);
	}
	free(bt);
	layer_free(l);
}

/* --- stopping -------------------------------------------------------------------- */

/* Stopped anywhere, a command has written nothing of a scattered output, and nothing leaks. */
static void test_stops(void **state)
{
	struct layer *l = layer_new();
	struct kerf_npu_fc cmd = {.cmd = npu_cmd(KERF_NPU_FC, sizeof(cmd))};
	static float x[200 * 64], got[200 * 100];

	cmd.x = (struct kerf_npu_tensor){put(l, x, sizeof(x)), 1, 1, 200, 64, KERF_NPU_F32, 0};
	cmd.w = (struct kerf_npu_tensor){cmd.x.addr, 1, 1, 100, 64, KERF_NPU_F32, 0};
	cmd.y = (struct kerf_npu_tensor){OUT, 1, 1, 200, 100, KERF_NPU_F32, 0};
	cmd.bias = cmd.scale = cmd.residual = KERF_NPU_NO_ADDR;
	for (l->budget = 1; l->budget < 8; l->budget++) {
		int budget = l->budget;

		assert_int_equal(run_in_place(l, &cmd, sizeof(cmd), got, sizeof(got), 4096, NULL),
				 KERF_NPU_FAULT_ABORTED);
		l->budget = budget;
	}
	layer_free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_conv_f32),
		cmocka_unit_test(test_conv_8),
		cmocka_unit_test(test_conv_of_a_band),
		cmocka_unit_test(test_fc),
		cmocka_unit_test(test_fc_batch),
		cmocka_unit_test(test_stops),
	};

	kerf_rng_seed(&rng, 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
