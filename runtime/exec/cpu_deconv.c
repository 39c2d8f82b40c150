/* SPDX-License-Identifier: MIT */
/*
 * Transposed convolution. Outputs whose row and column leave the same remainders by the
 * strides see the same taps: each such phase is a plain convolution of stride 1 with a part
 * of the kernel, mirrored, whose outputs stand a stride apart. So an output's chain runs
 * over (iy, ix, ic) of the input ascending, and nothing is added up through memory.
 */
#include <stdlib.h>

#include "exec/cpu_conv.h"

#define MAX_PHASES 64

struct kerf_cpu_deconv {
	int n;
	struct kerf_cpu_conv *phase[MAX_PHASES];
};

/* One phase along one axis. */
struct axis {
	int64_t first, count;	     /* outputs */
	int64_t taps, last_tap, pad; /* last_tap meets the first input row of a window */
};

static struct axis find_phase(int64_t rest, int64_t out, int64_t k, int64_t stride, int64_t pad)
{
	struct axis a = {.first = ((rest - pad) % stride + stride) % stride};

	a.count = a.first < out ? kerf_div_up(out - a.first, stride) : 0;
	a.taps = rest < k ? kerf_div_up(k - rest, stride) : 0;
	a.last_tap = rest + stride * (a.taps - 1);
	a.pad = a.taps - 1 - (a.first + pad - rest) / stride;
	return a;
}

static int add_phase(struct kerf_cpu_deconv *t, const struct kerf_cpu_isa *isa,
		     const struct kerf_cpu_conv_desc *d, const struct axis *y, const struct axis *x,
		     const float *w, const float *bias, struct kerf_pool *pool)
{
	int64_t ocg = d->oc / d->groups, icg = d->c / d->groups, taps = d->kh * d->kw;
	bool empty = !y->taps || !x->taps;
	struct kerf_cpu_conv_desc part = *d;
	const struct kerf_cpu_weights weights = {
		.w = empty ? w : w + y->last_tap * d->kw + x->last_tap,
		.alpha = 1,
		.columns = ocg,
		.taps_y = empty ? 0 : y->taps,
		.taps_x = empty ? 0 : x->taps,
		.n_chan = icg,
		.column = taps,
		.tap_y = -d->stride_h * d->kw,
		.tap_x = -d->stride_w,
		.chan = ocg * taps,
	};
	const struct kerf_cpu_placement out = {
		.at = (y->first * d->ow + x->first) * d->oc,
		.image = d->oh * d->ow * d->oc,
		.row = d->stride_h * d->ow * d->oc,
		.pixel = d->stride_w * d->oc,
	};
	int r;

	part.oh = y->count;
	part.ow = x->count;
	part.kh = empty ? 1 : y->taps;
	part.kw = empty ? 1 : x->taps;
	part.pad_h = y->pad;
	part.pad_w = x->pad;
	part.stride_h = part.stride_w = 1;
	r = kerf_cpu_conv_new(isa, &part, &weights, icg * ocg * taps, bias, &out, pool,
			      &t->phase[t->n]);
	if (!r)
		t->n++;
	return r;
}

int kerf_cpu_deconv_prepare(const struct kerf_cpu_isa *isa, const struct kerf_cpu_conv_desc *d,
			    const float *w, const float *bias, struct kerf_pool *pool,
			    struct kerf_cpu_deconv **deconv)
{
	struct kerf_cpu_deconv *t;
	int64_t ry, rx;
	int r = 0;

	if (!kerf_cpu_conv_makes_sense(d))
		return -EINVAL;
	if (d->dilation_h != 1 || d->dilation_w != 1 || d->stride_h > MAX_PHASES ||
	    d->stride_w > MAX_PHASES || d->stride_h * d->stride_w > MAX_PHASES)
		return -EOPNOTSUPP;
	t = calloc(1, sizeof(*t));
	if (!t)
		return -ENOMEM;
	for (ry = 0; !r && ry < d->stride_h; ry++) {
		struct axis y = find_phase(ry, d->oh, d->kh, d->stride_h, d->pad_h);

		for (rx = 0; !r && rx < d->stride_w; rx++) {
			struct axis x = find_phase(rx, d->ow, d->kw, d->stride_w, d->pad_w);

			if (y.count && x.count)
				r = add_phase(t, isa, d, &y, &x, w, bias, pool);
		}
	}
	if (r) {
		kerf_cpu_deconv_free(t);
		return r;
	}
	*deconv = t;
	return 0;
}

void kerf_cpu_deconv_free(struct kerf_cpu_deconv *t)
{
	int i;

	if (!t)
		return;
	for (i = 0; i < t->n; i++)
		kerf_cpu_conv_free(t->phase[i]);
	free(t);
}

size_t kerf_cpu_deconv_weight_bytes(const struct kerf_cpu_deconv *t)
{
	size_t sum = 0;
	int i;

	for (i = 0; i < t->n; i++)
		sum += kerf_cpu_conv_weight_bytes(t->phase[i]);
	return sum;
}

size_t kerf_cpu_deconv_scratch(const struct kerf_cpu_deconv *t, int threads)
{
	size_t most = 0, n;
	int i;

	for (i = 0; i < t->n; i++) {
		n = kerf_cpu_conv_scratch(t->phase[i], threads);
		most = KERF_MAX(most, n);
	}
	return most;
}

void kerf_cpu_deconv_run(const struct kerf_cpu_deconv *t, struct kerf_pool *pool, const float *x,
			 float *y, void *scratch)
{
	int i;

	for (i = 0; i < t->n; i++)
		kerf_cpu_conv_run(t->phase[i], pool, x, NULL, y, scratch);
}
