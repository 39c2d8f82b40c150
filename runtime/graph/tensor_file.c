/* SPDX-License-Identifier: MIT */
#include "graph/tensor_file.h"

#include "graph/wire.h"
#include "util/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum format { FORMAT_RAW, FORMAT_PB, FORMAT_NPY };

static enum format format_of(const char *path)
{
	const char *dot = strrchr(path, '.');

	if (dot && !strcmp(dot, ".pb"))
		return FORMAT_PB;
	if (dot && !strcmp(dot, ".npy"))
		return FORMAT_NPY;
	return FORMAT_RAW;
}

static int alloc_data(struct kerf_tensor *t)
{
	size_t n = kerf_align(KERF_MAX(kerf_tensor_bytes(t), (size_t)1));

	t->data = aligned_alloc(KERF_ALIGN, n);
	return t->data ? 0 : -ENOMEM;
}

static int check_want(const struct kerf_tensor *t, const struct kerf_tensor *want,
		      struct kerf_err *err)
{
	char have[KERF_SHAPE_TEXT], text[KERF_SHAPE_TEXT];

	if (!want || (t->dtype == want->dtype && kerf_tensor_same_shape(t, want)))
		return 0;
	return kerf_fail(err, -EINVAL, "holds %s, expected %s", kerf_tensor_text(t, have),
			 kerf_tensor_text(want, text));
}

/* --- NumPy's .npy, versions 1 to 3: a Python dictionary as text, then the elements --- */

static const struct {
	char kind;
	uint8_t size;
	enum kerf_dtype dtype;
} npy_kinds[] = {
	{'f', 4, KERF_F32}, {'f', 2, KERF_F16}, {'f', 8, KERF_F64}, {'i', 1, KERF_I8},
	{'i', 2, KERF_I16}, {'i', 4, KERF_I32}, {'i', 8, KERF_I64}, {'u', 1, KERF_U8},
	{'u', 2, KERF_U16}, {'u', 4, KERF_U32}, {'u', 8, KERF_U64}, {'b', 1, KERF_BOOL},
};

#define NPY_MAGIC "\x93NUMPY"

/* The text after "'key':", blanks skipped; NULL if the header has no such key. */
static const char *npy_value(const char *header, const char *key)
{
	char quoted[32];
	const char *p;

	snprintf(quoted, sizeof(quoted), "'%s'", key);
	p = strstr(header, quoted);
	if (!p)
		return NULL;
	p += strlen(quoted);
	p += strspn(p, " ");
	if (*p++ != ':')
		return NULL;
	return p + strspn(p, " ");
}

static int npy_dtype(const char *descr, struct kerf_tensor *t, struct kerf_err *err)
{
	size_t i;

	if (descr && *descr == '\'' && strlen(descr) > 4 && descr[4] == '\'' &&
	    (descr[1] == '<' || (descr[1] == '|' && descr[3] == '1')))
		for (i = 0; i < KERF_ARRAY_SIZE(npy_kinds); i++)
			if (descr[2] == npy_kinds[i].kind && descr[3] == '0' + npy_kinds[i].size) {
				t->dtype = npy_kinds[i].dtype;
				return 0;
			}
	return kerf_fail(err, -EINVAL, "descr is %.16s, expected a little-endian number",
			 descr ? descr : "missing");
}

static int npy_shape(const char *shape, struct kerf_tensor *t, struct kerf_err *err)
{
	const char *p = shape;

	if (!p || *p++ != '(')
		goto bad;
	for (p += strspn(p, " "); *p != ')'; p += strspn(p, " ")) {
		char *end;

		if (*p < '0' || *p > '9' || t->rank == KERF_MAX_RANK)
			goto bad;
		errno = 0;
		t->dims[t->rank++] = strtoll(p, &end, 10);
		if (errno)
			goto bad;
		p = end + strspn(end, " ");
		if (*p == ',')
			p++;
		else if (*p != ')')
			goto bad;
	}
	return 0;
bad:
	return kerf_fail(err, -EINVAL, "shape is %.64s, expected at most %d dims",
			 shape ? shape : "missing", KERF_MAX_RANK);
}

static int read_npy(const struct kerf_file *f, struct kerf_tensor *t, struct kerf_err *err)
{
	size_t at, n;
	const char *order;
	char *header;
	int r;

	if (f->size < 12 || memcmp(f->data, NPY_MAGIC, 6) || f->data[6] < 1 || f->data[6] > 3)
		return kerf_fail(err, -EINVAL, "not a .npy file of version 1 to 3");
	at = f->data[6] == 1 ? 10 : 12;
	n = f->data[8] | (size_t)f->data[9] << 8;
	if (at == 12)
		n |= (size_t)f->data[10] << 16 | (size_t)f->data[11] << 24;
	if (n > f->size - at || n > 65536)
		return kerf_fail(err, -EINVAL, "the header would have %zu bytes, the file has %zu", n,
				 f->size);
	header = strndup((const char *)f->data + at, n);
	if (!header)
		return -ENOMEM;
	at += n;
	order = npy_value(header, "fortran_order");
	r = npy_dtype(npy_value(header, "descr"), t, err);
	if (!r)
		r = npy_shape(npy_value(header, "shape"), t, err);
	if (!r && (!order || strncmp(order, "False", 5)))
		r = kerf_fail(err, -EOPNOTSUPP, "fortran_order is not False");
	free(header);
	if (!r && kerf_tensor_check(t))
		r = kerf_fail(err, -EINVAL, "its shape is not one, or too large");
	if (!r && f->size - at != kerf_tensor_bytes(t))
		r = kerf_fail(err, -EINVAL, "%zu bytes of elements, expected %zu", f->size - at,
			      kerf_tensor_bytes(t));
	if (!r)
		r = alloc_data(t);
	if (!r)
		memcpy(t->data, f->data + at, kerf_tensor_bytes(t));
	return r;
}

static int write_npy(const char *path, const struct kerf_tensor *t, struct kerf_err *err)
{
	char head[256], shape[KERF_MAX_RANK * 24 + 1] = "";
	size_t bytes = kerf_tensor_bytes(t), at, i;
	int n = 0, k, r;
	uint8_t *buf;

	for (i = 0; i < KERF_ARRAY_SIZE(npy_kinds) && npy_kinds[i].dtype != t->dtype; i++)
		;
	if (i == KERF_ARRAY_SIZE(npy_kinds))
		return kerf_fail(err, -EOPNOTSUPP, "%s: .npy has no %s; .pb has", path,
				 kerf_dtype_name(t->dtype));
	for (k = 0; k < t->rank; k++)
		n += snprintf(shape + n, sizeof(shape) - (size_t)n, "%lld,%s", (long long)t->dims[k],
			      k + 1 < t->rank ? " " : "");
	n = snprintf(
		head, sizeof(head), "{'descr': '%c%c%u', 'fortran_order': False, 'shape': (%s), }",
		npy_kinds[i].size == 1 ? '|' : '<', npy_kinds[i].kind, npy_kinds[i].size, shape);
	at = kerf_align(10 + (size_t)n + 1);
	buf = malloc(at + bytes);
	if (!buf)
		return -ENOMEM;
	memcpy(buf, NPY_MAGIC "\1\0", 8);
	buf[8] = (uint8_t)(at - 10);
	buf[9] = (uint8_t)((at - 10) >> 8);
	memset(buf + 10, ' ', at - 10);
	memcpy(buf + 10, head, (size_t)n);
	buf[at - 1] = '\n';
	if (bytes)
		memcpy(buf + at, t->data, bytes);
	r = kerf_file_write(path, buf, at + bytes, err);
	free(buf);
	return r;
}

/* --- TensorProto --- */

static int read_pb(const struct kerf_file *f, struct kerf_tensor *t, struct kerf_err *err)
{
	struct kerf_wire_tensor w;
	int r = kerf_wire_tensor_parse((struct kerf_wire_range){f->data, f->size}, &w, err);

	if (!r && w.external)
		r = kerf_fail(err, -EOPNOTSUPP, "external data is not supported here");
	if (r)
		return r;
	*t = w.t;
	r = alloc_data(t);
	if (!r)
		kerf_wire_tensor_decode(&w, t->data);
	return r;
}

static uint8_t *put_varint(uint8_t *p, uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		*p++ = (uint8_t)(v | 0x80);
	*p++ = (uint8_t)v;
	return p;
}

static uint8_t *put_tag(uint8_t *p, enum kerf_tensor_field field, enum kerf_wire_type type)
{
	return put_varint(p, (uint64_t)field << 3 | type);
}

static int write_pb(const char *path, const char *name, const struct kerf_tensor *t,
		    struct kerf_err *err)
{
	size_t bytes = kerf_tensor_bytes(t), name_size = strlen(name);
	/* A field's tag and number take at most 2 and 10 bytes. */
	uint8_t *buf = malloc(bytes + name_size + (KERF_MAX_RANK + 3) * 12), *p = buf;
	int k, r;

	if (!buf)
		return -ENOMEM;
	for (k = 0; k < t->rank; k++)
		p = put_varint(put_tag(p, KERF_TENSOR_DIMS, KERF_WIRE_VARINT),
			       (uint64_t)t->dims[k]);
	p = put_varint(put_tag(p, KERF_TENSOR_DATA_TYPE, KERF_WIRE_VARINT), t->dtype);
	p = put_varint(put_tag(p, KERF_TENSOR_NAME, KERF_WIRE_BYTES), name_size);
	memcpy(p, name, name_size);
	p += name_size;
	p = put_varint(put_tag(p, KERF_TENSOR_RAW_DATA, KERF_WIRE_BYTES), bytes);
	if (bytes)
		memcpy(p, t->data, bytes);
	r = kerf_file_write(path, buf, (size_t)(p - buf) + bytes, err);
	free(buf);
	return r;
}

/* --- Raw --- */

static int read_raw(const struct kerf_file *f, const struct kerf_tensor *want,
		    struct kerf_tensor *t, struct kerf_err *err)
{
	char text[KERF_SHAPE_TEXT];
	int r;

	if (!want)
		return kerf_fail(err, -EINVAL,
				 "raw bytes do not say their dtype and shape; use .npy or .pb");
	*t = *want;
	t->data = NULL;
	if (f->size != kerf_tensor_bytes(want))
		return kerf_fail(err, -EINVAL, "has %zu bytes, expected %zu for %s", f->size,
				 kerf_tensor_bytes(want), kerf_tensor_text(want, text));
	r = alloc_data(t);
	if (!r && f->size)
		memcpy(t->data, f->data, f->size);
	return r;
}

/* A bool may be any byte in a file and is 0 or 1 in memory. */
static void normalise_bool(struct kerf_tensor *t)
{
	uint8_t *p = t->data;
	size_t i;

	if (t->dtype == KERF_BOOL)
		for (i = 0; i < kerf_tensor_bytes(t); i++)
			p[i] = p[i] != 0;
}

int kerf_tensor_read(const char *path, const struct kerf_tensor *want, struct kerf_tensor *t,
		     struct kerf_err *err)
{
	struct kerf_tensor got = {0};
	struct kerf_file *f;
	int r = kerf_file_map(path, &f, err);

	if (r)
		return r;
	switch (format_of(path)) {
	case FORMAT_PB: r = read_pb(f, &got, err); break;
	case FORMAT_NPY: r = read_npy(f, &got, err); break;
	case FORMAT_RAW: r = read_raw(f, want, &got, err); break;
	}
	kerf_file_unref(f);
	if (!r)
		r = check_want(&got, want, err);
	if (r) {
		free(got.data);
		kerf_fail(err, r, "%s", strerror(-r));
		kerf_err_prefix(err, "%s", path);
		return r;
	}
	normalise_bool(&got);
	*t = got;
	return 0;
}

int kerf_tensor_write(const char *path, const char *name, const struct kerf_tensor *t,
		      struct kerf_err *err)
{
	switch (format_of(path)) {
	case FORMAT_PB: return write_pb(path, name, t, err);
	case FORMAT_NPY: return write_npy(path, t, err);
	case FORMAT_RAW: break;
	}
	return kerf_file_write(path, t->data, kerf_tensor_bytes(t), err);
}
