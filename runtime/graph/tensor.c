/* SPDX-License-Identifier: MIT */
#include "graph/tensor.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const struct {
	uint8_t size;
	const char *name, *oip;
} dtypes[] = {
	[KERF_NONE] = {0, "none", ""},
	[KERF_F32] = {4, "float32", "FP32"},
	[KERF_U8] = {1, "uint8", "UINT8"},
	[KERF_I8] = {1, "int8", "INT8"},
	[KERF_U16] = {2, "uint16", "UINT16"},
	[KERF_I16] = {2, "int16", "INT16"},
	[KERF_I32] = {4, "int32", "INT32"},
	[KERF_I64] = {8, "int64", "INT64"},
	[KERF_STRING] = {0, "string", "BYTES"},
	[KERF_BOOL] = {1, "bool", "BOOL"},
	[KERF_F16] = {2, "float16", "FP16"},
	[KERF_F64] = {8, "float64", "FP64"},
	[KERF_U32] = {4, "uint32", "UINT32"},
	[KERF_U64] = {8, "uint64", "UINT64"},
	[KERF_BF16] = {2, "bfloat16", "BF16"},
};

static bool known(enum kerf_dtype t)
{
	return (unsigned)t < KERF_ARRAY_SIZE(dtypes) && dtypes[t].name;
}

size_t kerf_dtype_size(enum kerf_dtype t)
{
	return known(t) ? dtypes[t].size : 0;
}

const char *kerf_dtype_name(enum kerf_dtype t)
{
	return known(t) ? dtypes[t].name : "unknown";
}

const char *kerf_dtype_oip(enum kerf_dtype t)
{
	return known(t) ? dtypes[t].oip : "";
}

enum kerf_dtype kerf_dtype_by_name(const char *name)
{
	unsigned i;

	for (i = 1; i < KERF_ARRAY_SIZE(dtypes); i++)
		if (dtypes[i].name && !strcmp(dtypes[i].name, name))
			return (enum kerf_dtype)i;
	return KERF_NONE;
}

enum kerf_dtype kerf_dtype_by_oip(const char *name)
{
	unsigned i;

	for (i = 1; i < KERF_ARRAY_SIZE(dtypes); i++)
		if (dtypes[i].oip && !strcmp(dtypes[i].oip, name))
			return (enum kerf_dtype)i;
	return KERF_NONE;
}

bool kerf_tensor_is_aligned(const struct kerf_tensor *t)
{
	size_t size = kerf_dtype_size(t->dtype);

	return !size || (uintptr_t)t->data % size == 0;
}

int64_t kerf_tensor_count(const struct kerf_tensor *t)
{
	int64_t n = 1;
	int i;

	for (i = 0; i < t->rank; i++)
		n *= t->dims[i];
	return n;
}

size_t kerf_tensor_bytes(const struct kerf_tensor *t)
{
	return (size_t)kerf_tensor_count(t) * kerf_dtype_size(t->dtype);
}

int kerf_tensor_check(const struct kerf_tensor *t)
{
	int64_t n = (int64_t)kerf_dtype_size(t->dtype);
	int i;

	if (t->rank < 0 || t->rank > KERF_MAX_RANK)
		return -EINVAL;
	/* A zero dim must not hide an absurd one: views and strides use them apart. */
	for (i = 0; i < t->rank; i++) {
		if (t->dims[i] < 0)
			return -EINVAL;
		if (!kerf_mul(n, KERF_MAX(t->dims[i], 1), &n) || n > KERF_MAX_TENSOR_BYTES)
			return -EOVERFLOW;
	}
	return 0;
}

bool kerf_tensor_same_shape(const struct kerf_tensor *a, const struct kerf_tensor *b)
{
	return a->rank == b->rank &&
	       !memcmp(a->dims, b->dims, (size_t)a->rank * sizeof(a->dims[0]));
}

const char *kerf_tensor_text(const struct kerf_tensor *t, char buf[KERF_SHAPE_TEXT])
{
	int i, n = snprintf(buf, KERF_SHAPE_TEXT, "%s[", kerf_dtype_name(t->dtype));

	for (i = 0; i < t->rank && n < KERF_SHAPE_TEXT; i++)
		n += snprintf(buf + n, (size_t)(KERF_SHAPE_TEXT - n), "%s%lld", i ? "," : "",
			      (long long)t->dims[i]);
	if (n < KERF_SHAPE_TEXT)
		snprintf(buf + n, (size_t)(KERF_SHAPE_TEXT - n), "]");
	return buf;
}

int64_t kerf_tensor_int(const struct kerf_tensor *t, int64_t i)
{
	switch (t->dtype) {
	case KERF_U8:
	case KERF_BOOL: return ((const uint8_t *)t->data)[i];
	case KERF_I8: return ((const int8_t *)t->data)[i];
	case KERF_U16: return ((const uint16_t *)t->data)[i];
	case KERF_I16: return ((const int16_t *)t->data)[i];
	case KERF_U32: return ((const uint32_t *)t->data)[i];
	case KERF_I32: return ((const int32_t *)t->data)[i];
	case KERF_U64:
	case KERF_I64: return ((const int64_t *)t->data)[i];
	default: return (int64_t)kerf_tensor_float(t, i);
	}
}

double kerf_tensor_float(const struct kerf_tensor *t, int64_t i)
{
	switch (t->dtype) {
	case KERF_F32: return ((const float *)t->data)[i];
	case KERF_F64: return ((const double *)t->data)[i];
	case KERF_F16: return kerf_f16_to_f32(((const uint16_t *)t->data)[i]);
	case KERF_BF16: return kerf_bf16_to_f32(((const uint16_t *)t->data)[i]);
	case KERF_U64: return (double)((const uint64_t *)t->data)[i];
	case KERF_NONE:
	case KERF_STRING: return 0;
	default: return (double)kerf_tensor_int(t, i);
	}
}

static uint32_t bits_of(float f)
{
	uint32_t u;

	memcpy(&u, &f, 4);
	return u;
}

static float float_of(uint32_t u)
{
	float f;

	memcpy(&f, &u, 4);
	return f;
}

float kerf_f16_to_f32(uint16_t h)
{
	uint32_t sign = (uint32_t)(h & 0x8000) << 16, exp = (h >> 10) & 31, man = h & 0x3ff;

	if (exp == 31)
		return float_of(sign | 0x7f800000 | man << 13);
	if (exp == 0) {
		float v = (float)man * 0x1p-24f;

		return sign ? -v : v;
	}
	return float_of(sign | (exp + 112) << 23 | man << 13);
}

uint16_t kerf_f32_to_f16(float f)
{
	uint32_t u = bits_of(f), sign = (u >> 16) & 0x8000, rest;
	uint32_t abs = u & 0x7fffffff;

	if (abs > 0x7f800000)
		return (uint16_t)(sign | 0x7e00);
	if (abs >= 0x477ff000) /* rounds to 65536 or more */
		return (uint16_t)(sign | 0x7c00);
	if (abs < 0x38800000) /* subnormal half: let the float adder round */
		return (uint16_t)(sign | (uint16_t)lrintf(float_of(abs) * 0x1p24f));
	rest = abs - 0x38000000;
	return (uint16_t)(sign | (rest + 0xfff + ((rest >> 13) & 1)) >> 13);
}

float kerf_bf16_to_f32(uint16_t h)
{
	return float_of((uint32_t)h << 16);
}

uint16_t kerf_f32_to_bf16(float f)
{
	uint32_t u = bits_of(f);

	if ((u & 0x7fffffff) > 0x7f800000)
		return (uint16_t)(u >> 16 | 0x40);
	return (uint16_t)((u + 0x7fff + ((u >> 16) & 1)) >> 16);
}
