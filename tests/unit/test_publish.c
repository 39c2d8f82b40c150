/* SPDX-License-Identifier: MIT */
/*
 * The state's socket: readers see what is written and can change none of it; whoever serves
 * there instead of a node gets no reader to hang, leak or die.
 */
#include "state_fixture.h"
#include "telemetry/privileges.h"
#include "telemetry/publish_wire.h"

#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/bpf.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/kerf-publish-XXXXXX";
static char path[64];

static int make_folder(void **state)
{
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof(path), "%s/s/state.sock", folder);
	return 0;
}

static int remove_folder(void **state)
{
	*strrchr(path, '/') = 0;
	return rmdir(path) || rmdir(folder);
}

static int count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static void open_fixture(struct fixture *f)
{
	struct kerf_err err = {""};

	assert_int_equal(fixture_make(f), 0);
	if (kerf_publisher_open(path, f->fd, &f->publisher, &err))
		fail_msg("%s", err.msg);
}

/* --- What a node serves --- */

static void test_readers_see_what_is_written(void **state)
{
	int before = count_fds();
	struct kerf_transfer_rec t = {.number = 7, .predicted_ns = 1000}, seen_t;
	struct kerf_link_rec link = {.cookie = 4711, .life = KERF_LINK_LIVE, .srtt_us = 12}, seen;
	struct kerf_state_reader r, second;
	struct kerf_cpu_rec cpu = {.updated_ns = 1};
	struct kerf_err err = {""};
	struct fixture f;

	open_fixture(&f);
	kerf_record_write((struct kerf_cpu_rec *)f.region[KERF_REGION_CPUS].data + 3, &cpu,
			  sizeof(cpu));
	assert_int_equal(kerf_state_open(path, &r, &err), 0);
	assert_int_equal(kerf_state_open(path, &second, &err), 0);
	assert_int_equal(r.n_cpu, 4);
	assert_int_equal(r.n[KERF_REGION_LINKS], KERF_STATE_LINKS);
	assert_int_equal(r.n[KERF_REGION_STATE], 1);
	kerf_record_write((struct kerf_link_rec *)f.region[KERF_REGION_LINKS].data + 255, &link,
			  sizeof(link));
	kerf_record_write((struct kerf_transfer_rec *)f.region[KERF_REGION_TRANSFERS].data + 7, &t,
			  sizeof(t));
	assert_true(kerf_record_read(&r.link[255], &seen, sizeof(seen)));
	assert_int_equal(seen.cookie, 4711);
	assert_int_equal(seen.srtt_us, 12);
	assert_true(kerf_record_read(&second.transfer[7], &seen_t, sizeof(seen_t)));
	assert_int_equal(seen_t.predicted_ns, 1000);
	/* The publisher is not needed any more, but for its beat. */
	kerf_publisher_close(f.publisher);
	f.publisher = NULL;
	assert_int_equal(access(path, F_OK), -1);
	assert_true(kerf_record_read(&r.link[255], &seen, sizeof(seen)));
	assert_true(kerf_state_alive(&r, fixture_head(&f)->alive_ns));
	assert_true(kerf_state_alive(&r, fixture_head(&f)->alive_ns + 1000000000));
	assert_false(kerf_state_alive(&r, fixture_head(&f)->alive_ns + 1000000001));
	assert_true(kerf_state_alive(&r, 0));
	kerf_state_close(&r);
	kerf_state_close(&second);
	fixture_free(&f);
	assert_int_equal(count_fds(), before);
}

/* By the mapping, by the descriptor, by opening it again: none can be written. */
static void test_readers_cannot_write(void **state)
{
	struct kerf_shared s;
	char again[64];
	int fd;

	assert_int_equal(kerf_shared_open("test", 4096, &s, NULL), 0);
	((char *)s.data)[0] = 'a';
	snprintf(again, sizeof(again), "/proc/self/fd/%d", s.fd);
	fd = open(again, O_RDWR | O_CLOEXEC);
	for (;;) {
		void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd >= 0 ? fd : s.fd,
			       0);

		assert_ptr_equal(p, MAP_FAILED);
		p = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd >= 0 ? fd : s.fd, 0);
		assert_ptr_not_equal(p, MAP_FAILED);
		assert_int_equal(*(char *)p, 'a');
		assert_int_equal(mprotect(p, 4096, PROT_READ | PROT_WRITE), -1);
		munmap(p, 4096);
		assert_int_equal(write(fd >= 0 ? fd : s.fd, "b", 1), -1);
		assert_int_equal(ftruncate(fd >= 0 ? fd : s.fd, 0), -1);
		assert_int_equal(fcntl(fd >= 0 ? fd : s.fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
		if (fd < 0)
			break;
		close(fd);
		fd = -1;
	}
	assert_int_equal(((char *)s.data)[0], 'a');
	((char *)s.data)[0] = 'c'; /* but ours is */
	kerf_shared_close(&s);
	kerf_shared_close(&s);
}

static void test_regions_that_are_not_there(void **state)
{
	struct kerf_state_reader r;
	struct kerf_err err = {""};
	struct fixture f;

	assert_int_equal(fixture_make(&f), 0);
	f.fd[KERF_REGION_ENGINES] = f.fd[KERF_REGION_LINKS] = -1;
	assert_int_equal(kerf_publisher_open(path, f.fd, &f.publisher, &err), 0);
	assert_int_equal(kerf_state_open(path, &r, &err), 0);
	assert_null(r.link);
	assert_null(r.engine);
	assert_int_equal(r.n[KERF_REGION_LINKS], 0);
	assert_non_null(r.zone);
	assert_non_null(r.transfer);
	kerf_state_close(&r);
	kerf_publisher_close(f.publisher);
	f.fd[KERF_REGION_HEAD] = -1;
	assert_int_equal(kerf_publisher_open(path, f.fd, &f.publisher, &err), -EINVAL);
	assert_null(f.publisher);
	fixture_free(&f);
}

static void test_place_of_the_socket(void **state)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	struct kerf_publisher *second;
	struct kerf_state_reader r;
	struct kerf_err err = {""};
	struct fixture f;
	struct stat st;
	char long_path[300];
	int fd;

	open_fixture(&f);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0660);
	assert_int_equal(kerf_publisher_open(path, f.fd, &second, &err), -EADDRINUSE);
	assert_non_null(strstr(err.msg, "somebody serving there"));
	assert_int_equal(kerf_state_open(path, &r, NULL), 0);
	kerf_state_close(&r);

	/* Somebody else's socket stays when ours goes. */
	assert_int_equal(unlink(path), 0);
	assert_int_equal(kerf_publisher_open(path, f.fd, &second, &err), 0);
	kerf_publisher_close(f.publisher);
	f.publisher = second;
	assert_int_equal(kerf_state_open(path, &r, NULL), 0);
	kerf_state_close(&r);
	kerf_publisher_close(f.publisher);

	/* Left by one who was killed: bound, nobody listens. */
	fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	strcpy(at.sun_path, path);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	close(fd);
	err.msg[0] = 0;
	assert_int_equal(kerf_state_open(path, &r, &err), -ECONNREFUSED);
	assert_int_equal(kerf_publisher_open(path, f.fd, &f.publisher, &err), 0);
	assert_int_equal(kerf_state_open(path, &r, NULL), 0);
	kerf_state_close(&r);
	kerf_publisher_close(f.publisher);

	/* What is no socket is not replaced. */
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	assert_true(fd >= 0);
	close(fd);
	err.msg[0] = 0;
	assert_int_equal(kerf_publisher_open(path, f.fd, &f.publisher, &err), -EADDRINUSE);
	assert_non_null(strstr(err.msg, "a file that is no socket"));
	assert_int_equal(unlink(path), 0);
	err.msg[0] = 0;
	assert_int_equal(kerf_state_open(path, &r, &err), -ENOENT);
	assert_non_null(strstr(err.msg, path));
	memset(long_path, 'x', sizeof(long_path) - 1);
	long_path[sizeof(long_path) - 1] = 0;
	assert_int_equal(kerf_publisher_open(long_path, f.fd, &f.publisher, NULL), -ENAMETOOLONG);
	assert_int_equal(kerf_state_open(long_path, &r, NULL), -ENAMETOOLONG);
	fixture_free(&f);
}

#define HUNG 100

static void hang(int *fd)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int i;

	strcpy(at.sun_path, path);
	for (i = 0; i < HUNG; i++) {
		fd[i] = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
		if (fd[i] < 0 || connect(fd[i], (struct sockaddr *)&at, sizeof(at)))
			abort();
	}
}

/*
 * A hundred that connect and never read: no trouble for those of another user, who has to be told
 * apart (nobody, where we are root), and none for anybody once they are gone. The publisher may
 * have as few descriptors in messages as it may open, and no capability to have more.
 */
static void publish_to_hung(void)
{
	const struct rlimit few = {.rlim_cur = 256, .rlim_max = 256};
	struct kerf_state_reader r;
	struct kerf_err err = {""};
	int fd[HUNG], ends[2], i;
	struct fixture f;
	pid_t child;
	char c = 0;

	if (setrlimit(RLIMIT_NOFILE, &few) || kerf_privileges_drop(&err) || pipe(ends))
		abort();
	if (fixture_make(&f) || kerf_publisher_open(path, f.fd, &f.publisher, &err))
		abort();
	if (!geteuid()) {
		struct stat st;

		if (stat(path, &st) || chmod(folder, 0755))
			abort();
		child = fork();
		if (!child) {
			if (setgroups(0, NULL) || setgid(st.st_gid) || setuid(65534) ||
			    prctl(PR_SET_PDEATHSIG, SIGKILL))
				abort();
			hang(fd);
			(void)!write(ends[1], &c, 1);
			pause();
		}
		close(ends[1]);
		if (child < 0 || read(ends[0], &c, 1) != 1 || kerf_state_open(path, &r, &err))
			abort();
		kerf_state_close(&r);
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
	}
	hang(fd);
	for (i = 0; i < HUNG; i++)
		close(fd[i]);
	if (kerf_state_open(path, &r, &err))
		abort();
	kerf_state_close(&r);
	fixture_free(&f);
}

static void test_readers_that_hang(void **state)
{
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (!child) {
		publish_to_hung();
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

/* In a process of user nobody and that group; what kerf_state_open() returned. */
static int open_as(gid_t group, uint64_t *cookie)
{
	struct kerf_link_rec link = {0};
	struct kerf_state_reader r;
	int status, ends[2];
	pid_t child;

	assert_int_equal(pipe(ends), 0);
	child = fork();
	assert_true(child >= 0);
	if (!child) {
		int ret = setgroups(0, NULL) || setgid(group) || setuid(65534);

		if (ret)
			_exit(100);
		ret = kerf_state_open(path, &r, NULL);
		if (!ret && !kerf_record_read(&r.link[5], &link, sizeof(link)))
			_exit(101);
		if (write(ends[1], &link.cookie, sizeof(link.cookie)) != sizeof(link.cookie))
			_exit(102);
		_exit(-ret);
	}
	close(ends[1]);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(read(ends[0], cookie, sizeof(*cookie)), sizeof(*cookie));
	close(ends[0]);
	assert_true(WIFEXITED(status));
	return -WEXITSTATUS(status);
}

/* Who is of the group reads without any privilege, a program's map too; others do not. */
static void test_readers_without_privileges(void **state)
{
	struct kerf_link_rec link = {.cookie = 4711};
	uint64_t cookie;
	struct fixture f;
	struct stat st;

	if (geteuid())
		skip();
	assert_int_equal(chmod(folder, 0755), 0);
	open_fixture(&f);
	kerf_record_write((struct kerf_link_rec *)f.region[KERF_REGION_LINKS].data + 5, &link,
			  sizeof(link));
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(open_as(st.st_gid, &cookie), 0);
	assert_int_equal(cookie, 4711);
	assert_int_equal(open_as(65533, &cookie), -EACCES);
	fixture_free(&f);
}

/* --- Whoever else --- */

struct hostile {
	int listen_fd, type;
	const void *body;
	size_t size;
	const int *fd;
	uint32_t n_fd;
	bool silent;
	int release[2]; /* a pipe: a silent one hangs up when it is closed */
};

static void *serve_once(void *arg)
{
	struct hostile *h = arg;
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(64 * sizeof(int))];
	} control = {0};
	struct iovec body = {.iov_base = (void *)h->body, .iov_len = h->size};
	struct msghdr m = {.msg_iov = &body, .msg_iovlen = 1};
	int to = accept(h->listen_fd, NULL, NULL);
	char c;

	if (h->n_fd) {
		struct cmsghdr *cm;

		m.msg_control = control.space;
		m.msg_controllen = CMSG_SPACE(h->n_fd * sizeof(int));
		cm = CMSG_FIRSTHDR(&m);
		cm->cmsg_level = SOL_SOCKET;
		cm->cmsg_type = SCM_RIGHTS;
		cm->cmsg_len = CMSG_LEN(h->n_fd * sizeof(int));
		memcpy(CMSG_DATA(cm), h->fd, h->n_fd * sizeof(int));
	}
	if (h->silent)
		(void)!read(h->release[0], &c, 1);
	else if (h->size && sendmsg(to, &m, MSG_NOSIGNAL) < 0)
		perror("sendmsg");
	close(to);
	return NULL;
}

/* Opens against that server; the error's code, and its sentence has says in it. */
static void refused(struct hostile *h, const char *says)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	struct kerf_state_reader r;
	struct kerf_err err = {""};
	int before, ret;
	pthread_t t;

	strcpy(at.sun_path, path);
	h->listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(h->listen_fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(h->listen_fd, 1), 0);
	assert_int_equal(pipe(h->release), 0);
	before = count_fds();
	assert_int_equal(pthread_create(&t, NULL, serve_once, h), 0);
	ret = kerf_state_open(path, &r, &err);
	close(h->release[1]);
	pthread_join(t, NULL);
	close(h->release[0]);
	assert_int_equal(count_fds(), before - 2);
	close(h->listen_fd);
	unlink(path);
	if (ret != -EPROTO || !strstr(err.msg, says) || !strstr(err.msg, path))
		fail_msg("expected '%s', found %d, '%s'", says, ret, err.msg);
}

static int file_of(size_t size, unsigned int seals)
{
	int fd = memfd_create("odd", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

#define ALL ((1u << KERF_N_REGION) - 1)

static void test_other_servers(void **state)
{
	struct kerf_state_hello good = {KERF_STATE_MAGIC, KERF_STATE_VERSION, ALL, 0}, odd;
	struct hostile h = {.body = &good, .size = sizeof(good)};
	int many[64], one[KERF_N_REGION], ends[2], disk;
	struct kerf_state_head *head;
	struct fixture f;
	uint32_t i;

	assert_int_equal(mkdir(folder, 0755), -1);
	*strrchr(path, '/') = 0;
	mkdir(path, 0755);
	path[strlen(path)] = '/';
	assert_int_equal(fixture_make(&f), 0);
	head = fixture_head(&f);
	for (i = 0; i < 64; i++)
		many[i] = f.fd[i % KERF_N_REGION];

	refused(&(struct hostile){.silent = true}, "no answer in 2 s");
	refused(&(struct hostile){.size = 0}, "hung up");
	refused(&(struct hostile){.body = "x", .size = 1}, "expected the greeting");
	refused(&(struct hostile){.body = many, .size = sizeof(many)}, "expected the greeting");
	h.fd = many;
	odd = good;
	odd.magic++;
	h.body = &odd;
	refused(&h, "expected the greeting");
	odd = good;
	odd.version++;
	h.n_fd = KERF_N_REGION;
	refused(&h, "expected a state of version");
	odd = good;
	odd.regions |= 1u << KERF_N_REGION;
	h.n_fd = KERF_N_REGION + 1;
	refused(&h, "expected a file descriptor for each");
	h.body = &good;
	h.n_fd = 0;
	refused(&h, "expected a file descriptor for each");
	h.n_fd = KERF_N_REGION - 1;
	refused(&h, "expected a file descriptor for each");
	h.n_fd = KERF_N_REGION + 1;
	refused(&h, "expected a file descriptor for each");
	h.n_fd = 64;
	refused(&h, "found more than");
	odd = good;
	odd.regions &= ~1u;
	h.body = &odd;
	h.n_fd = KERF_N_REGION - 1;
	refused(&h, "expected a head");

	/* Descriptors of other things */
	h.body = &good;
	h.n_fd = KERF_N_REGION;
	h.fd = one;
	memcpy(one, f.fd, sizeof(one));
	assert_int_equal(pipe(ends), 0);
	one[KERF_REGION_HEAD] = ends[0];
	refused(&h, "region head: expected a BPF array or a sealed memfd");
	one[KERF_REGION_HEAD] = f.fd[KERF_REGION_LINKS];
	refused(&h, "region head: expected");
	one[KERF_REGION_HEAD] = f.fd[KERF_REGION_HEAD];
	one[KERF_REGION_ZONES] = ends[1];
	refused(&h, "region zones: expected a BPF array or a sealed memfd");
	close(ends[0]);
	close(ends[1]);
	disk = open("/proc/self/exe", O_RDONLY);
	one[KERF_REGION_ZONES] = disk;
	refused(&h, "region zones: expected");
	close(disk);
	one[KERF_REGION_ZONES] =
		file_of(KERF_STATE_ZONES * sizeof(struct kerf_zone_rec), F_SEAL_GROW);
	refused(&h, "region zones: expected memory sealed against shrinking, found seals 0x4");
	close(one[KERF_REGION_ZONES]);
	one[KERF_REGION_ZONES] = file_of(64, F_SEAL_SHRINK);
	refused(&h, "region zones: expected 2048 bytes, found 64");
	close(one[KERF_REGION_ZONES]);
	one[KERF_REGION_ZONES] = f.fd[KERF_REGION_ZONES];

	/* Heads that lie */
	head->version++;
	refused(&h, "head: expected");
	head->version--;
	head->magic++;
	refused(&h, "head: expected");
	head->magic--;
	head->n_region++;
	refused(&h, "regions, found");
	head->n_region--;
	head->region[KERF_REGION_LINKS].records = UINT32_MAX;
	refused(&h,
		"region links: expected 1 to 256 records of 192 bytes, found 4294967295 of 192");
	head->region[KERF_REGION_LINKS].records = KERF_STATE_LINKS - 1;
	refused(&h, "region links: expected 48960 bytes, found 49152");
	head->region[KERF_REGION_LINKS].records = KERF_STATE_LINKS;
	head->region[KERF_REGION_CPUS].record_bytes = 64;
	refused(&h, "region cpus: expected");
	fixture_free(&f);
}

static void test_a_socket_of_another_kind(void **state)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	struct kerf_state_reader r;
	struct kerf_err err = {""};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strcpy(at.sun_path, path);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(kerf_state_open(path, &r, &err), -EPROTO);
	assert_non_null(strstr(err.msg, "one of another kind"));
	close(fd);
	unlink(path);
}

static int bpf(int cmd, union bpf_attr *attr)
{
	return (int)syscall(__NR_bpf, cmd, attr, sizeof(*attr));
}

static int make_map(uint32_t type, uint32_t flags, uint32_t value, uint32_t entries)
{
	union bpf_attr attr = {.map_type = type,
			       .key_size = 4,
			       .value_size = value,
			       .max_entries = entries,
			       .map_flags = flags};

	return bpf(BPF_MAP_CREATE, &attr);
}

/* A frozen array is read through its own descriptor; any other map is refused. */
static void test_bpf_maps(void **state)
{
	struct kerf_state_hello good = {KERF_STATE_MAGIC, KERF_STATE_VERSION, ALL, 0};
	struct kerf_link_rec link = {.cookie = 99}, zero = {0}, seen;
	int map = make_map(BPF_MAP_TYPE_ARRAY, BPF_F_MMAPABLE, 192, KERF_STATE_LINKS), odd;
	union bpf_attr attr = {0};
	struct kerf_state_reader r;
	struct kerf_err err = {""};
	struct hostile h = {.body = &good, .size = sizeof(good), .n_fd = KERF_N_REGION};
	uint32_t key = 5;
	struct fixture f;

	if (map < 0)
		skip(); /* no right to bpf() here */
	kerf_record_write(&zero, &link, sizeof(link));
	attr.map_fd = (uint32_t)map;
	attr.key = (uintptr_t)&key;
	attr.value = (uintptr_t)&zero;
	assert_int_equal(bpf(BPF_MAP_UPDATE_ELEM, &attr), 0);
	memset(&attr, 0, sizeof(attr));
	attr.map_fd = (uint32_t)map;
	assert_int_equal(bpf(BPF_MAP_FREEZE, &attr), 0);
	assert_int_equal(fixture_make(&f), 0);
	f.fd[KERF_REGION_LINKS] = map;
	assert_int_equal(kerf_publisher_open(path, f.fd, &f.publisher, &err), 0);
	if (kerf_state_open(path, &r, &err))
		fail_msg("%s", err.msg);
	assert_true(kerf_record_read(&r.link[5], &seen, sizeof(seen)));
	assert_int_equal(seen.cookie, 99);
	kerf_state_close(&r);
	if (!geteuid()) {
		struct stat st;
		uint64_t cookie;

		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(open_as(st.st_gid, &cookie), 0);
		assert_int_equal(cookie, 99);
	}
	kerf_publisher_close(f.publisher);
	f.publisher = NULL;
	close(map);

	h.fd = f.fd;
	odd = f.fd[KERF_REGION_LINKS] = make_map(BPF_MAP_TYPE_ARRAY, BPF_F_MMAPABLE, 192, 8);
	refused(&h, "region links: expected 49152 bytes, found 1536");
	close(odd);
	odd = f.fd[KERF_REGION_LINKS] = make_map(BPF_MAP_TYPE_ARRAY, 0, 192, KERF_STATE_LINKS);
	refused(&h, "region links: cannot be mapped for reading");
	close(odd);
	odd = f.fd[KERF_REGION_LINKS] = make_map(BPF_MAP_TYPE_HASH, 0, 192, KERF_STATE_LINKS);
	refused(&h, "region links: expected a BPF array");
	close(odd);
	fixture_free(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_readers_see_what_is_written),
		cmocka_unit_test(test_readers_cannot_write),
		cmocka_unit_test(test_regions_that_are_not_there),
		cmocka_unit_test(test_place_of_the_socket),
		cmocka_unit_test(test_readers_that_hang),
		cmocka_unit_test(test_readers_without_privileges),
		cmocka_unit_test(test_other_servers),
		cmocka_unit_test(test_a_socket_of_another_kind),
		cmocka_unit_test(test_bpf_maps),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
