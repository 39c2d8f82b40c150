/* SPDX-License-Identifier: MIT */
/* POOL_MAX and POOL_AVERAGE. */
#include "npu.h"

#include "exec/cpu_depthwise.h" /* kerf_cpu_taps_inside() */

#include <math.h>
#include <string.h>

#define CHANNELS 8192 /* of one call of a kernel */

struct pixel {
	const uint8_t *x; /* the first tap, or anything if there is none */
	int64_t nh, nw;	  /* taps in x */
	int64_t counted;  /* what an average divides by */
};

static void clamp8(const struct kerf_npu_pool *c, uint8_t *y, int64_t n)
{
	int32_t lo = (int32_t)c->out.lo, hi = (int32_t)c->out.hi;
	bool is_signed = c->y.dtype == KERF_NPU_I8;
	int64_t i;

	for (i = 0; i < n; i++) {
		int32_t v = is_signed ? (int8_t)y[i] : y[i];

		y[i] = (uint8_t)KERF_MIN(KERF_MAX(v, lo), hi);
	}
}

static void max8(const struct npu_job *job, const struct kerf_npu_pool *c, const struct pixel *p,
		 const struct kerf_cpu_taps *taps, uint8_t *y, int64_t n)
{
	const struct kerf_cpu_pool_fns *f = job->m->isa.pool;

	if (!taps->nh)
		memset(y, c->x.dtype == KERF_NPU_I8 ? 0x80 : 0, (size_t)n);
	else if (c->x.dtype == KERF_NPU_I8)
		f->max_i8((int8_t *)y, (const int8_t *)p->x, taps, n);
	else
		f->max_u8(y, p->x, taps, n);
	clamp8(c, y, n);
}

static void average8(const struct npu_job *job, const struct kerf_npu_pool *c,
		     const struct pixel *p, const struct kerf_cpu_taps *taps, uint8_t *y, int64_t n)
{
	struct kerf_cpu_window8 t = {taps->nh, taps->nw, taps->step_h, taps->step_w, 0, 0};
	struct kerf_binary8 b = {
		.a_signed = c->x.dtype == KERF_NPU_I8,
		.a_zero = (int32_t)c->x.zero,
		.zero = (int32_t)c->y.zero,
		.lo = (int32_t)c->out.lo,
		.hi = (int32_t)c->out.hi,
	};

	job->m->isa.int8->mean(y, p->x, &t, n,
			       npu_float(c->factor) / (float)KERF_MAX(p->counted, 1), &b);
}

static void pool_f32(const struct npu_job *job, const struct kerf_npu_pool *c,
		     const struct pixel *p, const struct kerf_cpu_taps *taps, float *y, int64_t n)
{
	const struct kerf_cpu_pool_fns *f = job->m->isa.pool;
	bool average = c->cmd.opcode == KERF_NPU_POOL_AVERAGE;
	struct kerf_act act = npu_act(&c->out);
	int64_t i;

	if (!taps->nh)
		for (i = 0; i < n; i++)
			y[i] = average ? 0 : -INFINITY;
	else if (average)
		f->mean_f32(y, (const float *)p->x, taps, n, (float)p->counted);
	else
		f->max_f32(y, (const float *)p->x, taps, n);
	if (act.kind)
		job->m->isa.map->act(&act, y, n);
}

/* One output pixel, some channels at a time. */
static bool pool_pixel(const struct npu_job *job, const struct kerf_npu_pool *c,
		       const struct pixel *p, uint8_t *y)
{
	int64_t size = npu_dtype_size(c->x.dtype), i, n;
	struct kerf_cpu_taps taps = {
		.nh = p->nh && p->nw ? p->nh : 0,
		.nw = p->nw,
		.step_h = (int64_t)c->dilation_h * c->x.w * c->x.c,
		.step_w = (int64_t)c->dilation_w * c->x.c,
	};
	struct pixel part = *p;

	for (i = 0; i < c->x.c; i += n, part.x += n * size, y += n * size) {
		if (!npu_go_on(job))
			return false;
		n = KERF_MIN((int64_t)c->x.c - i, CHANNELS);
		if (size == 4)
			pool_f32(job, c, &part, &taps, (float *)y, n);
		else if (c->cmd.opcode == KERF_NPU_POOL_AVERAGE)
			average8(job, c, &part, &taps, y, n);
		else
			max8(job, c, &part, &taps, y, n);
	}
	return true;
}

/* Taps of an axis before `end` (the image's, or its padding's). */
static int64_t taps_before(int64_t start, int64_t end, int64_t kernel, int64_t dilation)
{
	return end <= start ? 0 : KERF_MIN(kerf_div_up(end - start, dilation), kernel);
}

uint32_t npu_run_pool(struct npu_job *job, struct npu_task *t)
{
	const struct kerf_npu_pool *c = &t->c.pool;
	bool count_pad = c->cmd.flags & KERF_NPU_POOL_COUNT_PAD;
	int64_t size = npu_dtype_size(c->x.dtype), n, oy, ox, h0, h1, w0, w1, counted_h;
	uint8_t *y = t->op[1].data;
	struct pixel p;

	for (n = 0; n < c->y.n; n++)
		for (oy = 0; oy < c->y.h; oy++) {
			int64_t y0 = oy * c->stride_h - (int32_t)c->pad_top;

			kerf_cpu_taps_inside(y0, c->x.h, c->kernel_h, c->dilation_h, &h0, &h1);
			counted_h = taps_before(y0, (int64_t)c->x.h + (int32_t)c->pad_bottom,
						c->kernel_h, c->dilation_h);
			for (ox = 0; ox < c->y.w; ox++, y += c->y.c * size) {
				int64_t x0 = ox * c->stride_w - (int32_t)c->pad_left;

				kerf_cpu_taps_inside(x0, c->x.w, c->kernel_w, c->dilation_w, &w0,
						     &w1);
				p = (struct pixel){t->op[0].data, h1 - h0, w1 - w0, 0};
				if (p.nh && p.nw)
					p.x += ((n * c->x.h + y0 + h0 * c->dilation_h) * c->x.w +
						x0 + w0 * c->dilation_w) *
					       c->x.c * size;
				p.counted = p.nh * p.nw;
				if (count_pad)
					p.counted = counted_h *
						    taps_before(x0,
								(int64_t)c->x.w +
									(int32_t)c->pad_right,
								c->kernel_w, c->dilation_w);
				if (!pool_pixel(job, c, &p, y))
					return KERF_NPU_FAULT_ABORTED;
			}
		}
	return 0;
}
