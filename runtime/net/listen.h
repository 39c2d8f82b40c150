/* SPDX-License-Identifier: MIT */
/* Addresses that people write: "127.0.0.1:8470", "[::1]:8470", "node.local:8470". */
#ifndef KERF_NET_LISTEN_H
#define KERF_NET_LISTEN_H

#include "util/err.h"

/*
 * A listening TCP socket on a numeric address; *port is the one it got. -EPERM, naming
 * --insecure, for an address beyond loopback unless insecure.
 */
int kerf_listen(const char *address, bool insecure, uint16_t *port, struct kerf_err *err);

struct sockaddr;

bool kerf_addr_is_loopback(const struct sockaddr *sa);

/* True if every address that host stands for is in 127.0.0.0/8 or is ::1. Looks it up. */
bool kerf_host_is_loopback(const char *host);

#endif
