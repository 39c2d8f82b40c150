/* SPDX-License-Identifier: MIT */
/*
 * Products of 8-bit values with exact 32-bit sums, requantised as graph/quant.h says:
 * so the bits are the reference's on every instruction set.
 *
 * A product has rows (pixels' patches, or rows of a matrix), columns (output channels)
 * and k. k is cut into steps of 4 bytes: four 8-bit values where the machine has a dot
 * product of unsigned by signed bytes (`bytes`), else two 16-bit ones with the zero
 * points already taken away. A packed row is `steps` steps; a packed panel of columns
 * is steps x KERF_INT8_COLUMNS(lanes) of them.
 *
 * bytes: a row's values are stored unsigned (signed ones plus 128, and so their zero
 * point), weights signed; sum (x - zero) w = sum x w - zero sum w, and the last is part
 * of the column's bias. That needs weights whose zero point is 0.
 */
#ifndef KERF_EXEC_CPU_INT8_H
#define KERF_EXEC_CPU_INT8_H

#include "util/base.h"

#define KERF_INT8_COLUMNS(lanes) (2 * (lanes))

/* How accumulators become 8-bit outputs. */
struct kerf_requant {
	const int32_t *bias; /* a column; padded to whole panels, as m */
	const float *m;
	int32_t zero, lo, hi;
};

struct kerf_cpu_tile8 {
	int rows; /* most rows of one call */
	bool bytes;
	/*
	 * rows x columns products of one panel (column: its first column): a: packed rows,
	 * a_step bytes apart; b: the panel. n_columns may end within the panel.
	 */
	void (*run)(const uint8_t *a, size_t a_step, int rows, const void *b, int64_t steps,
		    const struct kerf_requant *q, int64_t column, int64_t n_columns, uint8_t *y,
		    int64_t y_step);
};

struct kerf_cpu_window8 {
	int64_t nh, nw, step_h, step_w; /* taps met, bytes of x between them */
	int64_t w_h, w_w;		/* weights between taps */
};

/* Parameters of a and b and of the result. */
struct kerf_binary8 {
	bool a_signed, b_signed;
	int32_t a_zero, b_zero, zero, lo, hi;
	float ma, mb; /* add: a factor each; multiply, rescale: ma */
};

struct kerf_cpu_int8_fns {
	int lanes;
	struct kerf_cpu_tile8 words;
	struct kerf_cpu_tile8 dots; /* run is NULL where the build cannot; the machine may not */
	/* n 8-bit values less zero, as int16 */
	void (*widen)(int16_t *y, const uint8_t *x, int64_t n, int32_t zero, bool is_signed);
	/* One depthwise output pixel: w int32 [tap][c], less their zero points. */
	void (*depthwise)(uint8_t *y, const uint8_t *x, bool is_signed, int32_t x_zero,
			  const int32_t *w, const struct kerf_cpu_window8 *t,
			  const struct kerf_requant *q, int64_t c);

	/* y = quantised (x / scale) */
	void (*quantize)(uint8_t *y, const float *x, int64_t n, float scale, int32_t zero,
			 int32_t lo, int32_t hi);
	void (*dequantize)(float *y, const uint8_t *x, int64_t n, bool is_signed, float scale,
			   int32_t zero);
	/* Two operands; for rescale, b is not looked at. */
	void (*add)(uint8_t *y, const uint8_t *a, const uint8_t *b, int64_t n,
		    const struct kerf_binary8 *p);
	void (*multiply)(uint8_t *y, const uint8_t *a, const uint8_t *b, int64_t n,
			 const struct kerf_binary8 *p);
	void (*rescale)(uint8_t *y, const uint8_t *a, int64_t n, const struct kerf_binary8 *p);
	/* A pool's window of c channels: the sum of x - zero, times m. */
	void (*mean)(uint8_t *y, const uint8_t *x, const struct kerf_cpu_window8 *t, int64_t c,
		     float m, const struct kerf_binary8 *p);
};

#endif
