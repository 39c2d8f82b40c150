/* SPDX-License-Identifier: MIT */
/*
 * The cpu engine's convolutions and matrix products against a naive loop that makes
 * the promised chain with fmaf: the same bits are expected of every instruction set
 * that has fused multiply-add, with one thread and with two. Tensors end where their
 * memory ends, so that a read or write past them faults.
 *
 * With --bench [network]: how fast each layer of well-known networks runs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exec/cpu_kernels.h"
#include "graph/op.h"
#include "ops/cpu_bench.h"
#include "ops/guard.h"
#include "util/rng.h"

static struct kerf_pool *pools[2]; /* of 1 and 2 threads */

static int setup(void **state)
{
	return kerf_pool_new(1, false, &pools[0]) || kerf_pool_new(2, false, &pools[1]);
}

static int teardown(void **state)
{
	kerf_pool_free(pools[0]);
	kerf_pool_free(pools[1]);
	return 0;
}

static void fill(struct kerf_rng *rng, float *x, int64_t n)
{
	while (n--)
		*x++ = 2 * kerf_rng_float(rng) - 1;
}

static bool is_clamp(enum kerf_act_kind kind)
{
	return kind == KERF_ACT_NONE || kind == KERF_ACT_RELU || kind == KERF_ACT_CLIP;
}

/*
 * Compares with the naive result. exact: the same value (a zero may have either sign);
 * else within the rounding of a longer chain and of an activation.
 */
static void compare(const float *got, const float *want, int64_t n, bool exact, const char *what)
{
	int64_t i;

	for (i = 0; i < n; i++) {
		bool same = got[i] == want[i] || (isnan(got[i]) && isnan(want[i]));

		if (!exact && fabsf(got[i] - want[i]) <= 2e-5f * (1 + fabsf(want[i])))
			same = true;
		if (!same)
			fail_msg("%s: element %lld is %a, expected %a", what, (long long)i,
				 (double)got[i], (double)want[i]);
	}
}

/* --- convolution --- */

struct conv_case {
	int64_t n, h, w, c, oc, kh, kw, stride_h, stride_w, dilation_h, dilation_w;
	int64_t pad_top, pad_left, pad_bottom, pad_right, groups;
	struct kerf_act act;
	bool bias, scale, residual;
};

static struct kerf_cpu_conv_desc describe(const struct conv_case *t)
{
	return (struct kerf_cpu_conv_desc){
		.n = t->n,
		.h = t->h,
		.w = t->w,
		.c = t->c,
		.oh = (t->h + t->pad_top + t->pad_bottom - (t->kh - 1) * t->dilation_h - 1) /
			      t->stride_h + 1,
		.ow = (t->w + t->pad_left + t->pad_right - (t->kw - 1) * t->dilation_w - 1) /
			      t->stride_w + 1,
		.oc = t->oc,
		.kh = t->kh,
		.kw = t->kw,
		.stride_h = t->stride_h,
		.stride_w = t->stride_w,
		.dilation_h = t->dilation_h,
		.dilation_w = t->dilation_w,
		.pad_h = t->pad_top,
		.pad_w = t->pad_left,
		.groups = t->groups,
		.act = t->act,
	};
}

static void naive_conv(const struct kerf_cpu_conv_desc *d, const float *x, const float *w,
		       const float *bias, const float *scale, const float *residual, float *y)
{
	int64_t icg = d->c / d->groups, ocg = d->oc / d->groups, taps = d->kh * d->kw;
	int64_t n, oy, ox, o, ky, kx, i;

	for (n = 0; n < d->n; n++)
	for (oy = 0; oy < d->oh; oy++)
	for (ox = 0; ox < d->ow; ox++)
	for (o = 0; o < d->oc; o++) {
		int64_t at = ((n * d->oh + oy) * d->ow + ox) * d->oc + o;
		float acc = 0;

		for (ky = 0; ky < d->kh; ky++)
		for (kx = 0; kx < d->kw; kx++)
		for (i = 0; i < icg; i++) {
			int64_t iy = oy * d->stride_h - d->pad_h + ky * d->dilation_h;
			int64_t ix = ox * d->stride_w - d->pad_w + kx * d->dilation_w;
			bool in = iy >= 0 && iy < d->h && ix >= 0 && ix < d->w;
			float wt = w[(o * icg + i) * taps + ky * d->kw + kx];

			if (scale)
				wt *= scale[o];
			acc = fmaf(in ? x[((n * d->h + iy) * d->w + ix) * d->c +
					 o / ocg * icg + i]
				      : 0,
				   wt, acc);
		}
		if (bias)
			acc += bias[o];
		if (residual)
			acc += residual[at];
		y[at] = kerf_act_apply(&d->act, acc);
	}
}

static void run_conv(const struct kerf_cpu_isa *isa, const struct kerf_cpu_conv_desc *d,
		     struct kerf_pool *pool, const float *x, const float *w, const float *bias,
		     const float *scale, const float *residual, float *y)
{
	size_t bytes = (size_t)(d->n * d->oh * d->ow * d->oc) * sizeof(float), room;
	struct kerf_cpu_conv *conv;
	struct guard out, scratch;

	assert_int_equal(kerf_cpu_conv_prepare(isa, d, w, bias, scale, pool, &conv), 0);
	assert_true(kerf_cpu_conv_weight_bytes(conv) > 0);
	room = kerf_cpu_conv_scratch(conv, kerf_pool_threads(pool));
	guard_new(&out, bytes);
	guard_new(&scratch, room);
	memset(out.data, 0xff, bytes); /* NaN: what is left unwritten shows */
	memset(scratch.data, 0xff, room);
	kerf_cpu_conv_run(conv, pool, x, residual, out.data, scratch.data);
	memcpy(y, out.data, bytes);
	guard_free(&scratch);
	guard_free(&out);
	kerf_cpu_conv_free(conv);
}

static void check_conv(const struct conv_case *t, uint64_t seed)
{
	struct kerf_cpu_conv_desc d = describe(t);
	int64_t nx = d.n * d.h * d.w * d.c, ny = d.n * d.oh * d.ow * d.oc;
	int64_t nw = d.oc * (d.c / d.groups) * d.kh * d.kw;
	const struct kerf_cpu_isa *isa;
	struct guard x, w, bias, scale, residual;
	float *want = malloc((size_t)ny * sizeof(float)), *y[2], *first = NULL;
	struct kerf_rng rng;
	char what[256];
	int i, p;

	assert_true(d.oh > 0 && d.ow > 0);
	kerf_rng_seed(&rng, seed);
	guard_new(&x, (size_t)nx * sizeof(float));
	guard_new(&w, (size_t)nw * sizeof(float));
	guard_new(&bias, (size_t)d.oc * sizeof(float));
	guard_new(&scale, (size_t)d.oc * sizeof(float));
	guard_new(&residual, (size_t)ny * sizeof(float));
	fill(&rng, x.data, nx);
	fill(&rng, w.data, nw);
	fill(&rng, bias.data, d.oc);
	fill(&rng, scale.data, d.oc);
	fill(&rng, residual.data, ny);
	naive_conv(&d, x.data, w.data, t->bias ? bias.data : NULL, t->scale ? scale.data : NULL,
		   t->residual ? residual.data : NULL, want);
	for (i = 0; (isa = kerf_cpu_isa_at(i)); i++) {
		bool fused = strcmp(isa->name, "baseline");

		for (p = 0; p < 2; p++) {
			snprintf(what, sizeof(what),
				 "%s, %d threads, %lldx%lldx%lldx%lld oc %lld k %lldx%lld act %d",
				 isa->name, p + 1, (long long)d.n, (long long)d.h, (long long)d.w,
				 (long long)d.c, (long long)d.oc, (long long)d.kh, (long long)d.kw,
				 d.act.kind);
			y[p] = malloc((size_t)ny * sizeof(float));
			run_conv(isa, &d, pools[p], x.data, w.data, t->bias ? bias.data : NULL,
				 t->scale ? scale.data : NULL, t->residual ? residual.data : NULL,
				 y[p]);
			compare(y[p], want, ny, fused && is_clamp(d.act.kind), what);
			if (fused && first && memcmp(first, y[p], (size_t)ny * sizeof(float)))
				fail_msg("%s: not the bits of the first run", what);
			if (p && memcmp(y[0], y[1], (size_t)ny * sizeof(float)))
				fail_msg("%s: not the bits of one thread", what);
			if (fused && !first) {
				first = y[p];
				y[p] = NULL;
			}
			if (p) {
				free(y[0]);
				free(y[1]);
			} else if (!y[0]) {
				y[0] = malloc((size_t)ny * sizeof(float));
				memcpy(y[0], first, (size_t)ny * sizeof(float));
			}
		}
	}
	free(first);
	free(want);
	guard_free(&x);
	guard_free(&w);
	guard_free(&bias);
	guard_free(&scale);
	guard_free(&residual);
}

#define NONE {KERF_ACT_NONE, 0, 0}
#define RELU {KERF_ACT_RELU, 0, 0}
#define RELU6 {KERF_ACT_CLIP, 0, 6}

static const struct conv_case conv_cases[] = {
	/* n h w c oc  k     s     d     pads        groups act bias scale residual */
	{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1, NONE, 0, 0, 0},
	{1, 5, 7, 3, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1, RELU, 1, 0, 0},
	{1, 13, 13, 17, 33, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1, RELU6, 1, 1, 1},
	{3, 7, 7, 40, 65, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1, NONE, 1, 0, 1},
	{1, 4, 5, 1024, 40, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1, NONE, 1, 0, 0}, /* set conflicts */
	{2, 9, 9, 512, 31, 1, 1, 2, 2, 1, 1, 0, 0, 0, 0, 1, RELU, 0, 0, 0},
	{1, 8, 8, 24, 16, 1, 1, 2, 2, 1, 1, 0, 0, 0, 0, 1, NONE, 1, 0, 0},
	{1, 9, 11, 16, 64, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, RELU, 1, 0, 0},
	{2, 14, 15, 20, 37, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, RELU, 1, 1, 1},
	{1, 30, 29, 8, 32, 3, 3, 1, 1, 1, 1, 0, 0, 0, 0, 1, NONE, 1, 0, 1},
	{1, 15, 15, 12, 48, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1, 1, RELU, 1, 0, 0},
	{1, 7, 7, 96, 70, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, RELU, 1, 0, 1}, /* pairs of rows */
	{1, 3, 4, 600, 10, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, NONE, 1, 0, 1}, /* long chains */
	{1, 7, 1, 130, 10, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, NONE, 1, 0, 0},
	{1, 32, 32, 3, 64, 7, 7, 2, 2, 1, 1, 3, 3, 3, 3, 1, RELU, 1, 0, 0},
	{1, 20, 20, 3, 24, 3, 3, 2, 2, 1, 1, 0, 0, 0, 0, 1, RELU6, 1, 0, 0},
	{1, 12, 13, 6, 9, 5, 3, 1, 2, 1, 1, 2, 0, 1, 3, 1, NONE, 1, 0, 0},
	{1, 15, 16, 6, 20, 3, 3, 1, 1, 2, 3, 2, 3, 2, 3, 1, NONE, 1, 0, 0},
	{1, 17, 16, 5, 20, 3, 2, 2, 1, 3, 2, 4, 1, 0, 2, 1, NONE, 1, 0, 0},
	{1, 12, 12, 8, 16, 3, 3, 1, 1, 1, 1, -2, -1, -3, 0, 1, NONE, 1, 0, 0}, /* cropped */
	{1, 12, 12, 8, 16, 3, 3, 2, 2, 1, 1, -1, 1, 1, -2, 1, RELU, 1, 0, 0},
	{1, 9, 9, 8, 16, 1, 1, 1, 1, 1, 1, -1, 2, 1, -3, 1, NONE, 1, 0, 0},
	{1, 3, 3, 4, 4, 5, 5, 1, 1, 1, 1, 4, 4, 4, 4, 1, NONE, 0, 0, 0}, /* wide padding */
	{1, 2, 2, 4, 4, 3, 3, 1, 1, 4, 4, 6, 6, 6, 6, 1, NONE, 0, 0, 0},
	{1, 10, 10, 24, 24, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 3, RELU, 1, 1, 1}, /* groups */
	{2, 8, 9, 32, 16, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1, 4, NONE, 1, 0, 0},
	{1, 8, 9, 64, 80, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 2, NONE, 1, 0, 0},
	{1, 6, 6, 8, 16, 3, 3, 1, 1, 1, 1, 0, 0, 0, 0, 4, NONE, 1, 0, 0},
	{1, 1, 100, 16, 32, 1, 5, 1, 1, 1, 1, 0, 2, 0, 2, 1, RELU, 1, 0, 0}, /* 1-D */
	{1, 12, 12, 16, 16, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 16, RELU6, 1, 1, 0}, /* depthwise */
	{2, 13, 14, 35, 35, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 35, RELU, 1, 0, 1},
	{1, 15, 15, 24, 24, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1, 24, NONE, 1, 0, 0},
	{1, 14, 30, 40, 40, 5, 5, 1, 1, 1, 1, 2, 2, 2, 2, 40, NONE, 1, 0, 0},
	{1, 14, 14, 20, 20, 5, 5, 2, 2, 1, 1, 1, 2, 2, 1, 20, NONE, 0, 0, 0},
	{1, 11, 12, 18, 18, 3, 3, 1, 1, 2, 2, 2, 2, 2, 2, 18, NONE, 1, 0, 0},
	{1, 11, 12, 18, 18, 3, 3, 1, 1, 1, 1, -1, -2, -1, 1, 18, NONE, 1, 0, 0},
	{1, 2, 2, 9, 9, 7, 7, 1, 1, 1, 1, 3, 3, 3, 3, 9, NONE, 1, 0, 0},
	{1, 1, 40, 17, 17, 1, 9, 1, 1, 1, 1, 0, 4, 0, 4, 17, NONE, 1, 0, 0},
	{1, 10, 10, 12, 24, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 12, RELU, 1, 1, 0}, /* multiplier */
	{1, 10, 10, 7, 35, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1, 7, NONE, 1, 0, 1},
	{1, 1, 1, 300, 200, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1, RELU, 1, 0, 0}, /* one pixel */
	{1, 2, 2, 5, 300, 2, 2, 1, 1, 1, 1, 0, 0, 0, 0, 1, NONE, 1, 0, 0},
};

static void test_conv(void **state)
{
	unsigned i;

	for (i = 0; i < KERF_ARRAY_SIZE(conv_cases); i++)
		check_conv(&conv_cases[i], i);
}

static const struct kerf_act acts[] = {
	{KERF_ACT_NONE, 0, 0},	     {KERF_ACT_RELU, 0, 0},
	{KERF_ACT_CLIP, -0.25f, 0.5f}, {KERF_ACT_LEAKY_RELU, 0.1f, 0},
	{KERF_ACT_SIGMOID, 0, 0},    {KERF_ACT_TANH, 0, 0},
	{KERF_ACT_SILU, 0, 0},	     {KERF_ACT_HARD_SIGMOID, 0.2f, 0.5f},
	{KERF_ACT_HARD_SWISH, 0, 0}, {KERF_ACT_GELU, 0, 0},
	{KERF_ACT_MISH, 0, 0},	     {KERF_ACT_ELU, 0.7f, 0},
};

/* Every activation behind every kind of kernel: tiles, flat tiles, depthwise. */
static void test_conv_acts(void **state)
{
	struct conv_case some[] = {
		{1, 9, 10, 8, 37, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, NONE, 1, 0, 1},
		{1, 7, 7, 12, 20, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1, NONE, 1, 0, 0},
		{1, 7, 7, 21, 21, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 21, NONE, 1, 0, 0},
	};
	unsigned i, k;

	assert_int_equal(KERF_ARRAY_SIZE(acts), KERF_N_ACTS);
	for (k = 0; k < KERF_ARRAY_SIZE(some); k++) {
		for (i = 0; i < KERF_ARRAY_SIZE(acts); i++) {
			some[k].act = acts[i];
			check_conv(&some[k], 100 + i);
		}
	}
}

/* Shapes nobody thought of. The seed is fixed: a failure comes again. */
static void test_conv_random(void **state)
{
	struct kerf_rng rng;
	int round;

	kerf_rng_seed(&rng, 20);
	for (round = 0; round < 150; round++) {
		struct conv_case t = {
			.n = 1 + (int64_t)kerf_rng_below(&rng, 2),
			.h = 1 + (int64_t)kerf_rng_below(&rng, 12),
			.w = 1 + (int64_t)kerf_rng_below(&rng, 20),
			.kh = 1 + (int64_t)kerf_rng_below(&rng, 4),
			.kw = 1 + (int64_t)kerf_rng_below(&rng, 4),
			.stride_h = 1 + (int64_t)kerf_rng_below(&rng, 3),
			.stride_w = 1 + (int64_t)kerf_rng_below(&rng, 3),
			.dilation_h = 1 + (int64_t)kerf_rng_below(&rng, 2),
			.dilation_w = 1 + (int64_t)kerf_rng_below(&rng, 2),
			.pad_top = (int64_t)kerf_rng_below(&rng, 6) - 2,
			.pad_left = (int64_t)kerf_rng_below(&rng, 6) - 2,
			.pad_bottom = (int64_t)kerf_rng_below(&rng, 6) - 2,
			.pad_right = (int64_t)kerf_rng_below(&rng, 6) - 2,
			.act = acts[kerf_rng_below(&rng, 3)],
			.bias = kerf_rng_below(&rng, 2),
			.scale = kerf_rng_below(&rng, 2),
			.residual = kerf_rng_below(&rng, 2),
		};

		t.groups = kerf_rng_below(&rng, 3) ? 1 : 1 + (int64_t)kerf_rng_below(&rng, 40);
		t.c = t.groups * (1 + (int64_t)kerf_rng_below(&rng, t.groups > 8 ? 2 : 20));
		t.oc = t.groups * (1 + (int64_t)kerf_rng_below(&rng, t.groups > 8 ? 3 : 50));
		if (t.h + t.pad_top + t.pad_bottom < (t.kh - 1) * t.dilation_h + 1 ||
		    t.w + t.pad_left + t.pad_right < (t.kw - 1) * t.dilation_w + 1)
			continue;
		check_conv(&t, 1000 + (uint64_t)round);
	}
}

/* A tile of the rows: negative or partial padding must give the bits of the whole. */
static void test_conv_tile_is_whole(void **state)
{
	static const struct conv_case cases[] = {
		{1, 28, 28, 16, 40, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, RELU, 1, 0, 0},
		{1, 28, 28, 24, 24, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1, 24, RELU, 1, 0, 0},
		{1, 27, 29, 16, 24, 5, 3, 2, 1, 1, 2, 2, 2, 2, 2, 1, RELU, 1, 0, 0},
	};
	const struct kerf_cpu_isa *isa = kerf_cpu_isa_find(NULL);
	unsigned i;

	for (i = 0; i < KERF_ARRAY_SIZE(cases); i++) {
		struct kerf_cpu_conv_desc d = describe(&cases[i]), t = d;
		int64_t nx = d.h * d.w * d.c, nw = d.oc * d.c / d.groups * d.kh * d.kw, row, i0, i1;
		float *x = malloc((size_t)nx * sizeof(float)),
		      *w = malloc((size_t)nw * sizeof(float));
		float *whole = malloc((size_t)(d.oh * d.ow * d.oc) * sizeof(float));
		float *part = malloc((size_t)(d.oh * d.ow * d.oc) * sizeof(float));
		struct kerf_rng rng;

		kerf_rng_seed(&rng, i);
		fill(&rng, x, nx);
		fill(&rng, w, nw);
		run_conv(isa, &d, pools[1], x, w, NULL, NULL, NULL, whole);
		for (row = 0; row + 3 <= d.oh; row += 2) {
			t.oh = 3;
			i0 = KERF_MAX(row * d.stride_h - d.pad_h - 1, 0); /* one row too many */
			i1 = KERF_MIN((row + 2) * d.stride_h - d.pad_h +
					      (d.kh - 1) * d.dilation_h + 1, d.h);
			t.h = i1 - i0;
			t.pad_h = i0 - (row * d.stride_h - d.pad_h);
			run_conv(isa, &t, pools[0], x + i0 * d.w * d.c, w, NULL, NULL, NULL, part);
			assert_memory_equal(part, whole + row * d.ow * d.oc,
					    (size_t)(t.oh * d.ow * d.oc) * sizeof(float));
		}
		free(x);
		free(w);
		free(whole);
		free(part);
	}
}

static void test_conv_not_numbers(void **state)
{
	static const struct conv_case t = {1, 9, 9, 8, 20, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1,
					   NONE, 1, 0, 1};
	struct kerf_cpu_conv_desc d = describe(&t);
	float *x = malloc((size_t)(d.h * d.w * d.c) * sizeof(float));
	float *w = calloc((size_t)(d.oc * d.c * 9), sizeof(float));
	float *y = malloc((size_t)(d.oh * d.ow * d.oc) * sizeof(float));
	const struct kerf_cpu_isa *isa;
	unsigned a;
	int64_t i;

	for (a = 0; a < KERF_ARRAY_SIZE(acts); a++) {
		for (i = 0; i < d.h * d.w * d.c; i++)
			x[i] = i % 3 == 0 ? NAN : i % 3 == 1 ? INFINITY : -INFINITY;
		for (i = 0; i < d.oc * d.c * 9; i++)
			w[i] = i % 5 ? 1 : NAN;
		d.act = acts[a];
		for (i = 0; (isa = kerf_cpu_isa_at((int)i)); i++) {
			run_conv(isa, &d, pools[1], x, w, NULL, NULL, NULL, y);
			assert_true(isnan(y[d.ow * d.oc + d.oc])); /* sees all of it */
		}
	}
	free(x);
	free(w);
	free(y);
}

static void test_conv_refused(void **state)
{
	const struct kerf_cpu_isa *isa = kerf_cpu_isa_find("auto");
	struct kerf_cpu_conv_desc good = {
		.n = 1, .h = 4, .w = 4, .c = 4, .oh = 4, .ow = 4, .oc = 4, .kh = 1, .kw = 1,
		.stride_h = 1, .stride_w = 1, .dilation_h = 1, .dilation_w = 1, .groups = 1,
	}, d;
	struct kerf_cpu_conv *conv;
	float w[16] = {0};

	assert_int_equal(kerf_cpu_conv_prepare(isa, &good, w, NULL, NULL, pools[0], &conv), 0);
	kerf_cpu_conv_free(conv);
	kerf_cpu_conv_free(NULL);
	d = good, d.groups = 3;
	assert_int_equal(kerf_cpu_conv_prepare(isa, &d, w, NULL, NULL, pools[0], &conv), -EINVAL);
	d = good, d.stride_h = 0;
	assert_int_equal(kerf_cpu_conv_prepare(isa, &d, w, NULL, NULL, pools[0], &conv), -EINVAL);
	d = good, d.oh = -1;
	assert_int_equal(kerf_cpu_conv_prepare(isa, &d, w, NULL, NULL, pools[0], &conv), -EINVAL);
	d = good, d.n = d.h = d.w = (int64_t)1 << 30;
	assert_int_equal(kerf_cpu_conv_prepare(isa, &d, w, NULL, NULL, pools[0], &conv), -EINVAL);
	d = good, d.kw = 2, d.dilation_w = 1 << 24, d.pad_w = 1 << 24, d.ow = 1 << 24;
	assert_int_equal(kerf_cpu_conv_prepare(isa, &d, w, NULL, NULL, pools[0], &conv),
			 -EOPNOTSUPP);
}

/* --- transposed convolution --- */

static void naive_deconv(const struct kerf_cpu_conv_desc *d, const float *x, const float *w,
			 const float *bias, float *y)
{
	int64_t icg = d->c / d->groups, ocg = d->oc / d->groups, n, oy, ox, o, iy, ix, i;

	for (n = 0; n < d->n; n++)
	for (oy = 0; oy < d->oh; oy++)
	for (ox = 0; ox < d->ow; ox++)
	for (o = 0; o < d->oc; o++) {
		float acc = 0;

		for (iy = 0; iy < d->h; iy++)
		for (ix = 0; ix < d->w; ix++)
		for (i = 0; i < icg; i++) {
			int64_t ky = oy + d->pad_h - iy * d->stride_h;
			int64_t kx = ox + d->pad_w - ix * d->stride_w, ic = o / ocg * icg + i;

			if (ky >= 0 && ky < d->kh && kx >= 0 && kx < d->kw)
				acc = fmaf(x[((n * d->h + iy) * d->w + ix) * d->c + ic],
					   w[((ic * ocg + o % ocg) * d->kh + ky) * d->kw + kx],
					   acc);
		}
		if (bias)
			acc += bias[o];
		y[((n * d->oh + oy) * d->ow + ox) * d->oc + o] = kerf_act_apply(&d->act, acc);
	}
}

static void check_deconv(const struct conv_case *t, uint64_t seed)
{
	struct kerf_cpu_conv_desc d = describe(t);
	int64_t nx = d.n * d.h * d.w * d.c, nw = d.c * (d.oc / d.groups) * d.kh * d.kw, ny;
	struct guard x, w, bias, y, scratch;
	const struct kerf_cpu_isa *isa;
	struct kerf_cpu_deconv *deconv;
	struct kerf_rng rng;
	float *want;
	int i, p;

	d.oh = (d.h - 1) * d.stride_h + d.kh - t->pad_top - t->pad_bottom;
	d.ow = (d.w - 1) * d.stride_w + d.kw - t->pad_left - t->pad_right;
	ny = d.n * d.oh * d.ow * d.oc;
	kerf_rng_seed(&rng, seed);
	guard_new(&x, (size_t)nx * sizeof(float));
	guard_new(&w, (size_t)nw * sizeof(float));
	guard_new(&bias, (size_t)d.oc * sizeof(float));
	guard_new(&y, (size_t)ny * sizeof(float));
	fill(&rng, x.data, nx);
	fill(&rng, w.data, nw);
	fill(&rng, bias.data, d.oc);
	want = malloc((size_t)ny * sizeof(float));
	naive_deconv(&d, x.data, w.data, t->bias ? bias.data : NULL, want);
	for (i = 0; (isa = kerf_cpu_isa_at(i)); i++) {
		for (p = 0; p < 2; p++) {
			assert_int_equal(kerf_cpu_deconv_prepare(isa, &d, w.data,
								 t->bias ? bias.data : NULL,
								 pools[p], &deconv), 0);
			guard_new(&scratch, kerf_cpu_deconv_scratch(deconv, p + 1));
			memset(y.data, 0xff, (size_t)ny * sizeof(float));
			kerf_cpu_deconv_run(deconv, pools[p], x.data, y.data, scratch.data);
			compare(y.data, want, ny, strcmp(isa->name, "baseline"), isa->name);
			guard_free(&scratch);
			kerf_cpu_deconv_free(deconv);
		}
	}
	free(want);
	guard_free(&x);
	guard_free(&w);
	guard_free(&bias);
	guard_free(&y);
}

static void test_deconv(void **state)
{
	static const struct conv_case cases[] = {
		{1, 5, 6, 8, 20, 2, 2, 2, 2, 1, 1, 0, 0, 0, 0, 1, NONE, 1, 0, 0},
		{2, 5, 4, 9, 33, 4, 4, 2, 2, 1, 1, 1, 1, 1, 1, 1, RELU, 1, 0, 0},
		{1, 6, 5, 7, 5, 3, 3, 2, 2, 1, 1, 1, 1, 0, 0, 1, NONE, 1, 0, 0},
		{1, 4, 4, 6, 8, 3, 5, 1, 1, 1, 1, 1, 2, 1, 2, 1, NONE, 0, 0, 0},
		{1, 4, 5, 6, 8, 2, 1, 3, 2, 1, 1, 0, 0, 0, 0, 1, RELU6, 1, 0, 0}, /* gaps */
		{1, 4, 5, 12, 18, 3, 3, 2, 3, 1, 1, 1, 0, 1, 0, 3, NONE, 1, 0, 0}, /* groups */
		{1, 6, 6, 10, 10, 4, 4, 2, 2, 1, 1, 1, 1, 1, 1, 10, NONE, 1, 0, 0},
		{1, 3, 3, 4, 4, 2, 2, 2, 2, 1, 1, -2, -1, -1, -3, 1, NONE, 1, 0, 0},
		{1, 1, 1, 100, 64, 4, 4, 1, 1, 1, 1, 0, 0, 0, 0, 1, NONE, 1, 0, 0},
		{1, 1, 30, 16, 8, 1, 16, 1, 8, 1, 1, 0, 4, 0, 4, 1, NONE, 1, 0, 0}, /* 1-D */
	};
	unsigned i;

	for (i = 0; i < KERF_ARRAY_SIZE(cases); i++)
		check_deconv(&cases[i], 3000 + i);
}

/* --- matrix product --- */

struct gemm_case {
	int64_t m, n, k;
	bool trans_a, trans_b, constant, bias;
	int residual; /* 0 none, 1 as y, 2 one row */
	float alpha;
	int batch_rank;
	int64_t batch[2];
	bool a_shared[2], b_shared[2]; /* one matrix for that axis of the batch */
	struct kerf_act act;
};

static int64_t steps(const struct gemm_case *t, const bool *shared, int64_t matrix, int64_t *step)
{
	int i;

	for (i = t->batch_rank - 1; i >= 0; i--) {
		step[i] = shared[i] ? 0 : matrix;
		if (!shared[i])
			matrix *= t->batch[i];
	}
	return matrix; /* floats of all */
}

static void naive_gemm(const struct kerf_cpu_gemm_desc *d, const float *a, const float *b,
		       const float *bias, const float *residual, int64_t residual_row, float *y)
{
	int64_t products = 1, i, m, n, k, rest, a_at, b_at;
	int axis;

	for (axis = 0; axis < d->batch_rank; axis++)
		products *= d->batch[axis];
	for (i = 0; i < products; i++) {
		for (a_at = b_at = 0, rest = i, axis = d->batch_rank - 1; axis >= 0; axis--) {
			a_at += rest % d->batch[axis] * d->a_step[axis];
			b_at += rest % d->batch[axis] * d->b_step[axis];
			rest /= d->batch[axis];
		}
		for (m = 0; m < d->m; m++) {
			for (n = 0; n < d->n; n++) {
				int64_t row = i * d->m + m;
				float acc = 0;

				for (k = 0; k < d->k; k++)
					acc = fmaf(a[a_at +
						     (d->trans_a ? k * d->m + m : m * d->k + k)],
						   b[b_at +
						     (d->trans_b ? n * d->k + k : k * d->n + n)] *
							   d->alpha,
						   acc);
				if (bias)
					acc += bias[n];
				if (residual)
					acc += residual[row * residual_row + n];
				y[row * d->n + n] = kerf_act_apply(&d->act, acc);
			}
		}
	}
}

static void check_gemm(const struct gemm_case *t, uint64_t seed)
{
	struct kerf_cpu_gemm_desc d = {
		.m = t->m, .n = t->n, .k = t->k, .trans_a = t->trans_a, .trans_b = t->trans_b,
		.alpha = t->alpha, .batch_rank = t->batch_rank, .act = t->act,
	};
	int64_t na, nb, ny = t->m * t->n, row = t->residual == 2 ? 0 : t->n;
	struct guard a, b, bias, residual, y, scratch;
	const struct kerf_cpu_isa *isa;
	float *want, *first = NULL;
	struct kerf_rng rng;
	char what[256];
	int i, p;

	for (i = 0; i < t->batch_rank; i++) {
		d.batch[i] = t->batch[i];
		ny *= t->batch[i];
	}
	na = steps(t, t->a_shared, t->m * t->k, d.a_step);
	nb = steps(t, t->b_shared, t->n * t->k, d.b_step);
	kerf_rng_seed(&rng, seed);
	guard_new(&a, (size_t)na * sizeof(float));
	guard_new(&b, (size_t)nb * sizeof(float));
	guard_new(&bias, (size_t)t->n * sizeof(float));
	guard_new(&residual, (size_t)(t->residual == 2 ? t->n : ny) * sizeof(float));
	guard_new(&y, (size_t)ny * sizeof(float));
	fill(&rng, a.data, na);
	fill(&rng, b.data, nb);
	fill(&rng, bias.data, t->n);
	fill(&rng, residual.data, t->residual == 2 ? t->n : ny);
	want = malloc((size_t)ny * sizeof(float));
	naive_gemm(&d, a.data, b.data, t->bias ? bias.data : NULL,
		   t->residual ? residual.data : NULL, row, want);
	for (i = 0; (isa = kerf_cpu_isa_at(i)); i++) {
		bool fused = strcmp(isa->name, "baseline");

		for (p = 0; p < 2; p++) {
			struct kerf_cpu_gemm *g;

			snprintf(what, sizeof(what), "%s, %d threads, m %lld n %lld k %lld",
				 isa->name, p + 1, (long long)t->m, (long long)t->n,
				 (long long)t->k);
			assert_int_equal(kerf_cpu_gemm_prepare(isa, &d, t->constant ? b.data : NULL,
							       t->bias ? bias.data : NULL, pools[p],
							       &g), 0);
			guard_new(&scratch, kerf_cpu_gemm_scratch(g, p + 1));
			memset(y.data, 0xff, (size_t)ny * sizeof(float));
			kerf_cpu_gemm_run(g, pools[p], a.data, t->constant ? NULL : b.data,
					  t->residual ? residual.data : NULL, row, y.data,
					  scratch.data);
			compare(y.data, want, ny, fused && is_clamp(t->act.kind), what);
			if (fused && first && memcmp(first, y.data, (size_t)ny * sizeof(float)))
				fail_msg("%s: not the bits of the first run", what);
			if (fused && !first) {
				first = malloc((size_t)ny * sizeof(float));
				memcpy(first, y.data, (size_t)ny * sizeof(float));
			}
			guard_free(&scratch);
			kerf_cpu_gemm_free(g);
		}
	}
	free(first);
	free(want);
	guard_free(&a);
	guard_free(&b);
	guard_free(&bias);
	guard_free(&residual);
	guard_free(&y);
}

static void test_gemm(void **state)
{
	static const struct gemm_case cases[] = {
		{1, 1, 1, 0, 0, 1, 0, 0, 1, 0, {0}, {0}, {0}, NONE},
		{1, 1000, 512, 0, 1, 1, 1, 0, 1, 0, {0}, {0}, {0}, NONE},
		{1, 130, 77, 0, 0, 1, 1, 1, 1, 0, {0}, {0}, {0}, RELU},
		{1, 33, 2048, 0, 1, 0, 1, 0, 1, 0, {0}, {0}, {0}, {KERF_ACT_GELU, 0, 0}},
		{7, 65, 300, 0, 1, 1, 1, 2, 0.5f, 0, {0}, {0}, {0}, RELU},
		{40, 31, 1024, 0, 0, 1, 0, 1, 1, 0, {0}, {0}, {0}, NONE},
		{200, 17, 9, 0, 0, 1, 1, 0, 1, 0, {0}, {0}, {0}, RELU6},
		{13, 50, 70, 1, 0, 1, 1, 0, 1, 0, {0}, {0}, {0}, NONE},
		{13, 50, 70, 1, 1, 0, 1, 0, 2, 0, {0}, {0}, {0}, NONE},
		{1, 50, 70, 1, 1, 0, 0, 0, 1, 0, {0}, {0}, {0}, NONE},
		{16, 16, 32, 0, 1, 0, 0, 0, 1, 2, {3, 4}, {0}, {0}, NONE},
		{10, 40, 24, 0, 0, 0, 0, 1, 1, 2, {2, 3}, {0, 1}, {1, 0}, RELU},
		{10, 40, 24, 0, 0, 1, 1, 0, 1, 2, {2, 3}, {0, 0}, {1, 1}, NONE},
		{10, 40, 24, 0, 0, 1, 1, 0, 1, 1, {5}, {0}, {0}, NONE},
		{10, 40, 24, 1, 0, 1, 0, 0, 1, 1, {5}, {0}, {1}, NONE},
		{1, 40, 24, 0, 0, 0, 0, 0, 1, 2, {2, 3}, {0, 0}, {0, 1}, NONE},
	};
	unsigned i;

	for (i = 0; i < KERF_ARRAY_SIZE(cases); i++)
		check_gemm(&cases[i], i);
}

static void test_gemm_random(void **state)
{
	struct kerf_rng rng;
	int round;

	kerf_rng_seed(&rng, 21);
	for (round = 0; round < 60; round++) {
		struct gemm_case t = {
			.m = 1 + (int64_t)kerf_rng_below(&rng, 40),
			.n = 1 + (int64_t)kerf_rng_below(&rng, 140),
			.k = 1 + (int64_t)kerf_rng_below(&rng, 400),
			.trans_a = kerf_rng_below(&rng, 2),
			.trans_b = kerf_rng_below(&rng, 2),
			.constant = kerf_rng_below(&rng, 2),
			.bias = kerf_rng_below(&rng, 2),
			.residual = (int)kerf_rng_below(&rng, 3),
			.alpha = 1,
			.act = acts[kerf_rng_below(&rng, 3)],
		};

		check_gemm(&t, 2000 + (uint64_t)round);
	}
}

static void test_isa(void **state)
{
	const struct kerf_cpu_isa *isa;
	int i;

	for (i = 0; (isa = kerf_cpu_isa_at(i)); i++) {
		assert_ptr_equal(kerf_cpu_isa_find(isa->name), isa);
		assert_true(kerf_cpu_peak_gflops(isa, 1) > 0);
	}
	assert_true(i > 0);
	assert_null(kerf_cpu_isa_find("vax"));
	assert_ptr_equal(kerf_cpu_isa_find("auto"), kerf_cpu_isa_at(0));
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_isa),
		cmocka_unit_test(test_conv),
		cmocka_unit_test(test_conv_acts),
		cmocka_unit_test(test_conv_random),
		cmocka_unit_test(test_conv_tile_is_whole),
		cmocka_unit_test(test_conv_not_numbers),
		cmocka_unit_test(test_conv_refused),
		cmocka_unit_test(test_deconv),
		cmocka_unit_test(test_gemm),
		cmocka_unit_test(test_gemm_random),
	};

	if (argc > 1 && !strcmp(argv[1], "--bench"))
		return bench_networks(argc > 2 ? argv[2] : NULL, argc > 3 ? argv[3] : NULL);
	return cmocka_run_group_tests(tests, setup, teardown);
}
