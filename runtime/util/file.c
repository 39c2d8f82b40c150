/* SPDX-License-Identifier: MIT */
#include "util/file.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What was just opened must be a regular file: a FIFO or device must not surprise us. */
static int check_regular(int fd, const char *path, size_t *size, struct kerf_err *err)
{
	struct stat st;
	int r;

	if (fd < 0)
		return kerf_fail(err, -errno, "%s: %s", path, strerror(errno));
	if (fstat(fd, &st)) {
		r = kerf_fail(err, -errno, "%s: %s", path, strerror(errno));
		close(fd);
		return r;
	}
	if (!S_ISREG(st.st_mode)) {
		close(fd);
		return kerf_fail(err, -EINVAL, "%s: not a regular file", path);
	}
	*size = (size_t)st.st_size;
	return fd;
}

static int open_regular(const char *path, size_t *size, struct kerf_err *err)
{
	return check_regular(open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), path, size, err);
}

/* Takes fd; the sentence names path. */
static int map_fd(int fd, const char *path, size_t size, struct kerf_file **out,
		  struct kerf_err *err)
{
	struct kerf_file *f = calloc(1, sizeof(*f));
	int r = -ENOMEM;

	if (!f)
		goto fail;
	f->refs = 1;
	f->size = size;
	f->path = strdup(path);
	if (!f->path)
		goto fail;
	if (size) {
		void *p = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);

		if (p == MAP_FAILED) {
			r = kerf_fail(err, -errno, "%s: cannot map %zu bytes: %s", path, size,
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
	if (f)
		free(f->path);
	free(f);
	return r;
}

int kerf_file_map(const char *path, struct kerf_file **out, struct kerf_err *err)
{
	size_t size;
	int fd = open_regular(path, &size, err);

	return fd < 0 ? fd : map_fd(fd, path, size, out, err);
}

static bool has_dotdot(const char *name)
{
	const char *p;

	for (p = name; (p = strstr(p, "..")); p += 2)
		if ((p == name || p[-1] == '/') && (!p[2] || p[2] == '/'))
			return true;
	return false;
}

/* openat2's RESOLVE_BENEATH for older kernels, without links: one part after the other. */
static int open_parts(int dir, const char *name)
{
	int fd = dup(dir);

	while (fd >= 0) {
		size_t n = strcspn(name, "/");
		char part[NAME_MAX + 1];
		int next;

		if (n > NAME_MAX) {
			close(fd);
			errno = ENAMETOOLONG;
			return -1;
		}
		memcpy(part, name, n);
		part[n] = 0;
		next = openat(fd, n ? part : ".",
			      O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW |
				      (name[n] ? O_DIRECTORY : 0));
		close(fd);
		fd = next;
		if (!name[n])
			break;
		name += n + 1;
	}
	return fd;
}

static int open_beneath(int dir, const char *name)
{
	struct open_how how = {
		.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
	};
	int fd = (int)syscall(SYS_openat2, dir, name, &how, sizeof(how));

	/* EPERM: a sandbox that does not know the call. */
	if (fd < 0 && (errno == ENOSYS || errno == EPERM))
		fd = open_parts(dir, name);
	return fd;
}

int kerf_file_map_beneath(const char *folder, const char *name, struct kerf_file **out,
			  struct kerf_err *err)
{
	size_t size;
	int dir, fd;

	if (!*name || *name == '/' || has_dotdot(name))
		return kerf_fail(err, -EINVAL, "'%.200s' is not a path inside %s", name, folder);
	dir = open(folder, O_RDONLY | O_CLOEXEC | O_DIRECTORY);
	if (dir < 0)
		return kerf_fail(err, -errno, "%s: %s", folder, strerror(errno));
	fd = open_beneath(dir, name);
	if (fd < 0 && (errno == EXDEV || errno == ELOOP))
		fd = kerf_fail(err, -EINVAL, "'%.200s' leads out of %s", name, folder);
	else
		fd = check_regular(fd, name, &size, err);
	close(dir);
	return fd < 0 ? fd : map_fd(fd, name, size, out, err);
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
