#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/span.h"

struct trust;

/*
 * TLS 1.2 and 1.3 as a client, over a non-blocking socket that somebody else watches. One struct
 * http_tls_shared serves all connections of a client: the configuration, and the buffer into which
 * a socket is read ahead, so that a record costs one system call and not two.
 */
struct http_tls_shared;
struct http_tls;

int http_tls_shared_create(struct trust *trust, struct http_tls_shared **ret_shared,
                           struct error *err);                // `trust` borrowed
void http_tls_shared_destroy(struct http_tls_shared *shared); // accepts NULL

// `fd` is borrowed; `host` is what the certificate must be for: a name by a dNSName, an address in
// figures by an iPAddress (RFC 9525 §6).
int http_tls_create(struct http_tls_shared *shared, int fd, const char *host,
                    struct http_tls **ret_tls, struct error *err);
void http_tls_destroy(struct http_tls *tls); // accepts NULL

// To be called when the socket may be read, before anything below.
void http_tls_readable(struct http_tls *tls);

// 1 when hands are shaken, 0 when more must come, negative with what is wrong with the peer:
// -EKEYREJECTED where its certificate is not trusted.
int http_tls_handshake(struct http_tls *tls, struct error *err);

// Bytes read; 0 at the end that the peer itself announced; -EAGAIN; another negative when the
// connection broke, an end that was not announced included.
ssize_t http_tls_read(struct http_tls *tls, char *data, size_t size);

// Bytes taken over, which http_tls_flush() sends: -EAGAIN when too many wait already. After it the
// same bytes must be given again.
ssize_t http_tls_write(struct http_tls *tls, struct span data);
int http_tls_flush(struct http_tls *tls); // 0, -EAGAIN, or another negative
