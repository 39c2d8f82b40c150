/* SPDX-License-Identifier: MIT */
/* Tensors to files and back, in every format and dtype; files that are not what they say. */
#include "graph/tensor_file.h"
#include "util/file.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/kerf-test-tensor-XXXXXX";
static struct kerf_err err;

static const char *in_folder(const char *name)
{
	static char path[256];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return path;
}

static int make_folder(void **state)
{
	return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
	char cmd[128];

	snprintf(cmd, sizeof(cmd), "rm -rf '%s'", folder);
	return system(cmd);
}

static int clear(void **state)
{
	memset(&err, 0, sizeof(err));
	return 0;
}

static const enum kerf_dtype dtypes[] = {KERF_F32, KERF_U8,  KERF_I8,  KERF_U16, KERF_I16,
					 KERF_I32, KERF_I64, KERF_BOOL, KERF_F16, KERF_F64,
					 KERF_U32, KERF_U64, KERF_BF16};

static void round_trip(const char *name, const struct kerf_tensor *t)
{
	const char *path = in_folder(name);
	struct kerf_tensor back;

	assert_int_equal(kerf_tensor_write(path, "t", t, &err), 0);
	if (kerf_tensor_read(path, t, &back, &err))
		fail_msg("%s", err.msg);
	assert_int_equal(back.dtype, t->dtype);
	assert_true(kerf_tensor_same_shape(&back, t));
	assert_int_equal((uintptr_t)back.data % KERF_ALIGN, 0);
	if (kerf_tensor_bytes(t))
		assert_memory_equal(back.data, t->data, kerf_tensor_bytes(t));
	free(back.data);
}

static void test_round_trip(void **state)
{
	uint8_t bytes[8 * 24];
	size_t i;

	for (i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 37);
	for (i = 0; i < KERF_ARRAY_SIZE(dtypes); i++) {
		struct kerf_tensor shapes[] = {
			{.rank = 3, .dims = {2, 3, 4}},
			{.rank = 1, .dims = {7}},
			{.rank = 0},
			{.rank = 2, .dims = {0, 5}},
			{.rank = 8, .dims = {1, 1, 2, 1, 3, 1, 1, 2}},
		};
		size_t k;

		for (k = 0; k < KERF_ARRAY_SIZE(shapes); k++) {
			uint8_t bools[24] = {1, 0, 1};
			struct kerf_tensor *t = &shapes[k];

			t->dtype = dtypes[i];
			t->data = t->dtype == KERF_BOOL ? bools : bytes;
			round_trip("t.pb", t);
			round_trip("t.raw", t);
			if (t->dtype != KERF_BF16)
				round_trip("t.npy", t);
		}
	}
}

static void test_no_bfloat16_in_npy(void **state)
{
	uint16_t x = 1;
	struct kerf_tensor t = {.dtype = KERF_BF16, .data = &x};

	assert_int_equal(kerf_tensor_write(in_folder("bf.npy"), "t", &t, &err), -EOPNOTSUPP);
	assert_non_null(strstr(err.msg, "bfloat16"));
	assert_int_equal(access(in_folder("bf.npy"), F_OK), -1);
}

static void test_want(void **state)
{
	float x[6] = {0};
	struct kerf_tensor t = {.dtype = KERF_F32, .rank = 2, .dims = {2, 3}, .data = x};
	struct kerf_tensor want = t, back;

	assert_int_equal(kerf_tensor_write(in_folder("w.npy"), "t", &t, &err), 0);
	want.dims[1] = 4;
	assert_int_equal(kerf_tensor_read(in_folder("w.npy"), &want, &back, &err), -EINVAL);
	assert_non_null(strstr(err.msg, "float32[2,3]"));
	assert_non_null(strstr(err.msg, "float32[2,4]"));
	assert_non_null(strstr(err.msg, "w.npy"));
	clear(NULL);
	want = t;
	want.dtype = KERF_I32;
	assert_int_equal(kerf_tensor_read(in_folder("w.npy"), &want, &back, &err), -EINVAL);
	assert_non_null(strstr(err.msg, "int32[2,3]"));
	clear(NULL);
	assert_int_equal(kerf_tensor_read(in_folder("w.npy"), NULL, &back, &err), 0);
	free(back.data);
	assert_int_equal(kerf_tensor_write(in_folder("w.raw"), "t", &t, &err), 0);
	assert_int_equal(kerf_tensor_read(in_folder("w.raw"), NULL, &back, &err), -EINVAL);
	clear(NULL);
	want = t;
	want.dims[0] = 3;
	assert_int_equal(kerf_tensor_read(in_folder("w.raw"), &want, &back, &err), -EINVAL);
	assert_non_null(strstr(err.msg, "24 bytes"));
	assert_non_null(strstr(err.msg, "36"));
}

static int read_bytes(const char *name, const void *bytes, size_t n)
{
	struct kerf_tensor back;
	int r;

	clear(NULL);
	assert_int_equal(kerf_file_write(in_folder(name), bytes, n, &err), 0);
	r = kerf_tensor_read(in_folder(name), NULL, &back, &err);
	if (!r)
		free(back.data);
	else
		assert_true(err.msg[0] && !strchr(err.msg, '\n'));
	return r;
}

/* header and elements as a version 1 file */
static int read_npy(const char *header, size_t elements)
{
	uint8_t bytes[512] = "\x93NUMPY\1\0";
	size_t n = strlen(header);

	bytes[8] = (uint8_t)n;
	bytes[9] = (uint8_t)(n >> 8);
	memcpy(bytes + 10, header, n);
	return read_bytes("h.npy", bytes, 10 + n + elements);
}

static void test_npy_headers(void **state)
{
	static const char *const good[] = {
		"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }",
		"{'shape':(2,3,),'fortran_order':False,'descr':'<f4'}   \n",
		"{'descr': '<i8', 'fortran_order': False, 'shape': (3,)}",
	};
	static const char *const bad[] = {
		"",
		"{}",
		"{'descr': '>f4', 'fortran_order': False, 'shape': (2, 3), }",
		"{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }",
		"{'descr': '<f4', 'shape': (2, 3), }",
		"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 4), }",
		"{'descr': '<f4', 'fortran_order': False, 'shape': (2, -3), }",
		"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3",
		"{'descr': '<f4', 'fortran_order': False, 'shape': 6}",
		"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}",
		"{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4)}",
		"{'descr': '<f4', 'fortran_order': False, 'shape': (6,1,1,1,1,1,1,1,1)}",
		"{'descr': '<c8', 'fortran_order': False, 'shape': (3,)}",
		"{'descr': '<U6', 'fortran_order': False, 'shape': (1,)}",
		"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (6,)}",
	};
	size_t i;

	for (i = 0; i < KERF_ARRAY_SIZE(good); i++)
		assert_int_equal(read_npy(good[i], 24), 0);
	for (i = 0; i < KERF_ARRAY_SIZE(bad); i++)
		assert_true(read_npy(bad[i], 24) < 0);
}

static void test_broken_files(void **state)
{
	float x[2] = {1, 2};
	struct kerf_tensor t = {.dtype = KERF_F32, .rank = 1, .dims = {2}, .data = x};
	static const char *const names[] = {"b.npy", "b.pb"};
	size_t i, n, size;
	void *p;

	for (i = 0; i < KERF_ARRAY_SIZE(names); i++) {
		assert_int_equal(kerf_tensor_write(in_folder(names[i]), "t", &t, &err), 0);
		assert_int_equal(kerf_file_read(in_folder(names[i]), 4096, &p, &size, &err), 0);
		for (n = 0; n < size; n++)
			assert_true(read_bytes(names[i], p, n) < 0);
		free(p);
	}
	/* 2^40 elements in a file of a few bytes */
	assert_true(read_bytes("c.pb", "\x08\x80\x80\x80\x80\x80\x20\x10\x01", 9) < 0);
	/* a header longer than the file */
	assert_true(read_bytes("c.npy", "\x93NUMPY\2\0\xff\xff\xff\xff  ", 14) < 0);
}

static void test_typed_fields(void **state)
{
	/* dims 3, int8, int32_data packed 1, -1 (ten bytes), 2 */
	static const uint8_t pb[] = {0x08, 3,	 0x10, 3,    0x2a, 12,	 1,    0xff, 0xff,
				     0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1,    2};
	struct kerf_tensor t;

	assert_int_equal(kerf_file_write(in_folder("i8.pb"), pb, sizeof(pb), &err), 0);
	assert_int_equal(kerf_tensor_read(in_folder("i8.pb"), NULL, &t, &err), 0);
	assert_int_equal(t.dtype, KERF_I8);
	assert_memory_equal(t.data, ((int8_t[]){1, -1, 2}), 3);
	free(t.data);
}

/* What cannot be written leaves nothing behind, and what was there stays. */
static void test_no_partial_file(void **state)
{
	float x = 1;
	struct kerf_tensor t = {.dtype = KERF_F32, .data = &x};
	struct dirent *e;
	DIR *d;

	assert_true(kerf_tensor_write(in_folder("no/such/t.npy"), "t", &t, &err) < 0);
	assert_true(err.msg[0]);
	assert_int_equal(mkdir(in_folder("dir.npy"), 0777), 0);
	assert_true(kerf_tensor_write(in_folder("dir.npy"), "t", &t, &err) < 0);
	d = opendir(folder);
	assert_non_null(d);
	while ((e = readdir(d)))
		assert_null(strstr(e->d_name, ".tmp"));
	closedir(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_round_trip, clear),
		cmocka_unit_test_setup(test_no_bfloat16_in_npy, clear),
		cmocka_unit_test_setup(test_want, clear),
		cmocka_unit_test_setup(test_npy_headers, clear),
		cmocka_unit_test_setup(test_broken_files, clear),
		cmocka_unit_test_setup(test_typed_fields, clear),
		cmocka_unit_test_setup(test_no_partial_file, clear),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
