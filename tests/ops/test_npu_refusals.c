/* SPDX-License-Identifier: MIT */
/*
 * What the NPU refuses: for each command a good one, and the fault that one change of a field
 * makes of it (docs/npu.md, Commands).
 */
#include "ops/npu_layer.h"

union command {
	struct kerf_npu_cmd cmd;
	struct kerf_npu_delay delay;
	struct kerf_npu_conv conv;
	struct kerf_npu_fc fc;
	struct kerf_npu_pool pool;
	struct kerf_npu_binary binary;
	struct kerf_npu_unary unary;
	struct kerf_npu_copy copy;
	struct kerf_npu_resize resize;
	struct kerf_npu_softmax softmax;
};

struct refusal {
	size_t at, size;
	uint64_t value;
	uint32_t fault;
};

#define F(command, field, value, fault)                                                       \
	{                                                                                     \
		offsetof(struct kerf_npu_##command, field),                                   \
			sizeof(((struct kerf_npu_##command *)0)->field), (uint64_t)(value), \
			KERF_NPU_FAULT_##fault                                                \
	}

/* Window 0: a kilobyte of zeros to read. Window 1: 256 bytes to write. */
#define IN KERF_NPU_ADDR(0, 0)
#define ABSENT KERF_NPU_NO_ADDR
#define HUGE_F 0x7f800000u /* infinity */
#define NAN_F 0x7fc00000u
#define ONE_F 0x3f800000u
#define MINUS_F 0xbf800000u

static uint32_t run(struct layer *l, const union command *c)
{
	uint8_t out[256];

	return run_in_place(l, c, c->cmd.size, out, sizeof(out), 0, NULL);
}

static void refuse(struct layer *l, const union command *good, const struct refusal *r, size_t n)
{
	uint8_t out[256];
	uint32_t code;
	size_t i;

	assert_int_equal(run(l, good), 0);
	for (i = 0; i < n; i++) {
		union command c = *good;

		memcpy((uint8_t *)&c + r[i].at, &r[i].value, r[i].size);
		code = run_in_place(l, &c, good->cmd.size, out, sizeof(out), 0, NULL);
		if (code != r[i].fault)
			fail_msg("opcode %u: field at %zu = %#llx: fault %u, expected %u",
				 good->cmd.opcode, r[i].at, (unsigned long long)r[i].value, code,
				 r[i].fault);
		assert_int_equal(l->fault.code, code);
		assert_int_equal(l->fault.command, 0);
	}
}

#define REFUSE(l, good, cases) refuse(l, &(good), cases, KERF_ARRAY_SIZE(cases))

static struct layer *layer_of_zeros(void)
{
	struct layer *l = layer_new();
	uint8_t zeros[1024] = {0};

	put(l, zeros, sizeof(zeros));
	l->n_in = sizeof(zeros);
	return l;
}

static struct kerf_npu_tensor t4(uint64_t addr, uint32_t h, uint32_t w, uint32_t c, uint32_t dtype)
{
	return (struct kerf_npu_tensor){addr, 1, h, w, c, dtype, 0};
}

static void test_nop_and_delay(void **state)
{
	static const struct refusal nops[] = {
		F(cmd, opcode, KERF_NPU_N_OPCODES, OPCODE),
		F(cmd, size, 0, SIZE),
		F(cmd, size, 16, SIZE),
		F(cmd, flags, 1, FLAGS),
	};
	static const struct refusal delays[] = {
		F(delay, cmd.size, 8, SIZE),
		F(delay, cmd.flags, 1, FLAGS),
		F(delay, pad, 1, FLAGS),
		F(delay, us, KERF_NPU_MAX_DELAY_US + 1, PARAM),
	};
	struct layer *l = layer_of_zeros();
	union command c = {.cmd = npu_cmd(KERF_NPU_NOP, sizeof(struct kerf_npu_cmd))};

	REFUSE(l, c, nops);
	c.delay = (struct kerf_npu_delay){npu_cmd(KERF_NPU_DELAY, sizeof(c.delay)),
					  KERF_NPU_MAX_DELAY_US, 0};
	REFUSE(l, c, delays);
	layer_free(l);
}

static void test_conv(void **state)
{
	static const struct refusal cases[] = {
		F(conv, cmd.opcode, KERF_NPU_N_OPCODES, OPCODE),
		F(conv, cmd.opcode, 0xffff, OPCODE),
		F(conv, cmd.opcode, KERF_NPU_FC, SIZE),
		F(conv, cmd.size, 0, SIZE),
		F(conv, cmd.size, 8, SIZE),
		F(conv, cmd.size, 0xfff8, SIZE),
		F(conv, cmd.flags, 1, FLAGS),
		F(conv, pad, 1, FLAGS),
		F(conv, out.pad, 1, FLAGS),
		F(conv, x.dtype, 0, DTYPE),
		F(conv, x.dtype, 4, DTYPE),
		F(conv, x.dtype, KERF_NPU_F32, DTYPE),
		F(conv, w.dtype, KERF_NPU_F32, DTYPE),
		F(conv, y.dtype, KERF_NPU_F32, DTYPE),
		F(conv, x.n, 0, SHAPE),
		F(conv, x.h, KERF_NPU_MAX_DIM + 1, SHAPE),
		F(conv, x.c, 3, SHAPE),
		F(conv, x.n, 2, SHAPE),
		F(conv, y.w, KERF_NPU_MAX_DIM, RANGE),
		F(conv, y.h, 0xffffffff, SHAPE),
		F(conv, w.n, 5, SHAPE),
		F(conv, groups, 0, SHAPE),
		F(conv, groups, 3, SHAPE),
		F(conv, groups, 2, SHAPE),
		F(conv, w.h, KERF_NPU_MAX_KERNEL + 1, PARAM),
		F(conv, x.zero, 256, PARAM),
		F(conv, x.zero, -1, PARAM),
		F(conv, w.zero, 128, PARAM),
		F(conv, stride_h, 0, PARAM),
		F(conv, stride_w, KERF_NPU_MAX_DIM + 1, PARAM),
		F(conv, dilation_h, 0, PARAM),
		F(conv, dilation_w, 0x80000000, PARAM),
		F(conv, pad_top, KERF_NPU_MAX_DIM + 1, PARAM),
		F(conv, pad_left, 0x80000000, PARAM),
		F(conv, scale, KERF_NPU_NO_ADDR, PARAM),
		F(conv, residual, KERF_NPU_ADDR(0, 0), PARAM),
		F(conv, out.act, 1, PARAM),
		F(conv, out.a, 1, PARAM),
		F(conv, out.lo, -1, PARAM),
		F(conv, out.lo, 251, PARAM),
		F(conv, out.hi, 256, PARAM),
		F(conv, x.addr, KERF_NPU_ADDR(2, 0), NO_WINDOW),
		F(conv, x.addr, KERF_NPU_ADDR(0xffff, 0), NO_WINDOW),
		F(conv, x.addr, KERF_NPU_ADDR(0, 1 << 20), RANGE),
		F(conv, x.addr, KERF_NPU_ADDR(0, 0xffffffffffffull), RANGE),
		F(conv, y.addr, KERF_NPU_ADDR(1, 193), RANGE),
		F(conv, y.addr, KERF_NPU_ADDR(0, 0), PERMISSION),
		F(conv, bias, KERF_NPU_ADDR(0, 2), ALIGN),
		F(conv, scale, KERF_NPU_ADDR(0, 1), ALIGN),
		F(conv, x.addr, KERF_NPU_ADDR(1, 0), OVERLAP),
		F(conv, x.addr, KERF_NPU_ADDR(1, 63), OVERLAP),
	};
	struct layer *l = layer_of_zeros();
	union command good = {.conv = {
		.cmd = npu_cmd(KERF_NPU_CONV, sizeof(good.conv)),
		.x = {IN, 1, 4, 4, 2, KERF_NPU_U8, 0},
		.w = {IN, 4, 1, 1, 2, KERF_NPU_I8, 0},
		.y = {OUT, 1, 4, 4, 4, KERF_NPU_U8, 0},
		.bias = IN,
		.scale = IN,
		.residual = KERF_NPU_NO_ADDR,
		.stride_h = 1,
		.stride_w = 1,
		.dilation_h = 1,
		.dilation_w = 1,
		.groups = 1,
		.out = {.lo = 0, .hi = 250},
	}};
	uint8_t out[256];

	REFUSE(l, good, cases);
	l->m.limits.work_bits = 5;
	assert_int_equal(run(l, &good), KERF_NPU_FAULT_WORK);
	l->m.limits.work_bits = 40;
	/* Its end is missing. */
	assert_int_equal(run_in_place(l, &good, 176, out, sizeof(out), 0, NULL),
			 KERF_NPU_FAULT_SIZE);
	layer_free(l);
}

static void test_fc(void **state)
{
	static const struct refusal cases[] = {
		F(fc, cmd.flags, 1, FLAGS),
		F(fc, out.pad, 1, FLAGS),
		F(fc, x.dtype, KERF_NPU_U8, DTYPE),
		F(fc, x.h, 2, SHAPE),
		F(fc, w.h, 2, SHAPE),
		F(fc, y.h, 2, SHAPE),
		F(fc, y.w, 3, SHAPE),
		F(fc, y.c, 3, SHAPE),
		F(fc, w.c, 5, SHAPE),
		F(fc, w.n, 2, SHAPE),
		F(fc, y.n, 2, SHAPE),
		F(fc, x.zero, 1, PARAM),
		F(fc, scale, IN, PARAM),
		F(fc, out.act, KERF_NPU_N_ACTS, PARAM),
		F(fc, out.a, ONE_F, PARAM),
		F(fc, out.lo, 1, PARAM),
		F(fc, out.hi, 1, PARAM),
		F(fc, residual, KERF_NPU_ADDR(0, 1020), RANGE),
		F(fc, residual, KERF_NPU_ADDR(0, 3), ALIGN),
		F(fc, bias, KERF_NPU_ADDR(9, 0), NO_WINDOW),
		F(fc, w.addr, KERF_NPU_ADDR(1, 4), OVERLAP),
	};
	struct layer *l = layer_of_zeros();
	union command good = {.fc = {
		.cmd = npu_cmd(KERF_NPU_FC, sizeof(good.fc)),
		.x = t4(IN, 1, 2, 6, KERF_NPU_F32),
		.w = t4(IN, 1, 4, 6, KERF_NPU_F32),
		.y = t4(OUT, 1, 2, 4, KERF_NPU_F32),
		.bias = IN,
		.scale = ABSENT,
		.residual = IN,
	}};

	REFUSE(l, good, cases);
	/* More products in a sum than an accumulator may see. */
	good.fc.x.c = good.fc.w.c = KERF_NPU_MAX_K + 1;
	assert_int_equal(run(l, &good), KERF_NPU_FAULT_PARAM);
	layer_free(l);
}

static void test_activations(void **state)
{
	struct layer *l = layer_of_zeros();
	union command c = {.unary = {
		.cmd = npu_cmd(KERF_NPU_ACT, sizeof(c.unary)),
		.x = t4(IN, 1, 2, 6, KERF_NPU_F32),
		.y = t4(OUT, 1, 2, 6, KERF_NPU_F32),
		.table = ABSENT,
	}};
	uint32_t kind;

	for (kind = 0; kind < KERF_NPU_N_ACTS; kind++) {
		bool two = kind == KERF_NPU_ACT_CLIP || kind == KERF_NPU_ACT_HARD_SIGMOID;
		bool one = two || kind == KERF_NPU_ACT_LEAKY_RELU || kind == KERF_NPU_ACT_ELU;

		c.unary.out = (struct kerf_npu_out){.act = kind};
		assert_int_equal(run(l, &c), 0);
		c.unary.out.a = ONE_F;
		assert_int_equal(run(l, &c), one ? 0 : KERF_NPU_FAULT_PARAM);
		c.unary.out.a = NAN_F;
		assert_int_equal(run(l, &c), KERF_NPU_FAULT_PARAM);
		c.unary.out.a = 0;
		c.unary.out.b = ONE_F;
		assert_int_equal(run(l, &c), two ? 0 : KERF_NPU_FAULT_PARAM);
		c.unary.out.b = NAN_F;
		assert_int_equal(run(l, &c), KERF_NPU_FAULT_PARAM);
	}
	layer_free(l);
}

static void test_pools(void **state)
{
	static const struct refusal average[] = {
		F(pool, cmd.flags, 2, FLAGS),
		F(pool, pad, 1, FLAGS),
		F(pool, out.pad, 1, FLAGS),
		F(pool, x.dtype, 9, DTYPE),
		F(pool, y.dtype, KERF_NPU_F32, DTYPE),
		F(pool, y.n, 2, SHAPE),
		F(pool, y.c, 2, SHAPE),
		F(pool, x.zero, -1, PARAM),
		F(pool, kernel_h, 0, PARAM),
		F(pool, kernel_w, KERF_NPU_MAX_KERNEL + 1, PARAM),
		F(pool, stride_h, 0, PARAM),
		F(pool, dilation_w, 0, PARAM),
		F(pool, pad_left, -(int64_t)KERF_NPU_MAX_DIM - 1, PARAM),
		F(pool, pad_bottom, 1, PARAM),
		F(pool, factor, 0, PARAM),
		F(pool, factor, HUGE_F, PARAM),
		F(pool, factor, NAN_F, PARAM),
		F(pool, factor, MINUS_F, PARAM),
		F(pool, out.act, 1, PARAM),
		F(pool, y.addr, KERF_NPU_ADDR(1, 253), RANGE),
		F(pool, x.addr, OUT, OVERLAP),
	};
	static const struct refusal most[] = {
		F(pool, cmd.flags, KERF_NPU_POOL_COUNT_PAD, FLAGS),
		F(pool, y.dtype, KERF_NPU_I8, DTYPE),
		F(pool, y.zero, 1, PARAM),
		F(pool, factor, ONE_F, PARAM),
	};
	struct layer *l = layer_of_zeros();
	union command good = {.pool = {
		.cmd = npu_cmd(KERF_NPU_POOL_AVERAGE, sizeof(good.pool)),
		.x = t4(IN, 4, 4, 3, KERF_NPU_U8),
		.y = t4(OUT, 2, 2, 3, KERF_NPU_U8),
		.kernel_h = 2,
		.kernel_w = 2,
		.stride_h = 2,
		.stride_w = 2,
		.dilation_h = 1,
		.dilation_w = 1,
		.factor = ONE_F,
		.out = {.hi = 255},
	}};

	REFUSE(l, good, average);
	good.pool.cmd.opcode = KERF_NPU_POOL_MAX;
	good.pool.factor = 0;
	REFUSE(l, good, most);
	layer_free(l);
}

static void test_binary(void **state)
{
	static const struct refusal cases[] = {
		F(binary, cmd.opcode, KERF_NPU_SUB, DTYPE),
		F(binary, cmd.opcode, KERF_NPU_DIV, DTYPE),
		F(binary, cmd.opcode, KERF_NPU_MUL, PARAM), /* it has no factor of b */
		F(binary, cmd.flags, 1, FLAGS),
		F(binary, out.pad, 1, FLAGS),
		F(binary, a.dtype, KERF_NPU_F32, DTYPE),
		F(binary, b.dtype, 0, DTYPE),
		F(binary, a.w, 2, SHAPE),
		F(binary, b.c, 2, SHAPE),
		F(binary, b.n, 2, SHAPE),
		F(binary, b.zero, 256, PARAM),
		F(binary, factor_a, 0, PARAM),
		F(binary, factor_b, HUGE_F, PARAM),
		F(binary, out.hi, 256, PARAM),
		F(binary, a.addr, KERF_NPU_ADDR(0, 1000), RANGE),
		F(binary, b.addr, KERF_NPU_ADDR(1, 255), OVERLAP),
		F(binary, y.addr, IN, PERMISSION),
	};
	struct layer *l = layer_of_zeros();
	union command good = {.binary = {
		.cmd = npu_cmd(KERF_NPU_ADD, sizeof(good.binary)),
		.a = t4(IN, 4, 8, 8, KERF_NPU_U8),
		.b = t4(IN, 1, 1, 1, KERF_NPU_I8),
		.y = t4(OUT, 4, 8, 8, KERF_NPU_U8),
		.factor_a = ONE_F,
		.factor_b = ONE_F,
		.out = {.hi = 255},
	}};

	REFUSE(l, good, cases);
	layer_free(l);
}

static void test_unary(void **state)
{
	static const struct refusal cases[] = {
		F(unary, cmd.opcode, KERF_NPU_ACT, DTYPE),
		F(unary, cmd.opcode, KERF_NPU_QUANTIZE, DTYPE),
		F(unary, cmd.opcode, KERF_NPU_DEQUANTIZE, DTYPE),
		F(unary, cmd.opcode, KERF_NPU_LUT, PARAM),
		F(unary, cmd.flags, 1, FLAGS),
		F(unary, pad, 1, FLAGS),
		F(unary, out.pad, 1, FLAGS),
		F(unary, x.dtype, KERF_NPU_F32, DTYPE),
		F(unary, x.h, 5, SHAPE),
		F(unary, y.zero, 300, PARAM),
		F(unary, table, IN, PARAM),
		F(unary, factor, 0, PARAM),
		F(unary, out.b, 1, PARAM),
		F(unary, x.addr, KERF_NPU_ADDR(1, 1), RANGE),
	};
	static const struct refusal lut[] = {
		F(unary, table, ABSENT, PARAM),
		F(unary, table, KERF_NPU_ADDR(0, 800), RANGE),
		F(unary, table, OUT, OVERLAP),
		F(unary, factor, ONE_F, PARAM),
		F(unary, out.hi, 1, PARAM),
	};
	struct layer *l = layer_of_zeros();
	union command good = {.unary = {
		.cmd = npu_cmd(KERF_NPU_RESCALE, sizeof(good.unary)),
		.x = t4(IN, 4, 8, 8, KERF_NPU_U8),
		.y = t4(OUT, 4, 8, 8, KERF_NPU_I8),
		.table = ABSENT,
		.factor = ONE_F,
		.out = {.hi = 127},
	}};

	REFUSE(l, good, cases);
	good.unary.cmd.opcode = KERF_NPU_LUT;
	good.unary.table = IN;
	good.unary.factor = good.unary.out.hi = 0;
	REFUSE(l, good, lut);
	layer_free(l);
}

static void test_moves(void **state)
{
	static const struct refusal copy[] = {
		F(copy, cmd.flags, 1, FLAGS),
		F(copy, pad, 1, FLAGS),
		F(copy, element_size, 0, DTYPE),
		F(copy, element_size, 3, DTYPE),
		F(copy, element_size, 16, DTYPE),
		F(copy, dims[0], 0, SHAPE),
		F(copy, dims[5], KERF_NPU_MAX_DIM + 1, SHAPE),
		F(copy, src_stride[4], 0xffffffff, SHAPE),
		F(copy, dst_stride[4], 1u << 29, SHAPE),
		F(copy, src_stride[4], 400, RANGE),
		F(copy, dst_stride[4], 40, RANGE),
		F(copy, src, KERF_NPU_ADDR(0, 2), ALIGN),
		F(copy, dst, KERF_NPU_ADDR(1, 1), ALIGN),
		F(copy, dst, IN, PERMISSION),
		F(copy, src, OUT, OVERLAP),
		F(copy, src, ABSENT, NO_WINDOW),
	};
	static const struct refusal fill[] = {
		F(copy, src_stride[5], 1, PARAM),
		F(copy, src, 1ull << 32, PARAM),
	};
	struct layer *l = layer_of_zeros();
	union command good = {.copy = {
		.cmd = npu_cmd(KERF_NPU_COPY, sizeof(good.copy)),
		.src = IN,
		.dst = OUT,
		.element_size = 4,
		.dims = {1, 1, 1, 1, 4, 5},
		.src_stride = {0, 0, 0, 0, 5, 1},
		.dst_stride = {0, 0, 0, 0, 6, 1},
	}};

	REFUSE(l, good, copy);
	good.copy.cmd.opcode = KERF_NPU_FILL;
	good.copy.src = 0xffffffff;
	memset(good.copy.src_stride, 0, sizeof(good.copy.src_stride));
	REFUSE(l, good, fill);
	layer_free(l);
}

static void test_resize_and_softmax(void **state)
{
	static const struct refusal resize[] = {
		F(resize, cmd.flags, 1, FLAGS),
		F(resize, y.dtype, KERF_NPU_I8, DTYPE),
		F(resize, y.n, 2, SHAPE),
		F(resize, x.c, 5, SHAPE),
		F(resize, y.zero, 1, PARAM),
		F(resize, rows, KERF_NPU_ADDR(0, 1020), RANGE),
		F(resize, columns, KERF_NPU_ADDR(0, 6), ALIGN),
		F(resize, rows, OUT, OVERLAP),
		F(resize, rows, KERF_NPU_ADDR(0, 512), INDEX),
		F(resize, columns, KERF_NPU_ADDR(0, 512), INDEX),
	};
	static const struct refusal softmax[] = {
		F(softmax, cmd.flags, 1, FLAGS),
		F(softmax, x.dtype, KERF_NPU_U8, DTYPE),
		F(softmax, y.w, 2, SHAPE),
		F(softmax, x.zero, 1, PARAM),
		F(softmax, x.addr, KERF_NPU_ADDR(1, 4), OVERLAP),
	};
	struct layer *l = layer_of_zeros();
	union command good = {.resize = {
		.cmd = npu_cmd(KERF_NPU_RESIZE, sizeof(good.resize)),
		.x = t4(IN, 3, 3, 4, KERF_NPU_U8),
		.y = t4(OUT, 6, 6, 4, KERF_NPU_U8),
		.rows = IN,
		.columns = IN,
	}};

	l->in[512] = 3;
	REFUSE(l, good, resize);
	good.softmax = (struct kerf_npu_softmax){
		.cmd = npu_cmd(KERF_NPU_SOFTMAX, sizeof(good.softmax)),
		.x = t4(IN, 1, 3, 4, KERF_NPU_F32),
		.y = t4(OUT, 1, 3, 4, KERF_NPU_F32),
	};
	REFUSE(l, good, softmax);
	layer_free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nop_and_delay),
		cmocka_unit_test(test_conv),
		cmocka_unit_test(test_fc),
		cmocka_unit_test(test_activations),
		cmocka_unit_test(test_pools),
		cmocka_unit_test(test_binary),
		cmocka_unit_test(test_unary),
		cmocka_unit_test(test_moves),
		cmocka_unit_test(test_resize_and_softmax),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
