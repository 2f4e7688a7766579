/*
 * mbedTLS asks for five bytes of a record's header, then for the rest: two system calls, unless
 * somebody reads ahead. The socket is read into one buffer that all connections share, because
 * nearly always everything in it is used up before the next connection's turn: mbedTLS keeps a
 * record that is not whole yet in a buffer of its own. What is left when a transfer was paused in
 * the middle is copied to the connection (settle()).
 *
 * Records go out through a buffer as well, so that head and body leave in one system call.
 */
#include "net/http_tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <mbedtls/net_sockets.h>
#include <mbedtls/oid.h>
#include <mbedtls/ssl.h>
#include <psa/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/random.h"
#include "net/ca_roots.h"

enum {
    READ_AHEAD = 16 * 1024, // bytes
    READS_PER_TURN = 4,     // of READ_AHEAD, then somebody else's
    OUT_MAX = 32 * 1024,    // bytes that wait to be sent
    OUT_FLUSH = 16 * 1024,  // bytes, from which on more is not gathered
};

struct http_tls_shared {
    mbedtls_ssl_config config;
    struct http_tls *owner; // of what is in `ahead`
    char ahead[READ_AHEAD];
};

struct http_tls {
    struct http_tls_shared *shared;
    mbedtls_ssl_context ssl;
    int fd;
    unsigned char address[16]; // of a host in figures, as certificates hold it
    size_t address_len;        // 0: the host is a name
    struct span in;            // read ahead: in the shared buffer, or in `kept`
    struct buf kept;
    struct buf out;
    int reads_left; // in this turn
    bool drained;   // the socket had no more
    int broken;     // -errno
};

static const char *const protocols[] = {"http/1.1", NULL};

static int on_random(void *context, unsigned char *data, size_t len)
{
    (void)context;
    random_bytes(data, len);
    return 0;
}

int http_tls_shared_create(struct trust *trust, struct http_tls_shared **ret_shared,
                           struct error *err)
{
    if (!trust)
        return error_set(err, -EINVAL, "no certificate authority is trusted here");
    struct http_tls_shared *shared = mem_new(struct http_tls_shared);
    mbedtls_ssl_config_init(&shared->config);
    int r = psa_crypto_init() == PSA_SUCCESS ? 0 : -EIO;
    if (r == 0)
        r = mbedtls_ssl_config_defaults(&shared->config, MBEDTLS_SSL_IS_CLIENT,
                                        MBEDTLS_SSL_TRANSPORT_STREAM, MBEDTLS_SSL_PRESET_DEFAULT);
    if (r == 0)
        r = mbedtls_ssl_conf_alpn_protocols(&shared->config, (const char **)protocols);
    if (r != 0) {
        http_tls_shared_destroy(shared);
        return error_set(err, -EIO, "cannot set up TLS (%d)", r);
    }
    mbedtls_ssl_conf_rng(&shared->config, on_random, NULL);
    mbedtls_ssl_conf_min_tls_version(&shared->config, MBEDTLS_SSL_VERSION_TLS1_2);
    trust_apply(trust, &shared->config);
    *ret_shared = shared;
    return 0;
}

void http_tls_shared_destroy(struct http_tls_shared *shared)
{
    if (!shared)
        return;
    mbedtls_ssl_config_free(&shared->config);
    mbedtls_psa_crypto_free();
    free(shared);
}

// Moves what is left in the shared buffer out of the way.
static void settle(struct http_tls *tls)
{
    if (tls->shared->owner != tls)
        return;
    tls->shared->owner = NULL;
    if (tls->in.len) {
        buf_clear(&tls->kept);
        buf_append_span(&tls->kept, tls->in);
        tls->in = buf_span(&tls->kept);
    }
}

static int read_ahead(struct http_tls *tls)
{
    struct http_tls_shared *shared = tls->shared;
    if (tls->drained || tls->reads_left == 0)
        return MBEDTLS_ERR_SSL_WANT_READ;
    if (shared->owner && shared->owner != tls)
        settle(shared->owner);
    ssize_t n = recv(tls->fd, shared->ahead, READ_AHEAD, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        tls->drained = true;
        return MBEDTLS_ERR_SSL_WANT_READ;
    }
    if (n < 0) {
        tls->broken = -errno;
        return MBEDTLS_ERR_NET_CONN_RESET;
    }
    tls->reads_left--;
    tls->drained = n > 0 && n < READ_AHEAD; // an end of file is found by reading on
    shared->owner = tls;
    tls->in = span_make(shared->ahead, (size_t)n);
    return n > 0 ? 0 : MBEDTLS_ERR_SSL_CONN_EOF;
}

static int on_receive(void *context, unsigned char *data, size_t len)
{
    struct http_tls *tls = context;
    int r = tls->in.len ? 0 : read_ahead(tls);
    if (r < 0)
        return r;
    len = len < tls->in.len ? len : tls->in.len;
    memcpy(data, tls->in.data, len);
    tls->in = span_skip(tls->in, len);
    if (tls->in.len == 0)
        buf_clear(&tls->kept);
    return (int)len;
}

static int on_send(void *context, const unsigned char *data, size_t len)
{
    struct http_tls *tls = context;
    if (tls->out.len >= OUT_FLUSH && http_tls_flush(tls) < 0)
        return tls->broken ? MBEDTLS_ERR_NET_CONN_RESET : MBEDTLS_ERR_SSL_WANT_WRITE;
    size_t room = OUT_MAX - tls->out.len;
    len = len < room ? len : room;
    buf_append(&tls->out, data, len);
    return (int)len;
}

static bool is_for_address(const struct http_tls *tls, const mbedtls_x509_crt *crt)
{
    const mbedtls_x509_sequence *san = &crt->subject_alt_names;
    for (; san; san = san->next)
        if ((san->buf.tag & MBEDTLS_ASN1_TAG_VALUE_MASK) == MBEDTLS_X509_SAN_IP_ADDRESS &&
            san->buf.len == tls->address_len &&
            memcmp(san->buf.p, tls->address, tls->address_len) == 0)
            return true;
    return false;
}

// mbedTLS compares an address with names as well, and takes a common name where there is nothing
// else; RFC 9525 §6 wants what was meant for it, and no common name (§1.4.2).
static int on_certificate(void *context, mbedtls_x509_crt *crt, int depth, uint32_t *flags)
{
    const struct http_tls *tls = context;
    if (depth > 0)
        return 0;
    if (tls->address_len ? !is_for_address(tls, crt)
                         : !mbedtls_x509_crt_has_ext_type(crt, MBEDTLS_X509_EXT_SUBJECT_ALT_NAME))
        *flags |= MBEDTLS_X509_BADCERT_CN_MISMATCH;
    return 0;
}

// An address is sent as a server's name, too, which RFC 6066 §3 does not know. mbedTLS has a mark
// for "no name" (a NULL), but compares it by the address of an empty string, of which link-time
// optimization makes several: then it looks for the name "" in the certificate.
static int set_host(struct http_tls *tls, const char *host)
{
    if (inet_pton(AF_INET, host, tls->address) == 1)
        tls->address_len = 4;
    else if (inet_pton(AF_INET6, host, tls->address) == 1)
        tls->address_len = 16;
    mbedtls_ssl_set_verify(&tls->ssl, on_certificate, tls);
    return mbedtls_ssl_set_hostname(&tls->ssl, host);
}

int http_tls_create(struct http_tls_shared *shared, int fd, const char *host,
                    struct http_tls **ret_tls, struct error *err)
{
    struct http_tls *tls = mem_new(struct http_tls);
    tls->shared = shared;
    tls->fd = fd;
    tls->reads_left = READS_PER_TURN;
    buf_init(&tls->kept, READ_AHEAD);
    buf_init(&tls->out, OUT_MAX);
    mbedtls_ssl_init(&tls->ssl);
    int r = mbedtls_ssl_setup(&tls->ssl, &shared->config);
    if (r == 0)
        r = set_host(tls, host);
    if (r != 0) {
        http_tls_destroy(tls);
        return error_set(err, -ENOMEM, "cannot set up a TLS connection (-0x%04x)", (unsigned)-r);
    }
    mbedtls_ssl_set_bio(&tls->ssl, tls, on_send, on_receive, NULL);
    *ret_tls = tls;
    return 0;
}

void http_tls_destroy(struct http_tls *tls)
{
    if (!tls)
        return;
    if (tls->shared->owner == tls)
        tls->shared->owner = NULL;
    mbedtls_ssl_free(&tls->ssl);
    buf_finish(&tls->kept);
    buf_finish(&tls->out);
    free(tls);
}

void http_tls_readable(struct http_tls *tls)
{
    tls->reads_left = READS_PER_TURN;
    tls->drained = false;
}

static bool wants_more(int r)
{
    return r == MBEDTLS_ERR_SSL_WANT_READ || r == MBEDTLS_ERR_SSL_WANT_WRITE ||
           r == MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET;
}

static int describe_certificate(const struct http_tls *tls, struct error *err)
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
    uint32_t flags = mbedtls_ssl_get_verify_result(&tls->ssl);
    flags = flags == UINT32_MAX ? 0 : flags; // there is none
    for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
        if (flags & reasons[i].flag)
            return error_set(err, -EKEYREJECTED, "%s", reasons[i].sentence);
    return error_set(err, -EKEYREJECTED, "its certificate is not valid (0x%x)", (unsigned)flags);
}

// What the peer said when it refused (RFC 8446 §6.2).
static int describe_alert(const struct http_tls *tls, struct error *err)
{
    static const struct {
        unsigned char alert;
        const char *sentence;
    } reasons[] = {
        {MBEDTLS_SSL_ALERT_MSG_HANDSHAKE_FAILURE,
         ": it has no cipher, curve or signature in common with Hermes, or wants a certificate"},
        {MBEDTLS_SSL_ALERT_MSG_NO_CERT, ": it wants a certificate, and Hermes has none"},
        {MBEDTLS_SSL_ALERT_MSG_CERT_REQUIRED, ": it wants a certificate, and Hermes has none"},
        {MBEDTLS_SSL_ALERT_MSG_PROTOCOL_VERSION, ": it has neither TLS 1.2 nor 1.3"},
        {MBEDTLS_SSL_ALERT_MSG_INSUFFICIENT_SECURITY, ": it wants stronger ciphers"},
        {MBEDTLS_SSL_ALERT_MSG_INTERNAL_ERROR, ": it failed by itself"},
        {MBEDTLS_SSL_ALERT_MSG_UNRECOGNIZED_NAME, ": it does not know the URL's name"},
        {MBEDTLS_SSL_ALERT_MSG_NO_APPLICATION_PROTOCOL, ": it has no HTTP/1.1"},
    };
    unsigned char alert = tls->ssl.MBEDTLS_PRIVATE(in_msg)[1];
    const char *sentence = "";
    for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
        if (alert == reasons[i].alert)
            sentence = reasons[i].sentence;
    return error_set(err, -EPROTO, "it refused the handshake%s (TLS alert %u)", sentence, alert);
}

// What of the peer's mbedTLS did not accept; its code tells an expert more.
static int describe_step(const struct http_tls *tls, int r, struct error *err)
{
    const char *subject = "its part of the handshake";
    switch (tls->ssl.MBEDTLS_PRIVATE(state)) {
    case MBEDTLS_SSL_SERVER_HELLO:
        subject = "the version, cipher or curve that it chose";
        break;
    case MBEDTLS_SSL_ENCRYPTED_EXTENSIONS:
        subject = "an extension that it chose";
        break;
    case MBEDTLS_SSL_SERVER_CERTIFICATE:
        subject = "its certificate";
        break;
    case MBEDTLS_SSL_SERVER_KEY_EXCHANGE:
        subject = "the curve that it chose or the signature that it made";
        break;
    case MBEDTLS_SSL_CERTIFICATE_VERIFY:
        subject = "the signature that it made";
        break;
    default:
        break;
    }
    return error_set(err, -EPROTO, "%s cannot be accepted (mbedTLS -0x%04x)", subject,
                     (unsigned)-r);
}

static int describe_handshake(const struct http_tls *tls, int r, struct error *err)
{
    switch (r) {
    case MBEDTLS_ERR_SSL_BAD_CERTIFICATE: // it holds, but not for this use
    case MBEDTLS_ERR_X509_CERT_VERIFY_FAILED:
        return describe_certificate(tls, err);
    case MBEDTLS_ERR_SSL_CONN_EOF:
    case MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY:
        return error_set(err, -EPROTO, "it ended the connection during the handshake");
    case MBEDTLS_ERR_NET_CONN_RESET:
        return error_errno(err, -tls->broken, "the handshake failed");
    case MBEDTLS_ERR_SSL_INVALID_RECORD:
    case MBEDTLS_ERR_SSL_UNEXPECTED_RECORD:
        return error_set(err, -EPROTO, "it does not speak TLS");
    case MBEDTLS_ERR_SSL_UNEXPECTED_MESSAGE:
        return error_set(err, -EPROTO, "it sent a message that has no place in the handshake");
    case MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE:
        return describe_alert(tls, err);
    case MBEDTLS_ERR_SSL_BAD_PROTOCOL_VERSION:
        return error_set(err, -EPROTO, "it has neither TLS 1.2 nor 1.3");
    case MBEDTLS_ERR_SSL_ALLOC_FAILED:
    case MBEDTLS_ERR_X509_ALLOC_FAILED:
        return error_set(err, -ENOMEM, "there is no memory for the handshake");
    default:
        return describe_step(tls, r, err);
    }
}

int http_tls_handshake(struct http_tls *tls, struct error *err)
{
    int r = mbedtls_ssl_handshake(&tls->ssl);
    int sent = http_tls_flush(tls); // an alert, too
    if (r != 0 && !wants_more(r))
        return describe_handshake(tls, r, err);
    if (sent < 0 && sent != -EAGAIN)
        return error_errno(err, -sent, "the handshake failed");
    return r == 0;
}

ssize_t http_tls_read(struct http_tls *tls, char *data, size_t size)
{
    int r;
    do
        r = mbedtls_ssl_read(&tls->ssl, (unsigned char *)data, size);
    while (r == MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET);
    if (r > 0)
        return r;
    if (wants_more(r))
        return -EAGAIN;
    if (r == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY)
        return 0;
    bool ended = r == 0 || r == MBEDTLS_ERR_SSL_CONN_EOF; // anybody on the way can do that
    return tls->broken ? tls->broken : ended ? -ECONNABORTED : -EPROTO;
}

ssize_t http_tls_write(struct http_tls *tls, struct span data)
{
    int r = mbedtls_ssl_write(&tls->ssl, (const unsigned char *)data.data, data.len);
    if (r >= 0)
        return r;
    if (wants_more(r))
        return -EAGAIN;
    return tls->broken ? tls->broken : -EPROTO;
}

int http_tls_flush(struct http_tls *tls)
{
    size_t done = 0;
    int r = tls->broken;
    while (r == 0 && done < tls->out.len) {
        ssize_t n = send(tls->fd, tls->out.data + done, tls->out.len - done, MSG_NOSIGNAL);
        if (n >= 0)
            done += (size_t)n;
        else if (errno == EAGAIN)
            r = -EAGAIN;
        else if (errno != EINTR)
            r = tls->broken = -errno;
    }
    if (done == tls->out.len)
        buf_finish(&tls->out), buf_init(&tls->out, OUT_MAX);
    else
        buf_consume(&tls->out, done);
    return r;
}
