/* SPDX-License-Identifier: MIT */
/*
 * Codecs of float32 (enum kerf_codec): how elements travel. The same bits on every machine.
 *
 *   none  as they are.
 *   f16   IEEE half, round to nearest even; what is too large becomes an infinity.
 *   int8  affine over one message piece: head {float32 scale, uint32 zero}, then a byte an
 *         element; x is (byte - zero) * scale. The range holds 0, which stays exact. Infinities
 *         travel as the end of the range, NaN as 0.
 *
 * Elements come in runs, so that a piece with holes in memory is one piece on the wire.
 */
#ifndef KERF_EXEC_CODEC_H
#define KERF_EXEC_CODEC_H

#include "plan/plan.h"

/* Elements of a tensor: batches of positions of run elements each. Strides in elements. */
struct kerf_runs {
	size_t element; /* bytes */
	size_t n_batch, n_position, run;
	size_t offset, position_stride, batch_stride;
};

static inline size_t kerf_runs_count(const struct kerf_runs *r)
{
	return r->n_batch * r->n_position * r->run;
}

/* Bytes on the wire. element must be 4, and the elements float32, for others than none. */
size_t kerf_codec_bytes(enum kerf_codec codec, const struct kerf_runs *r);

/* data is aligned to 4 for others than none; wire need not be. */
void kerf_codec_encode(enum kerf_codec codec, const struct kerf_runs *r, const void *data,
		       void *wire);
/* -EINVAL for a head that no encoder makes; then nothing was written. */
int kerf_codec_decode(enum kerf_codec codec, const struct kerf_runs *r, void *data,
		      const void *wire);

/* The same elements (counts alike) from one memory to another. */
void kerf_runs_copy(const struct kerf_runs *from, const void *src, const struct kerf_runs *to,
		    void *dst);

#endif
