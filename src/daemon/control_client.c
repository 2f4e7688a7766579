#include "daemon/control_client.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/mem.h"
#include "codec/document.h"
#include "daemon/fetch.h"
#include "net/unix_socket.h"

enum {
    CONNECT_LIMIT_MS = 5 * 1000,
    ANSWER_LIMIT_MS = 10 * 1000,      // until it begins, and between two pieces of it
    DELETE_LIMIT_MS = 15 * 60 * 1000, // the database is written anew
};

char *control_client_socket(const char *home)
{
    return mem_printf("%s/hermes.sock", home);
}

// Does somebody answer there?
static int find_owner(const char *home, struct error *err)
{
    CLEANUP(mem_cleanup) char *path = control_client_socket(home);
    struct error reason = ERROR_INIT;
    struct stat status;
    FD_AUTO fd = -1;
    int r = unix_socket_connect(path, &fd, &reason);
    // What else is wrong with the home, taking its lock finds out and says better.
    bool is_socket = lstat(path, &status) == 0 && S_ISSOCK(status.st_mode);
    if (r < 0 && (r == -ECONNREFUSED || !is_socket))
        return CONTROL_NO_OWNER;
    if (r == -EACCES || r == -EPERM || (r == 0 && !unix_socket_may_ask(fd)))
        return error_set(err, -EACCES,
                         "the home %s belongs to another user's hermes: run this as that user, or "
                         "choose another home with --home or HERMES_HOME",
                         home);
    if (r < 0)
        return error_set(err, r, "%s", reason.text);
    return 0;
}

static int outcome(const struct fetch *fetch, const char *home, struct error *err)
{
    switch (fetch->failure) {
    case HTTP_OK:
        return 0;
    case HTTP_UNREACHABLE: // it went between the two connections
        return CONTROL_NO_OWNER;
    case HTTP_TIMED_OUT:
        return error_set(err, -ETIMEDOUT,
                         "the hermes that owns the home %s does not reply on its socket; check it, "
                         "or stop it",
                         home);
    case HTTP_EXHAUSTED:
        return error_set(err, fetch->err.code, "%s", fetch->err.text);
    case HTTP_STOPPED:
        return error_set(err, -EFBIG, "the answer of the running hermes is too large");
    default:
        return error_set(err, -ECONNRESET, "the running hermes ended in the middle of its answer");
    }
}

static int ask(const char *home, struct http_request *request, const char *path,
               struct buf *ret_body, struct error *err)
{
    CLEANUP(mem_cleanup) char *socket_path = control_client_socket(home);
    CLEANUP(mem_cleanup) char *url = mem_printf("http://localhost%s", path);
    request->url = url;
    request->unix_socket = socket_path;
    request->timeouts.connect = CONNECT_LIMIT_MS;
    request->timeouts.idle = ANSWER_LIMIT_MS;
    int r = find_owner(home, err);
    if (r != 0)
        return r;
    struct fetch fetch = fetch_run(request, NULL, ret_body);
    r = outcome(&fetch, home, err);
    if (r == 0 && fetch.status != 200)
        r = control_client_refusal((unsigned)fetch.status, buf_span(ret_body), err);
    return r;
}

int control_client_ask(const char *home, const char *method, const char *path, struct buf *ret_body,
                       struct error *err)
{
    bool deletes = strcmp(method, "DELETE") == 0;
    struct http_request request = {
        .method = method,
        .timeouts = {.first_byte = deletes ? DELETE_LIMIT_MS : ANSWER_LIMIT_MS},
    };
    return ask(home, &request, path, ret_body, err);
}

int control_client_post(const char *home, const char *path, struct span body, int64_t patience_ms,
                        struct buf *ret_body, struct error *err)
{
    struct http_request request = {
        .method = "POST",
        .body = body,
        .timeouts = {.first_byte = patience_ms},
    };
    return ask(home, &request, path, ret_body, err);
}

int control_client_refusal(unsigned status, struct span body, struct error *err)
{
    DOCUMENT_AUTO doc = DOCUMENT_INIT(DOCUMENT_SMALL);
    int code = status == 404 ? -ENOENT : status == 503 ? -EAGAIN : -EPROTO;
    document_read(&doc, body, NULL);
    const char *sentence = node_text(node_get(document_root(&doc), "error"));
    if (sentence)
        return error_set(err, code, "%s", sentence);
    struct span line = span_trim(body);
    return error_set(err, code, "the running hermes refused: %.*s (HTTP %u)",
                     (int)(line.len < 200 ? line.len : 200), line.len ? line.data : "", status);
}
