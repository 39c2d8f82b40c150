/* SPDX-License-Identifier: MIT */
/*
 * The rate of a stream from arrival marks (bytes so far, time), by least squares over
 * its second half: slow start, and the bucket of tokens that a shaper saved up while
 * the link was idle, are over by then, so what is left is the rate itself.
 */
#ifndef KERF_NET_RATE_FIT_H
#define KERF_NET_RATE_FIT_H

#include <stdint.h>

struct kerf_rate_fit {
	uint64_t total, got;	  /* bytes */
	uint64_t start_ns, end_ns; /* first mark; last mark */
	uint64_t first_ns;	  /* first mark used */
	uint32_t n;
	double st, sb, stt, stb; /* sums over marks used: seconds since first_ns, bytes */
};

static inline void kerf_rate_begin(struct kerf_rate_fit *f, uint64_t total)
{
	*f = (struct kerf_rate_fit){.total = total};
}

/* n more bytes have arrived by now. */
static inline void kerf_rate_mark(struct kerf_rate_fit *f, uint64_t n, uint64_t now_ns)
{
	double t, b;

	if (!f->got)
		f->start_ns = now_ns;
	f->got += n;
	f->end_ns = now_ns;
	if (f->got < f->total / 2)
		return;
	if (!f->n)
		f->first_ns = now_ns;
	t = (double)(now_ns - f->first_ns) * 1e-9;
	b = (double)(f->got - f->total / 2);
	f->n++;
	f->st += t;
	f->sb += b;
	f->stt += t * t;
	f->stb += t * b;
}

/* Bytes a second; 0 if there were too few marks to tell. */
static inline double kerf_rate_bytes_s(const struct kerf_rate_fit *f)
{
	double var = f->n * f->stt - f->st * f->st;

	if (f->n < 3 || var <= 0)
		return 0;
	return (f->n * f->stb - f->st * f->sb) / var;
}

#endif
