/* SPDX-License-Identifier: MIT */
#include "net/slice_request.h"

#include "net/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct json_object *ints_of(const int64_t *v, int n)
{
	struct json_object *a = json_object_new_array_ext(n ? n : 1);
	int i;

	for (i = 0; a && i < n; i++)
		json_object_array_add(a, json_object_new_int64(v[i]));
	return a;
}

int kerf_slice_request_encode(const struct kerf_slice_request *q, char **text)
{
	struct json_object *o = json_object_new_object(), *shapes = json_object_new_object();
	struct json_object *ops = json_object_new_array();
	char hex[17];
	uint32_t i;

	if (!o || !shapes || !ops) {
		json_object_put(o);
		json_object_put(shapes);
		json_object_put(ops);
		return -ENOMEM;
	}
	snprintf(hex, sizeof(hex), "%016" PRIx64, q->fingerprint);
	json_object_object_add(o, "model", json_object_new_string(q->model));
	json_object_object_add(o, "fingerprint", json_object_new_string(hex));
	if (q->engine[0])
		json_object_object_add(o, "engine", json_object_new_string(q->engine));
	json_object_object_add(o, "depth", json_object_new_int((int)q->depth));
	for (i = 0; i < q->n_shape; i++)
		json_object_object_add(shapes, q->shape[i].name,
				       ints_of(q->shape[i].dims, q->shape[i].rank));
	json_object_object_add(o, "shapes", shapes);
	for (i = 0; i < q->n_range; i++) {
		int64_t pair[2] = {q->range[i].begin, q->range[i].end};

		json_object_array_add(ops, ints_of(pair, 2));
	}
	if (q->n_range)
		json_object_object_add(o, "ops", ops);
	else
		json_object_put(ops);
	if (q->row_end) {
		int64_t rows[2] = {q->row_begin, q->row_end};

		json_object_object_add(o, "rows", ints_of(rows, 2));
	}
	if (q->channel_end) {
		int64_t channels[2] = {q->channel_begin, q->channel_end};

		json_object_object_add(o, "channels", ints_of(channels, 2));
	}
	if (q->padded)
		json_object_object_add(o, "padded", json_object_new_boolean(true));
	if (q->ports)
		json_object_object_add(o, "ports", json_object_get(q->ports));
	*text = strdup(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN));
	json_object_put(o);
	return *text ? 0 : -ENOMEM;
}

static int decode_shapes(struct json_object *o, struct kerf_slice_request *q, struct kerf_err *err)
{
	struct json_object *shapes;
	int n;

	if (!json_object_object_get_ex(o, "shapes", NULL))
		return 0;
	if (kerf_json_object(o, "shapes", &shapes, err))
		return -EINVAL;
	n = json_object_object_length(shapes);
	if (n > KERF_SLICE_SHAPES)
		return kerf_fail(err, -EINVAL, "'shapes' has %d members, at most %d expected", n,
				 KERF_SLICE_SHAPES);
	q->shape = calloc((size_t)n + 1, sizeof(*q->shape));
	if (!q->shape)
		return -ENOMEM;
	json_object_object_foreach(shapes, name, dims)
	{
		struct kerf_slice_shape *s = &q->shape[q->n_shape];

		if (snprintf(s->name, sizeof(s->name), "%s", name) >= (int)sizeof(s->name))
			return kerf_fail(err, -EINVAL, "an input name in 'shapes' has over %zu bytes",
					 sizeof(s->name) - 1);
		s->rank = kerf_json_ints(dims, name, 0, KERF_MAX_TENSOR_BYTES, s->dims,
					 KERF_MAX_RANK, err);
		if (s->rank < 0)
			return s->rank;
		q->n_shape++;
	}
	return 0;
}

static int decode_ranges(struct json_object *o, struct kerf_slice_request *q, struct kerf_err *err)
{
	struct json_object *list;
	size_t i, n;

	if (!json_object_object_get_ex(o, "ops", NULL))
		return 0;
	if (kerf_json_array(o, "ops", KERF_SLICE_RANGES, &list, err))
		return -EINVAL;
	n = json_object_array_length(list);
	if (!n)
		return kerf_fail(err, -EINVAL, "'ops' is empty");
	q->range = calloc(n, sizeof(*q->range));
	if (!q->range)
		return -ENOMEM;
	for (i = 0; i < n; i++) {
		int64_t pair[2];
		int r = kerf_json_ints(json_object_array_get_idx(list, i), "ops", 0, INT32_MAX, pair, 2,
				       err);

		if (r < 0)
			return r;
		if (r != 2 || pair[0] >= pair[1] || (i && pair[0] < q->range[i - 1].end))
			return kerf_fail(err, -EINVAL,
					 "'ops' must be ascending pairs [begin, end), not so at %zu", i);
		q->range[i] = (struct kerf_slice_range){(uint32_t)pair[0], (uint32_t)pair[1]};
	}
	q->n_range = (uint32_t)n;
	return 0;
}

/* A pair [begin, end) of the outputs; absent: 0, 0. */
static int decode_pair(struct json_object *o, const struct kerf_slice_request *q, const char *name,
		       int64_t *begin, int64_t *end, struct kerf_err *err)
{
	struct json_object *list;
	int64_t pair[2];
	int r;

	if (!json_object_object_get_ex(o, name, NULL))
		return 0;
	if (kerf_json_array(o, name, 2, &list, err))
		return -EINVAL;
	r = kerf_json_ints(list, name, 0, INT32_MAX, pair, 2, err);
	if (r < 0)
		return r;
	if (r != 2 || pair[0] >= pair[1])
		return kerf_fail(err, -EINVAL, "'%s' must be a pair [begin, end)", name);
	if (!q->n_range)
		return kerf_fail(err, -EINVAL, "'%s' needs 'ops'", name);
	*begin = pair[0];
	*end = pair[1];
	return 0;
}

static int decode_tile(struct json_object *o, struct kerf_slice_request *q, struct kerf_err *err)
{
	int r = decode_pair(o, q, "rows", &q->row_begin, &q->row_end, err);

	if (!r)
		r = decode_pair(o, q, "channels", &q->channel_begin, &q->channel_end, err);
	if (!r)
		r = kerf_json_bool_opt(o, "padded", &q->padded, err);
	if (!r && q->row_end && q->channel_end)
		r = kerf_fail(err, -EINVAL, "'channels' cannot be beside 'rows'");
	if (!r && q->padded && !q->row_end)
		r = kerf_fail(err, -EINVAL, "'padded' needs 'rows'");
	if (r || !json_object_object_get_ex(o, "ports", NULL))
		return r;
	r = kerf_json_object(o, "ports", &q->ports, err);
	q->ports = r ? NULL : json_object_get(q->ports);
	return r;
}

static int decode(struct json_object *o, struct kerf_slice_request *q, struct kerf_err *err)
{
	const char *model, *hex, *engine = "";
	int64_t depth = 2;
	uint8_t sha[32];
	char *end;
	int r;

	r = kerf_json_string(o, "model", &model, err);
	if (r)
		return r;
	if (!kerf_sha256_parse(model, sha))
		return kerf_fail(err, -EINVAL, "'model' is '%.80s', expected 64 lower-case hex digits",
				 model);
	memcpy(q->model, model, sizeof(q->model));
	r = kerf_json_string(o, "fingerprint", &hex, err);
	if (r)
		return r;
	if (strlen(hex) != 16 || strspn(hex, "0123456789abcdef") != 16)
		return kerf_fail(err, -EINVAL, "'fingerprint' is '%.80s', expected 16 hex digits", hex);
	q->fingerprint = strtoull(hex, &end, 16);
	if (json_object_object_get_ex(o, "engine", NULL)) {
		r = kerf_json_string(o, "engine", &engine, err);
		if (r)
			return r;
	}
	if (snprintf(q->engine, sizeof(q->engine), "%s", engine) >= (int)sizeof(q->engine))
		return kerf_fail(err, -EINVAL, "'engine' has over %zu bytes", sizeof(q->engine) - 1);
	r = kerf_json_int_opt(o, "depth", 1, KERF_SLICE_DEPTH, &depth, err);
	q->depth = (uint32_t)depth;
	if (!r)
		r = decode_shapes(o, q, err);
	if (!r)
		r = decode_ranges(o, q, err);
	return r ? r : decode_tile(o, q, err);
}

int kerf_slice_request_decode(const char *text, size_t n, struct kerf_slice_request *q,
			      struct kerf_err *err)
{
	struct json_object *o;
	int r = kerf_json_parse(text, n, &o, err);

	if (r)
		return r;
	memset(q, 0, sizeof(*q));
	r = decode(o, q, err);
	json_object_put(o);
	if (r)
		kerf_slice_request_finish(q);
	return r == -ENOENT ? -EINVAL : r;
}

void kerf_slice_request_finish(struct kerf_slice_request *q)
{
	free(q->shape);
	free(q->range);
	json_object_put(q->ports);
	memset(q, 0, sizeof(*q));
}
