/* SPDX-License-Identifier: MIT */
/* kerf bench MODEL --codec-error: what codecs on a cut change in a model's answers. */
#include "cli/bench.h"
#include "cli/cli.h"
#include "exec/measure.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CUTS 12

static const char *const names[KERF_N_CODECS] = {"none", "fp16", "int8"};

static void print(const struct kerf_graph *g, struct kerf_codec_error (*error)[KERF_N_CODECS],
		  uint32_t n)
{
	uint32_t i, k;

	printf("| cut before | codec | values: RMS | largest | outputs: RMS | largest |\n"
	       "|---|---|---|---|---|---|\n");
	for (k = 0; k < KERF_N_CODECS; k++) {
		struct kerf_codec_error worst = {0};

		for (i = 0; i < n; i++) {
			const struct kerf_codec_error *e = &error[i][k];

			worst.value_rms = fmax(worst.value_rms, e->value_rms);
			worst.value_max = fmax(worst.value_max, e->value_max);
			worst.output_rms = fmax(worst.output_rms, e->output_rms);
			worst.output_max = fmax(worst.output_max, e->output_max);
			if (k != KERF_CODEC_NONE)
				printf("| %u %.40s | %s | %.2g | %.2g | %.2g | %.2g |\n", e->op,
				       g->op[e->op].name, names[k], e->value_rms, e->value_max,
				       e->output_rms, e->output_max);
		}
		printf("| **worst of %u** | %s | %.2g | %.2g | %.2g | %.2g |\n", n, names[k],
		       worst.value_rms, worst.value_max, worst.output_rms, worst.output_max);
	}
}

int kerf_bench_codec_error(const char *path, const struct kerf_load_options *opt,
			   const char *engine, const struct kerf_engine_config *cfg,
			   struct kerf_err *err)
{
	struct kerf_codec_error (*error)[KERF_N_CODECS] = calloc(CUTS, sizeof(*error));
	struct kerf_graph *g = NULL;
	struct kerf_engine *e = NULL;
	uint32_t n;
	int r = error ? 0 : -ENOMEM;

	if (!r && strstr(engine, "://"))
		r = kerf_fail(err, -EINVAL, "--codec-error takes an engine of this process");
	if (!r)
		r = kerf_model_load(path, opt, &g, err);
	if (!r)
		r = kerf_engine_open(engine, cfg, &e, err);
	if (!r)
		r = kerf_measure_codec_errors(e, g, 1, CUTS, error, &n, err);
	if (!r)
		print(g, error, n);
	kerf_engine_close(e);
	kerf_graph_unref(g);
	free(error);
	return r;
}
