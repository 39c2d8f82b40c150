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
	struct kerf_gen_conv depth = {.out = b->expanded,
				      .k = b->k,
				      .stride = b->stride,
				      .pad = b->k / 2,
				      .groups = b->expanded};
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

/* Widths in multiples of 8, at most a tenth less than asked for (Howard et al. 2019). */
static int64_t round_8(int64_t v)
{
	int64_t r = KERF_MAX((v + 4) / 8 * 8, 8);

	return 10 * r < 9 * v ? r + 8 : r;
}

/*
 * Howard et al., 2019, "Searching for MobileNetV3", table 1 (Large): kernel,
 * expanded, out, squeeze, hard swish, stride.
 */
static void mobilenet_v3(struct kerf_gen *g)
{
	static const int rows[][6] = {
		{3, 16, 16, 0, 0, 1},	{3, 64, 24, 0, 0, 2},	{3, 72, 24, 0, 0, 1},
		{5, 72, 40, 1, 0, 2},	{5, 120, 40, 1, 0, 1},	{5, 120, 40, 1, 0, 1},
		{3, 240, 80, 0, 1, 2},	{3, 200, 80, 0, 1, 1},	{3, 184, 80, 0, 1, 1},
		{3, 184, 80, 0, 1, 1},	{3, 480, 112, 1, 1, 1}, {3, 672, 112, 1, 1, 1},
		{5, 672, 160, 1, 1, 2}, {5, 960, 160, 1, 1, 1}, {5, 960, 160, 1, 1, 1},
	};
	const float epsilon = 1e-3f;
	struct kerf_feat x = kerf_gen_image(g, 3);
	unsigned i;

	x = conv_norm(g, x, (struct kerf_gen_conv){.out = 16, .k = 3, .stride = 2, .pad = 1},
		      epsilon, KERF_GEN_HSWISH);
	for (i = 0; i < KERF_ARRAY_SIZE(rows); i++) {
		struct inverted b = {
			.k = rows[i][0],
			.expanded = rows[i][1],
			.out = rows[i][2],
			.squeeze = rows[i][3] ? round_8(rows[i][1] / 4) : 0,
			.act = rows[i][4] ? KERF_GEN_HSWISH : KERF_GEN_RELU,
			.stride = rows[i][5],
			.inner = KERF_GEN_RELU,
			.hard_gate = true,
			.epsilon = epsilon,
		};

		kerf_gen_scope(g, "block%u", i + 1);
		x = inverted(g, x, &b);
	}
	kerf_gen_scope(g, "head");
	x = conv_norm(g, x, (struct kerf_gen_conv){.out = 960, .k = 1}, epsilon, KERF_GEN_HSWISH);
	x = kerf_gen_flatten(g, kerf_gen_mean(g, x));
	x = kerf_gen_activate(g, kerf_gen_fc(g, x, 1280), KERF_GEN_HSWISH);
	kerf_gen_logits(g, kerf_gen_fc(g, x, 1000));
}

/* Tan and Le, 2019, "EfficientNet", table 1 (B0): expansion, kernel, channels, repeats, stride. */
static void efficientnet_b0(struct kerf_gen *g)
{
	static const int rows[][5] = {{1, 3, 16, 1, 1},	 {6, 3, 24, 2, 2},  {6, 5, 40, 2, 2},
				      {6, 3, 80, 3, 2},	 {6, 5, 112, 3, 1}, {6, 5, 192, 4, 2},
				      {6, 3, 320, 1, 1}};
	struct kerf_feat x = kerf_gen_image(g, 3);
	unsigned r, n = 0;
	int i;

	x = kerf_gen_conv_bn(g, x, (struct kerf_gen_conv){.out = 32, .k = 3, .stride = 2, .pad = 1},
			     KERF_GEN_SILU);
	for (r = 0; r < KERF_ARRAY_SIZE(rows); r++)
		for (i = 0; i < rows[r][3]; i++) {
			struct inverted b = {
				.k = rows[r][1],
				.expanded = x.c * rows[r][0],
				.out = rows[r][2],
				.squeeze = x.c / 4,
				.stride = i ? 1 : rows[r][4],
				.act = KERF_GEN_SILU,
				.inner = KERF_GEN_SILU,
				.epsilon = 1e-5f,
			};

			kerf_gen_scope(g, "block%u", ++n);
			x = inverted(g, x, &b);
		}
	kerf_gen_scope(g, "head");
	x = kerf_gen_conv_bn(g, x, (struct kerf_gen_conv){.out = 1280, .k = 1}, KERF_GEN_SILU);
	classify(g, x);
}

/* 1x1, depthwise 3x3, 1x1: the working branch of a ShuffleNetV2 unit. */
static struct kerf_feat shuffle_branch(struct kerf_gen *g, struct kerf_feat x, int64_t out,
				       int64_t stride, bool reduce)
{
	struct kerf_gen_conv one = {.out = out, .k = 1};

	if (reduce)
		x = kerf_gen_conv_bn(g, x, one, KERF_GEN_RELU);
	x = kerf_gen_conv_bn(g, x,
			     (struct kerf_gen_conv){.out = x.c,
						    .k = 3,
						    .stride = stride,
						    .pad = 1,
						    .groups = x.c,
						    .gain = 0.5f},
			     KERF_GEN_NONE);
	return kerf_gen_conv_bn(g, x, one, KERF_GEN_RELU);
}

/* Interleaves the two halves of the channels, as frameworks export it. */
static struct kerf_feat shuffle(struct kerf_gen *g, struct kerf_feat x)
{
	const int64_t apart[] = {0, 2, x.c / 2, x.h, x.w}, together[] = {0, x.c, x.h, x.w};
	struct kerf_gen_attr perm[] = {
		{.name = "perm", .type = KERF_GEN_INTS, .n = 5, .ints = {0, 2, 1, 3, 4}}};

	x.name = kerf_gen_node2(g, "Reshape", x.name, kerf_gen_ints(g, "apart", 5, apart));
	x.name = kerf_gen_node(g, "Transpose", 1, &x.name, 1, perm);
	x.name = kerf_gen_node2(g, "Reshape", x.name, kerf_gen_ints(g, "together", 4, together));
	return x;
}

static struct kerf_feat shuffle_unit(struct kerf_gen *g, struct kerf_feat x, int64_t out,
				     int64_t stride)
{
	struct kerf_feat half[2] = {x, x};

	if (stride == 1) {
		const int64_t split[] = {out / 2, out / 2};
		const char *in[] = {x.name, kerf_gen_ints(g, "split", 2, split)}, *parts[2];
		struct kerf_gen_attr axis[] = {{.name = "axis", .type = KERF_GEN_INT, .i = 1}};

		kerf_gen_node_n(g, "Split", 2, in, 2, parts, 1, axis);
		half[0] = (struct kerf_feat){parts[0], out / 2, x.h, x.w};
		half[1] = (struct kerf_feat){parts[1], out / 2, x.h, x.w};
	} else {
		half[0] = shuffle_branch(g, x, out / 2, stride, false);
	}
	half[1] = shuffle_branch(g, half[1], out / 2, stride, true);
	return shuffle(g, kerf_gen_concat_n(g, 2, half));
}

/* Ma et al., 2018, "ShuffleNet V2: practical guidelines...", table 5, 1x. */
static void shufflenet_v2(struct kerf_gen *g)
{
	static const int rows[][2] = {{116, 4}, {232, 8}, {464, 4}};
	struct kerf_feat x = kerf_gen_image(g, 3);
	unsigned r;
	int i;

	x = kerf_gen_conv_bn(g, x, (struct kerf_gen_conv){.out = 24, .k = 3, .stride = 2, .pad = 1},
			     KERF_GEN_RELU);
	x = kerf_gen_maxpool(g, x, 3, 2, 1, false);
	for (r = 0; r < KERF_ARRAY_SIZE(rows); r++)
		for (i = 0; i < rows[r][1]; i++) {
			kerf_gen_scope(g, "stage%u.%d", r + 2, i);
			x = shuffle_unit(g, x, rows[r][0], i ? 1 : 2);
		}
	kerf_gen_scope(g, "head");
	x = kerf_gen_conv_bn(g, x, (struct kerf_gen_conv){.out = 1024, .k = 1}, KERF_GEN_RELU);
	classify(g, x);
}

const struct kerf_gen_arch kerf_gen_mobile[] = {
	{"mobilenet_v2", "Sandler et al. 2018, width 1.0", 224, 224, mobilenet_v2},
	{"mobilenet_v3", "Howard et al. 2019, Large", 224, 224, mobilenet_v3},
	{"shufflenet_v2", "Ma et al. 2018, 1x", 224, 224, shufflenet_v2},
	{"efficientnet_b0", "Tan and Le 2019, B0", 224, 224, efficientnet_b0},
	{.name = NULL},
};
