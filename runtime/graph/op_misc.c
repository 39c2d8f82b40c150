/* SPDX-License-Identifier: MIT */
#include "graph/op_util.h"

const struct kerf_op_def kerf_ops_misc[] = {
	{.name = NULL},
};
