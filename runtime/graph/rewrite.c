/* SPDX-License-Identifier: MIT */
#include "graph/rewrite.h"

#include "graph/rewrite_passes.h"

/* Small constants only: large ones are often not needed in their new form after fusing. */
static int fold_small(struct kerf_graph *g, struct kerf_err *err)
{
	return kerf_fold(g, false, err);
}

int kerf_rewrite(struct kerf_graph *g, struct kerf_err *err)
{
	/* Folding what fusing left over lets more be fused; layout leaves views to merge. */
	static int (*const passes[])(struct kerf_graph *, struct kerf_err *) = {
		fold_small,
		kerf_rewrite_quant,
		kerf_rewrite_fuse,
		kerf_rewrite_fold,
		kerf_rewrite_fuse,
		kerf_rewrite_layout,
		kerf_rewrite_fold,
	};
	unsigned i;
	int r = kerf_graph_tidy(g, err);

	for (i = 0; !r && i < KERF_ARRAY_SIZE(passes); i++)
		r = passes[i](g, err);
	return r;
}
