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

/* What profiles call an engine: "cpu: AMD EPYC, avx512, 2 threads". */
void kerf_engine_words(const struct kerf_engine_info *info, char *out, size_t size);

/*
 * Profiles g on e: one run to warm up, then at least min_runs and until seconds have
 * passed (1000 runs at most). Blocks. -EOPNOTSUPP if the engine cannot profile.
 */
int kerf_measure_profile(struct kerf_engine *e, struct kerf_graph *g, double seconds,
			 uint32_t min_runs, struct kerf_profile *p, struct kerf_err *err);

/*
 * Adds to a profile of g on e what tiles cost (op_fixed_s): groups of operators that can be
 * limited to rows run whole and as a half, a quarter and an eighth of their rows, in turns, until
 * seconds have passed for the graph, at least twice each. Operators that no tile can hold keep 0.
 * Blocks. 0, -ENOMEM, or what the engine fails with.
 */
int kerf_measure_tiles(struct kerf_engine *e, struct kerf_graph *g, double seconds,
		       struct kerf_profile *p, struct kerf_err *err);

#endif
