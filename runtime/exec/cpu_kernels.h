/* SPDX-License-Identifier: MIT */
/*
 * The kernels of the cpu engine, as the engine sees them.
 *
 * A heavy operator (convolution, matrix product) is prepared once into an opaque
 * object that owns its packed weights, and run many times. Preparing reads the
 * weights once from front to back, so that mapped pages may be dropped after it,
 * and keeps no pointer to them. Running allocates nothing: what it needs beside its
 * tensors is a scratch area that the caller gives, KERF_ALIGN-aligned, contents of no
 * matter before and after; one area may serve every operator of a program, as long as
 * one runs at a time. A prepared object is immutable: jobs may run it at once, each
 * with its own pool and scratch.
 *
 * Tensors are float32, channels-last, KERF_ALIGN-aligned unless said otherwise, and
 * never read or written outside their elements. Outputs overlap no input.
 *
 * Bits. An output element is one chain: acc = 0, then for each (kh, kw, ic), or each
 * k, ascending, acc = fma(x, w, acc); then + bias, + residual, then the activation. Vectors
 * run across outputs only. So AVX2, AVX-512 and NEON, any number of threads, and a tile or
 * the whole give the same bits. Taps in the padding multiply zeros (depthwise: are left
 * out). `baseline` has no fused multiply-add and may differ.
 */
#ifndef KERF_EXEC_CPU_KERNELS_H
#define KERF_EXEC_CPU_KERNELS_H

#include "graph/graph.h"
#include "util/pool.h"

struct kerf_cpu_tile_fns;
struct kerf_cpu_depthwise_fns;
struct kerf_cpu_peak_fns;

/* One instruction set: the tables of the files isa_*.c, which are compiled for each. */
struct kerf_cpu_isa {
	const char *name;				/* "baseline", "avx2", "avx512", "neon" */
	const struct kerf_cpu_tile_fns *tile;		/* cpu_tile.h */
	const struct kerf_cpu_depthwise_fns *depthwise; /* cpu_depthwise.h */
	const struct kerf_cpu_peak_fns *peak;		/* cpu_peak.h */
};

/* What this machine can run, the best first; NULL past the last. */
const struct kerf_cpu_isa *kerf_cpu_isa_at(int i);
/* By name; NULL or "auto" is the best. NULL if unknown or not supported by this machine. */
const struct kerf_cpu_isa *kerf_cpu_isa_find(const char *name);

/*
 * What that many threads reach on nothing but multiply-adds in registers, GFLOP/s (each
 * counts two); about 0.2 s. 0 if the threads cannot be made.
 */
double kerf_cpu_peak_gflops(const struct kerf_cpu_isa *isa, int threads);

/* An activation on n floats in place, any alignment: what kernels fuse as their epilogue. */
void kerf_cpu_act(const struct kerf_cpu_isa *isa, const struct kerf_act *act, float *y, int64_t n);

/* --- Convolution, 2-D (1-D: one row) --- */

struct kerf_cpu_conv_desc {
	int64_t n, h, w, c; /* input */
	int64_t oh, ow, oc; /* output */
	int64_t kh, kw;
	int64_t stride_h, stride_w, dilation_h, dilation_w;
	int64_t pad_h, pad_w; /* before the first row and column; may be negative */
	int64_t groups;	      /* divides c and oc */
	struct kerf_act act;
};

struct kerf_cpu_conv;

/*
 * w: [oc, c / groups, kh, kw]; bias, scale: [oc] or NULL. The weight used is w * scale,
 * rounded. -EINVAL if desc makes no sense, -EOPNOTSUPP if it is too odd (padding far wider
 * than the image), -ENOMEM.
 */
int kerf_cpu_conv_prepare(const struct kerf_cpu_isa *isa, const struct kerf_cpu_conv_desc *desc,
			  const float *w, const float *bias, const float *scale,
			  struct kerf_pool *pool, struct kerf_cpu_conv **conv);
void kerf_cpu_conv_free(struct kerf_cpu_conv *conv); /* NULL allowed */
size_t kerf_cpu_conv_weight_bytes(const struct kerf_cpu_conv *conv);
size_t kerf_cpu_conv_scratch(const struct kerf_cpu_conv *conv, int threads);
/* residual: as y, or NULL. */
void kerf_cpu_conv_run(const struct kerf_cpu_conv *conv, struct kerf_pool *pool, const float *x,
		       const float *residual, float *y, void *scratch);

/*
 * Transposed convolution. desc is that of the operator: its pads are cut from the output,
 * oh and ow say what is left. w: [c, oc / groups, kh, kw]. Chains run over (iy, ix, ic) of
 * the input. -EOPNOTSUPP if dilated or of very large strides.
 */
struct kerf_cpu_deconv;

int kerf_cpu_deconv_prepare(const struct kerf_cpu_isa *isa, const struct kerf_cpu_conv_desc *desc,
			    const float *w, const float *bias, struct kerf_pool *pool,
			    struct kerf_cpu_deconv **deconv);
void kerf_cpu_deconv_free(struct kerf_cpu_deconv *deconv); /* NULL allowed */
size_t kerf_cpu_deconv_weight_bytes(const struct kerf_cpu_deconv *deconv);
size_t kerf_cpu_deconv_scratch(const struct kerf_cpu_deconv *deconv, int threads);
void kerf_cpu_deconv_run(const struct kerf_cpu_deconv *deconv, struct kerf_pool *pool,
			 const float *x, float *y, void *scratch);

/* --- Matrix product: Y = act(A B + bias + residual) --- */

#define KERF_CPU_MAX_BATCH_RANK 6

struct kerf_cpu_gemm_desc {
	int64_t m, n, k;
	int64_t a_row, b_row; /* elements between rows as stored; a_row 0, b_row 0: dense */
	bool trans_a;	      /* A is stored [k, m], else [m, k] */
	bool trans_b;	      /* B is stored [n, k], else [k, n] */
	float alpha;	      /* applied to B when it is packed, rounded; 1 for none */
	/* Products of a batch: counts, and elements from one to the next (0: the same again). */
	int batch_rank; /* 0: a single product */
	int64_t batch[KERF_CPU_MAX_BATCH_RANK];
	int64_t a_step[KERF_CPU_MAX_BATCH_RANK], b_step[KERF_CPU_MAX_BATCH_RANK];
	struct kerf_act act;
	/*
	 * Told of each part of a constant B once it is packed, so that a mapping as large
	 * as the model's memory need not stay whole until the end. NULL: nobody is.
	 */
	void (*drop)(void *arg, const void *p, size_t bytes);
	void *drop_arg;
};

struct kerf_cpu_gemm;

/*
 * b: the matrix (or batch of them) if it is constant, else NULL: then it is packed
 * when run, into scratch. bias: [n] or NULL, copied. A constant B that all products
 * share (all b_step 0) is packed once.
 */
int kerf_cpu_gemm_prepare(const struct kerf_cpu_isa *isa, const struct kerf_cpu_gemm_desc *desc,
			  const float *b, const float *bias, struct kerf_pool *pool,
			  struct kerf_cpu_gemm **gemm);
void kerf_cpu_gemm_free(struct kerf_cpu_gemm *gemm); /* NULL allowed */
size_t kerf_cpu_gemm_weight_bytes(const struct kerf_cpu_gemm *gemm);
size_t kerf_cpu_gemm_scratch(const struct kerf_cpu_gemm *gemm, int threads);
/*
 * b: NULL if it was constant. residual: NULL, or rows of n elements, residual_row apart
 * (n: as y; 0: one row for all). y is dense [batch..., m, n].
 */
void kerf_cpu_gemm_run(const struct kerf_cpu_gemm *gemm, struct kerf_pool *pool, const float *a,
		       const float *b, const float *residual, int64_t residual_row, float *y,
		       void *scratch);

#endif
