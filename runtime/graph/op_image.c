/* SPDX-License-Identifier: MIT */
#include "graph/op.h"

const struct kerf_op_def kerf_ops_image[] = {
	{.name = NULL},
};
