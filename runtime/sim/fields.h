/* SPDX-License-Identifier: MIT */
/* Fields of a scenario's JSON objects. The first failure is kept; later calls do nothing. */
#ifndef KERF_SIM_FIELDS_H
#define KERF_SIM_FIELDS_H

#include "util/base.h"
#include "util/err.h"

struct json_object;

struct kerf_fields {
	const char *path; /* of the file */
	struct kerf_err *err;
	int failed; /* 0 or a negative errno */
};

/* One object of the file, in words: "links[3]". */
struct kerf_field_at {
	struct kerf_fields *f;
	struct json_object *o;
	char where[96];
};

void kerf_field_fail(const struct kerf_field_at *at, const char *key, const char *expected,
		     struct json_object *found);
/* Only these keys (separated by spaces) may be there. */
void kerf_field_only(const struct kerf_field_at *at, const char *keys);
bool kerf_field_has(const struct kerf_field_at *at, const char *key);
/* absent: its value then; NAN: it has to be there. */
double kerf_field_number(const struct kerf_field_at *at, const char *key, double min, double max,
			 double absent);
bool kerf_field_bool(const struct kerf_field_at *at, const char *key, bool absent);
/* Its text, or absent; "": it has to be there. Belongs to the object. */
const char *kerf_field_text(const struct kerf_field_at *at, const char *key, const char *absent);
/* Copies a name of at most size - 1 bytes. */
void kerf_field_name(const struct kerf_field_at *at, const char *key, char *out, size_t size,
		     const char *absent);
/* Which of the choices (separated by spaces) it is; absent is the one of that index, -1: none. */
int kerf_field_choice(const struct kerf_field_at *at, const char *key, const char *choices,
		      int absent);
/* The array, of 1 to max elements; NULL if it is absent (needed: a failure). */
struct json_object *kerf_field_list(const struct kerf_field_at *at, const char *key, uint32_t max,
				    bool needed, uint32_t *n);
/* Object i of it. */
struct kerf_field_at kerf_field_element(const struct kerf_field_at *at, const char *key,
					struct json_object *list, uint32_t i);

#endif
