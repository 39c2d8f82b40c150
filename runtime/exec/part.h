/* SPDX-License-Identifier: MIT */
/*
 * A part: a slice whose inputs and outputs travel in pieces, some between neighbours without
 * touching home.
 *
 * Pieces that go together are a port. A slice has at most one port in from home, the body of the
 * request that runs it, and one out to home, its reply; every other port is another slice's, and
 * its message goes from that slice's node to this one's at once. The job runs when a request's
 * ports in have all come; ports are told apart by their index, requests by a number that
 * home gives, the same for all slices of a plan.
 */
#ifndef KERF_EXEC_PART_H
#define KERF_EXEC_PART_H

#include "exec/codec.h"
#include "graph/graph.h"
#include "graph/op.h"
#include "plan/plan.h"
#include "util/err.h"

struct kerf_piece {
	uint32_t io;		    /* of the slice: input for a port in, output for a port out */
	struct kerf_rows rows, channels; /* of the whole value; {0, 0}: all that the slice holds */
	enum kerf_codec codec;
};

struct kerf_port {
	bool home;
	/* Of a port out that is another slice's: where it goes. */
	char url[256];	/* "http://host:port"; empty: a slice of the same node */
	char slice[64]; /* its id there */
	uint32_t port;	/* the index among its ports in */
	uint32_t n_piece;
	struct kerf_piece *piece; /* a message is their bytes one after the other */
};

struct kerf_part {
	uint32_t n_in, n_out;
	struct kerf_port *in, *out;
};

/*
 * Where the elements of a band are in a tensor that holds a part of a value. All ranges are of the
 * whole value: held is what the tensor has, want what is meant; {0, 0}: all of the whole, all
 * that is held. False if want is empty or not held, or the value has no such axis: rows are axis 1
 * of nhwc values, channels the last axis of any with two or more.
 */
struct kerf_band_of {
	struct kerf_rows rows, channels;
};
bool kerf_runs_of(const struct kerf_value *whole, struct kerf_band_of held,
		  struct kerf_band_of want, struct kerf_runs *runs);

/* What a slice holds of one of its values. */
struct kerf_band_of kerf_slice_band(const struct kerf_graph *slice, int32_t v);

/* Bytes on the wire of one piece, or of a message; t is the slice's value. */
size_t kerf_piece_bytes(const struct kerf_graph *slice, bool in, const struct kerf_piece *p);
size_t kerf_port_bytes(const struct kerf_graph *slice, bool in, const struct kerf_port *p);

/*
 * Between a tensor of the slice, as tensor holds it (its rows from row0 on), and the piece's
 * bytes on the wire. No allocation. take is -EINVAL for bytes that no encoder makes.
 */
void kerf_piece_give(const struct kerf_graph *slice, const struct kerf_piece *p,
		     const struct kerf_tensor *tensor, void *wire);
int kerf_piece_take(const struct kerf_graph *slice, const struct kerf_piece *p,
		    struct kerf_tensor *tensor, const void *wire);

/*
 * -EINVAL, with a sentence, unless every piece lies in what the slice holds, the ports in make
 * up every input exactly (no element twice, none missing), at most one port each way is home's,
 * and codecs other than none are of float32 alone.
 */
int kerf_part_check(const struct kerf_graph *slice, const struct kerf_part *part,
		    struct kerf_err *err);
void kerf_part_finish(struct kerf_part *part);

#endif
