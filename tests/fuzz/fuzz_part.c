/* SPDX-License-Identifier: MIT */
/*
 * Ports and messages of parts. The input is ports, then messages for those in. Ports that are
 * accepted take and give within their tensors, bytes for bytes; what is taken can be given again.
 */
#include "fuzz/fuzz.h"

#include "exec/part.h"

#include <stdlib.h>
#include <string.h>

#define PORTS 3
#define PIECES 3

static struct kerf_graph *graph(void)
{
	struct kerf_tensor image = {.dtype = KERF_F32, .rank = 4, .dims = {2, 5, 3, 4}};
	struct kerf_tensor flat = {.dtype = KERF_F32, .rank = 2, .dims = {2, 6}};
	struct kerf_tensor bytes = {.dtype = KERF_U8, .rank = 1, .dims = {7}};
	const struct kerf_tensor *t[3] = {&image, &flat, &bytes};
	struct kerf_graph *g = kerf_graph_new("part");
	int32_t i, v, w;

	for (i = 0; i < 3; i++) {
		v = kerf_graph_add_value(g, NULL, t[i]);
		w = kerf_graph_add_value(g, NULL, t[i]);
		g->value[v].nhwc = g->value[w].nhwc = i == 0;
		kerf_graph_add_op(g, kerf_op_find(NULL, "Identity", 14), NULL, 14, 1, &v, 1, &w, 0, NULL);
		kerf_graph_add_input(g, v);
		kerf_graph_add_output(g, w);
	}
	/* As a tile and a slice of channels hold them. */
	g->value[g->in[0]].row0 = g->value[g->out[0]].row0 = 2;
	g->value[g->in[0]].whole_rows = g->value[g->out[0]].whole_rows = 9;
	g->value[g->in[1]].channel0 = g->value[g->out[1]].channel0 = 1;
	g->value[g->in[1]].whole_channels = g->value[g->out[1]].whole_channels = 8;
	return g;
}

struct bytes {
	const uint8_t *p;
	size_t n;
};

static uint8_t next(struct bytes *b)
{
	return b->n ? (b->n--, *b->p++) : 0;
}

static void ports(struct bytes *b, struct kerf_port *port, struct kerf_piece piece[][PIECES],
		  uint32_t *n)
{
	uint32_t i, k;

	*n = next(b) % (PORTS + 1);
	for (i = 0; i < *n; i++) {
		port[i] = (struct kerf_port){.home = next(b) & 1, .piece = piece[i]};
		port[i].n_piece = next(b) % (PIECES + 1);
		for (k = 0; k < port[i].n_piece; k++)
			piece[i][k] =
				(struct kerf_piece){.io = next(b) % 4,
						    .rows = {(int8_t)next(b), (int8_t)next(b)},
						    .channels = {(int8_t)next(b), (int8_t)next(b)},
						    .codec = next(b) % (KERF_N_CODECS + 1)};
	}
}

static void exchange(const struct kerf_graph *g, const struct kerf_piece *p, bool in,
		     const struct kerf_tensor *exact, struct bytes *b)
{
	size_t n = kerf_piece_bytes(g, in, p), i;
	/* To the byte, so that a sanitizer sees the first one beyond. */
	uint8_t *wire = malloc(n), *again = malloc(n);
	struct kerf_tensor t = exact[p->io];

	if (!n || !wire || !again)
		abort();
	for (i = 0; i < n; i++)
		wire[i] = next(b);
	if (in && !kerf_piece_take(g, p, &t, wire)) {
		/* Inputs and outputs are alike here. */
		kerf_piece_give(g, p, &t, again);
		if (p->codec == KERF_CODEC_NONE && memcmp(wire, again, n) != 0)
			abort();
	}
	kerf_piece_give(g, p, &t, wire);
	if (kerf_piece_take(g, p, &t, wire))
		abort();
	free(wire);
	free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kerf_piece in_piece[PORTS][PIECES], out_piece[PORTS][PIECES];
	struct kerf_port in[PORTS], out[PORTS];
	struct kerf_part part = {.in = in, .out = out};
	struct bytes b = {data, size};
	struct kerf_graph *g = graph();
	struct kerf_tensor exact[3];
	struct kerf_err err = {""};
	uint32_t i, k;

	ports(&b, in, in_piece, &part.n_in);
	ports(&b, out, out_piece, &part.n_out);
	for (i = 0; i < 3; i++) {
		exact[i] = g->value[g->in[i]].t;
		exact[i].data = calloc(1, kerf_tensor_bytes(&exact[i]));
		if (!exact[i].data)
			abort();
	}
	if (kerf_part_check(g, &part, &err)) {
		if (!err.msg[0])
			abort();
		part.n_in = part.n_out = 0;
	}
	for (i = 0; i < part.n_in; i++)
		for (k = 0; k < in[i].n_piece; k++)
			exchange(g, &in[i].piece[k], true, exact, &b);
	for (i = 0; i < part.n_out; i++)
		for (k = 0; k < out[i].n_piece; k++)
			exchange(g, &out[i].piece[k], false, exact, &b);
	for (i = 0; i < 3; i++)
		free(exact[i].data);
	kerf_graph_unref(g);
	return 0;
}

/* Whole values in one port, whole values out of another; a random input seldom is as much. */
void kerf_fuzz_seeds(void (*add)(const void *data, size_t size))
{
	uint8_t seed[600] = {1, 1, 3, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0,
			     1, 1, 2, 0, 3, 5, 0, 0, 2, 1, 0, 0, 2, 4, 1};
	size_t i;

	for (i = 36; i < sizeof(seed); i++)
		seed[i] = (uint8_t)(i * 37);
	add(seed, sizeof(seed));
}
