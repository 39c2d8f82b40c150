/* SPDX-License-Identifier: MIT */
/*
 * Ports as JSON: what is no port, or does not fit the slice, is refused with a sentence; what is
 * one is the same after it was written and read.
 */
#include "exec/part.h"
#include "exec/remote_part.h"
#include "net/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Inputs: a channels-last image [2,5,3,7], a matrix [4,6], integers [3]; outputs are the same. */
static struct kerf_graph *make(void)
{
	static const struct kerf_tensor t[] = {
		{.dtype = KERF_F32, .rank = 4, .dims = {2, 5, 3, 7}},
		{.dtype = KERF_F32, .rank = 2, .dims = {4, 6}},
		{.dtype = KERF_I32, .rank = 1, .dims = {3}},
	};
	struct kerf_graph *g = kerf_graph_new("part");
	uint32_t i;

	assert_non_null(g);
	for (i = 0; i < KERF_ARRAY_SIZE(t); i++) {
		int32_t v = kerf_graph_add_value(g, NULL, &t[i]);

		assert_true(v >= 0);
		g->value[v].nhwc = !i;
		assert_int_equal(kerf_graph_add_input(g, v), 0);
		assert_int_equal(kerf_graph_add_output(g, v), 0);
	}
	return g;
}

/* --- Ports as text, and whether they fit --- */

#define WHOLE "{\"io\":0},{\"io\":1},{\"io\":2}"

/* Well formed, but not this slice's. */
#define MISFIT ""

static const struct {
	const char *ports, *say; /* say NULL: it fits */
} table[] = {
	{"{\"in\":[{\"home\":true,\"pieces\":[" WHOLE "]}],\"out\":[]}", NULL},
	{"{\"in\":[{\"pieces\":[{\"io\":0,\"rows\":[0,2]},{\"io\":1,\"codec\":\"int8\"}]},"
	 "{\"pieces\":[{\"io\":0,\"rows\":[2,5],\"codec\":\"f16\"},{\"io\":2}]}],"
	 "\"out\":[{\"home\":true,\"pieces\":[{\"io\":0}]},{\"url\":\"http://[::1]:8470\",\"slice\":\"ab\","
	 "\"port\":3,\"pieces\":[{\"io\":0,\"rows\":[1,2]}]},{\"slice\":\"0\",\"port\":0,"
	 "\"pieces\":[{\"io\":1,\"channels\":[0,6]}]}]}", NULL},
	{"{\"in\":[{\"pieces\":[{\"io\":0,\"rows\":[0,2]},{\"io\":0,\"rows\":[2,5],\"channels\":[0,3]},"
	 "{\"io\":0,\"rows\":[2,5],\"channels\":[3,7]},{\"io\":1},{\"io\":2}]}],\"out\":[]}", NULL},
	{"{\"in\":[]}", "'out' is missing"},
	{"{\"in\":[],\"out\":[]}", MISFIT},
	{"{\"in\":7,\"out\":[]}", "'in'"},
	{"{\"in\":[3],\"out\":[]}", "port in 0"},
	{"{\"in\":[{}],\"out\":[]}", "'pieces' is missing"},
	{"{\"in\":[{\"pieces\":[]}],\"out\":[]}", "without 'pieces'"},
	{"{\"in\":[{\"pieces\":[1]}],\"out\":[]}", "no object"},
	{"{\"in\":[{\"pieces\":[{\"io\":-1}]}],\"out\":[]}", "'io' is -1"},
	{"{\"in\":[{\"pieces\":[{\"io\":3}]}],\"out\":[]}", MISFIT},
	{"{\"in\":[{\"pieces\":[{\"io\":0,\"rows\":[3,3]}]}],\"out\":[]}", "pair"},
	{"{\"in\":[{\"pieces\":[{\"io\":0,\"rows\":[3]}]}],\"out\":[]}", "pair"},
	{"{\"in\":[{\"pieces\":[{\"io\":0,\"rows\":[0,6]}]}],\"out\":[]}", MISFIT},
	{"{\"in\":[{\"pieces\":[{\"io\":1,\"rows\":[0,2]}]}],\"out\":[]}", MISFIT},
	{"{\"in\":[{\"pieces\":[{\"io\":0,\"channels\":[0,8]}]}],\"out\":[]}", MISFIT},
	{"{\"in\":[{\"pieces\":[{\"io\":2,\"channels\":[0,1]}]}],\"out\":[]}", MISFIT},
	{"{\"in\":[{\"pieces\":[{\"io\":0,\"codec\":\"zip\"}]}],\"out\":[]}", "'codec' is 'zip'"},
	{"{\"in\":[{\"pieces\":[{\"io\":0,\"codec\":1}]}],\"out\":[]}", "'codec'"},
	{"{\"in\":[{\"pieces\":[" WHOLE "]}],\"out\":[{\"home\":true,\"pieces\":[{\"io\":2,\"codec\":\"f16\"}]}]}",
	 MISFIT},
	{"{\"in\":[{\"pieces\":[" WHOLE ",{\"io\":0,\"rows\":[4,5]}]}],\"out\":[]}", MISFIT},
	{"{\"in\":[{\"pieces\":[" WHOLE "]},{\"pieces\":[{\"io\":1}]}],\"out\":[]}", MISFIT},
	{"{\"in\":[{\"pieces\":[{\"io\":0,\"rows\":[0,4]},{\"io\":1},{\"io\":2}]}],\"out\":[]}",
	 MISFIT},
	{"{\"in\":[{\"home\":true,\"pieces\":[{\"io\":0},{\"io\":1}]},{\"home\":true,\"pieces\":[{\"io\":2}]}],"
	 "\"out\":[]}", MISFIT},
	{"{\"in\":[{\"pieces\":[" WHOLE "]}],\"out\":[{\"home\":true,\"pieces\":[{\"io\":0}]},"
	 "{\"home\":true,\"pieces\":[{\"io\":0}]}]}", MISFIT},
	{"{\"in\":[],\"out\":[{\"pieces\":[{\"io\":0}]}]}", "'slice' is missing"},
	{"{\"in\":[],\"out\":[{\"slice\":\"ab\",\"pieces\":[{\"io\":0}]}]}", "'port' is missing"},
	{"{\"in\":[],\"out\":[{\"slice\":\"ab\",\"port\":64,\"pieces\":[{\"io\":0}]}]}", "'port' is 64"},
	{"{\"in\":[],\"out\":[{\"slice\":\"../x\",\"port\":0,\"pieces\":[{\"io\":0}]}]}", "'slice' is"},
	{"{\"in\":[],\"out\":[{\"slice\":\"\",\"port\":0,\"pieces\":[{\"io\":0}]}]}", "'slice' is"},
	{"{\"in\":[],\"out\":[{\"url\":\"ftp://h\",\"slice\":\"ab\",\"port\":0,\"pieces\":[{\"io\":0}]}]}",
	 "http://HOST:PORT"},
	{"{\"in\":[],\"out\":[{\"url\":\"http://h/x\",\"slice\":\"ab\",\"port\":0,\"pieces\":[{\"io\":0}]}]}",
	 "http://HOST:PORT"},
	{"{\"in\":[],\"out\":[{\"url\":\"http://u@h\",\"slice\":\"ab\",\"port\":0,\"pieces\":[{\"io\":0}]}]}",
	 "http://HOST:PORT"},
	{"{\"in\":[],\"out\":[{\"url\":\"http://h\\r\\nx: y\",\"slice\":\"ab\",\"port\":0,\"pieces\":[{\"io\":0}]}]}",
	 "http://HOST:PORT"},
	{"{\"in\":[],\"out\":[{\"url\":3,\"slice\":\"ab\",\"port\":0,\"pieces\":[{\"io\":0}]}]}", "'url'"},
	{"{\"in\":[],\"out\":[{\"slice\":\"ab\",\"port\":0,\"pieces\":[{\"io\":3}]}]}", MISFIT},
};

static int decode(const char *text, struct kerf_part *part, struct kerf_err *err)
{
	struct json_object *o;
	int r;

	assert_int_equal(kerf_json_parse(text, strlen(text), &o, err), 0);
	r = kerf_part_decode(o, part, err);
	json_object_put(o);
	return r;
}

static void test_ports(void **state)
{
	struct kerf_graph *g = make();
	unsigned i;

	for (i = 0; i < KERF_ARRAY_SIZE(table); i++) {
		struct kerf_err err = {""};
		struct kerf_part part;
		int r = decode(table[i].ports, &part, &err);

		if (!r)
			r = kerf_part_check(g, &part, &err);
		if (table[i].say ? r != -EINVAL || !strstr(err.msg, table[i].say) : r)
			print_error("%s: %d, '%s', expected '%s'\n", table[i].ports, r, err.msg,
				    table[i].say ? table[i].say : "");
		assert_int_equal(r, table[i].say ? -EINVAL : 0);
		assert_true(!table[i].say || (err.msg[0] && strstr(err.msg, table[i].say)));
		kerf_part_finish(&part);
	}
	kerf_graph_unref(g);
}

/* Written and read again it is the same; an address that is the node's own is left out. */
static void test_text(void **state)
{
	struct json_object *o, *again;
	struct kerf_part part;
	char *first;
	unsigned i;

	for (i = 0; i < 3; i++) {
		assert_int_equal(decode(table[i].ports, &part, NULL), 0);
		assert_int_equal(kerf_part_encode(&part, "", &o), 0);
		kerf_part_finish(&part);
		first = strdup(json_object_to_json_string(o));
		assert_int_equal(kerf_part_decode(o, &part, NULL), 0);
		assert_int_equal(kerf_part_encode(&part, "http://[::1]:8470", &again), 0);
		assert_string_equal(i == 1 ? "" : first, i == 1 ? "" : json_object_to_json_string(again));
		assert_null(strstr(json_object_to_json_string(again), "url"));
		kerf_part_finish(&part);
		json_object_put(o);
		json_object_put(again);
		free(first);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ports),
		cmocka_unit_test(test_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
