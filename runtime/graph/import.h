/* SPDX-License-Identifier: MIT */
/*
 * Loading a model: an ONNX file to a frozen, optimised graph.
 *
 * Reads opset 7 to 21 (and older, operator by operator, where the meaning is
 * unchanged). Weights stay in the mapped file. External data is read only from
 * the model's folder: no absolute path, no "..", no link that leads out.
 */
#ifndef KERF_GRAPH_IMPORT_H
#define KERF_GRAPH_IMPORT_H

#include "graph/graph.h"

/* Fixes one input's shape ("data:1,3,224,224") or binds its contents. */
struct kerf_input_fix {
	const char *name;
	struct kerf_tensor t; /* dims used where the file's are symbolic or differ in a symbolic
				 place; t.data, if set, is copied: the input becomes a constant */
};

#define KERF_UNBOUND_TEXT 256
struct kerf_load_options {
	uint32_t n_fix;
	const struct kerf_input_fix *fix;
	int64_t default_dim;  /* for symbolic dims not fixed; 0 means 1 */
	bool no_rewrite;      /* keep ONNX's own operators and layout: for tests and conformance */
	/*
	 * NULL, or KERF_UNBOUND_TEXT bytes: on -ENODATA the input whose contents would help, or "".
	 */
	char *unbound;
};

/* opt may be NULL. On failure *g is untouched and err says which node and field. */
int kerf_model_load(const char *path, const struct kerf_load_options *opt, struct kerf_graph **g,
		    struct kerf_err *err);

/* The same from memory (copied as needed; folder for external data, or NULL: none allowed). */
int kerf_model_parse(const void *data, size_t size, const char *folder,
		     const struct kerf_load_options *opt, struct kerf_graph **g,
		     struct kerf_err *err);

/* Parses "name:1,3,224,224" (name may hold colons: the last one counts). fix->name is allocated. */
int kerf_input_fix_parse(const char *text, struct kerf_input_fix *fix, struct kerf_err *err);

#endif
