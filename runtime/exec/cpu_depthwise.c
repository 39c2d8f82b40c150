/* SPDX-License-Identifier: MIT */
#include "exec/cpu_depthwise.h"

#include <stdlib.h>
#include <string.h>

#include "exec/cpu_tile.h"

struct kerf_cpu_depthwise {
	const struct kerf_cpu_isa *isa;
	struct kerf_cpu_conv_desc d;
	float *w;    /* [kh * kw][oc], then oc of bias */
	float *bias; /* in the same block, or NULL */
	size_t bytes;
};

int kerf_cpu_depthwise_prepare(const struct kerf_cpu_isa *isa,
			       const struct kerf_cpu_conv_desc *d, const float *w,
			       const float *bias, const float *scale,
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
	if (!dw->w) {
		free(dw);
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
};

/* Taps begin .. end of k that stay inside [0, in) from position pos on. */
static void inside(int64_t pos, int64_t in, int64_t k, int64_t dilation, int64_t *begin,
		   int64_t *end)
{
	*begin = pos < 0 ? KERF_MIN(kerf_div_up(-pos, dilation), k) : 0;
	*end = pos >= in ? 0 : KERF_MIN(kerf_div_up(in - pos, dilation), k);
	*end = KERF_MAX(*begin, *end);
}

static void run_row(void *arg, int64_t item, int thread)
{
	const struct run *r = arg;
	const struct kerf_cpu_depthwise *dw = r->dw;
	const struct kerf_cpu_conv_desc *d = &dw->d;
	int64_t image = item / d->oh, oy = item % d->oh, iy = oy * d->stride_h - d->pad_h;
	int64_t ky0, ky1, kx0, kx1;
	struct kerf_cpu_depthwise_row row = {
		.x_tap_row = d->dilation_h * d->w * d->c,
		.x_tap = d->dilation_w * d->c,
		.x_pixel = d->stride_w * d->c,
		.kw = d->kw,
		.bias = dw->bias,
		.residual = r->residual ? r->residual + item * d->ow * d->oc : NULL,
		.y = r->y + item * d->ow * d->oc,
		.oc = d->oc,
		.multiplier = d->oc / d->c,
	};
	bool act = !kerf_cpu_act_is_clamp(&d->act, &row.low, &row.high);

	row.clamp = !act && d->act.kind != KERF_ACT_NONE;
	inside(iy, d->h, d->kh, d->dilation_h, &ky0, &ky1);
	row.taps_h = ky1 - ky0;
	row.w = dw->w + ky0 * d->kw * d->oc;
	row.x = r->x + ((image * d->h + iy + ky0 * d->dilation_h) * d->w - d->pad_w) * d->c;
	/* Stretches of outputs that see the same taps: some borders, and the middle. */
	for (row.from = 0; row.from < d->ow; row.from = row.to) {
		inside(row.from * d->stride_w - d->pad_w, d->w, d->kw, d->dilation_w, &row.kx0,
		       &row.kx1);
		for (row.to = row.from + 1; row.to < d->ow; row.to++) {
			inside(row.to * d->stride_w - d->pad_w, d->w, d->kw, d->dilation_w, &kx0,
			       &kx1);
			if (kx0 != row.kx0 || kx1 != row.kx1)
				break;
		}
		dw->isa->depthwise->row(&row);
	}
	if (act)
		dw->isa->tile->act(&d->act, row.y, 0, 1, d->ow * d->oc);
}

void kerf_cpu_depthwise_run(const struct kerf_cpu_depthwise *dw, struct kerf_pool *pool,
			    const float *x, const float *residual, float *y)
{
	struct run r = {.dw = dw, .x = x, .residual = residual, .y = y};

	kerf_pool_run(pool, run_row, &r, dw->d.n * dw->d.oh);
}
