/* SPDX-License-Identifier: MIT */
/*
 * The predictor as a file: of each family its base and trees, a tree as one list of numbers: the
 * features asked, then the thresholds, then the leaves. What is not so is refused: a tree read from
 * a file can neither index outside its inputs nor answer with what is not a number.
 */
#include "cost/predictor.h"
#include "cost/store.h"

#include <float.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FORMAT 1
#define MAX_TREES 10000
#define TREE_NUMBERS (2 * KERF_BOOST_NODES + KERF_BOOST_LEAVES)
#define MAX_LEAF 100.0
#define FILE_NAME "predictor.json"

static struct json_object *number(double v)
{
	char text[32];

	snprintf(text, sizeof(text), "%.9g", v);
	return json_object_new_double_s(v, text);
}

static struct json_object *write_tree(const struct kerf_boost_tree *t)
{
	struct json_object *list = json_object_new_array();
	int i;

	for (i = 0; i < KERF_BOOST_NODES; i++)
		json_object_array_add(list, json_object_new_int(t->feature[i]));
	for (i = 0; i < KERF_BOOST_NODES; i++)
		json_object_array_add(list, number((double)t->threshold[i]));
	for (i = 0; i < KERF_BOOST_LEAVES; i++)
		json_object_array_add(list, number((double)t->leaf[i]));
	return list;
}

static struct json_object *write_boost(const struct kerf_boost *b)
{
	struct json_object *o = json_object_new_object(), *trees = json_object_new_array();
	uint32_t i;

	for (i = 0; i < b->n_tree; i++)
		json_object_array_add(trees, write_tree(&b->tree[i]));
	json_object_object_add(o, "base", number(b->base));
	json_object_object_add(o, "trees", trees);
	return o;
}

int kerf_predictor_save(const struct kerf_predictor *p, struct kerf_err *err)
{
	struct json_object *o, *families;
	char *path;
	int r = kerf_store_path(FILE_NAME, &path), f;

	if (r)
		return r;
	o = json_object_new_object();
	families = json_object_new_object();
	json_object_object_add(o, "kerf_predictor", json_object_new_int(FORMAT));
	json_object_object_add(o, "inputs", json_object_new_int(kerf_predictor_inputs));
	json_object_object_add(o, "profiles", json_object_new_int64(p->n_profile));
	json_object_object_add(o, "operators", json_object_new_int64(p->n_sample));
	for (f = 0; f < KERF_N_FAMILY; f++)
		if (p->boost[f].n_tree)
			json_object_object_add(families, kerf_family_name(f),
					       write_boost(&p->boost[f]));
	json_object_object_add(o, "family", families);
	r = kerf_store_write(path, o, err);
	json_object_put(o);
	free(path);
	return r;
}

static int read_tree(const char *path, struct json_object *list, struct kerf_boost_tree *t,
		     struct kerf_err *err)
{
	double v[TREE_NUMBERS];
	int i;

	if (!json_object_is_type(list, json_type_array) ||
	    json_object_array_length(list) != TREE_NUMBERS)
		return kerf_fail(err, -EINVAL, "%s: a tree is not %d numbers", path, TREE_NUMBERS);
	for (i = 0; i < TREE_NUMBERS; i++) {
		double most = i < KERF_BOOST_NODES	 ? kerf_predictor_inputs - 1
			      : i < 2 * KERF_BOOST_NODES ? (double)FLT_MAX
							 : MAX_LEAF;

		v[i] = json_object_get_double(json_object_array_get_idx(list, (size_t)i));
		/* FLT_MAX, written with nine digits, is above itself. */
		if (i >= KERF_BOOST_NODES && i < 2 * KERF_BOOST_NODES && v[i] > most)
			v[i] = v[i] <= 1.0001 * most ? most : v[i];
		if (!(v[i] <= most && v[i] >= (i < KERF_BOOST_NODES ? 0 : -most)))
			return kerf_fail(err, -EINVAL, "%s: a tree has %g", path, v[i]);
	}
	for (i = 0; i < KERF_BOOST_NODES; i++) {
		t->feature[i] = (uint8_t)v[i];
		t->threshold[i] = (float)v[KERF_BOOST_NODES + i];
	}
	for (i = 0; i < KERF_BOOST_LEAVES; i++)
		t->leaf[i] = (float)v[2 * KERF_BOOST_NODES + i];
	return 0;
}

static int read_boost(const char *path, struct json_object *o, struct kerf_boost *b,
		      struct kerf_err *err)
{
	struct json_object *trees;
	size_t n, i;
	int r;

	if (!json_object_is_type(o, json_type_object) ||
	    !json_object_object_get_ex(o, "trees", &trees) ||
	    !json_object_is_type(trees, json_type_array) ||
	    (n = json_object_array_length(trees)) > MAX_TREES)
		return kerf_fail(err, -EINVAL, "%s: a family without at most %d trees", path, MAX_TREES);
	r = kerf_store_number(path, o, "base", -MAX_LEAF, MAX_LEAF, &b->base, err);
	if (r)
		return r == -ENOENT ? kerf_fail(err, -EINVAL, "%s: a family without base", path) : r;
	b->tree = calloc(n + 1, sizeof(*b->tree));
	if (!b->tree)
		return -ENOMEM;
	b->n_feature = (uint32_t)kerf_predictor_inputs;
	b->n_tree = (uint32_t)n;
	for (i = 0; i < n && !r; i++)
		r = read_tree(path, json_object_array_get_idx(trees, i), &b->tree[i], err);
	return r;
}

static int parse(const char *path, struct json_object *o, struct kerf_predictor *p,
		 struct kerf_err *err)
{
	struct json_object *families, *family;
	double format = 0, inputs = 0, n = 0;
	int r, f;

	if (kerf_store_number(path, o, "kerf_predictor", FORMAT, FORMAT, &format, NULL) ||
	    kerf_store_number(path, o, "inputs", kerf_predictor_inputs, kerf_predictor_inputs, &inputs,
			      NULL))
		return kerf_fail(err, -EINVAL,
				 "%s: of another version of kerf; 'kerf profile --train' makes it new",
				 path);
	if (!json_object_object_get_ex(o, "family", &families) ||
	    !json_object_is_type(families, json_type_object))
		return kerf_fail(err, -EINVAL, "%s: no family", path);
	r = kerf_store_number(path, o, "profiles", 0, UINT32_MAX, &n, err);
	p->n_profile = (uint32_t)n;
	if (!r)
		r = kerf_store_number(path, o, "operators", 0, UINT32_MAX, &n, err);
	p->n_sample = (uint32_t)n;
	if (r)
		return r == -ENOENT ? kerf_fail(err, -EINVAL, "%s: no profiles or operators", path) : r;
	for (f = 0; f < KERF_N_FAMILY && !r; f++)
		if (json_object_object_get_ex(families, kerf_family_name(f), &family))
			r = read_boost(path, family, &p->boost[f], err);
	return r;
}

int kerf_predictor_load(struct kerf_predictor *p, struct kerf_err *err)
{
	struct json_object *o = NULL;
	char *path;
	int r = kerf_store_path(FILE_NAME, &path);

	memset(p, 0, sizeof(*p));
	if (r)
		return r;
	r = kerf_store_read(path, &o, err);
	if (!r)
		r = parse(path, o, p, err);
	if (r)
		kerf_predictor_finish(p);
	json_object_put(o);
	free(path);
	return r;
}
