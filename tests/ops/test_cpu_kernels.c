/* SPDX-License-Identifier: MIT */
/*
 * Every kernel of the cpu engine against the operators' reference meaning: each case
 * of the table on every instruction set of this machine, with one thread and two.
 * The vector sets must agree bit for bit with each other; integers with the reference.
 *
 *   test_cpu_kernels [--bench|--bits] [NAME]
 *
 * NAME: only the cases of that operator. --bench times them; --bits prints a digest of
 * each case's output on the best instruction set, to be compared between machines.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <math.h>

#include "exec/cpu.h"
#include "util/clock.h"
#include "util/digest.h"
#include "util/rng.h"

#include "ops/cpu_subject.h"

/* --- a step of its own --------------------------------------------------------- */

struct prepared {
	struct kerf_cpu_build b;
	struct kerf_arena mem;
	struct kerf_cpu_step s;
	struct kerf_tensor in[16], out[16];
};

static void prepare(struct prepared *p, const struct cpu_case *c, const struct subject *t,
		    const struct kerf_isa *isa, int threads)
{
	static struct kerf_graph no_graph;
	static struct kerf_err err;
	int k, r;

	memset(p, 0, sizeof(*p));
	p->b = (struct kerf_cpu_build){
		.g = &no_graph, .isa = isa, .threads = threads, .mem = &p->mem, .err = &err};
	assert_int_equal(kerf_pool_new(1, false, &p->b.pool), 0);
	memcpy(p->in, t->in, sizeof(p->in));
	memcpy(p->out, t->out, sizeof(p->out));
	p->s.op = &t->op;
	p->s.in = p->in;
	p->s.out = p->out;
	for (k = 0; k < t->op.n_in; k++)
		if (!t->constant[k])
			p->in[k].data = NULL;
	for (k = 0; k < t->op.n_out; k++)
		p->out[k].data = NULL;
	r = kerf_cpu_choose(&p->b, &p->s);
	if (r)
		fail_msg("%s %s %s: no kernel (%d)", c->op, c->in[0], c->attr ? c->attr : "", r);
	for (k = 0; k < t->op.n_in; k++)
		p->in[k].data = t->in[k].data;
	for (k = 0; k < t->op.n_out; k++) {
		p->out[k].data = kerf_tensor_alloc(kerf_tensor_bytes(&t->out[k]));
		/* What a kernel leaves out must show. */
		memset(p->out[k].data, 0x5a, kerf_tensor_bytes(&t->out[k]));
	}
	if (p->s.scratch_bytes)
		p->s.scratch = kerf_tensor_alloc(p->s.scratch_bytes);
}

static void prepared_free(struct prepared *p)
{
	uint32_t i;
	int k;

	for (i = 0; i < p->b.n_owned; i++)
		p->b.owned[i].free(p->b.owned[i].p);
	free(p->b.owned);
	for (k = 0; k < p->s.op->n_out; k++)
		free(p->out[k].data);
	free(p->s.scratch);
	kerf_pool_free(p->b.pool);
	kerf_arena_finish(&p->mem);
}

/* --- comparing ------------------------------------------------------------------- */

/* Greatest difference, over the greatest magnitude of the reference. */
static double distance(const struct kerf_tensor *a, const struct kerf_tensor *want)
{
	int64_t i, n = kerf_tensor_count(want);
	double most = 0, worst = 0;

	for (i = 0; i < n; i++) {
		double w = kerf_tensor_float(want, i), v = kerf_tensor_float(a, i);

		if (v == w || (v != v && w != w))
			continue;
		if (!isfinite(v) || !isfinite(w))
			return INFINITY;
		most = fmax(most, fabs(w));
		worst = fmax(worst, fabs(v - w));
	}
	for (i = 0; i < n; i++)
		if (isfinite(kerf_tensor_float(want, i)))
			most = fmax(most, fabs(kerf_tensor_float(want, i)));
	return most > 0 ? worst / most : worst;
}

static unsigned complaints;

/* Goes on, so that one run tells of every case that is wrong. */
static void KERF_PRINTF(2, 3) complain(const struct cpu_case *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	print_error("%s %s %s: ", c->op, c->in[0], c->attr ? c->attr : "");
	vprint_error(fmt, ap);
	print_error("\n");
	va_end(ap);
	complaints++;
}

static void check_case(const struct cpu_case *c)
{
	struct subject *t = subject_new(c);
	void *bits[MAX_OUT] = {NULL};
	double tol = c->tol > 0 ? c->tol : 1e-6;
	int i, k, threads;

	if (subject_too_long(t)) {
		subject_free(t);
		return;
	}
	assert_int_equal(kerf_op_eval(&t->op, t->in, t->out), 0);
	for (i = 0; kerf_cpu_isa_at(i); i++)
		for (threads = 1; threads <= 2; threads++) {
			const char *name = kerf_cpu_isa_at(i)->name;
			struct kerf_pool *pool;
			struct kerf_isa isa;
			struct prepared p;

			assert_int_equal(kerf_isa_init(&isa, name), 0);
			assert_int_equal(kerf_pool_new(threads, false, &pool), 0);
			prepare(&p, c, t, &isa, threads);
			assert_int_equal(p.s.run(&p.s, pool), 0);
			for (k = 0; k < t->op.n_out; k++) {
				double d = distance(&p.out[k], &t->out[k]);
				size_t n = kerf_tensor_bytes(&t->out[k]);

				if (d > (t->out[k].dtype == KERF_F32 ? tol : 0))
					complain(c, "%s, %d threads: output %d is off by %g", name,
						 threads, k, d);
				if (!strcmp(name, "baseline"))
					continue;
				if (!bits[k]) {
					bits[k] = malloc(n);
					memcpy(bits[k], p.out[k].data, n);
				} else if (memcmp(bits[k], p.out[k].data, n)) {
					complain(c, "%s, %d threads gives other bits", name,
						 threads);
				}
			}
			prepared_free(&p);
			kerf_pool_free(pool);
		}
	for (k = 0; k < MAX_OUT; k++)
		free(bits[k]);
	subject_free(t);
}

static void bench_case(const struct cpu_case *c)
{
	struct subject *t = subject_new(c);
	int i, k, rep;

	printf("%-22s %-34s %-40.40s", c->op, c->in[0], c->attr ? c->attr : "");
	for (i = 0; kerf_cpu_isa_at(i); i++) {
		uint64_t best = UINT64_MAX, bytes = 0, t0;
		struct kerf_pool *pool;
		struct kerf_isa isa;
		struct prepared p;

		assert_int_equal(kerf_isa_init(&isa, kerf_cpu_isa_at(i)->name), 0);
		assert_int_equal(kerf_pool_new(1, false, &pool), 0);
		prepare(&p, c, t, &isa, 1);
		for (rep = 0; rep < 15; rep++) {
			t0 = kerf_now_ns();
			p.s.run(&p.s, pool);
			t0 = kerf_now_ns() - t0;
			best = KERF_MIN(best, t0);
		}
		for (k = 0; k < t->op.n_in; k++)
			bytes += kerf_tensor_bytes(&t->in[k]);
		for (k = 0; k < t->op.n_out; k++)
			bytes += kerf_tensor_bytes(&t->out[k]);
		printf("  %s %.1f us %.2f GB/s", isa.name, (double)best / 1e3,
		       (double)bytes / (double)best);
		prepared_free(&p);
		kerf_pool_free(pool);
	}
	printf("\n");
	subject_free(t);
}

static void print_bits(const struct cpu_case *c)
{
	struct subject *t = subject_new(c);
	struct kerf_pool *pool;
	struct kerf_isa isa;
	struct prepared p;
	uint8_t hash[32];
	char hex[65];
	int k;

	assert_int_equal(kerf_isa_init(&isa, NULL), 0);
	assert_int_equal(kerf_pool_new(1, false, &pool), 0);
	prepare(&p, c, t, &isa, 1);
	assert_int_equal(p.s.run(&p.s, pool), 0);
	for (k = 0; k < t->op.n_out; k++) {
		kerf_sha256(p.out[k].data, kerf_tensor_bytes(&p.out[k]), hash);
		kerf_hex(hash, 32, hex);
		printf("%s %s %s %d %.16s\n", c->op, c->in[0], c->attr ? c->attr : "", k, hex);
	}
	prepared_free(&p);
	kerf_pool_free(pool);
	subject_free(t);
}

static void test_cases(void **state)
{
	unsigned i;

	for (i = 0; i < KERF_ARRAY_SIZE(cpu_cases); i++)
		if (!*state || !strcmp(*state, cpu_cases[i].op))
			check_case(&cpu_cases[i]);
	assert_int_equal(complaints, 0);
}

int main(int argc, char **argv)
{
	void (*each)(const struct cpu_case *c) = NULL;
	const char *option = argc > 1 ? argv[1] : "";
	char *only;
	unsigned i;

	if (!strcmp(option, "--bench"))
		each = bench_case;
	else if (!strcmp(option, "--bits"))
		each = print_bits;
	only = argc > 1 + !!each ? argv[1 + !!each] : NULL;
	if (!each) {
		const struct CMUnitTest tests[] = {cmocka_unit_test_prestate(test_cases, only)};

		return cmocka_run_group_tests(tests, NULL, NULL);
	}
	for (i = 0; i < KERF_ARRAY_SIZE(cpu_cases); i++)
		if (!only || !strcmp(only, cpu_cases[i].op))
			each(&cpu_cases[i]);
	return 0;
}
