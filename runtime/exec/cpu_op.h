/* SPDX-License-Identifier: MIT */
/* The families of kernels, each in its cpu_op_*.c, and what they share. */
#ifndef KERF_EXEC_CPU_OP_H
#define KERF_EXEC_CPU_OP_H

#include "exec/cpu.h"

struct kerf_cpu_entry {
	const char *name; /* of the operator */
	kerf_cpu_family choose;
};

/* The entry of s->op in a table ended by a NULL name: its answer, or -EOPNOTSUPP. */
int kerf_cpu_by_name(const struct kerf_cpu_entry *table, struct kerf_cpu_build *b,
		     struct kerf_cpu_step *s);

/*
 * Taps k < kernel of one axis with start + k * dilation within [lo, hi): [*first, *end).
 */
void kerf_cpu_taps_within(int64_t start, int64_t dilation, int64_t kernel, int64_t lo, int64_t hi,
			  int64_t *first, int64_t *end);

int kerf_cpu_linear(struct kerf_cpu_build *b, struct kerf_cpu_step *s);
int kerf_cpu_elementwise(struct kerf_cpu_build *b, struct kerf_cpu_step *s);
int kerf_cpu_layout(struct kerf_cpu_build *b, struct kerf_cpu_step *s);
int kerf_cpu_pool(struct kerf_cpu_build *b, struct kerf_cpu_step *s);
int kerf_cpu_product8(struct kerf_cpu_build *b, struct kerf_cpu_step *s);
int kerf_cpu_quant(struct kerf_cpu_build *b, struct kerf_cpu_step *s);
int kerf_cpu_resize(struct kerf_cpu_build *b, struct kerf_cpu_step *s);
int kerf_cpu_norm(struct kerf_cpu_build *b, struct kerf_cpu_step *s);

#endif
