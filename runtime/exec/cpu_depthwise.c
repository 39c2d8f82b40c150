/* SPDX-License-Identifier: MIT */
#include "exec/cpu_depthwise.h"

#include <stdlib.h>
#include <string.h>

#include "exec/cpu_tile.h"

#define CHUNK_BYTES (256 << 10) /* of input a task reads: a part of a second-level cache */

struct kerf_cpu_depthwise {
	const struct kerf_cpu_isa *isa;
	struct kerf_cpu_conv_desc d;
	float *w;    /* [kh * kw][oc], then oc of bias */
	float *bias; /* in the same block, or NULL */
	struct kerf_cpu_stretch *stretch;
	int64_t n_stretch;
	size_t bytes;
};

/* The two borders and the middle, as a rule; more if the kernel is wide or dilated. */
static int find_stretches(struct kerf_cpu_depthwise *dw)
{
	const struct kerf_cpu_conv_desc *d = &dw->d;
	struct kerf_cpu_stretch *s = calloc((size_t)d->ow, sizeof(*s)), *last = NULL, *fit;
	int64_t x, kx0, kx1;

	if (!s)
		return -ENOMEM;
	for (x = 0; x < d->ow; x++) {
		kerf_cpu_taps_inside(x * d->stride_w - d->pad_w, d->w, d->kw, d->dilation_w, &kx0,
				     &kx1);
		if (last && last->kx0 == kx0 && last->kx1 == kx1) {
			last->to = x + 1;
			continue;
		}
		last = &s[dw->n_stretch++];
		*last = (struct kerf_cpu_stretch){.from = x, .to = x + 1, .kx0 = kx0, .kx1 = kx1};
	}
	fit = realloc(s, (size_t)dw->n_stretch * sizeof(*s));
	dw->stretch = fit ? fit : s;
	return 0;
}

int kerf_cpu_depthwise_prepare(const struct kerf_cpu_isa *isa, const struct kerf_cpu_conv_desc *d,
			       const float *w, const float *bias, const float *scale,
			       struct kerf_cpu_depthwise **out)
{
	int64_t taps = d->kh * d->kw, n, o, t;
	struct kerf_cpu_depthwise *dw;

	if (!kerf_mul(taps + 1, d->oc, &n) || n > KERF_MAX_TENSOR_BYTES)
		return -EINVAL;
	dw = calloc(1, sizeof(*dw));
	if (!dw)
		return -ENOMEM;
	dw->isa = isa;
	dw->d = *d;
	dw->bytes = kerf_align((size_t)n * sizeof(float));
	dw->w = aligned_alloc(KERF_ALIGN, dw->bytes);
	if (!dw->w || find_stretches(dw)) {
		kerf_cpu_depthwise_free(dw);
		return -ENOMEM;
	}
	for (o = 0; o < d->oc; o++)
		for (t = 0; t < taps; t++)
			dw->w[t * d->oc + o] = w[o * taps + t] * (scale ? scale[o] : 1);
	if (bias) {
		dw->bias = dw->w + taps * d->oc;
		memcpy(dw->bias, bias, (size_t)d->oc * sizeof(float));
	}
	*out = dw;
	return 0;
}

void kerf_cpu_depthwise_free(struct kerf_cpu_depthwise *dw)
{
	if (!dw)
		return;
	free(dw->w);
	free(dw->stretch);
	free(dw);
}

size_t kerf_cpu_depthwise_weight_bytes(const struct kerf_cpu_depthwise *dw)
{
	return dw->bytes;
}

struct run {
	const struct kerf_cpu_depthwise *dw;
	const float *x, *residual;
	float *y;
	int64_t step, chunks;
};

static void run_rows(void *arg, int64_t item, int thread)
{
	const struct run *r = arg;
	const struct kerf_cpu_depthwise *dw = r->dw;
	const struct kerf_cpu_conv_desc *d = &dw->d;
	int64_t image = item / r->chunks, out = image * d->oh * d->ow * d->oc;
	struct kerf_cpu_depthwise_task t = {
		.d = d,
		.stretch = dw->stretch,
		.n_stretch = dw->n_stretch,
		.x = r->x + image * d->h * d->w * d->c,
		.w = dw->w,
		.bias = dw->bias,
		.residual = r->residual ? r->residual + out : NULL,
		.y = r->y + out,
		.row0 = item % r->chunks * r->step,
	};
	bool act = !kerf_cpu_act_is_clamp(&d->act, &t.low, &t.high);

	t.row1 = KERF_MIN(t.row0 + r->step, d->oh);
	t.clamp = !act && d->act.kind != KERF_ACT_NONE;
	dw->isa->depthwise->rows(&t);
	if (act)
		dw->isa->tile->act(&d->act, t.y + t.row0 * d->ow * d->oc, 0, 1,
				   (t.row1 - t.row0) * d->ow * d->oc);
}

void kerf_cpu_depthwise_run(const struct kerf_cpu_depthwise *dw, struct kerf_pool *pool,
			    const float *x, const float *residual, float *y)
{
	const struct kerf_cpu_conv_desc *d = &dw->d;
	struct run r = {.dw = dw, .x = x, .residual = residual, .y = y};
	int64_t row_bytes = d->stride_h * d->w * d->c * (int64_t)sizeof(float);
	int threads = kerf_pool_threads(pool);

	r.step = KERF_MIN(KERF_MAX(CHUNK_BYTES / row_bytes, 4), d->oh);
	if (threads > 1)
		r.step = KERF_MIN(r.step, kerf_div_up(d->n * d->oh, 4 * threads));
	r.chunks = kerf_div_up(d->oh, r.step);
	kerf_pool_run(pool, run_rows, &r, d->n * r.chunks);
}
