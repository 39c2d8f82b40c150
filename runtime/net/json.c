/* SPDX-License-Identifier: MIT */
#include "net/json.h"

#include <limits.h>
#include <string.h>

int kerf_json_parse(const char *text, size_t n, struct json_object **obj, struct kerf_err *err)
{
	struct json_tokener *tok;
	struct json_object *o;
	enum json_tokener_error why;
	size_t end;

	if (n > INT_MAX)
		return kerf_fail(err, -EFBIG, "JSON of %zu bytes", n);
	/* A NUL would end the text for json-c: what follows it must not pass unseen. */
	if (memchr(text, 0, n))
		return kerf_fail(err, -EINVAL, "JSON has a NUL byte");
	tok = json_tokener_new_ex(KERF_JSON_DEPTH);
	if (!tok)
		return -ENOMEM;
	json_tokener_set_flags(tok, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8 |
					    JSON_TOKENER_ALLOW_TRAILING_CHARS);
	o = json_tokener_parse_ex(tok, text, (int)n);
	why = json_tokener_get_error(tok);
	end = json_tokener_get_parse_end(tok);
	json_tokener_free(tok);
	if (why != json_tokener_success || !o) {
		json_object_put(o);
		return kerf_fail(err, -EINVAL, "not a JSON object: %s at byte %zu",
				 json_tokener_error_desc(why), end);
	}
	for (; end < n; end++)
		if (!strchr(" \t\r\n", text[end]))
			break;
	if (end < n || !json_object_is_type(o, json_type_object)) {
		json_object_put(o);
		if (end < n)
			return kerf_fail(err, -EINVAL, "JSON object followed by other bytes at %zu",
					 end);
		return kerf_fail(err, -EINVAL, "expected a JSON object");
	}
	*obj = o;
	return 0;
}

static int member(struct json_object *o, const char *name, enum json_type type,
		  struct json_object **v, struct kerf_err *err)
{
	if (!json_object_object_get_ex(o, name, v))
		return kerf_fail(err, -ENOENT, "'%s' is missing", name);
	if (!json_object_is_type(*v, type))
		return kerf_fail(err, -EINVAL, "'%s' is %s, expected %s", name,
				 json_type_to_name(json_object_get_type(*v)),
				 json_type_to_name(type));
	return 0;
}

int kerf_json_string(struct json_object *o, const char *name, const char **s, struct kerf_err *err)
{
	struct json_object *v;
	int r = member(o, name, json_type_string, &v, err);

	if (r)
		return r;
	*s = json_object_get_string(v);
	if (strlen(*s) != (size_t)json_object_get_string_len(v))
		return kerf_fail(err, -EINVAL, "'%s' has a NUL", name);
	return 0;
}

static int int_in_range(struct json_object *v, const char *name, int64_t min, int64_t max,
			int64_t *out, struct kerf_err *err)
{
	int64_t i;

	/* json-c saturates what does not fit: the ends of int64 are never legal here. */
	i = json_object_get_int64(v);
	if (i < min || i > max)
		return kerf_fail(err, -EINVAL, "'%s' is %lld, expected %lld to %lld", name, (long long)i,
				 (long long)min, (long long)max);
	*out = i;
	return 0;
}

int kerf_json_int(struct json_object *o, const char *name, int64_t min, int64_t max, int64_t *out,
		  struct kerf_err *err)
{
	struct json_object *v;
	int r = member(o, name, json_type_int, &v, err);

	return r ? r : int_in_range(v, name, min, max, out, err);
}

int kerf_json_bool(struct json_object *o, const char *name, bool *out, struct kerf_err *err)
{
	struct json_object *v;
	int r = member(o, name, json_type_boolean, &v, err);

	if (!r)
		*out = json_object_get_boolean(v);
	return r;
}

int kerf_json_array(struct json_object *o, const char *name, size_t max,
		    struct json_object **array, struct kerf_err *err)
{
	int r = member(o, name, json_type_array, array, err);

	if (!r && json_object_array_length(*array) > max)
		return kerf_fail(err, -EINVAL, "'%s' has %zu elements, at most %zu expected", name,
				 json_object_array_length(*array), max);
	return r;
}

int kerf_json_object(struct json_object *o, const char *name, struct json_object **v,
		     struct kerf_err *err)
{
	return member(o, name, json_type_object, v, err);
}

int kerf_json_int_opt(struct json_object *o, const char *name, int64_t min, int64_t max,
		      int64_t *v, struct kerf_err *err)
{
	return json_object_object_get_ex(o, name, NULL) ? kerf_json_int(o, name, min, max, v, err)
							: 0;
}

int kerf_json_bool_opt(struct json_object *o, const char *name, bool *v, struct kerf_err *err)
{
	return json_object_object_get_ex(o, name, NULL) ? kerf_json_bool(o, name, v, err) : 0;
}

int kerf_json_ints(struct json_object *array, const char *what, int64_t min, int64_t max,
		   int64_t *v, size_t cap, struct kerf_err *err)
{
	size_t n, i;

	if (!json_object_is_type(array, json_type_array))
		return kerf_fail(err, -EINVAL, "'%s' is %s, expected array", what,
				 json_type_to_name(json_object_get_type(array)));
	n = json_object_array_length(array);
	if (n > cap)
		return kerf_fail(err, -EINVAL, "'%s' has %zu elements, at most %zu expected", what, n,
				 cap);
	for (i = 0; i < n; i++) {
		struct json_object *e = json_object_array_get_idx(array, i);
		int r;

		if (!json_object_is_type(e, json_type_int))
			return kerf_fail(err, -EINVAL, "'%s' holds %s, expected integers", what,
					 json_type_to_name(json_object_get_type(e)));
		r = int_in_range(e, what, min, max, &v[i], err);
		if (r)
			return r;
	}
	return (int)n;
}
