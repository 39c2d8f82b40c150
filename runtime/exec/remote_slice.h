/* SPDX-License-Identifier: MIT */
/* How a slice is named to who makes it again from the same model: remote nodes, engine servers. */
#ifndef KERF_EXEC_REMOTE_SLICE_H
#define KERF_EXEC_REMOTE_SLICE_H

#include "graph/graph.h"
#include "net/slice_request.h"

/*
 * All but engine and depth, which are the caller's. kerf_slice_request_finish() it also on failure.
 */
int kerf_slice_describe(const struct kerf_graph *slice, struct kerf_slice_request *q,
			struct kerf_err *err);

#endif
