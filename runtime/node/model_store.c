/* SPDX-License-Identifier: MIT */
#include "node/model_store.h"

#include "util/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_MODELS 4096

struct entry {
	struct entry *next;
	char sha[KERF_SHA256_HEX];
	uint64_t stored;   /* bytes in the file */
	uint64_t reserved; /* bytes it may grow to during an upload, at least stored */
	int64_t used_ns;   /* last use, wall clock: the file's mtime across restarts */
	bool complete, busy;
};

struct kerf_model_store {
	pthread_mutex_t lock;
	char *dir;
	uint64_t max_bytes;
	struct entry *entries;
	uint32_t n_entry;
};

struct kerf_upload {
	struct kerf_model_store *s;
	struct entry *e;
	uint64_t total;
	int fd;
};

static int64_t wall_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static char *entry_path(const struct kerf_model_store *s, const char *sha, bool complete)
{
	char *path;

	return asprintf(&path, "%s/%s.%s", s->dir, sha, complete ? "onnx" : "part") < 0 ? NULL : path;
}

static struct entry *find(struct kerf_model_store *s, const char *sha)
{
	struct entry *e;

	for (e = s->entries; e; e = e->next)
		if (!strcmp(e->sha, sha))
			return e;
	return NULL;
}

static struct entry *add(struct kerf_model_store *s, const char *sha)
{
	struct entry *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	snprintf(e->sha, sizeof(e->sha), "%s", sha);
	e->next = s->entries;
	s->entries = e;
	s->n_entry++;
	return e;
}

/* Takes the file too. */
static void drop(struct kerf_model_store *s, struct entry *e)
{
	struct entry **p;
	char *path = entry_path(s, e->sha, e->complete);

	if (path)
		unlink(path);
	free(path);
	for (p = &s->entries; *p != e; p = &(*p)->next)
		;
	*p = e->next;
	s->n_entry--;
	free(e);
}

static uint64_t sum(const struct kerf_model_store *s)
{
	const struct entry *e;
	uint64_t n = 0;

	for (e = s->entries; e; e = e->next)
		n += KERF_MAX(e->stored, e->reserved);
	return n;
}

/* Drops the least recently used until n more bytes and one more entry fit. */
static int make_room(struct kerf_model_store *s, uint64_t n, const struct entry *keep)
{
	struct entry *e, *oldest;

	while (sum(s) > s->max_bytes - n || s->n_entry >= MAX_MODELS) {
		oldest = NULL;
		for (e = s->entries; e; e = e->next)
			if (!e->busy && e != keep && (!oldest || e->used_ns < oldest->used_ns))
				oldest = e;
		if (!oldest)
			return -ENOSPC;
		drop(s, oldest);
	}
	return 0;
}

/* --- Opening --- */

static char *default_dir(void)
{
	const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
	char *dir = NULL;
	int n;

	if (cache && *cache == '/')
		n = asprintf(&dir, "%s/kerf/models", cache);
	else if (home && *home == '/')
		n = asprintf(&dir, "%s/.cache/kerf/models", home);
	else
		n = asprintf(&dir, "/var/cache/kerf/models");
	return n < 0 ? NULL : dir;
}

static int make_dirs(const char *dir)
{
	char *path = strdup(dir), *p;
	int r = 0;

	if (!path)
		return -ENOMEM;
	for (p = path + 1; !r && *p; p++) {
		if (*p != '/')
			continue;
		*p = 0;
		if (mkdir(path, 0700) && errno != EEXIST)
			r = -errno;
		*p = '/';
	}
	if (!r && mkdir(path, 0700) && errno != EEXIST)
		r = -errno;
	free(path);
	return r;
}

static int scan(struct kerf_model_store *s)
{
	DIR *d = opendir(s->dir);
	struct dirent *de;

	if (!d)
		return -errno;
	while ((de = readdir(d))) {
		char sha[KERF_SHA256_HEX];
		uint8_t raw[32];
		struct stat st;
		struct entry *e;
		bool complete = !strcmp(de->d_name + strnlen(de->d_name, 64), ".onnx");

		if (!complete && strcmp(de->d_name + strnlen(de->d_name, 64), ".part"))
			continue;
		memcpy(sha, de->d_name, 64);
		sha[64] = 0;
		if (!kerf_sha256_parse(sha, raw) || fstatat(dirfd(d), de->d_name, &st, 0) ||
		    !S_ISREG(st.st_mode))
			continue;
		e = find(s, sha);
		if (e && e->complete)
			continue;
		if (!e)
			e = add(s, sha);
		if (!e) {
			closedir(d);
			return -ENOMEM;
		}
		e->complete = complete;
		e->stored = (uint64_t)st.st_size;
		e->used_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
	}
	closedir(d);
	return 0;
}

int kerf_model_store_open(const char *dir, uint64_t max_bytes, struct kerf_model_store **store,
			  struct kerf_err *err)
{
	struct kerf_model_store *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->max_bytes = max_bytes;
	s->dir = dir ? strdup(dir) : default_dir();
	if (!s->dir) {
		free(s);
		return -ENOMEM;
	}
	pthread_mutex_init(&s->lock, NULL);
	r = make_dirs(s->dir);
	if (!r)
		r = scan(s);
	if (r) {
		kerf_fail(err, r, "%s: %s", s->dir, strerror(-r));
		kerf_model_store_close(s);
		return r;
	}
	/* What an earlier run with a larger bound left. */
	make_room(s, 0, NULL);
	*store = s;
	return 0;
}

void kerf_model_store_close(struct kerf_model_store *s)
{
	struct entry *e, *next;

	if (!s)
		return;
	for (e = s->entries; e; e = next) {
		next = e->next;
		free(e);
	}
	pthread_mutex_destroy(&s->lock);
	free(s->dir);
	free(s);
}

const char *kerf_model_store_dir(const struct kerf_model_store *s)
{
	return s->dir;
}

uint64_t kerf_model_store_limit(const struct kerf_model_store *s)
{
	return s->max_bytes;
}

uint64_t kerf_model_store_bytes(struct kerf_model_store *s)
{
	uint64_t n;

	pthread_mutex_lock(&s->lock);
	n = sum(s);
	pthread_mutex_unlock(&s->lock);
	return n;
}

bool kerf_model_store_find(struct kerf_model_store *s, const char *sha, uint64_t *stored,
			   bool *complete)
{
	const struct entry *e;

	pthread_mutex_lock(&s->lock);
	e = find(s, sha);
	*stored = e ? e->stored : 0;
	*complete = e && e->complete;
	pthread_mutex_unlock(&s->lock);
	return e != NULL;
}

char *kerf_model_store_path(struct kerf_model_store *s, const char *sha)
{
	struct entry *e;
	char *path = NULL;

	pthread_mutex_lock(&s->lock);
	e = find(s, sha);
	if (e && e->complete) {
		path = entry_path(s, sha, true);
		e->used_ns = wall_ns();
		/* Only so that the order survives a restart: not worth failing for. */
		if (path && utimensat(AT_FDCWD, path, NULL, 0))
			e->used_ns = wall_ns();
	}
	pthread_mutex_unlock(&s->lock);
	return path;
}

/* --- Uploads --- */

static int check_upload(struct kerf_model_store *s, const struct entry *e, uint64_t at,
			uint64_t total, struct kerf_err *err)
{
	uint64_t stored = e ? e->stored : 0;

	if (e && e->complete)
		return kerf_fail(err, -EEXIST, "the model is stored already");
	if (e && e->busy)
		return kerf_fail(err, -EBUSY, "another upload of this model is under way");
	if (total > s->max_bytes)
		return kerf_fail(err, -EFBIG, "a model of %llu bytes, the cache holds %llu",
				 (unsigned long long)total, (unsigned long long)s->max_bytes);
	if (at && at != stored)
		return kerf_fail(err, -ESTALE, "upload from byte %llu, %llu are stored",
				 (unsigned long long)at, (unsigned long long)stored);
	return 0;
}

/*
 * The part's file, open at byte at. Its lock and its size are asked too, as another
 * process may use the folder: two uploads into one file, or one that goes on writing
 * what the other has verified and renamed, would put other bytes under a digest.
 */
static int open_part(const char *path, uint64_t at, uint64_t *size, struct kerf_err *err)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600), r;
	struct stat ours, named;

	if (fd < 0)
		goto fail;
	if (flock(fd, LOCK_EX | LOCK_NB)) {
		if (errno != EWOULDBLOCK)
			goto fail;
		r = -EBUSY;
		goto busy;
	}
	if (fstat(fd, &ours))
		goto fail;
	r = lstat(path, &named) || named.st_ino != ours.st_ino ? -EBUSY : 0;
	if (r)
		goto busy;
	*size = (uint64_t)ours.st_size;
	if (at && at != *size) {
		r = kerf_fail(err, -ESTALE, "upload from byte %llu, %llu are stored",
			      (unsigned long long)at, (unsigned long long)*size);
		goto out;
	}
	if ((!at && ftruncate(fd, 0)) || lseek(fd, (off_t)at, SEEK_SET) < 0)
		goto fail;
	return fd;
busy:
	kerf_fail(err, r, "another process uploads this model");
	goto out;
fail:
	r = kerf_fail(err, errno == ENOSPC ? -ENOSPC : -EIO, "%s: %s", path, strerror(errno));
out:
	if (fd >= 0)
		close(fd);
	return r;
}

int kerf_upload_begin(struct kerf_model_store *s, const char *sha, uint64_t at, uint64_t total,
		      struct kerf_upload **out, struct kerf_err *err)
{
	struct kerf_upload *u = calloc(1, sizeof(*u));
	char *path = entry_path(s, sha, false);
	struct entry *e;
	uint64_t had;
	int r;

	if (!u || !path) {
		free(u);
		free(path);
		return -ENOMEM;
	}
	u->fd = -1;
	pthread_mutex_lock(&s->lock);
	e = find(s, sha);
	r = check_upload(s, e, at, total, err);
	if (r)
		goto unlock;
	had = e ? KERF_MAX(e->stored, e->reserved) : 0;
	r = make_room(s, total > had ? total - had : 0, e);
	if (r) {
		kerf_fail(err, r, "no room for %llu bytes: everything cached is in use",
			  (unsigned long long)total);
		goto unlock;
	}
	u->fd = open_part(path, at, &had, err);
	if (u->fd < 0) {
		r = u->fd;
		if (r == -ESTALE && e)
			e->stored = had;
		goto unlock;
	}
	if (!e)
		e = add(s, sha);
	if (!e) {
		unlink(path);
		r = -ENOMEM;
		goto unlock;
	}
	e->stored = at;
	e->reserved = total;
	e->used_ns = wall_ns();
	e->busy = true;
	u->s = s;
	u->e = e;
	u->total = total;
	*out = u;
	u = NULL;
unlock:
	pthread_mutex_unlock(&s->lock);
	if (u) {
		if (u->fd >= 0)
			close(u->fd);
		free(u);
	}
	free(path);
	return r;
}

int kerf_upload_write(struct kerf_upload *u, const void *data, size_t n, struct kerf_err *err)
{
	const char *p = data;

	while (n) {
		ssize_t k = write(u->fd, p, n);

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return kerf_fail(err, errno == ENOSPC || errno == EDQUOT ? -ENOSPC : -EIO,
					 "%s: %s", u->s->dir, strerror(errno));
		p += k;
		n -= (size_t)k;
		pthread_mutex_lock(&u->s->lock);
		u->e->stored += (uint64_t)k;
		pthread_mutex_unlock(&u->s->lock);
	}
	return 0;
}

/* Verifies the part and gives it its name. */
static int verify(struct kerf_upload *u, struct kerf_err *err)
{
	char *part = entry_path(u->s, u->e->sha, false), *whole = entry_path(u->s, u->e->sha, true);
	char hex[KERF_SHA256_HEX];
	struct kerf_file *f;
	uint8_t digest[32];
	int r = -ENOMEM;

	if (!part || !whole)
		goto out;
	r = kerf_file_map(part, &f, err);
	if (r)
		goto out;
	kerf_sha256(f->data, f->size, digest);
	kerf_hex(digest, sizeof(digest), hex);
	kerf_file_unref(f);
	if (strcmp(hex, u->e->sha))
		r = kerf_fail(err, -EBADMSG, "the bytes have SHA-256 %s, expected %s", hex, u->e->sha);
	else if (fsync(u->fd) || rename(part, whole))
		r = kerf_fail(err, -EIO, "%s: %s", whole, strerror(errno));
out:
	free(part);
	free(whole);
	return r;
}

int kerf_upload_end(struct kerf_upload *u, uint64_t *stored, bool *complete, struct kerf_err *err)
{
	struct kerf_model_store *s = u->s;
	struct entry *e = u->e;
	int r = 0;

	*stored = e->stored;
	*complete = e->stored == u->total;
	/* Hashing a large file takes a while: busy keeps the entry, not the lock. */
	if (*complete)
		r = verify(u, err);
	close(u->fd);
	pthread_mutex_lock(&s->lock);
	e->busy = false;
	e->used_ns = wall_ns();
	if (r == -EBADMSG) {
		drop(s, e);
	} else {
		e->complete = *complete && !r;
		e->reserved = 0;
	}
	pthread_mutex_unlock(&s->lock);
	if (r)
		*complete = false;
	free(u);
	return r;
}
