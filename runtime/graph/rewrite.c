/* SPDX-License-Identifier: MIT */
#include "graph/rewrite.h"

#include "graph/rewrite_passes.h"

#include <stdlib.h>

/* --- constants that nothing reads any more ------------------------------------ */

static int by_address(const void *a, const void *b)
{
	uintptr_t x = *(const uintptr_t *)a, y = *(const uintptr_t *)b;

	return x < y ? -1 : x > y;
}

/* The last of n ascending addresses that is not above p; n if all are. */
static uint32_t block_of(const uintptr_t *block, uint32_t n, uintptr_t p)
{
	uint32_t low = 0, high = n;

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;

		if (block[mid] <= p)
			low = mid + 1;
		else
			high = mid;
	}
	return low ? low - 1 : n;
}

/*
 * Frees the tensors that folding made on the way: a block stays if a constant's data
 * may lie in it. Mapped constants keep at most the block before them.
 */
static int release_unread(struct kerf_graph *g)
{
	uint32_t n = g->n_heap, i, k, kept = 0;
	uintptr_t *block = malloc(((size_t)n + 1) * sizeof(*block));
	bool *used = calloc((size_t)n + 1, 1);

	if (!block || !used) {
		free(block);
		free(used);
		return -ENOMEM;
	}
	for (i = 0; i < n; i++)
		block[i] = (uintptr_t)g->heap[i];
	qsort(block, n, sizeof(*block), by_address);
	for (i = 0; i < g->n_value; i++)
		if (g->value[i].t.data)
			used[block_of(block, n, (uintptr_t)g->value[i].t.data)] = true;
	for (i = 0; i < n; i++) {
		k = block_of(block, n, (uintptr_t)g->heap[i]);
		if (used[k])
			g->heap[kept++] = g->heap[i];
		else
			free(g->heap[i]);
	}
	g->n_heap = kept;
	free(block);
	free(used);
	return 0;
}

/* Small constants only: large ones are often not needed in their new form after fusing. */
static int fold_small(struct kerf_graph *g, struct kerf_err *err)
{
	return kerf_fold(g, false, err);
}

int kerf_rewrite(struct kerf_graph *g, struct kerf_err *err)
{
	/* Folding what fusing left over lets more be fused; layout leaves views to merge. */
	static int (*const passes[])(struct kerf_graph *, struct kerf_err *) = {
		fold_small,        kerf_rewrite_quant,  kerf_rewrite_fuse, kerf_rewrite_fold,
		kerf_rewrite_fuse, kerf_rewrite_layout, kerf_rewrite_fold,
	};
	unsigned i;
	int r = kerf_graph_tidy(g, err);

	for (i = 0; !r && i < KERF_ARRAY_SIZE(passes); i++)
		r = passes[i](g, err);
	return r ? r : release_unread(g);
}
