/* SPDX-License-Identifier: MIT */
/*
 * What is measured of an engine once, for all graphs, and stored (store.h) beside the profiles:
 * one JSON file per (engine, machine), format 1. Every part may be absent; readers refuse
 * figures out of range.
 *
 * Calibration: the times of some operators of fixed shapes, from which the predictor knows how
 * fast an engine is that it has no profile of.
 *
 * Job: what one costs beside its operators (s): submit, threads woken, and on another node what
 * stands between its end of the connection and its engine.
 *
 * Apart: two programs instead of one cost a job more (job_s) and, of every value that leaves one
 * and enters the other, fixed_s + byte_s * bytes at either end.
 *
 * Sharing: n clients at once see T = T0 (1 + d)^(n - 1).
 */
#ifndef KERF_COST_ENGINE_COST_H
#define KERF_COST_ENGINE_COST_H

#include "cost/features.h"
#include "util/err.h"

/* What an operator of a calibration run is; side: height and width, or rows of a product. */
struct kerf_case {
	const char *name; /* of the node, and in the file */
	const char *type; /* of ONNX */
	enum kerf_family family;
	int64_t c_in, c_out, side, kernel, stride, group;
};

enum kerf_case_id {
	KERF_CASE_CONV,
	KERF_CASE_CONV_DEEP,
	KERF_CASE_CONV_FIRST,
	KERF_CASE_POINTWISE,
	KERF_CASE_POINTWISE_DEEP,
	KERF_CASE_POINTWISE_SMALL,
	KERF_CASE_DEPTHWISE,
	KERF_CASE_DEPTHWISE_DEEP,
	KERF_CASE_PRODUCT,
	KERF_CASE_VECTOR,
	KERF_CASE_MATMUL,
	KERF_CASE_CONV8,
	KERF_CASE_POOL,
	KERF_CASE_GLOBAL,
	KERF_CASE_ADD,
	KERF_CASE_CURVE, /* an activation that is a polynomial */
	KERF_CASE_SMALL,
	KERF_CASE_SOFTMAX,
	KERF_CASE_MOVE,
	KERF_N_CASE
};
extern const struct kerf_case kerf_cases[KERF_N_CASE];
double kerf_case_flops(const struct kerf_case *c);
double kerf_case_bytes(const struct kerf_case *c); /* in, out and weights */

#define KERF_SHARING_MAX 8

struct kerf_engine_cost {
	char engine[160], machine[65]; /* as in a profile */
	bool has_cases, has_job, has_apart, has_sharing, has_power, has_codec;
	double case_s[KERF_N_CASE]; /* 0: the engine cannot run it */
	double job_s, apart_fixed_s, apart_byte_s;
	uint32_t apart_cuts;  /* that the fit has */
	double sharing_d, sharing_error; /* the largest relative error of the fit */
	uint32_t n_sharing;   /* clients at once: sharing_s[n - 1] is one's mean latency beside n - 1 */
	double sharing_s[KERF_SHARING_MAX];
	double f16_byte_s, int8_byte_s; /* of the machine: to encode or decode a byte of float32 */
	double active_w, idle_w; /* measured by the board: above idle, and idle */
};

/*
 * d of T = T0 (1 + d)^(n - 1) through t[0 .. n - 1], least squares of log (T / T0), T0 = t[0]; at
 * least 0. *error: the largest |model / t - 1|. n < 2 or times that are not above 0: 0.
 */
double kerf_sharing_fit(const double *t, uint32_t n, double *error);
/* What n - 1 others at once multiply a job's time by. */
double kerf_sharing_factor(double d, double n);

/*
 * extra[i]: seconds that a cut across bytes[i] of values[i] values costs beyond the whole. Fits
 * job_s + 2 (fixed values + byte bytes), none below 0, job_s as given, least absolute deviations.
 * At most KERF_APART_MAX count.
 */
#define KERF_APART_MAX 32
void kerf_apart_fit(const double *extra, const double *values, const double *bytes, uint32_t n,
		    double job_s, double *fixed_s, double *byte_s);

/* -ENOENT if there is none; -EINVAL if it is damaged. */
int kerf_engine_cost_load(const char *engine, const char *machine, struct kerf_engine_cost *c,
			  struct kerf_err *err);
int kerf_engine_cost_save(const struct kerf_engine_cost *c, struct kerf_err *err);

#endif
