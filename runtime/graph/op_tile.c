/* SPDX-License-Identifier: MIT */
/* rowCrop(X; axis, begin, end): the rows [begin, end) of X along axis, copied. */
#include "graph/op.h"

#include <string.h>

static int row_crop_infer(const struct kerf_op *op, const struct kerf_tensor *in,
			  struct kerf_tensor *out, struct kerf_err *err)
{
	int64_t axis = kerf_op_int(op, "axis", 1);
	int64_t begin = kerf_op_int(op, "begin", 0), end = kerf_op_int(op, "end", 0);

	if (axis < 0 || axis >= in[0].rank)
		return kerf_fail(err, -EINVAL, "axis is %lld, input 0 has rank %d",
				 (long long)axis, in[0].rank);
	if (begin < 0 || end < begin || end > in[0].dims[axis])
		return kerf_fail(err, -EINVAL, "rows %lld to %lld of %lld", (long long)begin,
				 (long long)end, (long long)in[0].dims[axis]);
	out[0] = in[0];
	out[0].dims[axis] = end - begin;
	return 0;
}

static int row_crop_eval(const struct kerf_op *op, const struct kerf_tensor *in,
			 struct kerf_tensor *out)
{
	int axis = (int)kerf_op_int(op, "axis", 1), i;
	size_t row = kerf_dtype_size(in[0].dtype), skip;
	int64_t outer = 1, n;
	const char *src = in[0].data;
	char *dst = out[0].data;

	for (i = 0; i < axis; i++)
		outer *= in[0].dims[i];
	for (i = axis + 1; i < in[0].rank; i++)
		row *= (size_t)in[0].dims[i];
	skip = row * (size_t)kerf_op_int(op, "begin", 0);
	for (n = 0; n < outer; n++) {
		memcpy(dst, src + skip, row * (size_t)out[0].dims[axis]);
		src += row * (size_t)in[0].dims[axis];
		dst += row * (size_t)out[0].dims[axis];
	}
	return 0;
}

static int64_t row_crop_flops(const struct kerf_op *op, const struct kerf_tensor *in,
			      const struct kerf_tensor *out)
{
	return 0;
}

const struct kerf_op_def kerf_ops_tile[] = {
	{
		.name = "rowCrop",
		.since = 1,
		.min_in = 1,
		.max_in = 1,
		.min_out = 1,
		.max_out = 1,
		.flags = KERF_OP_INTERNAL,
		.infer = row_crop_infer,
		.eval = row_crop_eval,
		.flops = row_crop_flops,
	},
	{.name = NULL},
};
