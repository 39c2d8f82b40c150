/* SPDX-License-Identifier: MIT */
/*
 * Depthwise convolution: every output channel reads one input channel (channel o of
 * the output reads o / multiplier). Vectors run over channels. Taps in the padding are
 * left out, always, so a tile has the bits of the whole.
 */
#ifndef KERF_EXEC_CPU_DEPTHWISE_H
#define KERF_EXEC_CPU_DEPTHWISE_H

#include "exec/cpu_kernels.h"

/* Outputs from .. to of a row see taps kx0 .. kx1 of the kernel's row. */
struct kerf_cpu_stretch {
	int64_t from, to, kx0, kx1;
};

/* Some rows of one image. */
struct kerf_cpu_depthwise_task {
	const struct kerf_cpu_conv_desc *d;
	const struct kerf_cpu_stretch *stretch;
	int64_t n_stretch;
	const float *x;	       /* the image */
	const float *w;	       /* [kh][kw][oc] */
	const float *bias;     /* [oc] or NULL */
	const float *residual; /* as y, or NULL */
	float *y;	       /* the image's output */
	int64_t row0, row1;    /* output rows to make */
	float low, high;
	bool clamp;
};

struct kerf_cpu_depthwise_fns {
	void (*rows)(const struct kerf_cpu_depthwise_task *t);
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

/* Taps begin .. end of k that stay inside [0, in) from position pos on. */
static inline void kerf_cpu_taps_inside(int64_t pos, int64_t in, int64_t k, int64_t dilation,
					int64_t *begin, int64_t *end)
{
	*begin = pos < 0 ? KERF_MIN(kerf_div_up(-pos, dilation), k) : 0;
	*end = pos >= in ? 0 : KERF_MIN(kerf_div_up(in - pos, dilation), k);
	*end = KERF_MAX(*begin, *end);
}

#endif
