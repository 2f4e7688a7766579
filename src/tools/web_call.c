#include "tools/web_call.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <strings.h>

#include "base/mem.h"
#include "codec/url.h"
#include "loop/loop.h"
#include "net/http_client.h"

enum {
    CONNECT_MS = 10 * 1000,
    SILENCE_MS = 20 * 1000, // before an answer begins, and within it
};

struct web_call {
    struct web_call_spec spec;
    http_id id;
    unsigned hops;
    int64_t deadline_ms;
    bool conditional; // a header asks whether something has changed
    struct web_answer answer;
    web_call_fn *fn;
    void *context;
};

static void destroy(struct web_call *call)
{
    free(call->answer.url);
    free(call->answer.type);
    free(call->answer.location);
    buf_finish(&call->answer.body);
    free(call);
}

static void end(struct web_call *call, const struct error *err)
{
    static const struct error none = ERROR_INIT;
    call->fn(call->context, &call->answer, err ? err : &none);
    destroy(call);
}

static int ask(struct web_call *call, struct error *err);

static bool is_redirect(int status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

static int follow(struct web_call *call, struct error *err)
{
    BUF_AUTO next = BUF_INIT(URL_BYTES_MAX);
    if (call->hops++ == call->spec.redirects)
        return error_set(err, -ELOOP, "more than %u redirects", call->spec.redirects);
    if (!url_resolve(span_of(call->answer.url), span_of(call->answer.location), &next))
        return error_set(err, -EBADMSG, "%s redirects to what is no URL of http or https",
                         call->answer.url);
    free(call->answer.url);
    free(STEAL(call->answer.location));
    call->answer.url = buf_take_text(&next);
    return ask(call, err);
}

static void look_at_fields(struct web_answer *answer, const struct http_head *head)
{
    struct span type = http_head_get(head, "Content-Type");
    struct span location = http_head_get(head, "Location");
    uint64_t length;
    free(answer->type);
    answer->type =
        mem_strndup(type.data ? type.data : "", type.len < WEB_TYPE_MAX ? type.len : WEB_TYPE_MAX);
    answer->status = head->status;
    answer->length = -1; // what a redirect announced was its own
    if (span_to_u64(http_head_get(head, "Content-Length"), &length) && length <= INT64_MAX)
        answer->length = (int64_t)length;
    if (is_redirect(head->status) && location.len && location.len <= URL_BYTES_MAX)
        answer->location = mem_strndup(location.data, location.len);
}

static bool is_plain(struct span coding)
{
    return coding.len == 0 || (coding.len == 8 && strncasecmp(coding.data, "identity", 8) == 0);
}

static void on_head(void *context, const struct http_head *head)
{
    struct web_call *call = context;
    struct web_answer *answer = &call->answer;
    struct error err = ERROR_INIT;
    look_at_fields(answer, head);
    bool redirects = answer->location && call->spec.redirects;
    int r = 0;
    // Only who holds something, and says what, learns from it that this is still right (RFC 9110,
    // 15.4.5). Nothing is held here, so the text that it stands for is not known.
    if (head->status == 304 && !call->conditional)
        r = error_set(&err, -EPROTO,
                      "%.256s answers with HTTP status 304 (not modified), though it was not asked "
                      "whether anything has changed; a cache in front of it may be at fault",
                      answer->url);
    if (!redirects && !is_plain(http_head_get(head, "Content-Encoding")))
        r = error_set(&err, -EPROTONOSUPPORT, "%s sends it compressed, which was not asked for",
                      answer->url);
    answer->unwanted = !redirects && call->spec.wants && !call->spec.wants(span_of(answer->type));
    if (!redirects && !answer->unwanted && r == 0)
        return; // the body follows
    http_client_cancel(call->spec.http, call->id);
    if (redirects)
        r = follow(call, &err);
    if (!redirects || r < 0)
        end(call, r < 0 ? &err : NULL);
}

static int on_body(void *context, struct span chunk)
{
    struct web_call *call = context;
    struct buf *body = &call->answer.body;
    size_t room = call->spec.body_max - body->len;
    call->answer.cut = chunk.len > room;
    buf_append(body, chunk.data, call->answer.cut ? room : chunk.len);
    return call->answer.cut ? -EFBIG : 0;
}

static void on_done(void *context, enum http_failure failure, const struct error *err)
{
    struct web_call *call = context;
    struct error told = *err;
    if (failure == HTTP_OK || (failure == HTTP_STOPPED && call->answer.cut)) {
        end(call, NULL);
        return;
    }
    if (told.code >= 0)
        told.code = -EIO;
    end(call, &told);
}

static int ask(struct web_call *call, struct error *err)
{
    static const struct http_handler handler = {on_head, on_body, on_done};
    const struct web_call_spec *spec = &call->spec;
    int64_t left_ms = call->deadline_ms - loop_now(spec->loop);
    struct http_request request = {
        .method = spec->method,
        .url = call->answer.url,
        .headers = spec->headers,
        .body = spec->body,
        .guard = spec->guard,
        .timeouts = {CONNECT_MS, SILENCE_MS, SILENCE_MS, left_ms},
    };
    if (left_ms <= 0)
        return error_set(err, -ETIMEDOUT, "it took too long, with its redirects");
    return http_client_start(spec->http, &request, &handler, call, &call->id, err);
}

int web_call_start(const struct web_call_spec *spec, web_call_fn *fn, void *context,
                   struct web_call **ret_call, struct error *err)
{
    struct web_call *call = mem_new(struct web_call);
    *call = (struct web_call){.spec = *spec, .fn = fn, .context = context};
    for (const char *const *header = spec->headers; header && *header; header++)
        call->conditional |= strncasecmp(*header, "If-", 3) == 0;
    call->deadline_ms = loop_now(spec->loop) + WEB_TIME_MAX_MS;
    call->answer.url = mem_strdup(spec->url);
    buf_init(&call->answer.body, spec->body_max);
    int r = ask(call, err);
    call->spec.body = SPAN_ABSENT;
    if (!spec->redirects)
        call->spec.headers = NULL;
    if (r < 0)
        destroy(call);
    else
        *ret_call = call;
    return r;
}

void web_call_cancel(struct web_call *call)
{
    if (!call)
        return;
    http_client_cancel(call->spec.http, call->id);
    destroy(call);
}
