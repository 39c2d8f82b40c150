/* SPDX-License-Identifier: MIT */
/* What the importer does with broken bytes, mapped files and external data. */
#include "import_case.h"

#include "util/digest.h"
#include "util/file.h"

#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* --- Broken bytes --- */

static void test_every_truncation(void **state)
{
	size_t size, n;
	uint8_t *p;

	shape_chain();
	p = onnx_build_pack(&b, &size);
	for (n = 0; n < size; n++) {
		uint8_t *cut = malloc(n + !n);

		memcpy(cut, p, n);
		memset(&err, 0, sizeof(err));
		/* Where only whole opset entries are cut off, the node says so. */
		assert_true(kerf_model_parse(cut, n, NULL, NULL, &g, &err) < 0);
		assert_true(err.msg[0]);
		free(cut);
	}
	memset(&err, 0, sizeof(err));
	assert_int_equal(kerf_model_parse(p, size / 2, NULL, NULL, &g, &err), -EINVAL);
	check_says("truncated");
}

static void test_not_a_model(void **state)
{
	static const char text[] = "this is not a model, however long one looks at it";

	assert_int_equal(kerf_model_parse(text, sizeof(text), NULL, NULL, &g, &err), -EINVAL);
	check_says("not an ONNX model");
	memset(&err, 0, sizeof(err));
	assert_int_equal(kerf_model_parse("", 0, NULL, NULL, &g, &err), -EINVAL);
	check_says("no graph");
}

static long peak_kb(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return u.ru_maxrss;
}

/* A file that claims gigabytes costs what it has, not what it claims. */
static void test_claims(void **state)
{
	static const float w[] = {1, 2, 3};
	long before;

	add_model(w, 3, "3");
	before = peak_kb();
	b.graph.initializer[0]->dims[0] = 1 << 29;
	refuse(-EINVAL, "initializer 'w'|raw_data has 12 bytes|2147483648");
	b.graph.initializer[0]->has_raw_data = 0;
	refuse(-EINVAL, "initializer 'w'|float_data has 0 elements|536870912");
	b.graph.initializer[0]->dims[0] = INT64_MAX;
	refuse(-EOVERFLOW, "initializer 'w'|dims");
	b.graph.initializer[0]->dims[0] = -3;
	refuse(-EINVAL, "initializer 'w'|dims");
	assert_true(peak_kb() - before < 8192);
}

/* Two bytes a node become a hundred in memory: a limit on what unpacking may take. */
static void test_many_tiny_nodes(void **state)
{
	size_t n = 200000, i;
	uint8_t *p = malloc(2 * n + 16), *q = p;
	size_t size = 2 * n;

	*q++ = 7 << 3 | 2;
	for (; size >= 0x80; size >>= 7)
		*q++ = (uint8_t)(size | 0x80);
	*q++ = (uint8_t)size;
	for (i = 0; i < n; i++) {
		*q++ = 1 << 3 | 2;
		*q++ = 0;
	}
	assert_true(kerf_model_parse(p, (size_t)(q - p), NULL, NULL, &g, &err) < 0);
	assert_true(err.msg[0]);
	free(p);
}

static void test_initializer_forms(void **state)
{
	static const float w[] = {1, 2, 3};
	Onnx__TensorProto *t;

	add_model(w, 3, "3");
	t = b.graph.initializer[0];
	t->raw_data.len = 11;
	refuse(-EINVAL, "initializer 'w'|11 bytes|12");
	t->raw_data.len = 12;
	t->data_type = KERF_STRING;
	refuse(-EOPNOTSUPP, "initializer 'w'|string");
	t->data_type = 17;
	refuse(-EOPNOTSUPP, "initializer 'w'|data_type 17");
	t->data_type = KERF_F32;
	t->dims = (int64_t[]){3, 1, 1, 1, 1, 1, 1, 1, 1};
	t->n_dims = 9;
	refuse(-EOPNOTSUPP, "initializer 'w'|rank");
	t->n_dims = 1;
	t->name = (char *)"";
	refuse(-EINVAL, "initializer 0|no name");
}

/* A constant expression that cannot be evaluated is the node's fault, said at load. */
static void test_bad_constant_index(void **state)
{
	static const int64_t index = 9;

	onnx_build_input(&b, "x", KERF_F32, "2,3");
	onnx_build_initializer(&b, onnx_build_raw(&b, "i", KERF_I64, &index, 1, 8));
	onnx_build_node(&b, "Shape", "x", "s");
	onnx_build_node(&b, "Gather", "s,i", "y");
	onnx_build_output(&b, "y", KERF_I64, NULL);
	refuse(-EINVAL, "node|Gather");
}

/* --- Files --- */

static char folder[64];

static int make_folder(void **state)
{
	strcpy(folder, "/tmp/kerf-test-import-XXXXXX");
	setup(state);
	return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
	char cmd[128];

	snprintf(cmd, sizeof(cmd), "rm -rf '%s'", folder);
	return teardown(state) || system(cmd);
}

static const char *in_folder(const char *name)
{
	static char path[2][256];
	static int turn;

	turn = !turn;
	snprintf(path[turn], sizeof(path[turn]), "%s/%s", folder, name);
	return path[turn];
}

static int load(const struct kerf_load_options *opt)
{
	size_t size;
	uint8_t *p = onnx_build_pack(&b, &size);

	memset(&err, 0, sizeof(err));
	assert_int_equal(kerf_file_write(in_folder("m.onnx"), p, size, &err), 0);
	return kerf_model_load(in_folder("m.onnx"), opt, &g, &err);
}

static bool is_mapped(const void *p)
{
	const uint8_t *q = p;

	return q >= g->file->data && q < g->file->data + g->file->size;
}

/* Aligned weights stay in the mapping; unaligned ones are copied; both have their contents. */
static void test_weights_stay_mapped(void **state)
{
	static const float w[] = {1, 2, 3};
	uint8_t digest[32], expected[32];
	unsigned pad, mapped = 0;
	size_t size;
	void *p;

	add_model(w, 3, "3");
	for (pad = 0; pad < 4; pad++) {
		b.model.producer_name = (char *)&"...."[4 - pad];
		assert_int_equal(load(&as_is), 0);
		assert_memory_equal(value("w")->data, w, sizeof(w));
		assert_int_equal((uintptr_t)value("w")->data % 4, 0);
		mapped += is_mapped(value("w")->data);
		if (pad < 3) {
			kerf_graph_unref(g);
			g = NULL;
		}
	}
	assert_int_equal(mapped, 1);
	kerf_graph_model_sha256(g, digest);
	assert_int_equal(kerf_file_read(in_folder("m.onnx"), 1 << 20, &p, &size, &err), 0);
	kerf_sha256(p, size, expected);
	free(p);
	assert_memory_equal(digest, expected, 32);
}

static Onnx__StringStringEntryProto *entry(const char *key, const char *text)
{
	Onnx__StringStringEntryProto *e = onnx_build_alloc(&b, sizeof(*e));

	onnx__string_string_entry_proto__init(e);
	e->key = (char *)key;
	e->value = (char *)text;
	return e;
}

/* w of the add model, at offset 4 of a file of 16 bytes */
static Onnx__TensorProto *external_model(const char *location)
{
	static const float w[] = {1, 2, 3}, bytes[] = {9, 1, 2, 3};
	Onnx__TensorProto *t;

	add_model(w, 3, "3");
	t = b.graph.initializer[0];
	t->has_raw_data = 0;
	t->has_data_location = 1;
	t->data_location = 1;
	onnx_build_append(&b, &t->external_data, &t->n_external_data, entry("location", location));
	onnx_build_append(&b, &t->external_data, &t->n_external_data, entry("offset", "4"));
	onnx_build_append(&b, &t->external_data, &t->n_external_data, entry("length", "12"));
	assert_int_equal(mkdir(in_folder("sub"), 0777), 0);
	assert_int_equal(kerf_file_write(in_folder("sub/w.bin"), bytes, sizeof(bytes), &err), 0);
	return t;
}

static void test_external_data(void **state)
{
	Onnx__TensorProto *t = external_model("sub/w.bin");

	assert_int_equal(load(&as_is), 0);
	assert_true(((float *)value("w")->data)[2] == 3);
	assert_int_equal(g->n_ext, 1);
	kerf_graph_unref(g);
	g = NULL;
	/* a link inside the folder is no trick, where the kernel can tell */
	assert_int_equal(symlink("sub/w.bin", in_folder("link.bin")), 0);
	t->external_data[0]->value = (char *)"link.bin";
	if (syscall(SYS_openat2, -1, "", NULL, 0) < 0 && errno == ENOSYS) {
		refuse(-EACCES, "initializer 'w'");
	} else {
		assert_int_equal(load(&as_is), 0);
		kerf_graph_unref(g);
		g = NULL;
	}
	/* a model that came without a folder has no external data */
	refuse(-EACCES, "initializer 'w'|external data");
}

static void test_external_tricks(void **state)
{
	Onnx__TensorProto *t = external_model("?");
	const struct {
		const char *location, *offset, *length, *says;
	} bad[] = {
		{"/etc/passwd", "0", "12", "'/etc/passwd'|inside"},
		{"../w.bin", "0", "12", "inside"},
		{"sub/../../w.bin", "0", "12", "inside"},
		{"sub/..", "0", "12", "inside"},
		{"", "0", "12", "location"},
		{"out", "0", "12", "out"},
		{"outdir/passwd", "0", "12", "out"},
		{"sub", "0", "12", "regular"},
		{"missing", "0", "12", "missing"},
		{"fifo", "0", "12", "regular"},
		{"sub/w.bin", "8", "12", "12 bytes at offset 8|16"},
		{"sub/w.bin", "18446744073709551615", "12", "offset"},
		{"sub/w.bin", "18446744073709551616", "12", "not a number"},
		{"sub/w.bin", "-4", "12", "not a number"},
		{"sub/w.bin", "0", "16", "length is 16|expected 12"},
		{"sub/w.bin", "0", "0x10", "not a number"},
	};
	size_t i;

	assert_int_equal(symlink("/etc/passwd", in_folder("out")), 0);
	assert_int_equal(symlink("/etc", in_folder("outdir")), 0);
	assert_int_equal(mkfifo(in_folder("fifo"), 0666), 0);
	for (i = 0; i < KERF_ARRAY_SIZE(bad); i++) {
		t->external_data[0]->value = (char *)bad[i].location;
		t->external_data[1]->value = (char *)bad[i].offset;
		t->external_data[2]->value = (char *)bad[i].length;
		assert_true(load(NULL) < 0);
		assert_null(g);
		check_says(bad[i].says);
		check_says("m.onnx|initializer 'w'");
	}
}

static void test_missing_file(void **state)
{
	assert_int_equal(kerf_model_load("/nonexistent.onnx", NULL, &g, &err), -ENOENT);
	check_says("/nonexistent.onnx");
}

#define FILES(t) cmocka_unit_test_setup_teardown(t, make_folder, remove_folder)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_every_truncation),
		CASE(test_not_a_model),
		CASE(test_claims),
		CASE(test_many_tiny_nodes),
		CASE(test_initializer_forms),
		CASE(test_bad_constant_index),
		FILES(test_weights_stay_mapped),
		FILES(test_external_data),
		FILES(test_external_tricks),
		FILES(test_missing_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
