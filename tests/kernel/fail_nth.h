/* SPDX-License-Identifier: MIT */
/*
 * /proc/.../fail-nth: n written there makes the n-th fault point (an allocation, a copy from or to
 * user memory) that this thread passes from then on fail, once. `make uml-check` builds a kernel
 * that has it.
 */
#ifndef FAIL_NTH_H
#define FAIL_NTH_H

#include <fcntl.h>

#include "ktap.h"

static inline void fail_nth_knob(const char *attr, const char *name, const char *value)
{
	char path[96];
	int fd;

	snprintf(path, sizeof(path), "/sys/kernel/debug/%s/%s", attr, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	if (write(fd, value, strlen(value)) < 0)
		ktap_note("%s: %s", path, strerror(errno));
	close(fd);
}

/* The calling thread's, or -1 where the kernel injects no faults */
static inline int fail_nth_open(void)
{
	static const char *const attr[] = {"failslab", "fail_page_alloc", "fail_usercopy"};
	int fd = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return -1;
	/* By default allocations that may sleep are spared, and each fault is logged. */
	for (size_t i = 0; i < sizeof(attr) / sizeof(attr[0]); i++) {
		fail_nth_knob(attr[i], "verbose", "0");
		fail_nth_knob(attr[i], "ignore-gfp-wait", "N");
	}
	fail_nth_knob("fail_page_alloc", "ignore-gfp-highmem", "N");
	fail_nth_knob("fail_page_alloc", "min-order", "0");
	return fd;
}

static inline void fail_nth_arm(int fd, unsigned n)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%u", n);

	REQUIRE(pwrite(fd, text, (size_t)len, 0) == len);
}

/* True if the fault was injected: all n points were passed. */
static inline bool fail_nth_disarm(int fd)
{
	char text[16] = "";
	ssize_t got = pread(fd, text, sizeof(text) - 1, 0);

	/* The read passes points itself: where it failed, the fault was yet to come. */
	while (pwrite(fd, "0", 1, 0) != 1)
		;
	return got > 0 && atoi(text) == 0;
}

#endif
