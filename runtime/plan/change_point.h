/* SPDX-License-Identifier: MIT */
/*
 * Where a series last changed its level: Bayesian online change point detection (Adams and MacKay,
 * "Bayesian online changepoint detection", 2007).
 *
 * The logarithms of the samples are taken for normal with unknown mean and variance between two
 * changes (normal-gamma prior); a change comes with equal chance at every sample. The distribution
 * of how long ago the last one was is carried along, in O(n) a sample.
 */
#ifndef KERF_PLAN_CHANGE_POINT_H
#define KERF_PLAN_CHANGE_POINT_H

#include "util/base.h"

/*
 * Samples since the most likely last change, of x[n], oldest first; samples that are not above 0
 * are left out, and those beyond the last 256. *mean: geometric, of these samples; 0 if there are
 * none. Returns their number.
 */
uint32_t kerf_change_point(const double *x, uint32_t n, double *mean);

#endif
