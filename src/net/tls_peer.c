#include "net/tls_peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <mbedtls/oid.h>
#include <mbedtls/ssl.h>
#include <string.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "net/ca_roots.h"

// What libcurl's backend hands mbedTLS when the socket failed, and mbedTLS hands back.
enum { TLS_PEER_SOCKET_FAILED = -1 };

static const char *const protocols[] = {"http/1.1", NULL};

void tls_peer_init(struct tls_peer *peer, struct trust *trust, const char *host)
{
    *peer = (struct tls_peer){.trust = trust};
    if (inet_pton(AF_INET, host, peer->address) == 1)
        peer->address_len = 4;
    else if (inet_pton(AF_INET6, host, peer->address) == 1)
        peer->address_len = 16;
}

static bool is_for_address(const struct tls_peer *peer, const mbedtls_x509_crt *crt)
{
    const mbedtls_x509_sequence *san = &crt->subject_alt_names;
    for (; san; san = san->next)
        if ((san->buf.tag & MBEDTLS_ASN1_TAG_VALUE_MASK) == MBEDTLS_X509_SAN_IP_ADDRESS &&
            san->buf.len == peer->address_len &&
            memcmp(san->buf.p, peer->address, peer->address_len) == 0)
            return true;
    return false;
}

// mbedTLS compares an address with names as well, and takes a common name where there is nothing
// else; RFC 9525 §6 wants what was meant for it, and no common name (§1.4.2).
static int on_certificate(void *context, mbedtls_x509_crt *crt, int depth, uint32_t *flags)
{
    struct tls_peer *peer = context;
    bool leaf = depth == 0;
    if (leaf && (peer->address_len
                     ? !is_for_address(peer, crt)
                     : !mbedtls_x509_crt_has_ext_type(crt, MBEDTLS_X509_EXT_SUBJECT_ALT_NAME)))
        *flags |= MBEDTLS_X509_BADCERT_CN_MISMATCH;
    peer->flags |= *flags;
    return 0;
}

bool tls_peer_apply(struct tls_peer *peer, void *ssl_config)
{
    mbedtls_ssl_config *config = ssl_config;
    if (!peer->trust || mbedtls_ssl_conf_alpn_protocols(config, (const char **)protocols) != 0)
        return false;
    mbedtls_ssl_conf_min_tls_version(config, MBEDTLS_SSL_VERSION_TLS1_2);
    trust_apply(peer->trust, config);
    mbedtls_ssl_conf_verify(config, on_certificate, peer);
    peer->config = config;
    tls_peer_take_tickets(peer, false);
    return true;
}

// One that is not encrypted (RFC 5246 §7.2): a record's header, the level, what it says.
static bool peek_alert(int fd, uint8_t *ret_alert)
{
    unsigned char record[7];
    if (recv(fd, record, sizeof record, MSG_PEEK | MSG_DONTWAIT) != (ssize_t)sizeof record ||
        record[0] != MBEDTLS_SSL_MSG_ALERT || record[3] != 0 || record[4] != 2)
        return false;
    *ret_alert = record[6];
    return record[5] == MBEDTLS_SSL_ALERT_LEVEL_FATAL;
}

void tls_peer_note(struct tls_peer *peer, int code, const void *ssl, int fd)
{
    const mbedtls_ssl_context *context = ssl;
    peer->failure = code ? code : MBEDTLS_ERR_SSL_CONN_EOF; // as mbedtls_ssl_read() tells that
    if (code == TLS_PEER_SOCKET_FAILED && fd >= 0 && peek_alert(fd, &peer->alert))
        peer->failure = MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE;
    if (!context)
        return;
    peer->state = context->MBEDTLS_PRIVATE(state);
    uint32_t verified = mbedtls_ssl_get_verify_result(context);
    peer->flags |= verified == UINT32_MAX ? 0 : verified; // that: there was no certificate
    if (code == MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE)
        peer->alert = context->MBEDTLS_PRIVATE(in_msg)[1];
}

void tls_peer_take_tickets(struct tls_peer *peer, bool taken)
{
    mbedtls_ssl_conf_tls13_enable_signal_new_session_tickets(
        peer->config, taken ? MBEDTLS_SSL_TLS1_3_SIGNAL_NEW_SESSION_TICKETS_ENABLED
                            : MBEDTLS_SSL_TLS1_3_SIGNAL_NEW_SESSION_TICKETS_DISABLED);
}

bool tls_peer_holds_ticket(const void *ssl)
{
    const mbedtls_ssl_context *context = ssl;
    return context->MBEDTLS_PRIVATE(state) == MBEDTLS_SSL_TLS1_3_NEW_SESSION_TICKET;
}

int tls_peer_errno(const struct tls_peer *peer, int socket_errno)
{
    if (peer->failure == MBEDTLS_ERR_SSL_CONN_EOF)
        return -ECONNABORTED;
    bool lost_socket = peer->failure == TLS_PEER_SOCKET_FAILED || peer->failure == 0;
    return lost_socket && socket_errno > 0 ? -socket_errno : -EPROTO;
}

static int describe_certificate(const struct tls_peer *peer, struct error *err)
{
    static const struct {
        uint32_t flag;
        const char *sentence;
    } reasons[] = {
        {MBEDTLS_X509_BADCERT_EXPIRED,
         "its certificate has expired; check this machine's clock as well"},
        {MBEDTLS_X509_BADCERT_FUTURE,
         "its certificate is not valid yet; check this machine's clock"},
        {MBEDTLS_X509_BADCERT_CN_MISMATCH, "its certificate is not for the URL's name"},
        {MBEDTLS_X509_BADCERT_NOT_TRUSTED, "no trusted authority signed its certificate; if the "
                                           "server is your own, name its CA with SSL_CERT_FILE"},
        {MBEDTLS_X509_BADCERT_REVOKED, "its certificate was revoked"},
        {MBEDTLS_X509_BADCERT_MISSING, "it has no certificate"},
        {MBEDTLS_X509_BADCERT_BAD_MD | MBEDTLS_X509_BADCERT_BAD_PK | MBEDTLS_X509_BADCERT_BAD_KEY,
         "its certificate is signed with an algorithm or key that is too weak"},
        {MBEDTLS_X509_BADCERT_KEY_USAGE | MBEDTLS_X509_BADCERT_EXT_KEY_USAGE,
         "its certificate is not for servers"},
    };
    uint32_t flags = peer->flags;
    for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
        if (flags & reasons[i].flag)
            return error_set(err, -EKEYREJECTED, "%s", reasons[i].sentence);
    return error_set(err, -EKEYREJECTED, "its certificate is not valid (0x%x)", (unsigned)flags);
}

// What the peer said when it refused (RFC 8446 §6.2).
static int describe_alert(const struct tls_peer *peer, struct error *err)
{
    static const char *const reasons[UINT8_MAX + 1] = {
        [MBEDTLS_SSL_ALERT_MSG_HANDSHAKE_FAILURE] =
            ": it has no cipher, curve or signature in common with Hermes, or wants a certificate",
        [MBEDTLS_SSL_ALERT_MSG_NO_CERT] = ": it wants a certificate, and Hermes has none",
        [MBEDTLS_SSL_ALERT_MSG_CERT_REQUIRED] = ": it wants a certificate, and Hermes has none",
        [MBEDTLS_SSL_ALERT_MSG_PROTOCOL_VERSION] = ": it has neither TLS 1.2 nor 1.3",
        [MBEDTLS_SSL_ALERT_MSG_INSUFFICIENT_SECURITY] = ": it wants stronger ciphers",
        [MBEDTLS_SSL_ALERT_MSG_INTERNAL_ERROR] = ": it failed by itself",
        [MBEDTLS_SSL_ALERT_MSG_UNRECOGNIZED_NAME] = ": it does not know the URL's name",
        [MBEDTLS_SSL_ALERT_MSG_NO_APPLICATION_PROTOCOL] = ": it has no HTTP/1.1",
    };
    const char *reason = reasons[peer->alert];
    return error_set(err, -EPROTO, "it refused the handshake%s (TLS alert %u)",
                     reason ? reason : "", peer->alert);
}

// What of the peer's mbedTLS did not accept; its code tells an expert more.
static int describe_step(const struct tls_peer *peer, struct error *err)
{
    static const char *const subjects[] = {
        [MBEDTLS_SSL_SERVER_HELLO] = "the version, cipher or curve that it chose",
        [MBEDTLS_SSL_ENCRYPTED_EXTENSIONS] = "an extension that it chose",
        [MBEDTLS_SSL_SERVER_CERTIFICATE] = "its certificate",
        [MBEDTLS_SSL_SERVER_KEY_EXCHANGE] = "the curve that it chose or the signature that it made",
        [MBEDTLS_SSL_CERTIFICATE_VERIFY] = "the signature that it made",
    };
    const char *subject = (size_t)peer->state < ARRAY_LEN(subjects) ? subjects[peer->state] : NULL;
    return error_set(err, -EPROTO, "%s cannot be accepted (mbedTLS -0x%04x)",
                     subject ? subject : "its part of the handshake", (unsigned)-peer->failure);
}

int tls_peer_describe(const struct tls_peer *peer, int broken, struct error *err)
{
    if (!peer->trust)
        return error_set(err, -EKEYREJECTED, "no certificate authority is trusted here");
    if (!peer->failure && peer->flags)
        return describe_certificate(peer, err);
    switch (peer->failure) {
    case MBEDTLS_ERR_SSL_BAD_CERTIFICATE: // it holds, but not for this use
    case MBEDTLS_ERR_X509_CERT_VERIFY_FAILED:
        return describe_certificate(peer, err);
    case MBEDTLS_ERR_SSL_CONN_EOF:
    case MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY:
        return error_set(err, -EPROTO, "it ended the connection during the handshake");
    case TLS_PEER_SOCKET_FAILED:
        return error_errno(err, broken ? broken : ECONNRESET, "the handshake failed");
    case MBEDTLS_ERR_SSL_INVALID_RECORD:
    case MBEDTLS_ERR_SSL_UNEXPECTED_RECORD:
        return error_set(err, -EPROTO, "it does not speak TLS");
    case MBEDTLS_ERR_SSL_UNEXPECTED_MESSAGE:
        return error_set(err, -EPROTO, "it sent a message that has no place in the handshake");
    case MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE:
        return describe_alert(peer, err);
    case MBEDTLS_ERR_SSL_BAD_PROTOCOL_VERSION:
        return error_set(err, -EPROTO, "it has neither TLS 1.2 nor 1.3");
    case MBEDTLS_ERR_SSL_ALLOC_FAILED:
    case MBEDTLS_ERR_X509_ALLOC_FAILED:
        return error_set(err, -ENOMEM, "there is no memory for the handshake");
    default:
        return describe_step(peer, err);
    }
}
