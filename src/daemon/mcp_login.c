#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "codec/document.h"
#include "codec/url.h"
#include "daemon/mcp_owner.h"
#include "daemon/page.h"
#include "loop/signals.h"
#include "net/http_server.h"
#include "serve/control.h"

/*
 * "hermes mcp login SERVER": shows the page, and waits for the address to which that leads. The
 * browser brings it to a port of this machine when it runs here; when it runs elsewhere it shows
 * an error with that address, which is then pasted.
 */
enum {
    ADDRESS_MAX = 16 * 1024,  // bytes
    WAIT_MS = 15 * 60 * 1000, // as hermes itself waits
};

struct login {
    struct mcp_owner owner;
    struct loop *loop; // of the owner, or our own
    struct signals signals;
    struct http_server *listener; // NULL: the port cannot be had
    struct url redirect;
    char *state; // "state=...", which the address must have
    struct buf typed;
    loop_id keys, patience;
    char *address; // that the browser was sent to
    int status;    // an exit status; 0: go on
};

static bool take(struct login *login, struct span address)
{
    if (address.len > ADDRESS_MAX || span_find(address, span_of(login->state)) < 0)
        return false;
    free(login->address);
    login->address = mem_strndup(address.data, address.len);
    loop_stop(login->loop);
    return true;
}

/* Ways back */

static void on_request(void *context, struct http_exchange *exchange)
{
    static const char *const names[] = {"code", "state", "iss", "error"};
    struct login *login = context;
    BUF_AUTO address = BUF_INIT(ADDRESS_MAX);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct span value = http_exchange_query(exchange, names[i]);
        if (!value.data)
            continue;
        buf_printf(&address, "%c%s=", address.len ? '&' : '?', names[i]);
        url_encode(value, &address);
    }
    bool here = span_equal(http_exchange_path(exchange), login->redirect.path);
    if (here && take(login, buf_span(&address)))
        http_exchange_reply_text(exchange, 200, "You can close this page: Hermes has it now.");
    else
        http_exchange_reply_text(exchange, 404, "This is not of the login that Hermes waits for.");
}

static void on_keys(void *context, int fd, unsigned events)
{
    struct login *login = context;
    char keys[4096];
    (void)events;
    ssize_t n = read(fd, keys, sizeof keys);
    if (n <= 0 && (n == 0 || errno != EINTR)) {
        loop_unwatch(login->loop, login->keys);
        return;
    }
    if (n < 0 || !buf_append(&login->typed, keys, (size_t)n)) {
        buf_clear(&login->typed);
        return;
    }
    struct span rest = buf_span(&login->typed);
    while (rest.len && memchr(rest.data, '\n', rest.len)) {
        struct span line = span_trim(span_cut(&rest, '\n'));
        if (line.len && !take(login, line))
            puts("That is not the address to which this page leads; it has a \"state=\" in it.");
    }
    buf_consume(&login->typed, login->typed.len - rest.len);
}

static void on_signal(void *context, int number)
{
    struct login *login = context;
    login->status = 128 + number;
    loop_stop(login->loop);
}

static void on_patience(void *context)
{
    struct login *login = context;
    loop_stop(login->loop);
}

static bool begin_listener(struct login *login)
{
    CLEANUP(mem_cleanup)
    char *host = mem_strndup(login->redirect.host.data, login->redirect.host.len);
    bool local = strcmp(host, "localhost") == 0 || strcmp(host, "127.0.0.1") == 0 ||
                 strcmp(host, "::1") == 0;
    struct http_server_options options = {
        .address = login->redirect.ipv6 ? "::1" : "127.0.0.1",
        .port = login->redirect.port,
        .max_connections = 8,
        .max_header = ADDRESS_MAX,
        .on_request = on_request,
        .ctx = login,
    };
    return local && !login->redirect.secure &&
           http_server_create(login->loop, &options, &login->listener, NULL) == 0;
}

static int wait_for_address(struct login *login, struct error *err)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    bool typed = isatty(STDIN_FILENO), heard = begin_listener(login);
    if (!typed && !heard)
        return error_set(err, -EADDRNOTAVAIL,
                         "the address to which the browser is sent cannot be waited for here, and "
                         "nobody can paste it");
    printf("%s", heard ? "\nWaiting for the browser to come back.\n" : "\n");
    if (typed)
        printf("%s paste its address here.\n",
               heard ? "If the browser shows an error, which it does on another machine,"
                     : "When the browser shows the end, or an error,");
    fflush(stdout);
    int r = signals_init(&login->signals, login->loop, numbers, ARRAY_LEN(numbers), on_signal,
                         login, err);
    if (r < 0)
        return r;
    if (typed)
        login->keys = loop_watch(login->loop, STDIN_FILENO, LOOP_READ, on_keys, login);
    login->patience = loop_timer_after(login->loop, WAIT_MS, on_patience, login);
    loop_run(login->loop);
    if (!login->address && !login->status)
        return error_set(err, -ETIMEDOUT, "nobody came back from the page; try again");
    return 0;
}

/* The login */

static int show_page(struct login *login, struct json_value answer, const char *redirect,
                     struct error *err)
{
    BUF_AUTO page = BUF_INIT(ADDRESS_MAX);
    json_string(json_get(answer, "page"), &page);
    ptrdiff_t at = span_find(buf_span(&page), SPAN_LITERAL("state="));
    if (at < 0 || !redirect)
        return error_set(err, -EBADMSG, "hermes gave no page");
    struct span rest = span_skip(buf_span(&page), (size_t)at), state = span_cut(&rest, '&');
    login->state = mem_strndup(state.data, state.len);
    int r = url_parse(span_of(redirect), &login->redirect, err);
    if (r < 0)
        return error_wrap(err, "the redirect_uri");
    puts("Open this page in a browser, on any machine:\n");
    page_print_raw(buf_span(&page));
    puts("");
    return 0;
}

static int finish(struct login *login, struct error *err)
{
    BUF_AUTO body = BUF_INIT(2 * ADDRESS_MAX), answer = BUF_INIT(CONTROL_ANSWER_MAX);
    DOCUMENT_AUTO doc = DOCUMENT_INIT(4 * ADDRESS_MAX);
    JSON_AUTO values = JSON_INIT;
    struct node root = document_object(&doc);
    node_add_text(root, "do", "login");
    node_add_text(root, "address", login->address);
    int r = document_print(&doc, &body, err);
    if (r == 0)
        r = mcp_owner_ask(&login->owner, buf_span(&body), &answer, &values, err);
    if (r == 0)
        printf("Logged in to %s.\n", login->owner.server);
    return r;
}

static void clean(struct login *login)
{
    signals_finish(&login->signals);
    http_server_destroy(login->listener);
    if (login->loop) {
        loop_unwatch(login->loop, login->keys);
        loop_cancel(login->loop, login->patience);
    }
    if (!login->owner.here)
        loop_destroy(login->loop);
    mcp_owner_finish(&login->owner);
    free(login->state);
    free(login->address);
    buf_finish(&login->typed);
}

int mcp_login(const struct arguments *arguments, struct error *err)
{
    BUF_AUTO answer = BUF_INIT(CONTROL_ANSWER_MAX);
    JSON_AUTO values = JSON_INIT;
    CLEANUP(clean)
    struct login login = {
        .owner = {.arguments = arguments, .server = arguments->words[1]},
        .typed = BUF_INIT(ADDRESS_MAX),
    };
    int r = mcp_owner_ask(&login.owner, SPAN_LITERAL("{\"do\":\"login\"}"), &answer, &values, err);
    CLEANUP(mem_cleanup)
    char *redirect = json_strdup(json_get(json_root(&values), "redirect_uri"), URL_BYTES_MAX);
    if (r == 0 && login.owner.here)
        login.loop = login.owner.app.loop;
    else if (r == 0)
        r = loop_create(&clock_system, &login.loop, err);
    if (r == 0)
        r = show_page(&login, json_root(&values), redirect, err);
    if (r == 0)
        r = wait_for_address(&login, err);
    if (r < 0 || login.status)
        return r < 0 ? r : login.status;
    return finish(&login, err);
}
