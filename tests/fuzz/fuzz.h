/* SPDX-License-Identifier: MIT */
/*
 * A fuzzer is one file, tests/fuzz/fuzz_<what>.c, that defines the entry libFuzzer
 * knows. It is linked with main.c here, or with libFuzzer where that is at hand.
 */
#ifndef KERF_TESTS_FUZZ_H
#define KERF_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* Feeds one input to the code under test; aborts where a promise is broken. Returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Optional: hands seeds made by the program to add, which copies them. */
void kerf_fuzz_seeds(void (*add)(const void *data, size_t size)) __attribute__((weak));

/*
 * Optional, libFuzzer's: changes data (size bytes of max_size) so that it still has
 * form, and returns its new size. The driver uses it for half of the mutations.
 */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed)
	__attribute__((weak));

#endif
