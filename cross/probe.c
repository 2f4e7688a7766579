/*
 * A program that uses every library of a sysroot once, for two purposes: to see that the sysroot
 * works on its target, and to weigh what the libraries cost before any code of ours.
 *
 * So it calls what the product will call (the multi-socket interface and WebSockets of libcurl,
 * an mbedTLS verification callback, FTS5 and WAL, suspended HTTP connections), because link-time
 * optimisation throws away whatever nobody calls.
 *
 * usage: probe                   everything, HTTP over the loopback
 *        probe URL CA-FILE       also fetch URL over TLS, trusting the roots in CA-FILE
 */
#include <curl/curl.h>
#include <mbedtls/ssl.h>
#include <mbedtls/x509_crt.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>
#include <yaml.h>

#define BODY "hello from the probe"
#define LOOP_WAIT_MS 20

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

/* --- YAML and JSON --------------------------------------------------------------------------- */

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

/* --- HTTP server and client on one epoll loop ------------------------------------------------ */

struct loop {
    struct MHD_Daemon *server;
    struct MHD_Connection *waiting;
    CURLM *multi;
    int epoll;
};

static enum MHD_Result answer(void *arg, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *upload,
                              size_t *upload_size, void **state)
{
    struct loop *loop = arg;
    struct MHD_Response *response = NULL;
    enum MHD_Result result;

    (void)url, (void)method, (void)version, (void)upload, (void)upload_size;
    if (!*state) {
        *state = loop;
        loop->waiting = connection;
        MHD_suspend_connection(connection);
        return MHD_YES;
    }
    response = MHD_create_response_from_buffer_static(strlen(BODY), BODY);
    MHD_add_response_header(response, "X-Probe", "yes");
    result = MHD_queue_response(connection, MHD_HTTP_OK, response);
    MHD_destroy_response(response);
    return result;
}

static void start_server(struct loop *loop, unsigned short *ret_port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    loop->server =
        MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, answer, loop,
                         MHD_OPTION_SOCK_ADDR, (struct sockaddr *)&address, MHD_OPTION_END);
    check(loop->server != NULL, "MHD_start_daemon");
    *ret_port = MHD_get_daemon_info(loop->server, MHD_DAEMON_INFO_BIND_PORT)->port;
}

static int watch_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *unused)
{
    struct loop *loop = arg;
    struct epoll_event event = {.data.fd = fd};

    (void)easy, (void)unused;
    if (what == CURL_POLL_REMOVE)
        return epoll_ctl(loop->epoll, EPOLL_CTL_DEL, fd, NULL) * 0;
    event.events = (what & CURL_POLL_IN ? EPOLLIN : 0) | (what & CURL_POLL_OUT ? EPOLLOUT : 0);
    if (epoll_ctl(loop->epoll, EPOLL_CTL_MOD, fd, &event))
        check(epoll_ctl(loop->epoll, EPOLL_CTL_ADD, fd, &event) == 0, "epoll_ctl");
    return 0;
}

static int set_timer(CURLM *multi, long ms, void *arg)
{
    (void)multi, (void)ms, (void)arg;
    return 0;
}

static void run_server(struct MHD_Daemon *server)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(server, MHD_DAEMON_INFO_EPOLL_FD);
    uint64_t wait_ms = 0;

    check(info && info->epoll_fd >= 0, "MHD_DAEMON_INFO_EPOLL_FD");
    MHD_get_timeout64(server, &wait_ms);
    check(MHD_run(server) == MHD_YES, "MHD_run");
}

static void run_once(struct loop *loop)
{
    struct epoll_event events[8];
    int n = epoll_wait(loop->epoll, events, 8, LOOP_WAIT_MS), running = 0;

    for (int i = 0; i < n; i++) {
        int mask = (events[i].events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
                   (events[i].events & ~EPOLLOUT ? CURL_CSELECT_IN : 0);

        curl_multi_socket_action(loop->multi, events[i].data.fd, mask, &running);
    }
    curl_multi_socket_action(loop->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    if (loop->server)
        run_server(loop->server);
    if (loop->waiting)
        MHD_resume_connection(loop->waiting);
    loop->waiting = NULL;
}

static size_t keep_body(char *data, size_t size, size_t count, void *arg)
{
    char *body = arg;
    size_t have = strlen(body), room = 255 - have, n = size * count;

    memcpy(body + have, data, n < room ? n : room);
    return n;
}

static CURLcode transfer(struct loop *loop, CURL *easy)
{
    CURLMsg *message = NULL;
    int left = 0;

    check(curl_multi_add_handle(loop->multi, easy) == CURLM_OK, "curl_multi_add_handle");
    while (!(message = curl_multi_info_read(loop->multi, &left)))
        run_once(loop);
    curl_multi_remove_handle(loop->multi, easy);
    return message->data.result;
}

static void start_client(struct loop *loop)
{
    loop->multi = curl_multi_init();
    curl_multi_setopt(loop->multi, CURLMOPT_SOCKETFUNCTION, watch_socket);
    curl_multi_setopt(loop->multi, CURLMOPT_SOCKETDATA, loop);
    curl_multi_setopt(loop->multi, CURLMOPT_TIMERFUNCTION, set_timer);
}

static CURL *new_request(const char *url, char *body)
{
    CURL *easy = curl_easy_init();

    check(easy != NULL, "curl_easy_init");
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    check(curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L) == CURLE_OK, "CURLOPT_QUICK_EXIT");
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, keep_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, body);
    return easy;
}

static void probe_http(struct loop *loop)
{
    unsigned short port = 0;
    char url[64], body[256] = "";
    CURL *easy = NULL;

    start_server(loop, &port);
    snprintf(url, sizeof(url), "http://127.0.0.1:%u/", port);
    easy = new_request(url, body);
    check(transfer(loop, easy) == CURLE_OK && strcmp(body, BODY) == 0, "HTTP over loopback");
    curl_easy_cleanup(easy);
    MHD_stop_daemon(loop->server);
    loop->server = NULL;
    printf("libmicrohttpd %s, %s\n", MHD_get_version(), curl_version());
}

static bool speaks(const char *protocol)
{
    const char *const *have = curl_version_info(CURLVERSION_NOW)->protocols;

    while (*have && strcmp(*have, protocol) != 0)
        have++;
    return *have != NULL;
}

/* A recipe may leave WebSocket out. It needs a server; here it is enough that it is linked. */
static void probe_websocket(struct loop *loop)
{
    char body[256] = "";
    CURL *easy = new_request("ws://127.0.0.1:9/", body);
    size_t n = 0;
    const struct curl_ws_frame *frame = NULL;

    check(transfer(loop, easy) == CURLE_COULDNT_CONNECT, "WebSocket to a closed port");
    check(curl_ws_send(easy, "x", 1, &n, 0, CURLWS_TEXT) != CURLE_OK, "curl_ws_send");
    check(curl_ws_recv(easy, body, 1, &n, &frame) != CURLE_OK, "curl_ws_recv");
    curl_easy_cleanup(easy);
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

static CURLcode prepare_tls(CURL *easy, void *config, void *roots)
{
    (void)easy;
    mbedtls_ssl_conf_ca_cb(config, find_roots, roots);
    return CURLE_OK;
}

static CURLcode fetch_tls(struct loop *loop, const char *url, mbedtls_x509_crt *roots, long version)
{
    char body[256] = "", message[CURL_ERROR_SIZE] = "";
    CURL *easy = new_request(url, body);
    CURLcode code;

    curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, prepare_tls);
    curl_easy_setopt(easy, CURLOPT_SSL_CTX_DATA, roots);
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, version);
    /* Each one shakes hands in full: a resumed session is not verified again. */
    curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
    curl_easy_setopt(easy, CURLOPT_SSL_SESSIONID_CACHE, 0L);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, message);
    code = transfer(loop, easy);
    curl_easy_cleanup(easy);
    printf("%s %s\n", url, code == CURLE_OK ? "verified" : message);
    return code;
}

static void probe_tls(struct loop *loop, const char *url, const char *file)
{
    const long v12 = CURL_SSLVERSION_TLSv1_2 | CURL_SSLVERSION_MAX_TLSv1_2;
    mbedtls_x509_crt roots, none;

    mbedtls_x509_crt_init(&roots);
    mbedtls_x509_crt_init(&none);
    if (url) {
        check(mbedtls_x509_crt_parse_file(&roots, file) == 0, "parsing the roots");
        check(fetch_tls(loop, url, &roots, CURL_SSLVERSION_TLSv1_3) == 0, "TLS 1.3");
        check(fetch_tls(loop, url, &roots, v12) == 0, "TLS 1.2");
        check(fetch_tls(loop, url, &none, v12) != 0, "refusing an unknown root");
    }
    mbedtls_x509_crt_free(&roots);
}

int main(int argc, char **argv)
{
    struct loop loop = {.epoll = epoll_create1(EPOLL_CLOEXEC)};

    check(curl_global_init(CURL_GLOBAL_ALL) == CURLE_OK, "curl_global_init");
    start_client(&loop);
    probe_sqlite();
    probe_yaml();
    probe_http(&loop);
    if (speaks("ws"))
        probe_websocket(&loop);
    probe_tls(&loop, argc > 2 ? argv[1] : NULL, argc > 2 ? argv[2] : NULL);
    curl_multi_cleanup(loop.multi);
    curl_global_cleanup();
    close(loop.epoll);
    return 0;
}
