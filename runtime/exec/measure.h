/* SPDX-License-Identifier: MIT */
/* Measuring what a graph costs on an engine, for profiles and benchmarks. */
#ifndef KERF_EXEC_MEASURE_H
#define KERF_EXEC_MEASURE_H

#include "cost/engine_cost.h"
#include "cost/profile.h"
#include "exec/engine.h"
#include "plan/plan.h"

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

/* The calibration model, ready to be prepared on any engine. */
int kerf_calibration_graph(struct kerf_graph **g, struct kerf_err *err);

/*
 * Fills the calibration of cost: the least time of each case over the runs that seconds allow, five
 * at least. Blocks. 0, or what the engine fails with.
 */
int kerf_measure_calibration(struct kerf_engine *e, double seconds, struct kerf_engine_cost *cost,
			     struct kerf_err *err);

/* A graph cut before operator op, its two halves run one after the other on one engine. */
struct kerf_cut {
	uint32_t op, values; /* that go over */
	double bytes;
	double whole_s, extra_s; /* medians; extra: of the halves, beyond the whole */
};
#define KERF_CUTS 6

/*
 * What a job of g's smallest operator takes on e beside the operator: handing it over, waking who
 * runs it and who waits. About 0.1 s and six jobs at least. Blocks. 0, or what the engine fails
 * with.
 */
int kerf_measure_job(struct kerf_engine *e, struct kerf_graph *g, double *job_s,
		     struct kerf_err *err);

/*
 * At most `most` cuts spread over g, where few values go over, each measured in turns with the
 * whole. *job_s: as kerf_measure_job(). Blocks.
 */
int kerf_measure_cuts(struct kerf_engine *e, struct kerf_graph *g, double seconds, uint32_t most,
		      struct kerf_cut *cut, uint32_t *n, double *job_s, struct kerf_err *err);
/* Fits KERF_CUTS of them: cost's part "apart". */
int kerf_measure_apart(struct kerf_engine *e, struct kerf_graph *g, double seconds,
		       struct kerf_engine_cost *cost, struct kerf_err *err);

/*
 * 1 to n clients at once (at most KERF_SHARING_MAX), g whole: cost's part "sharing". The engine's
 * depth is at least n. Blocks for about the seconds.
 */
int kerf_measure_sharing(struct kerf_engine *e, struct kerf_graph *g, double seconds, uint32_t n,
			 struct kerf_engine_cost *cost, struct kerf_err *err);

/* Seconds to encode, or decode, a byte of float32 on one core of this machine. 0 or -ENOMEM. */
int kerf_measure_codec(double byte_s[KERF_N_CODECS]);

/*
 * What a codec changes where g is cut before operator op. RMS: of the error over that of the
 * values; max: the largest error over the largest value. Of what went over, and of the model's
 * outputs.
 */
struct kerf_codec_error {
	uint32_t op;
	double value_rms, value_max, output_rms, output_max;
};
/*
 * error[most][codec], *n of them filled: at most `most` cuts of g on e, a local engine, with
 * seeded inputs. For the codec none it is what cutting itself changes: 0.
 */
int kerf_measure_codec_errors(struct kerf_engine *e, struct kerf_graph *g, uint64_t seed,
			      uint32_t most, struct kerf_codec_error (*error)[KERF_N_CODECS],
			      uint32_t *n, struct kerf_err *err);

#endif
