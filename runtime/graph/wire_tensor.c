/* SPDX-License-Identifier: MIT */
#include "graph/wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The typed field that holds elements of a dtype where raw_data does not. */
static uint32_t typed_field(enum kerf_dtype dtype)
{
	switch (dtype) {
	case KERF_F32: return KERF_TENSOR_FLOAT_DATA;
	case KERF_F64: return KERF_TENSOR_DOUBLE_DATA;
	case KERF_I64: return KERF_TENSOR_INT64_DATA;
	case KERF_U32:
	case KERF_U64: return KERF_TENSOR_UINT64_DATA;
	default: return KERF_TENSOR_INT32_DATA;
	}
}

static const char *typed_name(uint32_t field)
{
	switch (field) {
	case KERF_TENSOR_FLOAT_DATA: return "float_data";
	case KERF_TENSOR_DOUBLE_DATA: return "double_data";
	case KERF_TENSOR_INT64_DATA: return "int64_data";
	case KERF_TENSOR_UINT64_DATA: return "uint64_data";
	default: return "int32_data";
	}
}

/* Bytes of an element as it travels; 0: a varint. */
static size_t typed_width(uint32_t field)
{
	return field == KERF_TENSOR_FLOAT_DATA ? 4 : field == KERF_TENSOR_DOUBLE_DATA ? 8 : 0;
}

static int add_dim(struct kerf_wire_tensor *t, uint64_t dim, struct kerf_err *err)
{
	if (t->t.rank == KERF_MAX_RANK)
		return kerf_fail(err, -EOPNOTSUPP, "dims: rank above %d", KERF_MAX_RANK);
	t->t.dims[t->t.rank++] = (int64_t)dim;
	return 0;
}

static int read_dims(struct kerf_wire_tensor *t, const struct kerf_wire_field *f,
		     struct kerf_err *err)
{
	struct kerf_wire in = {f->data, f->data + f->size};
	int r = 0;

	if (f->type == KERF_WIRE_VARINT)
		return add_dim(t, f->value, err);
	if (f->type != KERF_WIRE_BYTES)
		return -EINVAL;
	while (!r && in.p != in.end) {
		uint64_t dim;

		r = kerf_wire_varint(&in, &dim);
		if (!r)
			r = add_dim(t, dim, err);
	}
	return r;
}

/* A decimal number of digits alone; external_data's values are text. */
static int read_decimal(struct kerf_wire_range text, uint64_t *value)
{
	uint64_t v = 0;
	size_t i;

	if (!text.size)
		return -EINVAL;
	for (i = 0; i < text.size; i++) {
		if (text.data[i] < '0' || text.data[i] > '9' ||
		    __builtin_mul_overflow(v, (uint64_t)10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(text.data[i] - '0'), &v))
			return -EINVAL;
	}
	*value = v;
	return 0;
}

static bool is(struct kerf_wire_range r, const char *text)
{
	return r.size == strlen(text) && !memcmp(r.data, text, r.size);
}

static int read_external(struct kerf_wire_tensor *t, const struct kerf_wire_field *field,
			 struct kerf_err *err)
{
	struct kerf_wire in = {field->data, field->data + field->size};
	struct kerf_wire_range key = {NULL, 0}, value = {NULL, 0};
	struct kerf_wire_field f;
	int more;

	if (field->type != KERF_WIRE_BYTES)
		return -EINVAL;
	while ((more = kerf_wire_next(&in, &f)) > 0) {
		if (f.number > 2)
			continue;
		if (f.type != KERF_WIRE_BYTES)
			return -EINVAL;
		*(f.number == 1 ? &key : &value) = (struct kerf_wire_range){f.data, f.size};
	}
	if (more)
		return more;
	if (is(key, "location"))
		t->location = value;
	else if (is(key, "offset") && read_decimal(value, &t->offset))
		return kerf_fail(err, -EINVAL, "external_data: offset is not a number");
	else if (is(key, "length") && read_decimal(value, &t->length))
		return kerf_fail(err, -EINVAL, "external_data: length is not a number");
	return 0;
}

/* Before all else, and whatever else is wrong: sentences need it. */
static void find_name(struct kerf_wire_tensor *t)
{
	struct kerf_wire in = {t->message.data, t->message.data + t->message.size};
	struct kerf_wire_field f;
	size_t n;

	while (kerf_wire_next(&in, &f) > 0)
		if (f.number == KERF_TENSOR_NAME && f.type == KERF_WIRE_BYTES)
			t->full_name = (struct kerf_wire_range){f.data, f.size};
	n = KERF_MIN(t->full_name.size, sizeof(t->name) - 1);
	if (n)
		memcpy(t->name, t->full_name.data, n);
	t->name[n] = 0;
}

struct seen {
	bool raw;
	uint64_t data_type;
};

static int read_head(struct kerf_wire_tensor *t, struct seen *seen, struct kerf_err *err)
{
	struct kerf_wire in = {t->message.data, t->message.data + t->message.size};
	struct kerf_wire_field f;
	int r = 0, more = 0;

	while (!r && (more = kerf_wire_next(&in, &f)) > 0) {
		switch (f.number) {
		case KERF_TENSOR_DIMS: r = read_dims(t, &f, err); break;
		case KERF_TENSOR_DATA_TYPE:
			r = f.type == KERF_WIRE_VARINT ? 0 : -EINVAL;
			seen->data_type = f.value;
			break;
		case KERF_TENSOR_SEGMENT:
			r = kerf_fail(err, -EOPNOTSUPP, "segment is not supported");
			break;
		case KERF_TENSOR_NAME:
			r = f.type == KERF_WIRE_BYTES ? 0 : -EINVAL;
			break;
		case KERF_TENSOR_RAW_DATA:
			r = f.type == KERF_WIRE_BYTES ? 0 : -EINVAL;
			seen->raw = true;
			t->raw = (struct kerf_wire_range){f.data, f.size};
			break;
		case KERF_TENSOR_EXTERNAL_DATA: r = read_external(t, &f, err); break;
		case KERF_TENSOR_DATA_LOCATION:
			r = f.type == KERF_WIRE_VARINT && f.value <= 1 ? 0 : -EINVAL;
			t->external = f.value == 1;
			break;
		}
	}
	return r ? r : more;
}

/*
 * Counts the elements of one typed field, packed or not, and checks that each is
 * whole. *run is the packed run if there is just one and nothing else.
 */
static int count_typed(const struct kerf_wire_tensor *t, uint32_t field, uint64_t *count,
		       struct kerf_wire_range *run)
{
	struct kerf_wire in = {t->message.data, t->message.data + t->message.size};
	size_t width = typed_width(field);
	struct kerf_wire_field f;
	uint32_t pieces = 0;

	*count = 0;
	while (kerf_wire_next(&in, &f) > 0) {
		struct kerf_wire packed = {f.data, f.data + f.size};
		uint64_t v;

		if (f.number != field)
			continue;
		pieces++;
		if (f.type != KERF_WIRE_BYTES) {
			if (f.type != (width == 4   ? KERF_WIRE_FIXED32
				       : width == 8 ? KERF_WIRE_FIXED64
						    : KERF_WIRE_VARINT))
				return -EINVAL;
			++*count;
			continue;
		}
		*run = (struct kerf_wire_range){f.data, f.size};
		if (width) {
			if (f.size % width)
				return -EINVAL;
			*count += f.size / width;
			continue;
		}
		for (; packed.p != packed.end; ++*count)
			if (kerf_wire_varint(&packed, &v))
				return -EINVAL;
	}
	if (pieces != 1 || !width)
		*run = (struct kerf_wire_range){NULL, 0};
	return 0;
}

static int check_typed(struct kerf_wire_tensor *t, struct kerf_err *err)
{
	uint64_t want = (uint64_t)kerf_tensor_count(&t->t), found;
	uint32_t field = typed_field(t->t.dtype);
	char text[KERF_SHAPE_TEXT];
	struct kerf_wire_range run = {NULL, 0};

	if (count_typed(t, field, &found, &run))
		return kerf_fail(err, -EINVAL, "%s is malformed", typed_name(field));
	if (found != want)
		return kerf_fail(err, -EINVAL, "%s has %llu elements, expected %llu for %s",
				 typed_name(field), (unsigned long long)found,
				 (unsigned long long)want, kerf_tensor_text(&t->t, text));
	if (run.size == kerf_tensor_bytes(&t->t))
		t->raw = run;
	else if (want)
		t->typed = field;
	return 0;
}

int kerf_wire_tensor_parse(struct kerf_wire_range message, struct kerf_wire_tensor *t,
			   struct kerf_err *err)
{
	char text[KERF_SHAPE_TEXT];
	struct seen seen = {0};
	int r;

	memset(t, 0, sizeof(*t));
	t->message = message;
	t->length = UINT64_MAX;
	find_name(t);
	r = read_head(t, &seen, err);
	if (r)
		return kerf_fail(err, r, "malformed TensorProto");
	t->t.dtype = seen.data_type <= KERF_BF16 ? (enum kerf_dtype)seen.data_type : KERF_NONE;
	if (!kerf_dtype_size(t->t.dtype))
		return kerf_fail(err, -EOPNOTSUPP, "data_type %llu (%s) is not supported",
				 (unsigned long long)seen.data_type,
				 kerf_dtype_name(t->t.dtype));
	r = kerf_tensor_check(&t->t);
	if (r)
		return kerf_fail(err, r, "dims: %s is not a shape, or larger than %lld bytes",
				 kerf_tensor_text(&t->t, text), (long long)KERF_MAX_TENSOR_BYTES);
	if (t->external)
		return t->location.size ? 0
					: kerf_fail(err, -EINVAL, "external_data has no location");
	if (!seen.raw)
		return check_typed(t, err);
	if (t->raw.size != kerf_tensor_bytes(&t->t))
		return kerf_fail(err, -EINVAL, "raw_data has %zu bytes, expected %zu for %s",
				 t->raw.size, kerf_tensor_bytes(&t->t),
				 kerf_tensor_text(&t->t, text));
	return 0;
}

static void store(uint8_t *dst, size_t size, uint64_t v)
{
	memcpy(dst, &v, size);
}

void kerf_wire_tensor_decode(const struct kerf_wire_tensor *t, void *dst)
{
	struct kerf_wire in = {t->message.data, t->message.data + t->message.size};
	size_t size = kerf_dtype_size(t->t.dtype), width = typed_width(t->typed), i;
	struct kerf_wire_field f;
	uint8_t *p = dst;

	if (t->raw.size)
		memcpy(dst, t->raw.data, t->raw.size);
	while (t->typed && kerf_wire_next(&in, &f) > 0) {
		struct kerf_wire run = {f.data, f.data + f.size};
		uint64_t v;

		if (f.number != t->typed)
			continue;
		if (f.type != KERF_WIRE_BYTES) {
			store(p, size, f.value);
			p += size;
		} else if (width) {
			memcpy(p, f.data, f.size);
			p += f.size;
		} else {
			while (!kerf_wire_varint(&run, &v)) {
				store(p, size, v);
				p += size;
			}
		}
	}
	if (t->t.dtype == KERF_BOOL)
		for (p = dst, i = 0; i < (size_t)kerf_tensor_count(&t->t); i++)
			p[i] = p[i] != 0;
}
