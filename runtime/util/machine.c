/* SPDX-License-Identifier: MIT */
#include "util/machine.h"

#include "util/digest.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

void kerf_machine_cpu(char *out, size_t n)
{
	static const char *const keys[] = {"model name", "Hardware", "Model"};
	char line[256];
	FILE *f = fopen("/proc/cpuinfo", "re");
	size_t i;

	snprintf(out, n, "unknown CPU");
	while (f && fgets(line, sizeof(line), f)) {
		char *v = strchr(line, ':');

		for (i = 0; v && i < KERF_ARRAY_SIZE(keys); i++) {
			if (strncmp(line, keys[i], strlen(keys[i])))
				continue;
			v += 1 + strspn(v + 1, " \t");
			v[strcspn(v, "\n")] = 0;
			snprintf(out, n, "%s", v);
			fclose(f);
			return;
		}
	}
	if (f)
		fclose(f);
	f = fopen("/proc/device-tree/model", "re");
	if (!f)
		return;
	if (fgets(line, sizeof(line), f))
		snprintf(out, n, "%s", line);
	fclose(f);
}

void kerf_machine_id(char out[65])
{
	char text[512] = "kerf machine\n", cpu[128];
	size_t n = strlen(text);
	FILE *f = fopen("/etc/machine-id", "re");
	uint8_t hash[32];

	if (!f || !fgets(text + n, 64, f))
		gethostname(text + n, 64);
	if (f)
		fclose(f);
	n = strlen(text);
	kerf_machine_cpu(cpu, sizeof(cpu));
	snprintf(text + n, sizeof(text) - n, "\n%s", cpu);
	kerf_sha256(text, strlen(text), hash);
	kerf_hex(hash, 32, out);
}

uint64_t kerf_machine_memory(void)
{
	long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);

	return pages > 0 && size > 0 ? (uint64_t)pages * (uint64_t)size : 0;
}
