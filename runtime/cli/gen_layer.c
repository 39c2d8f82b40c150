/* SPDX-License-Identifier: MIT */
#include "cli/gen.h"

#include <math.h>
#include <stdio.h>

#define A_INT(n_, v_) ((struct kerf_gen_attr){.name = n_, .type = KERF_GEN_INT, .i = v_})
#define A_FLOAT(n_, v_) ((struct kerf_gen_attr){.name = n_, .type = KERF_GEN_FLOAT, .f = v_})
#define A_PAIR(n_, v_)                                                                             \
	((struct kerf_gen_attr){.name = n_, .type = KERF_GEN_INTS, .n = 2, .ints = {v_, v_}})
#define A_PADS(v_)                                                                                 \
	((struct kerf_gen_attr){                                                                   \
		.name = "pads", .type = KERF_GEN_INTS, .n = 4, .ints = {v_, v_, v_, v_}})

struct kerf_feat kerf_gen_image(struct kerf_gen *g, int64_t channels)
{
	int64_t dims[] = {0, channels, g->height, g->width};

	return (struct kerf_feat){kerf_gen_input(g, "input", KERF_F32, 4, dims), channels,
				  g->height, g->width};
}

/* Rows or columns after a window; fails the model if nothing is left. */
static int64_t out_size(struct kerf_gen *g, int64_t in, int64_t k, int64_t stride, int64_t pad,
			bool ceil_mode)
{
	int64_t room = in + 2 * pad - k, out = room / stride + 1;

	if (room < 0) {
		kerf_gen_fail(g, -EINVAL,
			      "size %lldx%lld is too small: %lld left before a %lldx%lld window",
			      (long long)g->height, (long long)g->width, (long long)in,
			      (long long)k, (long long)k);
		return 1;
	}
	/* A window that would start beyond the input and its first padding is not made. */
	if (ceil_mode && room % stride && out * stride < in + pad)
		out++;
	return out;
}

/*
 * Weights as He et al. (2015, "Delving deep into rectifiers") draw them, from a
 * uniform distribution of the same variance, so activations keep their size.
 */
struct kerf_feat kerf_gen_conv(struct kerf_gen *g, struct kerf_feat x, struct kerf_gen_conv c)
{
	int64_t groups = c.groups ? c.groups : 1, stride = c.stride ? c.stride : 1;
	int64_t dims[] = {c.out, x.c / groups, c.k, c.k};
	float limit = sqrtf(6 * (c.gain > 0 ? c.gain : 1) / (float)(dims[1] * c.k * c.k));
	struct kerf_gen_attr attr[] = {
		A_PAIR("dilations", 1), A_INT("group", groups), A_PAIR("kernel_shape", c.k),
		A_PADS(c.pad),		A_PAIR("strides", stride),
	};
	const char *in[] = {x.name, kerf_gen_weight(g, "weight", 4, dims, 0, limit), NULL};

	if (c.bias)
		in[2] = kerf_gen_weight(g, "bias", 1, dims, 0, 0.05f);
	x.name = kerf_gen_node(g, "Conv", c.bias ? 3 : 2, in, KERF_ARRAY_SIZE(attr), attr);
	x.c = c.out;
	x.h = out_size(g, x.h, c.k, stride, c.pad, false);
	x.w = out_size(g, x.w, c.k, stride, c.pad, false);
	return x;
}

struct kerf_feat kerf_gen_batchnorm(struct kerf_gen *g, struct kerf_feat x, float epsilon,
				    float gain)
{
	int64_t c[] = {x.c};
	struct kerf_gen_attr attr[] = {A_FLOAT("epsilon", epsilon)};
	const char *in[] = {
		x.name,
		kerf_gen_weight(g, "scale", 1, c, gain, 0.2f * gain),
		kerf_gen_weight(g, "shift", 1, c, 0, 0.1f * gain),
		kerf_gen_const(g, "mean", KERF_F32, 1, c, NULL, -0.1f, 0.1f, false),
		kerf_gen_const(g, "var", KERF_F32, 1, c, NULL, 0.8f, 1.2f, false),
	};

	x.name = kerf_gen_node(g, "BatchNormalization", 5, in, 1, attr);
	return x;
}

struct kerf_feat kerf_gen_activate(struct kerf_gen *g, struct kerf_feat x, enum kerf_gen_act act)
{
	/* Hard sigmoid of Howard et al. (2019): relu6(x + 3) / 6. */
	struct kerf_gen_attr hard[] = {A_FLOAT("alpha", 1.0f / 6), A_FLOAT("beta", 0.5f)};
	struct kerf_gen_attr leaky[] = {A_FLOAT("alpha", 0.1f)};
	const char *in[3] = {x.name};

	switch (act) {
	case KERF_GEN_NONE: break;
	case KERF_GEN_RELU: x.name = kerf_gen_node1(g, "Relu", x.name); break;
	case KERF_GEN_RELU6:
		in[1] = kerf_gen_scalar(g, "min", 0);
		in[2] = kerf_gen_scalar(g, "max", 6);
		x.name = kerf_gen_node(g, "Clip", 3, in, 0, NULL);
		break;
	case KERF_GEN_LEAKY: x.name = kerf_gen_node(g, "LeakyRelu", 1, in, 1, leaky); break;
	case KERF_GEN_HSWISH:
		x.name = kerf_gen_node2(g, "Mul", x.name,
					kerf_gen_node(g, "HardSigmoid", 1, in, 2, hard));
		break;
	case KERF_GEN_SILU:
		x.name = kerf_gen_node2(g, "Mul", x.name, kerf_gen_node1(g, "Sigmoid", x.name));
		break;
	}
	return x;
}

struct kerf_feat kerf_gen_conv_bn(struct kerf_gen *g, struct kerf_feat x, struct kerf_gen_conv c,
				  enum kerf_gen_act act)
{
	x = kerf_gen_conv(g, x, c);
	x = kerf_gen_batchnorm(g, x, 1e-5f, 1);
	return kerf_gen_activate(g, x, act);
}

struct kerf_feat kerf_gen_add(struct kerf_gen *g, struct kerf_feat a, struct kerf_feat b)
{
	a.name = kerf_gen_node2(g, "Add", a.name, b.name);
	return a;
}

struct kerf_feat kerf_gen_concat_n(struct kerf_gen *g, int n, const struct kerf_feat *x)
{
	struct kerf_gen_attr attr[] = {A_INT("axis", 1)};
	struct kerf_feat y = x[0];
	const char *in[8];
	int i;

	y.c = 0;
	for (i = 0; i < n; i++) {
		in[i] = x[i].name;
		y.c += x[i].c;
		if (x[i].h != y.h || x[i].w != y.w)
			kerf_gen_fail(
				g, -EINVAL,
				"size %lldx%lld: branches of %lldx%lld and %lldx%lld do not join",
				(long long)g->height, (long long)g->width, (long long)y.h,
				(long long)y.w, (long long)x[i].h, (long long)x[i].w);
	}
	y.name = kerf_gen_node(g, "Concat", n, in, 1, attr);
	return y;
}

struct kerf_feat kerf_gen_maxpool(struct kerf_gen *g, struct kerf_feat x, int64_t k, int64_t stride,
				  int64_t pad, bool ceil_mode)
{
	struct kerf_gen_attr attr[] = {
		A_INT("ceil_mode", ceil_mode),
		A_PAIR("kernel_shape", k),
		A_PADS(pad),
		A_PAIR("strides", stride),
	};

	x.name = kerf_gen_node(g, "MaxPool", 1, &x.name, KERF_ARRAY_SIZE(attr), attr);
	x.h = out_size(g, x.h, k, stride, pad, ceil_mode);
	x.w = out_size(g, x.w, k, stride, pad, ceil_mode);
	return x;
}

/* Hu et al., 2018, "Squeeze-and-excitation networks". */
struct kerf_feat kerf_gen_squeeze(struct kerf_gen *g, struct kerf_feat x, int64_t hidden,
				  enum kerf_gen_act inner, bool hard_gate)
{
	struct kerf_gen_attr hard[] = {A_FLOAT("alpha", 1.0f / 6), A_FLOAT("beta", 0.5f)};
	struct kerf_feat s = kerf_gen_mean(g, x);

	s = kerf_gen_conv(g, s, (struct kerf_gen_conv){.out = hidden, .k = 1, .bias = true});
	s = kerf_gen_activate(g, s, inner);
	s = kerf_gen_conv(g, s, (struct kerf_gen_conv){.out = x.c, .k = 1, .bias = true});
	s.name = hard_gate ? kerf_gen_node(g, "HardSigmoid", 1, &s.name, 2, hard)
			   : kerf_gen_node1(g, "Sigmoid", s.name);
	x.name = kerf_gen_node2(g, "Mul", x.name, s.name);
	return x;
}

struct kerf_feat kerf_gen_mean(struct kerf_gen *g, struct kerf_feat x)
{
	x.name = kerf_gen_node1(g, "GlobalAveragePool", x.name);
	x.h = x.w = 1;
	return x;
}

struct kerf_feat kerf_gen_flatten(struct kerf_gen *g, struct kerf_feat x)
{
	struct kerf_gen_attr attr[] = {A_INT("axis", 1)};

	x.name = kerf_gen_node(g, "Flatten", 1, &x.name, 1, attr);
	x.c *= x.h * x.w;
	x.h = x.w = 1;
	return x;
}

struct kerf_feat kerf_gen_fc(struct kerf_gen *g, struct kerf_feat x, int64_t out)
{
	int64_t dims[] = {out, x.c};
	struct kerf_gen_attr attr[] = {A_FLOAT("alpha", 1), A_FLOAT("beta", 1), A_INT("transB", 1)};
	const char *in[] = {
		x.name,
		kerf_gen_weight(g, "weight", 2, dims, 0, sqrtf(6 / (float)x.c)),
		kerf_gen_weight(g, "bias", 1, dims, 0, 0.05f),
	};

	x.name = kerf_gen_node(g, "Gemm", 3, in, KERF_ARRAY_SIZE(attr), attr);
	x.c = out;
	return x;
}

void kerf_gen_logits(struct kerf_gen *g, struct kerf_feat x)
{
	kerf_gen_output(g, "output", x.name, KERF_F32, 2, (int64_t[]){0, x.c});
}
