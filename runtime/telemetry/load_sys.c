/* SPDX-License-Identifier: MIT */
#include "telemetry/load_sys.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "telemetry/load_file.h"
#include "telemetry/load_power.h"
#include "telemetry/record.h"
#include "util/base.h"

#define SLOW_NS 200000000u   /* between two looks at what may be slow to read */
#define FRESH_NS 2000000000u /* what a program saw stands for that long */
#define MAX_TRIPS 16
#define MAX_TEMPERATURE_MC 250000
#define MAX_KHZ 100000000u

struct zone {
	struct kerf_zone_rec rec; /* as last found */
	int value;		  /* temp, or scaling_cur_freq */
	int limit;		  /* of a policy: scaling_max_freq */
	int throttles;		  /* of a policy: how often its CPU was slowed down by heat */
	uint64_t throttle_count;
	uint32_t limit_khz;
};

struct kerf_sys {
	struct zone zone[KERF_STATE_ZONES];
	struct kerf_zone_rec rec[KERF_STATE_ZONES];
	uint32_t n_zone;
	int cooling[KERF_STATE_ZONES]; /* cur_state of devices that cool by slowing CPUs down */
	uint32_t n_cooling;
	int online;
	struct kerf_power *power;
	uint64_t slow_ns; /* last look at slow ones */
	bool cooled;
};

/* The temperature at which the kernel slows CPUs down: the lowest passive trip; 0: none. */
static uint32_t passive_trip(const char *root, uint32_t id)
{
	char path[128], type[16];
	uint64_t at, lowest = 0;
	uint32_t i;
	int fd;

	for (i = 0; i < MAX_TRIPS; i++) {
		snprintf(path, sizeof(path), "class/thermal/thermal_zone%u/trip_point_%u_type", id,
			 i);
		if (!kerf_load_file_word(root, path, type, sizeof(type)))
			break;
		if (strcmp(type, "passive"))
			continue;
		fd = kerf_load_file_open(root, "class/thermal/thermal_zone%u/trip_point_%u_temp",
					 id, i);
		if (kerf_load_file_number(fd, &at) && at && at <= MAX_TEMPERATURE_MC &&
		    (!lowest || at < lowest))
			lowest = at;
		kerf_load_file_close(fd);
	}
	return (uint32_t)lowest;
}

static struct zone *add(struct kerf_sys *s, uint32_t kind, uint32_t id, int value)
{
	struct zone *z;

	if (value < 0 || s->n_zone == KERF_STATE_ZONES) {
		kerf_load_file_close(value);
		return NULL;
	}
	z = &s->zone[s->n_zone++];
	z->rec.kind = kind;
	z->rec.id = id;
	z->rec.source = KERF_SOURCE_PROC;
	z->value = value;
	z->limit = z->throttles = -1;
	return z;
}

static void add_thermal(struct kerf_sys *s, const char *root, uint32_t id)
{
	int fd = kerf_load_file_open(root, "class/thermal/thermal_zone%u/temp", id);
	struct zone *z = add(s, KERF_ZONE_THERMAL, id, fd);
	char path[128];

	if (!z)
		return;
	snprintf(path, sizeof(path), "class/thermal/thermal_zone%u/type", id);
	kerf_load_file_word(root, path, z->rec.name, sizeof(z->rec.name));
	z->rec.trip_mc = passive_trip(root, id);
}

static void add_policy(struct kerf_sys *s, const char *root, uint32_t id)
{
	static const char dir[] = "devices/system/cpu/cpufreq/policy";
	int fd = kerf_load_file_open(root, "%s%u/scaling_cur_freq", dir, id), max;
	struct zone *z = add(s, KERF_ZONE_FREQ, id, fd);
	char path[128];
	uint64_t khz;

	if (!z)
		return;
	snprintf(path, sizeof(path), "%s%u/scaling_driver", dir, id);
	kerf_load_file_word(root, path, z->rec.name, sizeof(z->rec.name));
	max = kerf_load_file_open(root, "%s%u/cpuinfo_max_freq", dir, id);
	if (kerf_load_file_number(max, &khz) && khz <= MAX_KHZ)
		z->rec.max_khz = (uint32_t)khz;
	kerf_load_file_close(max);
	z->limit = kerf_load_file_open(root, "%s%u/scaling_max_freq", dir, id);
	z->throttles = kerf_load_file_open(
		root, "devices/system/cpu/cpu%u/thermal_throttle/core_throttle_count", id);
	if (!kerf_load_file_number(z->throttles, &z->throttle_count)) {
		kerf_load_file_close(z->throttles);
		z->throttles = -1;
	}
}

static void add_cooling(struct kerf_sys *s, const char *root, uint32_t id)
{
	char path[128], type[32];
	int fd;

	snprintf(path, sizeof(path), "class/thermal/cooling_device%u/type", id);
	if (!kerf_load_file_word(root, path, type, sizeof(type)) ||
	    (!strstr(type, "cpufreq") && strcmp(type, "Processor")) ||
	    s->n_cooling == KERF_STATE_ZONES)
		return;
	fd = kerf_load_file_open(root, "class/thermal/cooling_device%u/cur_state", id);
	if (fd >= 0)
		s->cooling[s->n_cooling++] = fd;
}

/* add_x for each folder "prefixN" in folder, by rising N as far as the table holds. */
static void scan(struct kerf_sys *s, const char *root, const char *folder, const char *prefix,
		 void (*add_one)(struct kerf_sys *s, const char *root, uint32_t id))
{
	uint32_t ids[4 * KERF_STATE_ZONES], n = 0, i, j, x;
	char path[PATH_MAX];
	struct dirent *e;
	const char *name;
	uint64_t id;
	DIR *dir;

	if (snprintf(path, sizeof(path), "%s/%s", root, folder) >= (int)sizeof(path))
		return;
	dir = opendir(path);
	if (!dir)
		return;
	while (n < KERF_ARRAY_SIZE(ids) && (e = readdir(dir))) {
		if (strncmp(e->d_name, prefix, strlen(prefix)))
			continue;
		name = e->d_name + strlen(prefix);
		if (kerf_load_number(&name, &id) && !*name && id < UINT32_MAX)
			ids[n++] = (uint32_t)id;
	}
	closedir(dir);
	for (i = 1; i < n; i++)
		for (j = i; j && ids[j] < ids[j - 1]; j--) {
			x = ids[j];
			ids[j] = ids[j - 1];
			ids[j - 1] = x;
		}
	for (i = 0; i < n; i++)
		add_one(s, root, ids[i]);
}

struct kerf_sys *kerf_sys_open(const char *root)
{
	struct kerf_sys *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->power = kerf_power_open(root);
	if (!s->power) {
		free(s);
		return NULL;
	}
	scan(s, root, "devices/system/cpu/cpufreq", "policy", add_policy);
	scan(s, root, "class/thermal", "thermal_zone", add_thermal);
	scan(s, root, "class/thermal", "cooling_device", add_cooling);
	s->online = kerf_load_file_open(root, "devices/system/cpu/online");
	return s;
}

void kerf_sys_close(struct kerf_sys *s)
{
	uint32_t i;

	if (!s)
		return;
	for (i = 0; i < s->n_zone; i++) {
		kerf_load_file_close(s->zone[i].value);
		kerf_load_file_close(s->zone[i].limit);
		kerf_load_file_close(s->zone[i].throttles);
	}
	for (i = 0; i < s->n_cooling; i++)
		kerf_load_file_close(s->cooling[i]);
	kerf_load_file_close(s->online);
	kerf_power_close(s->power);
	free(s);
}

static void read_thermal(struct zone *z, uint64_t now_ns)
{
	int64_t mc;

	if (z->rec.source == KERF_SOURCE_BTF && now_ns - z->rec.updated_ns < FRESH_NS)
		return;
	z->rec.source = KERF_SOURCE_PROC;
	z->rec.updated_ns = 0;
	if (!kerf_load_file_signed(z->value, &mc) || mc < -MAX_TEMPERATURE_MC ||
	    mc > MAX_TEMPERATURE_MC)
		return;
	z->rec.temperature_mc = (int32_t)mc;
	z->rec.updated_ns = now_ns;
}

static void read_policy(struct zone *z, uint64_t now_ns)
{
	uint64_t khz, count;

	z->rec.source = KERF_SOURCE_PROC;
	z->rec.updated_ns = 0;
	z->limit_khz = 0;
	z->rec.throttled = 0;
	if (!kerf_load_file_number(z->value, &khz) || !khz || khz > MAX_KHZ)
		return;
	z->rec.freq_khz = (uint32_t)khz;
	z->rec.updated_ns = now_ns;
	if (kerf_load_file_number(z->limit, &khz) && khz && khz <= MAX_KHZ)
		z->limit_khz = (uint32_t)khz;
	if (kerf_load_file_number(z->throttles, &count)) {
		z->rec.throttled = count > z->throttle_count;
		z->throttle_count = count;
	}
}

/* A bound below the hardware's is heat's doing if something cools by it, or a zone is too hot. */
static void find_throttled(struct kerf_sys *s)
{
	bool hot = s->cooled;
	struct zone *z;
	uint32_t i;

	for (i = 0; i < s->n_zone; i++) {
		z = &s->zone[i];
		if (z->rec.kind == KERF_ZONE_THERMAL && z->rec.updated_ns) {
			z->rec.throttled =
				z->rec.trip_mc && z->rec.temperature_mc >= (int32_t)z->rec.trip_mc;
			hot |= z->rec.throttled;
		}
	}
	for (i = 0; i < s->n_zone; i++) {
		z = &s->zone[i];
		if (z->rec.kind == KERF_ZONE_FREQ && hot && z->limit_khz && z->rec.max_khz &&
		    z->limit_khz < z->rec.max_khz)
			z->rec.throttled = 1;
	}
}

void kerf_sys_update(struct kerf_sys *s, uint64_t now_ns)
{
	bool slow = !s->slow_ns || now_ns - s->slow_ns >= SLOW_NS;
	uint64_t state;
	uint32_t i;

	if (slow) {
		s->slow_ns = now_ns;
		s->cooled = false;
		for (i = 0; i < s->n_cooling; i++)
			s->cooled |= kerf_load_file_number(s->cooling[i], &state) && state > 0;
		kerf_power_update(s->power);
	}
	for (i = 0; i < s->n_zone; i++) {
		if (s->zone[i].rec.kind == KERF_ZONE_FREQ)
			read_policy(&s->zone[i], now_ns);
		else if (slow)
			read_thermal(&s->zone[i], now_ns);
	}
	find_throttled(s);
	for (i = 0; i < s->n_zone; i++)
		kerf_record_write(&s->rec[i], &s->zone[i].rec, sizeof(s->rec[i]));
}

const struct kerf_zone_rec *kerf_sys_zones(const struct kerf_sys *s)
{
	return s->rec;
}

void kerf_sys_merge(struct kerf_sys *s, const struct kerf_zone_rec *zone)
{
	struct kerf_zone_rec r;
	struct zone *z;
	uint32_t i, j;

	for (i = 0; zone && i < KERF_STATE_ZONES; i++) {
		if (!kerf_record_read(&zone[i], &r, sizeof(r)) || r.kind == KERF_ZONE_NONE)
			continue;
		for (j = 0; j < s->n_zone; j++) {
			z = &s->zone[j];
			if (z->rec.kind != r.kind || z->rec.id != r.id ||
			    z->rec.updated_ns >= r.updated_ns)
				continue;
			if (r.kind == KERF_ZONE_THERMAL &&
			    abs(r.temperature_mc) <= MAX_TEMPERATURE_MC)
				z->rec.temperature_mc = r.temperature_mc;
			else if (r.kind == KERF_ZONE_FREQ && r.freq_khz && r.freq_khz <= MAX_KHZ)
				z->rec.freq_khz = r.freq_khz;
			else
				continue;
			z->rec.updated_ns = r.updated_ns;
			z->rec.source = r.source;
		}
	}
}

void kerf_sys_fill(const struct kerf_sys *s, struct kerf_node_load *load)
{
	const struct kerf_zone_rec *r;
	double lowest = 0, share;
	uint32_t i;

	for (i = 0; i < s->n_zone; i++) {
		r = &s->zone[i].rec;
		if (!r->updated_ns)
			continue;
		if (r->kind == KERF_ZONE_THERMAL) {
			if (!(load->has & KERF_LOAD_HAS_TEMPERATURE) ||
			    r->temperature_mc > load->temperature_mc)
				load->temperature_mc = r->temperature_mc;
			load->has |= KERF_LOAD_HAS_TEMPERATURE;
		} else {
			/* The slowest by what it could do: a small core at full speed is not slow.
			 */
			share = r->max_khz ? (double)r->freq_khz / r->max_khz : 1;
			if (!(load->has & KERF_LOAD_HAS_FREQ) || share < lowest) {
				lowest = share;
				load->freq_khz = r->freq_khz;
				load->max_khz = r->max_khz;
			}
			load->has |= KERF_LOAD_HAS_FREQ;
			load->throttled |= r->throttled;
		}
		load->source_sensor = KERF_MAX(load->source_sensor, r->source);
	}
	if (kerf_power_mw(s->power, &load->power_mw)) {
		load->has |= KERF_LOAD_HAS_POWER;
		load->source_sensor = KERF_MAX(load->source_sensor, KERF_SOURCE_PROC);
	}
}

bool kerf_sys_online(const struct kerf_sys *s, uint8_t *bits, uint32_t max)
{
	char text[1024];

	kerf_load_file_read(s->online, text, sizeof(text));
	return kerf_load_cpulist(text, bits, max) > 0;
}
