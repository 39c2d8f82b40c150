/* SPDX-License-Identifier: MIT */
/* One tensor in a file: ONNX TensorProto (.pb), NumPy (.npy), or raw little-endian bytes. */
#ifndef KERF_GRAPH_TENSOR_FILE_H
#define KERF_GRAPH_TENSOR_FILE_H

#include "graph/tensor.h"
#include "util/err.h"

/*
 * Reads path; the format follows from the name (.pb, .npy, anything else is raw).
 * want (may be NULL, needed for raw): the dtype and shape expected; a mismatch is
 * -EINVAL with both in the sentence. t->data is allocated with aligned_alloc: free() it.
 */
int kerf_tensor_read(const char *path, const struct kerf_tensor *want, struct kerf_tensor *t,
		     struct kerf_err *err);

/* Writes a temporary beside path and renames it: never a partial file. Format as above. */
int kerf_tensor_write(const char *path, const char *name, const struct kerf_tensor *t,
		      struct kerf_err *err);

#endif
