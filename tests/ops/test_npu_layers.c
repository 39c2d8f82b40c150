/* SPDX-License-Identifier: MIT */
/* The NPU's other commands (npu_layer.h). */
#include "ops/npu_layer.h"

/* --- pools ----------------------------------------------------------------------------- */

struct pool_case {
	int64_t n, h, w, c, kernel[2], stride[2], dilation[2], pads[4], ceil_mode;
};

static const struct pool_case pools[] = {
	{1, 12, 12, 5, {2, 2}, {2, 2}, {1, 1}, {0}, 0},
	{2, 13, 9, 33, {3, 3}, {2, 2}, {1, 1}, {1, 1, 1, 1}, 0},
	{1, 10, 10, 4, {3, 2}, {1, 3}, {2, 1}, {1, 0, 2, 1}, 0},
	{1, 10, 10, 64, {3, 3}, {2, 2}, {1, 1}, {0}, 1},
};

static struct kerf_npu_pool pool_command(uint16_t opcode, const struct pool_case *c,
					 const struct kerf_tensor *x, const struct kerf_tensor *y,
					 bool count_pad)
{
	struct kerf_npu_pool cmd = {
		.cmd = npu_cmd(opcode, sizeof(cmd)),
		.x = tensor(x, 0, 0),
		.y = tensor(y, OUT, 0),
		.kernel_h = (uint32_t)c->kernel[0],
		.kernel_w = (uint32_t)c->kernel[1],
		.stride_h = (uint32_t)c->stride[0],
		.stride_w = (uint32_t)c->stride[1],
		.dilation_h = (uint32_t)c->dilation[0],
		.dilation_w = (uint32_t)c->dilation[1],
		.pad_top = (uint32_t)c->pads[0],
		.pad_left = (uint32_t)c->pads[1],
	};

	if (count_pad) {
		cmd.cmd.flags = KERF_NPU_POOL_COUNT_PAD;
		cmd.pad_bottom = (uint32_t)c->pads[2];
		cmd.pad_right = (uint32_t)c->pads[3];
	}
	return cmd;
}

static void pool_attributes(struct probe *p, const struct pool_case *c)
{
	p->op.nhwc = true;
	probe_ints(p, "kernel_shape", c->kernel, 2);
	probe_ints(p, "strides", c->stride, 2);
	probe_ints(p, "dilations", c->dilation, 2);
	probe_ints(p, "pads", c->pads, 4);
	probe_int(p, "ceil_mode", c->ceil_mode);
}

static void test_pool_max(void **state)
{
	static const enum kerf_dtype of[] = {KERF_F32, KERF_U8, KERF_I8};
	struct layer *l = layer_new();
	unsigned i, k;

	for (i = 0; i < KERF_ARRAY_SIZE(pools); i++)
		for (k = 0; k < 3; k++) {
			const struct pool_case *c = &pools[i];
			const struct kerf_tensor *y;
			struct kerf_npu_pool cmd;
			struct probe p;

			probe_begin(&p, "MaxPool", 12);
			pool_attributes(&p, c);
			random_in(&p, of[k], DIMS(c->n, c->h, c->w, c->c));
			y = reference(&p);
			l->n_in = 0;
			cmd = pool_command(KERF_NPU_POOL_MAX, c, &p.in[0], y, false);
			cmd.x.addr = put_tensor(l, &p.in[0]);
			cmd.x.zero = cmd.y.zero = k == 1 ? 9 : k == 2 ? (uint32_t)-9 : 0;
			if (k)
				cmd.out = out_8(&acts[0], of[k], 1, 0);
			expect(l, &cmd, sizeof(cmd), y);
			probe_end(&p);
		}
	layer_free(l);
}

static void test_pool_average(void **state)
{
	struct layer *l = layer_new();
	unsigned i, k, count_pad;

	for (i = 0; i < KERF_ARRAY_SIZE(pools); i++)
		for (k = 0; k <= KERF_ARRAY_SIZE(dtypes); k++)
			for (count_pad = 0; count_pad < 2; count_pad++) {
				const struct dtypes *t =
					k < KERF_ARRAY_SIZE(dtypes) ? &dtypes[k] : NULL;
				const struct pool_case *c = &pools[i];
				const struct kerf_tensor *y;
				struct kerf_npu_pool cmd;
				struct probe p;

				probe_begin(&p, t ? "qAveragePool" : "AveragePool", t ? 1 : 19);
				pool_attributes(&p, c);
				probe_int(&p, "count_include_pad", count_pad);
				random_in(&p, t ? t->x : KERF_F32, DIMS(c->n, c->h, c->w, c->c));
				if (t) {
					scale_in(&p, 0.3);
					zero_in(&p, t->x, t->x_zero);
					scale_in(&p, 0.17);
					zero_in(&p, t->y, t->y_zero);
				}
				p.op.act = acts[k % 3];
				y = reference(&p);
				l->n_in = 0;
				cmd = pool_command(KERF_NPU_POOL_AVERAGE, c, &p.in[0], y,
						   count_pad);
				cmd.x.addr = put_tensor(l, &p.in[0]);
				cmd.out = out_f32(&p.op.act);
				if (t) {
					cmd.x.zero = (uint32_t)(int32_t)t->x_zero;
					cmd.y.zero = (uint32_t)(int32_t)t->y_zero;
					cmd.factor = bits(0.3f / 0.17f);
					cmd.out = out_8(&p.op.act, t->y, 0.17f, (int32_t)t->y_zero);
				}
				expect(l, &cmd, sizeof(cmd), y);
				probe_end(&p);
			}
	layer_free(l);
}

static void test_pool_global(void **state)
{
	const struct pool_case c = {2, 7, 5, 70, {7, 5}, {1, 1}, {1, 1}, {0}, 0};
	struct layer *l = layer_new();
	const struct kerf_tensor *y;
	struct kerf_npu_pool cmd;
	struct probe p;

	probe_begin(&p, "qGlobalAveragePool", 1);
	p.op.nhwc = true;
	random_in(&p, KERF_U8, DIMS(2, 7, 5, 70));
	scale_in(&p, 0.3);
	zero_in(&p, KERF_U8, 77);
	scale_in(&p, 0.05);
	zero_in(&p, KERF_I8, -20);
	y = reference(&p);
	cmd = pool_command(KERF_NPU_POOL_AVERAGE, &c, &p.in[0], y, false);
	cmd.x.addr = put_tensor(l, &p.in[0]);
	cmd.x.zero = 77;
	cmd.y.zero = (uint32_t)-20;
	cmd.factor = bits(0.3f / 0.05f);
	cmd.out = out_8(&acts[0], KERF_I8, 1, 0);
	expect(l, &cmd, sizeof(cmd), y);
	probe_end(&p);

	probe_begin(&p, "GlobalAveragePool", 13);
	p.op.nhwc = true;
	random_in(&p, KERF_F32, DIMS(2, 7, 5, 70));
	y = reference(&p);
	l->n_in = 0;
	cmd = pool_command(KERF_NPU_POOL_AVERAGE, &c, &p.in[0], y, false);
	cmd.x.addr = put_tensor(l, &p.in[0]);
	expect(l, &cmd, sizeof(cmd), y);
	probe_end(&p);
	layer_free(l);
}

/* Windows that lie wholly in the padding. */
static void test_pool_of_nothing(void **state)
{
	static const struct {
		uint16_t opcode;
		uint32_t dtype, zero;
		uint32_t want; /* bits of every element */
	} cases[] = {
		{KERF_NPU_POOL_MAX, KERF_NPU_U8, 3, 2},		  /* 0, clamped */
		{KERF_NPU_POOL_MAX, KERF_NPU_I8, 3, 0x80},
		{KERF_NPU_POOL_AVERAGE, KERF_NPU_U8, 3, 3},	  /* the zero point */
		{KERF_NPU_POOL_MAX, KERF_NPU_F32, 0, 0xff800000}, /* -infinity */
		{KERF_NPU_POOL_AVERAGE, KERF_NPU_F32, 0, 0},
	};
	const struct pool_case c = {1, 4, 4, 8, {2, 2}, {1, 1}, {1, 1}, {50, 0, 0, 0}, 0};
	struct kerf_tensor x = {KERF_F32, 4, {1, 4, 4, 8}, NULL};
	struct kerf_tensor y = {KERF_F32, 4, {1, 2, 2, 8}, NULL};
	struct layer *l = layer_new();
	uint8_t got[2 * 2 * 8 * 4];
	unsigned i, k;

	l->n_in = 4 * 4 * 8 * 4;
	for (i = 0; i < KERF_ARRAY_SIZE(cases); i++) {
		struct kerf_npu_pool cmd = pool_command(cases[i].opcode, &c, &x, &y, false);
		uint32_t size = cases[i].dtype == KERF_NPU_F32 ? 4 : 1, bits_of;

		cmd.x.dtype = cmd.y.dtype = cases[i].dtype;
		cmd.x.zero = cmd.y.zero = cases[i].zero;
		if (size == 1) {
			cmd.out.lo = cases[i].dtype == KERF_NPU_I8 ? (uint32_t)-128 : 2;
			cmd.out.hi = 100;
			cmd.factor = cases[i].opcode == KERF_NPU_POOL_AVERAGE ? bits(1) : 0;
		}
		assert_int_equal(run_in_place(l, &cmd, sizeof(cmd), got, sizeof(got), 64, NULL), 0);
		for (k = 0; k < 2 * 2 * 8; k++) {
			bits_of = 0;
			memcpy(&bits_of, got + k * size, size);
			assert_int_equal(bits_of, cases[i].want);
		}
	}
	layer_free(l);
}

/* --- element by element ---------------------------------------------------------------- */

static void binary(struct layer *l, uint16_t opcode, const int64_t a[4], const int64_t b[4],
		   const struct dtypes *t, const struct kerf_act *act)
{
	static const char *const float_names[] = {
		[KERF_NPU_ADD] = "Add",
		[KERF_NPU_MUL] = "Mul",
		[KERF_NPU_SUB] = "Sub",
		[KERF_NPU_DIV] = "Div",
	};
	const float as = 0.11f, bs = 0.23f, ys = 0.37f;
	struct kerf_npu_binary cmd = {.cmd = npu_cmd(opcode, sizeof(cmd))};
	const struct kerf_tensor *y;
	struct probe p;
	int second = t ? 3 : 1;

	if (t)
		probe_begin(&p, opcode == KERF_NPU_ADD ? "qAdd" : "qMul", 1);
	else
		probe_begin(&p, float_names[opcode], 14);
	random_in(&p, t ? t->x : KERF_F32, a, 4);
	if (t) {
		scale_in(&p, as);
		zero_in(&p, t->x, t->x_zero);
	}
	random_in(&p, t ? t->w : KERF_F32, b, 4);
	if (t) {
		scale_in(&p, bs);
		zero_in(&p, t->w, t->w_zero);
		scale_in(&p, ys);
		zero_in(&p, t->y, t->y_zero);
	}
	p.op.act = *act;
	y = reference(&p);
	l->n_in = 0;
	cmd.a = tensor(&p.in[0], put_tensor(l, &p.in[0]), t ? (int32_t)t->x_zero : 0);
	cmd.b = tensor(&p.in[second], put_tensor(l, &p.in[second]), t ? (int32_t)t->w_zero : 0);
	cmd.y = tensor(y, OUT, t ? (int32_t)t->y_zero : 0);
	cmd.out = t ? out_8(act, t->y, ys, (int32_t)t->y_zero) : out_f32(act);
	if (t && opcode == KERF_NPU_ADD) {
		cmd.factor_a = bits(as / ys);
		cmd.factor_b = bits(bs / ys);
	} else if (t) {
		cmd.factor_a = bits(kerf_quant_factor(as, bs, ys));
	}
	expect(l, &cmd, sizeof(cmd), y);
	probe_end(&p);
}

static void test_binary(void **state)
{
	static const int64_t dims[][2][4] = {
		{{2, 9, 7, 13}, {2, 9, 7, 13}},	 {{1, 30, 30, 40}, {1, 1, 1, 40}},
		{{1, 5, 6, 7}, {1, 1, 1, 1}},	 {{2, 5, 6, 7}, {2, 1, 1, 7}},
		{{2, 5, 6, 1}, {2, 5, 6, 17}},	 {{1, 1, 6, 3}, {4, 5, 1, 1}},
		{{1, 60, 60, 16}, {1, 60, 60, 16}},
	};
	struct layer *l = layer_new();
	uint16_t op;
	unsigned i, k;

	for (i = 0; i < KERF_ARRAY_SIZE(dims); i++) {
		for (op = KERF_NPU_ADD; op <= KERF_NPU_DIV; op++)
			binary(l, op, dims[i][0], dims[i][1], NULL, &acts[(i + op) % 3]);
		for (op = KERF_NPU_ADD; op <= KERF_NPU_MUL; op++)
			for (k = 0; k < KERF_ARRAY_SIZE(dtypes); k++)
				binary(l, op, dims[i][0], dims[i][1], &dtypes[k],
				       &acts[(i + k) % 3]);
	}
	layer_free(l);
}

static struct kerf_npu_unary unary_command(uint16_t opcode, const struct kerf_tensor *x,
					   const struct kerf_tensor *y)
{
	return (struct kerf_npu_unary){
		.cmd = npu_cmd(opcode, sizeof(struct kerf_npu_unary)),
		.x = tensor(x, 0, 0),
		.y = tensor(y, OUT, 0),
		.table = KERF_NPU_NO_ADDR,
	};
}

static void test_act(void **state)
{
	struct layer *l = layer_new();
	struct kerf_npu_unary cmd;
	const struct kerf_tensor *y;
	struct probe p;
	unsigned i;

	for (i = 0; i < KERF_ARRAY_SIZE(acts); i++) {
		float *x;
		int k;

		probe_begin(&p, "act", 1);
		x = random_in(&p, KERF_F32, DIMS(1, 20, 21, 22))->data;
		for (k = 0; k < 20 * 21 * 22; k++)
			x[k] *= 20;
		p.op.act = acts[i];
		y = reference(&p);
		l->n_in = 0;
		cmd = unary_command(KERF_NPU_ACT, &p.in[0], y);
		cmd.x.addr = put_tensor(l, &p.in[0]);
		cmd.out = out_f32(&acts[i]);
		expect(l, &cmd, sizeof(cmd), y);
		probe_end(&p);
	}
	layer_free(l);
}

static void test_quantize(void **state)
{
	static const float odd[] = {NAN, INFINITY, -INFINITY, 0.5f, -0.5f, 1.5f, 2.5f, 1e30f};
	struct layer *l = layer_new();
	struct kerf_npu_unary cmd;
	const struct kerf_tensor *y;
	struct probe p;
	unsigned i;

	for (i = 0; i < KERF_ARRAY_SIZE(dtypes); i++) {
		const struct dtypes *t = &dtypes[i];
		float *x;
		int k;

		probe_begin(&p, "QuantizeLinear", 13);
		x = random_in(&p, KERF_F32, DIMS(1, 11, 9, 31))->data;
		for (k = 0; k < 11 * 9 * 31; k++)
			x[k] *= 200;
		memcpy(x, odd, sizeof(odd));
		scale_in(&p, i ? 0.7 : 1);
		zero_in(&p, t->y, t->y_zero);
		y = reference(&p);
		l->n_in = 0;
		cmd = unary_command(KERF_NPU_QUANTIZE, &p.in[0], y);
		cmd.x.addr = put_tensor(l, &p.in[0]);
		cmd.y.zero = (uint32_t)(int32_t)t->y_zero;
		cmd.factor = bits(i ? 0.7f : 1);
		cmd.out = out_8(&acts[0], t->y, 1, 0);
		expect(l, &cmd, sizeof(cmd), y);
		probe_end(&p);

		probe_begin(&p, "DequantizeLinear", 13);
		random_in(&p, t->x, DIMS(1, 11, 9, 31));
		scale_in(&p, 0.013);
		zero_in(&p, t->x, t->x_zero);
		p.op.act = acts[i];
		y = reference(&p);
		l->n_in = 0;
		cmd = unary_command(KERF_NPU_DEQUANTIZE, &p.in[0], y);
		cmd.x.addr = put_tensor(l, &p.in[0]);
		cmd.x.zero = (uint32_t)(int32_t)t->x_zero;
		cmd.factor = bits(0.013f);
		cmd.out = out_f32(&acts[i]);
		expect(l, &cmd, sizeof(cmd), y);
		probe_end(&p);

		probe_begin(&p, "qRescale", 1);
		random_in(&p, t->x, DIMS(1, 11, 9, 31));
		scale_in(&p, 0.4);
		zero_in(&p, t->x, t->x_zero);
		scale_in(&p, 0.3);
		zero_in(&p, t->y, t->y_zero);
		p.op.act = acts[i % 3];
		y = reference(&p);
		l->n_in = 0;
		cmd = unary_command(KERF_NPU_RESCALE, &p.in[0], y);
		cmd.x.addr = put_tensor(l, &p.in[0]);
		cmd.x.zero = (uint32_t)(int32_t)t->x_zero;
		cmd.y.zero = (uint32_t)(int32_t)t->y_zero;
		cmd.factor = bits(0.4f / 0.3f);
		cmd.out = out_8(&p.op.act, t->y, 0.3f, (int32_t)t->y_zero);
		expect(l, &cmd, sizeof(cmd), y);
		probe_end(&p);
	}
	layer_free(l);
}

static void test_lut(void **state)
{
	struct layer *l = layer_new();
	struct kerf_npu_unary cmd;
	const struct kerf_tensor *y;
	struct probe p;

	probe_begin(&p, "qLut", 1);
	random_in(&p, KERF_I8, DIMS(2, 9, 9, 77));
	random_in(&p, KERF_U8, DIMS(256));
	y = reference(&p);
	cmd = unary_command(KERF_NPU_LUT, &p.in[0], y);
	cmd.x.addr = put_tensor(l, &p.in[0]);
	cmd.table = put_tensor(l, &p.in[1]);
	expect(l, &cmd, sizeof(cmd), y);
	probe_end(&p);
	layer_free(l);
}

static void test_softmax(void **state)
{
	struct layer *l = layer_new();
	struct kerf_npu_softmax cmd = {.cmd = npu_cmd(KERF_NPU_SOFTMAX, sizeof(cmd))};
	const struct kerf_tensor *y;
	struct probe p;

	probe_begin(&p, "Softmax", 13);
	probe_int(&p, "axis", 3);
	random_in(&p, KERF_F32, DIMS(2, 3, 5, 101));
	y = reference(&p);
	cmd.x = tensor(&p.in[0], put_tensor(l, &p.in[0]), 0);
	cmd.y = tensor(y, OUT, 0);
	expect(l, &cmd, sizeof(cmd), y);
	probe_end(&p);
	layer_free(l);
}

/* Where an element-wise output is exactly its input. */
static void test_in_place(void **state)
{
	struct layer *l = layer_new();
	struct kerf_npu_binary cmd = {.cmd = npu_cmd(KERF_NPU_ADD, sizeof(cmd))};
	float x[1000], got[1000];
	unsigned i, piece;

	for (i = 0; i < 1000; i++)
		x[i] = (float)i;
	cmd.a = cmd.b = cmd.y = (struct kerf_npu_tensor){OUT, 1, 1, 10, 100, KERF_NPU_F32, 0};
	for (piece = 0; piece < 256; piece += 128) {
		assert_int_equal(run_in_place(l, &cmd, sizeof(cmd), got, sizeof(got), piece, x), 0);
		for (i = 0; i < 1000; i++)
			assert_true(got[i] == 2 * x[i]);
	}
	/* A shifted one, or one that is repeated, is not. */
	cmd.a.w = 9;
	cmd.y.w = cmd.b.w = 9;
	cmd.a.addr += 4;
	assert_int_equal(run_in_place(l, &cmd, sizeof(cmd), got, sizeof(got), 0, x),
			 KERF_NPU_FAULT_OVERLAP);
	cmd.a.addr -= 4;
	cmd.a.w = 1;
	assert_int_equal(run_in_place(l, &cmd, sizeof(cmd), got, sizeof(got), 0, x),
			 KERF_NPU_FAULT_OVERLAP);
	layer_free(l);
}

/* --- moves ----------------------------------------------------------------------------- */

static void test_transpose(void **state)
{
	static const enum kerf_dtype of[] = {KERF_U8, KERF_F32, KERF_I64};
	static const int64_t perm[] = {0, 2, 3, 1};
	struct layer *l = layer_new();
	unsigned i;

	for (i = 0; i < 3; i++) {
		const struct kerf_tensor *y;
		struct kerf_npu_copy cmd = {.cmd = npu_cmd(KERF_NPU_COPY, sizeof(cmd))};
		struct probe p;

		probe_begin(&p, "Transpose", 13);
		probe_ints(&p, "perm", perm, 4);
		random_in(&p, of[i], DIMS(2, 3, 40, 50));
		y = reference(&p);
		/* Offset 0: 8-byte elements are aligned in the guest's memory too. */
		l->n_in = 0;
		cmd.src = put_tensor(l, &p.in[0]);
		cmd.dst = OUT;
		cmd.element_size = (uint32_t)kerf_dtype_size(of[i]);
		memcpy(cmd.dims, (const uint32_t[]){1, 1, 2, 40, 50, 3}, sizeof(cmd.dims));
		memcpy(cmd.src_stride, (const uint32_t[]){0, 0, 6000, 50, 1, 2000},
		       sizeof(cmd.src_stride));
		memcpy(cmd.dst_stride, (const uint32_t[]){0, 0, 6000, 150, 3, 1},
		       sizeof(cmd.dst_stride));
		expect(l, &cmd, sizeof(cmd), y);
		probe_end(&p);
	}
	layer_free(l);
}

/* The second input of a Concat along channels: what lies between its rows stays. */
static void test_copy_leaves_gaps(void **state)
{
	struct layer *l = layer_new();
	struct kerf_npu_copy cmd = {.cmd = npu_cmd(KERF_NPU_COPY, sizeof(cmd))};
	uint8_t x[20 * 5], before[20 * 12], got[20 * 12], want[20 * 12];
	unsigned i, piece;

	for (i = 0; i < sizeof(x); i++)
		x[i] = (uint8_t)i;
	memset(before, 0xee, sizeof(before));
	memcpy(want, before, sizeof(want));
	for (i = 0; i < 20; i++)
		memcpy(want + i * 12 + 7, x + i * 5, 5);
	cmd.src = put(l, x, sizeof(x));
	cmd.dst = OUT + 7;
	cmd.element_size = 1;
	memcpy(cmd.dims, (const uint32_t[]){1, 1, 1, 1, 20, 5}, sizeof(cmd.dims));
	cmd.src_stride[4] = 5;
	cmd.dst_stride[4] = 12;
	cmd.src_stride[5] = cmd.dst_stride[5] = 1;
	for (piece = 0; piece <= 64; piece += 64) {
		assert_int_equal(
			run_in_place(l, &cmd, sizeof(cmd), got, sizeof(got), piece, before), 0);
		assert_memory_equal(got, want, sizeof(want));
	}
	layer_free(l);
}

static void test_fill(void **state)
{
	struct layer *l = layer_new();
	struct kerf_npu_copy cmd = {.cmd = npu_cmd(KERF_NPU_FILL, sizeof(cmd))};
	float got[60];
	unsigned i;

	cmd.src = bits(2.5f);
	cmd.dst = OUT;
	cmd.element_size = 4;
	memcpy(cmd.dims, (const uint32_t[]){1, 1, 1, 1, 10, 3}, sizeof(cmd.dims));
	cmd.dst_stride[4] = 6;
	cmd.dst_stride[5] = 2;
	assert_int_equal(run_in_place(l, &cmd, sizeof(cmd), got, sizeof(got), 64, NULL), 0);
	for (i = 0; i < 60; i++)
		assert_true(got[i] == (i % 2 ? 0 : 2.5f));
	layer_free(l);
}

static void test_resize(void **state)
{
	static const int32_t rows[] = {0, 0, 1, 2, 2}, columns[] = {3, 1, 1, 0, 2, 3, 3};
	struct layer *l = layer_new();
	struct kerf_npu_resize cmd = {.cmd = npu_cmd(KERF_NPU_RESIZE, sizeof(cmd))};
	uint8_t x[2 * 3 * 4 * 5], y[2 * 5 * 7 * 5];
	const struct kerf_tensor want = {KERF_U8, 4, {2, 5, 7, 5}, y};
	int32_t bad[7];
	int n, i, j, c;

	for (i = 0; i < (int)sizeof(x); i++)
		x[i] = (uint8_t)(i * 7);
	for (n = 0; n < 2; n++)
		for (i = 0; i < 5; i++)
			for (j = 0; j < 7; j++)
				for (c = 0; c < 5; c++)
					y[((n * 5 + i) * 7 + j) * 5 + c] =
						x[((n * 3 + rows[i]) * 4 + columns[j]) * 5 + c];
	cmd.x = (struct kerf_npu_tensor){put(l, x, sizeof(x)), 2, 3, 4, 5, KERF_NPU_U8, 3};
	cmd.y = (struct kerf_npu_tensor){OUT, 2, 5, 7, 5, KERF_NPU_U8, 3};
	cmd.rows = put(l, rows, sizeof(rows));
	cmd.columns = put(l, columns, sizeof(columns));
	expect(l, &cmd, sizeof(cmd), &want);
	memcpy(bad, columns, sizeof(bad));
	for (i = 0; i < 2; i++) {
		bad[5] = i ? 4 : -1;
		cmd.columns = put(l, bad, sizeof(bad));
		assert_int_equal(run_in_place(l, &cmd, sizeof(cmd), y, sizeof(y), 0, NULL),
				 KERF_NPU_FAULT_INDEX);
		assert_int_equal(l->fault.window, 0);
		assert_int_equal(l->fault.offset, KERF_NPU_ADDR_OFFSET(cmd.columns) + 20);
	}
	layer_free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pool_max),
		cmocka_unit_test(test_pool_average),
		cmocka_unit_test(test_pool_global),
		cmocka_unit_test(test_pool_of_nothing),
		cmocka_unit_test(test_binary),
		cmocka_unit_test(test_act),
		cmocka_unit_test(test_quantize),
		cmocka_unit_test(test_lut),
		cmocka_unit_test(test_softmax),
		cmocka_unit_test(test_in_place),
		cmocka_unit_test(test_transpose),
		cmocka_unit_test(test_copy_leaves_gaps),
		cmocka_unit_test(test_fill),
		cmocka_unit_test(test_resize),
	};

	kerf_rng_seed(&rng, 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
