/* SPDX-License-Identifier: MIT */
#include "cost/profile.h"

#include "cost/store.h"

#include <dirent.h>
#include <json-c/json.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FORMAT 2
#define MAX_OPS 1000000
#define MAX_S 1e6
#define MAX_FEATURE 1e18

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *v, uint32_t n)
{
	qsort(v, n, sizeof(*v), compare_doubles);
	return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

int kerf_profile_reduce(struct kerf_profile *p, const uint64_t *ns, uint32_t n_op,
			uint32_t n_runs)
{
	double *share = malloc((n_runs + 1) * sizeof(*share)), *run = calloc(n_runs, sizeof(*run));
	double *op_s = calloc(n_op + 1, sizeof(*op_s)), sum = 0;
	uint32_t o, r;

	if (!share || !run || !op_s) {
		free(share);
		free(run);
		free(op_s);
		return -ENOMEM;
	}
	p->run_s = 0;
	for (r = 0; r < n_runs; r++) {
		for (o = 0; o < n_op; o++)
			run[r] += (double)ns[(size_t)r * n_op + o] * 1e-9;
		p->run_s += run[r] / n_runs;
	}
	for (o = 0; o < n_op; o++) {
		for (r = 0; r < n_runs; r++)
			share[r] =
				run[r] > 0 ? (double)ns[(size_t)r * n_op + o] * 1e-9 / run[r] : 0;
		op_s[o] = median(share, n_runs);
		sum += op_s[o];
	}
	/* Medians of shares do not quite add up to one. */
	for (o = 0; o < n_op; o++)
		op_s[o] *= sum > 0 ? p->run_s / sum : 0;
	p->op_s = op_s;
	p->n_op = n_op;
	p->runs = n_runs;
	free(share);
	free(run);
	return 0;
}

int kerf_profile_describe(struct kerf_profile *p, const struct kerf_graph *g)
{
	uint32_t i;

	p->fingerprint = kerf_graph_fingerprint(g);
	snprintf(p->model, sizeof(p->model), "%s", g->name ? g->name : "");
	p->n_op = g->n_op;
	p->op = calloc(g->n_op + 1, sizeof(*p->op));
	for (i = 0; p->op && i < g->n_op; i++)
		kerf_features_of(g, &g->op[i], &p->op[i]);
	return p->op ? 0 : -ENOMEM;
}

/* y = f + (1 - f) x is (y - x) = f (1 - x): one unknown. */
double kerf_profile_fixed_share(const double *x, const double *y, uint32_t n)
{
	double a = 0, b = 0;
	uint32_t i;

	for (i = 0; i < n; i++) {
		a += (y[i] - x[i]) * (1 - x[i]);
		b += (1 - x[i]) * (1 - x[i]);
	}
	return b > 0 ? fmin(fmax(a / b, 0), 1) : 0;
}

/* --- files ------------------------------------------------------------------ */

/* *path is allocated. */
static int profile_path(uint64_t fingerprint, const char *engine, const char *machine, char **path)
{
	char key[KERF_STORE_KEY], name[80];

	kerf_store_key(engine, machine, key);
	snprintf(name, sizeof(name), "%016llx-%s.json", (unsigned long long)fingerprint, key);
	return kerf_store_path(name, path);
}

static struct json_object *doubles(const double *v, uint32_t n)
{
	struct json_object *list = json_object_new_array();
	uint32_t i;

	for (i = 0; list && i < n; i++)
		json_object_array_add(list, json_object_new_double(v[i]));
	return list;
}

static struct json_object *features(const struct kerf_features *f, uint32_t n)
{
	struct json_object *list = json_object_new_array();
	uint32_t i;

	for (i = 0; list && i < n; i++) {
		struct json_object *row = doubles(f[i].v, KERF_N_FEATURE);

		json_object_array_add(row, json_object_new_string(f[i].type));
		json_object_array_add(list, row);
	}
	return list;
}

int kerf_profile_save(const struct kerf_profile *p, struct kerf_err *err)
{
	struct json_object *o;
	char *path, hex[17];
	int r;

	if (p->predicted)
		return kerf_fail(err, -EINVAL, "a prediction is not stored as a profile");
	o = json_object_new_object();
	r = o ? profile_path(p->fingerprint, p->engine, p->machine, &path) : -ENOMEM;
	if (r) {
		json_object_put(o);
		return r;
	}
	snprintf(hex, sizeof(hex), "%016llx", (unsigned long long)p->fingerprint);
	json_object_object_add(o, "kerf_profile", json_object_new_int(FORMAT));
	json_object_object_add(o, "fingerprint", json_object_new_string(hex));
	json_object_object_add(o, "model", json_object_new_string(p->model));
	json_object_object_add(o, "engine", json_object_new_string(p->engine));
	json_object_object_add(o, "machine", json_object_new_string(p->machine));
	json_object_object_add(o, "runs", json_object_new_int64(p->runs));
	json_object_object_add(o, "op_s", doubles(p->op_s, p->n_op));
	if (p->op_fixed_s)
		json_object_object_add(o, "op_fixed_s", doubles(p->op_fixed_s, p->n_op));
	if (p->op)
		json_object_object_add(o, "op", features(p->op, p->n_op));
	r = kerf_store_write(path, o, err);
	json_object_put(o);
	free(path);
	return r;
}

/* An array of n numbers in [0, max]. */
static int read_doubles(const char *path, const char *what, struct json_object *list, uint32_t n,
			double max, double *v, struct kerf_err *err)
{
	uint32_t i;

	for (i = 0; i < n; i++) {
		struct json_object *x = json_object_array_get_idx(list, i);

		if (!json_object_is_type(x, json_type_double) &&
		    !json_object_is_type(x, json_type_int))
			return kerf_fail(err, -EINVAL, "%s: %s[%u] is no number", path, what, i);
		v[i] = json_object_get_double(x);
		if (!(v[i] >= 0 && v[i] <= max))
			return kerf_fail(err, -EINVAL, "%s: %s[%u] is %g", path, what, i, v[i]);
	}
	return 0;
}

/* *v is allocated. -ENOENT without a sentence if there is no such list. */
static int read_list(const char *path, struct json_object *o, const char *key, uint32_t n,
		     double **v, struct kerf_err *err)
{
	struct json_object *list;

	if (!json_object_object_get_ex(o, key, &list))
		return -ENOENT;
	if (!json_object_is_type(list, json_type_array) || json_object_array_length(list) != n)
		return kerf_fail(err, -EINVAL, "%s: %s does not list %u operators", path, key, n);
	*v = calloc(n + 1, sizeof(**v));
	return *v ? read_doubles(path, key, list, n, MAX_S, *v, err) : -ENOMEM;
}

static int read_features(const char *path, struct json_object *o, struct kerf_profile *p,
			 struct kerf_err *err)
{
	struct json_object *list, *row, *type;
	uint32_t i;
	int r = 0;

	if (!json_object_object_get_ex(o, "op", &list))
		return 0;
	if (!json_object_is_type(list, json_type_array) ||
	    json_object_array_length(list) != p->n_op)
		return kerf_fail(err, -EINVAL, "%s: op does not list %u operators", path, p->n_op);
	p->op = calloc(p->n_op + 1, sizeof(*p->op));
	if (!p->op)
		return -ENOMEM;
	for (i = 0; i < p->n_op && !r; i++) {
		row = json_object_array_get_idx(list, i);
		if (!json_object_is_type(row, json_type_array) ||
		    json_object_array_length(row) != KERF_N_FEATURE + 1)
			return kerf_fail(err, -EINVAL, "%s: op[%u] does not have %d features", path, i,
					 KERF_N_FEATURE);
		type = json_object_array_get_idx(row, KERF_N_FEATURE);
		if (!json_object_is_type(type, json_type_string))
			return kerf_fail(err, -EINVAL, "%s: op[%u] has no type", path, i);
		snprintf(p->op[i].type, sizeof(p->op[i].type), "%s", json_object_get_string(type));
		r = read_doubles(path, "a feature", row, KERF_N_FEATURE, MAX_FEATURE, p->op[i].v, err);
	}
	return r;
}

static int read_head(const char *path, struct json_object *o, struct kerf_profile *p, bool *old,
		     struct kerf_err *err)
{
	struct json_object *v;
	char hex[17], *end;
	double n = 0;
	int r;

	if (!json_object_object_get_ex(o, "kerf_profile", &v) ||
	    !json_object_is_type(v, json_type_int) || json_object_get_int(v) < 1 ||
	    json_object_get_int(v) > FORMAT)
		return kerf_fail(err, -EINVAL, "%s: kerf_profile is not 1 to %d", path, FORMAT);
	*old = json_object_get_int(v) == 1;
	r = kerf_store_text(path, o, "fingerprint", hex, sizeof(hex), err);
	if (!r)
		r = kerf_store_text(path, o, "engine", p->engine, sizeof(p->engine), err);
	if (!r)
		r = kerf_store_text(path, o, "machine", p->machine, sizeof(p->machine), err);
	if (!r && !*old)
		r = kerf_store_text(path, o, "model", p->model, sizeof(p->model), err);
	if (r)
		return r;
	p->fingerprint = strtoull(hex, &end, 16);
	if (strlen(hex) != 16 || *end)
		return kerf_fail(err, -EINVAL, "%s: fingerprint '%s'", path, hex);
	r = kerf_store_number(path, o, "runs", 0, UINT32_MAX, &n, err);
	p->runs = (uint32_t)n;
	return r == -ENOENT ? 0 : r;
}

static int parse(const char *path, struct json_object *o, struct kerf_profile *p,
		 struct kerf_err *err)
{
	struct json_object *ops;
	bool old = false;
	uint32_t i;
	int r = read_head(path, o, p, &old, err);

	if (r)
		return r;
	if (!json_object_object_get_ex(o, "op_s", &ops) ||
	    !json_object_is_type(ops, json_type_array) || json_object_array_length(ops) > MAX_OPS)
		return kerf_fail(err, -EINVAL, "%s: no op_s", path);
	p->n_op = (uint32_t)json_object_array_length(ops);
	r = read_list(path, o, "op_s", p->n_op, &p->op_s, err);
	for (i = 0; !r && i < p->n_op; i++)
		p->run_s += p->op_s[i];
	if (r || old)
		return r;
	r = read_list(path, o, "op_fixed_s", p->n_op, &p->op_fixed_s, err);
	if (r && r != -ENOENT)
		return r;
	for (i = 0; !r && i < p->n_op; i++)
		if (p->op_fixed_s[i] > p->op_s[i])
			return kerf_fail(err, -EINVAL, "%s: op_fixed_s[%u] is above op_s", path, i);
	return read_features(path, o, p, err);
}

int kerf_profile_read(const char *path, struct kerf_profile *p, struct kerf_err *err)
{
	struct json_object *o;
	int r;

	memset(p, 0, sizeof(*p));
	r = kerf_store_read(path, &o, err);
	if (r)
		return r;
	r = parse(path, o, p, err);
	json_object_put(o);
	if (r)
		kerf_profile_finish(p);
	return r;
}

int kerf_profile_load(const struct kerf_graph *g, const char *engine, const char *machine,
		      struct kerf_profile *p, struct kerf_err *err)
{
	uint64_t fingerprint = kerf_graph_fingerprint(g);
	char *path;
	int r;

	memset(p, 0, sizeof(*p));
	r = profile_path(fingerprint, engine, machine, &path);
	if (r)
		return r;
	r = kerf_profile_read(path, p, err);
	if (!r && (p->fingerprint != fingerprint || strcmp(p->engine, engine) ||
		   strcmp(p->machine, machine)))
		r = kerf_fail(err, -EINVAL, "%s: of another graph, engine or machine", path);
	if (!r && p->n_op != g->n_op)
		r = kerf_fail(err, -EINVAL, "%s: op_s does not list %u operators", path, g->n_op);
	if (r)
		kerf_profile_finish(p);
	free(path);
	return r;
}

/* <16 hex digits>-<32>.json */
static int is_profile(const struct dirent *d)
{
	return strlen(d->d_name) == 54 && strspn(d->d_name, "0123456789abcdef") == 16 &&
	       d->d_name[16] == '-' && !strcmp(d->d_name + 49, ".json");
}

int kerf_profile_each(int (*each)(const struct kerf_profile *p, void *user), void *user,
		      uint32_t *bad, struct kerf_err *err)
{
	struct dirent **name = NULL;
	char *folder, *path;
	uint32_t damaged = 0;
	int r = kerf_store_path("", &folder), n, i;

	if (r)
		return r;
	n = scandir(folder, &name, is_profile, alphasort);
	if (n < 0)
		r = kerf_fail(err, -errno, "%s: %s", folder, strerror(errno));
	for (i = 0; i < n; i++) {
		struct kerf_profile p;

		if (!r && !kerf_store_path(name[i]->d_name, &path)) {
			if (kerf_profile_read(path, &p, NULL)) {
				damaged++;
			} else {
				r = each(&p, user);
				kerf_profile_finish(&p);
			}
			free(path);
		}
		free(name[i]);
	}
	free(name);
	free(folder);
	if (bad)
		*bad = damaged;
	return r;
}

void kerf_profile_finish(struct kerf_profile *p)
{
	free(p->op_s);
	free(p->op_fixed_s);
	free(p->op);
	memset(p, 0, sizeof(*p));
}
