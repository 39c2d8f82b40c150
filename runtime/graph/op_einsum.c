/* SPDX-License-Identifier: MIT */
/*
 * Einsum. Each label of the equation is an axis of one loop nest, output labels
 * outside, summed ones inside in order of first appearance; an operand has a step
 * for each label (0 where it lacks it or broadcasts, the sum of steps where it has
 * it twice: a diagonal). Floats are summed in float64.
 */
#include "graph/op_matmul.h"
#include "graph/spatial.h"

#include <ctype.h>
#include <string.h>

#define MAX_OPERANDS 8
#define MAX_LABELS 64

struct label {
	int name; /* letter, or DOTS + place from the right within the ellipsis */
	int64_t dim;
	int64_t step[MAX_OPERANDS];
	bool in_output;
	int uses;
};

#define DOTS 256

struct einsum {
	int n_operand, n_label;
	struct label label[MAX_LABELS];
	int n_out, out[KERF_MAX_RANK]; /* labels of the output's axes */
};

static struct label *find_label(struct einsum *e, int name, bool add)
{
	int i;

	for (i = 0; i < e->n_label; i++)
		if (e->label[i].name == name)
			return &e->label[i];
	if (!add || e->n_label == MAX_LABELS)
		return NULL;
	e->label[e->n_label] = (struct label){.name = name, .dim = 1};
	return &e->label[e->n_label++];
}

/* Binds axis of operand k to a label. */
static int bind_axis(struct einsum *e, int k, int name, int64_t dim, int64_t step,
		     struct kerf_err *err)
{
	struct label *l = find_label(e, name, true);

	if (!l)
		return kerf_fail(err, -EOPNOTSUPP, "an equation of more than %d labels",
				 MAX_LABELS);
	if (dim != 1 && l->dim != 1 && dim != l->dim)
		return kerf_fail(err, -EINVAL, "label '%c' is %lld and %lld",
				 name < DOTS ? name : '.', (long long)l->dim, (long long)dim);
	if (dim != 1) {
		l->dim = dim;
		l->step[k] += step;
	}
	l->uses++;
	return 0;
}

/* One term, s up to end: letters and at most one "...". */
static int bind_term(struct einsum *e, int k, const char *s, const char *end,
		     const struct kerf_tensor *t, struct kerf_err *err)
{
	int64_t step[KERF_MAX_RANK + 1], n = 1;
	int i, letters = 0, dots = 0, axis = 0, r = 0;
	const char *c;

	for (i = t->rank - 1; i >= 0; i--) {
		step[i] = n;
		n *= t->dims[i];
	}
	for (c = s; c < end; c++) {
		letters += isalpha((unsigned char)*c) != 0;
		if (end - c >= 3 && !strncmp(c, "...", 3)) {
			dots++;
			c += 2;
		} else if (!isalpha((unsigned char)*c) && *c != ' ') {
			return kerf_fail(err, -EINVAL, "equation has '%c'", *c);
		}
	}
	if (dots > 1 || letters > t->rank || (!dots && letters != t->rank))
		return kerf_fail(err, -EINVAL, "term %d of the equation does not fit rank %d", k,
				 t->rank);
	for (c = s; !r && c < end; c++) {
		if (*c == '.') {
			for (i = t->rank - letters; !r && i > 0; i--, axis++)
				r = bind_axis(e, k, DOTS + i, t->dims[axis], step[axis], err);
			c += 2;
		} else if (*c != ' ') {
			r = bind_axis(e, k, *c, t->dims[axis], step[axis], err);
			axis++;
		}
	}
	return r;
}

static int add_output(struct einsum *e, int name, struct kerf_err *err)
{
	struct label *l = find_label(e, name, false);

	if (!l || l->in_output)
		return kerf_fail(err, -EINVAL,
				 "output label '%c' is in no term, or twice in the output",
				 name < DOTS ? name : '.');
	if (e->n_out == KERF_MAX_RANK)
		return kerf_fail(err, -EOPNOTSUPP, "an output of rank above %d", KERF_MAX_RANK);
	l->in_output = true;
	e->out[e->n_out++] = (int)(l - e->label);
	return 0;
}

static int add_dots(struct einsum *e, struct kerf_err *err)
{
	int i, r = 0;

	for (i = KERF_MAX_RANK; !r && i > 0; i--)
		if (find_label(e, DOTS + i, false))
			r = add_output(e, DOTS + i, err);
	return r;
}

/* Without "->": the ellipsis, then the letters used once, in alphabetical order. */
static int implicit_output(struct einsum *e, struct kerf_err *err)
{
	int c, r = add_dots(e, err);

	for (c = 'A'; !r && c <= 'z'; c++) {
		struct label *l = find_label(e, c, false);

		if (l && l->uses == 1)
			r = add_output(e, c, err);
	}
	return r;
}

static int explicit_output(struct einsum *e, const char *s, struct kerf_err *err)
{
	int r = 0;

	for (; !r && *s; s++) {
		if (!strncmp(s, "...", 3)) {
			r = add_dots(e, err);
			s += 2;
		} else if (*s != ' ') {
			r = add_output(e, (unsigned char)*s, err);
		}
	}
	return r;
}

static int parse(const struct kerf_op *op, const struct kerf_tensor *in, struct einsum *e,
		 struct kerf_err *err)
{
	const char *eq = kerf_op_string(op, "equation", ""), *arrow = strstr(eq, "->");
	const char *end = arrow ? arrow : eq + strlen(eq), *s = eq, *comma;
	int k, r;

	memset(e, 0, sizeof(*e));
	if (op->n_in > MAX_OPERANDS)
		return kerf_fail(err, -EOPNOTSUPP, "%d inputs, at most %d", op->n_in, MAX_OPERANDS);
	e->n_operand = op->n_in;
	for (k = 0; k < op->n_in; k++) {
		comma = memchr(s, ',', (size_t)(end - s));
		if (!comma != (k == op->n_in - 1))
			return kerf_fail(err, -EINVAL, "equation does not have %d terms", op->n_in);
		r = bind_term(e, k, s, comma ? comma : end, &in[k], err);
		if (r)
			return r;
		s = comma ? comma + 1 : end;
	}
	return arrow ? explicit_output(e, arrow + 2, err) : implicit_output(e, err);
}

int kerf_einsum_infer(const struct kerf_op *op, const struct kerf_tensor *in,
		      struct kerf_tensor *out, struct kerf_err *err)
{
	struct einsum e;
	int i, k, r;

	for (k = 0; k < op->n_in; k++)
		if (in[k].dtype != in[0].dtype || in[k].dtype == KERF_BOOL)
			return kerf_fail(err, -EINVAL, "input %d is %s, input 0 %s", k,
					 kerf_dtype_name(in[k].dtype),
					 kerf_dtype_name(in[0].dtype));
	r = parse(op, in, &e, err);
	if (r)
		return r;
	out[0].dtype = in[0].dtype;
	out[0].rank = e.n_out;
	for (i = 0; i < e.n_out; i++)
		out[0].dims[i] = e.label[e.out[i]].dim;
	return 0;
}

/* Moves offsets to the next position of the labels listed; false past the last. */
static bool advance(const struct einsum *e, const int *list, int n, int64_t *pos, int64_t *off)
{
	int i, k;

	for (i = n - 1; i >= 0; i--) {
		const struct label *l = &e->label[list[i]];

		pos[i]++;
		for (k = 0; k < e->n_operand; k++)
			off[k] += l->step[k];
		if (pos[i] < l->dim)
			return true;
		for (k = 0; k < e->n_operand; k++)
			off[k] -= l->dim * l->step[k];
		pos[i] = 0;
	}
	return false;
}

static void sum_element(const struct einsum *e, const struct kerf_tensor *in, const int *summed,
			int n_summed, const int64_t *from, struct kerf_tensor *y, int64_t o)
{
	bool floats = kerf_is_f32_like(y->dtype) || y->dtype == KERF_F64;
	int64_t pos[MAX_LABELS] = {0}, off[MAX_OPERANDS];
	uint64_t isum = 0;
	double sum = 0;
	int k;

	memcpy(off, from, sizeof(off));
	do {
		double product = 1;
		uint64_t iproduct = 1;

		for (k = 0; floats && k < e->n_operand; k++)
			product *= kerf_tensor_float(&in[k], off[k]);
		for (k = 0; !floats && k < e->n_operand; k++)
			iproduct *= (uint64_t)kerf_tensor_int(&in[k], off[k]);
		sum += product;
		isum += iproduct;
	} while (advance(e, summed, n_summed, pos, off));
	if (y->dtype == KERF_F64)
		((double *)y->data)[o] = sum;
	else if (floats)
		kerf_f32_put(y, o, (float)sum);
	else
		kerf_int_put(y, o, isum);
}

int kerf_einsum_eval(const struct kerf_op *op, const struct kerf_tensor *in,
		     struct kerf_tensor *out)
{
	int64_t pos[KERF_MAX_RANK] = {0}, off[MAX_OPERANDS] = {0}, o = 0;
	int summed[MAX_LABELS], n_summed = 0, k;
	struct einsum e;
	int r = parse(op, in, &e, NULL);

	if (r || !kerf_tensor_count(&out[0]))
		return r;
	for (k = 0; k < e.n_label; k++) {
		if (e.label[k].in_output)
			continue;
		summed[n_summed++] = k;
		if (!e.label[k].dim) { /* an empty sum */
			memset(out[0].data, 0, kerf_tensor_bytes(&out[0]));
			return 0;
		}
	}
	do
		sum_element(&e, in, summed, n_summed, off, &out[0], o++);
	while (advance(&e, e.out, e.n_out, pos, off));
	return 0;
}

int64_t kerf_einsum_flops(const struct kerf_op *op, const struct kerf_tensor *in,
			  const struct kerf_tensor *out)
{
	int64_t n = op->n_in;
	struct einsum e;
	int i;

	if (parse(op, in, &e, NULL))
		return 0;
	for (i = 0; i < e.n_label; i++)
		if (!kerf_mul(n, e.label[i].dim, &n))
			return INT64_MAX;
	return n;
}
