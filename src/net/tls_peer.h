#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct trust;

/*
 * What one end of a TLS connection must be, and why it was not. libcurl shakes hands with mbedTLS
 * and tells hardly more than that it failed; so what verification found, what the peer said and
 * where the handshake stood are noted here while they can still be seen.
 */
struct tls_peer {
    struct trust *trust;       // borrowed
    unsigned char address[16]; // of a host in figures, as certificates hold it
    uint8_t address_len;       // 0: the host is a name
    uint32_t flags; // what is wrong with the certificates that came, MBEDTLS_X509_BADCERT_*
    void *config;   // mbedtls_ssl_config *, of the connection
    int failure;    // the code of mbedTLS; 0: it noted none
    int state;      // of the handshake that failed, an mbedtls_ssl_states
    uint8_t alert;  // that the peer sent, where `failure` is one
};

// `trust` borrowed; `host` is what the certificate must be for: a name by a dNSName, an address in
// figures by an iPAddress (RFC 9525 §6).
void tls_peer_init(struct tls_peer *peer, struct trust *trust, const char *host);

// Makes `ssl_config`, an mbedtls_ssl_config *, demand it. `peer` must outlive it.
bool tls_peer_apply(struct tls_peer *peer, void *ssl_config);

// Notes that a call failed with `code`; `ssl`, an mbedtls_ssl_context *, is looked at now or never.
// So is `fd` (-1: none): a server that refuses us says so and closes while we may still be sending,
// and then the alert lies there unread.
void tls_peer_note(struct tls_peer *peer, int code, const void *ssl, int fd);

// The sentence about a handshake that failed, its subject "it" or "its". -EKEYREJECTED where the
// certificate is not trusted, else another negative. `broken` is the errno of the socket, or 0.
int tls_peer_describe(const struct tls_peer *peer, int broken, struct error *err);

/*
 * Whether session tickets (RFC 8446 §4.6.1) are taken or ignored from now on; at first they are
 * ignored. mbedTLS acts upon one with its next call, which may be a write: a record that was half
 * sent would then be sent twice, and libcurl would not keep the ticket. So tickets are taken only
 * by a read while nothing waits to be sent, which is repeated until none is held.
 */
void tls_peer_take_tickets(struct tls_peer *peer, bool taken);
bool tls_peer_holds_ticket(const void *ssl); // `ssl`: an mbedtls_ssl_context *

// Why a call on a connection that stands failed, by what was noted: -ECONNABORTED at an end that
// the peer had not announced (a FIN without close_notify, which anybody on the way can send), the
// socket's errno where it was the socket, else -EPROTO.
int tls_peer_errno(const struct tls_peer *peer, int socket_errno);
