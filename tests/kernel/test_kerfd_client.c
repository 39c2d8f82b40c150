// SPDX-License-Identifier: MIT
/*
 * A client that sends kerfd (--serve-engine cpu --as shared; guest_user.sh starts it) what it
 * should not. Each job ends with an error and kerfd goes on.
 */
#include "kerf_server_test.h"

/* As runtime/exec/queue_user.h has it */
struct cmd {
	uint32_t version, op, n_in, n_out;
};
enum { PREPARE = 1, RUN = 2, PROFILE = 3 };

struct reply {
	int32_t status;
	uint32_t n_in, n_out, pad;
	uint64_t weight_bytes, arena_bytes;
	char message[512];
	int64_t dims[61][8];
};

#define SIZE 65536u

struct client {
	int fd;
	uint32_t engine, queue, bo;
	char *p; /* a request at 0, the reply at SIZE / 2 */
};

static struct client client(void)
{
	struct drm_kerf_engine_info info;
	struct client c = {.fd = kt_find(KERF_ENGINE_USER)};

	for (c.engine = 0; c.fd >= 0 && c.engine < KERF_MAX_ENGINES; c.engine++)
		if (!kt_engine_info(c.fd, c.engine, &info) && !strcmp(info.name, "shared"))
			break;
	if (c.fd < 0 || c.engine == KERF_MAX_ENGINES)
		ktap_skip("no kerfd serves an engine 'shared'");
	REQUIRE_OK(kt_bo_create(c.fd, SIZE, 0, &c.bo));
	c.p = kt_bo_map(c.fd, c.bo, NULL);
	REQUIRE(c.p);
	return c;
}

static struct reply *reply_of(struct client *c)
{
	return (struct reply *)(c->p + SIZE / 2);
}

/* How the job ended; it has a queue of its own, since a failure stops it. */
static int job(struct client *c, const void *cmd, uint32_t size, const struct drm_kerf_bo_ref *ref,
	       uint32_t n)
{
	struct drm_kerf_job j = {.cmd = (uintptr_t)cmd, .cmd_size = size, .bos = KT_ARRAY(ref, n)};
	uint64_t seqno = 0;
	int status = 1;

	memset(reply_of(c), 0, sizeof(struct reply));
	REQUIRE_OK(kt_queue_create(c->fd, c->engine, KERF_PRIORITY_NORMAL, 1, &c->queue));
	REQUIRE_OK(kt_submit(c->fd, c->queue, &j, 1, &seqno));
	EXPECT_OK(kt_wait(c->fd, c->queue, seqno, -1, &status));
	kt_queue_destroy(c->fd, c->queue);
	return status;
}

static void usual_windows(const struct client *c, size_t request, struct drm_kerf_bo_ref ref[2])
{
	ref[0] = (struct drm_kerf_bo_ref){
		.handle = c->bo, .flags = KERF_BO_REF_READ, .size = request ? request : 1};
	ref[1] = (struct drm_kerf_bo_ref){.handle = c->bo,
					  .flags = KERF_BO_REF_WRITE,
					  .offset = SIZE / 2,
					  .size = sizeof(struct reply)};
}

static void commands_that_are_none(void)
{
	struct client c = client();
	struct cmd cmd = {1, PREPARE, 0, 0};
	struct drm_kerf_bo_ref ref[2];

	usual_windows(&c, 1, ref);
	EXPECT_EQ(-EIO, job(&c, NULL, 0, ref, 2));
	EXPECT_EQ(-EIO, job(&c, &cmd, sizeof(cmd) - 1, ref, 2));
	cmd.version = 2;
	EXPECT_EQ(-EIO, job(&c, &cmd, sizeof(cmd), ref, 2));
	cmd.version = 1;
	cmd.op = 0;
	EXPECT_EQ(-EIO, job(&c, &cmd, sizeof(cmd), ref, 2));
	cmd.op = 4;
	EXPECT_EQ(-EIO, job(&c, &cmd, sizeof(cmd), ref, 2));
}

static void windows_that_do_not_fit(void)
{
	struct client c = client();
	struct cmd cmd = {1, PREPARE, 0, 0};
	struct drm_kerf_bo_ref ref[2];

	EXPECT_EQ(-EIO, job(&c, &cmd, sizeof(cmd), ref, 0));
	usual_windows(&c, 1, ref);
	EXPECT_EQ(-EIO, job(&c, &cmd, sizeof(cmd), ref, 1));
	ref[1].size--;
	EXPECT_EQ(-EIO, job(&c, &cmd, sizeof(cmd), ref, 2));
	usual_windows(&c, 1, ref);
	ref[1].flags = KERF_BO_REF_READ;
	EXPECT_EQ(-EIO, job(&c, &cmd, sizeof(cmd), ref, 2));
	usual_windows(&c, 1, ref);
	ref[1].offset++;
	EXPECT_EQ(-EIO, job(&c, &cmd, sizeof(cmd), ref, 2));
}

static void memory_that_cannot_be_mapped(void)
{
	struct client c = client();
	struct cmd cmd = {1, PREPARE, 0, 0};
	struct drm_kerf_bo_ref ref[2];

	usual_windows(&c, 1, ref);
	REQUIRE_OK(kt_bo_create(c.fd, SIZE, KERF_BO_NO_MMAP, &ref[0].handle));
	EXPECT_EQ(-EIO, job(&c, &cmd, sizeof(cmd), ref, 2));
}

static void requests_that_are_none(void)
{
	static const char *const text[] = {
		"", "{", "[]", "{}", "null", "{\"model\":1}", "{\"model\":\"../../etc/passwd\"}",
		"{\"model\":\"00\",\"fingerprint\":\"0\",\"depth\":1}",
		"{\"model\":\"0000000000000000000000000000000000000000000000000000000000000000\","
		"\"fingerprint\":\"0000000000000000\",\"depth\":1,\"shapes\":{}}",
	};
	struct client c = client();
	struct drm_kerf_bo_ref ref[2];

	for (unsigned i = 0; i < sizeof(text) / sizeof(text[0]); i++) {
		for (uint32_t op = PREPARE; op <= PROFILE; op++) {
			struct cmd cmd = {1, op, 0, 0};

			strcpy(c.p, text[i]);
			usual_windows(&c, strlen(text[i]), ref);
			EXPECT_EQ(0, job(&c, &cmd, sizeof(cmd), ref, 2));
			EXPECT(reply_of(&c)->status < 0);
			EXPECT(memchr(reply_of(&c)->message, 0, sizeof(reply_of(&c)->message)));
		}
	}
}

static void model_that_is_another(void)
{
	struct client c = client();
	struct cmd cmd = {1, PREPARE, 0, 0};
	struct drm_kerf_bo_ref ref[3];

	strcpy(c.p, "{\"model\":\"1111111111111111111111111111111111111111111111111111111111111111\","
		    "\"fingerprint\":\"0000000000000000\",\"depth\":1,\"shapes\":{}}");
	usual_windows(&c, strlen(c.p), ref);
	ref[2] = (struct drm_kerf_bo_ref){
		.handle = c.bo, .flags = KERF_BO_REF_READ, .offset = SIZE / 4, .size = 1000};
	EXPECT_EQ(0, job(&c, &cmd, sizeof(cmd), ref, 3));
	EXPECT_EQ(-EBADMSG, reply_of(&c)->status);
}

static uint32_t any(uint32_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 17;
	*seed ^= *seed << 5;
	return *seed;
}

/* Commands near the valid ones, over requests that change meanwhile */
static void anything(void)
{
	struct client c = client();
	uint32_t seed = 4711;

	for (int n = 0; n < 400; n++) {
		struct cmd cmd = {1, any(&seed) % 5, any(&seed) % 3, any(&seed) % 3};
		struct drm_kerf_bo_ref ref[6];
		uint32_t n_ref = any(&seed) % 7;

		usual_windows(&c, 1 + any(&seed) % 200, ref);
		for (uint32_t i = 2; i < 6; i++)
			ref[i] = (struct drm_kerf_bo_ref){.handle = c.bo,
							  .flags = 1 + any(&seed) % 3,
							  .offset = any(&seed) % (SIZE / 2),
							  .size = 1 + any(&seed) % (SIZE / 2)};
		if (any(&seed) % 4 == 0)
			ref[any(&seed) % 6].flags = 1 + any(&seed) % 3;
		for (int i = 0; i < 8; i++)
			c.p[any(&seed) % 200] = (char)("{}[]:,\"0model"[any(&seed) % 13]);
		if (!job(&c, &cmd, any(&seed) % 8 ? sizeof(cmd) : any(&seed) % 64, ref, n_ref))
			EXPECT(reply_of(&c)->status < 0);
	}
}

/* The model's file in a BO of its own; its bytes, 0: there is none. */
static size_t read_model(const struct client *c, const char *path, uint32_t *bo)
{
	FILE *f = path ? fopen(path, "rb") : NULL;
	size_t size = 0;
	void *p;

	if (!f)
		return 0;
	fseek(f, 0, SEEK_END);
	size = (size_t)ftell(f);
	rewind(f);
	REQUIRE_OK(kt_bo_create(c->fd, size, 0, bo));
	p = kt_bo_map(c->fd, *bo, NULL);
	REQUIRE(p && fread(p, 1, size, f) == size);
	fclose(f);
	return size;
}

/*
 * Long jobs in all slots, each given a millisecond: the one that is computed keeps its slot, the
 * others give theirs back, so the kernel does not give the server up.
 */
static void long_jobs_without_time(void)
{
	struct client c = client();
	struct cmd prepare = {1, PREPARE, 0, 0};
	struct {
		struct cmd head;
		int64_t dims[1][8];
	} run = {{1, RUN, 1, 1}, {{1, 3, 224, 224}}};
	const char *sha = getenv("KERF_SLOW_SHA256"), *at;
	unsigned long long fingerprint = 0;
	struct drm_kerf_engine_info info;
	struct drm_kerf_bo_ref ref[4];
	struct drm_kerf_job j = {.cmd = (uintptr_t)&run,
				 .cmd_size = sizeof(run),
				 .bos = KT_ARRAY(ref, 4),
				 .timeout_ms = 1};
	uint32_t queue[64], io, model;
	uint64_t seqno;
	size_t size = read_model(&c, getenv("KERF_SLOW_MODEL"), &model);
	int status;

	if (!size || !sha)
		ktap_skip("no KERF_SLOW_MODEL, or no KERF_SLOW_SHA256 of it");
	REQUIRE_OK(kt_engine_info(c.fd, c.engine, &info));
	/* What is wrong with the first request tells the fingerprint. */
	for (int try = 0; try < 2; try++) {
		snprintf(c.p, SIZE / 2, "{\"model\":\"%s\",\"fingerprint\":\"%016llx\",\"depth\":1,\"shapes\":{}}",
			 sha, fingerprint);
		usual_windows(&c, strlen(c.p), ref);
		ref[2] = (struct drm_kerf_bo_ref){
			.handle = model, .flags = KERF_BO_REF_READ, .size = size};
		REQUIRE(job(&c, &prepare, sizeof(prepare), ref, 3) == 0);
		if (try)
			break;
		EXPECT_EQ(-ESTALE, reply_of(&c)->status);
		at = strstr(reply_of(&c)->message, "fingerprint is ");
		REQUIRE(at && sscanf(at, "fingerprint is %llx", &fingerprint) == 1);
	}
	REQUIRE(reply_of(&c)->status == 0);
	REQUIRE_OK(kt_bo_create(c.fd, 1 << 20, 0, &io));
	ref[2] = (struct drm_kerf_bo_ref){
		.handle = io, .flags = KERF_BO_REF_READ, .size = 3 * 224 * 224 * 4};
	ref[3] = (struct drm_kerf_bo_ref){.handle = io,
					  .flags = KERF_BO_REF_WRITE,
					  .offset = 3 * 224 * 224 * 4,
					  .size = 4000};
	for (uint32_t i = 0; i < info.depth; i++) {
		REQUIRE_OK(kt_queue_create(c.fd, c.engine, KERF_PRIORITY_NORMAL, 1, &queue[i]));
		REQUIRE_OK(kt_submit(c.fd, queue[i], &j, 1, &seqno));
	}
	for (uint32_t i = 0; i < info.depth; i++) {
		EXPECT_OK(kt_wait(c.fd, queue[i], 1, -1, &status));
		EXPECT_EQ(-ETIME, status);
	}
	usleep((KERF_SERVER_STUCK_MS + 1000) * 1000);
	REQUIRE_OK(kt_engine_info(c.fd, c.engine, &info));
	EXPECT_EQ(KERF_ENGINE_READY, info.state);
}

static const struct ktap_case cases[] = {
	KTAP(commands_that_are_none), KTAP(windows_that_do_not_fit),
	KTAP(memory_that_cannot_be_mapped), KTAP(requests_that_are_none),
	KTAP(model_that_is_another), KTAP_SLOW(long_jobs_without_time, 60), KTAP_SLOW(anything, 60),
};

int main(int argc, char **argv)
{
	return ktap_main(cases, sizeof(cases) / sizeof(cases[0]), argc, argv);
}
