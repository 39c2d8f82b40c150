/* SPDX-License-Identifier: MIT */
/* Files: mapped read-only, read whole within a bound, written atomically. */
#ifndef KERF_UTIL_FILE_H
#define KERF_UTIL_FILE_H

#include "util/err.h"

/* A read-only private mapping, shared by reference count. Thread safe. */
struct kerf_file {
	const uint8_t *data;
	size_t size;
	char *path;
	int refs;
};

/* Regular files only. The sentence names the path. An empty file maps to size 0. */
int kerf_file_map(const char *path, struct kerf_file **f, struct kerf_err *err);

/*
 * Maps folder/name, where name comes from a file and is not trusted: it must stay
 * inside the folder, so it may not be absolute, hold "..", or pass a link that leads
 * out (where the kernel cannot check that, before 5.6, it may pass no link at all).
 */
int kerf_file_map_beneath(const char *folder, const char *name, struct kerf_file **f,
			  struct kerf_err *err);
struct kerf_file *kerf_file_ref(struct kerf_file *f);
void kerf_file_unref(struct kerf_file *f);

/*
 * Tells the kernel that a range of the mapping will not be read again soon: its
 * pages leave this process's memory and stay in the page cache.
 */
void kerf_file_forget(struct kerf_file *f, const void *p, size_t n);

/* Reads a whole file of at most max bytes; *data is malloc'ed with a NUL after the end. */
int kerf_file_read(const char *path, size_t max, void **data, size_t *size,
		   struct kerf_err *err);

/* Writes path.tmp-PID, syncs, renames over path; removes the temporary on failure. */
int kerf_file_write(const char *path, const void *data, size_t size, struct kerf_err *err);

#endif
