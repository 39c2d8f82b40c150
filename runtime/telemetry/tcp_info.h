/* SPDX-License-Identifier: MIT */
/*
 * What the kernel says of one of our own TCP connections, without any program in it: three
 * system calls and a copy, about 1.5 us. The source where there is no BPF.
 */
#ifndef KERF_TELEMETRY_TCP_INFO_H
#define KERF_TELEMETRY_TCP_INFO_H

#include "kerf_state.h"
#include "util/err.h"

#include <stddef.h>

/*
 * Fills rec from the connected TCP socket fd at now_ns (CLOCK_MONOTONIC): everything but
 * established_ns, passive, seq and check, which are 0. Kernels say more the newer they are; has
 * tells what this one said. Any thread.
 *
 * 0, -ENOTCONN (closed, or not connected yet), -EOPNOTSUPP (not TCP), or what getsockopt said; then
 * rec is untouched.
 */
int kerf_tcp_info_read(int fd, uint64_t now_ns, struct kerf_link_rec *rec);

/*
 * The same figures out of the n bytes that a kernel gave for TCP_INFO: the addresses and the cookie
 * are left as they are. -EPROTO if they are fewer than any kernel with delivery rates (4.9) gives
 * for the fields that every record needs.
 */
int kerf_tcp_info_decode(const void *info, size_t n, uint64_t now_ns, struct kerf_link_rec *rec);

#endif
