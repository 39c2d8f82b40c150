/* SPDX-License-Identifier: MIT */
/*
 * What a peer says of its load. What is accepted must be within the stated bounds, and
 * survive being written and read again.
 */
#include "fuzz/fuzz.h"

#include "telemetry/load_text.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kerf_node_load load, again;
	struct kerf_err err = {""};
	char text[2 * KERF_LOAD_TEXT];
	size_t n;

	if (kerf_load_parse((const char *)data, size, 1, &load, &err)) {
		if (!err.msg[0])
			abort();
		return 0;
	}
	if (load.n_engine > KERF_NODE_LOAD_ENGINES ||
	    load.memory_available_bytes > load.memory_bytes ||
	    (load.has & KERF_LOAD_HAS_CPU && (!load.n_cpu || load.slowdown_permille < 1000)))
		abort();
	for (n = 0; n < load.n_engine; n++)
		if (strnlen(load.engine[n].name, sizeof(load.engine[n].name)) ==
		    sizeof(load.engine[n].name))
			abort();
	n = kerf_load_format(&load, text, sizeof(text));
	if (!n || n != strlen(text))
		abort();
	/* Numbers may have stood there with zeros in front, so it is not longer now. */
	if (kerf_load_parse(text, n, 1, &again, &err) || memcmp(&load, &again, sizeof(load)))
		abort();
	return 0;
}

void kerf_fuzz_seeds(void (*add)(const void *data, size_t size))
{
	static const char *const seed[] = {
		"v=1 cpus=4 fair=1203 own=2011 slowdown=2750 rt=17 waiting=5400 competing=86681",
		"v=1 cpus=4 throttled=1 cpu-pressure=333 memory-pressure=4 memory=8589934592 "
		"available=3221225473 khz=1416000 max-khz=1800000 millicelsius=-12750 milliwatt=5321",
		"v=1 engine=cpu,3,0,2,1999,0,1099511627776,3 engine=gfx%201.0,2,65535,1,1000,7,1,0",
	};
	size_t i;

	for (i = 0; i < sizeof(seed) / sizeof(seed[0]); i++)
		add(seed[i], strlen(seed[i]));
}
