/* SPDX-License-Identifier: MIT */
/* What benchmarks share: a sample's summary. */
#ifndef KERF_CLI_BENCH_H
#define KERF_CLI_BENCH_H

#include "exec/engine.h"
#include "graph/import.h"

struct kerf_bench_stats {
	uint32_t n;
	double min, median, p90, p99; /* percentiles by nearest rank */
};

/* Sorts samples. */
void kerf_bench_summarise(double *samples, uint32_t n, struct kerf_bench_stats *s);

/* kerf bench --wire; argv[0] is "--wire". The exit status. */
int kerf_bench_wire(int argc, char **argv);

/* kerf bench --transfers; argv[0] is "--transfers". The exit status. */
int kerf_bench_transfers(int argc, char **argv);

/* kerf bench --predictor; argv[0] is "--predictor". The exit status. */
int kerf_bench_predictor(int argc, char **argv);

/* Time and memory to make a model ready on an engine; prints two lines. */
int kerf_bench_load(const char *path, const struct kerf_load_options *opt, const char *engine,
		    const struct kerf_engine_config *cfg, struct kerf_err *err);

/* What codecs change where a model is cut; prints a table. */
int kerf_bench_codec_error(const char *path, const struct kerf_load_options *opt,
			   const char *engine, const struct kerf_engine_config *cfg,
			   struct kerf_err *err);

#endif
