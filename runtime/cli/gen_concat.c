/* SPDX-License-Identifier: MIT */
/* Networks of blocks that fan out and concatenate. */
#include "cli/gen.h"

static struct kerf_feat conv_relu(struct kerf_gen *g, struct kerf_feat x, int64_t out, int64_t k,
				  int64_t stride, int64_t pad)
{
	struct kerf_gen_conv c = {.out = out, .k = k, .stride = stride, .pad = pad, .bias = true};

	return kerf_gen_activate(g, kerf_gen_conv(g, x, c), KERF_GEN_RELU);
}

/*
 * Iandola et al., 2016, "SqueezeNet", in the authors' later version 1.1: 3x3 stem,
 * pools earlier; 2.4 times less work for the same accuracy.
 */
static void squeezenet(struct kerf_gen *g)
{
	static const int fire[][2] = {{16, 64}, {16, 64}, {32, 128}, {32, 128},
				      {48, 192}, {48, 192}, {64, 256}, {64, 256}};
	struct kerf_feat x = kerf_gen_image(g, 3), branch[2];
	unsigned i;

	x = conv_relu(g, x, 64, 3, 2, 0);
	for (i = 0; i < KERF_ARRAY_SIZE(fire); i++) {
		if (i == 0 || i == 2 || i == 4)
			x = kerf_gen_maxpool(g, x, 3, 2, 0, true);
		kerf_gen_scope(g, "fire%u", i + 2);
		x = conv_relu(g, x, fire[i][0], 1, 1, 0);
		branch[0] = conv_relu(g, x, fire[i][1], 1, 1, 0);
		branch[1] = conv_relu(g, x, fire[i][1], 3, 1, 1);
		x = kerf_gen_concat_n(g, 2, branch);
	}
	kerf_gen_scope(g, "head");
	x = conv_relu(g, x, 1000, 1, 1, 0);
	kerf_gen_logits(g, kerf_gen_flatten(g, kerf_gen_mean(g, x)));
}

/* Widths of an inception block: 1x1; reduce and 3x3, twice; pool projection. */
struct inception {
	int64_t one, reduce3, three, reduce5, five, pool;
};

static struct kerf_feat inception(struct kerf_gen *g, struct kerf_feat x,
				  const struct inception *w)
{
	struct kerf_gen_conv one = {.out = w->one, .k = 1};
	struct kerf_gen_conv reduce3 = {.out = w->reduce3, .k = 1};
	struct kerf_gen_conv three = {.out = w->three, .k = 3, .pad = 1};
	struct kerf_gen_conv reduce5 = {.out = w->reduce5, .k = 1};
	struct kerf_gen_conv five = {.out = w->five, .k = 3, .pad = 1};
	struct kerf_gen_conv pool = {.out = w->pool, .k = 1};
	struct kerf_feat branch[4];

	branch[0] = kerf_gen_conv_bn(g, x, one, KERF_GEN_RELU);
	branch[1] = kerf_gen_conv_bn(g, x, reduce3, KERF_GEN_RELU);
	branch[1] = kerf_gen_conv_bn(g, branch[1], three, KERF_GEN_RELU);
	branch[2] = kerf_gen_conv_bn(g, x, reduce5, KERF_GEN_RELU);
	branch[2] = kerf_gen_conv_bn(g, branch[2], five, KERF_GEN_RELU);
	branch[3] = kerf_gen_maxpool(g, x, 3, 1, 1, true);
	branch[3] = kerf_gen_conv_bn(g, branch[3], pool, KERF_GEN_RELU);
	return kerf_gen_concat_n(g, 4, branch);
}

/*
 * Szegedy et al., 2015, "Going deeper with convolutions", table 1, without the
 * auxiliary classifiers, with batch norm (Ioffe and Szegedy 2015), and with 3x3 in
 * the place of 5x5: the form in which its weights are handed around.
 */
static void googlenet(struct kerf_gen *g)
{
	static const struct inception blocks[] = {
		{64, 96, 128, 16, 32, 32},    {128, 128, 192, 32, 96, 64},
		{192, 96, 208, 16, 48, 64},   {160, 112, 224, 24, 64, 64},
		{128, 128, 256, 24, 64, 64},  {112, 144, 288, 32, 64, 64},
		{256, 160, 320, 32, 128, 128}, {256, 160, 320, 32, 128, 128},
		{384, 192, 384, 48, 128, 128},
	};
	static const char *const names[] = {"3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b"};
	struct kerf_feat x = kerf_gen_image(g, 3);
	unsigned i;

	x = kerf_gen_conv_bn(g, x, (struct kerf_gen_conv){.out = 64, .k = 7, .stride = 2, .pad = 3},
			     KERF_GEN_RELU);
	x = kerf_gen_maxpool(g, x, 3, 2, 0, true);
	x = kerf_gen_conv_bn(g, x, (struct kerf_gen_conv){.out = 64, .k = 1}, KERF_GEN_RELU);
	x = kerf_gen_conv_bn(g, x, (struct kerf_gen_conv){.out = 192, .k = 3, .pad = 1},
			     KERF_GEN_RELU);
	x = kerf_gen_maxpool(g, x, 3, 2, 0, true);
	for (i = 0; i < KERF_ARRAY_SIZE(blocks); i++) {
		kerf_gen_scope(g, "inception%s", names[i]);
		x = inception(g, x, &blocks[i]);
		if (i == 1)
			x = kerf_gen_maxpool(g, x, 3, 2, 0, true);
		else if (i == 6)
			x = kerf_gen_maxpool(g, x, 2, 2, 0, true);
	}
	kerf_gen_scope(g, "head");
	x = kerf_gen_flatten(g, kerf_gen_mean(g, x));
	kerf_gen_logits(g, kerf_gen_fc(g, x, 1000));
}

const struct kerf_gen_arch kerf_gen_concat[] = {
	{"squeezenet", "Iandola et al. 2016, version 1.1", 224, 224, squeezenet},
	{"googlenet", "Szegedy et al. 2015, with batch norm", 224, 224, googlenet},
	{.name = NULL},
};
