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

int kerf_cpu_linear(struct kerf_cpu_build *b, struct kerf_cpu_step *s);
int kerf_cpu_elementwise(struct kerf_cpu_build *b, struct kerf_cpu_step *s);
int kerf_cpu_layout(struct kerf_cpu_build *b, struct kerf_cpu_step *s);
int kerf_cpu_pool(struct kerf_cpu_build *b, struct kerf_cpu_step *s);
int kerf_cpu_norm(struct kerf_cpu_build *b, struct kerf_cpu_step *s);

#endif
