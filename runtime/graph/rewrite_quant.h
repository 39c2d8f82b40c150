/* SPDX-License-Identifier: MIT */
/* Between the parts of the quantisation rewrite. */
#ifndef KERF_GRAPH_REWRITE_QUANT_H
#define KERF_GRAPH_REWRITE_QUANT_H

#include "graph/rewrite_edit.h"

/* What a DequantizeLinear reads: 8-bit (or, for a bias, int32) values, constant parameters. */
struct kerf_quantised {
	int32_t x, scale, zero; /* zero: -1 for none, which means 0 */
	int64_t n;              /* scales; 1 for all of x, else along axis */
	int axis;               /* in [0, rank) */
};

/*
 * An island: operator p, read by QuantizeLinear j alone (perhaps through an
 * activation, which act then is). y's scale and zero point are constants of one
 * element each.
 */
struct kerf_island {
	struct kerf_edit *e;
	uint32_t j;
	const struct kerf_op *p;
	struct kerf_act act;
	int32_t scale, zero;
};

/* True if v is made by a DequantizeLinear with constant parameters. */
bool kerf_dequantised(const struct kerf_edit *e, int32_t v, struct kerf_quantised *q);
/* The zero point as a constant, made where the model has none. */
int32_t kerf_quantised_zero(struct kerf_edit *e, const struct kerf_quantised *q);

/*
 * Operator j of the island becomes one of that type, if it accepts these inputs and
 * its output is what j's was: 1. 0 if not.
 */
int kerf_island_become(const struct kerf_island *s, const char *type, int opset, int n,
                       const int32_t *in, uint32_t n_attr, const struct kerf_attr *attr);

/* Each: 1 if the island became one operator, 0 if not, or a negative errno. */
int kerf_quant_conv(const struct kerf_island *s);
int kerf_quant_matmul(const struct kerf_island *s);

#endif
