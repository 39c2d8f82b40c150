/* SPDX-License-Identifier: MIT */
/*
 * Where measured figures are kept: one folder, $KERF_PROFILE_DIR, else
 * $XDG_CACHE_HOME/kerf/profiles, else ~/.cache/kerf/profiles, of JSON files.
 */
#ifndef KERF_COST_STORE_H
#define KERF_COST_STORE_H

#include "util/base.h"
#include "util/err.h"

struct json_object;

#define KERF_STORE_KEY 33
/* What stands for an engine of a machine in names of files. */
void kerf_store_key(const char *engine, const char *machine, char key[KERF_STORE_KEY]);

/* folder/name; name "": the folder. Allocated. 0 or -ENOMEM. */
int kerf_store_path(const char *name, char **path);

/*
 * At most 16 MiB of JSON, not deep. -ENOENT; -EINVAL if it is something else; the caller puts *o.
 */
int kerf_store_read(const char *path, struct json_object **o, struct kerf_err *err);
/* Atomically; folders are made as needed. */
int kerf_store_write(const char *path, struct json_object *o, struct kerf_err *err);

/* Of an object: a number in [min, max]. -EINVAL with a sentence; absent is -ENOENT without one. */
int kerf_store_number(const char *path, struct json_object *o, const char *key, double min,
		      double max, double *v, struct kerf_err *err);
bool kerf_store_is(struct json_object *o, const char *key, const char *text);
/* Copies a text; -EINVAL if it is absent or does not fit. */
int kerf_store_text(const char *path, struct json_object *o, const char *key, char *out,
		    size_t size, struct kerf_err *err);

#endif
