/* SPDX-License-Identifier: MIT */
#include "graph/wire.h"

#include <stdlib.h>
#include <string.h>

int kerf_wire_varint(struct kerf_wire *w, uint64_t *value)
{
	uint64_t v = 0;
	int shift;

	for (shift = 0; shift < 70; shift += 7) {
		uint8_t b;

		if (w->p == w->end)
			return -EINVAL;
		b = *w->p++;
		if (shift == 63 && b > 1)
			return -EINVAL;
		v |= (uint64_t)(b & 0x7f) << shift;
		if (!(b & 0x80)) {
			*value = v;
			return 0;
		}
	}
	return -EINVAL;
}

static int fixed(struct kerf_wire *w, size_t n, uint64_t *value)
{
	*value = 0;
	if ((size_t)(w->end - w->p) < n)
		return -EINVAL;
	memcpy(value, w->p, n); /* little endian, as kerf's hosts are */
	w->p += n;
	return 0;
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "weights are used as they lie in the file");

int kerf_wire_next(struct kerf_wire *w, struct kerf_wire_field *f)
{
	uint64_t tag, n;
	int r;

	if (w->p == w->end)
		return 0;
	if (kerf_wire_varint(w, &tag) || tag >> 32 || !(tag >> 3))
		return -EINVAL;
	memset(f, 0, sizeof(*f));
	f->number = (uint32_t)(tag >> 3);
	f->type = (enum kerf_wire_type)(tag & 7);
	switch (f->type) {
	case KERF_WIRE_VARINT: r = kerf_wire_varint(w, &f->value); break;
	case KERF_WIRE_FIXED64: r = fixed(w, 8, &f->value); break;
	case KERF_WIRE_FIXED32: r = fixed(w, 4, &f->value); break;
	case KERF_WIRE_BYTES:
		r = kerf_wire_varint(w, &n);
		if (r || n > (uint64_t)(w->end - w->p))
			return -EINVAL;
		f->data = w->p;
		f->size = (size_t)n;
		w->p += n;
		break;
	default: return -EINVAL;
	}
	return r ? r : 1;
}

/* --- Splitting --- */

static int reserve(struct kerf_wire_split *s, size_t more)
{
	size_t want = s->rest_size + more, cap = s->rest_cap ? s->rest_cap : 4096;
	uint8_t *p;

	if (want <= s->rest_cap)
		return 0;
	if (want > KERF_MAX_REST)
		return -EFBIG;
	while (cap < want)
		cap *= 2;
	p = realloc(s->rest, cap);
	if (!p)
		return -ENOMEM;
	s->rest = p;
	s->rest_cap = cap;
	return 0;
}

static int put_varint(struct kerf_wire_split *s, uint64_t v)
{
	int r = reserve(s, 10);

	if (r)
		return r;
	for (; v >= 0x80; v >>= 7)
		s->rest[s->rest_size++] = (uint8_t)(v | 0x80);
	s->rest[s->rest_size++] = (uint8_t)v;
	return 0;
}

static int put_tag(struct kerf_wire_split *s, uint32_t number, enum kerf_wire_type type)
{
	return put_varint(s, (uint64_t)number << 3 | type);
}

static int put_bytes(struct kerf_wire_split *s, const uint8_t *p, size_t n)
{
	int r = reserve(s, n);

	if (!r && n) {
		memcpy(s->rest + s->rest_size, p, n);
		s->rest_size += n;
	}
	return r;
}

static int put_field(struct kerf_wire_split *s, const struct kerf_wire_field *f)
{
	int r = put_tag(s, f->number, f->type);

	if (r)
		return r;
	switch (f->type) {
	case KERF_WIRE_VARINT: return put_varint(s, f->value);
	case KERF_WIRE_FIXED64: return put_bytes(s, (const uint8_t *)&f->value, 8);
	case KERF_WIRE_FIXED32: return put_bytes(s, (const uint8_t *)&f->value, 4);
	case KERF_WIRE_BYTES: break;
	}
	r = put_varint(s, f->size);
	return r ? r : put_bytes(s, f->data, f->size);
}

/* The length of a message we shorten is known only afterwards: five bytes are kept for it. */
#define LENGTH_BYTES 5

static int begin_message(struct kerf_wire_split *s, uint32_t number, size_t *mark)
{
	int r = put_tag(s, number, KERF_WIRE_BYTES);

	if (!r)
		r = reserve(s, LENGTH_BYTES);
	if (r)
		return r;
	s->rest_size += LENGTH_BYTES;
	*mark = s->rest_size;
	return 0;
}

static void end_message(struct kerf_wire_split *s, size_t mark)
{
	size_t n = s->rest_size - mark;
	int i;

	for (i = 0; i < LENGTH_BYTES; i++, n >>= 7)
		s->rest[mark - LENGTH_BYTES + (size_t)i] =
			(uint8_t)((n & 0x7f) | (i < LENGTH_BYTES - 1 ? 0x80 : 0));
}

struct walk {
	struct kerf_wire_split *s;
	struct kerf_err *err;
	const uint8_t *base; /* of the model */
};

static int split_attribute(struct walk *w, const struct kerf_wire_field *field)
{
	struct kerf_wire in = {field->data, field->data + field->size};
	struct kerf_wire_field f;
	bool has_tensor = false;
	size_t mark;
	int r = begin_message(w->s, KERF_NODE_ATTRIBUTE, &mark), more = 0;

	while (!r && (more = kerf_wire_next(&in, &f)) > 0) {
		switch (f.number) {
		case KERF_ATTRIBUTE_T:
			/*
			 * Protocol buffers would merge two tensors into one; no writer does that.
			 */
			if (f.type != KERF_WIRE_BYTES || has_tensor)
				return kerf_fail(w->err, -EINVAL, "an attribute has two tensors");
			has_tensor = true;
			r = put_tag(w->s, KERF_ATTRIBUTE_T_OFFSET, KERF_WIRE_VARINT);
			if (!r)
				r = put_varint(w->s, (uint64_t)(f.data - w->base));
			if (!r)
				r = put_tag(w->s, KERF_ATTRIBUTE_T_SIZE, KERF_WIRE_VARINT);
			if (!r)
				r = put_varint(w->s, f.size);
			break;
		case KERF_ATTRIBUTE_G:
			f.size = 0; /* that there is one suffices to refuse it */
			r = put_field(w->s, &f);
			break;
		case KERF_ATTRIBUTE_TYPE:
		case KERF_ATTRIBUTE_REF: r = put_field(w->s, &f); break;
		default:
			if (f.number <= KERF_ATTRIBUTE_STRINGS)
				r = put_field(w->s, &f);
		}
	}
	if (!r)
		end_message(w->s, mark);
	return r ? r : more;
}

static int split_node(struct walk *w, const struct kerf_wire_field *field)
{
	struct kerf_wire in = {field->data, field->data + field->size};
	struct kerf_wire_field f;
	size_t mark;
	int r, more = 0;

	if (++w->s->n_node > KERF_MAX_NODES)
		return kerf_fail(w->err, -EFBIG, "more than %u nodes", KERF_MAX_NODES);
	r = begin_message(w->s, KERF_GRAPH_NODE, &mark);
	while (!r && (more = kerf_wire_next(&in, &f)) > 0) {
		if (f.type != KERF_WIRE_BYTES && f.number <= KERF_NODE_DOMAIN)
			return -EINVAL;
		switch (f.number) {
		case KERF_NODE_ATTRIBUTE: r = split_attribute(w, &f); break;
		case KERF_NODE_INPUT:
		case KERF_NODE_OUTPUT:
		case KERF_NODE_NAME:
		case KERF_NODE_OP_TYPE:
		case KERF_NODE_DOMAIN: r = put_field(w->s, &f);
		}
	}
	if (!r)
		end_message(w->s, mark);
	return r ? r : more;
}

static int note_tensor(struct walk *w, const struct kerf_wire_field *f)
{
	struct kerf_wire_split *s = w->s;

	if (s->n_tensor == KERF_MAX_TENSORS)
		return kerf_fail(w->err, -EFBIG, "more than %u initializers", KERF_MAX_TENSORS);
	if (s->n_tensor == s->cap_tensor) {
		uint32_t cap = s->cap_tensor ? s->cap_tensor * 2 : 64;
		struct kerf_wire_range *p = reallocarray(s->tensor, cap, sizeof(*p));

		if (!p)
			return -ENOMEM;
		s->tensor = p;
		s->cap_tensor = cap;
	}
	s->tensor[s->n_tensor++] = (struct kerf_wire_range){f->data, f->size};
	return 0;
}

static int split_graph(struct walk *w, const struct kerf_wire_field *field)
{
	struct kerf_wire in = {field->data, field->data + field->size};
	struct kerf_wire_field f;
	size_t mark;
	int r = begin_message(w->s, KERF_MODEL_GRAPH, &mark), more = 0;

	while (!r && (more = kerf_wire_next(&in, &f)) > 0) {
		if (f.type != KERF_WIRE_BYTES && f.number <= KERF_GRAPH_SPARSE_INITIALIZER)
			return -EINVAL;
		switch (f.number) {
		case KERF_GRAPH_NODE: r = split_node(w, &f); break;
		case KERF_GRAPH_INITIALIZER: r = note_tensor(w, &f); break;
		case KERF_GRAPH_NAME:
		case KERF_GRAPH_INPUT:
		case KERF_GRAPH_OUTPUT: r = put_field(w->s, &f); break;
		case KERF_GRAPH_SPARSE_INITIALIZER:
			return kerf_fail(w->err, -EOPNOTSUPP,
					 "graph: sparse_initializer is not supported");
		}
	}
	if (!r)
		end_message(w->s, mark);
	return r ? r : more;
}

/* Metadata is anybody's, and may be large: what is not for kerf is left out. */
static int keep_entry(struct kerf_wire_split *s, const struct kerf_wire_field *field)
{
	struct kerf_wire in = {field->data, field->data + field->size};
	struct kerf_wire_field f;
	bool ours = false;
	int more;

	if (field->type != KERF_WIRE_BYTES)
		return -EINVAL;
	while ((more = kerf_wire_next(&in, &f)) > 0)
		if (f.number == KERF_ENTRY_KEY)
			ours = f.type == KERF_WIRE_BYTES && f.size > 5 && !memcmp(f.data, "kerf.", 5);
	if (more < 0)
		return more;
	return ours ? put_field(s, field) : 0;
}

int kerf_wire_split(const uint8_t *data, size_t size, struct kerf_wire_split *s,
		    struct kerf_err *err)
{
	struct walk w = {s, err, data};
	struct kerf_wire in = {data, data + size};
	struct kerf_wire_field f;
	bool has_graph = false;
	int r = 0, more = 0;

	memset(s, 0, sizeof(*s));
	while (!r && (more = kerf_wire_next(&in, &f)) > 0) {
		switch (f.number) {
		case KERF_MODEL_GRAPH:
			/* Merging two graphs is legal in protocol buffers and sense in no model. */
			if (f.type != KERF_WIRE_BYTES || has_graph)
				r = kerf_fail(err, -EINVAL, "the model has two graphs");
			else
				r = split_graph(&w, &f);
			has_graph = true;
			break;
		case KERF_MODEL_FUNCTIONS:
			r = kerf_fail(err, -EOPNOTSUPP, "model: functions are not supported");
			break;
		case KERF_MODEL_METADATA: r = keep_entry(s, &f); break;
		case KERF_MODEL_IR_VERSION:
		case KERF_MODEL_PRODUCER:
		case KERF_MODEL_OPSET: r = put_field(s, &f);
		}
	}
	r = r ? r : more;
	if (r == -EFBIG)
		kerf_fail(err, r, "more than %zu bytes beside weights", KERF_MAX_REST);
	if (r == -EINVAL)
		kerf_fail(err, r,
			  "not an ONNX model, or truncated: malformed near byte %zu of %zu",
			  (size_t)(in.p - data), size);
	return r;
}

void kerf_wire_split_finish(struct kerf_wire_split *s)
{
	free(s->rest);
	free(s->tensor);
	memset(s, 0, sizeof(*s));
}
