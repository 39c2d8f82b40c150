/* SPDX-License-Identifier: MIT */
/*
 * Depthwise convolution: every output channel reads one input channel (channel o of
 * the output reads o / multiplier). Vectors run over channels. Taps in the padding are
 * left out, always, so a tile has the bits of the whole.
 */
#ifndef KERF_EXEC_CPU_DEPTHWISE_H
#define KERF_EXEC_CPU_DEPTHWISE_H

#include "exec/cpu_kernels.h"

/* One output row. Steps in floats. */
struct kerf_cpu_depthwise_row {
	const float *x;	 /* of the first tap row; column of output 0's first tap, channel 0 */
	int64_t x_tap_row, x_tap, x_pixel; /* next tap row, tap in a row, output */
	const float *w;	 /* [taps_h][kw][oc], from the first tap row that exists on */
	int64_t taps_h, kw;
	const float *bias; /* [oc] or NULL */
	const float *residual; /* or NULL */
	float *y;
	int64_t oc, multiplier;
	int64_t from, to; /* outputs of the row that see kx0 .. kx1 of the taps */
	int64_t kx0, kx1;
	float low, high;
	bool clamp;
};

struct kerf_cpu_depthwise_fns {
	void (*row)(const struct kerf_cpu_depthwise_row *r);
};

struct kerf_cpu_depthwise;

/* As kerf_cpu_conv_*, for a convolution with one input channel a group. No scratch. */
int kerf_cpu_depthwise_prepare(const struct kerf_cpu_isa *isa,
			       const struct kerf_cpu_conv_desc *desc, const float *w,
			       const float *bias, const float *scale,
			       struct kerf_cpu_depthwise **dw);
void kerf_cpu_depthwise_free(struct kerf_cpu_depthwise *dw);
size_t kerf_cpu_depthwise_weight_bytes(const struct kerf_cpu_depthwise *dw);
void kerf_cpu_depthwise_run(const struct kerf_cpu_depthwise *dw, struct kerf_pool *pool,
			    const float *x, const float *residual, float *y);

#endif
