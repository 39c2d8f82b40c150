/* SPDX-License-Identifier: MIT */
#include "cost/engine_cost.h"

#include "cost/store.h"

#include <json-c/json.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FORMAT 1
#define MAX_S 1e6
#define FIT_ROUNDS 30

/* Shapes of common networks, small enough that all of them together take tens of milliseconds. */
const struct kerf_case kerf_cases[KERF_N_CASE] = {
	[KERF_CASE_CONV] = {"conv", "Conv", KERF_FAMILY_CONV, 64, 64, 28, 3, 1, 1},
	[KERF_CASE_CONV_DEEP] = {"conv_deep", "Conv", KERF_FAMILY_CONV, 256, 256, 7, 3, 1, 1},
	[KERF_CASE_CONV_FIRST] = {"conv_first", "Conv", KERF_FAMILY_CONV, 3, 32, 112, 3, 2, 1},
	[KERF_CASE_POINTWISE] = {"pointwise", "Conv", KERF_FAMILY_POINTWISE, 64, 256, 28, 1, 1, 1},
	[KERF_CASE_POINTWISE_DEEP] = {"pointwise_deep", "Conv", KERF_FAMILY_POINTWISE, 512, 512, 7,
				      1, 1, 1},
	[KERF_CASE_POINTWISE_SMALL] = {"pointwise_small", "Conv", KERF_FAMILY_POINTWISE, 16, 16, 14,
				       1, 1, 1},
	[KERF_CASE_DEPTHWISE] = {"depthwise", "Conv", KERF_FAMILY_DEPTHWISE, 96, 96, 56, 3, 1, 96},
	[KERF_CASE_DEPTHWISE_DEEP] = {"depthwise_deep", "Conv", KERF_FAMILY_DEPTHWISE, 512, 512, 7,
				      3, 1, 512},
	[KERF_CASE_PRODUCT] = {"product", "Gemm", KERF_FAMILY_PRODUCT, 192, 768, 128, 1, 1, 1},
	[KERF_CASE_VECTOR] = {"vector", "Gemm", KERF_FAMILY_PRODUCT, 1024, 1024, 1, 1, 1, 1},
	[KERF_CASE_MATMUL] = {"matmul", "MatMul", KERF_FAMILY_MATMUL, 64, 128, 128, 1, 1, 3},
	[KERF_CASE_CONV8] = {"conv8", "QLinearConv", KERF_FAMILY_CONV8, 64, 64, 28, 3, 1, 1},
	[KERF_CASE_POOL] = {"pool", "MaxPool", KERF_FAMILY_POOL, 64, 64, 56, 3, 2, 1},
	[KERF_CASE_GLOBAL] = {"global", "GlobalAveragePool", KERF_FAMILY_POOL, 512, 512, 7, 7, 7, 1},
	[KERF_CASE_ADD] = {"add", "Add", KERF_FAMILY_ELEMENTWISE, 64, 64, 56, 1, 1, 1},
	[KERF_CASE_CURVE] = {"curve", "Sigmoid", KERF_FAMILY_ELEMENTWISE, 64, 64, 28, 1, 1, 1},
	[KERF_CASE_SMALL] = {"small", "Add", KERF_FAMILY_ELEMENTWISE, 16, 16, 1, 1, 1, 1},
	[KERF_CASE_SOFTMAX] = {"softmax", "Softmax", KERF_FAMILY_NORM, 128, 128, 384, 1, 1, 1},
	[KERF_CASE_MOVE] = {"move", "Transpose", KERF_FAMILY_MOVE, 128, 128, 128, 1, 1, 1},
};

static double out_side(const struct kerf_case *c)
{
	return ceil((double)c->side / (double)c->stride);
}

static bool is_image(const struct kerf_case *c)
{
	return c->family == KERF_FAMILY_CONV || c->family == KERF_FAMILY_POINTWISE ||
	       c->family == KERF_FAMILY_DEPTHWISE || c->family == KERF_FAMILY_CONV8 ||
	       c->family == KERF_FAMILY_POOL || c->family == KERF_FAMILY_ELEMENTWISE;
}

/* Output elements that the case makes. */
static double elements(const struct kerf_case *c)
{
	double rows = is_image(c) ? out_side(c) * out_side(c) : (double)c->side;

	return rows * (double)c->c_out * (c->family == KERF_FAMILY_MATMUL ? (double)c->group : 1);
}

static double sum_length(const struct kerf_case *c)
{
	double window = (double)(c->kernel * c->kernel);

	switch (c->family) {
	case KERF_FAMILY_CONV:
	case KERF_FAMILY_POINTWISE:
	case KERF_FAMILY_CONV8:
	case KERF_FAMILY_DEPTHWISE: return 2 * window * (double)(c->c_in / c->group);
	case KERF_FAMILY_PRODUCT:
	case KERF_FAMILY_MATMUL: return 2 * (double)c->c_in;
	case KERF_FAMILY_POOL: return window;
	default: return 1;
	}
}

double kerf_case_flops(const struct kerf_case *c)
{
	return elements(c) * sum_length(c);
}

double kerf_case_bytes(const struct kerf_case *c)
{
	double size = c->family == KERF_FAMILY_CONV8 ? 1 : 4, in, weights = 0;

	in = is_image(c) ? (double)(c->side * c->side * c->c_in)
			 : (double)(c->side * c->c_in) *
				   (c->family == KERF_FAMILY_MATMUL ? (double)c->group : 1);
	if (!strcmp(c->type, "Add"))
		in *= 2;
	if (c->family == KERF_FAMILY_MATMUL)
		in += (double)(c->c_in * c->c_out * c->group);
	else if (c->family <= KERF_FAMILY_CONV8)
		weights = (double)(c->kernel * c->kernel * (c->c_in / c->group) * c->c_out);
	return size * (in + weights + elements(c));
}

/* --- fits ------------------------------------------------------------------- */

double kerf_sharing_fit(const double *t, uint32_t n, double *error)
{
	double a = 0, b = 0, d;
	uint32_t i;

	*error = 0;
	for (i = 0; i < n; i++)
		if (!(t[i] > 0))
			return 0;
	for (i = 1; i < n; i++) {
		a += i * log(t[i] / t[0]);
		b += (double)i * i;
	}
	d = b > 0 ? fmax(exp(a / b) - 1, 0) : 0;
	for (i = 0; i < n; i++)
		*error = fmax(*error, fabs(t[0] * kerf_sharing_factor(d, i + 1) / t[i] - 1));
	return d;
}

double kerf_sharing_factor(double d, double n)
{
	return pow(1 + d, fmax(n - 1, 0));
}

/* Two unknowns not below 0, weighted least squares: the free minimum, or the better on a border. */
static void fit_two(const double *y, const double *values, const double *bytes, const double *w,
		    uint32_t n, double *fixed_s, double *byte_s)
{
	double vv = 0, vb = 0, bb = 0, vy = 0, by = 0, det;
	uint32_t i;

	for (i = 0; i < n; i++) {
		vv += w[i] * values[i] * values[i];
		vb += w[i] * values[i] * bytes[i];
		bb += w[i] * bytes[i] * bytes[i];
		vy += w[i] * values[i] * y[i];
		by += w[i] * bytes[i] * y[i];
	}
	det = vv * bb - vb * vb;
	/* Where bytes go with values the two cannot be told apart. */
	*fixed_s = det > 0.02 * vv * bb ? (vy * bb - by * vb) / det : -1;
	*byte_s = det > 0.02 * vv * bb ? (by * vv - vy * vb) / det : -1;
	if (*fixed_s >= 0 && *byte_s >= 0)
		return;
	*fixed_s = vv > 0 ? fmax(vy / vv, 0) : 0;
	*byte_s = bb > 0 ? fmax(by / bb, 0) : 0;
	/* What each of them alone gains over nothing. */
	if (*fixed_s * vy >= *byte_s * by)
		*byte_s = 0;
	else
		*fixed_s = 0;
}

/*
 * Least absolute deviations, by least squares weighted anew with what is left (Holland and Welsch,
 * Robust regression using iteratively reweighted least-squares, 1977): a cut that was measured
 * beside other work is off by more than all it could be worth.
 */
void kerf_apart_fit(const double *extra, const double *values, const double *bytes, uint32_t n,
		    double job_s, double *fixed_s, double *byte_s)
{
	double y[KERF_APART_MAX], w[KERF_APART_MAX];
	uint32_t i, k;

	n = KERF_MIN(n, KERF_APART_MAX);
	for (i = 0; i < n; i++) {
		y[i] = (extra[i] - job_s) / 2;
		w[i] = 1;
	}
	fit_two(y, values, bytes, w, n, fixed_s, byte_s);
	for (k = 0; k < FIT_ROUNDS; k++) {
		for (i = 0; i < n; i++)
			w[i] = 1 /
			       fmax(fabs(y[i] - *fixed_s * values[i] - *byte_s * bytes[i]), 1e-8);
		fit_two(y, values, bytes, w, n, fixed_s, byte_s);
	}
}

/* --- files ------------------------------------------------------------------ */

static int cost_path(const char *engine, const char *machine, char **path)
{
	char key[KERF_STORE_KEY], name[64];

	kerf_store_key(engine, machine, key);
	snprintf(name, sizeof(name), "engine-%s.json", key);
	return kerf_store_path(name, path);
}

static void add(struct json_object *o, const char *key, double v)
{
	json_object_object_add(o, key, json_object_new_double(v));
}

static struct json_object *write_parts(const struct kerf_engine_cost *c)
{
	struct json_object *o = json_object_new_object(), *part, *list;
	uint32_t i;

	json_object_object_add(o, "kerf_engine", json_object_new_int(FORMAT));
	json_object_object_add(o, "engine", json_object_new_string(c->engine));
	json_object_object_add(o, "machine", json_object_new_string(c->machine));
	if (c->has_cases) {
		part = json_object_new_object();
		for (i = 0; i < KERF_N_CASE; i++)
			add(part, kerf_cases[i].name, c->case_s[i]);
		json_object_object_add(o, "calibration", part);
	}
	if (c->has_job) {
		part = json_object_new_object();
		add(part, "s", c->job_s);
		json_object_object_add(o, "job", part);
	}
	if (c->has_apart) {
		part = json_object_new_object();
		add(part, "job_s", c->job_s);
		add(part, "fixed_s", c->apart_fixed_s);
		add(part, "byte_s", c->apart_byte_s);
		json_object_object_add(part, "cuts", json_object_new_int64(c->apart_cuts));
		json_object_object_add(o, "apart", part);
	}
	if (c->has_sharing) {
		part = json_object_new_object();
		list = json_object_new_array();
		for (i = 0; i < c->n_sharing; i++)
			json_object_array_add(list, json_object_new_double(c->sharing_s[i]));
		add(part, "d", c->sharing_d);
		add(part, "error", c->sharing_error);
		json_object_object_add(part, "mean_s", list);
		json_object_object_add(o, "sharing", part);
	}
	if (c->has_power) {
		part = json_object_new_object();
		add(part, "active_w", c->active_w);
		add(part, "idle_w", c->idle_w);
		json_object_object_add(o, "power", part);
	}
	if (c->has_codec) {
		part = json_object_new_object();
		add(part, "f16_byte_s", c->f16_byte_s);
		add(part, "int8_byte_s", c->int8_byte_s);
		json_object_object_add(o, "codec", part);
	}
	return o;
}

int kerf_engine_cost_save(const struct kerf_engine_cost *c, struct kerf_err *err)
{
	struct json_object *o;
	char *path;
	int r = cost_path(c->engine, c->machine, &path);

	if (r)
		return r;
	o = write_parts(c);
	r = kerf_store_write(path, o, err);
	json_object_put(o);
	free(path);
	return r;
}

static int need(const char *path, struct json_object *o, const char *key, double max, double *v,
		struct kerf_err *err)
{
	int r = kerf_store_number(path, o, key, 0, max, v, err);

	return r == -ENOENT ? kerf_fail(err, -EINVAL, "%s: no %s", path, key) : r;
}

static bool part_of(struct json_object *o, const char *key, struct json_object **part)
{
	return json_object_object_get_ex(o, key, part) &&
	       json_object_is_type(*part, json_type_object);
}

static int read_sharing(const char *path, struct json_object *part, struct kerf_engine_cost *c,
			struct kerf_err *err)
{
	struct json_object *list;
	size_t n, i;
	int r = need(path, part, "d", 1e3, &c->sharing_d, err);

	if (!r)
		r = need(path, part, "error", 1e3, &c->sharing_error, err);
	if (r)
		return r;
	if (!json_object_object_get_ex(part, "mean_s", &list) ||
	    !json_object_is_type(list, json_type_array) ||
	    (n = json_object_array_length(list)) > KERF_SHARING_MAX)
		return kerf_fail(err, -EINVAL, "%s: mean_s does not list at most %d times", path,
				 KERF_SHARING_MAX);
	for (i = 0; i < n; i++) {
		c->sharing_s[i] = json_object_get_double(json_object_array_get_idx(list, i));
		if (!(c->sharing_s[i] >= 0 && c->sharing_s[i] <= MAX_S))
			return kerf_fail(err, -EINVAL, "%s: mean_s[%zu] is %g", path, i,
					 c->sharing_s[i]);
	}
	c->n_sharing = (uint32_t)n;
	return 0;
}

static int parse(const char *path, struct json_object *o, struct kerf_engine_cost *c,
		 struct kerf_err *err)
{
	struct json_object *part;
	double cuts = 0;
	uint32_t i;
	int r = 0;

	c->has_cases = part_of(o, "calibration", &part);
	for (i = 0; c->has_cases && i < KERF_N_CASE && !r; i++)
		r = need(path, part, kerf_cases[i].name, MAX_S, &c->case_s[i], err);
	if (r)
		return r;
	c->has_job = part_of(o, "job", &part);
	if (c->has_job && (r = need(path, part, "s", MAX_S, &c->job_s, err)))
		return r;
	c->has_apart = part_of(o, "apart", &part);
	if (c->has_apart && ((r = need(path, part, "job_s", MAX_S, &c->job_s, err)) ||
			     (r = need(path, part, "fixed_s", MAX_S, &c->apart_fixed_s, err)) ||
			     (r = need(path, part, "byte_s", 1, &c->apart_byte_s, err)) ||
			     (r = need(path, part, "cuts", 1e6, &cuts, err))))
		return r;
	c->apart_cuts = (uint32_t)cuts;
	c->has_sharing = part_of(o, "sharing", &part);
	if (c->has_sharing && (r = read_sharing(path, part, c, err)))
		return r;
	c->has_power = part_of(o, "power", &part);
	if (c->has_power && ((r = need(path, part, "active_w", 1e5, &c->active_w, err)) ||
			     (r = need(path, part, "idle_w", 1e5, &c->idle_w, err))))
		return r;
	c->has_codec = part_of(o, "codec", &part);
	if (c->has_codec && ((r = need(path, part, "f16_byte_s", 1, &c->f16_byte_s, err)) ||
			     (r = need(path, part, "int8_byte_s", 1, &c->int8_byte_s, err))))
		return r;
	return 0;
}

int kerf_engine_cost_load(const char *engine, const char *machine, struct kerf_engine_cost *c,
			  struct kerf_err *err)
{
	struct json_object *o = NULL, *v;
	char *path;
	int r;

	memset(c, 0, sizeof(*c));
	r = cost_path(engine, machine, &path);
	if (r)
		return r;
	r = kerf_store_read(path, &o, err);
	if (!r && (!json_object_object_get_ex(o, "kerf_engine", &v) ||
		   !json_object_is_type(v, json_type_int) || json_object_get_int(v) != FORMAT))
		r = kerf_fail(err, -EINVAL, "%s: kerf_engine is not %d", path, FORMAT);
	if (!r && (!kerf_store_is(o, "engine", engine) || !kerf_store_is(o, "machine", machine)))
		r = kerf_fail(err, -EINVAL, "%s: of another engine or machine", path);
	if (!r)
		r = parse(path, o, c, err);
	if (r)
		memset(c, 0, sizeof(*c));
	snprintf(c->engine, sizeof(c->engine), "%s", engine);
	snprintf(c->machine, sizeof(c->machine), "%s", machine);
	json_object_put(o);
	free(path);
	return r;
}
