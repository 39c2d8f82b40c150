/* SPDX-License-Identifier: MIT */
/* What a transposed convolution needs of the plain one. */
#ifndef KERF_EXEC_CPU_CONV_H
#define KERF_EXEC_CPU_CONV_H

#include "exec/cpu_pack.h"

/* Where output pixels (and those of the residual) go. Steps in floats. */
struct kerf_cpu_placement {
	int64_t at, image, row, pixel;
};

/*
 * A convolution of any weights order, w_group floats from group to group, and placement.
 * No taps (taps_y or taps_x 0; kh = kw = 1 then) leave bias, residual and activation.
 * desc makes sense.
 */
int kerf_cpu_conv_new(const struct kerf_cpu_isa *isa, const struct kerf_cpu_conv_desc *desc,
		      const struct kerf_cpu_weights *weights, int64_t w_group, const float *bias,
		      const struct kerf_cpu_placement *out, struct kerf_pool *pool,
		      struct kerf_cpu_conv **conv);

bool kerf_cpu_conv_makes_sense(const struct kerf_cpu_conv_desc *d);

#endif
