/* SPDX-License-Identifier: MIT */
/* /sys as a source: frequencies, heat and power, of boards that are files in a folder. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "load_tree.h"
#include "telemetry/load.h"
#include "telemetry/record.h"

#define MS 1000000ull
#define BEGIN (1000 * MS)
#define CPUFREQ "devices/system/cpu/cpufreq/"
#define THERMAL "class/thermal/"

struct board {
	struct tree proc, sys;
	struct kerf_zone_rec zone[KERF_STATE_ZONES];
	struct kerf_load *load;
	struct kerf_node_load out;
	uint64_t at_ms;
};

static int setup(void **state)
{
	struct board *b = calloc(1, sizeof(*b));

	if (!b)
		return -1;
	tree_make(&b->proc);
	tree_make(&b->sys);
	*state = b;
	return 0;
}

static int teardown(void **state)
{
	struct board *b = *state;

	kerf_load_close(b->load);
	tree_remove(&b->proc, "");
	tree_remove(&b->sys, "");
	free(b);
	return 0;
}

static void look(struct board *b)
{
	struct kerf_load_config cfg = {.proc = b->proc.root, .sys = b->sys.root};

	if (!b->load)
		assert_int_equal(kerf_load_open(&cfg, &b->load, NULL), 0);
	b->at_ms += 250;
	kerf_load_sample(b->load, BEGIN + b->at_ms * MS, &b->out);
}

static void put_policy(struct board *b, int id, int now, int limit, int max)
{
	char path[96];

	snprintf(path, sizeof(path), CPUFREQ "policy%d/scaling_cur_freq", id);
	tree_put(&b->sys, path, "%d\n", now);
	snprintf(path, sizeof(path), CPUFREQ "policy%d/scaling_max_freq", id);
	tree_put(&b->sys, path, "%d\n", limit);
	snprintf(path, sizeof(path), CPUFREQ "policy%d/cpuinfo_max_freq", id);
	tree_put(&b->sys, path, "%d\n", max);
}

static void test_nothing_there(void **state)
{
	struct board *b = *state;

	look(b);
	assert_int_equal(b->out.has, 0);
	assert_int_equal(b->out.source_sensor, KERF_SOURCE_NONE);
}

static void test_slowest_policy(void **state)
{
	struct board *b = *state;
	const struct kerf_zone_rec *z;
	struct kerf_zone_rec copy;

	put_policy(b, 4, 1200000, 2400000, 2400000); /* half */
	put_policy(b, 0, 1600000, 1800000, 1800000);
	look(b);
	assert_int_equal(b->out.has, KERF_LOAD_HAS_FREQ);
	assert_int_equal(b->out.freq_khz, 1200000);
	assert_int_equal(b->out.max_khz, 2400000);
	assert_int_equal(b->out.throttled, 0);
	assert_int_equal(b->out.source_sensor, KERF_SOURCE_PROC);

	/* As published: by rising number */
	z = kerf_load_zones(b->load);
	assert_true(kerf_record_read(&z[0], &copy, sizeof(copy)));
	assert_int_equal(copy.kind, KERF_ZONE_FREQ);
	assert_int_equal(copy.id, 0);
	assert_int_equal(copy.freq_khz, 1600000);
	assert_true(kerf_record_read(&z[1], &copy, sizeof(copy)));
	assert_int_equal(copy.id, 4);
}

/* A lower bound is heat's doing only if heat is seen somewhere. */
static void test_throttling(void **state)
{
	struct board *b = *state;

	put_policy(b, 0, 1000000, 1200000, 1800000);
	tree_put(&b->sys, THERMAL "thermal_zone0/type", "cpu-thermal\n");
	tree_put(&b->sys, THERMAL "thermal_zone0/temp", "84999\n");
	tree_put(&b->sys, THERMAL "thermal_zone0/trip_point_0_type", "critical\n");
	tree_put(&b->sys, THERMAL "thermal_zone0/trip_point_0_temp", "70000\n");
	tree_put(&b->sys, THERMAL "thermal_zone0/trip_point_1_type", "passive\n");
	tree_put(&b->sys, THERMAL "thermal_zone0/trip_point_1_temp", "95000\n");
	tree_put(&b->sys, THERMAL "thermal_zone0/trip_point_2_type", "passive\n");
	tree_put(&b->sys, THERMAL "thermal_zone0/trip_point_2_temp", "85000\n");
	tree_put(&b->sys, THERMAL "cooling_device0/type", "pwm-fan\n");
	tree_put(&b->sys, THERMAL "cooling_device0/cur_state", "3\n");
	tree_put(&b->sys, THERMAL "cooling_device1/type", "cpufreq-cpu0\n");
	tree_put(&b->sys, THERMAL "cooling_device1/cur_state", "0\n");
	look(b);
	assert_int_equal(b->out.throttled, 0); /* somebody wanted it so */
	assert_int_equal(b->out.temperature_mc, 84999);

	tree_put(&b->sys, THERMAL "thermal_zone0/temp", "85000\n");
	look(b);
	assert_int_equal(b->out.throttled, 1);

	tree_put(&b->sys, THERMAL "thermal_zone0/temp", "80000\n");
	tree_put(&b->sys, THERMAL "cooling_device1/cur_state", "2\n");
	look(b);
	assert_int_equal(b->out.throttled, 1);

	put_policy(b, 0, 1800000, 1800000, 1800000);
	look(b);
	assert_int_equal(b->out.throttled, 0);
}

/* x86 says how often a core was slowed down. */
static void test_throttle_count(void **state)
{
	struct board *b = *state;
	const char *path = "devices/system/cpu/cpu0/thermal_throttle/core_throttle_count";

	put_policy(b, 0, 3000000, 4000000, 4000000);
	tree_put(&b->sys, path, "17\n");
	look(b);
	assert_int_equal(b->out.throttled, 0);
	tree_put(&b->sys, path, "18\n");
	look(b);
	assert_int_equal(b->out.throttled, 1);
	look(b);
	assert_int_equal(b->out.throttled, 0);
}

static void test_hottest_zone(void **state)
{
	struct board *b = *state;

	tree_put(&b->sys, THERMAL "thermal_zone0/temp", "-12000\n");
	tree_put(&b->sys, THERMAL "thermal_zone1/temp", "-3500\n");
	look(b);
	assert_int_equal(b->out.has, KERF_LOAD_HAS_TEMPERATURE);
	assert_int_equal(b->out.temperature_mc, -3500);
	tree_put(&b->sys, THERMAL "thermal_zone1/temp", "9999999999\n"); /* a broken sensor */
	look(b);
	assert_int_equal(b->out.temperature_mc, -12000);
	tree_put(&b->sys, THERMAL "thermal_zone0/temp", "hot\n");
	look(b);
	assert_int_equal(b->out.has, 0);
	assert_int_equal(b->out.temperature_mc, 0);
}

static void put_rail(struct board *b, int hwmon, int i, const char *label, int mv, int ma)
{
	char path[64];

	snprintf(path, sizeof(path), "class/hwmon/hwmon%d/in%d_label", hwmon, i);
	tree_put(&b->sys, path, "%s\n", label);
	snprintf(path, sizeof(path), "class/hwmon/hwmon%d/in%d_input", hwmon, i);
	tree_put(&b->sys, path, "%d\n", mv);
	snprintf(path, sizeof(path), "class/hwmon/hwmon%d/curr%d_input", hwmon, i);
	tree_put(&b->sys, path, "%d\n", ma);
}

/* Orin Nano: VDD_IN feeds the other two. Drops over shunts stand at in4 and on. */
static void test_ina3221(void **state)
{
	struct board *b = *state;

	tree_put(&b->sys, "class/hwmon/hwmon3/name", "ina3221\n");
	put_rail(b, 3, 1, "VDD_IN", 5000, 1464);
	put_rail(b, 3, 2, "VDD_CPU_GPU_CV", 5000, 400);
	put_rail(b, 3, 3, "VDD_SOC", 5000, 296);
	put_rail(b, 3, 4, "shunt", 7, 9000000);
	look(b);
	assert_int_equal(b->out.has, KERF_LOAD_HAS_POWER);
	assert_int_equal(b->out.power_mw, 7320);

	/* AGX: no rail is the whole; they add up. A rail that feeds back takes nothing. */
	put_rail(b, 3, 1, "VDD_GPU_SOC", 5000, 1464);
	kerf_load_close(b->load);
	b->load = NULL;
	look(b);
	assert_int_equal(b->out.power_mw, 7320 + 2000 + 1480);
	put_rail(b, 3, 3, "VDD_SOC", 5000, -296);
	look(b);
	assert_int_equal(b->out.power_mw, 7320 + 2000);
	tree_put(&b->sys, "class/hwmon/hwmon3/in2_input", "\n");
	look(b);
	assert_int_equal(b->out.power_mw, 7320);
}

/* power in uW; a PC's board: a meter of the whole box and a graphics card in it */
static void test_hwmon_power(void **state)
{
	struct board *b = *state;

	tree_put(&b->sys, "class/hwmon/hwmon0/name", "ina226\n");
	tree_put(&b->sys, "class/hwmon/hwmon0/power1_input", "12345678\n");
	put_rail(b, 0, 1, "x", 5000, 1000); /* the same rail once more */
	tree_put(&b->sys, "class/hwmon/hwmon1/name", "amdgpu\n");
	tree_put(&b->sys, "class/hwmon/hwmon1/power1_average", "30000000\n");
	tree_put(&b->sys, "class/hwmon/hwmon2/name", "nct6775\n");
	put_rail(b, 2, 1, "Vcore", 1000, 1000); /* not a rail's pair */
	look(b);
	assert_int_equal(b->out.power_mw, 42345);

	tree_put(&b->sys, "class/hwmon/hwmon5/name", "power_meter\n");
	tree_put(&b->sys, "class/hwmon/hwmon5/power1_average", "99000000\n");
	kerf_load_close(b->load);
	b->load = NULL;
	look(b);
	assert_int_equal(b->out.power_mw, 99000);
}

/* Jetson, JetPack 4 */
static void test_iio_power(void **state)
{
	struct board *b = *state;
	const char *dir = "bus/i2c/drivers/ina3221x/6-0040/iio:device0";
	static const char *const rail[] = {"POM_5V_IN", "POM_5V_GPU", "POM_5V_CPU"};
	char path[128];
	int i;

	for (i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s/rail_name_%d", dir, i);
		tree_put(&b->sys, path, "%s\n", rail[i]);
		snprintf(path, sizeof(path), "%s/in_power%d_input", dir, i);
		tree_put(&b->sys, path, "%d\n", 2000 >> i);
	}
	look(b);
	assert_int_equal(b->out.power_mw, 2000);
}

static void test_hostile_values(void **state)
{
	static const char *const nonsense[] = {"",
					       "-",
					       "\n",
					       "99999999999999999999",
					       "-1",
					       "18446744073709551615",
					       "9223372036854775807",
					       "-9223372036854775808",
					       "12x",
					       "0x10",
					       " ",
					       "1 2 3",
					       "4294967296"};
	static const char *const files[] = {CPUFREQ "policy0/scaling_cur_freq",
					    CPUFREQ "policy0/scaling_max_freq",
					    CPUFREQ "policy0/cpuinfo_max_freq",
					    THERMAL "thermal_zone0/temp",
					    THERMAL "thermal_zone0/trip_point_0_temp",
					    "class/hwmon/hwmon0/power1_input",
					    "class/hwmon/hwmon1/in1_input",
					    "class/hwmon/hwmon1/curr1_input"};
	struct board *b = *state;
	size_t i, k;

	tree_put(&b->sys, THERMAL "thermal_zone0/trip_point_0_type", "passive\n");
	tree_put(&b->sys, "class/hwmon/hwmon1/name", "ina3221\n");
	/* Names that are no numbers, or too large ones */
	tree_put(&b->sys, THERMAL "thermal_zone/temp", "1\n");
	tree_put(&b->sys, THERMAL "thermal_zone99999999999/temp", "1\n");
	tree_put(&b->sys, THERMAL "thermal_zonex/temp", "1\n");
	for (i = 0; i < KERF_ARRAY_SIZE(files); i++) {
		for (k = 0; k < KERF_ARRAY_SIZE(nonsense); k++) {
			put_policy(b, 0, 1000000, 1000000, 2000000);
			tree_put(&b->sys, THERMAL "thermal_zone0/temp", "40000\n");
			tree_put(&b->sys, THERMAL "thermal_zone0/trip_point_0_temp", "90000\n");
			tree_put(&b->sys, "class/hwmon/hwmon0/power1_input", "1000000\n");
			put_rail(b, 1, 1, "a", 5000, 1000);
			tree_put(&b->sys, files[i], "%s", nonsense[k]);
			look(b);
			assert_true(b->out.freq_khz <= 100000000);
			assert_true(b->out.max_khz <= 100000000);
			assert_in_range(b->out.temperature_mc + 250000, 0, 500000);
			assert_true(b->out.power_mw <= 320000000);
			assert_true(b->out.throttled <= 1);
			if (i >= 3)
				assert_int_equal(b->out.freq_khz, 1000000);
			if (i != 3)
				assert_int_equal(b->out.temperature_mc, 40000);
			kerf_load_close(b->load);
			b->load = NULL;
		}
	}
}

/* What a program sees is newer than what was read; a torn or absurd record is not taken. */
static void test_programs_zones(void **state)
{
	struct board *b = *state;
	struct kerf_load_config cfg = {.proc = b->proc.root, .sys = b->sys.root, .zone = b->zone};
	struct kerf_zone_rec z = {.kind = KERF_ZONE_THERMAL,
				  .id = 2,
				  .temperature_mc = 61000,
				  .source = KERF_SOURCE_BTF,
				  .updated_ns = BEGIN + 270 * MS};

	tree_put(&b->sys, THERMAL "thermal_zone2/temp", "60000\n");
	put_policy(b, 0, 1000000, 2000000, 2000000);
	assert_int_equal(kerf_load_open(&cfg, &b->load, NULL), 0);
	assert_null(kerf_load_zones(b->load));
	look(b);
	assert_int_equal(b->out.temperature_mc, 60000);
	kerf_record_write(&b->zone[0], &z, sizeof(z));
	z.kind = KERF_ZONE_FREQ;
	z.id = 0;
	z.freq_khz = 1500000;
	z.updated_ns = BEGIN + 600 * MS;
	kerf_record_write(&b->zone[1], &z, sizeof(z));
	kerf_load_sample(b->load, BEGIN + 300 * MS, &b->out);
	assert_int_equal(b->out.temperature_mc, 61000);
	assert_int_equal(b->out.freq_khz, 1500000);
	assert_int_equal(b->out.source_sensor, KERF_SOURCE_BTF);

	/* While the kernel reads the sensor itself, we do not. After 2 s we do again. */
	tree_put(&b->sys, THERMAL "thermal_zone2/temp", "70000\n");
	kerf_load_sample(b->load, BEGIN + 1000 * MS, &b->out);
	assert_int_equal(b->out.temperature_mc, 61000);
	kerf_load_sample(b->load, BEGIN + 2500 * MS, &b->out);
	assert_int_equal(b->out.temperature_mc, 70000);

	z.kind = KERF_ZONE_THERMAL;
	z.id = 2;
	z.updated_ns = BEGIN + 2600 * MS;
	z.temperature_mc = INT32_MIN;
	kerf_record_write(&b->zone[0], &z, sizeof(z));
	kerf_load_sample(b->load, BEGIN + 2700 * MS, &b->out);
	assert_int_equal(b->out.temperature_mc, 70000);
	z.temperature_mc = 80000;
	kerf_record_write(&b->zone[0], &z, sizeof(z));
	b->zone[0].check ^= 1;
	kerf_load_sample(b->load, BEGIN + 2800 * MS, &b->out);
	assert_int_equal(b->out.temperature_mc, 70000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_nothing_there, setup, teardown),
		cmocka_unit_test_setup_teardown(test_slowest_policy, setup, teardown),
		cmocka_unit_test_setup_teardown(test_throttling, setup, teardown),
		cmocka_unit_test_setup_teardown(test_throttle_count, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hottest_zone, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ina3221, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hwmon_power, setup, teardown),
		cmocka_unit_test_setup_teardown(test_iio_power, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hostile_values, setup, teardown),
		cmocka_unit_test_setup_teardown(test_programs_zones, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
