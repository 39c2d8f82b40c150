// SPDX-License-Identifier: MIT
/* What a server is given of its clients' BOs. */
#include <linux/udmabuf.h>
#include <sys/mman.h>

#include "kerf_server_test.h"

#define PAGE 4096u

static void *volatile nowhere = (void *)8;

static struct drm_prime_handle prime_import(int client, int fd, int *r)
{
	struct drm_prime_handle prime = {.fd = fd};

	*r = kt_ioctl(client, DRM_IOCTL_PRIME_FD_TO_HANDLE, &prime);
	return prime;
}

/* --- BOs --- */

static void bo_for_writing(void)
{
	struct kerf_server_register reg = ks_fail_policy("t-rw", 1);
	struct kerf_server_record rec;
	uint32_t queue, handle, *ours, *theirs;
	struct ks s;
	int client, fd;

	ks_serve(&s, &reg);
	client = ks_client(&s);
	queue = ks_queue(&s, client);
	REQUIRE_OK(kt_bo_create(client, 2 * PAGE, 0, &handle));
	ours = kt_bo_map(client, handle, NULL);
	REQUIRE(ours);
	ours[7] = 41;
	ks_window_job(client, queue, handle, KERF_BO_REF_READ | KERF_BO_REF_WRITE);
	ks_expect(&s, KERF_SERVER_RUN, &rec);
	fd = ks_get_bo(&s, &rec, 0);
	REQUIRE(fd >= 0);
	EXPECT(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	theirs = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	REQUIRE(theirs != MAP_FAILED);
	theirs[7]++;
	/* It would show the first page. */
	EXPECT(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, PAGE) == MAP_FAILED && errno == EINVAL);
	EXPECT_OK(ks_done(&s, &rec, 0));
	EXPECT_EQ(0, ks_result(client, queue, 1));
	EXPECT_EQ(42, ours[7]);
}

/* Each dma-buf of a BO is a buffer of its own to who imports it, also beside the owner's. */
static void bo_for_writing_is_imported_twice(void)
{
	struct kerf_server_register reg = ks_fail_policy("t-rw2", 1);
	struct drm_prime_handle prime = {.flags = DRM_CLOEXEC};
	struct kerf_server_record rec;
	uint32_t queue, *ours, *theirs;
	struct ks s;
	int client, importer, r;

	ks_serve(&s, &reg);
	client = ks_client(&s);
	importer = ks_client(&s);
	queue = ks_queue(&s, client);
	REQUIRE_OK(kt_bo_create(client, PAGE, 0, &prime.handle));
	REQUIRE_OK(kt_ioctl(client, DRM_IOCTL_PRIME_HANDLE_TO_FD, &prime));
	ours = kt_bo_map(client, prime.handle, NULL);
	REQUIRE(ours);
	ks_window_job(client, queue, prime.handle, KERF_BO_REF_WRITE);
	ks_expect(&s, KERF_SERVER_RUN, &rec);
	for (uint32_t i = 0; i < 2; i++) {
		int fd = ks_get_bo(&s, &rec, 0);

		REQUIRE(fd >= 0);
		theirs = kt_bo_map(importer, prime_import(importer, fd, &r).handle, NULL);
		REQUIRE_OK(r);
		REQUIRE(theirs);
		theirs[i] = i + 1;
		EXPECT_EQ(i + 1, ours[i]);
		close(fd);
	}
	EXPECT_OK(ks_done(&s, &rec, 0));
}

static void bo_for_reading_alone(void)
{
	struct kerf_server_register reg = ks_fail_policy("t-ro", 1);
	struct kerf_server_record rec;
	uint32_t queue, handle, *ours, *theirs;
	struct ks s;
	int client, fd, r;

	ks_serve(&s, &reg);
	client = ks_client(&s);
	queue = ks_queue(&s, client);
	REQUIRE_OK(kt_bo_create(client, PAGE, 0, &handle));
	ours = kt_bo_map(client, handle, NULL);
	REQUIRE(ours);
	ours[7] = 41;
	ks_window_job(client, queue, handle, KERF_BO_REF_READ);
	ks_expect(&s, KERF_SERVER_RUN, &rec);
	fd = ks_get_bo(&s, &rec, 0);
	REQUIRE(fd >= 0);
	EXPECT(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED &&
	       errno == EACCES);
	EXPECT(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0) == MAP_FAILED &&
	       errno == EACCES);
	theirs = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
	REQUIRE(theirs != MAP_FAILED);
	EXPECT_EQ(41, theirs[7]);
	EXPECT(mprotect(theirs, PAGE, PROT_READ | PROT_WRITE) < 0 && errno == EACCES);
	/* Nor by the way of a handle, whose mapping would be writable. */
	prime_import(ks_client(&s), fd, &r);
	EXPECT_ERR(-EACCES, r);
}

static void bo_outlives_the_client(void)
{
	struct kerf_server_register reg = ks_fail_policy("t-life", 1);
	struct kerf_server_record rec;
	uint32_t queue, handle;
	uint8_t *theirs;
	struct ks s;
	int client, fd;

	ks_serve(&s, &reg);
	client = ks_client(&s);
	queue = ks_queue(&s, client);
	REQUIRE_OK(kt_bo_create(client, PAGE, 0, &handle));
	ks_window_job(client, queue, handle, KERF_BO_REF_WRITE);
	ks_expect(&s, KERF_SERVER_RUN, &rec);
	fd = ks_get_bo(&s, &rec, 0);
	REQUIRE(fd >= 0);
	theirs = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	REQUIRE(theirs != MAP_FAILED);
	close(client);
	theirs[PAGE - 1] = 1;
	EXPECT_EQ(1, theirs[PAGE - 1]);
	munmap(theirs, PAGE);
	close(fd);
	EXPECT_OK(ks_done(&s, &rec, 0));
}

static void get_bo_refusals(void)
{
	struct kerf_server_register reg = ks_fail_policy("t-getbo", 2);
	struct kerf_server_record rec;
	struct kerf_server_get_bo get;
	uint32_t queue, handle;
	struct ks s;
	int client;

	ks_serve(&s, &reg);
	client = ks_client(&s);
	queue = ks_queue(&s, client);
	REQUIRE_OK(kt_bo_create(client, PAGE, 0, &handle));
	get = (struct kerf_server_get_bo){.generation = 1};
	EXPECT_ERR(-ESTALE, kt_ioctl(s.fd, KERF_SERVER_IOCTL_GET_BO, &get));
	ks_window_job(client, queue, handle, KERF_BO_REF_READ);
	/* It has not been read yet. */
	EXPECT_ERR(-ESTALE, kt_ioctl(s.fd, KERF_SERVER_IOCTL_GET_BO, &get));
	ks_expect(&s, KERF_SERVER_RUN, &rec);
	EXPECT_ERR(-EINVAL, ks_get_bo(&s, &rec, 1));
	EXPECT_ERR(-EINVAL, ks_get_bo(&s, &rec, UINT32_MAX));
	get = (struct kerf_server_get_bo){
		.slot = rec.slot, .generation = rec.generation, .flags = 1};
	EXPECT_ERR(-EINVAL, kt_ioctl(s.fd, KERF_SERVER_IOCTL_GET_BO, &get));
	get.flags = 0;
	get.pad = 1;
	EXPECT_ERR(-EINVAL, kt_ioctl(s.fd, KERF_SERVER_IOCTL_GET_BO, &get));
	get.pad = 0;
	get.slot = 2;
	EXPECT_ERR(-EINVAL, kt_ioctl(s.fd, KERF_SERVER_IOCTL_GET_BO, &get));
	get.slot = rec.slot;
	get.generation++;
	EXPECT_ERR(-ESTALE, kt_ioctl(s.fd, KERF_SERVER_IOCTL_GET_BO, &get));
	EXPECT_ERR(-EFAULT, kt_ioctl(s.fd, KERF_SERVER_IOCTL_GET_BO, nowhere));
}

static void get_bo_after_done(void)
{
	struct kerf_server_register reg = ks_fail_policy("t-late", 1);
	struct kerf_server_record rec;
	uint32_t queue, handle;
	struct ks s;
	int client;

	ks_serve(&s, &reg);
	client = ks_client(&s);
	queue = ks_queue(&s, client);
	REQUIRE_OK(kt_bo_create(client, PAGE, 0, &handle));
	ks_window_job(client, queue, handle, KERF_BO_REF_READ);
	ks_expect(&s, KERF_SERVER_RUN, &rec);
	EXPECT_OK(ks_done(&s, &rec, 0));
	EXPECT_ERR(-ESTALE, ks_get_bo(&s, &rec, 0));
}

static void gone_bo_is_told(void)
{
	struct kerf_server_register reg = ks_fail_policy("t-gone", 1);
	struct kerf_server_record run, rec;
	uint32_t queue, handle;
	uint64_t id;
	struct ks s;
	int client;

	ks_serve(&s, &reg);
	client = ks_client(&s);
	queue = ks_queue(&s, client);
	REQUIRE_OK(kt_bo_create(client, PAGE, 0, &handle));
	ks_window_job(client, queue, handle, KERF_BO_REF_READ);
	ks_expect(&s, KERF_SERVER_RUN, &run);
	id = s.slots[run.slot].window[0].bo_id;
	close(ks_get_bo(&s, &run, 0));
	close(ks_get_bo(&s, &run, 0));
	EXPECT(ks_quiet(&s));
	REQUIRE_OK(kt_bo_close(client, handle));
	/* What was not told stays. */
	EXPECT(read(s.fd, nowhere, sizeof(rec)) < 0 && errno == EFAULT);
	ks_expect(&s, KERF_SERVER_BO_GONE, &rec);
	EXPECT_EQ(id, rec.bo_id);
	EXPECT(ks_quiet(&s));
	/* The job goes on; what it asks for now is gone at once. */
	close(ks_get_bo(&s, &run, 0));
	ks_expect(&s, KERF_SERVER_BO_GONE, &rec);
	EXPECT_EQ(id, rec.bo_id);
	EXPECT_OK(ks_done(&s, &run, 0));
	EXPECT_EQ(0, ks_result(client, queue, 1));
}

static void same_bo_same_id(void)
{
	struct kerf_server_register reg = ks_fail_policy("t-id", 1);
	struct kerf_server_record rec;
	uint32_t queue, handle, other;
	uint64_t id[3];
	struct ks s;
	int client;

	ks_serve(&s, &reg);
	client = ks_client(&s);
	queue = ks_queue(&s, client);
	REQUIRE_OK(kt_bo_create(client, PAGE, 0, &handle));
	REQUIRE_OK(kt_bo_create(client, PAGE, 0, &other));
	ks_window_job(client, queue, handle, KERF_BO_REF_READ);
	ks_window_job(client, queue, handle, KERF_BO_REF_WRITE);
	ks_window_job(client, queue, other, KERF_BO_REF_READ);
	for (int i = 0; i < 3; i++) {
		ks_expect(&s, KERF_SERVER_RUN, &rec);
		id[i] = s.slots[rec.slot].window[0].bo_id;
		EXPECT_OK(ks_done(&s, &rec, 0));
	}
	EXPECT_EQ(id[0], id[1]);
	EXPECT(id[0] != id[2]);
}

/* --- BOs of other drivers --- */

/* A page of another driver's in *memory, imported by the client: a handle */
static uint32_t foreign_page(int client, uint32_t **memory)
{
	int memfd = memfd_create("page", MFD_ALLOW_SEALING | MFD_CLOEXEC), r;
	struct udmabuf_create create = {.memfd = (uint32_t)memfd, .size = PAGE};
	int dev = open("/dev/udmabuf", O_RDWR | O_CLOEXEC), fd;
	struct drm_prime_handle prime;

	if (dev < 0)
		ktap_skip("no /dev/udmabuf");
	REQUIRE(memfd >= 0 && !ftruncate(memfd, PAGE) && !fcntl(memfd, F_ADD_SEALS, F_SEAL_SHRINK));
	*memory = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
	REQUIRE(*memory != MAP_FAILED);
	fd = ioctl(dev, UDMABUF_CREATE, &create);
	REQUIRE(fd >= 0);
	prime = prime_import(client, fd, &r);
	REQUIRE_OK(r);
	close(fd);
	return prime.handle;
}

static void imported_bo_for_writing(void)
{
	struct kerf_server_register reg = ks_fail_policy("t-imprw", 1);
	struct kerf_server_record rec;
	uint32_t queue, handle, *memory, *theirs;
	struct ks s;
	int client, fd;

	ks_serve(&s, &reg);
	client = ks_client(&s);
	queue = ks_queue(&s, client);
	handle = foreign_page(client, &memory);
	ks_window_job(client, queue, handle, KERF_BO_REF_WRITE);
	ks_expect(&s, KERF_SERVER_RUN, &rec);
	fd = ks_get_bo(&s, &rec, 0);
	REQUIRE(fd >= 0);
	theirs = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	REQUIRE(theirs != MAP_FAILED);
	theirs[3] = 77;
	EXPECT_EQ(77, memory[3]);
}

static void imported_bo_for_reading_alone(void)
{
	struct kerf_server_register reg = ks_fail_policy("t-impro", 1);
	struct kerf_server_record rec;
	uint32_t queue, handle, *memory, *theirs;
	struct ks s;
	int client, fd, r;

	ks_serve(&s, &reg);
	client = ks_client(&s);
	queue = ks_queue(&s, client);
	handle = foreign_page(client, &memory);
	memory[3] = 77;
	ks_window_job(client, queue, handle, KERF_BO_REF_READ);
	ks_expect(&s, KERF_SERVER_RUN, &rec);
	fd = ks_get_bo(&s, &rec, 0);
	REQUIRE(fd >= 0);
	EXPECT(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED &&
	       errno == EACCES);
	theirs = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
	REQUIRE(theirs != MAP_FAILED);
	EXPECT_EQ(77, theirs[3]);
	EXPECT(mprotect(theirs, PAGE, PROT_READ | PROT_WRITE) < 0 && errno == EACCES);
	prime_import(ks_client(&s), fd, &r);
	EXPECT_ERR(-EACCES, r);
	/* The mapping is the exporter's: it lasts as long as it likes. */
	close(fd);
	close(client);
	EXPECT_EQ(77, theirs[3]);
}

static const struct ktap_case cases[] = {
	KTAP(bo_for_writing),
	KTAP(bo_for_writing_is_imported_twice),
	KTAP(bo_for_reading_alone),
	KTAP(bo_outlives_the_client),
	KTAP(get_bo_refusals),
	KTAP(get_bo_after_done),
	KTAP(gone_bo_is_told),
	KTAP(same_bo_same_id),
	KTAP(imported_bo_for_writing),
	KTAP(imported_bo_for_reading_alone),
};

int main(int argc, char **argv)
{
	return ktap_main(cases, sizeof(cases) / sizeof(cases[0]), argc, argv);
}
