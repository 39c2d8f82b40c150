/* SPDX-License-Identifier: MIT */
/*
 * ResNet-18 (gen_resnet.c) as a quantiser leaves it: Jacob et al., 2018, "Quantization
 * and training of neural networks for efficient integer-arithmetic-only inference".
 * Every tensor between layers goes through QuantizeLinear and DequantizeLinear in
 * uint8; weights are int8 with a scale for each output channel; biases are int32 in
 * the scale of the products; batch norm is folded into both.
 */
#include "cli/gen.h"

#include <math.h>
#include <stdlib.h>

/* Ranges that activations of these weights keep to, by a wide margin. */
#define INPUT_MIN -2.2f
#define RANGE 8.0f
#define BRANCH_GAIN 0.1f

/* A dequantised feature map and the scale it has. */
struct quant {
	struct kerf_feat x;
	float scale;
};

static float around(struct kerf_gen *g, float middle)
{
	return middle * (0.9f + 0.2f * kerf_rng_float(&g->rng));
}

static struct kerf_gen_attr axis_0(void)
{
	return (struct kerf_gen_attr){.name = "axis", .type = KERF_GEN_INT, .i = 0};
}

/* x through uint8 whose value 0 means low. */
static struct quant requantize(struct kerf_gen *g, struct kerf_feat x, float low, float range)
{
	float scale = around(g, range / 255);
	uint8_t zero = (uint8_t)lrintf(fminf(-low / scale, 255));
	const char *in[] = {x.name, kerf_gen_scalar(g, "scale", scale),
			    kerf_gen_const(g, "zero", KERF_U8, 0, NULL, &zero, 0, 0, false)};

	in[0] = kerf_gen_node(g, "QuantizeLinear", 3, in, 0, NULL);
	x.name = kerf_gen_node(g, "DequantizeLinear", 3, in, 0, NULL);
	return (struct quant){x, scale};
}

/* int8 weights and int32 bias behind their DequantizeLinear, as inputs 1 and 2 of a layer. */
static void weights(struct kerf_gen *g, int rank, const int64_t *dims, float limit, float x_scale,
		    const char *in[3])
{
	int64_t n = dims[0], i;
	float *w = malloc((size_t)n * sizeof(*w)), *b = malloc((size_t)n * sizeof(*b));
	struct kerf_gen_attr axis[] = {axis_0()};
	const char *dq[3];

	if (!w || !b) {
		kerf_gen_fail(g, -ENOMEM, "out of memory");
		goto out;
	}
	for (i = 0; i < n; i++) {
		w[i] = around(g, limit / 127);
		b[i] = w[i] * x_scale;
	}
	dq[0] = kerf_gen_const(g, "weight", KERF_I8, rank, dims, NULL, -127, 127, true);
	dq[1] = kerf_gen_const(g, "weight_scale", KERF_F32, 1, dims, w, 0, 0, false);
	dq[2] = kerf_gen_const(g, "weight_zero", KERF_I8, 1, dims, NULL, 0, 0, false);
	in[1] = kerf_gen_node(g, "DequantizeLinear", 3, dq, 1, axis);
	dq[0] = kerf_gen_const(g, "bias", KERF_I32, 1, dims, NULL, -200, 200, true);
	dq[1] = kerf_gen_const(g, "bias_scale", KERF_F32, 1, dims, b, 0, 0, false);
	dq[2] = kerf_gen_const(g, "bias_zero", KERF_I32, 1, dims, NULL, 0, 0, false);
	in[2] = kerf_gen_node(g, "DequantizeLinear", 3, dq, 1, axis);
out:
	free(w);
	free(b);
}

static struct kerf_feat conv(struct kerf_gen *g, struct quant q, int64_t out, int64_t k,
			     int64_t stride, float gain)
{
	const int64_t dims[] = {out, q.x.c, k, k}, p = k / 2;
	struct kerf_gen_attr attr[] = {
		{.name = "kernel_shape", .type = KERF_GEN_INTS, .n = 2, .ints = {k, k}},
		{.name = "pads", .type = KERF_GEN_INTS, .n = 4, .ints = {p, p, p, p}},
		{.name = "strides", .type = KERF_GEN_INTS, .n = 2, .ints = {stride, stride}},
	};
	const char *in[3] = {q.x.name};
	struct kerf_feat y = {NULL, out, (q.x.h + 2 * p - k) / stride + 1,
			      (q.x.w + 2 * p - k) / stride + 1};

	weights(g, 4, dims, sqrtf(6 * gain / (float)(dims[1] * k * k)), q.scale, in);
	y.name = kerf_gen_node(g, "Conv", 3, in, KERF_ARRAY_SIZE(attr), attr);
	return y;
}

static struct quant relu(struct kerf_gen *g, struct kerf_feat x)
{
	return requantize(g, kerf_gen_activate(g, x, KERF_GEN_RELU), 0, RANGE);
}

static struct quant basic(struct kerf_gen *g, struct quant q, int64_t width, int64_t stride)
{
	struct quant skip = q, y = relu(g, conv(g, q, width, 3, stride, 1));

	y = requantize(g, conv(g, y, width, 3, 1, BRANCH_GAIN), -RANGE / 2, RANGE);
	if (q.x.c != width || stride != 1)
		skip = requantize(g, conv(g, q, width, 1, stride, 0.5f), -RANGE, 2 * RANGE);
	return relu(g, kerf_gen_add(g, y.x, skip.x));
}

static void resnet18_int8(struct kerf_gen *g)
{
	struct kerf_gen_attr attr[] = {{.name = "transB", .type = KERF_GEN_INT, .i = 1}};
	struct kerf_feat x = kerf_gen_image(g, 3);
	struct quant q = requantize(g, x, INPUT_MIN, 5);
	const char *in[3];
	int s, i;

	q = relu(g, conv(g, q, 64, 7, 2, 1));
	q.x = kerf_gen_maxpool(g, q.x, 3, 2, 1, false);
	for (s = 0; s < 4; s++)
		for (i = 0; i < 2; i++) {
			kerf_gen_scope(g, "layer%d.%d", s + 1, i);
			q = basic(g, q, (int64_t)64 << s, s && !i ? 2 : 1);
		}
	kerf_gen_scope(g, "head");
	q = requantize(g, kerf_gen_mean(g, q.x), 0, RANGE / 2);
	x = kerf_gen_flatten(g, q.x);
	in[0] = x.name;
	weights(g, 2, (int64_t[]){1000, x.c}, sqrtf(6 / (float)x.c), q.scale, in);
	x.name = kerf_gen_node(g, "Gemm", 3, in, 1, attr);
	x.c = 1000;
	kerf_gen_logits(g, requantize(g, x, -RANGE, 2 * RANGE).x);
}

const struct kerf_gen_arch kerf_gen_quant[] = {
	{"resnet18-int8", "ResNet-18 quantised: QDQ, a scale a channel", 224, 224, resnet18_int8},
	{.name = NULL},
};
