/* SPDX-License-Identifier: MIT */
/* Measuring what a graph costs on an engine, for profiles and benchmarks. */
#ifndef KERF_EXEC_MEASURE_H
#define KERF_EXEC_MEASURE_H

#include "cost/profile.h"
#include "exec/engine.h"

/*
 * Tensors for every input and output of g: inputs filled from a seeded generator
 * (floats in [-1, 1), any 8-bit integer, wider ones 0 or 1, which are in range of
 * any vocabulary, token type or mask), outputs zeroed. One block each; free with kerf_io_finish.
 */
struct kerf_io {
	struct kerf_tensor *in, *out;
	uint32_t n_in, n_out;
	struct kerf_engine *engine; /* whose memory it is, or NULL */
};
int kerf_io_make(const struct kerf_graph *g, uint64_t seed, struct kerf_io *io);
/* In memory that e uses in place (NULL: any); finish it before e is closed. */
int kerf_io_make_on(struct kerf_engine *e, const struct kerf_graph *g, uint64_t seed,
		    struct kerf_io *io);
void kerf_io_finish(struct kerf_io *io);

/*
 * Profiles g on e: one run to warm up, then at least min_runs and until seconds have
 * passed (1000 runs at most). Blocks. -EOPNOTSUPP if the engine cannot profile.
 */
int kerf_measure_profile(struct kerf_engine *e, struct kerf_graph *g, double seconds,
			 uint32_t min_runs, struct kerf_profile *p, struct kerf_err *err);

#endif
