/* SPDX-License-Identifier: MIT */
#include "exec/cpu_op.h"

#include <string.h>

const kerf_cpu_family kerf_cpu_families[] = {
	kerf_cpu_linear,     kerf_cpu_elementwise,
	kerf_cpu_layout,     kerf_cpu_pool,
	kerf_cpu_norm,	     kerf_cpu_product8,
	kerf_cpu_quant,	     kerf_cpu_resize,
	NULL,
};

int kerf_cpu_by_name(const struct kerf_cpu_entry *table, struct kerf_cpu_build *b,
		     struct kerf_cpu_step *s)
{
	const char *domain = s->op->def->domain;

	if (domain && *domain)
		return -EOPNOTSUPP;
	for (; table->name; table++)
		if (!strcmp(table->name, s->op->def->name))
			return table->choose(b, s);
	return -EOPNOTSUPP;
}
