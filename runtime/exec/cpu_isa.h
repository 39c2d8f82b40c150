/* SPDX-License-Identifier: MIT */
/* One instruction set's kernels, heavy and light, as the engine uses them. */
#ifndef KERF_EXEC_CPU_ISA_H
#define KERF_EXEC_CPU_ISA_H

#include "exec/cpu_int8.h"
#include "exec/cpu_kernels.h"
#include "exec/cpu_light.h"

struct kerf_isa {
	const char *name;
	const struct kerf_cpu_isa *heavy; /* convolution, matrix products, activations */
	const struct kerf_cpu_map_fns *map;
	const struct kerf_cpu_norm_fns *norm;
	const struct kerf_cpu_pool_fns *pool;
	const struct kerf_cpu_int8_fns *int8;
	bool dots; /* this machine has int8->dots */
};

/* Fills *isa by name ("auto" and NULL: the best); -ENOENT if this machine has it not. */
int kerf_isa_init(struct kerf_isa *isa, const char *name);

#endif
