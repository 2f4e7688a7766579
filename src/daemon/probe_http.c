#include "daemon/probe_http.h"

#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "loop/loop.h"
#include "net/ca_roots.h"
#include "net/http_client.h"

struct probe {
    struct loop *loop;
    struct probe_answer *answer;
};

static void on_head(void *context, const struct http_head *head)
{
    struct probe_answer *answer = ((struct probe *)context)->answer;
    answer->status = head->status;
    char text[64];
    struct tm parts = {0};
    struct span date = http_head_get(head, "Date");
    snprintf(text, sizeof text, "%.*s", (int)(date.len < 63 ? date.len : 63),
             date.data ? date.data : "");
    // RFC 9110 section 5.6.7, the one form that is still sent
    if (strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &parts))
        answer->skew_s = clock_wall_ms(&clock_system) / 1000 - (int64_t)timegm(&parts);
}

static int on_body(void *context, struct span chunk)
{
    buf_append_span(&((struct probe *)context)->answer->body, chunk);
    return 0;
}

static void on_done(void *context, enum http_failure failure, const struct error *err)
{
    struct probe *probe = context;
    probe->answer->error = *err;
    loop_stop(probe->loop);
}

void probe_get(const char *url, const char *const *headers, const char *ca_file, int64_t connect_ms,
               struct probe_answer *ret_answer)
{
    static const struct http_handler handler = {on_head, on_body, on_done};
    struct probe probe = {.answer = ret_answer};
    struct trust *trust = NULL;
    struct http_client *http = NULL;
    struct http_request request = {
        .method = "GET",
        .url = url,
        .headers = headers,
        .timeouts = {.connect = connect_ms, .total = PROBE_LIMIT_MS},
    };
    http_id id;
    *ret_answer = (struct probe_answer){.body = BUF_INIT(PROBE_BODY_MAX), .error = ERROR_INIT};
    int r = loop_create(&clock_system, &probe.loop, &ret_answer->error);
    if (r == 0)
        r = trust_create(ca_file, &trust, &ret_answer->error);
    if (r == 0)
        r = http_client_create(probe.loop, trust, &http, &ret_answer->error);
    if (r == 0)
        r = http_client_start(http, &request, &handler, &probe, &id, &ret_answer->error);
    if (r == 0)
        loop_run(probe.loop);
    http_client_destroy(http);
    trust_destroy(trust);
    loop_destroy(probe.loop);
}
