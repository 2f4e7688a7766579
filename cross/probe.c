/*
 * A program that uses every library of a sysroot once, for two purposes: to see that the sysroot
 * works on its target, and to weigh what the libraries cost before any code of ours.
 *
 * So it calls what the product will call (TLS over its own socket, an mbedTLS verification
 * callback, FTS5 and WAL), because link-time optimisation throws away whatever nobody calls.
 *
 * usage: probe                   everything but a handshake
 *        probe PORT CA-FILE      also fetch / from 127.0.0.1:PORT over TLS, trusting the roots in
 *                                CA-FILE
 */
#include <cjson/cJSON.h>
#include <mbedtls/build_info.h>
#include <mbedtls/psa_util.h>
#include <mbedtls/ssl.h>
#include <mbedtls/x509_crt.h>
#include <netdb.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <yaml.h>

static void check(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "probe: %s failed\n", what);
    exit(1);
}

/* --- SQLite ---------------------------------------------------------------------------------- */

static int count_row(void *arg, int n, char **values, char **names)
{
    (void)names;
    *(int *)arg += n == 1 && strcmp(values[0], "the lazy dog") == 0;
    return 0;
}

static void run_sql(sqlite3 *db, const char *sql, int *count)
{
    char *message = NULL;

    if (sqlite3_exec(db, sql, count ? count_row : NULL, count, &message) == SQLITE_OK)
        return;
    fprintf(stderr, "probe: %s: %s\n", sql, message);
    exit(1);
}

static void copy_database(sqlite3 *from)
{
    sqlite3 *to = NULL;
    sqlite3_backup *backup = NULL;

    check(sqlite3_open(":memory:", &to) == SQLITE_OK, "sqlite3_open");
    backup = sqlite3_backup_init(to, "main", from, "main");
    check(backup && sqlite3_backup_step(backup, -1) == SQLITE_DONE, "sqlite3_backup");
    sqlite3_backup_finish(backup);
    sqlite3_close(to);
}

static void probe_sqlite(void)
{
    char directory[] = "/tmp/hermes-probe-XXXXXX", path[64];
    sqlite3 *db = NULL, *reader = NULL;
    int found = 0;

    check(mkdtemp(directory) != NULL, "mkdtemp");
    snprintf(path, sizeof(path), "%s/p.db", directory);
    check(sqlite3_threadsafe() == 2, "sqlite3_threadsafe");
    check(sqlite3_open(path, &db) == SQLITE_OK, "sqlite3_open");
    run_sql(db,
            "pragma journal_mode=wal; create virtual table t using fts5(body);"
            "insert into t values('the lazy dog'),('a quick fox');",
            NULL);
    check(sqlite3_open_v2(path, &reader, SQLITE_OPEN_READONLY, NULL) == SQLITE_OK, "reader");
    run_sql(reader, "select body from t where t match 'dog' order by bm25(t)", &found);
    check(found == 1, "FTS5 query");
    /* An OMIT may quietly renumber the grammar: SQLITE_OMIT_ANALYZE breaks CAST in 3.46.1. */
    run_sql(reader,
            "select 'the lazy dog' where typeof(cast(1 as text)) = 'text'"
            " and typeof(cast('1' as integer)) = 'integer' and cast(12.7 as integer) = 12",
            &found);
    check(found == 2, "CAST");
    run_sql(reader, "pragma quick_check", NULL);
    copy_database(db);
    sqlite3_close(reader);
    check(sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL) == SQLITE_OK,
          "checkpoint");
    sqlite3_close(db);
    unlink(path);
    rmdir(directory);
    printf("sqlite %s: WAL, FTS5\n", sqlite3_libversion());
}

/* --- YAML ------------------------------------------------------------------------------------ */

static void probe_yaml(void)
{
    static const unsigned char text[] = "models:\n  - {name: free, limit: 3}\n";
    yaml_parser_t parser;
    yaml_event_t event;
    int scalars = 0;
    bool end = false;

    check(yaml_parser_initialize(&parser), "yaml_parser_initialize");
    yaml_parser_set_input_string(&parser, text, sizeof(text) - 1);
    while (!end) {
        check(yaml_parser_parse(&parser, &event), "yaml_parser_parse");
        scalars += event.type == YAML_SCALAR_EVENT;
        end = event.type == YAML_STREAM_END_EVENT;
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    check(scalars == 5, "YAML scalars");
    printf("libyaml %s\n", yaml_get_version_string());
}

/* --- JSON ------------------------------------------------------------------------------------ */

static void probe_json(void)
{
    char text[64];
    cJSON *document = cJSON_CreateObject();

    check(cJSON_AddNumberToObject(document, "tokens", 12345) != NULL, "a JSON number");
    check(cJSON_AddRawToObject(document, "id", "12345678901234567890") != NULL, "raw JSON");
    check(cJSON_PrintPreallocated(document, text, sizeof(text), false), "printing JSON");
    check(strcmp(text, "{\"tokens\":12345,\"id\":12345678901234567890}") == 0, "JSON");
    cJSON_Delete(document);
    printf("cJSON %s\n", cJSON_Version());
}

/* --- TLS ------------------------------------------------------------------------------------- */

/* mbedTLS frees the candidates, so each call hands out a copy. */
static int find_roots(void *arg, const mbedtls_x509_crt *child, mbedtls_x509_crt **ret_roots)
{
    const mbedtls_x509_crt *root = arg;
    mbedtls_x509_crt *copy = NULL;

    (void)child;
    *ret_roots = NULL;
    if (root->raw.len == 0)
        return 0;
    copy = calloc(1, sizeof(*copy));
    if (!copy)
        return MBEDTLS_ERR_X509_ALLOC_FAILED;
    mbedtls_x509_crt_init(copy);
    *ret_roots = copy;
    return mbedtls_x509_crt_parse_der_nocopy(copy, root->raw.p, root->raw.len);
}

static int send_bytes(void *arg, const unsigned char *data, size_t size)
{
    ssize_t n = send(*(int *)arg, data, size, MSG_NOSIGNAL);

    return n < 0 ? MBEDTLS_ERR_SSL_INTERNAL_ERROR : (int)n;
}

static int receive_bytes(void *arg, unsigned char *data, size_t size)
{
    ssize_t n = recv(*(int *)arg, data, size, 0);

    return n < 0 ? MBEDTLS_ERR_SSL_INTERNAL_ERROR : (int)n;
}

static int connect_to(const char *port)
{
    struct addrinfo wanted = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *found = NULL;
    int fd = -1;

    check(getaddrinfo("127.0.0.1", port, &wanted, &found) == 0, "getaddrinfo");
    fd = socket(found->ai_family, found->ai_socktype | SOCK_CLOEXEC, 0);
    check(connect(fd, found->ai_addr, found->ai_addrlen) == 0, "connect");
    freeaddrinfo(found);
    return fd;
}

static void fetch(mbedtls_ssl_context *ssl)
{
    static const unsigned char request[] = "GET / HTTP/1.0\r\n\r\n";
    unsigned char answer[16];
    size_t have = 0;

    check(mbedtls_ssl_write(ssl, request, sizeof(request) - 1) == sizeof(request) - 1, "a request");
    while (have < sizeof(answer)) {
        int n = mbedtls_ssl_read(ssl, answer + have, sizeof(answer) - have);

        check(n > 0, "an answer");
        have += (size_t)n;
    }
    check(memcmp(answer, "HTTP/1.0 200", 12) == 0, "HTTP over TLS");
}

/* Whether hands were shaken; a certificate that is not trusted is the only other end. */
static bool shake_hands(const char *port, mbedtls_x509_crt *roots,
                        mbedtls_ssl_protocol_version version)
{
    mbedtls_ssl_config config;
    mbedtls_ssl_context ssl;
    int fd = connect_to(port), r;

    mbedtls_ssl_config_init(&config);
    mbedtls_ssl_init(&ssl);
    check(mbedtls_ssl_config_defaults(&config, MBEDTLS_SSL_IS_CLIENT, MBEDTLS_SSL_TRANSPORT_STREAM,
                                      MBEDTLS_SSL_PRESET_DEFAULT) == 0,
          "mbedtls_ssl_config_defaults");
    mbedtls_ssl_conf_rng(&config, mbedtls_psa_get_random, MBEDTLS_PSA_RANDOM_STATE);
    mbedtls_ssl_conf_min_tls_version(&config, version);
    mbedtls_ssl_conf_max_tls_version(&config, version);
    mbedtls_ssl_conf_ca_cb(&config, find_roots, roots);
    check(mbedtls_ssl_setup(&ssl, &config) == 0, "mbedtls_ssl_setup");
    check(mbedtls_ssl_set_hostname(&ssl, "127.0.0.1") == 0, "mbedtls_ssl_set_hostname");
    mbedtls_ssl_set_bio(&ssl, &fd, send_bytes, receive_bytes, NULL);
    r = mbedtls_ssl_handshake(&ssl);
    check(r == 0 || r == MBEDTLS_ERR_X509_CERT_VERIFY_FAILED, "the handshake");
    if (r == 0)
        fetch(&ssl);
    printf("%s %s\n", mbedtls_ssl_get_version(&ssl), r == 0 ? "verified" : "refused");
    mbedtls_ssl_free(&ssl);
    mbedtls_ssl_config_free(&config);
    close(fd);
    return r == 0;
}

static void probe_tls(const char *port, const char *file)
{
    mbedtls_x509_crt roots, none;

    mbedtls_x509_crt_init(&roots);
    mbedtls_x509_crt_init(&none);
    check(psa_crypto_init() == PSA_SUCCESS, "psa_crypto_init");
    if (file) {
        check(mbedtls_x509_crt_parse_file(&roots, file) == 0, "parsing the roots");
        check(shake_hands(port, &roots, MBEDTLS_SSL_VERSION_TLS1_3), "TLS 1.3");
        check(shake_hands(port, &roots, MBEDTLS_SSL_VERSION_TLS1_2), "TLS 1.2");
        check(!shake_hands(port, &none, MBEDTLS_SSL_VERSION_TLS1_2), "refusing an unknown root");
    }
    mbedtls_psa_crypto_free();
    mbedtls_x509_crt_free(&roots);
    printf("Mbed TLS %s\n", MBEDTLS_VERSION_STRING);
}

int main(int argc, char **argv)
{
    probe_sqlite();
    probe_yaml();
    probe_json();
    probe_tls(argc > 2 ? argv[1] : NULL, argc > 2 ? argv[2] : NULL);
    return 0;
}
