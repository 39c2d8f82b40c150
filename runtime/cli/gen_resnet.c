/* SPDX-License-Identifier: MIT */
/*
 * Residual networks: He et al., 2016, "Deep residual learning for image recognition",
 * table 1. ResNet-50 strides in the 3x3 convolution of a block, as everybody's does
 * since ("version 1.5").
 */
#include "cli/gen.h"

#include <stdio.h>

/* The last norm of a branch is small, or depth would let activations grow. */
#define BRANCH_GAIN 0.3f

static struct kerf_feat stem(struct kerf_gen *g)
{
	struct kerf_feat x = kerf_gen_image(g, 3);

	x = kerf_gen_conv_bn(g, x, (struct kerf_gen_conv){.out = 64, .k = 7, .stride = 2, .pad = 3},
			     KERF_GEN_RELU);
	return kerf_gen_maxpool(g, x, 3, 2, 1, false);
}

static struct kerf_feat shortcut(struct kerf_gen *g, struct kerf_feat x, int64_t out,
				 int64_t stride)
{
	struct kerf_gen_conv c = {.out = out, .k = 1, .stride = stride, .gain = 0.5f};

	return x.c == out && stride == 1 ? x : kerf_gen_conv_bn(g, x, c, KERF_GEN_NONE);
}

static struct kerf_feat join(struct kerf_gen *g, struct kerf_feat branch, struct kerf_feat skip)
{
	branch = kerf_gen_batchnorm(g, branch, 1e-5f, BRANCH_GAIN);
	return kerf_gen_activate(g, kerf_gen_add(g, branch, skip), KERF_GEN_RELU);
}

static struct kerf_feat basic(struct kerf_gen *g, struct kerf_feat x, int64_t width, int64_t stride)
{
	struct kerf_gen_conv a = {.out = width, .k = 3, .stride = stride, .pad = 1};
	struct kerf_gen_conv b = {.out = width, .k = 3, .pad = 1};
	struct kerf_feat y = kerf_gen_conv_bn(g, x, a, KERF_GEN_RELU);

	y = kerf_gen_conv(g, y, b);
	return join(g, y, shortcut(g, x, width, stride));
}

static struct kerf_feat bottleneck(struct kerf_gen *g, struct kerf_feat x, int64_t width,
				   int64_t stride)
{
	struct kerf_gen_conv a = {.out = width, .k = 1};
	struct kerf_gen_conv b = {.out = width, .k = 3, .stride = stride, .pad = 1};
	struct kerf_gen_conv c = {.out = 4 * width, .k = 1};
	struct kerf_feat y = kerf_gen_conv_bn(g, x, a, KERF_GEN_RELU);

	y = kerf_gen_conv_bn(g, y, b, KERF_GEN_RELU);
	y = kerf_gen_conv(g, y, c);
	return join(g, y, shortcut(g, x, 4 * width, stride));
}

static void resnet(struct kerf_gen *g, const int *depth,
		   struct kerf_feat (*block)(struct kerf_gen *, struct kerf_feat, int64_t, int64_t))
{
	struct kerf_feat x = stem(g);
	int s, i;

	for (s = 0; s < 4; s++)
		for (i = 0; i < depth[s]; i++) {
			kerf_gen_scope(g, "layer%d.%d", s + 1, i);
			x = block(g, x, (int64_t)64 << s, s && !i ? 2 : 1);
		}
	kerf_gen_scope(g, "head");
	x = kerf_gen_flatten(g, kerf_gen_mean(g, x));
	kerf_gen_logits(g, kerf_gen_fc(g, x, 1000));
}

static void classify(struct kerf_gen *g, struct kerf_feat x, const char *output)
{
	x = kerf_gen_fc(g, kerf_gen_flatten(g, kerf_gen_mean(g, x)), 1000);
	kerf_gen_output(g, output, x.name, KERF_F32, 2, (int64_t[]){0, x.c});
}

/*
 * Early exits after each stage, as in BranchyNet (Teerapittayanon, McDanel, Kung, ICPR 2016). The
 * accuracies stand for measured ones: these weights have none.
 */
static void resnet18_exits(struct kerf_gen *g)
{
	static const char *const accuracy[] = {"0.41", "0.55", "0.64"};
	struct kerf_feat x = stem(g);
	char name[16], key[32];
	int s, i;

	for (s = 0; s < 4; s++) {
		for (i = 0; i < 2; i++) {
			kerf_gen_scope(g, "layer%d.%d", s + 1, i);
			x = basic(g, x, (int64_t)64 << s, s && !i ? 2 : 1);
		}
		kerf_gen_scope(g, s < 3 ? "exit%d" : "head", s + 1);
		if (s == 3)
			break;
		snprintf(name, sizeof(name), "exit%d", s + 1);
		snprintf(key, sizeof(key), "kerf.exit.%s", name);
		classify(g, x, kerf_arena_strdup(&g->arena, name));
		kerf_gen_metadata(g, key, accuracy[s]);
	}
	classify(g, x, "output");
	kerf_gen_metadata(g, "kerf.accuracy", "0.6976");
}

static void resnet18(struct kerf_gen *g)
{
	resnet(g, (const int[]){2, 2, 2, 2}, basic);
}

static void resnet50(struct kerf_gen *g)
{
	resnet(g, (const int[]){3, 4, 6, 3}, bottleneck);
}

const struct kerf_gen_arch kerf_gen_resnet[] = {
	{"resnet18", "He et al. 2016", 224, 224, resnet18},
	{"resnet18-exits", "the same with exits after stages 1, 2, 3 and made-up accuracies", 224, 224,
	 resnet18_exits},
	{"resnet50", "He et al. 2016, stride in the 3x3", 224, 224, resnet50},
	{.name = NULL},
};
