#include "daemon/probe_upstream.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/buf.h"
#include "base/clock.h"
#include "codec/url.h"
#include "loop/loop.h"
#include "net/ca_roots.h"
#include "net/http_client.h"

enum {
    URL_MAX = 2048,       // bytes
    LIMIT_MS = 15 * 1000, // for the whole probe
    SKEW_MAX_S = 300,     // seconds by which clocks may differ
};

struct probe {
    struct loop *loop;
    struct report *report;
    int status;
    int64_t skew_s; // ours minus theirs
    enum http_failure failure;
    struct error error;
};

static void on_head(void *context, const struct http_head *head)
{
    struct probe *probe = context;
    probe->status = head->status;
    char text[64];
    struct tm parts = {0};
    struct span date = http_head_get(head, "Date");
    snprintf(text, sizeof text, "%.*s", (int)(date.len < 63 ? date.len : 63),
             date.data ? date.data : "");
    // RFC 9110 section 5.6.7, the one form that is still sent
    if (strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &parts))
        probe->skew_s = clock_wall_ms(&clock_system) / 1000 - (int64_t)timegm(&parts);
}

static int on_body(void *context, struct span chunk)
{
    (void)context, (void)chunk;
    return 0;
}

static void on_done(void *context, enum http_failure failure, const struct error *err)
{
    struct probe *probe = context;
    probe->failure = failure;
    probe->error = *err;
    loop_stop(probe->loop);
}

static void tell(struct probe *probe, const struct endpoint *endpoint)
{
    struct report *report = probe->report;
    if (probe->status == 0)
        report_line(report, REPORT_FAILED, "upstream", "%s; check the base URL and the network",
                    probe->error.text);
    else if (probe->status == 401 || probe->status == 403)
        report_line(report, REPORT_FAILED, "upstream",
                    "%s does not accept the key (HTTP %d); set the right one", endpoint->base_url,
                    probe->status);
    else if (probe->status >= 500)
        report_line(report, REPORT_WARNING, "upstream", "%s answers HTTP %d; try again later",
                    endpoint->base_url, probe->status);
    else if (probe->status >= 300)
        report_line(report, REPORT_WARNING, "upstream",
                    "%s can be reached, but answers HTTP %d to /models; is that its base URL?",
                    endpoint->base_url, probe->status);
    else
        report_line(report, REPORT_OK, "upstream", "%s answers", endpoint->base_url);
    if (llabs(probe->skew_s) > SKEW_MAX_S)
        report_line(report, REPORT_WARNING, "clock",
                    "%lld seconds %s the upstream's; set it (timedatectl set-ntp true)",
                    llabs(probe->skew_s), probe->skew_s > 0 ? "ahead of" : "behind");
}

static int ask(struct probe *probe, struct http_client *http, const struct endpoint *endpoint,
               const struct llm_config *llm, struct error *err)
{
    static const struct http_handler handler = {on_head, on_body, on_done};
    BUF_AUTO url = BUF_INIT(URL_MAX);
    BUF_AUTO authorization = BUF_INIT(OPTION_VALUE_MAX);
    const char *headers[] = {"Accept: application/json", NULL, NULL};
    if (!url_join_path(span_of(endpoint->base_url), SPAN_LITERAL("models"), &url))
        return error_set(err, -1, "%s is not a base URL", endpoint->base_url);
    if (*endpoint->api_key) {
        buf_printf(&authorization, "Authorization: Bearer %s", endpoint->api_key);
        headers[1] = buf_text(&authorization);
    }
    struct http_request request = {
        .method = "GET",
        .url = buf_text(&url),
        .headers = headers,
        .timeouts = {.connect = llm->connect_timeout_ms, .total = LIMIT_MS},
    };
    http_id id;
    int r = http_client_start(http, &request, &handler, probe, &id, err);
    if (r == 0)
        loop_run(probe->loop);
    return r;
}

void probe_upstream(const struct endpoint *endpoint, const struct llm_config *llm,
                    const char *ca_file, struct report *report)
{
    struct probe probe = {.report = report, .error = ERROR_INIT};
    struct trust *trust = NULL;
    struct http_client *http = NULL;
    int r = loop_create(&clock_system, &probe.loop, &probe.error);
    if (r == 0)
        r = trust_create(ca_file, &trust, &probe.error);
    if (r == 0)
        r = http_client_create(probe.loop, trust, &http, &probe.error);
    if (r == 0)
        ask(&probe, http, endpoint, llm, &probe.error);
    tell(&probe, endpoint);
    http_client_destroy(http);
    trust_destroy(trust);
    loop_destroy(probe.loop);
}
