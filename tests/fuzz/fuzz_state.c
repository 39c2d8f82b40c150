/* SPDX-License-Identifier: MIT */
/*
 * A publisher that says, hands over and writes anything. Readers open it or refuse it with a
 * sentence and leak nothing; what is recorded from one that they open can be read again, and what
 * is shown of it is plain text.
 *
 * An input changes what a good publisher would do: a hello (16 bytes), what stands for each region
 * (one byte each), the head, then the records, whose sequence and check are made right.
 */
#include "fuzz/fuzz.h"

#include "cli/top.h"
#include "telemetry/publish_wire.h"
#include "telemetry/recorder.h"
#include "unit/state_fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static char folder[] = "/tmp/kerf-fuzz-state-XXXXXX", path[64];
static int listen_fd = -1, trace_fd, pipe_fd[2], small_fd;
static sem_t hung_up; /* the server has closed its end: descriptors can be counted */

/* What the server sends next; the reader's connect orders it after what is written here. */
static struct {
	struct kerf_state_hello hello;
	size_t size;
	int fd[KERF_N_REGION + 2];
	uint32_t n_fd;
} next;

static void *serve(void *arg)
{
	for (;;) {
		union {
			struct cmsghdr align;
			char space[CMSG_SPACE(sizeof(next.fd))];
		} control = {0};
		struct iovec body = {.iov_base = &next.hello, .iov_len = next.size};
		struct msghdr m = {.msg_iov = &body, .msg_iovlen = 1};
		int to = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);

		if (to < 0)
			return NULL;
		if (next.n_fd) {
			struct cmsghdr *c;

			m.msg_control = control.space;
			m.msg_controllen = CMSG_SPACE(next.n_fd * sizeof(int));
			c = CMSG_FIRSTHDR(&m);
			c->cmsg_level = SOL_SOCKET;
			c->cmsg_type = SCM_RIGHTS;
			c->cmsg_len = CMSG_LEN(next.n_fd * sizeof(int));
			memcpy(CMSG_DATA(c), next.fd, next.n_fd * sizeof(int));
		}
		if (next.size && sendmsg(to, &m, MSG_NOSIGNAL) < 0)
			perror("sendmsg");
		close(to);
		sem_post(&hung_up);
	}
}

static int count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return n;
}

static void remove_folder(void)
{
	unlink(path);
	rmdir(folder);
}

static void begin(void)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	pthread_t t;

	if (!mkdtemp(folder) || sem_init(&hung_up, 0, 0))
		abort();
	snprintf(path, sizeof(path), "%s/sock", folder);
	strcpy(at.sun_path, path);
	listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	trace_fd = memfd_create("trace", MFD_CLOEXEC);
	small_fd = memfd_create("small", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (listen_fd < 0 || trace_fd < 0 || small_fd < 0 || pipe(pipe_fd) ||
	    ftruncate(small_fd, 64) || fcntl(small_fd, F_ADD_SEALS, F_SEAL_SHRINK) ||
	    bind(listen_fd, (struct sockaddr *)&at, sizeof(at)) || listen(listen_fd, 4) ||
	    pthread_create(&t, NULL, serve, NULL))
		abort();
	pthread_detach(t);
	atexit(remove_folder);
}

/* p of n bytes is changed by what is left of the input. */
static void change(void *p, size_t n, const uint8_t **data, size_t *size)
{
	uint8_t *to = p;
	size_t i;

	n = KERF_MIN(n, *size);
	for (i = 0; i < n; i++)
		to[i] ^= (*data)[i];
	*data += n;
	*size -= n;
}

static void choose_regions(struct fixture *f, const uint8_t **data, size_t *size)
{
	uint8_t how[KERF_N_REGION + 1] = {0};
	uint32_t i;

	change(how, sizeof(how), data, size);
	next.n_fd = KERF_N_REGION + how[KERF_N_REGION] % 3 - (how[KERF_N_REGION] % 3 == 2 ? 3 : 0);
	for (i = 0; i < KERF_ARRAY_SIZE(next.fd); i++)
		next.fd[i] = f->fd[i % KERF_N_REGION];
	for (i = 0; i < KERF_N_REGION; i++) {
		switch (how[i] % 5) {
		case 1: next.fd[i] = pipe_fd[0]; break;
		case 2: next.fd[i] = small_fd; break;
		case 3: next.fd[i] = trace_fd; break;
		case 4: next.fd[i] = f->fd[how[i] % KERF_N_REGION]; break;
		}
	}
}

static void fill_records(struct fixture *f, const uint8_t **data, size_t *size)
{
	static struct kerf_state state;
	struct kerf_transfer_rec *t = f->region[KERF_REGION_TRANSFERS].data,
				 transfer = {.number = 1};
	struct kerf_link_rec *l = f->region[KERF_REGION_LINKS].data,
			     link = {.life = KERF_LINK_LIVE};
	struct kerf_cpu_rec *c = f->region[KERF_REGION_CPUS].data, cpu = {.updated_ns = 1};
	struct kerf_zone_rec *z = f->region[KERF_REGION_ZONES].data, zone = {.kind = 1};
	struct kerf_engine_rec *e = f->region[KERF_REGION_ENGINES].data;
	uint32_t i;

	for (i = 0; i < 2; i++) {
		change(&transfer, sizeof(transfer), data, size);
		kerf_record_write(&t[transfer.number % KERF_STATE_TRANSFERS], &transfer,
				  sizeof(transfer));
		change(&link, sizeof(link), data, size);
		kerf_record_write(&l[i], &link, sizeof(link));
		change(&cpu, sizeof(cpu), data, size);
		kerf_record_write(&c[i], &cpu, sizeof(cpu));
		change(&zone, sizeof(zone), data, size);
		kerf_record_write(&z[i], &zone, sizeof(zone));
		change(&e[i], sizeof(e[i]), data, size);
	}
	memset(&state, 0, sizeof(state));
	state.n_node = 2;
	change(&state, sizeof(state), data, size);
	kerf_record_write(f->region[KERF_REGION_STATE].data, &state, sizeof(state));
}

static void read_again(void)
{
	struct kerf_trace_reader *r;
	struct kerf_trace_rec rec;
	struct kerf_err err = {""};
	char name[64];
	int ret;

	snprintf(name, sizeof(name), "/proc/self/fd/%d", trace_fd);
	if (kerf_trace_open(name, &r, &err))
		abort();
	while ((ret = kerf_trace_next(r, &rec, &err)) == 1)
		;
	if (ret) {
		fprintf(stderr, "%s\n", err.msg);
		abort();
	}
	kerf_trace_close(r);
}

static void plain(const char *text, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (text[i] != '\n' && (text[i] < 0x20 || text[i] > 0x7e))
			abort();
}

static void show(struct fixture *f, const struct kerf_state_reader *r, const uint8_t *data,
		 size_t size)
{
	static struct kerf_top_sample s[2];
	char *text = NULL;
	size_t n;
	FILE *out;

	kerf_top_take(r, 1, &s[0]);
	fill_records(f, &data, &size);
	kerf_top_take(r, 1000, &s[1]);
	out = open_memstream(&text, &n);
	if (!out)
		abort();
	kerf_top_print(&s[0], &s[1], KERF_TOP_ALL, out);
	kerf_top_print(&s[0], &s[1], KERF_TOP_CPUS, out);
	if (fclose(out))
		abort();
	plain(text, n);
	free(text);
	out = fopen("/dev/null", "w");
	if (!out || kerf_top_print_json(&s[0], &s[1], out))
		abort();
	fclose(out);
}

static void record(struct fixture *f, const struct kerf_state_reader *r, const uint8_t *data,
		   size_t size)
{
	struct kerf_trace_writer *w;
	struct kerf_recorder *rec;
	char name[64];
	uint32_t i;

	snprintf(name, sizeof(name), "/proc/self/fd/%d", trace_fd);
	if (kerf_trace_create(name, &w, NULL) || kerf_recorder_open(r, w, &rec))
		abort();
	for (i = 0; i < 3; i++) {
		/* -EINVAL of single records is counted, not told */
		if (kerf_recorder_step(rec, i))
			abort();
		fill_records(f, &data, &size);
	}
	kerf_recorder_close(rec);
	if (kerf_trace_finish(w, NULL))
		abort();
	read_again();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kerf_state_reader r;
	struct kerf_err err = {""};
	struct fixture f;
	int before, ret;

	if (listen_fd < 0)
		begin();
	if (fixture_make(&f))
		abort();
	next.hello = (struct kerf_state_hello){KERF_STATE_MAGIC, KERF_STATE_VERSION,
					       (1u << KERF_N_REGION) - 1, 0};
	next.size = sizeof(next.hello);
	if (size) { /* mostly whole */
		next.size = *data < 0xf0 ? sizeof(next.hello) : *data & 0xfu;
		data++;
		size--;
	}
	change(&next.hello, sizeof(next.hello), &data, &size);
	choose_regions(&f, &data, &size);
	change(fixture_head(&f), sizeof(struct kerf_state_head), &data, &size);
	before = count_fds();
	ret = kerf_state_open(path, &r, &err);
	while (sem_wait(&hung_up))
		;
	if (ret ? !err.msg[0] : !r.head)
		abort();
	if (count_fds() != before)
		abort();
	if (!ret) {
		record(&f, &r, data, size);
		show(&f, &r, data, size);
		kerf_state_close(&r);
	}
	fixture_free(&f);
	return 0;
}

void kerf_fuzz_seeds(void (*add)(const void *data, size_t size))
{
	static uint8_t zeros[sizeof(struct kerf_state_head) + sizeof(struct kerf_state) + 4096];
	static const uint8_t regions[] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
					  0, 0, 0, 0, 0, 1, 2, 3, 4, 0, 0, 1};

	add(zeros, sizeof(zeros));
	add(zeros, 25 + sizeof(struct kerf_state_head) + 600);
	add(regions, sizeof(regions));
	add(zeros, 20);
}
