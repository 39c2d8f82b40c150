/* SPDX-License-Identifier: MIT */
/* A folder that looks like /proc or /sys, for tests of what reads them. */
#ifndef TESTS_LOAD_TREE_H
#define TESTS_LOAD_TREE_H

#include <ftw.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct tree {
	char root[64];
};

static inline void tree_make(struct tree *t)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(t->root, sizeof(t->root), "%s/kerf-tree-XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(t->root))
		abort();
}

/* The text of a file, whose folders are made; written in place, as a kernel's file changes. */
__attribute__((format(printf, 3, 4))) static inline void
tree_put(const struct tree *t, const char *path, const char *fmt, ...)
{
	char full[PATH_MAX], *s;
	va_list ap;
	FILE *f;

	snprintf(full, sizeof(full), "%s/%s", t->root, path);
	for (s = full + strlen(t->root) + 1; (s = strchr(s, '/')); s++) {
		*s = '\0';
		mkdir(full, 0755);
		*s = '/';
	}
	f = fopen(full, "w");
	if (!f)
		abort();
	va_start(ap, fmt);
	vfprintf(f, fmt, ap);
	va_end(ap);
	fclose(f);
}

static inline int tree_drop(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
	(void)st;
	(void)kind;
	(void)ftw;
	return remove(path);
}

static inline void tree_remove(const struct tree *t, const char *path)
{
	char full[PATH_MAX];

	snprintf(full, sizeof(full), "%s/%s", t->root, path);
	nftw(full, tree_drop, 16, FTW_DEPTH | FTW_PHYS);
}

#endif
