/* SPDX-License-Identifier: MIT */
/* Networks of depthwise convolutions. */
#include "cli/gen.h"

/* Projections have no ReLU after them, so half of He's variance keeps their size. */
#define LINEAR_GAIN 0.5f

/* Expand (unless it is 1), depthwise, squeeze (unless 0), project; residual where shapes allow. */
struct inverted {
	int64_t k, expanded, out, squeeze, stride;
	enum kerf_gen_act act, inner;
	bool hard_gate;
	float epsilon;
};

static struct kerf_feat conv_norm(struct kerf_gen *g, struct kerf_feat x, struct kerf_gen_conv c,
				  float epsilon, enum kerf_gen_act act)
{
	x = kerf_gen_batchnorm(g, kerf_gen_conv(g, x, c), epsilon, 1);
	return kerf_gen_activate(g, x, act);
}

/* Sandler et al., 2018, "MobileNetV2: inverted residuals and linear bottlenecks". */
static struct kerf_feat inverted(struct kerf_gen *g, struct kerf_feat x, const struct inverted *b)
{
	struct kerf_gen_conv expand = {.out = b->expanded, .k = 1};
	struct kerf_gen_conv depth = {
		.out = b->expanded, .k = b->k, .stride = b->stride, .pad = b->k / 2, .groups = b->expanded};
	struct kerf_gen_conv project = {.out = b->out, .k = 1, .gain = LINEAR_GAIN};
	struct kerf_feat y = x;

	if (b->expanded != x.c)
		y = conv_norm(g, y, expand, b->epsilon, b->act);
	y = conv_norm(g, y, depth, b->epsilon, b->act);
	if (b->squeeze)
		y = kerf_gen_squeeze(g, y, b->squeeze, b->inner, b->hard_gate);
	y = kerf_gen_conv(g, y, project);
	y = kerf_gen_batchnorm(g, y, b->epsilon, x.c == b->out && b->stride == 1 ? 0.5f : 1);
	return x.c == b->out && b->stride == 1 ? kerf_gen_add(g, x, y) : y;
}

static void classify(struct kerf_gen *g, struct kerf_feat x)
{
	kerf_gen_scope(g, "head");
	x = kerf_gen_flatten(g, kerf_gen_mean(g, x));
	kerf_gen_logits(g, kerf_gen_fc(g, x, 1000));
}

/* Table 2: expansion, channels, repeats, stride. */
static void mobilenet_v2(struct kerf_gen *g)
{
	static const int rows[][4] = {{1, 16, 1, 1}, {6, 24, 2, 2},  {6, 32, 3, 2}, {6, 64, 4, 2},
				      {6, 96, 3, 1}, {6, 160, 3, 2}, {6, 320, 1, 1}};
	struct kerf_feat x = kerf_gen_image(g, 3);
	unsigned r, n = 0;
	int i;

	x = kerf_gen_conv_bn(g, x, (struct kerf_gen_conv){.out = 32, .k = 3, .stride = 2, .pad = 1},
			     KERF_GEN_RELU6);
	for (r = 0; r < KERF_ARRAY_SIZE(rows); r++)
		for (i = 0; i < rows[r][2]; i++) {
			struct inverted b = {
				.k = 3,
				.expanded = x.c * rows[r][0],
				.out = rows[r][1],
				.stride = i ? 1 : rows[r][3],
				.act = KERF_GEN_RELU6,
				.epsilon = 1e-5f,
			};

			kerf_gen_scope(g, "block%u", ++n);
			x = inverted(g, x, &b);
		}
	kerf_gen_scope(g, "head");
	x = kerf_gen_conv_bn(g, x, (struct kerf_gen_conv){.out = 1280, .k = 1}, KERF_GEN_RELU6);
	classify(g, x);
}

const struct kerf_gen_arch kerf_gen_mobile[] = {
	{"mobilenet_v2", "Sandler et al. 2018, width 1.0", 224, 224, mobilenet_v2},
	{.name = NULL},
};
