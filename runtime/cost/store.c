/* SPDX-License-Identifier: MIT */
#include "cost/store.h"

#include "util/digest.h"
#include "util/file.h"

#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MAX_FILE (16u << 20)
#define MAX_DEPTH 8

void kerf_store_key(const char *engine, const char *machine, char key[KERF_STORE_KEY])
{
	char text[512];
	uint8_t hash[32];

	snprintf(text, sizeof(text), "%s\n%s", engine, machine);
	kerf_sha256(text, strlen(text), hash);
	kerf_hex(hash, 16, key);
}

int kerf_store_path(const char *name, char **path)
{
	const char *dir = getenv("KERF_PROFILE_DIR"), *cache = getenv("XDG_CACHE_HOME");
	const char *home = getenv("HOME");
	int n;

	if (dir && *dir)
		n = asprintf(path, "%s/%s", dir, name);
	else if (cache && *cache)
		n = asprintf(path, "%s/kerf/profiles/%s", cache, name);
	else
		n = asprintf(path, "%s/.cache/kerf/profiles/%s", home && *home ? home : "/tmp", name);
	if (n < 0)
		*path = NULL;
	return n < 0 ? -ENOMEM : 0;
}

static int make_folders(const char *path)
{
	char *copy = strdup(path), *s;
	int r = copy ? 0 : -ENOMEM;

	for (s = copy ? copy + 1 : NULL; s && !r && (s = strchr(s, '/')); s++) {
		*s = 0;
		if (mkdir(copy, 0777) && errno != EEXIST)
			r = -errno;
		*s = '/';
	}
	free(copy);
	return r;
}

int kerf_store_read(const char *path, struct json_object **o, struct kerf_err *err)
{
	struct json_tokener *tok;
	void *text = NULL;
	size_t n;
	int r;

	*o = NULL;
	r = kerf_file_read(path, MAX_FILE, &text, &n, err);
	if (r)
		return r;
	tok = json_tokener_new_ex(MAX_DEPTH);
	*o = tok ? json_tokener_parse_ex(tok, text, (int)n) : NULL;
	if (!tok)
		r = -ENOMEM;
	else if (!*o)
		r = kerf_fail(err, -EINVAL, "%s: not JSON: %s", path,
			      json_tokener_error_desc(json_tokener_get_error(tok)));
	else if (!json_object_is_type(*o, json_type_object))
		r = kerf_fail(err, -EINVAL, "%s: not a JSON object", path);
	if (r) {
		json_object_put(*o);
		*o = NULL;
	}
	json_tokener_free(tok);
	free(text);
	return r;
}

int kerf_store_write(const char *path, struct json_object *o, struct kerf_err *err)
{
	int r = make_folders(path);
	const char *text;

	if (r)
		return kerf_fail(err, r, "%s: %s", path, strerror(-r));
	text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN);
	return text ? kerf_file_write(path, text, strlen(text), err) : -ENOMEM;
}

int kerf_store_number(const char *path, struct json_object *o, const char *key, double min,
		      double max, double *v, struct kerf_err *err)
{
	struct json_object *x;

	if (!json_object_object_get_ex(o, key, &x))
		return -ENOENT;
	if (!json_object_is_type(x, json_type_double) && !json_object_is_type(x, json_type_int))
		return kerf_fail(err, -EINVAL, "%s: %s is no number", path, key);
	*v = json_object_get_double(x);
	/* Written so that NaN fails. */
	if (!(*v >= min && *v <= max))
		return kerf_fail(err, -EINVAL, "%s: %s is %g, expected %g to %g", path, key, *v, min,
				 max);
	return 0;
}

bool kerf_store_is(struct json_object *o, const char *key, const char *text)
{
	struct json_object *v;

	return json_object_object_get_ex(o, key, &v) &&
	       json_object_is_type(v, json_type_string) && !strcmp(json_object_get_string(v), text);
}

int kerf_store_text(const char *path, struct json_object *o, const char *key, char *out,
		    size_t size, struct kerf_err *err)
{
	struct json_object *v;

	if (!json_object_object_get_ex(o, key, &v) || !json_object_is_type(v, json_type_string))
		return kerf_fail(err, -EINVAL, "%s: no text %s", path, key);
	if ((size_t)json_object_get_string_len(v) >= size)
		return kerf_fail(err, -EINVAL, "%s: %s is too long", path, key);
	snprintf(out, size, "%s", json_object_get_string(v));
	return 0;
}
