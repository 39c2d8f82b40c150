/* SPDX-License-Identifier: MIT */
#include "graph/import_priv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define EXIT "kerf.exit."

static int accuracy_of(struct kerf_importer *im, const char *key, const char *text, double *x)
{
	char *end;

	*x = strtod(text ? text : "", &end);
	if (!text || end == text || *end || !(*x > 0 && *x <= 1))
		return kerf_fail(im->err, -EINVAL,
				 "metadata '%.128s': '%.32s', expected a number above 0, at most 1", key,
				 text ? text : "");
	return 0;
}

static int add_exit(struct kerf_importer *im, const char *key, double accuracy)
{
	const char *name = key + strlen(EXIT);
	struct kerf_graph *g = im->g;
	uint32_t at, i;

	for (at = 0; at < g->n_out && strcmp(g->value[g->out[at]].name, name) != 0; at++)
		;
	if (at == g->n_out)
		return kerf_fail(im->err, -EINVAL, "metadata '%.128s': the model has no such output", key);
	for (i = 0; i < g->n_exit; i++)
		if (g->exit[i].output == at)
			return kerf_fail(im->err, -EINVAL, "metadata '%.128s' is there twice", key);
	if (g->n_exit == KERF_MAX_EXITS)
		return kerf_fail(im->err, -E2BIG, "metadata: more than %d exits", KERF_MAX_EXITS);
	for (i = g->n_exit++; i && g->exit[i - 1].accuracy > accuracy; i--)
		g->exit[i] = g->exit[i - 1];
	g->exit[i] = (struct kerf_exit){at, accuracy};
	return 0;
}

int kerf_import_exits(struct kerf_importer *im)
{
	bool told = false;
	size_t i;
	int r = 0;

	if (!im->model->n_metadata_props)
		return 0;
	im->g->exit = kerf_graph_alloc(im->g, KERF_MAX_EXITS * sizeof(*im->g->exit));
	if (!im->g->exit)
		return -ENOMEM;
	for (i = 0; i < im->model->n_metadata_props && !r; i++) {
		const Onnx__StringStringEntryProto *e = im->model->metadata_props[i];
		bool whole = e->key && !strcmp(e->key, "kerf.accuracy");
		double x;

		if (!e->key || (!whole && strncmp(e->key, EXIT, strlen(EXIT)) != 0))
			continue;
		r = accuracy_of(im, e->key, e->value, &x);
		if (!r && whole && told)
			r = kerf_fail(im->err, -EINVAL, "metadata '%s' is there twice", e->key);
		if (!r && whole)
			im->g->accuracy = x;
		else if (!r)
			r = add_exit(im, e->key, x);
		told |= whole;
	}
	return r;
}
