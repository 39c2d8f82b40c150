/* SPDX-License-Identifier: MIT */
/*
 * The state as JSON: members are called and measured as in a trace (docs/trace.md), what is left
 * out is 0. A record whose publisher wrote what no field holds is {"refused": true}.
 */
#include "cli/top.h"

#include "telemetry/source_name.h"
#include "telemetry/trace_fields.h"

#include <json-c/json.h>

#define FIELD(s, m, most)                                                                         \
	{                                                                                         \
#m, KERF_FIELD_UNSIGNED, offsetof(struct s, m), sizeof(((struct s *)0)->m), most, \
			NULL                                                                      \
	}
#define NUMBER(s, m) FIELD(s, m, UINT64_MAX)
#define SIGNED(s, m)                                                                              \
	{                                                                                         \
#m, KERF_FIELD_SIGNED, offsetof(struct s, m), sizeof(((struct s *)0)->m), 0, NULL \
	}
#define TEXT(s, m)                                                                              \
	{                                                                                       \
#m, KERF_FIELD_TEXT, offsetof(struct s, m), sizeof(((struct s *)0)->m), 0, NULL \
	}
#define SOURCE(s, m)                                                     \
	{                                                                \
#m, KERF_FIELD_SOURCE, offsetof(struct s, m), 1, 0, NULL \
	}
#define END                                              \
	{                                                \
		NULL, KERF_FIELD_UNSIGNED, 0, 0, 0, NULL \
	}

static const struct kerf_trace_field engine_fields[] = {
	TEXT(kerf_engine_rec, name),
	NUMBER(kerf_engine_rec, kind),
	NUMBER(kerf_engine_rec, device),
	NUMBER(kerf_engine_rec, index),
	SOURCE(kerf_engine_rec, source),
	NUMBER(kerf_engine_rec, queued),
	NUMBER(kerf_engine_rec, started),
	NUMBER(kerf_engine_rec, done),
	NUMBER(kerf_engine_rec, dropped),
	NUMBER(kerf_engine_rec, errors),
	NUMBER(kerf_engine_rec, wait_ns),
	NUMBER(kerf_engine_rec, busy_ns),
	NUMBER(kerf_engine_rec, bytes),
	NUMBER(kerf_engine_rec, updated_ns),
	END,
};

static const struct kerf_trace_field zone_fields[] = {
	TEXT(kerf_zone_rec, name),
	NUMBER(kerf_zone_rec, kind),
	NUMBER(kerf_zone_rec, id),
	SIGNED(kerf_zone_rec, temperature_mc),
	NUMBER(kerf_zone_rec, trip_mc),
	NUMBER(kerf_zone_rec, freq_khz),
	NUMBER(kerf_zone_rec, max_khz),
	NUMBER(kerf_zone_rec, throttled),
	SOURCE(kerf_zone_rec, source),
	NUMBER(kerf_zone_rec, updated_ns),
	END,
};

/* o goes into list; NULL when there is no memory. */
static json_object *push(json_object *list)
{
	json_object *o = json_object_new_object();

	if (o && !json_object_array_add(list, o))
		return o;
	json_object_put(o);
	return NULL;
}

static int members(json_object *o, const struct kerf_trace_field *f, const void *base)
{
	int r = o ? kerf_trace_members(o, f, base) : -ENOMEM;

	if (r == -EINVAL)
		r = json_object_object_add(o, "refused", json_object_new_boolean(true)) ? -ENOMEM
											: 0;
	return r;
}

static json_object *list_of(json_object *root, const char *name)
{
	json_object *list = json_object_new_array();

	if (list && !json_object_object_add(root, name, list))
		return list;
	json_object_put(list);
	return NULL;
}

static int add_records(json_object *root, const char *name, const struct kerf_trace_field *f,
		       const void *records, size_t size, uint32_t n)
{
	json_object *list = list_of(root, name);
	int r = list ? 0 : -ENOMEM;
	uint32_t i;

	for (i = 0; i < n && !r; i++)
		r = members(push(list), f, (const char *)records + i * size);
	return r;
}

static int add_nodes(json_object *root, const struct kerf_state *s)
{
	json_object *list = list_of(root, "nodes");
	int r = list ? 0 : -ENOMEM;
	uint32_t i;

	for (i = 0; i < s->n_node && !r; i++) {
		json_object *o;

		if (i && !s->node[i].url[0])
			continue;
		o = push(list);
		if (o && json_object_object_add(o, "index", json_object_new_int((int)i)))
			o = NULL;
		r = members(o, kerf_trace_node, &s->node[i]);
	}
	return r;
}

static int add_real(json_object *o, const char *key, double v)
{
	char text[32];

	snprintf(text, sizeof(text), "%.4f", v);
	return json_object_object_add(o, key, json_object_new_double_s(v, text));
}

static int add_cpus(json_object *root, const struct kerf_top_sample *before,
		    const struct kerf_top_sample *now)
{
	json_object *list = list_of(root, "cpus"), *o;
	int r = list ? 0 : -ENOMEM;
	struct kerf_top_cpu c;
	uint32_t i;

	for (i = 0; i < now->n_cpu && !r; i++) {
		if (!kerf_top_cpu(before, now, i, &c))
			continue;
		o = push(list);
		if (!o || json_object_object_add(o, "cpu", json_object_new_int((int)i)) ||
		    add_real(o, "fair", c.fair) || add_real(o, "rt", c.rt) ||
		    add_real(o, "own", c.own) || add_real(o, "waiting", c.wait) ||
		    json_object_object_add(
			    o, "source",
			    json_object_new_string(kerf_source_name(now->cpu[i].source))))
			r = -ENOMEM;
	}
	return r;
}

static int add_sources(json_object *root, const struct kerf_state_head *head)
{
	static const char *const names[KERF_N_REGION] = {
		[KERF_REGION_LINKS] = "links",	   [KERF_REGION_CPUS] = "cpus",
		[KERF_REGION_ENGINES] = "engines", [KERF_REGION_ZONES] = "zones",
		[KERF_REGION_STATE] = "state",	   [KERF_REGION_TRANSFERS] = "transfers",
	};
	static const struct kerf_trace_field fields[] = {SOURCE(kerf_region_info, source),
							 TEXT(kerf_region_info, reason), END};
	json_object *all = json_object_new_object(), *o;
	int r = 0;
	uint32_t i;

	if (!all || json_object_object_add(root, "sources", all)) {
		json_object_put(all);
		return -ENOMEM;
	}
	for (i = KERF_REGION_LINKS; i < KERF_N_REGION && !r; i++) {
		o = json_object_new_object();
		if (!o || json_object_object_add(all, names[i], o)) {
			json_object_put(o);
			return -ENOMEM;
		}
		r = members(o, fields, &head->region[i]);
	}
	return r;
}

static int fill(json_object *root, const struct kerf_top_sample *before,
		const struct kerf_top_sample *now)
{
	json_object *plan = json_object_new_object();
	int r;

	if (!plan || json_object_object_add(root, "t_ns", json_object_new_uint64(now->now_ns)) ||
	    json_object_object_add(root, "alive", json_object_new_boolean(now->alive)) ||
	    json_object_object_add(root, "pid", json_object_new_uint64(now->head.pid)) ||
	    json_object_object_add(root, "plan", plan)) {
		json_object_put(plan);
		return -ENOMEM;
	}
	r = members(plan, kerf_trace_plan, &now->state.plan);
	if (!r)
		r = add_nodes(root, &now->state);
	if (!r)
		r = add_records(root, "links", kerf_trace_link, now->link, sizeof(now->link[0]),
				now->n_link);
	if (!r)
		r = add_cpus(root, before, now);
	if (!r)
		r = add_records(root, "engines", engine_fields, now->engine, sizeof(now->engine[0]),
				now->n_engine);
	if (!r)
		r = add_records(root, "zones", zone_fields, now->zone, sizeof(now->zone[0]),
				now->n_zone);
	return r ? r : add_sources(root, &now->head);
}

int kerf_top_print_json(const struct kerf_top_sample *before, const struct kerf_top_sample *now,
			FILE *f)
{
	json_object *root = json_object_new_object();
	int r = root ? fill(root, before, now) : -ENOMEM;

	if (!r)
		fprintf(f, "%s\n",
			json_object_to_json_string_ext(
				root, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(root);
	return r;
}
