/* SPDX-License-Identifier: MIT */
/*
 * Where a constant's contents stand. Mapped bytes are used in place if they are
 * aligned for their dtype; the format aligns nothing, so others are copied to the
 * graph's memory, piece by piece, giving the mapped pages back: a weight is in memory
 * once either way. But a copy stays when an engine has packed it, so large weights
 * that engines pack are left in place unaligned (struct kerf_value says which).
 */
#include "graph/import_priv.h"

#include <stdlib.h>
#include <string.h>

#define MAX_EXT_FILES 4096
#define COPY_PIECE ((size_t)4 << 20)
/* Below this a copy costs nothing that matters. */
#define PACKED_BYTES ((size_t)256 << 10)

static bool is_dense(const Onnx__NodeProto *n)
{
	size_t i;

	/* Depthwise kernels read their weights as they are. */
	for (i = 0; i < n->n_attribute; i++)
		if (n->attribute[i]->name && !strcmp(n->attribute[i]->name, "group"))
			return n->attribute[i]->i == 1;
	return true;
}

static bool is_packer(const Onnx__NodeProto *n)
{
	return (!n->domain || !*n->domain) && n->op_type &&
	       ((!strcmp(n->op_type, "Conv") && is_dense(n)) || !strcmp(n->op_type, "Gemm") ||
		!strcmp(n->op_type, "MatMul"));
}

int kerf_import_find_packed(struct kerf_importer *im)
{
	const Onnx__GraphProto *graph = im->model->graph;
	size_t i, k;
	int r = 0;

	for (i = 0; r != -ENOMEM && i < graph->n_node; i++) {
		const Onnx__NodeProto *n = graph->node[i];

		for (k = 0; r != -ENOMEM && k < n->n_input; k++)
			r = kerf_names_add(k == 1 && is_packer(n) ? &im->packed : &im->read,
					   n->input[k], 0, NULL);
	}
	for (i = 0; r != -ENOMEM && i < graph->n_output; i++)
		if (graph->output[i]->name)
			r = kerf_names_add(&im->read, graph->output[i]->name, 0, NULL);
	return r == -ENOMEM ? r : 0;
}

static bool may_be_unaligned(const struct kerf_importer *im, const struct kerf_wire_tensor *w)
{
	int64_t at;

	/* A name that w->name shortened is not found. */
	return w->t.dtype == KERF_F32 && kerf_tensor_bytes(&w->t) >= PACKED_BYTES &&
	       kerf_names_find(&im->packed, w->name, &at) &&
	       !kerf_names_find(&im->read, w->name, &at);
}

static void copy_and_forget(struct kerf_graph *g, uint8_t *dst, const uint8_t *src, size_t n)
{
	while (n) {
		size_t piece = KERF_MIN(n, COPY_PIECE);

		memcpy(dst, src, piece);
		kerf_graph_forget(g, src, piece);
		dst += piece;
		src += piece;
		n -= piece;
	}
}

/* Contents that lie in p as they shall be in memory; mapped: p lives as long as the graph. */
static int place(struct kerf_importer *im, const uint8_t *p, bool mapped,
		 struct kerf_wire_tensor *w)
{
	struct kerf_tensor *t = &w->t;
	size_t n = kerf_tensor_bytes(t);

	t->data = (void *)p;
	/* A bool may be any byte in the file and is 0 or 1 in memory. */
	if (mapped && n && t->dtype != KERF_BOOL &&
	    (kerf_tensor_is_aligned(t) || may_be_unaligned(im, w)))
		return 0;
	t->data = kerf_graph_alloc(im->g, n);
	if (!t->data)
		return -ENOMEM;
	copy_and_forget(im->g, t->data, p, n);
	if (t->dtype == KERF_BOOL) {
		uint8_t *b = t->data;

		while (n--)
			b[n] = b[n] != 0;
	}
	return 0;
}

static int open_external(struct kerf_importer *im, const char *location, struct kerf_file **f)
{
	struct kerf_graph *g = im->g;
	int64_t index;
	int r;

	if (kerf_names_find(&im->ext, location, &index)) {
		*f = g->ext[index];
		return 0;
	}
	if (!im->folder)
		return kerf_fail(im->err, -EACCES,
				 "external data '%.128s': not allowed for a model without a folder",
				 location);
	if (g->n_ext == MAX_EXT_FILES)
		return kerf_fail(im->err, -EFBIG, "more than %d files of external data",
				 MAX_EXT_FILES);
	r = kerf_file_map_beneath(im->folder, location, f, im->err);
	if (r) {
		kerf_err_prefix(im->err, "external data");
		return r;
	}
	r = kerf_graph_add_file(g, *f);
	if (r) {
		kerf_file_unref(*f);
		return r;
	}
	return kerf_names_add(&im->ext, location, g->n_ext - 1, NULL);
}

static int place_external(struct kerf_importer *im, struct kerf_wire_tensor *w)
{
	size_t n = kerf_tensor_bytes(&w->t);
	struct kerf_file *f;
	char *location;
	int r;

	if (memchr(w->location.data, 0, w->location.size) || w->location.size > 4096)
		return kerf_fail(im->err, -EINVAL, "external data: location is not a path");
	location = kerf_arena_alloc(&im->g->arena, w->location.size + 1);
	if (!location)
		return -ENOMEM;
	memcpy(location, w->location.data, w->location.size);
	r = open_external(im, location, &f);
	if (r)
		return r;
	if (w->length != UINT64_MAX && w->length != n)
		return kerf_fail(im->err, -EINVAL,
				 "external data '%.128s': length is %llu, expected %zu", location,
				 (unsigned long long)w->length, n);
	if (w->offset > f->size || n > f->size - w->offset)
		return kerf_fail(im->err, -EINVAL,
				 "external data '%.128s': %zu bytes at offset %llu expected, "
				 "the file has %zu",
				 location, n, (unsigned long long)w->offset, f->size);
	return place(im, f->data + w->offset, true, w);
}

int kerf_import_tensor(struct kerf_importer *im, struct kerf_wire_range message, const char *what,
		       struct kerf_tensor *t)
{
	struct kerf_wire_tensor w;
	int r = kerf_wire_tensor_parse(message, &w, im->err);

	if (r)
		goto out;
	if (w.external) {
		r = place_external(im, &w);
	} else if (w.typed) {
		w.t.data = kerf_graph_alloc(im->g, kerf_tensor_bytes(&w.t));
		r = w.t.data ? 0 : -ENOMEM;
		if (!r)
			kerf_wire_tensor_decode(&w, w.t.data);
	} else {
		r = place(im, w.raw.data, im->g->file != NULL, &w);
	}
out:
	if (r && im->err && im->err->msg[0])
		kerf_err_prefix(im->err, "%s '%.128s'", what, w.name);
	*t = w.t;
	return r;
}

bool kerf_import_attr_range(const struct kerf_importer *im, const Onnx__AttributeProto *a,
			    struct kerf_wire_range *range)
{
	if (!a->has_t_offset || !a->has_t_size)
		return false;
	range->data = im->data + a->t_offset;
	range->size = a->t_size;
	return true;
}
