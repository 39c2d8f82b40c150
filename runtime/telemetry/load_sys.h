/* SPDX-License-Identifier: MIT */
/*
 * What /sys says: cpufreq policies, thermal zones, and sensors of power. Devices are looked for
 * once, at open. One thread.
 *
 * Power is that of the whole box where a sensor says so (ACPI's power meter, an INA rail called
 * VDD_IN and the like); else the sum of all rails and chips that have a sensor.
 */
#ifndef KERF_TELEMETRY_LOAD_SYS_H
#define KERF_TELEMETRY_LOAD_SYS_H

#include "kerf_state.h"

#include <stdbool.h>
#include <stdint.h>

struct kerf_sys;

struct kerf_sys *kerf_sys_open(const char *root); /* NULL if there is no memory */
void kerf_sys_close(struct kerf_sys *s);	  /* NULL allowed */

/*
 * Reads what is due. Frequencies each time; temperature and power no more often than each 200 ms,
 * since some of them are asked over I2C.
 */
void kerf_sys_update(struct kerf_sys *s, uint64_t now_ns);

/* KERF_STATE_ZONES records; those of no kind are unused. */
const struct kerf_zone_rec *kerf_sys_zones(const struct kerf_sys *s);

/* A program's records (KERF_STATE_ZONES) where they are newer than ours; NULL: none. */
void kerf_sys_merge(struct kerf_sys *s, const struct kerf_zone_rec *zone);

/* Fills frequency, temperature, throttling and power of load, and their bits and source. */
void kerf_sys_fill(const struct kerf_sys *s, struct kerf_node_load *load);

/* CPUs that are on line, a bit each; false: not known. */
bool kerf_sys_online(const struct kerf_sys *s, uint8_t *bits, uint32_t max);

#endif
