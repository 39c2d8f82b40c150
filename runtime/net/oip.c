/* SPDX-License-Identifier: MIT */
#include "net/oip.h"

#include "net/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint64_t kerf_oip_bytes(const struct kerf_oip_io *io, uint32_t n)
{
	uint64_t sum = 0;
	uint32_t i;

	for (i = 0; i < n; i++)
		sum += kerf_tensor_bytes(&io[i].t);
	return sum;
}

/* --- Tensors in JSON --- */

/* Integers that fit; json-c saturates, so the type is asked for first. */
static int store_int(struct kerf_tensor *t, int64_t i, struct json_object *v)
{
	static const struct {
		int64_t min, max;
	} range[] = {
		[KERF_U8] = {0, UINT8_MAX},	    [KERF_I8] = {INT8_MIN, INT8_MAX},
		[KERF_U16] = {0, UINT16_MAX},	    [KERF_I16] = {INT16_MIN, INT16_MAX},
		[KERF_I32] = {INT32_MIN, INT32_MAX}, [KERF_I64] = {INT64_MIN, INT64_MAX},
		[KERF_BOOL] = {0, 1},		    [KERF_U32] = {0, UINT32_MAX},
	};
	int64_t x;

	if (t->dtype == KERF_BOOL && json_object_is_type(v, json_type_boolean)) {
		((uint8_t *)t->data)[i] = (uint8_t)json_object_get_boolean(v);
		return 0;
	}
	if (!json_object_is_type(v, json_type_int))
		return -EINVAL;
	if (t->dtype == KERF_U64) {
		if (json_object_get_int64(v) < 0)
			return -EINVAL;
		((uint64_t *)t->data)[i] = json_object_get_uint64(v);
		return 0;
	}
	x = json_object_get_int64(v);
	if (x < range[t->dtype].min || x > range[t->dtype].max)
		return -EINVAL;
	switch (kerf_dtype_size(t->dtype)) {
	case 1: ((uint8_t *)t->data)[i] = (uint8_t)x; break;
	case 2: ((uint16_t *)t->data)[i] = (uint16_t)x; break;
	case 4: ((uint32_t *)t->data)[i] = (uint32_t)x; break;
	default: ((int64_t *)t->data)[i] = x; break;
	}
	return 0;
}

static int store_number(struct kerf_tensor *t, int64_t i, struct json_object *v)
{
	double x;

	switch (t->dtype) {
	case KERF_F32:
	case KERF_F64:
	case KERF_F16:
	case KERF_BF16: break;
	default: return store_int(t, i, v);
	}
	if (!json_object_is_type(v, json_type_double) && !json_object_is_type(v, json_type_int))
		return -EINVAL;
	x = json_object_get_double(v);
	switch (t->dtype) {
	case KERF_F32: ((float *)t->data)[i] = (float)x; break;
	case KERF_F64: ((double *)t->data)[i] = x; break;
	case KERF_F16: ((uint16_t *)t->data)[i] = kerf_f32_to_f16((float)x); break;
	default: ((uint16_t *)t->data)[i] = kerf_f32_to_bf16((float)x); break;
	}
	return 0;
}

/* Flat or nested in any way: OIP allows both. Depth is bounded by the parser. */
static int store_data(struct kerf_tensor *t, struct json_object *array, int64_t count, int64_t *i,
		      const char *name, struct kerf_err *err)
{
	size_t n = json_object_array_length(array), k;
	int r;

	for (k = 0; k < n; k++) {
		struct json_object *v = json_object_array_get_idx(array, k);

		if (json_object_is_type(v, json_type_array)) {
			r = store_data(t, v, count, i, name, err);
			if (r)
				return r;
			continue;
		}
		if (*i >= count)
			return kerf_fail(err, -EINVAL, "'%s': more than %lld elements", name,
					 (long long)count);
		if (store_number(t, *i, v))
			return kerf_fail(err, -EINVAL, "'%s': element %lld is not a %s", name,
					 (long long)*i, kerf_dtype_name(t->dtype));
		(*i)++;
	}
	return 0;
}

static int tensor_from_json(struct kerf_tensor *t, struct json_object *o, const char *name,
			    struct kerf_err *err)
{
	int64_t count = kerf_tensor_count(t), i = 0;
	struct json_object *data;
	int r = kerf_json_array(o, "data", (size_t)count + 1, &data, err);

	if (!r)
		r = store_data(t, data, count, &i, name, err);
	if (!r && i != count)
		return kerf_fail(err, -EINVAL, "'%s': %lld elements, expected %lld", name, (long long)i,
				 (long long)count);
	return r;
}

static void print_number(FILE *f, const struct kerf_tensor *t, int64_t i)
{
	double x;

	switch (t->dtype) {
	case KERF_F32:
	case KERF_F64:
	case KERF_F16:
	case KERF_BF16:
		x = kerf_tensor_float(t, i);
		if (!isfinite(x))
			fputs("null", f); /* JSON has no other word for it */
		else
			fprintf(f, t->dtype == KERF_F64 ? "%.17g" : "%.9g", x);
		break;
	case KERF_U64: fprintf(f, "%llu", ((unsigned long long *)t->data)[i]); break;
	case KERF_BOOL: fputs(((uint8_t *)t->data)[i] ? "true" : "false", f); break;
	default: fprintf(f, "%lld", (long long)kerf_tensor_int(t, i)); break;
	}
}

/* --- Headers, read --- */

static int find_io(const struct kerf_oip_io *io, uint32_t n, const char *name)
{
	uint32_t i;

	for (i = 0; i < n; i++)
		if (!strcmp(io[i].name, name))
			return (int)i;
	return -1;
}

/* datatype and shape of one tensor object against what is expected. */
static int check_tensor(struct json_object *o, const char *name, const struct kerf_tensor *want,
			bool shrink, struct kerf_tensor *got, struct kerf_err *err)
{
	char a[KERF_SHAPE_TEXT], b[KERF_SHAPE_TEXT];
	struct json_object *shape;
	const char *dtype;
	int r, i;

	r = kerf_json_string(o, "datatype", &dtype, err);
	if (r)
		return r;
	r = kerf_json_array(o, "shape", KERF_MAX_RANK, &shape, err);
	if (r)
		return r;
	got->dtype = kerf_dtype_by_oip(dtype);
	got->rank = kerf_json_ints(shape, "shape", 0, KERF_MAX_TENSOR_BYTES, got->dims,
				   KERF_MAX_RANK, err);
	if (got->rank < 0)
		return got->rank;
	r = got->dtype != want->dtype || got->rank != want->rank;
	for (i = 0; !r && i < want->rank; i++)
		r = shrink ? got->dims[i] > want->dims[i] : got->dims[i] != want->dims[i];
	if (r)
		return kerf_fail(err, -EINVAL, "'%s' is %s, expected %s", name,
				 kerf_tensor_text(got, a), kerf_tensor_text(want, b));
	return 0;
}

/* -1 if the tensor has no binary_data_size. */
static int binary_size(struct json_object *o, int64_t *size, struct kerf_err *err)
{
	struct json_object *p;

	*size = -1;
	if (!json_object_object_get_ex(o, "parameters", NULL))
		return 0;
	if (kerf_json_object(o, "parameters", &p, err))
		return -EINVAL;
	return kerf_json_int_opt(p, "binary_data_size", 0, KERF_MAX_TENSOR_BYTES, size, err);
}

static int take_binary(const char *name, size_t want, int64_t size, size_t have, size_t *used,
		       struct kerf_err *err)
{
	if ((uint64_t)size != want)
		return kerf_fail(err, -EINVAL, "'%s': binary_data_size is %lld, its shape has %zu bytes",
				 name, (long long)size, want);
	if (want > have - *used)
		return kerf_fail(err, -EINVAL, "'%s': %zu bytes of binary data, %zu are left", name,
				 want, have - *used);
	*used += want;
	return 0;
}

static int decode_inputs(const struct kerf_oip_spec *spec, struct json_object *list,
			 const char *binary, size_t n_binary, struct kerf_tensor *in,
			 struct kerf_err *err)
{
	bool seen[KERF_OIP_TENSORS] = {false};
	size_t i, used = 0, n = json_object_array_length(list);

	for (i = 0; i < n; i++) {
		struct json_object *o = json_object_array_get_idx(list, i);
		struct kerf_tensor got;
		const char *name;
		int64_t size;
		int k, r;

		if (!json_object_is_type(o, json_type_object))
			return kerf_fail(err, -EINVAL, "'inputs' holds something else than objects");
		if (kerf_json_string(o, "name", &name, err))
			return -EINVAL;
		k = find_io(spec->in, spec->n_in, name);
		if (k < 0 || seen[k])
			return kerf_fail(err, -EINVAL, k < 0 ? "no input is named '%.100s'"
							     : "input '%.100s' is given twice",
					 name);
		seen[k] = true;
		r = check_tensor(o, name, &spec->in[k].t, false, &got, err);
		if (!r)
			r = binary_size(o, &size, err);
		if (r)
			return -EINVAL;
		if (size < 0) {
			r = tensor_from_json(&in[k], o, name, err);
		} else {
			size_t at = used;

			r = take_binary(name, kerf_tensor_bytes(&in[k]), size, n_binary, &used,
					err);
			if (!r && size)
				memcpy(in[k].data, binary + at, (size_t)size);
		}
		if (r)
			return -EINVAL;
	}
	for (i = 0; i < spec->n_in; i++)
		if (!seen[i])
			return kerf_fail(err, -EINVAL, "input '%s' is missing", spec->in[i].name);
	if (used != n_binary)
		return kerf_fail(err, -EINVAL, "%zu bytes of binary data belong to no input",
				 n_binary - used);
	return 0;
}

static int decode_outputs(const struct kerf_oip_spec *spec, struct json_object *o,
			  struct kerf_oip_request *req, struct kerf_err *err)
{
	struct json_object *list, *p;
	bool binary = false;
	size_t i;

	if (json_object_object_get_ex(o, "parameters", &p)) {
		if (kerf_json_object(o, "parameters", &p, err) ||
		    kerf_json_bool_opt(p, "binary_data_output", &binary, err))
			return -EINVAL;
	}
	for (i = 0; i < spec->n_out; i++)
		req->form[i] = binary ? KERF_OIP_BINARY : KERF_OIP_JSON;
	if (!json_object_object_get_ex(o, "outputs", NULL))
		return 0;
	if (kerf_json_array(o, "outputs", KERF_OIP_TENSORS, &list, err))
		return -EINVAL;
	if (!json_object_array_length(list))
		return 0;
	memset(req->form, 0, sizeof(req->form));
	for (i = 0; i < json_object_array_length(list); i++) {
		struct json_object *e = json_object_array_get_idx(list, i);
		bool this = binary;
		const char *name;
		int k;

		if (!json_object_is_type(e, json_type_object))
			return kerf_fail(err, -EINVAL, "'outputs' holds something else than objects");
		if (kerf_json_string(e, "name", &name, err))
			return -EINVAL;
		k = find_io(spec->out, spec->n_out, name);
		if (k < 0)
			return kerf_fail(err, -EINVAL, "no output is named '%.100s'", name);
		if (json_object_object_get_ex(e, "parameters", NULL) &&
		    (kerf_json_object(e, "parameters", &p, err) ||
		     kerf_json_bool_opt(p, "binary_data", &this, err)))
			return -EINVAL;
		req->form[k] = this ? KERF_OIP_BINARY : KERF_OIP_JSON;
	}
	return 0;
}

static int decode_raw(const struct kerf_oip_spec *spec, const char *body, size_t size,
		      struct kerf_tensor *in, struct kerf_oip_request *req, struct kerf_err *err)
{
	uint64_t want = kerf_oip_bytes(spec->in, spec->n_in);
	size_t used = 0;
	uint32_t i;

	if (size != want)
		return kerf_fail(err, -EINVAL, "raw request of %zu bytes, the inputs have %llu", size,
				 (unsigned long long)want);
	for (i = 0; i < spec->n_in; i++) {
		size_t n = kerf_tensor_bytes(&in[i]);

		if (n)
			memcpy(in[i].data, body + used, n);
		used += n;
	}
	for (i = 0; i < spec->n_out; i++)
		req->form[i] = KERF_OIP_BINARY;
	return 0;
}

int kerf_oip_request_decode(const struct kerf_oip_spec *spec, const char *body, size_t size,
			    int64_t header_len, struct kerf_tensor *in,
			    struct kerf_oip_request *req, struct kerf_err *err)
{
	struct json_object *o, *list;
	const char *id = "";
	size_t n = header_len < 0 ? size : (size_t)header_len;
	int r;

	memset(req, 0, sizeof(*req));
	if (!header_len)
		return decode_raw(spec, body, size, in, req, err);
	if (n > size)
		return kerf_fail(err, -EINVAL, KERF_OIP_LENGTH_HEADER " is %zu, the body has %zu bytes",
				 n, size);
	r = kerf_json_parse(body, n, &o, err);
	if (r)
		return r;
	r = kerf_json_array(o, "inputs", KERF_OIP_TENSORS, &list, err);
	if (!r && json_object_object_get_ex(o, "id", NULL))
		r = kerf_json_string(o, "id", &id, err);
	if (!r && strlen(id) >= sizeof(req->id))
		r = kerf_fail(err, -EINVAL, "'id' has %zu bytes, at most %zu expected", strlen(id),
			      sizeof(req->id) - 1);
	if (!r)
		r = decode_inputs(spec, list, body + n, size - n, in, err);
	if (!r)
		r = decode_outputs(spec, o, req, err);
	snprintf(req->id, sizeof(req->id), "%s", id);
	json_object_put(o);
	return r == -ENOENT ? -EINVAL : r;
}

int kerf_oip_reply_decode(const struct kerf_oip_spec *spec, const char *header, size_t header_len,
			  size_t n_binary, bool shrink, struct kerf_tensor *out, int64_t *at,
			  struct kerf_err *err)
{
	bool seen[KERF_OIP_TENSORS] = {false};
	struct json_object *o, *list;
	size_t i, used = 0;
	int r = kerf_json_parse(header, header_len, &o, err);

	if (r)
		return r;
	r = kerf_json_array(o, "outputs", KERF_OIP_TENSORS, &list, err);
	for (i = 0; !r && i < json_object_array_length(list); i++) {
		struct json_object *e = json_object_array_get_idx(list, i);
		struct kerf_tensor got;
		const char *name;
		int64_t size;
		int k;

		if (!json_object_is_type(e, json_type_object)) {
			r = kerf_fail(err, -EINVAL, "'outputs' holds something else than objects");
			break;
		}
		r = kerf_json_string(e, "name", &name, err);
		if (r)
			break;
		k = find_io(spec->out, spec->n_out, name);
		if (k < 0 || seen[k]) {
			r = kerf_fail(err, -EINVAL, "output '%.100s' was not expected", name);
			break;
		}
		seen[k] = true;
		r = check_tensor(e, name, &spec->out[k].t, shrink, &got, err);
		if (!r)
			r = binary_size(e, &size, err);
		if (r)
			break;
		memcpy(out[k].dims, got.dims, sizeof(got.dims));
		at[k] = size < 0 ? -1 : (int64_t)used;
		if (size < 0)
			r = tensor_from_json(&out[k], e, name, err);
		else
			r = take_binary(name, kerf_tensor_bytes(&out[k]), size, n_binary, &used,
					err);
	}
	for (i = 0; !r && i < spec->n_out; i++)
		if (!seen[i])
			r = kerf_fail(err, -EINVAL, "output '%s' is missing", spec->out[i].name);
	if (!r && used != n_binary)
		r = kerf_fail(err, -EINVAL, "%zu bytes of binary data belong to no output",
			      n_binary - used);
	json_object_put(o);
	return r ? -EINVAL : 0;
}

/* --- Headers, written --- */

static void print_string(FILE *f, const char *s)
{
	struct json_object *o = json_object_new_string(s);

	fputs(o ? json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN) : "\"\"", f);
	json_object_put(o);
}

static void print_tensor(FILE *f, const char *name, const struct kerf_tensor *t)
{
	int i;

	fputs("{\"name\":", f);
	print_string(f, name);
	fprintf(f, ",\"datatype\":\"%s\",\"shape\":[", kerf_dtype_oip(t->dtype));
	for (i = 0; i < t->rank; i++)
		fprintf(f, "%s%lld", i ? "," : "", (long long)t->dims[i]);
	fputc(']', f);
}

static int close_text(FILE *f, char **text)
{
	if (fclose(f)) {
		free(*text);
		return -ENOMEM;
	}
	return 0;
}

int kerf_oip_reply_encode(const struct kerf_oip_spec *spec, const struct kerf_oip_request *req,
			  const struct kerf_tensor *out, char **text, size_t *n)
{
	FILE *f = open_memstream(text, n);
	const char *comma = "";
	uint32_t i;

	if (!f)
		return -ENOMEM;
	fputs("{\"model_name\":", f);
	print_string(f, spec->model);
	fputs(",\"model_version\":\"1\"", f);
	if (req->id[0]) {
		fputs(",\"id\":", f);
		print_string(f, req->id);
	}
	fputs(",\"outputs\":[", f);
	for (i = 0; i < spec->n_out; i++) {
		int64_t k, count = kerf_tensor_count(&out[i]);

		if (req->form[i] == KERF_OIP_OMIT)
			continue;
		fputs(comma, f);
		comma = ",";
		print_tensor(f, spec->out[i].name, &out[i]);
		if (req->form[i] == KERF_OIP_BINARY) {
			fprintf(f, ",\"parameters\":{\"binary_data_size\":%zu}}",
				kerf_tensor_bytes(&out[i]));
			continue;
		}
		fputs(",\"data\":[", f);
		for (k = 0; k < count; k++) {
			if (k)
				fputc(',', f);
			print_number(f, &out[i], k);
		}
		fputs("]}", f);
	}
	fputs("]}", f);
	return close_text(f, text);
}

int kerf_oip_request_encode(const struct kerf_oip_spec *spec, char **text, size_t *n)
{
	FILE *f = open_memstream(text, n);
	uint32_t i;

	if (!f)
		return -ENOMEM;
	fputs("{\"inputs\":[", f);
	for (i = 0; i < spec->n_in; i++) {
		if (i)
			fputc(',', f);
		print_tensor(f, spec->in[i].name, &spec->in[i].t);
		fprintf(f, ",\"parameters\":{\"binary_data_size\":%zu}}",
			kerf_tensor_bytes(&spec->in[i].t));
	}
	fputs("],\"parameters\":{\"binary_data_output\":true}}", f);
	return close_text(f, text);
}

static void print_list(FILE *f, const char *key, const struct kerf_oip_io *io, uint32_t n)
{
	uint32_t i;

	fprintf(f, ",\"%s\":[", key);
	for (i = 0; i < n; i++) {
		if (i)
			fputc(',', f);
		print_tensor(f, io[i].name, &io[i].t);
		fputc('}', f);
	}
	fputc(']', f);
}

int kerf_oip_metadata(const struct kerf_oip_spec *spec, char **text)
{
	size_t n;
	FILE *f = open_memstream(text, &n);

	if (!f)
		return -ENOMEM;
	fputs("{\"name\":", f);
	print_string(f, spec->model);
	fputs(",\"versions\":[\"1\"],\"platform\":\"kerf_onnx\"", f);
	print_list(f, "inputs", spec->in, spec->n_in);
	print_list(f, "outputs", spec->out, spec->n_out);
	fputc('}', f);
	return close_text(f, text);
}
