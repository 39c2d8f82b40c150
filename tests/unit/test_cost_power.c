/* SPDX-License-Identifier: MIT */
/* Power profiles: what people write is read exactly, or refused by name. */
#include "cost/power.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const char *path;

static void write_file(const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void test_names_find_figures(void **state)
{
	struct kerf_err err = {""};
	struct kerf_power p;

	write_file("{\"kerf_power\":1,\"engines\":{\"cpu\":{\"active_w\":2.5},\"*\":{\"active_w\":40}},"
		   "\"nodes\":{\"home\":{\"idle_w\":1,\"send_j_byte\":2e-7},\"http://a:1\":{}}}");
	assert_int_equal(kerf_power_read(path, &p, &err), 0);
	assert_float_equal(kerf_power_engine(&p, "cpu")->active_w, 2.5, 0);
	assert_float_equal(kerf_power_engine(&p, "http://a:1/cpu")->active_w, 40, 0);
	assert_float_equal(kerf_power_node(&p, "home")->send_j_byte, 2e-7, 0);
	assert_float_equal(kerf_power_node(&p, "home")->receive_j_byte, 0, 0);
	assert_float_equal(kerf_power_node(&p, "http://a:1")->idle_w, 0, 0);
	assert_null(kerf_power_node(&p, "http://b:1"));
	write_file("{\"kerf_power\":1}");
	assert_int_equal(kerf_power_read(path, &p, &err), 0);
	assert_null(kerf_power_engine(&p, "cpu"));
}

static void test_mistakes_are_named(void **state)
{
	static const struct {
		const char *text, *says;
	} bad[] = {
		{"", "not JSON"},
		{"[1]", "object"},
		{"{}", "kerf_power is not 1"},
		{"{\"kerf_power\":2}", "kerf_power is not 1"},
		{"{\"kerf_power\":\"1\"}", "kerf_power is not 1"},
		{"{\"kerf_power\":1,\"engine\":{}}", "unknown key 'engine'"},
		{"{\"kerf_power\":1,\"engines\":[]}", "engines is not"},
		{"{\"kerf_power\":1,\"engines\":{\"cpu\":3}}", "cpu is not an object"},
		{"{\"kerf_power\":1,\"engines\":{\"cpu\":{\"watts\":3}}}", "unknown key 'watts'"},
		{"{\"kerf_power\":1,\"engines\":{\"cpu\":{\"active_w\":-3}}}", "active_w is -3"},
		{"{\"kerf_power\":1,\"engines\":{\"cpu\":{\"active_w\":\"3\"}}}", "active_w is no number"},
		{"{\"kerf_power\":1,\"nodes\":{\"home\":{\"send_j_byte\":9}}}", "send_j_byte is 9"},
		{"{\"kerf_power\":1,\"nodes\":{\"\":{}}}", "name of 0 characters"},
		{"{\"kerf_power\":1,\"nodes\":{\"home\":{\"idle_w\":1,\"idle\":2}}}", "unknown key 'idle'"},
	};
	struct kerf_power p;
	size_t i;

	for (i = 0; i < KERF_ARRAY_SIZE(bad); i++) {
		struct kerf_err err = {""};

		write_file(bad[i].text);
		assert_int_equal(kerf_power_read(path, &p, &err), -EINVAL);
		assert_non_null(strstr(err.msg, path));
		assert_non_null(strstr(err.msg, bad[i].says));
	}
}

static void test_too_many_are_refused(void **state)
{
	struct kerf_err err = {""};
	struct kerf_power p;
	char text[4096];
	int n = snprintf(text, sizeof(text), "{\"kerf_power\":1,\"nodes\":{"), i;

	for (i = 0; i <= KERF_POWER_MAX; i++)
		n += snprintf(text + n, sizeof(text) - (size_t)n, "%s\"n%d\":{}", i ? "," : "", i);
	snprintf(text + n, sizeof(text) - (size_t)n, "}}");
	write_file(text);
	assert_int_equal(kerf_power_read(path, &p, &err), -EINVAL);
	assert_int_equal(kerf_power_read("/nowhere/power.json", &p, &err), -ENOENT);
}

static int make_file(void **state)
{
	static char name[] = "/tmp/kerf-power-XXXXXX";
	int fd = mkstemp(name);

	path = name;
	return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state)
{
	return unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names_find_figures),
		cmocka_unit_test(test_mistakes_are_named),
		cmocka_unit_test(test_too_many_are_refused),
	};

	return cmocka_run_group_tests(tests, make_file, remove_file);
}
