// SPDX-License-Identifier: MIT
#include "telemetry/cgroup.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define PREFIX "kerf-bpf-"
#define MAX_TEXT (1 << 20)
#define MAX_NESTED 8 /* folders of ours in each other: a process that was started by another */
#define TRIES 16

struct kerf_cgroup {
	int fd;
	int parent; /* -1: not ours, nothing to undo */
	char name[32];
	char path[PATH_MAX];
};

/* --- finding --- */

static char *next_word(char **s)
{
	char *w = strsep(s, " ");

	return w ? w : "";
}

/* Spaces and the like stand as \ooo in mountinfo. */
static void unescape(char *s)
{
	char *to = s;

	while (*s) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' && s[2] <= '7' &&
		    s[3] >= '0' && s[3] <= '7') {
			*to++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
			s += 4;
		} else {
			*to++ = *s++;
		}
	}
	*to = '\0';
}

/* "ID PARENT MAJOR:MINOR ROOT POINT OPTIONS [TAG...] - TYPE SOURCE SUPER" */
static bool cgroup2_mount(char *line, char **root, char **point)
{
	char *w;
	int i;

	for (i = 0; i < 3; i++)
		next_word(&line);
	*root = next_word(&line);
	*point = next_word(&line);
	do
		w = next_word(&line);
	while (line && strcmp(w, "-") != 0);
	if (strcmp(next_word(&line), "cgroup2") != 0)
		return false;
	unescape(*root);
	unescape(*point);
	return true;
}

/* What of path is beneath root; NULL if it is not. */
static const char *beneath(const char *path, const char *root)
{
	size_t n = strcmp(root, "/") == 0 ? 0 : strlen(root);

	if (strncmp(path, root, n) != 0 || (path[n] != '/' && path[n] != '\0'))
		return NULL;
	return path + n;
}

/* The line "0::/PATH"; malloc'ed. */
static char *own_path(const char *cgroup)
{
	const char *line = cgroup;

	while (line && *line) {
		const char *end = strchrnul(line, '\n');

		if (strncmp(line, "0::/", 4) == 0)
			return strndup(line + 3, (size_t)(end - line) - 3);
		line = *end ? end + 1 : NULL;
	}
	return NULL;
}

int kerf_cgroup_find(const char *mountinfo, const char *cgroup, char *path, size_t size,
		     struct kerf_err *err)
{
	char *own = own_path(cgroup), *text = strdup(mountinfo), *rest = text, *line;
	bool mounted = false;
	int r = -ENOENT;

	if (!text) {
		r = -ENOMEM;
		goto out;
	}
	if (!own) {
		kerf_fail(err, r,
			  "/proc/self/cgroup: no line \"0::\": this kernel has no cgroup v2");
		goto out;
	}
	if (strncmp(own, "/../", 4) == 0) {
		kerf_fail(err, r, "this process's folder %s is above what its cgroup namespace shows",
			  own);
		goto out;
	}
	while (r == -ENOENT && (line = strsep(&rest, "\n"))) {
		char *root, *point;
		const char *below;

		if (!cgroup2_mount(line, &root, &point))
			continue;
		mounted = true;
		below = beneath(own, root);
		if (!below)
			continue;
		if (strcmp(below, "/") == 0)
			below = "";
		r = snprintf(path, size, "%s%s", point, below) < (int)size ? 0 : -ENAMETOOLONG;
	}
	if (r == -ENOENT && !mounted)
		kerf_fail(err, r,
			  "cgroup v2 is not mounted (mount -t cgroup2 none /sys/fs/cgroup)");
	else if (r)
		kerf_fail(err, r, "no mount of cgroup v2 shows this process's folder %s", own);
out:
	free(text);
	free(own);
	return r;
}

/* Files of /proc have no size. malloc'ed. */
static char *read_text(const char *path, struct kerf_err *err)
{
	FILE *f = fopen(path, "re");
	char *text = f ? malloc(MAX_TEXT) : NULL;
	size_t n;

	if (!text) {
		kerf_fail(err, -errno, "%s: %s", path, strerror(errno));
	} else {
		n = fread(text, 1, MAX_TEXT - 1, f);
		text[n] = '\0';
	}
	if (f)
		fclose(f);
	return text;
}

static int find_own(char *path, size_t size, struct kerf_err *err)
{
	char *mounts = read_text("/proc/self/mountinfo", err);
	char *cgroup = mounts ? read_text("/proc/self/cgroup", err) : NULL;
	int r = -ENOENT;

	if (cgroup)
		r = kerf_cgroup_find(mounts, cgroup, path, size, err);
	free(mounts);
	free(cgroup);
	return r;
}

/* --- moving and removing --- */

static int open_dir(int at, const char *path)
{
	return openat(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

/* "0" is the writer itself. */
static int move(int dir, const char *pid)
{
	int fd = openat(dir, "cgroup.procs", O_WRONLY | O_CLOEXEC);
	int r = fd < 0 || write(fd, pid, strlen(pid)) < 0 ? -errno : 0;

	if (fd >= 0)
		close(fd);
	return r;
}

static void move_all(int from, int to)
{
	int fd = openat(from, "cgroup.procs", O_RDONLY | O_CLOEXEC);
	FILE *f = fd >= 0 ? fdopen(fd, "r") : NULL;
	char pid[32];

	if (!f) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while (fgets(pid, sizeof(pid), f))
		move(to, pid); /* one that has just died is no loss */
	fclose(f);
}

static bool is_ours(const char *name)
{
	return strncmp(name, PREFIX, sizeof(PREFIX) - 1) == 0;
}

/* Removes what dead processes left beneath dir; those in use are locked, or not empty. */
static void sweep(int dir, int depth)
{
	int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = copy >= 0 ? fdopendir(copy) : NULL;
	struct dirent *e;

	if (!d) {
		if (copy >= 0)
			close(copy);
		return;
	}
	while ((e = readdir(d))) {
		int fd;

		if (!is_ours(e->d_name))
			continue;
		fd = open_dir(dir, e->d_name);
		if (fd < 0)
			continue;
		if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
			if (depth)
				sweep(fd, depth - 1);
			unlinkat(dir, e->d_name, AT_REMOVEDIR);
		}
		close(fd);
	}
	closedir(d);
}

/* --- open and close --- */

static int make(struct kerf_cgroup *c)
{
	int tries;

	for (tries = 0; tries < TRIES; tries++) {
		int r;

		/* The number may be another's, in another namespace of processes. */
		if (tries)
			snprintf(c->name, sizeof(c->name), PREFIX "%d-%d", getpid(), tries);
		else
			snprintf(c->name, sizeof(c->name), PREFIX "%d", getpid());
		if (mkdirat(c->parent, c->name, 0755)) {
			if (errno == EEXIST)
				continue;
			return -errno;
		}
		/* Between making and locking another's sweep may take it away: once more. */
		c->fd = open_dir(c->parent, c->name);
		if (c->fd < 0 && errno == ENOENT)
			continue;
		/* Whoever may open it may lock it, and keep it locked: no waiting. */
		if (c->fd < 0 || flock(c->fd, LOCK_SH | LOCK_NB))
			r = -errno;
		else
			r = move(c->fd, "0");
		if (!r)
			return 0;
		unlinkat(c->parent, c->name, AT_REMOVEDIR);
		if (c->fd >= 0)
			close(c->fd);
		c->fd = -1;
		if (r != -ENODEV && r != -ENOENT && r != -EWOULDBLOCK)
			return r;
	}
	return -EBUSY;
}

static int open_given(struct kerf_cgroup *c, const char *path, struct kerf_err *err)
{
	c->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (c->fd < 0)
		return kerf_fail(err, -errno, "cgroup %s: %s", path, strerror(errno));
	snprintf(c->path, sizeof(c->path), "%s", path);
	return 0;
}

int kerf_cgroup_open(const char *path, struct kerf_cgroup **out, struct kerf_err *err)
{
	struct kerf_cgroup *c = malloc(sizeof(*c));
	char parent[PATH_MAX - sizeof(c->name)];
	int r;

	*out = NULL;
	if (!c)
		return kerf_fail(err, -ENOMEM, "cgroup: out of memory");
	c->fd = c->parent = -1;
	if (path) {
		r = open_given(c, path, err);
		goto out;
	}
	r = find_own(parent, sizeof(parent), err);
	if (r)
		goto out;
	c->parent = open_dir(AT_FDCWD, parent);
	if (c->parent < 0) {
		r = kerf_fail(err, -errno, "cgroup %s: %s", parent, strerror(errno));
		goto out;
	}
	sweep(c->parent, MAX_NESTED);
	r = make(c);
	snprintf(c->path, sizeof(c->path), "%s/%s", parent, c->name);
	if (r)
		kerf_fail(err, r,
			  "no cgroup of our own in %s: %s (root, or a unit with Delegate=yes)",
			  parent, strerror(-r));
out:
	if (r) {
		kerf_cgroup_close(c);
		c = NULL;
	}
	*out = c;
	return r;
}

/*
 * Out, and away with it. If it stood in an older one of ours whose maker has gone in the meantime
 * (two opened in one process, closed in any order), that one goes too.
 */
static void leave(struct kerf_cgroup *c)
{
	int depth;

	for (depth = 0; depth < MAX_NESTED; depth++) {
		char *slash = strrchr(c->path, '/');
		int up;

		move_all(c->fd, c->parent);
		unlinkat(c->parent, slash + 1, AT_REMOVEDIR);
		*slash = '\0';
		slash = strrchr(c->path, '/');
		if (!slash || !is_ours(slash + 1))
			return;
		up = openat(c->parent, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (up < 0)
			return;
		close(c->fd);
		c->fd = c->parent;
		c->parent = up;
		if (flock(c->fd, LOCK_EX | LOCK_NB))
			return;
	}
}

void kerf_cgroup_close(struct kerf_cgroup *c)
{
	if (!c)
		return;
	if (c->parent >= 0 && c->fd >= 0)
		leave(c);
	if (c->fd >= 0)
		close(c->fd);
	if (c->parent >= 0)
		close(c->parent);
	free(c);
}

int kerf_cgroup_fd(const struct kerf_cgroup *c)
{
	return c->fd;
}

const char *kerf_cgroup_path(const struct kerf_cgroup *c)
{
	return c->path;
}
