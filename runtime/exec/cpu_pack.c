/* SPDX-License-Identifier: MIT */
#include "exec/cpu_pack.h"

#include <stdlib.h>
#include <string.h>

/* Inner length of a block: 2 lanes x this fill most of a first-level cache with B. */
#define BLOCK_K 256

int64_t kerf_cpu_panel_bytes(const struct kerf_cpu_isa *isa, int64_t columns, int64_t k)
{
	int64_t n, nr = isa->tile->nr;

	if (!kerf_mul(kerf_div_up(columns, nr) * nr, k, &n) || !kerf_mul(n, sizeof(float), &n) ||
	    n > KERF_MAX_TENSOR_BYTES)
		return -1;
	return (int64_t)kerf_align((size_t)n);
}

void kerf_cpu_pack_panel(const struct kerf_cpu_weights *src, int64_t p, int nr, float *dst)
{
	/* Short stretches of all columns, so that written lines are still near when completed. */
	const int64_t taps = src->taps_y * src->taps_x, stretch = KERF_MAX(1, 64 / taps);
	int64_t n0 = p * nr, n = KERF_MIN(nr, src->columns - n0), i0, i1, i, j, y, x;

	if (n < nr)
		memset(dst, 0, (size_t)(taps * src->n_chan * nr) * sizeof(float));
	for (i0 = 0; i0 < src->n_chan; i0 = i1) {
		i1 = KERF_MIN(i0 + stretch, src->n_chan);
		for (j = 0; j < n; j++) {
			const kerf_any_float *w = src->w + (n0 + j) * src->column;
			float s = (src->scale ? src->scale[n0 + j] : 1) * src->alpha;

			for (i = i0; i < i1; i++)
				for (y = 0; y < src->taps_y; y++)
					for (x = 0; x < src->taps_x; x++)
						dst[((y * src->taps_x + x) * src->n_chan + i) * nr +
						    j] = w[y * src->tap_y + x * src->tap_x +
							   i * src->chan] *
							 s;
		}
	}
}

/* Adjacent columns and a single tap: a row at a time is a straight copy. */
static bool packs_rows(const struct kerf_cpu_weights *s)
{
	return s->column == 1 && s->taps_y * s->taps_x == 1 && !s->scale;
}

void kerf_cpu_pack_rows(const struct kerf_cpu_weights *src, int64_t k0, int64_t k1, int nr,
			float *dst)
{
	int64_t panels = kerf_div_up(src->columns, nr), k, p, j;

	for (k = k0; k < k1; k++) {
		for (p = 0; p < panels; p++) {
			const kerf_any_float *w = src->w + k * src->chan + p * nr;
			float *to = dst + (p * src->n_chan + k) * nr;
			int64_t n = KERF_MIN(nr, src->columns - p * nr);

			for (j = 0; j < n; j++)
				to[j] = w[j] * src->alpha;
			for (; j < nr; j++)
				to[j] = 0;
		}
	}
}

struct pack {
	const struct kerf_cpu_weights *src;
	int nr;
	float *dst;
	int64_t first; /* item */
};

#define PACK_ROWS 64
/* Source bytes packed between two drops. */
#define DROP_BYTES (8 << 20)

static void pack_item(void *arg, int64_t item, int thread)
{
	const struct pack *p = arg;
	const struct kerf_cpu_weights *s = p->src;

	item += p->first;
	if (packs_rows(s))
		kerf_cpu_pack_rows(s, item * PACK_ROWS, KERF_MIN((item + 1) * PACK_ROWS, s->n_chan),
				   p->nr, p->dst);
	else
		kerf_cpu_pack_panel(s, item, p->nr,
				    p->dst + item * p->nr * s->taps_y * s->taps_x * s->n_chan);
}

void kerf_cpu_pack(const struct kerf_cpu_weights *src, int nr, float *dst, struct kerf_pool *pool)
{
	struct pack p = {.src = src, .nr = nr, .dst = dst};
	bool by_rows = packs_rows(src);
	int64_t items =
		by_rows ? kerf_div_up(src->n_chan, PACK_ROWS) : kerf_div_up(src->columns, nr);
	int64_t stride = by_rows ? src->chan * PACK_ROWS : src->column * nr; /* floats an item */
	int64_t group = items, n;

	if (src->drop)
		group = KERF_MAX(1, DROP_BYTES / (KERF_MAX(stride, 1) * (int64_t)sizeof(float)));
	for (; p.first < items; p.first += n) {
		n = KERF_MIN(group, items - p.first);
		kerf_pool_run(pool, pack_item, &p, n);
		/* The last item may be a part of one: leave its end to the caller. */
		if (src->drop && p.first + n < items)
			src->drop(src->drop_arg, src->w + p.first * stride,
				  (size_t)(n * stride) * sizeof(float));
	}
}

int kerf_cpu_blocks_new(const int64_t *seg, int64_t n_seg, int64_t seg_len,
			struct kerf_cpu_block **out)
{
	/* Pieces a run is cut into, or runs in a block: one of the two is 1. */
	int64_t cut = kerf_div_up(seg_len, BLOCK_K + BLOCK_K / 2);
	int64_t join = cut > 1 ? 1 : KERF_MAX(1, BLOCK_K / KERF_MAX(seg_len, 1));
	int64_t n = cut > 1 ? n_seg * cut : kerf_div_up(n_seg, join), i, s, c;
	struct kerf_cpu_block *block;
	int64_t *runs;

	if (n > INT32_MAX / 64)
		return -ENOMEM;
	block = malloc((size_t)n * sizeof(*block) + (size_t)(n_seg * cut) * sizeof(*runs));
	if (!block)
		return -ENOMEM;
	runs = (int64_t *)(block + n);
	if (cut == 1) {
		memcpy(runs, seg, (size_t)n_seg * sizeof(*runs));
		for (i = 0; i < n; i++)
			block[i] = (struct kerf_cpu_block){
				.seg = runs + i * join,
				.n_seg = KERF_MIN(join, n_seg - i * join),
				.seg_len = seg_len,
				.k0 = i * join * seg_len,
			};
	} else {
		for (i = s = 0; s < n_seg; s++) {
			for (c = 0; c < cut; c++, i++) {
				int64_t from = seg_len * c / cut, to = seg_len * (c + 1) / cut;

				runs[i] = seg[s] + from;
				block[i] = (struct kerf_cpu_block){
					.seg = runs + i,
					.n_seg = 1,
					.seg_len = to - from,
					.k0 = s * seg_len + from,
				};
			}
		}
	}
	*out = block;
	return (int)n;
}

/* One tile: mr pixels from (row, pixel) on; with two rows, mr / 2 of each. */
static void one_tile(const struct kerf_cpu_walk *w, struct kerf_cpu_tile *t, kerf_cpu_tile_fn fn,
		     int64_t row, int64_t pixel, int mr, bool two_rows, int64_t n0, bool act)
{
	const int line = KERF_ALIGN / (int)sizeof(float);
	int half = (mr + 1) / 2, h;

	for (h = 0; h < 2; h++) {
		int64_t r = row + (two_rows ? h : 0), x = pixel + (two_rows ? 0 : h * half);

		t->a[h] = w->a + r * w->a_row + x * w->a_pixel;
		t->c[h] = w->y + r * w->y_row + x * w->y_pixel + n0;
		if (w->residual)
			t->r[h] = w->residual + r * w->r_row + x * w->r_pixel + n0;
	}
	fn(t);
	/* The tiles of a block share out the next block; those left over re-read their own. */
	t->ahead += t->n_seg * t->seg_len * line;
	if (t->ahead >= t->b + 2 * t->n_seg * t->seg_len * w->isa->tile->nr)
		t->ahead = t->b;
	if (act) {
		w->isa->tile->act(w->act, t->c[0], t->ldc, half, t->cols);
		w->isa->tile->act(w->act, t->c[1], t->ldc, mr - half, t->cols);
	}
}

static void one_block(const struct kerf_cpu_walk *w, struct kerf_cpu_tile *t, int64_t n0, bool act)
{
	const struct kerf_cpu_tile_fns *fns = w->isa->tile;
	const kerf_cpu_tile_fn *fn = fns->fn[t->cols > fns->lanes];
	int64_t row, x, left;
	int mr;

	for (row = 0; row < w->rows; row++) {
		if (2 * w->pixels <= fns->mr && row + 1 < w->rows) {
			mr = (int)(2 * w->pixels);
			one_tile(w, t, fn[mr - 1], row, 0, mr, true, n0, act);
			row++;
			continue;
		}
		for (x = 0; x < w->pixels; x += mr) {
			/* Even sizes rather than a full one and a scrap. */
			left = w->pixels - x;
			mr = (int)kerf_div_up(left, kerf_div_up(left, fns->mr));
			one_tile(w, t, fn[mr - 1], row, x, mr, false, n0, act);
		}
	}
}

void kerf_cpu_walk(const struct kerf_cpu_walk *w, int64_t p0, int64_t p1)
{
	int nr = w->isa->tile->nr, i;
	struct kerf_cpu_tile t = {.lda = w->a_pixel, .ldc = w->y_pixel, .ldr = w->r_pixel};
	bool act = !kerf_cpu_act_is_clamp(w->act, &t.low, &t.high);
	int64_t p;

	t.clamp = !act && w->act->kind != KERF_ACT_NONE;
	for (p = p0; p < p1; p++) {
		t.cols = (int)KERF_MIN(nr, w->columns - p * nr);
		t.bias = w->bias ? w->bias + p * nr : NULL;
		for (i = 0; i < w->n_block; i++) {
			const struct kerf_cpu_block *block = &w->block[i];

			t.first = i == 0;
			t.last = i == w->n_block - 1;
			t.seg = block->seg;
			t.n_seg = block->n_seg;
			t.seg_len = block->seg_len;
			t.b = w->b + (p * w->k + block->k0) * nr;
			t.ahead = t.b + block->n_seg * block->seg_len * nr;
			one_block(w, &t, p * nr, act && t.last);
		}
	}
}
