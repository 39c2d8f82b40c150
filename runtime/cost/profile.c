/* SPDX-License-Identifier: MIT */
#include "cost/profile.h"

#include "util/digest.h"
#include "util/file.h"

#include <json-c/json.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define FORMAT 1
#define MAX_FILE (16u << 20)

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
			share[r] = run[r] > 0 ? (double)ns[(size_t)r * n_op + o] * 1e-9 / run[r] : 0;
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

static int make_folders(char *path)
{
	char *s;

	for (s = path + 1; (s = strchr(s, '/')); s++) {
		*s = 0;
		if (mkdir(path, 0777) && errno != EEXIST) {
			int r = -errno;

			*s = '/';
			return r;
		}
		*s = '/';
	}
	return 0;
}

/* *path is allocated. */
static int profile_path(uint64_t fingerprint, const char *engine, const char *machine, char **path)
{
	const char *dir = getenv("KERF_PROFILE_DIR"), *cache = getenv("XDG_CACHE_HOME");
	const char *home = getenv("HOME");
	char key[512], hex[33];
	uint8_t hash[32];
	int n;

	snprintf(key, sizeof(key), "%s\n%s", engine, machine);
	kerf_sha256(key, strlen(key), hash);
	kerf_hex(hash, 16, hex);
	if (dir && *dir)
		n = asprintf(path, "%s/%016llx-%s.json", dir, (unsigned long long)fingerprint, hex);
	else if (cache && *cache)
		n = asprintf(path, "%s/kerf/profiles/%016llx-%s.json", cache,
			     (unsigned long long)fingerprint, hex);
	else
		n = asprintf(path, "%s/.cache/kerf/profiles/%016llx-%s.json",
			     home && *home ? home : "/tmp", (unsigned long long)fingerprint, hex);
	return n < 0 ? -ENOMEM : 0;
}

int kerf_profile_save(const struct kerf_profile *p, struct kerf_err *err)
{
	struct json_object *o = json_object_new_object(), *ops = json_object_new_array();
	char *path = NULL, hex[17];
	const char *text;
	uint32_t i;
	int r = -ENOMEM;

	if (!o || !ops)
		goto out;
	snprintf(hex, sizeof(hex), "%016llx", (unsigned long long)p->fingerprint);
	json_object_object_add(o, "kerf_profile", json_object_new_int(FORMAT));
	json_object_object_add(o, "fingerprint", json_object_new_string(hex));
	json_object_object_add(o, "engine", json_object_new_string(p->engine));
	json_object_object_add(o, "machine", json_object_new_string(p->machine));
	json_object_object_add(o, "runs", json_object_new_int64(p->runs));
	for (i = 0; i < p->n_op; i++)
		json_object_array_add(ops, json_object_new_double(p->op_s[i]));
	json_object_object_add(o, "op_s", json_object_get(ops));
	r = profile_path(p->fingerprint, p->engine, p->machine, &path);
	if (!r)
		r = make_folders(path);
	if (r) {
		kerf_fail(err, r, "%s: %s", path ? path : "profile", strerror(-r));
		goto out;
	}
	text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN);
	r = text ? kerf_file_write(path, text, strlen(text), err) : -ENOMEM;
out:
	json_object_put(o);
	json_object_put(ops);
	free(path);
	return r;
}

static bool is_text(struct json_object *o, const char *key, const char *want)
{
	struct json_object *v;

	return json_object_object_get_ex(o, key, &v) &&
	       json_object_is_type(v, json_type_string) && !strcmp(json_object_get_string(v), want);
}

static int parse(const char *path, struct json_object *o, const struct kerf_graph *g,
		 const char *engine, const char *machine, struct kerf_profile *p,
		 struct kerf_err *err)
{
	struct json_object *v, *ops;
	char hex[17];
	uint32_t i;

	snprintf(hex, sizeof(hex), "%016llx", (unsigned long long)p->fingerprint);
	if (!json_object_object_get_ex(o, "kerf_profile", &v) || json_object_get_int(v) != FORMAT)
		return kerf_fail(err, -EINVAL, "%s: kerf_profile is not %d", path, FORMAT);
	if (!is_text(o, "fingerprint", hex) || !is_text(o, "engine", engine) ||
	    !is_text(o, "machine", machine))
		return kerf_fail(err, -EINVAL, "%s: of another graph, engine or machine", path);
	if (!json_object_object_get_ex(o, "op_s", &ops) ||
	    !json_object_is_type(ops, json_type_array) ||
	    json_object_array_length(ops) != g->n_op)
		return kerf_fail(err, -EINVAL, "%s: op_s does not list %u operators", path, g->n_op);
	p->runs = json_object_object_get_ex(o, "runs", &v) ? (uint32_t)json_object_get_int64(v) : 0;
	p->op_s = calloc(g->n_op + 1, sizeof(*p->op_s));
	if (!p->op_s)
		return -ENOMEM;
	p->n_op = g->n_op;
	for (i = 0; i < g->n_op; i++) {
		double s = json_object_get_double(json_object_array_get_idx(ops, i));

		if (!(s >= 0 && s < 1e6))
			return kerf_fail(err, -EINVAL, "%s: op_s[%u] is %g seconds", path, i, s);
		p->op_s[i] = s;
		p->run_s += s;
	}
	return 0;
}

int kerf_profile_load(const struct kerf_graph *g, const char *engine, const char *machine,
		      struct kerf_profile *p, struct kerf_err *err)
{
	struct json_tokener *tok = json_tokener_new_ex(8);
	struct json_object *o = NULL;
	char *path = NULL;
	void *text = NULL;
	size_t n;
	int r;

	memset(p, 0, sizeof(*p));
	p->fingerprint = kerf_graph_fingerprint(g);
	snprintf(p->engine, sizeof(p->engine), "%s", engine);
	snprintf(p->machine, sizeof(p->machine), "%s", machine);
	r = tok ? profile_path(p->fingerprint, engine, machine, &path) : -ENOMEM;
	if (!r)
		r = kerf_file_read(path, MAX_FILE, &text, &n, err);
	if (r)
		goto out;
	o = json_tokener_parse_ex(tok, text, (int)n);
	r = o ? parse(path, o, g, engine, machine, p, err)
	      : kerf_fail(err, -EINVAL, "%s: not JSON: %s", path,
			  json_tokener_error_desc(json_tokener_get_error(tok)));
out:
	if (r)
		kerf_profile_finish(p);
	json_tokener_free(tok);
	json_object_put(o);
	free(text);
	free(path);
	return r;
}

void kerf_profile_finish(struct kerf_profile *p)
{
	free(p->op_s);
	memset(p, 0, sizeof(*p));
}
