/* SPDX-License-Identifier: MIT */
/*
 * The inner product of isa_int8.c, written once for each way to multiply a step of 4
 * bytes: TILE(name) names the functions, DOT(acc, a, b) is the step, TILE_TARGET the
 * functions' target, TILE_ROWS the most rows.
 */

/*
 * rows is a constant where this is inlined; unrolled, the accumulators are registers.
 */
TILE_TARGET static inline __attribute__((always_inline)) void
TILE(rows)(const uint8_t *a, size_t a_step, const int rows, const vi_any *b, int64_t steps,
	   const struct kerf_requant *q, int64_t column, int64_t n_columns, uint8_t *y,
	   int64_t y_step)
{
	const struct vb_bounds bounds = vb_bounds(q->zero, q->lo, q->hi);
	vi acc[TILE_ROWS][2];
	int64_t s;
	int r, h;

#pragma GCC unroll 12
	for (r = 0; r < rows; r++)
#pragma GCC unroll 12
		for (h = 0; h < 2; h++)
			acc[r][h] = vi_load(q->bias + column + h * VL);
	for (s = 0; s < steps; s++) {
		vi b0 = b[2 * s], b1 = b[2 * s + 1];

#pragma GCC unroll 12
		for (r = 0; r < rows; r++) {
			int32_t word;
			vi x;

			memcpy(&word, a + (size_t)r * a_step + 4 * s, 4);
			x = vi_set1(word);
			acc[r][0] = DOT(acc[r][0], x, b0);
			acc[r][1] = DOT(acc[r][1], x, b1);
		}
	}
#pragma GCC unroll 12
	for (h = 0; h < 2; h++) {
		int64_t left = n_columns - column - h * VL;
		vf m;

		if (left <= 0)
			break;
		m = vf_load(q->m + column + h * VL);
#pragma GCC unroll 12
		for (r = 0; r < rows; r++) {
			vi v = vb_round(vi_to_vf(acc[r][h]) * m, &bounds);

			vb_store_n(y + r * y_step + column + h * VL, v, left < VL ? (int)left : VL);
		}
	}
}

TILE_TARGET static void TILE(run)(const uint8_t *a, size_t a_step, int rows, const void *b,
				  int64_t steps, const struct kerf_requant *q, int64_t column,
				  int64_t n_columns, uint8_t *y, int64_t y_step)
{
	while (rows) {
		int n = rows >= TILE_ROWS ? TILE_ROWS : rows >= 4 ? 4 : 1;

		if (n == TILE_ROWS)
			TILE(rows)(a, a_step, TILE_ROWS, b, steps, q, column, n_columns, y, y_step);
		else if (n == 4)
			TILE(rows)(a, a_step, 4, b, steps, q, column, n_columns, y, y_step);
		else
			TILE(rows)(a, a_step, 1, b, steps, q, column, n_columns, y, y_step);
		a += (size_t)n * a_step;
		y += n * y_step;
		rows -= n;
	}
}
