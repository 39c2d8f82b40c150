// SPDX-License-Identifier: MIT
/*
 * kernel-log: silent
 *
 * Each kind of command does a small job whose answer was worked out by hand.
 */
#include <math.h>

#include "npu_test.h"

/* Operands lie one a page in window 0, which is all of one BO. */
#define AT(page) KERF_NPU_ADDR(0, (page)*4096ull)
#define PAGES 8

static struct npu npu;
static struct npu_bo bo;
static struct npu_job job;

static void setup(void)
{
	npu = npu_open();
	bo = npu_bo(&npu, PAGES * 4096);
	npu_window_all(&job, &bo);
}

static void *page(unsigned i)
{
	return (uint8_t *)bo.map + i * 4096;
}

#define PUT(i, type, ...) \
	memcpy(page(i), (const type[]){__VA_ARGS__}, sizeof((const type[]){__VA_ARGS__}))

#define EXPECT_INT8(i, ...)                                          \
	do {                                                         \
		const int8_t want[] = {__VA_ARGS__}, *got = page(i); \
		for (size_t at = 0; at < sizeof(want); at++)         \
			EXPECT_EQ(want[at], got[at]);                \
	} while (0)

#define EXPECT_FLOAT(i, tolerance, ...)                                                 \
	do {                                                                            \
		const float want[] = {__VA_ARGS__}, *got = page(i);                     \
		for (size_t at = 0; at < sizeof(want) / sizeof(want[0]); at++)          \
			ktap_check(fabsf(want[at] - got[at]) <= (tolerance), __LINE__,  \
				   "element %zu is %g, not %g", at, got[at], want[at]); \
	} while (0)

static struct kerf_npu_tensor f32(unsigned at, uint32_t h, uint32_t w, uint32_t c)
{
	return npu_tensor(AT(at), KERF_NPU_F32, 0, 1, h, w, c);
}

static struct kerf_npu_tensor i8(unsigned at, int zero, uint32_t h, uint32_t w, uint32_t c)
{
	return npu_tensor(AT(at), KERF_NPU_I8, zero, 1, h, w, c);
}

static const struct kerf_npu_out out_i8 = {.lo = (uint32_t)-128, .hi = 127};

static void engine(void)
{
	struct drm_kerf_engine_info info;

	setup();
	REQUIRE_OK(kt_engine_info(npu.fd, npu.engine, &info));
	EXPECT(!strcmp(info.name, "npu"));
	EXPECT(info.flags & KERF_ENGINE_FENCES);
	EXPECT_EQ(KERF_ENGINE_READY, info.state);
	EXPECT(info.caps & KERF_NPU_FEATURE_INT8);
	EXPECT(info.caps & KERF_NPU_FEATURE_F32);
	EXPECT(info.caps >> 32 >= KERF_NPU_COMMAND_SET_VALUE);
}

static void empty(void)
{
	struct npu_job none = {0};

	setup();
	EXPECT_OK(npu_run(&npu, &none));
}

static void nop(void)
{
	setup();
	for (int i = 0; i < 100; i++)
		NPU_ADD(&job, KERF_NPU_NOP, (struct kerf_npu_cmd){0});
	EXPECT_OK(npu_run(&npu, &job));
}

static void delay(void)
{
	int64_t began;

	setup();
	npu_add_delay(&job, 50000);
	began = kt_now();
	EXPECT_OK(npu_run(&npu, &job));
	EXPECT(kt_now() - began >= 50000000);
}

static void copy(void)
{
	setup();
	PUT(0, uint8_t, 1, 2, 3, 4, 5, 6);
	npu_add_copy(&job, AT(0), AT(1) + 1, 6);
	EXPECT_OK(npu_run(&npu, &job));
	EXPECT_INT8(1, 0, 1, 2, 3, 4, 5, 6, 0);
}

static void copy_transposes(void)
{
	setup();
	PUT(0, uint32_t, 1, 2, 3, 4, 5, 6); /* 2 x 3 */
	NPU_ADD(&job, KERF_NPU_COPY,
		(struct kerf_npu_copy){.src = AT(0),
				       .dst = AT(1),
				       .element_size = 4,
				       .dims = {1, 1, 1, 1, 3, 2},
				       .src_stride = {0, 0, 0, 0, 1, 3},
				       .dst_stride = {0, 0, 0, 0, 2, 1}});
	EXPECT_OK(npu_run(&npu, &job));
	EXPECT(!memcmp(page(1), (uint32_t[]){1, 4, 2, 5, 3, 6}, 24));
}

static void fill(void)
{
	setup();
	npu_add_fill(&job, 0x5a, AT(1), 5);
	EXPECT_OK(npu_run(&npu, &job));
	EXPECT_INT8(1, 0x5a, 0x5a, 0x5a, 0x5a, 0x5a, 0);
}

static void add_f32(void)
{
	setup();
	PUT(0, float, 1, -2, 3.5f, 0);
	PUT(1, float, 0.5f, -2, -3.5f, 8);
	NPU_ADD(&job, KERF_NPU_ADD,
		(struct kerf_npu_binary){
			.a = f32(0, 1, 1, 4), .b = f32(1, 1, 1, 4), .y = f32(2, 1, 1, 4)});
	EXPECT_OK(npu_run(&npu, &job));
	EXPECT_FLOAT(2, 0, 1.5f, -4, 0, 8);
}

/* y = 2 * 10 * 0.5 + 1 * 4 * 1 + zero 1, ...: what each q stands for is in units of y's scale. */
static void add_int8(void)
{
	setup();
	PUT(0, int8_t, 12, 2, -128, 127);
	PUT(1, int8_t, 4, -5, -128, 127);
	NPU_ADD(&job, KERF_NPU_ADD,
		(struct kerf_npu_binary){.a = i8(0, 2, 1, 1, 4),
					 .b = i8(1, 0, 1, 1, 4),
					 .y = i8(2, 1, 1, 1, 4),
					 .factor_a = npu_f32(0.5f),
					 .factor_b = npu_f32(1),
					 .out = out_i8});
	EXPECT_OK(npu_run(&npu, &job));
	/* 5+4+1; 0-5+1; -65-128+1 and 62.5+127+1 leave the range */
	EXPECT_INT8(2, 10, -4, -128, 127);
}

static void mul_repeats(void)
{
	setup();
	PUT(0, float, 1, 2, 3, 4, 5, 6);
	PUT(1, float, 10, 100, 1000);
	NPU_ADD(&job, KERF_NPU_MUL,
		(struct kerf_npu_binary){
			.a = f32(0, 1, 2, 3), .b = f32(1, 1, 1, 3), .y = f32(2, 1, 2, 3)});
	EXPECT_OK(npu_run(&npu, &job));
	EXPECT_FLOAT(2, 0, 10, 200, 3000, 40, 500, 6000);
}

static void sub_and_div(void)
{
	setup();
	PUT(0, float, 9, 1);
	PUT(1, float, 2, -4);
	NPU_ADD(&job, KERF_NPU_SUB,
		(struct kerf_npu_binary){
			.a = f32(0, 1, 1, 2), .b = f32(1, 1, 1, 2), .y = f32(2, 1, 1, 2)});
	NPU_ADD(&job, KERF_NPU_DIV,
		(struct kerf_npu_binary){
			.a = f32(2, 1, 1, 2), .b = f32(1, 1, 1, 2), .y = f32(3, 1, 1, 2)});
	EXPECT_OK(npu_run(&npu, &job));
	EXPECT_FLOAT(2, 0, 7, 5);
	EXPECT_FLOAT(3, 1e-6f, 3.5f, -1.25f);
}

/* 3x3 input 1..9, 2x2 kernel of ones */
static struct kerf_npu_conv conv_f32(void)
{
	return (struct kerf_npu_conv){.x = f32(0, 3, 3, 1),
				      .w = f32(1, 2, 2, 1),
				      .y = f32(2, 2, 2, 1),
				      .bias = KERF_NPU_NO_ADDR,
				      .scale = KERF_NPU_NO_ADDR,
				      .residual = KERF_NPU_NO_ADDR,
				      .stride_h = 1,
				      .stride_w = 1,
				      .dilation_h = 1,
				      .dilation_w = 1,
				      .groups = 1};
}

static void conv_f32_plain(void)
{
	struct kerf_npu_conv conv = conv_f32();

	setup();
	PUT(0, float, 1, 2, 3, 4, 5, 6, 7, 8, 9);
	PUT(1, float, 1, 1, 1, 1);
	NPU_ADD(&job, KERF_NPU_CONV, conv);
	EXPECT_OK(npu_run(&npu, &job));
	EXPECT_FLOAT(2, 1e-5f, 12, 16, 24, 28);
}

/* A row and a column of padding in front, bias, residual and Relu */
static void conv_f32_epilogue(void)
{
	struct kerf_npu_conv conv = conv_f32();

	setup();
	PUT(0, float, 1, 2, 3, 4, 5, 6, 7, 8, 9);
	PUT(1, float, 1, 1, 1, 1);
	PUT(3, float, -5);
	PUT(4, float, 1, 2, -4, 4);
	conv.bias = AT(3);
	conv.residual = AT(4);
	conv.pad_top = 1;
	conv.pad_left = 1;
	conv.out.act = KERF_NPU_ACT_RELU;
	NPU_ADD(&job, KERF_NPU_CONV, conv);
	EXPECT_OK(npu_run(&npu, &job));
	/* sums 1, 3, 5, 12 */
	EXPECT_FLOAT(2, 1e-5f, 0, 0, 0, 11);
}

static void conv_depthwise_strided(void)
{
	struct kerf_npu_conv conv = conv_f32();

	setup();
	/* 1 x 5 pixels of two channels; taps two apart, steps of two */
	PUT(0, float, 1, 10, 2, 20, 3, 30, 4, 40, 5, 50);
	PUT(1, float, 1, 100, 2, -1); /* channel 0: taps 1 and 100; channel 1: 2 and -1 */
	conv.x = f32(0, 1, 5, 2);
	conv.w = npu_tensor(AT(1), KERF_NPU_F32, 0, 2, 1, 2, 1);
	conv.y = f32(2, 1, 2, 2);
	conv.groups = 2;
	conv.stride_w = 2;
	conv.dilation_w = 2;
	NPU_ADD(&job, KERF_NPU_CONV, conv);
	EXPECT_OK(npu_run(&npu, &job));
	/* pixels 0, 2 and 2, 4 */
	EXPECT_FLOAT(2, 1e-4f, 301, -10, 503, 10);
}

static void conv_int8(void)
{
	struct kerf_npu_conv conv = conv_f32();

	setup();
	PUT(0, int8_t, 1, 2, 3, 4, 5, 6, 7, 8, 9);
	PUT(1, int8_t, 1, 1, 1, 1);
	PUT(3, int32_t, 2);
	PUT(4, float, 0.5f);
	conv.x = i8(0, 1, 3, 3, 1);
	conv.w = i8(1, 0, 2, 2, 1);
	conv.y = i8(2, 3, 2, 2, 1);
	conv.bias = AT(3);
	conv.scale = AT(4);
	conv.out = out_i8;
	NPU_ADD(&job, KERF_NPU_CONV, conv);
	EXPECT_OK(npu_run(&npu, &job));
	/* sums 12, 16, 24, 28; less 4 taps of zero point 1; + bias 2; halves; zero point 3 */
	EXPECT_INT8(2, 8, 10, 14, 16);
}

static void conv_int8_per_channel(void)
{
	struct kerf_npu_conv conv = conv_f32();

	setup();
	PUT(0, int8_t, 10, 20); /* one pixel of two channels */
	PUT(1, int8_t, 1, 1, 1, -1, 4, 0);
	PUT(4, float, 1, 0.25f, 10);
	conv.x = i8(0, 0, 1, 1, 2);
	conv.w = npu_tensor(AT(1), KERF_NPU_I8, 0, 3, 1, 1, 2);
	conv.y = i8(2, 0, 1, 1, 3);
	conv.scale = AT(4);
	conv.out = out_i8;
	conv.out.lo = 0; /* Relu */
	NPU_ADD(&job, KERF_NPU_CONV, conv);
	EXPECT_OK(npu_run(&npu, &job));
	/* 30; -10 / 4 is clamped; 400 is clamped */
	EXPECT_INT8(2, 30, 0, 127);
}

static void fc(void)
{
	setup();
	PUT(0, float, 1, 2, 3);
	PUT(1, float, 1, 0, -1, 2, 2, 2);
	PUT(3, float, 0.5f, -0.5f);
	NPU_ADD(&job, KERF_NPU_FC,
		(struct kerf_npu_fc){.x = f32(0, 1, 1, 3),
				     .w = f32(1, 1, 2, 3),
				     .y = f32(2, 1, 1, 2),
				     .bias = AT(3),
				     .scale = KERF_NPU_NO_ADDR,
				     .residual = KERF_NPU_NO_ADDR});
	EXPECT_OK(npu_run(&npu, &job));
	EXPECT_FLOAT(2, 1e-5f, -1.5f, 11.5f);
}

static struct kerf_npu_pool pool_2x2(struct kerf_npu_tensor x, struct kerf_npu_tensor y)
{
	return (struct kerf_npu_pool){.x = x,
				      .y = y,
				      .kernel_h = 2,
				      .kernel_w = 2,
				      .stride_h = 2,
				      .stride_w = 2,
				      .dilation_h = 1,
				      .dilation_w = 1};
}

static void pool_max(void)
{
	struct kerf_npu_pool pool = pool_2x2(i8(0, 0, 2, 4, 1), i8(1, 0, 1, 2, 1));

	setup();
	PUT(0, int8_t, -1, -2, 3, 4, -3, -4, 100, 5);
	pool.out = out_i8;
	NPU_ADD(&job, KERF_NPU_POOL_MAX, pool);
	EXPECT_OK(npu_run(&npu, &job));
	EXPECT_INT8(1, -1, 100);
}

/* Padding in front: the first window has one tap in x, or four with those of the padding. */
static void pool_average(void)
{
	struct kerf_npu_pool pool = pool_2x2(f32(0, 3, 3, 1), f32(1, 2, 2, 1));

	setup();
	PUT(0, float, 4, 2, 6, 8, 1, 3, 0, 5, 7);
	pool.pad_top = 1;
	pool.pad_left = 1;
	NPU_ADD(&job, KERF_NPU_POOL_AVERAGE, pool);
	pool.y = f32(2, 2, 2, 1);
	pool.cmd.flags = KERF_NPU_POOL_COUNT_PAD;
	NPU_ADD(&job, KERF_NPU_POOL_AVERAGE, pool);
	EXPECT_OK(npu_run(&npu, &job));
	EXPECT_FLOAT(1, 1e-6f, 4, 4, 4, 4);
	EXPECT_FLOAT(2, 1e-6f, 1, 2, 2, 4);
}

static void act(void)
{
	setup();
	PUT(0, float, -3, 0, 0.5f, 9);
	NPU_ADD(&job, KERF_NPU_ACT,
		(struct kerf_npu_unary){
			.x = f32(0, 1, 1, 4),
			.y = f32(1, 1, 1, 4),
			.table = KERF_NPU_NO_ADDR,
			.out = {.act = KERF_NPU_ACT_CLIP, .a = npu_f32(0), .b = npu_f32(6)}});
	EXPECT_OK(npu_run(&npu, &job));
	EXPECT_FLOAT(1, 0, 0, 0, 0.5f, 6);
}

/* Ties go to the even number, values beyond the range to its ends. */
static void quantize_and_back(void)
{
	setup();
	PUT(0, float, 0.25f, 0.75f, -1, 1000);
	NPU_ADD(&job, KERF_NPU_QUANTIZE,
		(struct kerf_npu_unary){.x = f32(0, 1, 1, 4),
					.y = i8(1, 10, 1, 1, 4),
					.table = KERF_NPU_NO_ADDR,
					.factor = npu_f32(0.5f),
					.out = out_i8});
	NPU_ADD(&job, KERF_NPU_DEQUANTIZE,
		(struct kerf_npu_unary){.x = i8(1, 10, 1, 1, 4),
					.y = f32(2, 1, 1, 4),
					.table = KERF_NPU_NO_ADDR,
					.factor = npu_f32(0.5f)});
	EXPECT_OK(npu_run(&npu, &job));
	EXPECT_INT8(1, 10, 12, 8, 127);
	EXPECT_FLOAT(2, 0, 0, 1, -1, 58.5f);
}

static void rescale(void)
{
	setup();
	PUT(0, int8_t, 0, 4, -100, 127);
	NPU_ADD(&job, KERF_NPU_RESCALE,
		(struct kerf_npu_unary){.x = i8(0, 2, 1, 1, 4),
					.y = i8(1, -1, 1, 1, 4),
					.table = KERF_NPU_NO_ADDR,
					.factor = npu_f32(2),
					.out = out_i8});
	EXPECT_OK(npu_run(&npu, &job));
	EXPECT_INT8(1, -5, 3, -128, 127);
}

static void lut(void)
{
	setup();
	for (int i = 0; i < 256; i++)
		((uint8_t *)page(2))[i] = 255 - i;
	PUT(0, uint8_t, 0, 1, 200, 255);
	NPU_ADD(&job, KERF_NPU_LUT,
		(struct kerf_npu_unary){.x = npu_tensor(AT(0), KERF_NPU_U8, 0, 1, 1, 1, 4),
					.y = npu_tensor(AT(1), KERF_NPU_U8, 0, 1, 1, 1, 4),
					.table = AT(2)});
	EXPECT_OK(npu_run(&npu, &job));
	EXPECT(!memcmp(page(1), (uint8_t[]){255, 254, 55, 0}, 4));
}

static void resize(void)
{
	setup();
	PUT(0, int8_t, 1, 2, 3, 4); /* 2 x 2 */
	PUT(2, int32_t, 0, 0, 1);
	PUT(3, int32_t, 1, 0);
	NPU_ADD(&job, KERF_NPU_RESIZE,
		(struct kerf_npu_resize){.x = i8(0, 0, 2, 2, 1),
					 .y = i8(1, 0, 3, 2, 1),
					 .rows = AT(2),
					 .columns = AT(3)});
	EXPECT_OK(npu_run(&npu, &job));
	EXPECT_INT8(1, 2, 1, 2, 1, 4, 3);
}

static void softmax(void)
{
	setup();
	PUT(0, float, 1, 1, 1, 1, 0, 0, 0, 1000);
	NPU_ADD(&job, KERF_NPU_SOFTMAX,
		(struct kerf_npu_softmax){.x = f32(0, 1, 2, 4), .y = f32(1, 1, 2, 4)});
	EXPECT_OK(npu_run(&npu, &job));
	EXPECT_FLOAT(1, 1e-6f, 0.25f, 0.25f, 0.25f, 0.25f, 0, 0, 0, 1);
}

/* Every command sees what those before it wrote, within a job and from job to job. */
static void order(void)
{
	uint64_t last = 0;
	int status = -1;

	setup();
	npu_add_copy(&job, AT(0), AT(1), 1);
	NPU_ADD(&job, KERF_NPU_ADD,
		(struct kerf_npu_binary){.a = i8(1, 0, 1, 1, 1),
					 .b = i8(2, 0, 1, 1, 1),
					 .y = i8(0, 0, 1, 1, 1),
					 .factor_a = npu_f32(1),
					 .factor_b = npu_f32(1),
					 .out = out_i8});
	PUT(2, int8_t, 1);
	for (int i = 0; i < 100; i++)
		REQUIRE_OK(npu_submit_to(&npu, npu.queue, &job, &last));
	REQUIRE_OK(kt_wait(npu.fd, npu.queue, last, -1, &status));
	EXPECT_OK(status);
	EXPECT_INT8(0, 100);
}

static void unknown_command(void)
{
	setup();
	NPU_ADD(&job, 0x1234, (struct kerf_npu_cmd){0});
	EXPECT_ERR(-EIO, npu_run(&npu, &job));
}

static void truncated_command(void)
{
	setup();
	NPU_ADD(&job, KERF_NPU_CONV, (struct kerf_npu_cmd){0});
	EXPECT_ERR(-EIO, npu_run(&npu, &job));
}

static void odd_command_size(void)
{
	setup();
	NPU_ADD(&job, KERF_NPU_NOP, (struct kerf_npu_cmd){0});
	job.job.cmd_size--;
	EXPECT_ERR(-EINVAL, npu_submit_to(&npu, npu.queue, &job, NULL));
}

/* The largest command buffer there is */
static void many_commands(void)
{
	uint8_t *commands;
	int status = -1;
	uint64_t seqno;

	setup();
	commands = calloc(1, KERF_MAX_CMD_SIZE);
	REQUIRE(commands);
	for (size_t at = 0; at < KERF_MAX_CMD_SIZE; at += sizeof(struct kerf_npu_cmd))
		((struct kerf_npu_cmd *)(commands + at))->size = sizeof(struct kerf_npu_cmd);
	job.job = (struct drm_kerf_job){.cmd = (uintptr_t)commands, .cmd_size = KERF_MAX_CMD_SIZE};
	REQUIRE_OK(kt_submit(npu.fd, npu.queue, &job.job, 1, &seqno));
	REQUIRE_OK(kt_wait(npu.fd, npu.queue, seqno, -1, &status));
	EXPECT_OK(status);
	free(commands);
}

static const struct ktap_case cases[] = {
	KTAP(engine),
	KTAP(empty),
	KTAP(nop),
	KTAP(delay),
	KTAP(copy),
	KTAP(copy_transposes),
	KTAP(fill),
	KTAP(add_f32),
	KTAP(add_int8),
	KTAP(mul_repeats),
	KTAP(sub_and_div),
	KTAP(conv_f32_plain),
	KTAP(conv_f32_epilogue),
	KTAP(conv_depthwise_strided),
	KTAP(conv_int8),
	KTAP(conv_int8_per_channel),
	KTAP(fc),
	KTAP(pool_max),
	KTAP(pool_average),
	KTAP(act),
	KTAP(quantize_and_back),
	KTAP(rescale),
	KTAP(lut),
	KTAP(resize),
	KTAP(softmax),
	KTAP(order),
	KTAP(unknown_command),
	KTAP(truncated_command),
	KTAP(odd_command_size),
	KTAP(many_commands),
};

int main(int argc, char **argv)
{
	return ktap_main(cases, sizeof(cases) / sizeof(cases[0]), argc, argv);
}
