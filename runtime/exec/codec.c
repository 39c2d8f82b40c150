/* SPDX-License-Identifier: MIT */
#include "exec/codec.h"

#include <float.h>
#include <math.h>
#include <string.h>

#define LEVELS 255

struct int8_head {
	float scale;
	uint32_t zero;
};

size_t kerf_codec_bytes(enum kerf_codec codec, const struct kerf_runs *r)
{
	size_t n = kerf_runs_count(r);

	switch (codec) {
	case KERF_CODEC_F16: return n * sizeof(uint16_t);
	case KERF_CODEC_INT8: return n + sizeof(struct int8_head);
	default: return n * r->element;
	}
}

/*
 * Without a branch, so that it becomes vector code. Normal results: the exponent moves by 112,
 * and half of the last place is added, even going down. Small ones: adding 0.5 shifts the
 * mantissa into place, rounded as the machine rounds.
 */
static uint16_t to_half(float x)
{
	uint32_t u, sign, normal, small, inf;
	float f;

	memcpy(&u, &x, sizeof(u));
	sign = u >> 16 & 0x8000;
	u &= 0x7fffffff;
	normal = (u - (112u << 23) + 0xfff + (u >> 13 & 1)) >> 13;
	memcpy(&f, &u, sizeof(f));
	f += 0.5f;
	memcpy(&small, &f, sizeof(small));
	small -= 126u << 23;
	inf = u > 0x7f800000 ? 0x7e00 : 0x7c00;
	u = u >= 0x47800000 ? inf : u < 0x38800000 ? small : normal;
	return (uint16_t)(sign | u);
}

static float from_half(uint16_t h)
{
	uint32_t mantissa = h & 0x7fff, sign = (uint32_t)(h & 0x8000) << 16, u;
	float f, tiny = (float)mantissa * 0x1p-24f;

	u = mantissa >= 0x7c00 ? mantissa << 13 | 0x7f800000 : (mantissa << 13) + (112u << 23);
	memcpy(&f, &u, sizeof(f));
	f = mantissa < 0x400 ? tiny : f;
	memcpy(&u, &f, sizeof(u));
	u |= sign;
	memcpy(&f, &u, sizeof(f));
	return f;
}

static void encode_half(const float *x, size_t n, char *wire)
{
	uint16_t h[256];
	size_t i, k;

	for (; n; n -= k, x += k, wire += k * sizeof(*h)) {
		k = KERF_MIN(n, KERF_ARRAY_SIZE(h));
		for (i = 0; i < k; i++)
			h[i] = to_half(x[i]);
		memcpy(wire, h, k * sizeof(*h));
	}
}

static void decode_half(float *x, size_t n, const char *wire)
{
	uint16_t h[256];
	size_t i, k;

	for (; n; n -= k, x += k, wire += k * sizeof(*h)) {
		k = KERF_MIN(n, KERF_ARRAY_SIZE(h));
		memcpy(h, wire, k * sizeof(*h));
		for (i = 0; i < k; i++)
			x[i] = from_half(h[i]);
	}
}

/* NaN is smaller and larger than nothing; infinities are left out. */
static void widen(const float *x, size_t n, float *lo, float *hi)
{
	float l = *lo, h = *hi;
	size_t i;

	for (i = 0; i < n; i++) {
		float low = x[i] >= -FLT_MAX ? x[i] : 0, high = x[i] <= FLT_MAX ? x[i] : 0;

		l = low < l ? low : l;
		h = high > h ? high : h;
	}
	*lo = l;
	*hi = h;
}

static struct int8_head head_of(float lo, float hi)
{
	struct int8_head h = {(float)(((double)hi - (double)lo) / LEVELS), 0};

	if (h.scale > 0)
		h.zero = (uint32_t)fmin(rint(-(double)lo / (double)h.scale), LEVELS);
	return h;
}

/* Far from 0 a float has no digits behind the point: adding this rounds to nearest even. */
#define ROUND 12582912.f /* 1.5 * 2^23 */

static void encode_int8(const float *x, size_t n, const struct int8_head *h, uint8_t *wire)
{
	/* A range of denormals has no inverse: all is 0 then. */
	float inverse = h->scale > 0 && isfinite(1 / h->scale) ? 1 / h->scale : 0;
	float zero = (float)h->zero;
	size_t i;

	for (i = 0; i < n; i++) {
		float q = x[i] * inverse;

		q = q > -LEVELS ? q : q <= -LEVELS ? -LEVELS : 0;
		q = q < LEVELS ? q : LEVELS;
		q = (q + ROUND) - ROUND + zero;
		q = q > 0 ? q : 0;
		q = q < LEVELS ? q : LEVELS;
		wire[i] = (uint8_t)(int32_t)q;
	}
}

static void decode_int8(float *x, size_t n, const struct int8_head *h, const uint8_t *wire)
{
	size_t i;

	for (i = 0; i < n; i++)
		x[i] = (float)((int32_t)wire[i] - (int32_t)h->zero) * h->scale;
}

/* What lies together is one run. */
static struct kerf_runs joined(const struct kerf_runs *r)
{
	struct kerf_runs j = *r;

	if (j.position_stride == j.run) {
		j.run *= j.n_position;
		j.n_position = 1;
		j.position_stride = j.batch_stride;
	}
	if (j.n_position == 1 && j.batch_stride == j.run) {
		j.run *= j.n_batch;
		j.n_batch = 1;
	}
	return j;
}

static size_t run_at(const struct kerf_runs *r, size_t batch, size_t position)
{
	return r->offset + batch * r->batch_stride + position * r->position_stride;
}

void kerf_codec_encode(enum kerf_codec codec, const struct kerf_runs *r, const void *data,
		       void *wire)
{
	struct kerf_runs j = joined(r);
	const float *x = data;
	struct int8_head head;
	float lo = 0, hi = 0;
	char *to = wire;
	size_t b, p;

	if (codec == KERF_CODEC_INT8) {
		for (b = 0; b < j.n_batch; b++)
			for (p = 0; p < j.n_position; p++)
				widen(x + run_at(&j, b, p), j.run, &lo, &hi);
		head = head_of(lo, hi);
		memcpy(to, &head, sizeof(head));
		to += sizeof(head);
	}
	for (b = 0; b < j.n_batch; b++)
		for (p = 0; p < j.n_position; p++) {
			size_t at = run_at(&j, b, p);

			switch (codec) {
			case KERF_CODEC_F16:
				encode_half(x + at, j.run, to);
				to += j.run * sizeof(uint16_t);
				break;
			case KERF_CODEC_INT8:
				encode_int8(x + at, j.run, &head, (uint8_t *)to);
				to += j.run;
				break;
			default:
				memcpy(to, (const char *)data + at * j.element, j.run * j.element);
				to += j.run * j.element;
			}
		}
}

int kerf_codec_decode(enum kerf_codec codec, const struct kerf_runs *r, void *data,
		      const void *wire)
{
	struct kerf_runs j = joined(r);
	struct int8_head head = {0, 0};
	const char *from = wire;
	float *x = data;
	size_t b, p;

	if (codec == KERF_CODEC_INT8) {
		memcpy(&head, from, sizeof(head));
		from += sizeof(head);
		if (!(head.scale >= 0) || !isfinite(head.scale) || head.zero > LEVELS)
			return -EINVAL;
	}
	for (b = 0; b < j.n_batch; b++)
		for (p = 0; p < j.n_position; p++) {
			size_t at = run_at(&j, b, p);

			switch (codec) {
			case KERF_CODEC_F16:
				decode_half(x + at, j.run, from);
				from += j.run * sizeof(uint16_t);
				break;
			case KERF_CODEC_INT8:
				decode_int8(x + at, j.run, &head, (const uint8_t *)from);
				from += j.run;
				break;
			default:
				memcpy((char *)data + at * j.element, from, j.run * j.element);
				from += j.run * j.element;
			}
		}
	return 0;
}

void kerf_runs_copy(const struct kerf_runs *from, const void *src, const struct kerf_runs *to,
		    void *dst)
{
	bool dense = from->position_stride == from->run && to->position_stride == to->run;
	size_t n = dense ? from->n_position * from->run : from->run, b, p;
	size_t positions = dense ? 1 : from->n_position;

	for (b = 0; b < from->n_batch; b++)
		for (p = 0; p < positions; p++)
			memcpy((char *)dst + run_at(to, b, p) * to->element,
			       (const char *)src + run_at(from, b, p) * from->element,
			       n * from->element);
}
