/* SPDX-License-Identifier: MIT */
#include "telemetry/publish.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/*
 * What is mapped for writing before the seals stays so; whoever gets the file later can map it
 * for reading only, and its size is fixed, so that no reader meets a SIGBUS.
 */
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL)

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x8u
#endif

/* Since Linux 6.3 the kernel wants to be told that nobody executes it (sysctl vm.memfd_noexec). */
static int make(const char *name)
{
	const unsigned int flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
	int fd = memfd_create(name, flags | MFD_NOEXEC_SEAL);

	return fd < 0 && errno == EINVAL ? memfd_create(name, flags) : fd;
}

int kerf_shared_open(const char *name, size_t size, struct kerf_shared *s, struct kerf_err *err)
{
	int fd = make(name), read_only, r;
	void *data = MAP_FAILED;
	char path[64];

	*s = (struct kerf_shared){.fd = -1};
	if (fd < 0 || ftruncate(fd, (off_t)size))
		goto fail;
	data = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (data == MAP_FAILED || fcntl(fd, F_ADD_SEALS, SEALS))
		goto fail;
	/* The seals hold without it; so not even an attempt gets past the descriptor. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	read_only = open(path, O_RDONLY | O_CLOEXEC);
	if (read_only >= 0) {
		close(fd);
		fd = read_only;
	}
	*s = (struct kerf_shared){.data = data, .size = size, .fd = fd};
	return 0;
fail:
	r = kerf_fail(err, -errno, "shared memory for %s, %zu bytes: %s", name, size,
		      strerror(errno));
	if (data != MAP_FAILED)
		munmap(data, size);
	if (fd >= 0)
		close(fd);
	return r;
}

void kerf_shared_close(struct kerf_shared *s)
{
	if (!s->data)
		return;
	munmap(s->data, s->size);
	close(s->fd);
	*s = (struct kerf_shared){.fd = -1};
}
