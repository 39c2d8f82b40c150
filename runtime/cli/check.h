/* SPDX-License-Identifier: MIT */
/* How far a plan's answers are from the whole model's: padded tiles and codecs change them. */
#ifndef KERF_CLI_CHECK_H
#define KERF_CLI_CHECK_H

#include "cli/options.h"
#include "exec/measure.h"

/* Of one output. */
struct kerf_cli_difference {
	bool made;	/* by the plan; else nothing below is said */
	bool same_dims; /* else the rest is 0 */
	bool same_bits;
	double rms;	/* of the errors, over that of the whole run's values */
	double max_abs, max; /* the largest error; the same over the largest value */
	/*
	 * Of outputs that are scores of classes, a row each: in how many the largest is the same.
	 * 0: others.
	 */
	int64_t rows, top1;
};

/* Whether the plan's answers may differ from the whole run's; what makes them, for people. */
bool kerf_cli_inexact(const struct kerf_plan *plan, char why[96]);

/*
 * Runs the whole model on home's engine with io's inputs and compares: d[io->n_out]. Blocks.
 * -EOPNOTSUPP if there is no such engine here, or what preparing and running it there fails with.
 */
int kerf_cli_differences(const struct kerf_cli_setup *s, const struct kerf_plan *plan,
			 const struct kerf_io *io, struct kerf_cli_difference *d,
			 struct kerf_err *err);

/* "output 'y': RMS error 0.0012, ...", without a line's end. */
void kerf_cli_difference_text(const char *output, const struct kerf_cli_difference *d, char *text,
			      size_t size);
/* A line each, to stderr, after "kerf: label: ". */
void kerf_cli_say_differences(const char *label, const struct kerf_graph *g,
			      const struct kerf_cli_difference *d);

#endif
