/* SPDX-License-Identifier: MIT */
/* Records that are read while they are written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "telemetry/record.h"

#define READS 20000
#define READERS 2

struct shared {
	void *record;
	uint32_t size;
	atomic_bool stop;
	atomic_uint torn, read, missed;
};

/* All words of a record say the same number, so a torn copy shows. */
static void *reader(void *arg)
{
	struct shared *s = arg;
	unsigned char *copy = malloc(s->size);
	uint32_t i, k;

	for (i = 0; copy && i < READS && !atomic_load(&s->stop); i++) {
		if (!kerf_record_read(s->record, copy, s->size)) {
			atomic_fetch_add(&s->missed, 1);
			continue;
		}
		for (k = 5; k + 4 < s->size; k++)
			if (copy[k] != copy[4]) {
				atomic_fetch_add(&s->torn, 1);
				break;
			}
		atomic_fetch_add(&s->read, 1);
	}
	free(copy);
	return NULL;
}

static void *writer(void *arg)
{
	struct shared *s = arg;
	unsigned char *value = malloc(s->size);
	unsigned char n = 0;

	while (value && !atomic_load(&s->stop)) {
		memset(value, n++, s->size);
		kerf_record_write(s->record, value, s->size);
	}
	free(value);
	return NULL;
}

static void while_written(uint32_t size)
{
	struct shared s = {.record = aligned_alloc(64, (size + 63) & ~63u), .size = size};
	pthread_t r[READERS], w;
	int i;

	assert_non_null(s.record);
	memset(s.record, 0, size);
	assert_int_equal(pthread_create(&w, NULL, writer, &s), 0);
	for (i = 0; i < READERS; i++)
		assert_int_equal(pthread_create(&r[i], NULL, reader, &s), 0);
	for (i = 0; i < READERS; i++)
		pthread_join(r[i], NULL);
	atomic_store(&s.stop, true);
	pthread_join(w, NULL);
	assert_int_equal(s.torn, 0);
	assert_true(s.read > 0);
	free(s.record);
}

static void copies_are_whole(void **state)
{
	while_written(sizeof(struct kerf_zone_rec));
	while_written(sizeof(struct kerf_link_rec));
	while_written(4096);
}

static void what_is_written_is_read(void **state)
{
	struct kerf_link_rec rec = {0}, value = {.cookie = 7, .rtos = 9, .seq = 77, .check = 88},
			     copy;

	kerf_record_write(&rec, &value, sizeof(rec));
	assert_int_equal(rec.seq, 2);
	assert_true(kerf_record_read(&rec, &copy, sizeof(rec)));
	assert_int_equal(copy.cookie, 7);
	assert_int_equal(copy.rtos, 9);
	kerf_record_write(&rec, &value, sizeof(rec));
	assert_int_equal(rec.seq, 4);
}

/* A writer that was killed in the midst leaves seq odd for good. */
static void a_dead_writer_is_no_trap(void **state)
{
	struct kerf_link_rec rec = {.seq = 3}, copy;

	assert_false(kerf_record_read(&rec, &copy, sizeof(rec)));
}

/* Any bit of it that differs is seen, but for those of seq. */
static void check_sees_every_bit(void **state)
{
	struct kerf_zone_rec value = {.id = 3, .temperature_mc = 40000}, rec = {0}, copy;
	uint32_t bit;

	kerf_record_write(&rec, &value, sizeof(rec));
	for (bit = 32; bit < sizeof(rec) * 8; bit++) {
		((unsigned char *)&rec)[bit / 8] ^= (unsigned char)(1u << bit % 8);
		assert_false(kerf_record_read(&rec, &copy, sizeof(rec)));
		((unsigned char *)&rec)[bit / 8] ^= (unsigned char)(1u << bit % 8);
	}
	assert_true(kerf_record_read(&rec, &copy, sizeof(rec)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(copies_are_whole),
		cmocka_unit_test(what_is_written_is_read),
		cmocka_unit_test(a_dead_writer_is_no_trap),
		cmocka_unit_test(check_sees_every_bit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
