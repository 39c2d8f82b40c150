/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as each file that costs are read from: a profile, an engine's figures, a predictor, a
 * power profile. What is believed has figures in range, and a predictor answers with one.
 */
#include "fuzz/fuzz.h"

#include "cost/power.h"
#include "cost/predictor.h"
#include "cost/store.h"

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ENGINE "law: 1 thread"
#define MACHINE "here"

static char folder[] = "/tmp/kerf-fuzz-costs-XXXXXX", file[64];

static void remove_folder(void)
{
	char cmd[128];

	snprintf(cmd, sizeof(cmd), "rm -rf %s", folder);
	if (system(cmd))
		perror(cmd);
}

/* One file under all the names that are looked for. */
static void make_folder(void)
{
	char key[KERF_STORE_KEY], name[128];

	if (*file)
		return;
	if (!mkdtemp(folder) || setenv("KERF_PROFILE_DIR", folder, 1))
		abort();
	atexit(remove_folder);
	snprintf(file, sizeof(file), "%s/data", folder);
	snprintf(name, sizeof(name), "%s/predictor.json", folder);
	if (symlink("data", name))
		abort();
	kerf_store_key(ENGINE, MACHINE, key);
	snprintf(name, sizeof(name), "%s/engine-%s.json", folder, key);
	if (symlink("data", name))
		abort();
}

static void in_range(double v, double max)
{
	if (!(v >= 0 && v <= max))
		abort();
}

static void check_profile(void)
{
	struct kerf_profile p;
	uint32_t i, k;

	if (kerf_profile_read(file, &p, NULL))
		return;
	for (i = 0; i < p.n_op; i++) {
		in_range(p.op_s[i], 1e6);
		if (p.op_fixed_s)
			in_range(p.op_fixed_s[i], p.op_s[i]);
		for (k = 0; p.op && k < KERF_N_FEATURE; k++)
			in_range(p.op[i].v[k], 1e18);
		if (p.op && (!memchr(p.op[i].type, 0, sizeof(p.op[i].type)) ||
			     kerf_features_family(&p.op[i]) >= KERF_N_FAMILY))
			abort();
	}
	kerf_profile_finish(&p);
}

static void check_engine(void)
{
	struct kerf_engine_cost c;
	uint32_t i;

	if (kerf_engine_cost_load(ENGINE, MACHINE, &c, NULL))
		return;
	for (i = 0; i < KERF_N_CASE; i++)
		in_range(c.case_s[i], 1e6);
	if (c.n_sharing > KERF_SHARING_MAX)
		abort();
	for (i = 0; i < c.n_sharing; i++)
		in_range(c.sharing_s[i], 1e6);
	in_range(c.job_s + c.apart_fixed_s + c.apart_byte_s, 3e6);
	in_range(c.sharing_d, 1e3);
	in_range(c.active_w + c.idle_w, 2e5);
	in_range(c.f16_byte_s + c.int8_byte_s, 2);
}

static void check_predictor(void)
{
	struct kerf_engine_cost cost = {.has_cases = true};
	struct kerf_features f = {.type = "Conv"};
	struct kerf_predictor p;
	int i;

	if (kerf_predictor_load(&p, NULL))
		return;
	for (i = 0; i < KERF_N_CASE; i++)
		cost.case_s[i] = 1e-4;
	for (i = 0; i < KERF_N_FEATURE; i++)
		f.v[i] = 1 << i;
	/* A sum of many leaves may be beyond any time, but it is a number and not below 0. */
	if (!(kerf_predictor_op(&p, &cost, &f) >= 0))
		abort();
	kerf_predictor_finish(&p);
}

static void check_power(void)
{
	struct kerf_power p;
	uint32_t i;

	if (kerf_power_read(file, &p, NULL))
		return;
	if (p.n_engine > KERF_POWER_MAX || p.n_node > KERF_POWER_MAX)
		abort();
	for (i = 0; i < p.n_engine; i++)
		in_range(p.engine[i].active_w, 1e5);
	for (i = 0; i < p.n_node; i++) {
		in_range(p.node[i].idle_w, 1e5);
		in_range(p.node[i].send_j_byte, 1);
		in_range(p.node[i].receive_j_byte, 1);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd;

	make_folder();
	fd = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	close(fd);
	check_profile();
	check_engine();
	check_predictor();
	check_power();
	return 0;
}

void kerf_fuzz_seeds(void (*add)(const void *data, size_t size))
{
	static const char *const seeds[] = {
		"{\"kerf_profile\":1,\"fingerprint\":\"0123456789abcdef\",\"engine\":\"a\",\"machine\":\"b\","
		"\"runs\":7,\"op_s\":[1e-6,2e-6]}",
		"{\"kerf_profile\":2,\"fingerprint\":\"0123456789abcdef\",\"model\":\"m\",\"engine\":\"a\","
		"\"machine\":\"b\",\"runs\":7,\"op_s\":[1e-6],\"op_fixed_s\":[1e-7],"
		"\"op\":[[1,2,3,4,5,6,7,8,9,10,11,12,\"Conv\"]]}",
		"{\"kerf_engine\":1,\"engine\":\"" ENGINE "\",\"machine\":\"" MACHINE "\","
		"\"apart\":{\"job_s\":1e-5,\"fixed_s\":1e-6,\"byte_s\":1e-11,\"cuts\":6},"
		"\"sharing\":{\"d\":0.5,\"error\":0.2,\"mean_s\":[1,2]},"
		"\"power\":{\"active_w\":1,\"idle_w\":2},\"codec\":{\"f16_byte_s\":1e-10,\"int8_byte_s\":1e-10}}",
		"{\"kerf_power\":1,\"engines\":{\"cpu\":{\"active_w\":3}},\"nodes\":{\"*\":{\"idle_w\":1,"
		"\"send_j_byte\":1e-7,\"receive_j_byte\":1e-7}}}",
	};
	char text[1024];
	size_t i;
	int n, k;

	for (i = 0; i < sizeof(seeds) / sizeof(*seeds); i++)
		add(seeds[i], strlen(seeds[i]));
	n = snprintf(text, sizeof(text),
		     "{\"kerf_predictor\":1,\"inputs\":%d,\"profiles\":1,\"operators\":1,"
		     "\"family\":{\"conv\":{\"base\":0.5,\"trees\":[[",
		     kerf_predictor_inputs);
	for (k = 0; k < 2 * KERF_BOOST_NODES + KERF_BOOST_LEAVES; k++)
		n += snprintf(text + n, sizeof(text) - (size_t)n, "%s%d", k ? "," : "", k % 3);
	n += snprintf(text + n, sizeof(text) - (size_t)n, "]]}}}");
	add(text, (size_t)n);
}
