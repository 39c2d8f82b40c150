/* SPDX-License-Identifier: MIT */
/* Operators that the rewrites make and no family of ONNX's has. */
#include "graph/op.h"

#include <string.h>

/* The activation op->act and nothing else: kerf_op_eval() applies it to the copy. */
static int infer_act(const struct kerf_op *op, const struct kerf_tensor *in,
                     struct kerf_tensor *out, struct kerf_err *err)
{
	if (in[0].dtype != KERF_F32 && in[0].dtype != KERF_F16)
		return kerf_fail(err, -EINVAL, "input 0 is %s, expected float32 or float16",
		                 kerf_dtype_name(in[0].dtype));
	out[0] = in[0];
	return 0;
}

static int eval_act(const struct kerf_op *op, const struct kerf_tensor *in, struct kerf_tensor *out)
{
	memcpy(out[0].data, in[0].data, kerf_tensor_bytes(&in[0]));
	return 0;
}

const struct kerf_op_def kerf_ops_internal[] = {
	{
		.name = "act",
		.since = 1,
		.min_in = 1,
		.max_in = 1,
		.min_out = 1,
		.max_out = 1,
		.flags = KERF_OP_ELEMENTWISE | KERF_OP_INTERNAL,
		.infer = infer_act,
		.eval = eval_act,
	},
	{.name = NULL},
};
