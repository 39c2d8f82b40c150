/* SPDX-License-Identifier: MIT */
#include "graph/rewrite.h"

#include "util/base.h"

int kerf_rewrite(struct kerf_graph *g, struct kerf_err *err)
{
	static int (*const passes[])(struct kerf_graph *, struct kerf_err *) = {
		kerf_rewrite_fold,
		kerf_rewrite_quant,
		kerf_rewrite_fuse,
		kerf_rewrite_layout,
	};
	unsigned i;
	int r;

	for (i = 0; i < KERF_ARRAY_SIZE(passes); i++) {
		r = passes[i](g, err);
		if (!r)
			r = kerf_graph_tidy(g, err);
		if (r)
			return r;
	}
	return 0;
}
