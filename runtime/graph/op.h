/* SPDX-License-Identifier: MIT */
/*
 * What an operator is: one table entry with its name, its shape rule, its
 * reference meaning, its work, and which input rows an output row needs.
 *
 * The entries live in op_<family>.c, each family an array that op.c collects.
 * The reference meaning (eval) is plain C, written for clarity; the `ref` engine
 * runs it, constant folding runs it, and every faster kernel is compared with it.
 *
 * infer and eval see tensors, not the graph: the same functions serve import,
 * folding, the engines, and operators whose shapes are known only at run time.
 */
#ifndef KERF_GRAPH_OP_H
#define KERF_GRAPH_OP_H

#include "graph/graph.h"

struct kerf_rows {
	int64_t begin, end; /* [begin, end) along axis 1 of an nhwc value */
};

enum kerf_op_flags {
	/* Output 0 has the element order of input 0: may share its memory (Reshape...). */
	KERF_OP_VIEW = 1 << 0,
	/* Output 0 element i depends on element i of the inputs (after broadcasting) alone. */
	KERF_OP_ELEMENTWISE = 1 << 1,
	/* Shape of an output depends on data: infer gives an upper bound, eval the truth. */
	KERF_OP_BOUNDED = 1 << 2,
	/* Depends on more than its inputs (random numbers): never folded. */
	KERF_OP_IMPURE = 1 << 3,
	/* Has a channels-last form (obeys op->nhwc). */
	KERF_OP_SPATIAL = 1 << 4,
	/* Made by our rewrites only; the importer refuses it in a file. */
	KERF_OP_INTERNAL = 1 << 5,
	/*
	 * Reads input 0 through kerf_op_window(), or otherwise by op->tile alone: in a
	 * tile that input may hold more rows than rows() asks for. Others get exactly
	 * those rows.
	 */
	KERF_OP_WINDOW = 1 << 6,
};

struct kerf_op_def {
	const char *name; /* ONNX op_type; internal ones start with a lower-case letter */
	const char *domain; /* NULL: ai.onnx */
	int since, until;   /* opset versions whose meaning is implemented; until 0: no end */
	int min_in, max_in, min_out, max_out; /* max -1: any number */
	uint32_t flags;
	/* Bit i: the contents of input i decide the shape of an output. */
	uint32_t shape_in;
	/* The family's own: lets one infer and one eval serve many entries. */
	const void *family;

	/*
	 * Checks dtypes, ranks and attributes and fills dtype, rank and dims of every
	 * out[] (those with dtype KERF_NONE on entry are absent: leave them).
	 * in[i].data is set where contents are known. -EINVAL with a sentence naming the
	 * attribute or input; -ENODATA if contents of a shape_in input are needed and
	 * unknown; -EOPNOTSUPP for a legal form not implemented.
	 * Need not check sizes: the caller runs kerf_tensor_check on the results.
	 */
	int (*infer)(const struct kerf_op *op, const struct kerf_tensor *in,
		     struct kerf_tensor *out, struct kerf_err *err);

	/*
	 * -EINVAL, with a sentence, if a file's operator has a form that only our rewrites
	 * may make; the importer asks before it infers. NULL: there is no such form.
	 */
	int (*check_file)(const struct kerf_graph *g, const struct kerf_op *op,
			  struct kerf_err *err);

	/*
	 * Computes out[] (memory given, shapes as inferred; a BOUNDED operator lowers
	 * dims to the true ones). Inputs were accepted by infer, but their contents
	 * are not trusted: an index out of range is -EINVAL. 0 or -EINVAL or -ENOMEM.
	 * Does not apply op->act: kerf_op_eval does, after it.
	 */
	int (*eval)(const struct kerf_op *op, const struct kerf_tensor *in,
		    struct kerf_tensor *out);

	/* Multiply and add count 2. NULL: one an output element. */
	int64_t (*flops)(const struct kerf_op *op, const struct kerf_tensor *in,
			 const struct kerf_tensor *out);

	/*
	 * Rows of input i (whole shapes in in[], out[]) that output rows want need,
	 * clamped to the input. 0, or -EOPNOTSUPP if a row range cannot be computed
	 * apart. NULL: kerf_op_rows() applies the element-wise rule if ELEMENTWISE is
	 * set, else says -EOPNOTSUPP.
	 */
	int (*rows)(const struct kerf_op *op, const struct kerf_tensor *in,
		    const struct kerf_tensor *out, int i, struct kerf_rows want,
		    struct kerf_rows *need);
};

/* The newest definition whose since <= opset <= until, or NULL. domain NULL or "" is ai.onnx. */
const struct kerf_op_def *kerf_op_find(const char *domain, const char *name, int opset);
/* All definitions, for listings and tests. */
const struct kerf_op_def *kerf_op_at(uint32_t i); /* NULL past the last */

/*
 * infer, eval, flops and rows may look at every input and output the definition
 * knows: in[] and out[] have these many entries, the absent ones dtype KERF_NONE.
 */
static inline int kerf_op_in_slots(const struct kerf_op *op)
{
	return KERF_MAX(op->n_in, op->def->max_in);
}

static inline int kerf_op_out_slots(const struct kerf_op *op)
{
	return KERF_MAX(op->n_out, op->def->max_out);
}

/* Gathers the tensors of op's inputs and outputs from the graph, all slots. */
void kerf_op_tensors(const struct kerf_graph *g, const struct kerf_op *op, struct kerf_tensor *in,
		     struct kerf_tensor *out);

/*
 * Infers one operator and stores the shapes in the graph's output values; marks
 * outputs bounded where the operator is BOUNDED or an input is.
 * The sentence starts with the operator's name and type.
 */
int kerf_op_infer_shapes(struct kerf_graph *g, struct kerf_op *op, struct kerf_err *err);

/* def->eval, then op->act on output 0 (float32 or, for float16, through float32). */
int kerf_op_eval(const struct kerf_op *op, const struct kerf_tensor *in, struct kerf_tensor *out);

/*
 * Evaluates an operator of known inputs; its outputs become known: the contents, in
 * memory of the graph's, and the true dims. On failure (as eval) they stay as they were.
 */
int kerf_op_eval_known(struct kerf_graph *g, const struct kerf_op *op);

int64_t kerf_op_flops(const struct kerf_graph *g, const struct kerf_op *op);

/*
 * What eval may take, for budgets: flops, but at least one an element of any input
 * where the operator does not count its own (ArgMax makes one element of a million).
 */
int64_t kerf_op_work(const struct kerf_graph *g, const struct kerf_op *op);

/*
 * The axis of an input that broadcasting aligns with axis 1 (rows) of the output;
 * -1 if it has none.
 */
static inline int kerf_op_row_axis(const struct kerf_tensor *in, const struct kerf_tensor *out)
{
	return KERF_MAX(in->rank - out->rank + 1, -1);
}

int kerf_op_rows(const struct kerf_op *op, const struct kerf_tensor *in,
		 const struct kerf_tensor *out, int i, struct kerf_rows want,
		 struct kerf_rows *need);

/* One activation on one float, by libm: the reference for fused epilogues. */
float kerf_act_apply(const struct kerf_act *act, float x);

/*
 * The window of Conv, ConvTranspose, pools: attributes with ONNX's defaults,
 * auto_pad resolved against the input's spatial dims, ceil_mode not applied.
 * n_spatial is rank - 2. For a tiled operator pads along the row axis are counted
 * from the rows held: the first tap of the first output row is row -pad_begin[0]
 * (negative pad: more rows held than needed), and the whole image with its padding
 * ends pad_end[0] rows after the last held one. How many output rows there are says
 * the output tensor, not the window: every tap of theirs that is a row of the whole
 * is held, so a tap outside the held rows is padding.
 * -EINVAL with a sentence on nonsense (stride < 1, wrong counts, overflow).
 */
struct kerf_window {
	int n_spatial;
	int64_t kernel[3], stride[3], dilation[3], pad_begin[3], pad_end[3];
};
int kerf_op_window(const struct kerf_op *op, const struct kerf_tensor *x,
		   const int64_t *kernel_from_weights, struct kerf_window *w,
		   struct kerf_err *err);

/* Axis attribute -> [0, rank); -1 if out of range. */
static inline int kerf_axis(int64_t axis, int rank)
{
	if (axis < 0)
		axis += rank;
	return axis >= 0 && axis < rank ? (int)axis : -1;
}

/*
 * NumPy broadcasting of a and b into out, which may be one of them; -EINVAL if they do
 * not fit. dtype untouched.
 */
int kerf_broadcast(const struct kerf_tensor *a, const struct kerf_tensor *b,
		   struct kerf_tensor *out);

/* Families (op_<family>.c): arrays ended by an entry with a NULL name. */
extern const struct kerf_op_def kerf_ops_elementwise[]; /* arithmetic, comparison, logic, Where */
extern const struct kerf_op_def kerf_ops_unary[];	/* activations, libm, Clip, Cast, Identity */
extern const struct kerf_op_def kerf_ops_reduce[];	/* Reduce*, softmax */
extern const struct kerf_op_def kerf_ops_order[];	/* ArgMax, TopK, CumSum, Unique, NonZero */
extern const struct kerf_op_def kerf_ops_shape[];	/* Reshape, Squeeze, Constant, Range... */
extern const struct kerf_op_def kerf_ops_move[];	/* Transpose, Concat, Slice, Pad, Tile... */
extern const struct kerf_op_def kerf_ops_index[];	/* Gather*, Scatter*, OneHot */
extern const struct kerf_op_def kerf_ops_conv[];	/* Conv, ConvTranspose, ConvInteger */
extern const struct kerf_op_def kerf_ops_pool[];
extern const struct kerf_op_def kerf_ops_matmul[];	/* MatMul, Gemm, Einsum */
extern const struct kerf_op_def kerf_ops_norm[];	/* BatchNorm, LayerNorm, LRN... */
extern const struct kerf_op_def kerf_ops_resize[];	/* Resize, Upsample */
extern const struct kerf_op_def kerf_ops_image[];	/* DepthToSpace, SpaceToDepth, GridSample */
extern const struct kerf_op_def kerf_ops_detect[];	/* NonMaxSuppression, RoiAlign */
extern const struct kerf_op_def kerf_ops_quant[];	/* QuantizeLinear, QLinear*, qGemm */
extern const struct kerf_op_def kerf_ops_qlinear[];	/* internal: qAdd, qConcat, quantised pools */
extern const struct kerf_op_def kerf_ops_recurrent[];	/* LSTM, GRU, RNN */
extern const struct kerf_op_def kerf_ops_tile[];	/* internal: what tiles need */
extern const struct kerf_op_def kerf_ops_internal[];	/* made by rewrites: act */
extern const struct kerf_op_def kerf_ops_signal[];	/* windows, DFT, STFT, mel filters */
extern const struct kerf_op_def kerf_ops_misc[];	/* losses, Det, n-grams */

#endif
