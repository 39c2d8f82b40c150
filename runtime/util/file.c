/* SPDX-License-Identifier: MIT */
#include "util/file.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Opens a regular file; a FIFO or device must not block or surprise us. */
static int open_regular(const char *path, size_t *size, struct kerf_err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;

	if (fd < 0)
		return kerf_fail(err, -errno, "%s: %s", path, strerror(errno));
	if (fstat(fd, &st)) {
		int r = -errno;

		close(fd);
		return kerf_fail(err, r, "%s: %s", path, strerror(-r));
	}
	if (!S_ISREG(st.st_mode)) {
		close(fd);
		return kerf_fail(err, -EINVAL, "%s: not a regular file", path);
	}
	*size = (size_t)st.st_size;
	return fd;
}

int kerf_file_map(const char *path, struct kerf_file **out, struct kerf_err *err)
{
	struct kerf_file *f = calloc(1, sizeof(*f));
	int fd, r;

	if (!f)
		return -ENOMEM;
	f->refs = 1;
	fd = open_regular(path, &f->size, err);
	if (fd < 0) {
		free(f);
		return fd;
	}
	f->path = strdup(path);
	if (!f->path) {
		r = -ENOMEM;
		goto fail;
	}
	if (f->size) {
		void *p = mmap(NULL, f->size, PROT_READ, MAP_PRIVATE, fd, 0);

		if (p == MAP_FAILED) {
			r = kerf_fail(err, -errno, "%s: cannot map %zu bytes: %s", path, f->size,
				      strerror(errno));
			goto fail;
		}
		f->data = p;
	}
	close(fd);
	*out = f;
	return 0;
fail:
	close(fd);
	free(f->path);
	free(f);
	return r;
}

struct kerf_file *kerf_file_ref(struct kerf_file *f)
{
	__atomic_add_fetch(&f->refs, 1, __ATOMIC_RELAXED);
	return f;
}

void kerf_file_unref(struct kerf_file *f)
{
	if (!f || __atomic_sub_fetch(&f->refs, 1, __ATOMIC_ACQ_REL))
		return;
	if (f->data)
		munmap((void *)f->data, f->size);
	free(f->path);
	free(f);
}

void kerf_file_forget(struct kerf_file *f, const void *p, size_t n)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE) - 1;
	uintptr_t begin = (uintptr_t)p, end = begin + n;

	if (!f->data || begin < (uintptr_t)f->data || end > (uintptr_t)f->data + f->size)
		return;
	begin = (begin + page) & ~page;
	end &= ~page;
	if (end > begin)
		madvise((void *)begin, end - begin, MADV_DONTNEED);
}

int kerf_file_read(const char *path, size_t max, void **data, size_t *size, struct kerf_err *err)
{
	size_t n = 0, have;
	int fd = open_regular(path, &have, err), r = 0;
	char *p;

	if (fd < 0)
		return fd;
	if (have > max) {
		close(fd);
		return kerf_fail(err, -EFBIG, "%s: %zu bytes, at most %zu expected", path, have, max);
	}
	p = malloc(have + 1);
	if (!p) {
		close(fd);
		return -ENOMEM;
	}
	while (n < have) {
		ssize_t got = read(fd, p + n, have - n);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			r = kerf_fail(err, -errno, "%s: %s", path, strerror(errno));
		if (got <= 0)
			break;
		n += (size_t)got;
	}
	close(fd);
	if (r) {
		free(p);
		return r;
	}
	p[n] = 0;
	*data = p;
	*size = n;
	return 0;
}

int kerf_file_write(const char *path, const void *data, size_t size, struct kerf_err *err)
{
	const char *p = data;
	char *tmp;
	int fd, r;

	if (asprintf(&tmp, "%s.tmp-%d", path, getpid()) < 0)
		return -ENOMEM;
	fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (fd < 0)
		goto fail;
	while (size) {
		ssize_t n = write(fd, p, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			goto fail;
		p += n;
		size -= (size_t)n;
	}
	if (fsync(fd) && errno != EINVAL)
		goto fail;
	r = close(fd);
	fd = -1;
	if (r || rename(tmp, path))
		goto fail;
	free(tmp);
	return 0;
fail:
	r = kerf_fail(err, -errno, "%s: %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	unlink(tmp);
	free(tmp);
	return r;
}
