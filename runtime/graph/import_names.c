/* SPDX-License-Identifier: MIT */
#include "graph/import_priv.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

struct name {
	const char *key;
	int64_t number;
};

static int compare(const void *a, const void *b)
{
	return strcmp(((const struct name *)a)->key, ((const struct name *)b)->key);
}

int kerf_names_add(struct kerf_names *n, const char *key, int64_t number, int64_t *old)
{
	struct name *e = malloc(sizeof(*e)), **slot;

	if (!e)
		return -ENOMEM;
	e->key = key;
	e->number = number;
	slot = tsearch(e, &n->root, compare);
	if (slot && *slot == e)
		return 0;
	free(e);
	if (!slot)
		return -ENOMEM;
	if (old)
		*old = (*slot)->number;
	return -EEXIST;
}

bool kerf_names_find(const struct kerf_names *n, const char *key, int64_t *number)
{
	struct name want = {key, 0}, **slot = tfind(&want, &n->root, compare);

	if (slot)
		*number = (*slot)->number;
	return slot;
}

void kerf_names_finish(struct kerf_names *n)
{
	tdestroy(n->root, free);
	n->root = NULL;
}
