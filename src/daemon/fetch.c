#include "daemon/fetch.h"

#include "base/clock.h"
#include "base/mem.h"
#include "codec/http_date.h"
#include "loop/loop.h"
#include "net/ca_roots.h"

static void on_head(void *context, const struct http_head *head)
{
    struct fetch *fetch = context;
    fetch->status = head->status;
    int64_t at_s;
    if (http_date_parse(http_head_get(head, "Date"), &at_s))
        fetch->skew_s = clock_wall_ms(&clock_system) / 1000 - at_s;
}

static int on_body(void *context, struct span chunk)
{
    struct fetch *fetch = context;
    return buf_append_span(fetch->body, chunk) ? 0 : -1;
}

static void on_done(void *context, enum http_failure failure, const struct error *err)
{
    struct fetch *fetch = context;
    fetch->failure = failure;
    fetch->err = *err;
    loop_stop(fetch->loop);
}

struct fetch fetch_run(const struct http_request *request, const char *ca_file, struct buf *body)
{
    static const struct http_handler handler = {on_head, on_body, on_done};
    struct fetch fetch = {.body = body, .failure = HTTP_EXHAUSTED};
    struct trust *trust = NULL;
    struct http_client *http = NULL;
    http_id id;
    int r = loop_create(&clock_system, &fetch.loop, &fetch.err);
    if (r == 0 && !request->unix_socket)
        r = trust_create(ca_file, &trust, &fetch.err);
    if (r == 0)
        r = http_client_create(fetch.loop, trust, &http, &fetch.err);
    if (r == 0)
        r = http_client_start(http, request, &handler, &fetch, &id, &fetch.err);
    if (r == 0)
        loop_run(fetch.loop);
    http_client_destroy(http);
    trust_destroy(trust);
    loop_destroy(STEAL(fetch.loop));
    return fetch;
}
