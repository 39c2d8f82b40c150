/* SPDX-License-Identifier: MIT */
#include "plan/plan_json.h"

#include "plan/goal.h"
#include "plan/plan_check.h"
#include "util/digest.h"
#include "util/file.h"

#include <inttypes.h>
#include <json-c/json.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FORM 1
#define MAX_DEPTH 8
#define MAX_STEPS 65536
#define MAX_EDGES 1000000

static void identity(const struct kerf_graph *g, char model[KERF_SHA256_HEX], char graph[17])
{
	uint8_t digest[32];

	kerf_graph_model_sha256(g, digest);
	kerf_hex(digest, sizeof(digest), model);
	snprintf(graph, 17, "%016" PRIx64, kerf_graph_fingerprint(g));
}

/* --- writing --- */

static void add_text(struct json_object *o, const char *key, const char *text)
{
	json_object_object_add(o, key, json_object_new_string(text ? text : ""));
}

static void add_int(struct json_object *o, const char *key, int64_t i)
{
	json_object_object_add(o, key, json_object_new_int64(i));
}

static void add_number(struct json_object *o, const char *key, double x)
{
	json_object_object_add(o, key, json_object_new_double(isfinite(x) ? x : 0));
}

static void add_rows(struct json_object *o, const char *key, struct kerf_rows rows)
{
	struct json_object *pair;

	if (!rows.begin && !rows.end)
		return;
	pair = json_object_new_array();
	json_object_array_add(pair, json_object_new_int64(rows.begin));
	json_object_array_add(pair, json_object_new_int64(rows.end));
	json_object_object_add(o, key, pair);
}

static struct json_object *step_json(const struct kerf_plan_step *s, const char *engine)
{
	struct json_object *o = json_object_new_object(), *list = json_object_new_array();
	uint32_t i;

	add_text(o, "engine", engine);
	for (i = 0; i < s->n_op; i++)
		json_object_array_add(list, json_object_new_int64(s->op[i]));
	json_object_object_add(o, "operators", list);
	add_rows(o, "rows", s->rows);
	add_rows(o, "channels", s->channels);
	if (s->padded)
		json_object_object_add(o, "padded", json_object_new_boolean(true));
	if (s->stage)
		add_int(o, "stage", s->stage);
	if (s->share) {
		list = json_object_new_array();
		for (i = 0; i < s->n_op; i++)
			json_object_array_add(list, json_object_new_double((double)s->share[i]));
		json_object_object_add(o, "share", list);
	}
	add_number(o, "compute_s", s->compute_s);
	add_number(o, "start_s", s->start_s);
	add_number(o, "end_s", s->end_s);
	return o;
}

static void add_place(struct json_object *o, const char *key, uint32_t step)
{
	if (step == KERF_PLAN_HOME)
		add_text(o, key, "home");
	else
		add_int(o, key, step);
}

static struct json_object *edge_json(const struct kerf_graph *g, const struct kerf_plan_edge *e)
{
	struct json_object *o = json_object_new_object();

	add_int(o, "value", e->value);
	add_text(o, "name", g->value[e->value].name);
	add_place(o, "from", e->from);
	add_place(o, "to", e->to);
	add_rows(o, "rows", e->rows);
	add_rows(o, "channels", e->channels);
	if (e->codec != KERF_CODEC_NONE)
		add_text(o, "codec", kerf_codec_name(e->codec));
	if (e->relayed)
		json_object_object_add(o, "relayed", json_object_new_boolean(true));
	add_number(o, "bytes", e->bytes);
	add_number(o, "start_s", e->start_s);
	add_number(o, "end_s", e->end_s);
	return o;
}

struct json_object *kerf_plan_to_json(const struct kerf_graph *g, const struct kerf_plan *plan,
				      const char *const *engine)
{
	struct json_object *o = json_object_new_object(), *steps = json_object_new_array();
	struct json_object *edges = json_object_new_array();
	char model[KERF_SHA256_HEX], graph[17];
	uint32_t i;

	if (!o || !steps || !edges) {
		json_object_put(o);
		json_object_put(steps);
		json_object_put(edges);
		return NULL;
	}
	identity(g, model, graph);
	add_int(o, "kerf_plan", FORM);
	add_text(o, "model_sha256", model);
	add_text(o, "graph", graph);
	add_text(o, "policy", plan->policy);
	add_text(o, "reason", plan->reason);
	if (plan->exit >= 0)
		add_text(o, "exit", g->value[g->out[g->exit[plan->exit].output]].name);
	add_number(o, "total_s", plan->total_s);
	add_number(o, "period_s", plan->period_s);
	add_number(o, "energy_j", plan->energy_j);
	add_number(o, "wire_bytes", plan->wire_bytes);
	add_number(o, "memory_bytes", plan->memory_bytes);
	add_number(o, "accuracy", plan->accuracy);
	for (i = 0; i < plan->n_step; i++)
		json_object_array_add(steps,
				      step_json(&plan->step[i], engine[plan->step[i].engine]));
	for (i = 0; i < plan->n_edge; i++)
		json_object_array_add(edges, edge_json(g, &plan->edge[i]));
	json_object_object_add(o, "steps", steps);
	json_object_object_add(o, "edges", edges);
	return o;
}

/* --- reading --- */

struct reader {
	struct kerf_graph *g;
	const char *const *engine;
	uint32_t n_engine;
	struct kerf_plan *plan;
	struct kerf_err *err;
	char where[48]; /* "steps[3]" */
};

static int bad(const struct reader *r, const char *key, const char *expected)
{
	return kerf_fail(r->err, -EINVAL, "plan: %s%s%s: expected %s", r->where,
			 r->where[0] && key[0] ? "." : "", key, expected);
}

/* Whole numbers from min to max; json-c would clamp what it cannot hold, so those are refused. */
static int int_of(struct json_object *o, int64_t min, int64_t max, int64_t *i)
{
	if (!json_object_is_type(o, json_type_int))
		return -EINVAL;
	*i = json_object_get_int64(o);
	return *i < min || *i > max ? -EINVAL : 0;
}

/* What is predicted: numbers that steer nothing. Absent: 0. */
static double number(struct json_object *o, const char *key)
{
	struct json_object *x = json_object_object_get(o, key);
	double d = json_object_is_type(x, json_type_double) || json_object_is_type(x, json_type_int)
			   ? json_object_get_double(x)
			   : 0;

	return isfinite(d) ? d : 0;
}

/* Absent: {0, 0}. */
static int read_rows(const struct reader *r, struct json_object *o, const char *key,
		     struct kerf_rows *rows)
{
	struct json_object *pair = json_object_object_get(o, key);

	if (!pair)
		return 0;
	if (!json_object_is_type(pair, json_type_array) || json_object_array_length(pair) != 2 ||
	    int_of(json_object_array_get_idx(pair, 0), 0, INT32_MAX, &rows->begin) ||
	    int_of(json_object_array_get_idx(pair, 1), rows->begin + 1, INT32_MAX, &rows->end))
		return bad(r, key, "[begin, end) as two ascending whole numbers");
	return 0;
}

static int read_flag(const struct reader *r, struct json_object *o, const char *key, bool *flag)
{
	struct json_object *x = json_object_object_get(o, key);

	if (x && !json_object_is_type(x, json_type_boolean))
		return bad(r, key, "true or false");
	*flag = x && json_object_get_boolean(x);
	return 0;
}

static int read_engine(const struct reader *r, struct json_object *o, uint32_t *engine)
{
	struct json_object *x = json_object_object_get(o, "engine");
	const char *name =
		json_object_is_type(x, json_type_string) ? json_object_get_string(x) : NULL;

	if (!name)
		return bad(r, "engine", "the name of an engine");
	for (*engine = 0; *engine < r->n_engine; ++*engine)
		if (!strcmp(r->engine[*engine], name))
			return 0;
	return kerf_fail(r->err, -EINVAL, "plan: %s runs on engine '%.128s', which --on does not name",
			 r->where, name);
}

static int read_ops(const struct reader *r, struct json_object *o, struct kerf_plan_step *s)
{
	struct json_object *ops = json_object_object_get(o, "operators");
	struct json_object *share = json_object_object_get(o, "share");
	size_t n = json_object_is_type(ops, json_type_array) ? json_object_array_length(ops) : 0, i;
	int64_t id;

	if (!n || n > r->g->n_op)
		return bad(r, "operators", "a list of operators");
	s->op = malloc(n * sizeof(*s->op));
	if (!s->op)
		return -ENOMEM;
	for (i = 0; i < n; i++) {
		if (int_of(json_object_array_get_idx(ops, i), 0, (int64_t)r->g->n_op - 1, &id))
			return bad(r, "operators", "operators of the graph");
		s->op[i] = (uint32_t)id;
	}
	s->n_op = (uint32_t)n;
	if (!share)
		return 0;
	if (!json_object_is_type(share, json_type_array) || json_object_array_length(share) != n)
		return bad(r, "share", "a number for each operator");
	s->share = malloc(n * sizeof(*s->share));
	if (!s->share)
		return -ENOMEM;
	for (i = 0; i < n; i++) {
		s->share[i] = (float)json_object_get_double(json_object_array_get_idx(share, i));
		if (!(s->share[i] > 0 && s->share[i] <= 1))
			return bad(r, "share", "numbers above 0, at most 1");
	}
	return 0;
}

static int read_step(const struct reader *r, struct json_object *o)
{
	struct kerf_plan_step *s = kerf_plan_add_step(r->plan);
	struct json_object *stage = json_object_object_get(o, "stage");
	int64_t i = 0;
	int ret;

	if (!s)
		return -ENOMEM;
	if (!json_object_is_type(o, json_type_object))
		return bad(r, "", "an object");
	ret = read_engine(r, o, &s->engine);
	if (!ret)
		ret = read_ops(r, o, s);
	if (!ret)
		ret = read_rows(r, o, "rows", &s->rows);
	if (!ret)
		ret = read_rows(r, o, "channels", &s->channels);
	if (!ret)
		ret = read_flag(r, o, "padded", &s->padded);
	if (!ret && stage && int_of(stage, 0, MAX_STEPS, &i))
		ret = bad(r, "stage", "a whole number");
	s->stage = (uint32_t)i;
	s->compute_s = number(o, "compute_s");
	s->start_s = number(o, "start_s");
	s->end_s = number(o, "end_s");
	return ret;
}

static int read_place(const struct reader *r, struct json_object *o, const char *key,
		      uint32_t *step)
{
	struct json_object *x = json_object_object_get(o, key);
	int64_t i;

	*step = KERF_PLAN_HOME;
	if (json_object_is_type(x, json_type_string) && !strcmp(json_object_get_string(x), "home"))
		return 0;
	if (int_of(x, 0, (int64_t)r->plan->n_step - 1, &i))
		return bad(r, key, "a step, or \"home\"");
	*step = (uint32_t)i;
	return 0;
}

static int read_codec(const struct reader *r, struct json_object *o, enum kerf_codec *codec)
{
	struct json_object *x = json_object_object_get(o, "codec");
	int found = 0;

	if (x)
		found = json_object_is_type(x, json_type_string)
				? kerf_codec_find(json_object_get_string(x))
				: -EINVAL;
	if (found < 0)
		return bad(r, "codec", "none, f16 or int8");
	*codec = (enum kerf_codec)found;
	return 0;
}

static int read_edge(const struct reader *r, struct json_object *o)
{
	struct kerf_plan_edge *e = kerf_plan_add_edge(r->plan);
	int64_t value = 0;
	int ret;

	if (!e)
		return -ENOMEM;
	if (!json_object_is_type(o, json_type_object))
		return bad(r, "", "an object");
	if (int_of(json_object_object_get(o, "value"), 0, (int64_t)r->g->n_value - 1, &value))
		return bad(r, "value", "a value of the graph");
	e->value = (int32_t)value;
	ret = read_place(r, o, "from", &e->from);
	if (!ret)
		ret = read_place(r, o, "to", &e->to);
	if (!ret)
		ret = read_rows(r, o, "rows", &e->rows);
	if (!ret)
		ret = read_rows(r, o, "channels", &e->channels);
	if (!ret)
		ret = read_codec(r, o, &e->codec);
	if (!ret)
		ret = read_flag(r, o, "relayed", &e->relayed);
	e->bytes = number(o, "bytes");
	e->start_s = number(o, "start_s");
	e->end_s = number(o, "end_s");
	return ret;
}

static int read_list(struct reader *r, struct json_object *root, const char *key, size_t max,
		     int (*read)(const struct reader *, struct json_object *))
{
	struct json_object *list = json_object_object_get(root, key);
	size_t n, i;
	int ret = 0;

	if (!json_object_is_type(list, json_type_array))
		return bad(r, key, "a list");
	n = json_object_array_length(list);
	if (n > max)
		return kerf_fail(r->err, -E2BIG, "plan: %s: %zu, more than %zu", key, n, max);
	for (i = 0; i < n && !ret; i++) {
		snprintf(r->where, sizeof(r->where), "%s[%zu]", key, i);
		ret = read(r, json_object_array_get_idx(list, i));
	}
	r->where[0] = 0;
	return ret;
}

static int check_identity(const struct reader *r, struct json_object *root)
{
	struct json_object *model = json_object_object_get(root, "model_sha256");
	struct json_object *graph = json_object_object_get(root, "graph");
	char sha[KERF_SHA256_HEX], print[17];
	int64_t form;

	if (int_of(json_object_object_get(root, "kerf_plan"), FORM, FORM, &form))
		return bad(r, "kerf_plan", "1");
	if (!json_object_is_type(model, json_type_string) ||
	    !json_object_is_type(graph, json_type_string))
		return bad(r, "model_sha256, graph", "the model's digest and the graph's");
	identity(r->g, sha, print);
	if (strcmp(json_object_get_string(model), sha) != 0)
		return kerf_fail(r->err, -EINVAL, "plan: it is for the model %.64s, not for this one, %s",
				 json_object_get_string(model), sha);
	if (strcmp(json_object_get_string(graph), print) != 0)
		return kerf_fail(r->err, -EINVAL,
				 "plan: it is for the graph %.16s (other shapes, or another version), not for this one, %s",
				 json_object_get_string(graph), print);
	return 0;
}

static int read_exit(const struct reader *r, struct json_object *root)
{
	struct json_object *x = json_object_object_get(root, "exit");
	const struct kerf_graph *g = r->g;
	uint32_t i;

	r->plan->exit = -1;
	if (!x)
		return 0;
	for (i = 0; i < g->n_exit && json_object_is_type(x, json_type_string); i++)
		if (!strcmp(g->value[g->out[g->exit[i].output]].name, json_object_get_string(x))) {
			r->plan->exit = (int32_t)i;
			return 0;
		}
	return bad(r, "exit", "the name of an exit");
}

static int read_plan(struct reader *r, struct json_object *root)
{
	struct json_object *policy, *reason;
	const struct kerf_policy *known;
	struct kerf_plan *plan = r->plan;
	int ret;

	if (!json_object_is_type(root, json_type_object))
		return bad(r, "", "an object");
	ret = check_identity(r, root);
	if (!ret)
		ret = read_exit(r, root);
	if (!ret)
		ret = read_list(r, root, "steps", MAX_STEPS, read_step);
	if (!ret)
		ret = read_list(r, root, "edges", MAX_EDGES, read_edge);
	if (ret)
		return ret;
	policy = json_object_object_get(root, "policy");
	known = json_object_is_type(policy, json_type_string)
			? kerf_policy_find(json_object_get_string(policy))
			: NULL;
	plan->policy = known ? known->name : "file";
	reason = json_object_object_get(root, "reason");
	if (json_object_is_type(reason, json_type_string))
		snprintf(plan->reason, sizeof(plan->reason), "%s", json_object_get_string(reason));
	plan->total_s = number(root, "total_s");
	plan->period_s = number(root, "period_s");
	plan->energy_j = number(root, "energy_j");
	plan->wire_bytes = number(root, "wire_bytes");
	plan->memory_bytes = number(root, "memory_bytes");
	plan->accuracy = number(root, "accuracy");
	kerf_plan_sort(plan);
	return kerf_plan_check(r->g, plan, r->err);
}

int kerf_plan_from_json(struct kerf_graph *g, const char *text, size_t size,
			const char *const *engine, uint32_t n_engine, struct kerf_plan *plan,
			struct kerf_err *err)
{
	struct reader r = {g, engine, n_engine, plan, err, ""};
	struct json_tokener *tok;
	struct json_object *root;
	int ret;

	memset(plan, 0, sizeof(*plan));
	if (size > KERF_PLAN_MAX_JSON)
		return kerf_fail(err, -E2BIG, "plan: %zu bytes, more than %zu", size, KERF_PLAN_MAX_JSON);
	tok = json_tokener_new_ex(MAX_DEPTH);
	if (!tok)
		return -ENOMEM;
	root = json_tokener_parse_ex(tok, text, (int)size);
	if (!root || json_tokener_get_error(tok) != json_tokener_success)
		ret = kerf_fail(err, -EINVAL, "plan: not JSON near byte %zu: %s",
				json_tokener_get_parse_end(tok),
				json_tokener_error_desc(json_tokener_get_error(tok)));
	else
		ret = read_plan(&r, root);
	json_object_put(root);
	json_tokener_free(tok);
	if (ret)
		kerf_plan_finish(plan);
	return ret;
}

int kerf_plan_read(struct kerf_graph *g, const char *path, const char *const *engine,
		   uint32_t n_engine, struct kerf_plan *plan, struct kerf_err *err)
{
	size_t size;
	void *text;
	int r = kerf_file_read(path, KERF_PLAN_MAX_JSON, &text, &size, err);

	if (r)
		return r;
	r = kerf_plan_from_json(g, text, size, engine, n_engine, plan, err);
	free(text);
	if (r)
		kerf_err_prefix(err, "%s", path);
	return r;
}
