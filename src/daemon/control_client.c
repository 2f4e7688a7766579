#include "daemon/control_client.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/mem.h"
#include "codec/document.h"
#include "loop/loop.h"
#include "net/http_client.h"
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

static bool is_socket(const char *path)
{
    struct stat status;
    return lstat(path, &status) == 0 && S_ISSOCK(status.st_mode);
}

// Does somebody answer there?
static int find_owner(const char *home, struct error *err)
{
    CLEANUP(mem_cleanup) char *path = control_client_socket(home);
    struct error reason = ERROR_INIT;
    FD_AUTO fd = -1;
    int r = unix_socket_connect(path, &fd, &reason);
    // What else is wrong with the home, taking its lock finds out and says better.
    if (r < 0 && (r == -ECONNREFUSED || !is_socket(path)))
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

struct question {
    struct loop *loop;
    struct buf *body;
    int status;
    enum http_failure failure;
    struct error err;
    bool done;
};

static void on_head(void *context, const struct http_head *head)
{
    struct question *question = context;
    question->status = head->status;
}

static int on_body(void *context, struct span chunk)
{
    struct question *question = context;
    return buf_append_span(question->body, chunk) ? 0 : -1;
}

static void on_done(void *context, enum http_failure failure, const struct error *err)
{
    struct question *question = context;
    question->failure = failure;
    question->err = *err;
    question->done = true;
    loop_stop(question->loop);
}

static int outcome(const struct question *question, const char *home, struct error *err)
{
    switch (question->failure) {
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
        return error_set(err, question->err.code, "%s", question->err.text);
    case HTTP_STOPPED:
        return error_set(err, -EFBIG, "the answer of the running hermes is too large");
    default:
        return error_set(err, -ECONNRESET, "the running hermes ended in the middle of its answer");
    }
}

static int converse(struct question *question, const char *home, const char *method,
                    const char *path, struct error *err)
{
    static const struct http_handler handler = {on_head, on_body, on_done};
    CLEANUP(mem_cleanup) char *socket_path = control_client_socket(home);
    CLEANUP(mem_cleanup) char *url = mem_printf("http://localhost%s", path);
    struct http_client *client = NULL;
    http_id id;
    bool deletes = strcmp(method, "DELETE") == 0;
    struct http_request request = {
        .method = method,
        .url = url,
        .timeouts = {.connect = CONNECT_LIMIT_MS,
                     .first_byte = deletes ? DELETE_LIMIT_MS : ANSWER_LIMIT_MS,
                     .idle = ANSWER_LIMIT_MS},
        .unix_socket = socket_path,
    };
    int r = http_client_create(question->loop, NULL, &client, err);
    if (r == 0)
        r = http_client_start(client, &request, &handler, question, &id, err);
    if (r == 0) {
        loop_run(question->loop);
        r = outcome(question, home, err);
    }
    http_client_destroy(client);
    return r;
}

int control_client_ask(const char *home, const char *method, const char *path, struct buf *ret_body,
                       struct error *err)
{
    struct question question = {.body = ret_body};
    int r = find_owner(home, err);
    if (r == 0)
        r = loop_create(&clock_system, &question.loop, err);
    if (r != 0)
        return r;
    r = converse(&question, home, method, path, err);
    loop_destroy(question.loop);
    if (r == 0 && question.status != 200)
        r = control_client_refusal((unsigned)question.status, buf_span(ret_body), err);
    return r;
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
