// libraries: mbedtls mbedx509 mbedcrypto
// environment: HERMES_SOURCE_ROOT, where the test is not run from within the tree
//
// Whom we believe, by real handshakes: openssl makes the authorities and plays the server, the
// client is the program's own.
#include <arpa/inet.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <mbedtls/x509_crt.h>
#include <netdb.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/fd.h"
#include "base/mem.h"
#include "loop/loop.h"
#include "net/ca_roots.h"
#include "net/ca_roots_table.h"
#include "net/http_client.h"

enum { PATH_SIZE = 512, OUTPUT_MAX = 1024 * 1024 };

static char dir[] = "/tmp/ca_roots_test_XXXXXX";

static const char *in_dir(const char *name, const char *suffix)
{
    static char paths[4][PATH_SIZE];
    static unsigned turn;
    char *path = paths[turn++ % ARRAY_LEN(paths)];
    snprintf(path, PATH_SIZE, "%s/%s%s", dir, name, suffix);
    return path;
}

// The script of this test, from wherever in the tree the test is run.
static const char *find_script(void)
{
    static const char *const tops[] = {".", "..", "../..", "../../.."};
    static char path[PATH_SIZE];
    const char *given = getenv("HERMES_SOURCE_ROOT");
    for (size_t i = 0; i < ARRAY_LEN(tops); i++) {
        snprintf(path, sizeof path, "%s/tests/unit/support/ca_chains.sh", given ? given : tops[i]);
        if (access(path, R_OK) == 0)
            return path;
    }
    fail_msg("ca_chains.sh is not found; set HERMES_SOURCE_ROOT to the source tree");
    return NULL;
}

static int run_command(const char *program, const char *first, const char *second)
{
    pid_t child = fork();
    if (child == 0) {
        int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
        dup2(null, STDOUT_FILENO);
        execlp(program, program, first, second, (char *)NULL);
        _exit(127);
    }
    int status = -1;
    waitpid(child, &status, 0);
    return status;
}

struct server {
    pid_t pid;
    int output;
    unsigned port;
};

static struct server serve(const char *name, const char *address, const char *version)
{
    char accept[64], found[64];
    snprintf(accept, sizeof accept, "%s:0", address);
    snprintf(found, sizeof found, "ACCEPT %s:", address);
    int pipe_fds[2];
    assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0) {
        int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
        dup2(pipe_fds[1], STDOUT_FILENO);
        dup2(null, STDERR_FILENO);
        execlp("openssl", "openssl", "s_server", "-accept", accept, "-www", "-cert",
               in_dir(name, ".pem"), "-key", in_dir(name, ".key"), "-cert_chain",
               in_dir(name, "chain.pem"), version, (char *)NULL);
        _exit(127);
    }
    close(pipe_fds[1]);
    struct server server = {pid, pipe_fds[0], 0};
    char text[4096];
    size_t len = 0;
    while (!server.port && len < sizeof text - 1) {
        ssize_t n = read(server.output, text + len, sizeof text - 1 - len);
        assert_true(n > 0);
        text[len += (size_t)n] = '\0';
        char *at = strstr(text, found);
        if (at && strchr(at, '\n'))
            sscanf(at + strlen(found), "%u", &server.port);
    }
    return server;
}

static void stop(struct server *server)
{
    kill(server->pid, SIGKILL);
    waitpid(server->pid, NULL, 0);
    close(server->output);
}

// In the place of libc's: every name is this machine.
int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                struct addrinfo **ret_list)
{
    typedef int resolve_fn(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    union {
        void *symbol;
        resolve_fn *resolve;
    } libc = {dlsym(RTLD_NEXT, "getaddrinfo")};
    (void)name;
    return libc.resolve("127.0.0.1", service, hints, ret_list);
}

struct visit {
    struct loop *loop;
    enum http_failure failure;
    struct error err;
};

static int discard(void *context, struct span piece)
{
    (void)context, (void)piece;
    return 0;
}

static void on_done(void *context, enum http_failure failure, const struct error *err)
{
    struct visit *visit = context;
    visit->failure = failure;
    visit->err = *err;
    loop_stop(visit->loop);
}

static struct visit get(struct trust *trust, const struct server *server, const char *host)
{
    static const struct http_handler handler = {NULL, discard, on_done};
    struct visit visit = {.err = ERROR_INIT};
    struct http_client *client = NULL;
    http_id id;
    char url[200];
    snprintf(url, sizeof url, "https://%s:%u/", host, server->port);
    const struct http_request request = {
        .method = "GET", .url = url, .timeouts = {.total = 10 * 1000}};
    assert_int_equal(loop_create(&clock_system, &visit.loop, NULL), 0);
    assert_int_equal(http_client_create(visit.loop, trust, &client, NULL), 0);
    assert_int_equal(http_client_start(client, &request, &handler, &visit, &id, NULL), 0);
    loop_run(visit.loop);
    http_client_destroy(client);
    loop_destroy(visit.loop);
    return visit;
}

// The outcome of a visit to a server with certificate `name`, trusting the file `trusted`.
static struct visit visit_as(const char *name, const char *trusted, const char *host,
                             const char *version)
{
    struct in_addr figures;
    const char *address = inet_pton(AF_INET, host, &figures) == 1 ? host : "127.0.0.1";
    struct error err = ERROR_INIT;
    struct trust *trust = NULL;
    if (trust_create(trusted ? in_dir(trusted, ".pem") : NULL, &trust, &err))
        fail_msg("%s", err.text);
    struct server server = serve(name, address, version);
    struct visit visit = get(trust, &server, host);
    stop(&server);
    trust_destroy(trust);
    return visit;
}

static void assert_visit(const char *name, const char *trusted, const char *host, bool good)
{
    static const char *const versions[] = {"-tls1_2", "-tls1_3"};
    for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
        struct visit visit = visit_as(name, trusted, host, versions[i]);
        bool refused = visit.failure == HTTP_UNTRUSTED && strstr(visit.err.text, "certificate");
        if (good ? visit.failure != HTTP_OK : !refused)
            fail_msg("%s seen with %s as %s over %s: %d, %s", name, trusted ? trusted : "Mozilla",
                     host, versions[i], visit.failure, visit.err.text);
    }
}

static void right_authority(void **state)
{
    (void)state;
    assert_visit("leaf", "root", "localhost", true); // root -> intermediate -> leaf
    assert_visit("direct", "root", "localhost", true);
    assert_visit("direct", "root", "127.0.0.1", true);
    assert_visit("leaf", "both", "localhost", true); // another authority of the same name
    assert_visit("leaf", "inter", "localhost", true);
    assert_visit("shouting", "root", "localhost", true); // the same name, encoded otherwise
}

static void wrong_authority(void **state)
{
    (void)state;
    assert_visit("leaf", "other", "localhost", false);
    assert_visit("leaf", "short", "localhost", false);
    assert_visit("leaf", NULL, "localhost", false); // Mozilla's
}

// With TLS 1.2, too, OpenSSL 3 signs with RSA-PSS (RFC 8446 §4.2.3).
static void server_with_an_rsa_key(void **state)
{
    (void)state;
    assert_visit("rsa", "root", "localhost", true);
    assert_visit("rsa", "other", "localhost", false);
}

static void no_authority_by_a_malformed_constraint(void **state)
{
    (void)state;
    assert_visit("pretended", "root", "localhost", false);
}

static void wrong_host_and_time(void **state)
{
    (void)state;
    assert_visit("leaf", "root", "elsewhere.test", false);
    assert_visit("leaf", "root", "127.0.0.2", false);
    assert_visit("expired", "root", "localhost", false);
}

static void reduced_roots_work_and_keep_their_limits(void **state)
{
    (void)state;
    assert_visit("leaf", "reduced", "localhost", true);
    assert_visit("shallow", "reduced", "localhost", true);
    assert_visit("deep", "short", "localhost", false); // beyond the path length
    assert_visit("deep", "reduced", "localhost", false);
    assert_visit("old", "reduced", "localhost", true);
    BUF_AUTO report = BUF_INIT(OUTPUT_MAX);
    assert_int_equal(fd_read_file(in_dir("report", ""), &report, NULL), 0);
    assert_non_null(strstr(buf_text(&report), "kept whole, for their constraints: Narrow\n"));
}

static void roots_signed_with_sha1(void **state)
{
    (void)state;
    assert_visit("old", "sha1", "localhost", true);
}

static void self_signed_server(void **state)
{
    (void)state;
    assert_visit("self", "self", "localhost", true);
    assert_visit("self", "root", "localhost", false);
    assert_visit("self", "self", "elsewhere.test", false);
    assert_visit("forged", "self", "localhost", false); // it is no authority
}

static void files(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct trust *trust = NULL;
    assert_true(trust_create("/nowhere/roots.pem", &trust, &err) < 0);
    assert_string_equal(err.text, "cannot open /nowhere/roots.pem: No such file or directory");
    assert_true(trust_create(in_dir("garbage", ".pem"), &trust, &err) < 0);
    assert_non_null(strstr(err.text, "garbage.pem has no usable PEM certificate"));
    assert_true(trust_create(in_dir("damaged", ".pem"), &trust, &err) < 0);
    assert_non_null(strstr(err.text, "damaged or too old"));
    assert_null(trust);
    assert_int_equal(trust_create(in_dir("mixed", ".pem"), &trust, &err), 0);
    assert_int_equal(trust_count(trust), 1);
    trust_destroy(trust);
    assert_int_equal(trust_create("", &trust, &err), 0);
    assert_int_equal(trust_count(trust), ca_roots_table_len);
    trust_destroy(trust);
    trust_destroy(NULL);
}

static struct span subject_at(size_t i)
{
    const struct ca_root *root = &ca_roots_table[i];
    return span_make(ca_roots_der + root->offset + root->subject_at, root->subject_len);
}

// Every embedded root is found by its name, and is an authority in mbedTLS's eyes.
static void embedded_roots(void **state)
{
    (void)state;
    assert_true(ca_roots_table_len > 100);
    for (size_t i = 0; i < ca_roots_table_len; i++) {
        struct span subject = subject_at(i);
        size_t found = 0;
        for (;; found++) {
            BUF_AUTO der = BUF_INIT(OUTPUT_MAX);
            mbedtls_x509_crt crt;
            if (!ca_roots_find(subject, found, &der))
                break;
            mbedtls_x509_crt_init(&crt);
            const unsigned char *bytes = (const unsigned char *)der.data;
            assert_int_equal(mbedtls_x509_crt_parse_der(&crt, bytes, der.len), 0);
            assert_int_equal(crt.raw.len, der.len);
            assert_int_equal(crt.subject_raw.len, subject.len);
            assert_true(crt.version == 1 || mbedtls_x509_crt_get_ca_istrue(&crt) == 1);
            assert_true(mbedtls_pk_get_bitlen(&crt.pk) >= 256);
            mbedtls_x509_crt_free(&crt);
        }
        assert_true(found >= 1 && found <= 3);
    }
    BUF_AUTO der = BUF_INIT(OUTPUT_MAX);
    assert_false(ca_roots_find(SPAN_LITERAL(""), 0, &der));
    assert_false(ca_roots_find(SPAN_LITERAL("\xff"), 0, &der));
}

// The machine's own bundle: what we can use of it is what Mozilla's list has, and more.
static void debian_bundle(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct trust *trust = NULL;
    assert_int_equal(trust_create("/etc/ssl/certs/ca-certificates.crt", &trust, &err), 0);
    assert_true(trust_count(trust) >= ca_roots_table_len);
    trust_destroy(trust);
}

// Of the environment what is needed: a proxy would be asked.
static void shrink_environment(void)
{
    static char *kept[3];
    size_t count = 0;
    for (char **variable = environ; *variable && count < ARRAY_LEN(kept) - 1; variable++)
        if (span_starts_with(span_of(*variable), "PATH=") ||
            span_starts_with(span_of(*variable), "HERMES_SOURCE_ROOT="))
            kept[count++] = *variable;
    environ = kept;
}

static int set_up(void **state)
{
    (void)state;
    shrink_environment();
    return mkdtemp(dir) ? run_command("bash", find_script(), dir) : -1;
}

static int tear_down(void **state)
{
    (void)state;
    return run_command("rm", "-r", dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(right_authority),
        cmocka_unit_test(wrong_authority),
        cmocka_unit_test(server_with_an_rsa_key),
        cmocka_unit_test(no_authority_by_a_malformed_constraint),
        cmocka_unit_test(wrong_host_and_time),
        cmocka_unit_test(reduced_roots_work_and_keep_their_limits),
        cmocka_unit_test(roots_signed_with_sha1),
        cmocka_unit_test(self_signed_server),
        cmocka_unit_test(files),
        cmocka_unit_test(embedded_roots),
        cmocka_unit_test(debian_bundle),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
