/*
 * A program that uses every library of a sysroot once, for two purposes: to see that the sysroot
 * works on its target, and to weigh what the libraries cost before any code of ours.
 *
 * So it calls what the product calls (connections by libcurl with an mbedTLS verification callback,
 * FTS5 and WAL), because link-time optimisation throws away whatever nobody calls.
 *
 * usage: probe                   everything but a handshake
 *        probe PORT CA-FILE      also fetch / from 127.0.0.1:PORT over TLS, trusting the roots in
 *                                CA-FILE
 */
#include <cjson/cJSON.h>
#include <curl/curl.h>
#include <errno.h>
#include <mbedtls/build_info.h>
#include <mbedtls/ssl.h>
#include <mbedtls/x509_crt.h>
#include <poll.h>
#include <seccomp.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

/* --- Connections and TLS --------------------------------------------------------------------- */

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

struct peer {
    mbedtls_x509_crt *roots;
    long version; /* CURLOPT_SSLVERSION */
};

static CURLcode configure_tls(CURL *easy, void *config, void *arg)
{
    struct peer *peer = arg;

    (void)easy;
    mbedtls_ssl_conf_authmode(config, MBEDTLS_SSL_VERIFY_REQUIRED);
    mbedtls_ssl_conf_ca_cb(config, find_roots, peer->roots);
    return CURLE_OK;
}

/* The result is libcurl's; the handle must stay in `multi` for as long as its socket is used. */
static CURLcode connect_to(CURLM *multi, CURL *easy, const char *port, struct peer *peer)
{
    CURLMsg *message = NULL;
    char url[64];
    int running = 0, left = 0;

    snprintf(url, sizeof(url), "https://127.0.0.1:%s/", port);
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_CONNECT_ONLY, 1L);
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, peer->version);
    curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, configure_tls);
    curl_easy_setopt(easy, CURLOPT_SSL_CTX_DATA, peer);
    check(curl_multi_add_handle(multi, easy) == CURLM_OK, "curl_multi_add_handle");
    while (!message) {
        check(curl_multi_perform(multi, &running) == CURLM_OK, "curl_multi_perform");
        message = curl_multi_info_read(multi, &left);
        if (!message)
            check(curl_multi_poll(multi, NULL, 0, 1000, NULL) == CURLM_OK, "curl_multi_poll");
    }
    return message->data.result;
}

/* The whole answer, which ends with the connection. */
static void fetch(CURL *easy, char *answer, size_t size)
{
    static const char request[] = "GET / HTTP/1.0\r\n\r\n";
    struct pollfd socket = {.events = POLLIN};
    size_t have = 0, n = 0;

    check(curl_easy_getinfo(easy, CURLINFO_ACTIVESOCKET, &socket.fd) == CURLE_OK, "the socket");
    check(curl_easy_send(easy, request, sizeof(request) - 1, &n) == CURLE_OK, "a request");
    check(n == sizeof(request) - 1, "a whole request");
    do {
        CURLcode result = curl_easy_recv(easy, answer + have, size - 1 - have, &n);

        check(result == CURLE_OK || result == CURLE_AGAIN, "an answer");
        if (result == CURLE_AGAIN)
            check((n = poll(&socket, 1, 10000)) == 1, "an answer in time");
        else
            have += n;
    } while (n > 0 && have < size - 1);
    answer[have] = '\0';
    check(strncmp(answer, "HTTP/1.0 200", 12) == 0, "HTTP over TLS");
}

/* Whether hands were shaken; a certificate that is not trusted is the only other end. */
static bool shake_hands(CURLM *multi, const char *port, struct peer *peer, bool resumed)
{
    static char answer[16384];
    struct curl_tlssessioninfo *tls = NULL;
    CURL *easy = curl_easy_init();
    CURLcode result = connect_to(multi, easy, port, peer);

    check(result == CURLE_OK || result == CURLE_PEER_FAILED_VERIFICATION, "the handshake");
    if (result == CURLE_OK) {
        fetch(easy, answer, sizeof(answer));
        check((strstr(answer, "\nReused, ") != NULL) == resumed, "resuming what can be resumed");
        check(curl_easy_getinfo(easy, CURLINFO_TLS_SSL_PTR, &tls) == CURLE_OK, "the TLS session");
        printf("%s verified%s\n", mbedtls_ssl_get_version(tls->internals),
               resumed ? ", resumed" : "");
    } else {
        printf("TLS refused\n");
    }
    curl_multi_remove_handle(multi, easy);
    curl_easy_cleanup(easy);
    return result == CURLE_OK;
}

static void probe_handshakes(const char *port, const char *file)
{
    mbedtls_x509_crt roots, none;
    struct peer modern = {&roots, CURL_SSLVERSION_TLSv1_3};
    struct peer older = {&roots, CURL_SSLVERSION_TLSv1_2 | CURL_SSLVERSION_MAX_TLSv1_2};
    struct peer stranger = {&none, CURL_SSLVERSION_TLSv1_2};
    CURLM *multi = curl_multi_init();

    mbedtls_x509_crt_init(&roots);
    mbedtls_x509_crt_init(&none);
    check(mbedtls_x509_crt_parse_file(&roots, file) == 0, "parsing the roots");
    check(!shake_hands(multi, port, &stranger, false), "refusing an unknown root");
    check(shake_hands(multi, port, &older, false), "TLS 1.2");
    check(shake_hands(multi, port, &modern, false), "TLS 1.3");
    check(shake_hands(multi, port, &modern, true), "TLS 1.3 again");
    curl_multi_cleanup(multi);
    mbedtls_x509_crt_free(&roots);
}

static void probe_tls(const char *port, const char *file)
{
    check(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK, "curl_global_init");
    check(psa_crypto_init() == PSA_SUCCESS, "psa_crypto_init");
    if (file)
        probe_handshakes(port, file);
    curl_global_cleanup();
    mbedtls_psa_crypto_free();
    printf("%s\n", curl_version());
}

/* --- libseccomp ------------------------------------------------------------------------------ */

static void probe_seccomp(void)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);

    check(filter != NULL, "seccomp_init");
    check(seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(ptrace), 0) == 0,
          "seccomp_rule_add");
    check(seccomp_syscall_resolve_name("ptrace") == SCMP_SYS(ptrace),
          "seccomp_syscall_resolve_name");
    seccomp_release(filter);
    printf("libseccomp %u.%u: a filter\n", seccomp_version()->major, seccomp_version()->minor);
}

int main(int argc, char **argv)
{
    probe_sqlite();
    probe_yaml();
    probe_json();
    probe_seccomp();
    probe_tls(argc > 2 ? argv[1] : NULL, argc > 2 ? argv[2] : NULL);
    return 0;
}
