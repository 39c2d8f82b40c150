/* SPDX-License-Identifier: MIT */
/*
 * Open Inference Protocol v2 (KServe), HTTP form, with the binary tensor data
 * extension: requests and replies to and from tensors.
 *
 * A body is a JSON header of Inference-Header-Content-Length bytes followed by the
 * binary data of the tensors that say so, in the header's order, without gaps. Without
 * that header field the whole body is JSON. With the value 0 there is no JSON: the body
 * is the inputs in the model's order and all outputs come back binary (a raw request,
 * as Triton has it for one input; here for any number, since shapes are fixed).
 *
 * Bounds: KERF_OIP_TENSORS tensors, names and shapes must be the spec's, every length
 * is checked against it, nothing is allocated from what a peer claims.
 */
#ifndef KERF_NET_OIP_H
#define KERF_NET_OIP_H

#include "graph/tensor.h"
#include "util/err.h"

#define KERF_OIP_TENSORS 64
#define KERF_OIP_LENGTH_HEADER "Inference-Header-Content-Length"
#define KERF_OIP_ID_MAX 128

struct kerf_oip_io {
	const char *name;
	struct kerf_tensor t; /* dtype and dims; for a bounded output upper bounds */
};

struct kerf_oip_spec {
	const char *model;
	uint32_t n_in, n_out; /* at most KERF_OIP_TENSORS */
	const struct kerf_oip_io *in, *out;
};

enum kerf_oip_form { KERF_OIP_OMIT, KERF_OIP_JSON, KERF_OIP_BINARY };

/* What a request asks for besides its inputs. */
struct kerf_oip_request {
	char id[KERF_OIP_ID_MAX];
	enum kerf_oip_form form[KERF_OIP_TENSORS]; /* of each output */
};

/* Bytes of all inputs (outputs) of a spec. */
uint64_t kerf_oip_bytes(const struct kerf_oip_io *io, uint32_t n);

/*
 * Fills in[i].data, memory of the caller's of the spec's size, from a body. header_len
 * -1: the field was absent. Every input must be there exactly once.
 */
int kerf_oip_request_decode(const struct kerf_oip_spec *spec, const char *body, size_t size,
			    int64_t header_len, struct kerf_tensor *in,
			    struct kerf_oip_request *req, struct kerf_err *err);

/*
 * The JSON header of a reply; *text is malloc'ed, *n its length. Binary outputs follow
 * it in order.
 */
int kerf_oip_reply_encode(const struct kerf_oip_spec *spec, const struct kerf_oip_request *req,
			  const struct kerf_tensor *out, char **text, size_t *n);

/* The same for the client's side: all inputs binary, all outputs asked for as binary. */
int kerf_oip_request_encode(const struct kerf_oip_spec *spec, char **text, size_t *n);

/*
 * Reads a reply's JSON header; outputs must be the spec's, all of them; dims may be
 * smaller than the spec's where shrink is set. Fills out[i].dims and at[i], the offset
 * of its bytes after the header; -1 if it came as JSON, then out[i].data is filled.
 */
int kerf_oip_reply_decode(const struct kerf_oip_spec *spec, const char *header, size_t header_len,
			  size_t binary_size, bool shrink, struct kerf_tensor *out, int64_t *at,
			  struct kerf_err *err);

/* GET /v2/models/NAME. *text is malloc'ed. */
int kerf_oip_metadata(const struct kerf_oip_spec *spec, char **text);

#endif
