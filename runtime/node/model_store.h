/* SPDX-License-Identifier: MIT */
/*
 * Models that peers uploaded, in a folder of bounded size: SHA256.onnx for whole ones,
 * SHA256.part for those under way. A whole one was verified against its name. What was
 * used longest ago goes first when room is needed. Thread safe. Several processes may use
 * one folder; each bounds what it knows of.
 */
#ifndef KERF_NODE_MODEL_STORE_H
#define KERF_NODE_MODEL_STORE_H

#include "util/digest.h"
#include "util/err.h"

struct kerf_model_store;
struct kerf_upload;

/* dir NULL: $XDG_CACHE_HOME/kerf/models, else ~/.cache/kerf/models. Made if missing. */
int kerf_model_store_open(const char *dir, uint64_t max_bytes, struct kerf_model_store **store,
			  struct kerf_err *err);
void kerf_model_store_close(struct kerf_model_store *s); /* no upload is under way */

const char *kerf_model_store_dir(const struct kerf_model_store *s);
uint64_t kerf_model_store_bytes(struct kerf_model_store *s);
uint64_t kerf_model_store_limit(const struct kerf_model_store *s);

/* Bytes stored of a model and whether it is whole; false if there is none. */
bool kerf_model_store_find(struct kerf_model_store *s, const char *sha, uint64_t *stored,
			   bool *complete);

/* Path of a whole model, which counts as a use of it; free() it. NULL if there is none. */
char *kerf_model_store_path(struct kerf_model_store *s, const char *sha);

/*
 * An upload of bytes [at, at + n) of total. at must be what is stored, else -ESTALE
 * with both; at 0 starts over. -EEXIST if it is whole already, -EBUSY during another
 * upload of it, -EFBIG if it can never fit, -ENOSPC if what is in use leaves no room.
 */
int kerf_upload_begin(struct kerf_model_store *s, const char *sha, uint64_t at, uint64_t total,
		      struct kerf_upload **u, struct kerf_err *err);
int kerf_upload_write(struct kerf_upload *u, const void *data, size_t n, struct kerf_err *err);
/*
 * Ends it; what was written stays. Once total bytes are there they are verified:
 * *complete, or -EBADMSG naming both digests, and nothing is kept.
 */
int kerf_upload_end(struct kerf_upload *u, uint64_t *stored, bool *complete,
		    struct kerf_err *err);

#endif
