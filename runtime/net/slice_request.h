/* SPDX-License-Identifier: MIT */
/*
 * POST /kerf/v1/slices: how a slice is named to a peer that holds, or was sent, the same
 * model file. Both sides make the slice from (model, shapes, operators, rows); the
 * fingerprint of the whole rewritten graph tells whether the ids mean the same.
 */
#ifndef KERF_NET_SLICE_REQUEST_H
#define KERF_NET_SLICE_REQUEST_H

#include "graph/tensor.h"
#include "util/digest.h"
#include "util/err.h"

#define KERF_SLICE_SHAPES 64
#define KERF_SLICE_RANGES 4096
#define KERF_SLICE_NAME_MAX 256
#define KERF_SLICE_DEPTH 64

struct json_object;

struct kerf_slice_shape {
	char name[KERF_SLICE_NAME_MAX];
	int rank;
	int64_t dims[KERF_MAX_RANK];
};

struct kerf_slice_range {
	uint32_t begin, end; /* operator ids [begin, end) of the whole graph */
};

struct kerf_slice_request {
	char model[KERF_SHA256_HEX];
	char engine[64]; /* empty: the node's default */
	uint64_t fingerprint;
	uint32_t depth; /* jobs in flight, 1 to KERF_SLICE_DEPTH */
	uint32_t n_shape, n_range;
	struct kerf_slice_shape *shape; /* of every input of the whole model */
	struct kerf_slice_range *range; /* ascending, apart; none: the whole graph as it is */
	int64_t row_begin, row_end;	/* a tile; 0, 0: whole tensors */
	int64_t channel_begin, channel_end; /* of the outputs; 0, 0: all */
	bool padded;			/* the tile takes its border for the image's */
	/*
	 * Of a part: an object that exec/remote_part.h reads and writes; a reference. NULL: none.
	 */
	struct json_object *ports;
};

/* *text is malloc'ed. */
int kerf_slice_request_encode(const struct kerf_slice_request *q, char **text);
/* Checks every field; what it allocates is bounded by n. kerf_slice_request_finish() it. */
int kerf_slice_request_decode(const char *text, size_t n, struct kerf_slice_request *q,
			      struct kerf_err *err);
void kerf_slice_request_finish(struct kerf_slice_request *q);

#endif
