/* SPDX-License-Identifier: MIT */
/* Plain chains: VGG, and a small network of our own that has a bit of everything. */
#include "cli/gen.h"

/* Simonyan and Zisserman, 2015, "Very deep convolutional networks...", column D; 0 pools. */
static void vgg16(struct kerf_gen *g)
{
	static const int widths[] = {64,  64,  0, 128, 128, 0, 256, 256, 256,
				     0,	  512, 512, 512, 0, 512, 512, 512, 0};
	struct kerf_feat x = kerf_gen_image(g, 3);
	unsigned i;

	for (i = 0; i < KERF_ARRAY_SIZE(widths); i++) {
		struct kerf_gen_conv c = {.out = widths[i], .k = 3, .pad = 1, .bias = true};

		kerf_gen_scope(g, "features.%u", i);
		x = widths[i] ? kerf_gen_activate(g, kerf_gen_conv(g, x, c), KERF_GEN_RELU)
			      : kerf_gen_maxpool(g, x, 2, 2, 0, false);
	}
	kerf_gen_scope(g, "classifier");
	x = kerf_gen_flatten(g, x);
	x = kerf_gen_activate(g, kerf_gen_fc(g, x, 4096), KERF_GEN_RELU);
	x = kerf_gen_activate(g, kerf_gen_fc(g, x, 4096), KERF_GEN_RELU);
	kerf_gen_logits(g, kerf_gen_fc(g, x, 1000));
}

/* For tests and first steps: a residual, a depthwise and a two-branch block, 10 classes. */
static void tiny(struct kerf_gen *g)
{
	struct kerf_feat x = kerf_gen_image(g, 3), y, branch[2];

	x = kerf_gen_conv_bn(g, x, (struct kerf_gen_conv){.out = 16, .k = 3, .stride = 2, .pad = 1},
			     KERF_GEN_RELU);
	kerf_gen_scope(g, "residual");
	y = kerf_gen_conv_bn(g, x, (struct kerf_gen_conv){.out = 16, .k = 3, .pad = 1},
			     KERF_GEN_RELU);
	y = kerf_gen_conv(g, y, (struct kerf_gen_conv){.out = 16, .k = 3, .pad = 1});
	x = kerf_gen_activate(g, kerf_gen_add(g, kerf_gen_batchnorm(g, y, 1e-5f, 0.5f), x),
			      KERF_GEN_RELU);
	kerf_gen_scope(g, "depthwise");
	x = kerf_gen_conv_bn(
		g, x,
		(struct kerf_gen_conv){.out = 16, .k = 3, .stride = 2, .pad = 1, .groups = 16},
		KERF_GEN_RELU6);
	x = kerf_gen_conv_bn(g, x, (struct kerf_gen_conv){.out = 32, .k = 1}, KERF_GEN_NONE);
	kerf_gen_scope(g, "branches");
	branch[0] =
		kerf_gen_conv_bn(g, x, (struct kerf_gen_conv){.out = 16, .k = 1}, KERF_GEN_RELU);
	branch[1] = kerf_gen_maxpool(g, x, 3, 1, 1, false);
	x = kerf_gen_concat_n(g, 2, branch);
	kerf_gen_scope(g, "head");
	x = kerf_gen_flatten(g, kerf_gen_mean(g, x));
	kerf_gen_logits(g, kerf_gen_fc(g, x, 10));
}

const struct kerf_gen_arch kerf_gen_classic[] = {
	{"vgg16", "Simonyan and Zisserman 2015, column D", 224, 224, vgg16},
	{"tiny", "a small network with every kind of block, for tests", 32, 32, tiny},
	{.name = NULL},
};
