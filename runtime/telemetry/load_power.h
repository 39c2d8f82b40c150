/* SPDX-License-Identifier: MIT */
/* Power sensors under /sys; load_sys.h says what is made of them. One thread. */
#ifndef KERF_TELEMETRY_LOAD_POWER_H
#define KERF_TELEMETRY_LOAD_POWER_H

#include <stdbool.h>
#include <stdint.h>

struct kerf_power;

struct kerf_power *kerf_power_open(const char *root); /* NULL if there is no memory */
void kerf_power_close(struct kerf_power *p);	      /* NULL allowed */
void kerf_power_update(struct kerf_power *p);
bool kerf_power_mw(const struct kerf_power *p, uint32_t *mw); /* of the last update */

#endif
