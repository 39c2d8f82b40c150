/* SPDX-License-Identifier: MIT */
/*
 * Encoder transformers (Vaswani et al., 2017), in the small operators that exporters
 * write at this opset: layer norm and GELU are not operators yet.
 */
#include "cli/gen.h"

#include <math.h>

static const char *transpose(struct kerf_gen *g, const char *x, int n, const int64_t *perm)
{
	struct kerf_gen_attr attr[] = {{.name = "perm", .type = KERF_GEN_INTS, .n = n}};
	int i;

	for (i = 0; i < n; i++)
		attr[0].ints[i] = perm[i];
	return kerf_gen_node(g, "Transpose", 1, &x, 1, attr);
}

static const char *reshape(struct kerf_gen *g, const char *x, int n, const int64_t *dims)
{
	return kerf_gen_node2(g, "Reshape", x, kerf_gen_ints(g, "shape", n, dims));
}

/* One element along an axis, which goes away. */
static const char *pick(struct kerf_gen *g, const char *x, int64_t axis, int64_t index)
{
	struct kerf_gen_attr attr[] = {{.name = "axis", .type = KERF_GEN_INT, .i = axis}};
	const char *in[] = {x, kerf_gen_const(g, "index", KERF_I64, 0, NULL, &index, 0, 0, false)};

	return kerf_gen_node(g, "Gather", 2, in, 1, attr);
}

static const char *mean_last(struct kerf_gen *g, const char *x)
{
	struct kerf_gen_attr attr[] = {
		{.name = "axes", .type = KERF_GEN_INTS, .n = 1, .ints = {-1}},
		{.name = "keepdims", .type = KERF_GEN_INT, .i = 1},
	};

	return kerf_gen_node(g, "ReduceMean", 1, &x, 2, attr);
}

/* [.., in] times [in, out], plus bias. */
static const char *linear(struct kerf_gen *g, const char *x, int64_t in, int64_t out)
{
	const int64_t dims[] = {in, out};
	const char *w = kerf_gen_weight(g, "weight", 2, dims, 0, sqrtf(3 / (float)in));
	const char *b = kerf_gen_weight(g, "bias", 1, dims + 1, 0, 0.02f);

	return kerf_gen_node2(g, "Add", kerf_gen_node2(g, "MatMul", x, w), b);
}

/* Ba et al., 2016, "Layer normalization". */
static const char *layer_norm(struct kerf_gen *g, const char *x, int64_t dim, float epsilon)
{
	const int64_t dims[] = {dim};
	const char *centred = kerf_gen_node2(g, "Sub", x, mean_last(g, x));
	const char *var = kerf_gen_node2(g, "Pow", centred, kerf_gen_scalar(g, "two", 2));
	const char *dev;

	var = kerf_gen_node2(g, "Add", mean_last(g, var), kerf_gen_scalar(g, "epsilon", epsilon));
	dev = kerf_gen_node1(g, "Sqrt", var);
	x = kerf_gen_node2(g, "Div", centred, dev);
	x = kerf_gen_node2(g, "Mul", x, kerf_gen_weight(g, "scale", 1, dims, 1, 0.1f));
	return kerf_gen_node2(g, "Add", x, kerf_gen_weight(g, "shift", 1, dims, 0, 0.1f));
}

/* Hendrycks and Gimpel, 2016, "Gaussian error linear units". */
static const char *gelu(struct kerf_gen *g, const char *x)
{
	const char *y = kerf_gen_node2(g, "Div", x, kerf_gen_scalar(g, "sqrt2", sqrtf(2)));

	y = kerf_gen_node2(g, "Add", kerf_gen_node1(g, "Erf", y), kerf_gen_scalar(g, "one", 1));
	y = kerf_gen_node2(g, "Mul", x, y);
	return kerf_gen_node2(g, "Mul", y, kerf_gen_scalar(g, "half", 0.5f));
}

static const char *mlp(struct kerf_gen *g, const char *x, int64_t dim, int64_t hidden)
{
	return linear(g, gelu(g, linear(g, x, dim, hidden)), hidden, dim);
}

static const char *softmax(struct kerf_gen *g, const char *x)
{
	struct kerf_gen_attr attr[] = {{.name = "axis", .type = KERF_GEN_INT, .i = -1}};

	return kerf_gen_node(g, "Softmax", 1, &x, 1, attr);
}

/* Heads [N,heads,seq,size] back side by side: [N,seq,dim], then the output projection. */
static const char *merge(struct kerf_gen *g, const char *x, int64_t seq, int64_t dim)
{
	x = transpose(g, x, 4, (const int64_t[]){0, 2, 1, 3});
	x = reshape(g, x, 3, (const int64_t[]){0, seq, dim});
	return linear(g, x, dim, dim);
}

/* --- vision --------------------------------------------------------------- */

struct vit {
	int64_t patch, dim, depth, heads, seq;
};

static const char *vit_attention(struct kerf_gen *g, const char *x, const struct vit *v)
{
	int64_t size = v->dim / v->heads;
	const char *qkv = linear(g, x, v->dim, 3 * v->dim), *q, *k, *scores;

	qkv = reshape(g, qkv, 5, (const int64_t[]){0, v->seq, 3, v->heads, size});
	qkv = transpose(g, qkv, 5, (const int64_t[]){2, 0, 3, 1, 4});
	q = kerf_gen_node2(g, "Mul", pick(g, qkv, 0, 0),
			   kerf_gen_scalar(g, "factor", 1 / sqrtf((float)size)));
	k = transpose(g, pick(g, qkv, 0, 1), 4, (const int64_t[]){0, 1, 3, 2});
	scores = softmax(g, kerf_gen_node2(g, "MatMul", q, k));
	return merge(g, kerf_gen_node2(g, "MatMul", scores, pick(g, qkv, 0, 2)), v->seq, v->dim);
}

/* The class token, one for each image of the batch, before the patches. */
static const char *with_class_token(struct kerf_gen *g, const char *x, const struct vit *v)
{
	const int64_t dims[] = {1, 1, v->dim}, zero[] = {0};
	struct kerf_gen_attr axis_0[] = {{.name = "axis", .type = KERF_GEN_INT, .i = 0}};
	struct kerf_gen_attr axis_1[] = {{.name = "axis", .type = KERF_GEN_INT, .i = 1}};
	const char *token = kerf_gen_weight(g, "class_token", 3, dims, 0, 0.5f);
	const char *batch = pick(g, kerf_gen_node1(g, "Shape", x), 0, 0);
	const char *shape[2], *parts[2] = {NULL, x};

	shape[0] = kerf_gen_node2(g, "Unsqueeze", batch, kerf_gen_ints(g, "axes", 1, zero));
	shape[1] = kerf_gen_ints(g, "token_shape", 2, dims + 1);
	shape[0] = kerf_gen_node(g, "Concat", 2, shape, 1, axis_0);
	parts[0] = kerf_gen_node2(g, "Expand", token, shape[0]);
	return kerf_gen_node(g, "Concat", 2, parts, 1, axis_1);
}

static void vit(struct kerf_gen *g, struct vit v)
{
	const float epsilon = 1e-6f;
	struct kerf_feat image = kerf_gen_image(g, 3);
	struct kerf_gen_conv patches = {
		.out = v.dim, .k = v.patch, .stride = v.patch, .bias = true};
	const char *x;
	int64_t i;

	if (g->height % v.patch || g->width % v.patch)
		kerf_gen_fail(g, -EINVAL, "size %lldx%lld: not in patches of %lldx%lld",
			      (long long)g->height, (long long)g->width, (long long)v.patch,
			      (long long)v.patch);
	image = kerf_gen_conv(g, image, patches);
	x = reshape(g, image.name, 3, (const int64_t[]){0, v.dim, image.h * image.w});
	x = with_class_token(g, transpose(g, x, 3, (const int64_t[]){0, 2, 1}), &v);
	v.seq = image.h * image.w + 1;
	x = kerf_gen_node2(
		g, "Add", x,
		kerf_gen_weight(g, "position", 3, (int64_t[]){1, v.seq, v.dim}, 0, 0.5f));
	for (i = 0; i < v.depth; i++) {
		kerf_gen_scope(g, "block%d", (int)i);
		x = kerf_gen_node2(g, "Add", x,
				   vit_attention(g, layer_norm(g, x, v.dim, epsilon), &v));
		x = kerf_gen_node2(g, "Add", x,
				   mlp(g, layer_norm(g, x, v.dim, epsilon), v.dim, 4 * v.dim));
	}
	kerf_gen_scope(g, "head");
	x = pick(g, layer_norm(g, x, v.dim, epsilon), 1, 0);
	kerf_gen_logits(g, kerf_gen_fc(g, (struct kerf_feat){x, v.dim, 1, 1}, 1000));
}

/* Dosovitskiy et al., 2021, "An image is worth 16x16 words"; Touvron et al., 2021, DeiT, Ti. */
static void vit_tiny(struct kerf_gen *g)
{
	vit(g, (struct vit){.patch = 16, .dim = 192, .depth = 12, .heads = 3});
}

/* --- text ----------------------------------------------------------------- */

struct bert {
	int64_t vocabulary, positions, dim, depth, heads, seq;
};

/* [N,seq,dim] to [N,heads,seq,size], or with the last two swapped. */
static const char *head_form(struct kerf_gen *g, const char *x, const struct bert *b, bool swapped)
{
	static const int64_t straight[] = {0, 2, 1, 3}, across[] = {0, 2, 3, 1};

	x = linear(g, x, b->dim, b->dim);
	x = reshape(g, x, 4, (const int64_t[]){0, b->seq, b->heads, b->dim / b->heads});
	return transpose(g, x, 4, swapped ? across : straight);
}

static const char *bert_attention(struct kerf_gen *g, const char *x, const char *mask,
				  const struct bert *b)
{
	const char *q = head_form(g, x, b, false), *k = head_form(g, x, b, true);
	const char *v = head_form(g, x, b, false), *scores = kerf_gen_node2(g, "MatMul", q, k);
	float size = (float)(b->dim / b->heads);

	scores = kerf_gen_node2(g, "Div", scores, kerf_gen_scalar(g, "root", sqrtf(size)));
	scores = softmax(g, kerf_gen_node2(g, "Add", scores, mask));
	return merge(g, kerf_gen_node2(g, "MatMul", scores, v), b->seq, b->dim);
}

static const char *embedding(struct kerf_gen *g, const char *what, int64_t rows, int64_t dim,
			     const char *ids)
{
	struct kerf_gen_attr attr[] = {{.name = "axis", .type = KERF_GEN_INT, .i = 0}};
	const char *in[] = {kerf_gen_weight(g, what, 2, (int64_t[]){rows, dim}, 0, 0.05f), ids};

	return kerf_gen_node(g, "Gather", 2, in, 1, attr);
}

static const char *position_ids(struct kerf_gen *g, const struct bert *b)
{
	int64_t ids[512], i;

	for (i = 0; i < b->seq; i++)
		ids[i] = i;
	return kerf_gen_const(g, "position_ids", KERF_I64, 2, (int64_t[]){1, b->seq}, ids, 0, 0,
			      false);
}

/* 0 where the mask is 1, -10000 where it is 0; [N,1,1,seq] to be added to scores. */
static const char *additive_mask(struct kerf_gen *g, const char *mask)
{
	struct kerf_gen_attr to[] = {{.name = "to", .type = KERF_GEN_INT, .i = KERF_F32}};
	const int64_t axes[] = {1, 2};
	const char *m = kerf_gen_node2(g, "Unsqueeze", mask, kerf_gen_ints(g, "axes", 2, axes));

	m = kerf_gen_node(g, "Cast", 1, &m, 1, to);
	m = kerf_gen_node2(g, "Sub", kerf_gen_scalar(g, "one", 1), m);
	return kerf_gen_node2(g, "Mul", m, kerf_gen_scalar(g, "far", -10000));
}

static void bert(struct kerf_gen *g, struct bert b)
{
	const float epsilon = 1e-12f;
	int64_t dims[3], i;
	const char *ids, *mask, *types, *x;
	struct kerf_feat pooled;

	if (g->height != 1 || g->width > b.positions) {
		kerf_gen_fail(g, -EINVAL, "size %lldx%lld: expected 1 x at most %lld tokens",
			      (long long)g->height, (long long)g->width, (long long)b.positions);
		return;
	}
	b.seq = dims[1] = g->width;
	dims[2] = b.dim;
	ids = kerf_gen_input(g, "input_ids", KERF_I64, 2, dims);
	mask = kerf_gen_input(g, "attention_mask", KERF_I64, 2, dims);
	types = kerf_gen_input(g, "token_type_ids", KERF_I64, 2, dims);
	kerf_gen_scope(g, "embeddings");
	mask = additive_mask(g, mask);
	x = kerf_gen_node2(g, "Add", embedding(g, "word", b.vocabulary, b.dim, ids),
			   embedding(g, "type", 2, b.dim, types));
	x = kerf_gen_node2(g, "Add", x,
			   embedding(g, "position", b.positions, b.dim, position_ids(g, &b)));
	x = layer_norm(g, x, b.dim, epsilon);
	for (i = 0; i < b.depth; i++) {
		kerf_gen_scope(g, "layer%d", (int)i);
		x = kerf_gen_node2(g, "Add", bert_attention(g, x, mask, &b), x);
		x = layer_norm(g, x, b.dim, epsilon);
		x = kerf_gen_node2(g, "Add", mlp(g, x, b.dim, 4 * b.dim), x);
		x = layer_norm(g, x, b.dim, epsilon);
	}
	kerf_gen_scope(g, "pooler");
	kerf_gen_output(g, "last_hidden_state", x, KERF_F32, 3, dims);
	pooled = kerf_gen_fc(g, (struct kerf_feat){pick(g, x, 1, 0), b.dim, 1, 1}, b.dim);
	dims[1] = b.dim;
	kerf_gen_output(g, "pooler_output", kerf_gen_node1(g, "Tanh", pooled.name), KERF_F32, 2,
			dims);
}

/* Devlin et al., 2019, "BERT"; Turc et al., 2019, "Well-read students learn better", mini. */
static void bert_mini(struct kerf_gen *g)
{
	bert(g, (struct bert){
			.vocabulary = 30522, .positions = 512, .dim = 256, .depth = 4, .heads = 4});
}

const struct kerf_gen_arch kerf_gen_transformer[] = {
	{"vit_tiny", "Dosovitskiy et al. 2021, Touvron et al. 2021, patches of 16", 224, 224,
	 vit_tiny},
	{"bert_mini", "Devlin et al. 2019, Turc et al. 2019, 4 layers", 1, 128, bert_mini},
	{.name = NULL},
};
