/* SPDX-License-Identifier: MIT */
#include "sim/fields.h"

#include <json-c/json.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

void kerf_field_fail(const struct kerf_field_at *at, const char *key, const char *expected,
		     struct json_object *found)
{
	const char *text =
		found ? json_object_to_json_string_ext(found, JSON_C_TO_STRING_PLAIN) : NULL;
	bool inside = at->where[0];

	if (at->f->failed)
		return;
	at->f->failed = kerf_fail(at->f->err, -EINVAL, "%s: %s%s%s: expected %s, found %.60s",
				  at->f->path, at->where, inside && key[0] ? "." : "", key,
				  expected, text ? text : "nothing");
}

void kerf_field_only(const struct kerf_field_at *at, const char *keys)
{
	json_object_object_foreach(at->o, key, value)
	{
		size_t n = strlen(key);
		const char *p = keys;

		while ((p = strstr(p, key)) && n &&
		       ((p != keys && p[-1] != ' ') || (p[n] && p[n] != ' ')))
			p += n;
		if (!p || !n) {
			char expected[400];

			snprintf(expected, sizeof(expected), "none but: %s", keys);
			kerf_field_fail(at, key, expected, value);
			return;
		}
	}
}

bool kerf_field_has(const struct kerf_field_at *at, const char *key)
{
	return !at->f->failed && json_object_object_get_ex(at->o, key, NULL);
}

static struct json_object *get(const struct kerf_field_at *at, const char *key)
{
	struct json_object *v = NULL;

	if (!at->f->failed)
		json_object_object_get_ex(at->o, key, &v);
	return v;
}

double kerf_field_number(const struct kerf_field_at *at, const char *key, double min, double max,
			 double absent)
{
	bool there = kerf_field_has(at, key);
	struct json_object *v = get(at, key);
	double x = 0;
	char expected[96];

	if (!there && !isnan(absent))
		return absent;
	if (json_object_is_type(v, json_type_int) || json_object_is_type(v, json_type_double)) {
		x = json_object_get_double(v);
		if (x >= min && x <= max)
			return x;
	}
	snprintf(expected, sizeof(expected), "a number from %g to %g", min, max);
	kerf_field_fail(at, key, expected, v);
	return min;
}

bool kerf_field_bool(const struct kerf_field_at *at, const char *key, bool absent)
{
	struct json_object *v = get(at, key);

	if (!kerf_field_has(at, key))
		return absent;
	if (!json_object_is_type(v, json_type_boolean))
		kerf_field_fail(at, key, "true or false", v);
	return json_object_get_boolean(v);
}

const char *kerf_field_text(const struct kerf_field_at *at, const char *key, const char *absent)
{
	struct json_object *v = get(at, key);

	if (!kerf_field_has(at, key) && !(absent && !absent[0]))
		return absent;
	if (!json_object_is_type(v, json_type_string)) {
		kerf_field_fail(at, key, "a text", v);
		return "";
	}
	return json_object_get_string(v);
}

void kerf_field_name(const struct kerf_field_at *at, const char *key, char *out, size_t size,
		     const char *absent)
{
	const char *text = kerf_field_text(at, key, absent);
	char expected[64];

	out[0] = 0;
	if (at->f->failed)
		return;
	if (!text[0] || strlen(text) >= size) {
		snprintf(expected, sizeof(expected), "a text of 1 to %zu bytes", size - 1);
		kerf_field_fail(at, key, expected, get(at, key));
		return;
	}
	memcpy(out, text, strlen(text) + 1);
}

int kerf_field_choice(const struct kerf_field_at *at, const char *key, const char *choices,
		      int absent)
{
	const char *text, *p = choices;
	char expected[200];
	size_t n;
	int i;

	if (!kerf_field_has(at, key) && absent >= 0)
		return absent;
	text = kerf_field_text(at, key, "");
	if (at->f->failed)
		return 0;
	for (i = 0; *p; i++) {
		n = strcspn(p, " ");
		if (strlen(text) == n && !memcmp(text, p, n))
			return i;
		p += n + (p[n] == ' ');
	}
	snprintf(expected, sizeof(expected), "one of: %s", choices);
	kerf_field_fail(at, key, expected, get(at, key));
	return 0;
}

struct json_object *kerf_field_list(const struct kerf_field_at *at, const char *key, uint32_t max,
				    bool needed, uint32_t *n)
{
	struct json_object *v = get(at, key);
	char expected[64];

	*n = 0;
	if (at->f->failed || (!kerf_field_has(at, key) && !needed))
		return NULL;
	if (!json_object_is_type(v, json_type_array) || json_object_array_length(v) < 1 ||
	    json_object_array_length(v) > max) {
		snprintf(expected, sizeof(expected), "a list of 1 to %u", max);
		kerf_field_fail(at, key, expected, v);
		return NULL;
	}
	*n = (uint32_t)json_object_array_length(v);
	return v;
}

struct kerf_field_at kerf_field_element(const struct kerf_field_at *at, const char *key,
					struct json_object *list, uint32_t i)
{
	struct kerf_field_at e = {.f = at->f, .o = json_object_array_get_idx(list, i)};

	snprintf(e.where, sizeof(e.where), "%.40s%s%.30s[%u]", at->where, at->where[0] ? "." : "", key, i);
	if (!json_object_is_type(e.o, json_type_object))
		kerf_field_fail(&e, "", "an object", e.o);
	return e;
}
