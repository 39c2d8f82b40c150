/* SPDX-License-Identifier: MIT */
#include "op_probe.h"

/* One unit, x = 1 2 3 in one sequence, or two sequences of it. */
static void make(struct probe *p, const char *name, int gates, int dirs, int batch)
{
	const int64_t h[] = {dirs, gates, 1};

	probe_begin(p, name, 14);
	if (batch == 1)
		probe_in(p, KERF_F32, DIMS(3, 1, 1), VALUES(1, 2, 3));
	else
		probe_in(p, KERF_F32, DIMS(3, 2, 1), VALUES(1, 1, 2, 2, 3, 3));
	probe_in(p, KERF_F32, h, 3, VALUES(1));
	probe_in(p, KERF_F32, h, 3, VALUES(0.5));
	p->op.n_out = 2;
}

static void test_rnn(void **state)
{
	struct probe p;

	make(&p, "RNN", 1, 2, 1);
	probe_string(&p, "direction", "bidirectional");
	probe_string(&p, "activations", "Relu,Affine");
	probe_attr(&p, "activation_alpha", KERF_ATTR_FLOATS)->floats = (float[]){0, 2};
	p.attr[2].n = 2;
	/* forward h = x + h / 2; backward h = 2 (x + h / 2) */
	probe_expect(&p, KERF_F32, DIMS(3, 2, 1, 1), VALUES(1, 12, 2.5, 10, 4.25, 6), 0);
	probe_gives(&p, 1, KERF_F32, DIMS(2, 1, 1), VALUES(4.25, 12), 0);
	p.attr[1].s = "Relu";
	probe_refused(&p, -EINVAL, "activations has 1 words, expected 2");
	p.attr[1].s = "Relu,Magic";
	probe_refused(&p, -EINVAL, "activation 'Magic'");
	p.attr[0].s = "sideways";
	probe_refused(&p, -EINVAL, "direction is 'sideways'");
	probe_end(&p);
}

/* Steps past a sequence's end are zero and leave the state alone; clip bounds sums. */
static void test_lengths(void **state)
{
	struct probe p;

	make(&p, "RNN", 1, 1, 2);
	probe_absent(&p);
	probe_in(&p, KERF_I32, DIMS(2), VALUES(3, 1));
	probe_in(&p, KERF_F32, DIMS(1, 2, 1), VALUES(0, 8));
	probe_string(&p, "activations", "Affine");
	probe_string(&p, "direction", "reverse");
	probe_expect(&p, KERF_F32, DIMS(3, 1, 2, 1), VALUES(2.75, 5, 3.5, 0, 3, 0), 0);
	probe_gives(&p, 1, KERF_F32, DIMS(1, 2, 1), VALUES(2.75, 5), 0);
	probe_float(&p, "clip", 2);
	probe_expect(&p, KERF_F32, DIMS(3, 1, 2, 1), VALUES(2, 2, 2, 0, 2, 0), 0);
	((int32_t *)p.in[4].data)[1] = 4;
	assert_int_equal(probe_run(&p), -EINVAL);
	((int32_t *)p.in[4].data)[1] = -1;
	assert_int_equal(probe_run(&p), -EINVAL);
	probe_end(&p);
}

static double sigmoid(double x)
{
	return 1 / (1 + exp(-x));
}

static void test_gru(void **state)
{
	double h = 0, g = 0, y[2][3];
	struct probe p;
	int t;

	for (t = 1; t <= 3; t++) {
		double z = sigmoid(t + h / 2), n = tanh(t + z * h / 2);

		h = y[0][t - 1] = (1 - z) * n + z * h;
		z = sigmoid(t + g / 2);
		n = tanh(t + z * (g / 2 + 4));
		g = y[1][t - 1] = (1 - z) * n + z * g;
	}
	make(&p, "GRU", 3, 1, 1);
	probe_expect(&p, KERF_F32, DIMS(3, 1, 1, 1), y[0], 3, 1e-6);
	/* With a bias of the candidate's state, after the reset. */
	probe_in(&p, KERF_F32, DIMS(1, 6), VALUES(0, 0, 0, 0, 0, 4));
	probe_int(&p, "linear_before_reset", 1);
	probe_expect(&p, KERF_F32, DIMS(3, 1, 1, 1), y[1], 3, 1e-6);
	probe_int(&p, "hidden_size", 2);
	probe_refused(&p, -EINVAL, "hidden_size is 2, R has 1");
	probe_end(&p);
}

static void test_lstm(void **state)
{
	double h = 0, c = 0, y[3];
	struct probe p;
	int t;

	for (t = 1; t <= 3; t++) {
		double s = t + h / 2, i = sigmoid(s + c), f = 1 - i, o;

		c = f * c + i * tanh(s);
		o = sigmoid(s + 2 * c);
		h = y[t - 1] = o * tanh(c);
	}
	make(&p, "LSTM", 4, 1, 1);
	p.op.n_out = 3;
	while (p.op.n_in < 7)
		probe_absent(&p);
	probe_in(&p, KERF_F32, DIMS(1, 3), VALUES(1, 2, 3));
	probe_int(&p, "input_forget", 1);
	probe_expect(&p, KERF_F32, DIMS(3, 1, 1, 1), y, 3, 1e-6);
	probe_gives(&p, 1, KERF_F32, DIMS(1, 1, 1), &h, 1, 1e-6);
	probe_gives(&p, 2, KERF_F32, DIMS(1, 1, 1), &c, 1, 1e-6);
	p.in[7].dims[1] = 4;
	probe_refused(&p, -EINVAL, "input 7 is float32[1,4]");
	p.in[2].dims[1] = 3;
	probe_refused(&p, -EINVAL, "input 2 is float32[1,3,1]");
	p.in[0].rank = 2;
	probe_refused(&p, -EINVAL, "ranks 2, 3, 3");
	probe_end(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rnn),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_gru),
		cmocka_unit_test(test_lstm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
