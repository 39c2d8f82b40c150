/* SPDX-License-Identifier: MIT */
/* What measurements of cut graphs share. */
#ifndef KERF_EXEC_MEASURE_PRIV_H
#define KERF_EXEC_MEASURE_PRIV_H

#include "exec/measure.h"

/* Operators [begin, end) of a graph as a program with its tensors. Zeroed: none. */
struct kerf_half {
	struct kerf_graph *slice;
	struct kerf_program *program;
	struct kerf_io io;
};

int kerf_half_make(struct kerf_engine *e, struct kerf_graph *g, uint32_t begin, uint32_t end,
		   struct kerf_half *h, struct kerf_err *err);
void kerf_half_finish(struct kerf_engine *e, struct kerf_half *h);
/* The output of h that has this name; -1: none. */
int32_t kerf_half_output(const struct kerf_half *h, const char *name);

/* At most n places spread over g, where few values live: op of cut[*found], the rest zeroed. */
int kerf_choose_cuts(const struct kerf_graph *g, uint32_t n, struct kerf_cut *cut, uint32_t *found);

#endif
