/* SPDX-License-Identifier: MIT */
/* The tile kernels of cpu_tile.h, one function for every number of rows. */
#include "exec/cpu_tile.h"

#include "exec/vec.h"
#include "exec/vec_math.h"

/* Rows so that 2 mr accumulators, two vectors of B and one of A fit the registers. */
#if defined(KERF_ISA_avx512)
#define MR 14
#elif defined(KERF_ISA_avx2)
#define MR 6
#elif defined(KERF_ISA_neon)
#define MR 12
#else
#define MR 4
#endif
#define NR (2 * VL)
#define ROW_PANELS 4
#define LINE (KERF_ALIGN / (int)sizeof(float))
_Static_assert(ROW_PANELS * NR <= KERF_CPU_ROW_FLOATS, "room of a caller's sums");

#define UNROLLED _Pragma("GCC unroll 16")

/* mr and nv are constants in each instance: every loop over them is unrolled. */
VEC void tile_load(int mr, int nv, vf acc[MR][2], const struct kerf_cpu_tile *t, int tail)
{
	const int half = (mr + 1) / 2;
	int i, j;

	UNROLLED for (i = 0; i < mr; i++) {
		const float *c = i < half ? t->c[0] + i * t->ldc : t->c[1] + (i - half) * t->ldc;

		UNROLLED for (j = 0; j < nv; j++)
			acc[i][j] = tail && j == nv - 1 ? vf_load_n(c + j * VL, tail)
							: vf_load(c + j * VL);
	}
}

VEC void tile_store(int mr, int nv, vf acc[MR][2], const struct kerf_cpu_tile *t, int tail)
{
	const int half = (mr + 1) / 2;
	int i, j;

	UNROLLED for (i = 0; i < mr; i++) {
		float *c = i < half ? t->c[0] + i * t->ldc : t->c[1] + (i - half) * t->ldc;

		UNROLLED for (j = 0; j < nv; j++) {
			if (tail && j == nv - 1)
				vf_store_n(c + j * VL, acc[i][j], tail);
			else
				vf_store(c + j * VL, acc[i][j]);
		}
	}
}

VEC void tile_residual(int mr, int nv, vf acc[MR][2], const struct kerf_cpu_tile *t, int tail)
{
	const int half = (mr + 1) / 2;
	int i, j;

	UNROLLED for (i = 0; i < mr; i++) {
		const float *r = i < half ? t->r[0] + i * t->ldr : t->r[1] + (i - half) * t->ldr;

		UNROLLED for (j = 0; j < nv; j++)
			acc[i][j] += tail && j == nv - 1 ? vf_load_n(r + j * VL, tail)
							 : vf_load(r + j * VL);
	}
}

VEC void tile_finish(int mr, int nv, vf acc[MR][2], const struct kerf_cpu_tile *t, int tail)
{
	int i, j;

	if (t->bias) {
		UNROLLED for (j = 0; j < nv; j++) {
			vf bias = vf_load(t->bias + j * VL);

			UNROLLED for (i = 0; i < mr; i++)
				acc[i][j] += bias;
		}
	}
	if (t->r[0]) {
		if (tail)
			tile_residual(mr, nv, acc, t, tail);
		else
			tile_residual(mr, nv, acc, t, 0);
	}
	if (t->clamp) {
		vf low = vf_set1(t->low), high = vf_set1(t->high);

		UNROLLED for (i = 0; i < mr; i++)
			UNROLLED for (j = 0; j < nv; j++)
				acc[i][j] = vf_min(high, vf_max(low, acc[i][j]));
	}
}

VEC void tile(int mr, int nv, const struct kerf_cpu_tile *t)
{
	const int half = (mr + 1) / 2;
	const int tail = t->cols < nv * VL ? t->cols - (nv - 1) * VL : 0;
	const float *b = t->b, *ahead = t->ahead;
	ptrdiff_t lda = t->lda;
	int64_t s, k;
	vf acc[MR][2];
	int i, j;

	if (t->first) {
		UNROLLED for (i = 0; i < mr; i++)
			UNROLLED for (j = 0; j < nv; j++)
				acc[i][j] = vf_zero();
	} else if (tail) {
		tile_load(mr, nv, acc, t, tail);
	} else {
		tile_load(mr, nv, acc, t, 0);
	}
	for (s = 0; s < t->n_seg; s++) {
		const float *a0 = t->a[0] + t->seg[s], *a1 = t->a[1] + t->seg[s];

		for (k = 0; k < t->seg_len; k++) {
			vf w[2];

			__builtin_prefetch(ahead, 0, 2);
			ahead += LINE;
			UNROLLED for (j = 0; j < nv; j++)
				w[j] = vf_load(b + j * VL);
			UNROLLED for (i = 0; i < mr; i++) {
				vf a = vf_set1(i < half ? a0[i * lda] : a1[(i - half) * lda]);

				UNROLLED for (j = 0; j < nv; j++)
					acc[i][j] = vf_fma(a, w[j], acc[i][j]);
			}
			a0++;
			a1++;
			b += NR;
		}
	}
	if (t->last)
		tile_finish(mr, nv, acc, t, tail);
	if (tail)
		tile_store(mr, nv, acc, t, tail);
	else
		tile_store(mr, nv, acc, t, 0);
}

#define INSTANCE(mr)                                                                               \
	static void tile_##mr##_1(const struct kerf_cpu_tile *t) { tile(mr, 1, t); }               \
	static void tile_##mr##_2(const struct kerf_cpu_tile *t) { tile(mr, 2, t); }

INSTANCE(1)
INSTANCE(2)
INSTANCE(3)
INSTANCE(4)
#if MR >= 6
INSTANCE(5)
INSTANCE(6)
#endif
#if MR >= 12
INSTANCE(7)
INSTANCE(8)
INSTANCE(9)
INSTANCE(10)
INSTANCE(11)
INSTANCE(12)
#endif
#if MR >= 14
INSTANCE(13)
INSTANCE(14)
#endif

VEC void row(int panels, const float *a, const float *b, int64_t k, int64_t step, float *acc)
{
	vf sum[ROW_PANELS][2];
	int64_t x;
	int i, j;

	UNROLLED for (i = 0; i < panels; i++)
		UNROLLED for (j = 0; j < 2; j++)
			sum[i][j] = vf_zero();
	for (x = 0; x < k; x++) {
		vf v = vf_set1(a[x]);

		UNROLLED for (i = 0; i < panels; i++)
			UNROLLED for (j = 0; j < 2; j++)
				sum[i][j] = vf_fma(v, vf_load(b + i * step + x * NR + j * VL),
						   sum[i][j]);
	}
	UNROLLED for (i = 0; i < panels; i++)
		UNROLLED for (j = 0; j < 2; j++)
			vf_store(acc + i * NR + j * VL, sum[i][j]);
}

static void rows_1(const float *a, const float *b, int64_t k, int64_t step, int panels, float *acc)
{
	if (panels == ROW_PANELS)
		row(ROW_PANELS, a, b, k, step, acc);
	else
		for (; panels--; b += step, acc += NR)
			row(1, a, b, k, step, acc);
}

static void act_rows(const struct kerf_act *act, float *y, ptrdiff_t ld, int64_t rows,
		     int64_t cols)
{
	int64_t i, j;

	for (i = 0; i < rows; i++, y += ld) {
		for (j = 0; j + VL <= cols; j += VL)
			vf_store(y + j, vf_act(act, vf_load(y + j)));
		if (j < cols)
			vf_store_n(y + j, vf_act(act, vf_load_n(y + j, (int)(cols - j))),
				   (int)(cols - j));
	}
}

#define LIST4(nv) tile_1_##nv, tile_2_##nv, tile_3_##nv, tile_4_##nv
#define LIST6(nv) LIST4(nv), tile_5_##nv, tile_6_##nv
#define LIST12(nv)                                                                                 \
	LIST6(nv), tile_7_##nv, tile_8_##nv, tile_9_##nv, tile_10_##nv, tile_11_##nv, tile_12_##nv
#define LIST14(nv) LIST12(nv), tile_13_##nv, tile_14_##nv
#define LIST(nv) KERF_CAT3(LIST, MR)(nv)
#define KERF_CAT3(a, b) KERF_CAT4(a, b)
#define KERF_CAT4(a, b) a##b

extern const struct kerf_cpu_tile_fns KERF_ISA_NAME(kerf_cpu_tile);

const struct kerf_cpu_tile_fns KERF_ISA_NAME(kerf_cpu_tile) = {
	.mr = MR,
	.nr = NR,
	.lanes = VL,
	.fn = {{LIST(1)}, {LIST(2)}},
	.row_panels = ROW_PANELS,
	.row = rows_1,
	.act = act_rows,
};
