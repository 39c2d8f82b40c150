/* SPDX-License-Identifier: MIT */
/*
 * YOLOv4-tiny: Bochkovskiy et al., 2020, "YOLOv4", and Wang et al., 2021, "Scaled-
 * YOLOv4", after the authors' configuration for 80 classes: cross-stage partial
 * blocks that work on half of their channels, two heads.
 */
#include "cli/gen.h"

#define HEAD_CHANNELS (3 * (80 + 5)) /* anchors a cell, classes, box and objectness */

static struct kerf_feat conv(struct kerf_gen *g, struct kerf_feat x, int64_t out, int64_t k,
			     int64_t stride)
{
	struct kerf_gen_conv c = {.out = out, .k = k, .stride = stride, .pad = k / 2};

	return kerf_gen_conv_bn(g, x, c, KERF_GEN_LEAKY);
}

/* Upper half of the channels. */
static struct kerf_feat half(struct kerf_gen *g, struct kerf_feat x)
{
	const int64_t from[] = {x.c / 2}, to[] = {x.c}, axis[] = {1};
	const char *in[] = {x.name, kerf_gen_ints(g, "starts", 1, from),
			    kerf_gen_ints(g, "ends", 1, to), kerf_gen_ints(g, "axes", 1, axis)};

	x.name = kerf_gen_node(g, "Slice", 4, in, 0, NULL);
	x.c /= 2;
	return x;
}

/* A cross-stage partial block and the pool after it; *inner is its last 1x1. */
static struct kerf_feat partial(struct kerf_gen *g, struct kerf_feat x, int64_t width,
				struct kerf_feat *inner)
{
	struct kerf_feat a, b;

	x = conv(g, x, width, 3, 1);
	a = conv(g, half(g, x), width / 2, 3, 1);
	b = conv(g, a, width / 2, 3, 1);
	*inner = conv(g, kerf_gen_concat_n(g, 2, (struct kerf_feat[]){b, a}), width, 1, 1);
	x = kerf_gen_concat_n(g, 2, (struct kerf_feat[]){x, *inner});
	return kerf_gen_maxpool(g, x, 2, 2, 0, false);
}

static struct kerf_feat upsample(struct kerf_gen *g, struct kerf_feat x)
{
	static const float scales[] = {1, 1, 2, 2};
	const char *in[] = {x.name, NULL,
			    kerf_gen_const(g, "scales", KERF_F32, 1, (int64_t[]){4}, scales, 0, 0,
					   false)};
	struct kerf_gen_attr attr[] = {
		{.name = "coordinate_transformation_mode",
		 .type = KERF_GEN_STRING,
		 .s = "asymmetric"},
		{.name = "mode", .type = KERF_GEN_STRING, .s = "nearest"},
		{.name = "nearest_mode", .type = KERF_GEN_STRING, .s = "floor"},
	};

	x.name = kerf_gen_node(g, "Resize", 3, in, KERF_ARRAY_SIZE(attr), attr);
	x.h *= 2;
	x.w *= 2;
	return x;
}

static void head(struct kerf_gen *g, struct kerf_feat x, int64_t width, const char *name)
{
	struct kerf_gen_conv c = {.out = HEAD_CHANNELS, .k = 1, .bias = true};

	x = kerf_gen_conv(g, conv(g, x, width, 3, 1), c);
	kerf_gen_output(g, name, x.name, KERF_F32, 4, (int64_t[]){0, x.c, x.h, x.w});
}

static void yolov4_tiny(struct kerf_gen *g)
{
	struct kerf_feat x = kerf_gen_image(g, 3), inner, up;
	int i;

	x = conv(g, x, 32, 3, 2);
	x = conv(g, x, 64, 3, 2);
	for (i = 0; i < 3; i++) {
		kerf_gen_scope(g, "stage%d", i + 1);
		x = partial(g, x, (int64_t)64 << i, &inner);
	}
	kerf_gen_scope(g, "head0");
	x = conv(g, x, 512, 3, 1);
	x = conv(g, x, 256, 1, 1);
	head(g, x, 512, "output0");
	kerf_gen_scope(g, "head1");
	up = upsample(g, conv(g, x, 128, 1, 1));
	head(g, kerf_gen_concat_n(g, 2, (struct kerf_feat[]){up, inner}), 256, "output1");
}

const struct kerf_gen_arch kerf_gen_detect[] = {
	{"yolov4-tiny", "Bochkovskiy et al. 2020, Wang et al. 2021, 80 classes", 416, 416,
	 yolov4_tiny},
	{.name = NULL},
};
