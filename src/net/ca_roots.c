/*
 * mbedTLS asks, while it builds a chain, who could have signed a certificate (the CA callback), and
 * frees what it is given. So an embedded root exists as a certificate for microseconds, and what is
 * stored of most is the part that makes it an authority: validity, subject and key, three
 * consecutive elements of every certificate. wrap() puts a version 1 certificate around them, which
 * mbedTLS takes for an authority only when it comes out of this callback.
 *
 * Names are found by binary search over folded bytes: letters in lower case, UTF8String as
 * PrintableString. Whatever mbedTLS holds for equal is then equal here, because the two encodings
 * have the same lengths; what is equal here and not there, mbedTLS itself refuses afterwards.
 *
 * Two kindnesses to those who bring a file of their own:
 * - A root signed with SHA-1 (DigiCert's and others' are) cannot be parsed, since mbedTLS is built
 *   without SHA-1, although nobody ever checks a root's signature on itself. Its algorithm is
 *   renamed to the SHA-256 one, which is as long.
 * - A self-signed server certificate that is no authority is trusted when it is exactly the one in
 *   the file. mbedTLS does that for its own list but not for the callback, so the callback answers
 *   with the same certificate, wrapped.
 */
#include "net/ca_roots.h"

#include <errno.h>
#include <mbedtls/asn1.h>
#include <mbedtls/pem.h>
#include <mbedtls/platform.h>
#include <mbedtls/ssl.h>
#include <mbedtls/x509_crt.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/mem.h"
#include "net/ca_roots_table.h"

enum {
    PEM_FILE_MAX = 16 * 1024 * 1024, // bytes; Debian's bundle has 220,000
    ANCHOR_MAX = 64 * 1024,          // bytes of one certificate
    SEQUENCE = MBEDTLS_ASN1_CONSTRUCTED | MBEDTLS_ASN1_SEQUENCE,
};

struct anchor {
    struct span der; // owned
    struct span subject;
};

struct trust {
    bool embedded;
    struct anchor *anchors; // sorted by subject; none when the roots are the embedded ones
    size_t count, capacity, skipped;
};

static unsigned char fold(char c)
{
    if (c == MBEDTLS_ASN1_UTF8_STRING)
        return MBEDTLS_ASN1_PRINTABLE_STRING;
    return (unsigned char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

static int compare_names(struct span a, struct span b)
{
    for (size_t i = 0; i < a.len && i < b.len; i++)
        if (fold(a.data[i]) != fold(b.data[i]))
            return fold(a.data[i]) < fold(b.data[i]) ? -1 : 1;
    return (a.len > b.len) - (a.len < b.len);
}

static size_t count_of(const struct trust *trust)
{
    return trust->embedded ? ca_roots_table_len : trust->count;
}

static struct span subject_of(const struct trust *trust, size_t i)
{
    const struct ca_root *root = &ca_roots_table[i];
    return trust->embedded
               ? span_make(ca_roots_der + root->offset + root->subject_at, root->subject_len)
               : trust->anchors[i].subject;
}

// The first whose subject is not less than `name`.
static size_t lower_bound(const struct trust *trust, struct span name)
{
    size_t low = 0, high = count_of(trust);
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare_names(subject_of(trust, middle), name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool append_header(struct buf *der, unsigned char tag, size_t len)
{
    const unsigned char header[] = {tag, 0x82, (unsigned char)(len >> 8), (unsigned char)len};
    return len <= UINT16_MAX && buf_append(der, header, sizeof header); // BER's long form will do
}

// Certificate ::= SEQUENCE { SEQUENCE { serial 1, ecdsa-with-SHA256, issuer "CN=-", `core` },
// ecdsa-with-SHA256, BIT STRING "" }; RFC 5280 §4.1, version 1.
static bool wrap(struct span core, struct buf *der)
{
#define ALGORITHM "\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02"
    static const char head[] =
        "\x02\x01\x01" ALGORITHM "\x30\x0c\x31\x0a\x30\x08\x06\x03\x55\x04\x03\x0c\x01-";
    static const char tail[] = ALGORITHM "\x03\x01";
#undef ALGORITHM
    size_t head_len = sizeof head - 1, tail_len = sizeof tail; // the NUL is the bit string
    size_t body_len = head_len + core.len;
    return append_header(der, SEQUENCE, 4 + body_len + tail_len) &&
           append_header(der, SEQUENCE, body_len) && buf_append(der, head, head_len) &&
           buf_append_span(der, core) && buf_append(der, tail, tail_len);
}

static bool append_embedded(size_t i, struct buf *der)
{
    const struct ca_root *root = &ca_roots_table[i];
    struct span bytes = span_make(ca_roots_der + root->offset, root[1].offset - root->offset);
    return root->whole ? buf_append_span(der, bytes) : wrap(bytes, der);
}

bool ca_roots_find(struct span subject, size_t n, struct buf *der)
{
    const struct trust all = {.embedded = true};
    size_t i = lower_bound(&all, subject) + n;
    return i < ca_roots_table_len && compare_names(subject_of(&all, i), subject) == 0 &&
           append_embedded(i, der);
}

static struct span raw(const mbedtls_x509_buf *bytes)
{
    return span_make(bytes->p, bytes->len);
}

static int add_candidate(const struct trust *trust, size_t i, const mbedtls_x509_crt *child,
                         mbedtls_x509_crt *list)
{
    BUF_AUTO der = BUF_INIT(ANCHOR_MAX);
    const unsigned char *core = child->issuer_raw.p + child->issuer_raw.len; // to the key's end
    bool built;
    if (trust->embedded)
        built = append_embedded(i, &der);
    else if (span_equal(raw(&child->raw), trust->anchors[i].der))
        built = wrap(span_make(core, (size_t)(child->pk_raw.p + child->pk_raw.len - core)), &der);
    else
        built = buf_append_span(&der, trust->anchors[i].der);
    int r = built ? mbedtls_x509_crt_parse_der(list, (const unsigned char *)der.data, der.len)
                  : MBEDTLS_ERR_X509_ALLOC_FAILED;
    return r == MBEDTLS_ERR_X509_ALLOC_FAILED ? r : 0; // what cannot be parsed is no candidate
}

static int on_who_signed(void *ctx, const mbedtls_x509_crt *child, mbedtls_x509_crt **ret_list)
{
    const struct trust *trust = ctx;
    struct span issuer = raw(&child->issuer_raw);
    mbedtls_x509_crt *list = mbedtls_calloc(1, sizeof *list); // mbedTLS frees it
    int r = list ? 0 : MBEDTLS_ERR_X509_ALLOC_FAILED;
    if (list)
        mbedtls_x509_crt_init(list);
    for (size_t i = lower_bound(trust, issuer);
         r == 0 && i < count_of(trust) && compare_names(subject_of(trust, i), issuer) == 0; i++)
        r = add_candidate(trust, i, child, list);
    *ret_list = list;
    return r;
}

void trust_apply(struct trust *trust, void *ssl_config)
{
    mbedtls_ssl_config *config = ssl_config;
    mbedtls_ssl_conf_authmode(config, MBEDTLS_SSL_VERIFY_REQUIRED);
    mbedtls_ssl_conf_cert_profile(config, &mbedtls_x509_crt_profile_default);
    mbedtls_ssl_conf_ca_cb(config, on_who_signed, trust);
}

// RSA with MD2, MD5 or SHA-1 becomes RSA with SHA-256 (RFC 8017 appendix A.2.4) wherever it stands:
// in what is signed, and beside the signature.
static bool rename_old_signature(char *der, size_t len)
{
    static const char rsa[] = "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01";
    enum { RSA_MD2 = 2, RSA_MD5 = 4, RSA_SHA1 = 5, RSA_SHA256 = 11 };
    bool renamed = false;
    struct span rest = span_make(der, len);
    for (ptrdiff_t at; (at = span_find(rest, SPAN_LITERAL(rsa))) >= 0;) {
        rest = span_skip(rest, (size_t)at + sizeof rsa - 1);
        char *last = der + len - rest.len;
        if (rest.len && (*last == RSA_MD2 || *last == RSA_MD5 || *last == RSA_SHA1)) {
            *last = RSA_SHA256;
            renamed = true;
        }
    }
    return renamed;
}

static void add_certificate(struct trust *trust, const unsigned char *der, size_t len)
{
    BUF_AUTO copy = BUF_INIT(ANCHOR_MAX);
    mbedtls_x509_crt crt;
    mbedtls_x509_crt_init(&crt);
    int r = buf_append(&copy, der, len) ? 0 : MBEDTLS_ERR_X509_ALLOC_FAILED;
    unsigned char *bytes = (unsigned char *)copy.data;
    if (r == 0)
        r = mbedtls_x509_crt_parse_der_nocopy(&crt, bytes, len);
    if (r && r != MBEDTLS_ERR_X509_ALLOC_FAILED && rename_old_signature(copy.data, len))
        r = mbedtls_x509_crt_parse_der_nocopy(&crt, bytes, len);
    if (r == 0) {
        char *kept = mem_strndup(copy.data, crt.raw.len);
        size_t subject_at = (size_t)(crt.subject_raw.p - crt.raw.p);
        trust->anchors =
            mem_grow(trust->anchors, trust->count, &trust->capacity, sizeof(struct anchor));
        trust->anchors[trust->count++] = (struct anchor){
            .der = {kept, crt.raw.len},
            .subject = {kept + subject_at, crt.subject_raw.len},
        };
    } else {
        trust->skipped++;
    }
    mbedtls_x509_crt_free(&crt);
}

static void add_pem(struct trust *trust, const char *text)
{
    static const char begin[] = "-----BEGIN CERTIFICATE-----";
    static const char end[] = "-----END CERTIFICATE-----";
    while ((text = strstr(text, begin))) {
        mbedtls_pem_context pem;
        size_t used = 0, len = 0;
        mbedtls_pem_init(&pem);
        int r =
            mbedtls_pem_read_buffer(&pem, begin, end, (const unsigned char *)text, NULL, 0, &used);
        if (r == 0) {
            const unsigned char *der = mbedtls_pem_get_buffer(&pem, &len);
            add_certificate(trust, der, len);
        } else {
            trust->skipped++;
        }
        mbedtls_pem_free(&pem);
        text += used ? used : sizeof begin - 1;
    }
}

static int compare_anchors(const void *a, const void *b)
{
    return compare_names(((const struct anchor *)a)->subject, ((const struct anchor *)b)->subject);
}

static int load(struct trust *trust, const char *pem_file, struct error *err)
{
    BUF_AUTO text = BUF_INIT(PEM_FILE_MAX);
    int r = fd_read_file(pem_file, &text, err);
    if (r < 0)
        return r;
    add_pem(trust, buf_text(&text));
    if (trust->count == 0)
        return error_set(err, -EINVAL, "%s has no usable PEM certificate%s", pem_file,
                         trust->skipped ? " (damaged or too old)" : "");
    qsort(trust->anchors, trust->count, sizeof(struct anchor), compare_anchors);
    return 0;
}

int trust_create(const char *pem_file, struct trust **ret_trust, struct error *err)
{
    struct trust *trust = mem_new(struct trust);
    trust->embedded = !pem_file || !*pem_file;
    int r = trust->embedded ? 0 : load(trust, pem_file, err);
    if (r < 0)
        trust_destroy(trust);
    else
        *ret_trust = trust;
    return r;
}

void trust_destroy(struct trust *trust)
{
    if (!trust)
        return;
    for (size_t i = 0; i < trust->count; i++)
        free((void *)trust->anchors[i].der.data);
    free(trust->anchors);
    free(trust);
}

size_t trust_count(const struct trust *trust)
{
    return count_of(trust);
}
