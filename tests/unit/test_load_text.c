/* SPDX-License-Identifier: MIT */
/* A node's load as text: written and read again the same, and nothing absurd believed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "telemetry/load_text.h"
#include "util/rng.h"

#define NOW 123456789

static const struct kerf_node_load full = {
	.has = KERF_LOAD_HAS_CPU | KERF_LOAD_HAS_RUN_DELAY | KERF_LOAD_HAS_MEMORY |
	       KERF_LOAD_HAS_PRESSURE | KERF_LOAD_HAS_FREQ | KERF_LOAD_HAS_TEMPERATURE |
	       KERF_LOAD_HAS_POWER | KERF_LOAD_HAS_RT | KERF_LOAD_HAS_COMPETING |
	       KERF_LOAD_HAS_OUTSIDE,
	.source = KERF_SOURCE_BTF,
	.source_memory = KERF_SOURCE_PROC,
	.source_sensor = KERF_SOURCE_PROC,
	.n_engine = 2,
	.n_cpu = 4,
	.fair_permille = 1203,
	.rt_permille = 17,
	.own_permille = 2011,
	.waiting_permille = 5400,
	.slowdown_permille = 2750,
	.cpu_pressure_permille = 333,
	.memory_pressure_permille = 4,
	.memory_bytes = 8ull << 30,
	.memory_available_bytes = (3ull << 30) + 1,
	.freq_khz = 1416000,
	.max_khz = 1800000,
	.temperature_mc = -12750,
	.throttled = 1,
	.power_mw = 5321,
	.competing_permille = 86681,
	.outside_permille = 2200,
	.engine = {
		{.name = "cpu", .kind = KERF_ENGINE_RUNTIME, .running = 2, .busy_permille = 1999,
		 .jobs = 1ull << 40, .errors = 3},
		{.name = "gfx 1.0,=%", .kind = KERF_ENGINE_DRM, .depth = 65535, .running = 1,
		 .busy_permille = 1000, .wait_us = 4000000000u, .jobs = 1},
	},
};

/* What arrives: the same figures, but said by a peer. */
static struct kerf_node_load said(struct kerf_node_load load)
{
	uint32_t i;

	load.updated_ns = NOW;
	load.source = load.has & KERF_LOAD_HAS_CPU ? KERF_SOURCE_PEER : 0;
	load.source_memory = load.has & (KERF_LOAD_HAS_MEMORY | KERF_LOAD_HAS_PRESSURE)
				     ? KERF_SOURCE_PEER
				     : 0;
	load.source_sensor = load.has & (KERF_LOAD_HAS_FREQ | KERF_LOAD_HAS_TEMPERATURE |
					 KERF_LOAD_HAS_POWER)
				     ? KERF_SOURCE_PEER
				     : 0;
	for (i = 0; i < load.n_engine; i++)
		load.engine[i].source = KERF_SOURCE_PEER;
	return load;
}

static void same_after(const struct kerf_node_load *load)
{
	struct kerf_node_load expected = said(*load), found;
	char text[KERF_LOAD_TEXT];
	size_t n = kerf_load_format(load, text, sizeof(text));
	struct kerf_err err = {""};

	assert_int_equal(n, strlen(text));
	assert_true(n > 0);
	if (kerf_load_parse(text, n, NOW, &found, &err))
		fail_msg("%s: %s", text, err.msg);
	assert_memory_equal(&found, &expected, sizeof(found));
}

static void every_field_comes_back(void **state)
{
	static const struct kerf_node_load nothing;

	same_after(&full);
	same_after(&nothing);
}

/* Each group by itself, as nodes without the others' sources send it. */
static void each_group_alone(void **state)
{
	uint32_t bit;

	for (bit = 1; bit <= KERF_LOAD_HAS_OUTSIDE; bit <<= 1) {
		struct kerf_node_load load = {.n_cpu = 4, .has = bit};

		switch (bit) {
		case KERF_LOAD_HAS_CPU:
			load.fair_permille = 4000;
			load.slowdown_permille = 1000;
			break;
		case KERF_LOAD_HAS_RUN_DELAY: load.waiting_permille = 1; break;
		case KERF_LOAD_HAS_MEMORY: load.memory_bytes = 1; break;
		case KERF_LOAD_HAS_TEMPERATURE: load.temperature_mc = 0; break;
		case KERF_LOAD_HAS_POWER: load.power_mw = 1; break;
		}
		same_after(&load);
	}
}

static void random_loads(void **state)
{
	struct kerf_rng rng;
	int round;

	kerf_rng_seed(&rng, 4);
	for (round = 0; round < 20000; round++) {
		struct kerf_node_load load = full;
		uint32_t i;

		load.n_cpu = 1 + (uint32_t)(kerf_rng_next(&rng) % 512);
		load.fair_permille = (uint32_t)(kerf_rng_next(&rng) % (load.n_cpu * 500 + 1));
		load.rt_permille = (uint32_t)(kerf_rng_next(&rng) % (load.n_cpu * 500 + 1));
		load.own_permille = 0;
		load.waiting_permille = (uint32_t)(kerf_rng_next(&rng) % 1000000);
		load.slowdown_permille = 1000 + (uint32_t)(kerf_rng_next(&rng) % 100000);
		load.memory_bytes = 1 + kerf_rng_next(&rng) % (1ull << 50);
		load.memory_available_bytes = kerf_rng_next(&rng) % (load.memory_bytes + 1);
		load.n_engine = (uint8_t)(kerf_rng_next(&rng) % (KERF_NODE_LOAD_ENGINES + 1));
		memset(load.engine, 0, sizeof(load.engine));
		for (i = 0; i < load.n_engine; i++) {
			struct kerf_engine_load *e = &load.engine[i];
			uint32_t n = 1 + (uint32_t)(kerf_rng_next(&rng) % 8);

			while (n--)
				e->name[n] = (char)(1 + kerf_rng_next(&rng) % 255);
			e->kind = (uint8_t)(1 + kerf_rng_next(&rng) % KERF_ENGINE_RUNTIME);
			e->depth = (uint16_t)kerf_rng_next(&rng);
			e->jobs = kerf_rng_next(&rng) >> 1;
		}
		same_after(&load);
	}
}

/* As many engines as there is room for; the rest of the text stays whole. */
static void long_reports_lose_engines(void **state)
{
	struct kerf_node_load load = full, found;
	char text[KERF_LOAD_TEXT];
	size_t size;
	uint32_t i, most = 0;

	load.n_engine = KERF_NODE_LOAD_ENGINES;
	for (i = 0; i < load.n_engine; i++)
		load.engine[i] = (struct kerf_engine_load){
			.name = "\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01"
				"\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01",
			.kind = KERF_ENGINE_QUEUE, .jobs = INT64_MAX, .errors = INT64_MAX};
	for (size = 0; size <= sizeof(text); size++) {
		size_t n = kerf_load_format(&load, text, size);

		assert_true(n < size || !size);
		if (!n)
			continue;
		assert_int_equal(n, strlen(text));
		assert_int_equal(kerf_load_parse(text, n, NOW, &found, NULL), 0);
		assert_true(found.n_engine >= most);
		most = found.n_engine;
		assert_int_equal(found.fair_permille, load.fair_permille);
	}
	assert_in_range(most, 8, KERF_NODE_LOAD_ENGINES - 1);
}

static void later_words_are_skipped(void **state)
{
	static const char text[] = "  new=thing fair=5 v=1 slowdown=1000  own=0 cpus=1 x=y=z ";
	struct kerf_node_load load;

	assert_int_equal(kerf_load_parse(text, sizeof(text) - 1, NOW, &load, NULL), 0);
	assert_int_equal(load.fair_permille, 5);
	assert_int_equal(load.has, KERF_LOAD_HAS_CPU);
}

static void absurd_is_refused(void **state)
{
#define CPU "v=1 cpus=2 own=0 slowdown=1000 "
	static const struct {
		const char *text, *says;
	} cases[] = {
		{"", "no version"},
		{"cpus=4", "no version"},
		{"v=2 cpus=4", "version 2, expected 1"},
		{"v=", "NAME=VALUE"},
		{"v", "NAME=VALUE"},
		{"=1", "NAME=VALUE"},
		{"v=1 v=1", "twice"},
		{"v=1 cpus=4 cpus=4", "twice"},
		{"v=1 cpus=0", "expected 1 to"},
		{"v=1 cpus=-1", "expected 1 to"},
		{"v=1 cpus=+1", "whole number"},
		{"v=1 cpus=1e3", "whole number"},
		{"v=1 cpus=0x10", "whole number"},
		{"v=1 cpus=99999999999999999999999", "whole number"},
		{"v=1 cpus=65537", "expected 1 to"},
		{CPU "fair=2300", "permille busy on 2 CPUs"},
		{CPU "fair=1500 rt=1500", "permille busy on 2 CPUs"},
		{"v=1 cpus=2 fair=1", "own is missing"},
		{"v=1 cpus=2 fair=1 own=1 slowdown=999", "expected 1000"},
		{"v=1 fair=1 own=1 slowdown=1000", "without cpus"},
		{"v=1 waiting=1", "without cpus"},
		{"v=1 cpus=2 waiting=2000001", "waiting=2000001"},
		{"v=1 cpus=1 competing=88000001", "competing=88000001"},
		{"v=1 memory=100 available=101", "101 bytes available"},
		{"v=1 memory=100", "available is missing"},
		{"v=1 memory=0 available=0", "memory=0"},
		{"v=1 memory=2000000000000000 available=0", "expected 1 to"},
		{"v=1 cpu-pressure=1001 memory-pressure=0", "expected 0 to 1000"},
		{"v=1 millicelsius=1000000", "millicelsius=1000000"},
		{"v=1 milliwatt=-5", "milliwatt=-5"},
		{"v=1 throttled=2", "throttled=2"},
		{"v=1 engine=cpu", "valid name"},
		{"v=1 engine=,3,0,0,0,0,0,0", "valid name"},
		{"v=1 engine=a%zz,3,0,0,0,0,0,0", "valid name"},
		{"v=1 engine=a%00,3,0,0,0,0,0,0", "valid name"},
		{"v=1 engine=%61,3,0,0,0,0,0,0", "valid name"},
		{"v=1 engine=a%2,3,0,0,0,0,0,0", "valid name"},
		{"v=1 engine=0123456789012345678901234567890123,3,0,0,0,0,0,0", "valid name"},
		{"v=1 engine=cpu,0,0,0,0,0,0,0", "no kind"},
		{"v=1 engine=cpu,4,0,0,0,0,0,0", "number 1"},
		{"v=1 engine=cpu,3,65536,0,0,0,0,0", "number 2"},
		{"v=1 engine=cpu,3,0,0,0,0,0", "7 numbers"},
		{"v=1 engine=cpu,3,0,0,0,0,0,0,0", "7 numbers"},
		{"v=1 engine=cpu,3,0,0,0,0,-1,0", "number 6"},
		{"v=1 engine=cpu,3,0,0,0,0,9223372036854775808,0", "number 6"},
		{"v=1\ncpus=1", "byte 0xa"},
		{"v=1 cpus=1\x7f", "byte 0x7f"},
		{"v=1 \xc3\xa9=1", "byte 0xc3"},
	};
	struct kerf_node_load load = full;
	size_t i;

	for (i = 0; i < KERF_ARRAY_SIZE(cases); i++) {
		struct kerf_err err = {""};
		int r = kerf_load_parse(cases[i].text, strlen(cases[i].text), NOW, &load, &err);

		if (r != -EINVAL || !strstr(err.msg, cases[i].says))
			fail_msg("'%s': %d, '%s', expected '%s'", cases[i].text, r, err.msg,
				 cases[i].says);
		assert_memory_equal(&load, &full, sizeof(load));
	}
}

static void too_much_is_refused(void **state)
{
	static char text[KERF_LOAD_TEXT + 1];
	struct kerf_node_load load;
	size_t at = 0;
	int i;

	memset(text, ' ', sizeof(text));
	memcpy(text, "v=1", 3);
	assert_int_equal(kerf_load_parse(text, KERF_LOAD_TEXT, NOW, &load, NULL), -EINVAL);
	assert_int_equal(kerf_load_parse(text, KERF_LOAD_TEXT - 1, NOW, &load, NULL), 0);
	at = (size_t)sprintf(text, "v=1");
	for (i = 0; i <= KERF_NODE_LOAD_ENGINES; i++)
		at += (size_t)sprintf(text + at, " engine=e%d,3,0,0,0,0,0,0", i);
	assert_int_equal(kerf_load_parse(text, at, NOW, &load, NULL), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_field_comes_back),
		cmocka_unit_test(each_group_alone),
		cmocka_unit_test(random_loads),
		cmocka_unit_test(long_reports_lose_engines),
		cmocka_unit_test(later_words_are_skipped),
		cmocka_unit_test(absurd_is_refused),
		cmocka_unit_test(too_much_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
