#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/span.h"

/*
 * Whom this program trusts: the roots embedded at build time from Debian's copy of Mozilla's list
 * (scripts/ca_roots.py), or one PEM file that takes their place. A handshake is shown only the
 * roots that could have signed the certificate at hand, parsed at that moment: the parsed list
 * would cost 0.75 MB for as long as the process lives.
 */

// Appends to `der` the n-th embedded root whose subject is `subject` (DER of the Name, compared as
// mbedTLS compares names). False when there are not so many. For a test of all of them.
bool ca_roots_find(struct span subject, size_t n, struct buf *der);

struct trust;

// `pem_file` (SSL_CERT_FILE; NULL or "" for the embedded roots) replaces the embedded roots. Fails
// with a sentence that names the file when it cannot be read or holds no certificate of use.
int trust_create(const char *pem_file, struct trust **ret_trust, struct error *err);
void trust_destroy(struct trust *trust);       // accepts NULL; no handshake may be using it
size_t trust_count(const struct trust *trust); // for tests: authorities

/*
 * Makes a handshake verify its peer against `trust`, whatever was set before: verification
 * required, SHA-256 and RSA-2048 or better. `ssl_config` is an mbedtls_ssl_config *; `trust` must
 * outlive it.
 */
void trust_apply(struct trust *trust, void *ssl_config);
