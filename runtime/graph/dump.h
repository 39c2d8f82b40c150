/* SPDX-License-Identifier: MIT */
/* A graph for people and tools: text table, JSON, Graphviz. */
#ifndef KERF_GRAPH_DUMP_H
#define KERF_GRAPH_DUMP_H

#include "graph/graph.h"

#include <stdio.h>

/* Operators, shapes, FLOPs, parameters, activation bytes, totals, planned peak. */
int kerf_graph_dump_text(const struct kerf_graph *g, FILE *f);
int kerf_graph_dump_json(const struct kerf_graph *g, FILE *f);
int kerf_graph_dump_dot(const struct kerf_graph *g, FILE *f);

#endif
