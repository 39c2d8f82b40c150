/* SPDX-License-Identifier: MIT */
/*
 * Sensors come in three shapes: power in uW (hwmon powerN_input or powerN_average), voltage in mV
 * and current in mA of one rail (hwmon inN_input and currN_input of INA chips, as on Jetson boards
 * since JetPack 5), and power in mW (the iio driver of JetPack 4).
 */
#include "telemetry/load_power.h"

#include <dirent.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "telemetry/load_file.h"
#include "util/base.h"

#define MAX_RAILS 32
#define MAX_HWMON 64
#define MAX_MW 10000000u /* 10 kW: what says more is broken */

struct rail {
	int a, b;	 /* b: the current beside the voltage a; -1: a is power */
	uint32_t per_mw; /* of what a, or a times b, counts in */
	bool whole;	 /* what goes into the box, other rails included */
};

struct kerf_power {
	struct rail rail[MAX_RAILS];
	uint32_t n;
	uint32_t mw;
	bool known;
};

static void add(struct kerf_power *p, int a, int b, uint32_t per_mw, bool whole)
{
	if (p->n == MAX_RAILS) {
		kerf_load_file_close(a);
		kerf_load_file_close(b);
		return;
	}
	p->rail[p->n++] = (struct rail){.a = a, .b = b, .per_mw = per_mw, .whole = whole};
}

/* What feeds the others: "VDD_IN", "POM_5V_IN"; not "VIN_SYS_5V0", one consumer among others */
static bool is_whole(const char *label)
{
	size_t n = strlen(label);

	return !strcmp(label, "VIN") || !strcasecmp(label, "total") ||
	       (n > 3 && !strcmp(label + n - 3, "_IN"));
}

static void add_hwmon(struct kerf_power *p, const char *root, uint32_t id)
{
	char dir[64], path[128], name[32] = "", label[32];
	uint32_t before = p->n, i;
	bool whole;
	int a, b;

	snprintf(dir, sizeof(dir), "class/hwmon/hwmon%u", id);
	snprintf(path, sizeof(path), "%s/name", dir);
	kerf_load_file_word(root, path, name, sizeof(name));
	for (i = 1; i <= 8; i++) {
		a = kerf_load_file_open(root, "%s/power%u_input", dir, i);
		if (a < 0)
			a = kerf_load_file_open(root, "%s/power%u_average", dir, i);
		if (a < 0)
			continue;
		snprintf(path, sizeof(path), "%s/power%u_label", dir, i);
		kerf_load_file_word(root, path, label, sizeof(label));
		add(p, a, -1, 1000, is_whole(label) || !strcmp(name, "power_meter"));
	}
	/* Elsewhere, voltage N and current N need not be of the same rail. */
	if (p->n > before || strncmp(name, "ina", 3))
		return;
	/* in4 and on of an INA3221 are drops over its shunts. */
	for (i = 1; i <= 3; i++) {
		snprintf(path, sizeof(path), "%s/in%u_label", dir, i);
		kerf_load_file_word(root, path, label, sizeof(label));
		whole = is_whole(label);
		a = kerf_load_file_open(root, "%s/in%u_input", dir, i);
		b = kerf_load_file_open(root, "%s/curr%u_input", dir, i);
		if (a < 0 || b < 0) {
			kerf_load_file_close(a);
			kerf_load_file_close(b);
			continue;
		}
		add(p, a, b, 1000, whole);
	}
}

static void add_iio(struct kerf_power *p, const char *dir)
{
	char path[32], label[32];
	uint32_t i;
	int a;

	for (i = 0; i < 3; i++) {
		a = kerf_load_file_open(dir, "in_power%u_input", i);
		if (a < 0)
			continue;
		snprintf(path, sizeof(path), "rail_name_%u", i);
		kerf_load_file_word(dir, path, label, sizeof(label));
		add(p, a, -1, 1, is_whole(label));
	}
}

struct kerf_power *kerf_power_open(const char *root)
{
	struct kerf_power *p = calloc(1, sizeof(*p));
	char path[PATH_MAX];
	glob_t found;
	uint32_t i;

	if (!p)
		return NULL;
	for (i = 0; i < MAX_HWMON; i++)
		add_hwmon(p, root, i);
	if (snprintf(path, sizeof(path), "%s/bus/i2c/drivers/ina3221x/*/iio:device*", root) <
		    (int)sizeof(path) &&
	    !glob(path, 0, NULL, &found)) {
		for (i = 0; i < found.gl_pathc && i < MAX_HWMON; i++)
			add_iio(p, found.gl_pathv[i]);
		globfree(&found);
	}
	return p;
}

void kerf_power_close(struct kerf_power *p)
{
	uint32_t i;

	if (!p)
		return;
	for (i = 0; i < p->n; i++) {
		kerf_load_file_close(p->rail[i].a);
		kerf_load_file_close(p->rail[i].b);
	}
	free(p);
}

static bool read_rail(const struct rail *r, uint64_t *mw)
{
	int64_t a, b = 1;

	if (!kerf_load_file_signed(r->a, &a) || (r->b >= 0 && !kerf_load_file_signed(r->b, &b)) ||
	    __builtin_mul_overflow(a, b, &a))
		return false;
	a /= r->per_mw;
	*mw = (uint64_t)KERF_MAX(a, 0); /* a rail that feeds back takes nothing */
	return a <= (int64_t)MAX_MW;
}

void kerf_power_update(struct kerf_power *p)
{
	uint64_t mw, sum = 0, whole = 0;
	bool any = false, any_whole = false;
	uint32_t i;

	for (i = 0; i < p->n; i++) {
		if (!read_rail(&p->rail[i], &mw))
			continue;
		any = true;
		sum += mw;
		if (p->rail[i].whole) {
			any_whole = true;
			whole += mw;
		}
	}
	p->known = any;
	p->mw = (uint32_t)(any_whole ? whole : sum);
}

bool kerf_power_mw(const struct kerf_power *p, uint32_t *mw)
{
	if (p->known)
		*mw = p->mw;
	return p->known;
}
