/* SPDX-License-Identifier: MIT */
/*
 * JSON from peers: parsed within bounds, read by name and type. A sentence names the
 * field, what was expected and what was found.
 */
#ifndef KERF_NET_JSON_H
#define KERF_NET_JSON_H

#include "util/err.h"

#include <json-c/json.h>

#define KERF_JSON_DEPTH 16

/*
 * Bytes a JSON text may take once parsed, for budgets: json-c keeps an object and a
 * slot for each element, and the shortest element ("0,") has two bytes.
 */
#define KERF_JSON_BLOWUP 48

/* One whole JSON object of n bytes, nothing after it but blanks. json_object_put() it. */
int kerf_json_parse(const char *text, size_t n, struct json_object **obj, struct kerf_err *err);

/*
 * A member by name. -ENOENT if absent (no sentence if the value is optional: err NULL),
 * -EINVAL with a sentence if it has another type or is out of range.
 */
int kerf_json_string(struct json_object *o, const char *name, const char **s, struct kerf_err *err);
int kerf_json_int(struct json_object *o, const char *name, int64_t min, int64_t max, int64_t *v,
		  struct kerf_err *err);
int kerf_json_bool(struct json_object *o, const char *name, bool *v, struct kerf_err *err);
int kerf_json_array(struct json_object *o, const char *name, size_t max,
		    struct json_object **array, struct kerf_err *err);
int kerf_json_object(struct json_object *o, const char *name, struct json_object **v,
		     struct kerf_err *err);
/* Like the above, an absent member leaves *v as it is and is 0. */
int kerf_json_int_opt(struct json_object *o, const char *name, int64_t min, int64_t max,
		      int64_t *v, struct kerf_err *err);
int kerf_json_bool_opt(struct json_object *o, const char *name, bool *v, struct kerf_err *err);

/* An array of integers in [min, max] into v[cap]; returns the count or -EINVAL. */
int kerf_json_ints(struct json_object *array, const char *what, int64_t min, int64_t max,
		   int64_t *v, size_t cap, struct kerf_err *err);

#endif
