/* SPDX-License-Identifier: MIT */
/*
 * Inside the importer. import.c walks the model; import_weights.c makes constants of
 * its tensors; import_shape.c fixes the inputs' shapes and infers all others.
 */
#ifndef KERF_GRAPH_IMPORT_PRIV_H
#define KERF_GRAPH_IMPORT_PRIV_H

#include "graph/import.h"
#include "graph/wire.h"
#include "util/file.h"

#include "onnx.pb-c.h"

/* Names to numbers; a balanced tree (tsearch), because names come from the file. */
struct kerf_names {
	void *root;
};

/* Keys are not copied. 0, -EEXIST with *old the number it has, or -ENOMEM. */
int kerf_names_add(struct kerf_names *n, const char *key, int64_t number, int64_t *old);
bool kerf_names_find(const struct kerf_names *n, const char *key, int64_t *number);
void kerf_names_finish(struct kerf_names *n);

struct kerf_importer {
	struct kerf_graph *g;
	struct kerf_load_options opt;
	struct kerf_err *err;
	const uint8_t *data; /* the model; mapped if g->file is set: then constants may stay there */
	size_t size;
	const char *folder; /* of external data; NULL: none allowed */
	struct kerf_wire_split split;
	Onnx__ModelProto *model;
	size_t unpack_left;	  /* bytes protobuf-c may still allocate */
	struct kerf_names values; /* value ids */
	struct kerf_names ops;	  /* names taken */
	struct kerf_names ext;	  /* external files: index in g->ext */
	struct kerf_names packed; /* names read as weights of Conv, Gemm, MatMul... */
	struct kerf_names read;	  /* and names read otherwise */
};

/*
 * Makes a constant's contents: t->data points into the mapping or to the graph's own
 * memory. what names the tensor in sentences ("initializer 'w'").
 */
int kerf_import_tensor(struct kerf_importer *im, struct kerf_wire_range message, const char *what,
		       struct kerf_tensor *t);

/* Fills im->packed and im->read, before tensors are made. 0 or -ENOMEM. */
int kerf_import_find_packed(struct kerf_importer *im);

/* The bytes of an attribute's tensor; false if it has none. */
bool kerf_import_attr_range(const struct kerf_importer *im, const Onnx__AttributeProto *a,
			    struct kerf_wire_range *range);

/* Adds values for the model's inputs, fixed as the options say. */
int kerf_import_inputs(struct kerf_importer *im);

/* Infers every operator in order, learning what constants decide; checks declared outputs. */
int kerf_import_infer(struct kerf_importer *im);

/*
 * Reads metadata "kerf.accuracy" and "kerf.exit.OUTPUT" (of an output, taken as the answer; both a
 * number from 0 to 1) into the graph, whose outputs are there.
 */
#define KERF_MAX_EXITS 64
int kerf_import_exits(struct kerf_importer *im);

#endif
