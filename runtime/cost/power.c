/* SPDX-License-Identifier: MIT */
#include "cost/power.h"

#include "cost/store.h"

#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#define FORMAT 1
#define MAX_W 1e5
#define MAX_J_BYTE 1.0

struct field {
	const char *key;
	double max;
	double *value;
};

/* An object of these numbers and nothing else. */
static int read_fields(const char *path, const char *name, struct json_object *o,
		       const struct field *field, uint32_t n, struct kerf_err *err)
{
	uint32_t i;

	if (!json_object_is_type(o, json_type_object))
		return kerf_fail(err, -EINVAL, "%s: %s is not an object", path, name);
	json_object_object_foreach(o, key, value) {
		(void)value;
		for (i = 0; i < n && strcmp(key, field[i].key); i++)
			;
		if (i == n)
			return kerf_fail(err, -EINVAL, "%s: %s has an unknown key '%s'", path, name, key);
	}
	for (i = 0; i < n; i++) {
		int r = kerf_store_number(path, o, field[i].key, 0, field[i].max, field[i].value,
					  err);

		if (r && r != -ENOENT) {
			kerf_err_prefix(err, "%s", name);
			return r;
		}
	}
	return 0;
}

static int copy_name(const char *path, const char *name, char *out, size_t size,
		     struct kerf_err *err)
{
	if (!*name || strlen(name) >= size)
		return kerf_fail(err, -EINVAL, "%s: a name of %zu characters, expected 1 to %zu", path,
				 strlen(name), size - 1);
	snprintf(out, size, "%s", name);
	return 0;
}

static int read_engine(const char *path, const char *name, struct json_object *o,
		       struct kerf_power *p, struct kerf_err *err)
{
	struct kerf_power_engine *e = &p->engine[p->n_engine++];
	const struct field fields[] = {{"active_w", MAX_W, &e->active_w}};
	int r = copy_name(path, name, e->name, sizeof(e->name), err);

	return r ? r : read_fields(path, name, o, fields, KERF_ARRAY_SIZE(fields), err);
}

static int read_node(const char *path, const char *name, struct json_object *o,
		     struct kerf_power *p, struct kerf_err *err)
{
	struct kerf_power_node *n = &p->node[p->n_node++];
	const struct field fields[] = {{"idle_w", MAX_W, &n->idle_w},
				       {"send_j_byte", MAX_J_BYTE, &n->send_j_byte},
				       {"receive_j_byte", MAX_J_BYTE, &n->receive_j_byte}};
	int r = copy_name(path, name, n->name, sizeof(n->name), err);

	return r ? r : read_fields(path, name, o, fields, KERF_ARRAY_SIZE(fields), err);
}

/* Every entry of o[key], which may be absent. */
static int read_each(const char *path, struct json_object *o, const char *key,
		     int (*read)(const char *path, const char *name, struct json_object *o,
				 struct kerf_power *p, struct kerf_err *err),
		     struct kerf_power *p, struct kerf_err *err)
{
	struct json_object *all;
	int r = 0;

	if (!json_object_object_get_ex(o, key, &all))
		return 0;
	if (!json_object_is_type(all, json_type_object) ||
	    json_object_object_length(all) > KERF_POWER_MAX)
		return kerf_fail(err, -EINVAL, "%s: %s is not an object of at most %d", path, key,
				 KERF_POWER_MAX);
	json_object_object_foreach(all, name, value) {
		r = read(path, name, value, p, err);
		if (r)
			break;
	}
	return r;
}

int kerf_power_read(const char *path, struct kerf_power *p, struct kerf_err *err)
{
	struct json_object *o, *v;
	int r;

	memset(p, 0, sizeof(*p));
	r = kerf_store_read(path, &o, err);
	if (r)
		return r;
	if (!json_object_object_get_ex(o, "kerf_power", &v) ||
	    !json_object_is_type(v, json_type_int) || json_object_get_int(v) != FORMAT)
		r = kerf_fail(err, -EINVAL, "%s: kerf_power is not %d", path, FORMAT);
	json_object_object_foreach(o, key, value) {
		(void)value;
		if (strcmp(key, "kerf_power") && strcmp(key, "engines") && strcmp(key, "nodes") && !r)
			r = kerf_fail(err, -EINVAL, "%s: unknown key '%s', expected engines and nodes",
				      path, key);
	}
	if (!r)
		r = read_each(path, o, "engines", read_engine, p, err);
	if (!r)
		r = read_each(path, o, "nodes", read_node, p, err);
	json_object_put(o);
	return r;
}

const struct kerf_power_engine *kerf_power_engine(const struct kerf_power *p, const char *name)
{
	const struct kerf_power_engine *any = NULL;
	uint32_t i;

	for (i = 0; i < p->n_engine; i++) {
		if (!strcmp(p->engine[i].name, name))
			return &p->engine[i];
		if (!strcmp(p->engine[i].name, "*"))
			any = &p->engine[i];
	}
	return any;
}

const struct kerf_power_node *kerf_power_node(const struct kerf_power *p, const char *name)
{
	const struct kerf_power_node *any = NULL;
	uint32_t i;

	for (i = 0; i < p->n_node; i++) {
		if (!strcmp(p->node[i].name, name))
			return &p->node[i];
		if (!strcmp(p->node[i].name, "*"))
			any = &p->node[i];
	}
	return any;
}
