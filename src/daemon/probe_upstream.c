#include "daemon/probe_upstream.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/mem.h"
#include "codec/url.h"
#include "daemon/probe_http.h"

enum {
    URL_MAX = 2048,   // bytes
    SKEW_MAX_S = 300, // seconds by which clocks may differ
};

static void tell(const struct probe_answer *answer, const struct endpoint *endpoint,
                 struct report *report)
{
    if (answer->status == 0)
        report_line(report, REPORT_FAILED, "upstream", "%s; check the base URL and the network",
                    answer->error.text);
    else if (answer->status == 401 || answer->status == 403)
        report_line(report, REPORT_FAILED, "upstream",
                    "%s refuses the key (HTTP %d); set the right one", endpoint->base_url,
                    answer->status);
    else if (answer->status >= 500)
        report_line(report, REPORT_WARNING, "upstream", "%s replies with HTTP %d; try again later",
                    endpoint->base_url, answer->status);
    else if (answer->status >= 300)
        report_line(report, REPORT_WARNING, "upstream",
                    "%s replies with HTTP %d to /models; check its base URL", endpoint->base_url,
                    answer->status);
    else
        report_line(report, REPORT_OK, "upstream", "%s replies", endpoint->base_url);
    if (llabs(answer->skew_s) > SKEW_MAX_S)
        report_line(report, REPORT_WARNING, "clock",
                    "%lld seconds %s the upstream's; set it (timedatectl set-ntp true)",
                    llabs(answer->skew_s), answer->skew_s > 0 ? "ahead of" : "behind");
}

void probe_upstream(const struct endpoint *endpoint, const struct llm_config *llm,
                    const char *ca_file, struct report *report)
{
    BUF_AUTO url = BUF_INIT(URL_MAX);
    BUF_AUTO authorization = BUF_INIT(OPTION_VALUE_MAX);
    struct probe_answer answer = {.error = ERROR_INIT};
    const char *headers[] = {"Accept: application/json", NULL, NULL};
    if (*endpoint->api_key) {
        buf_printf(&authorization, "Authorization: Bearer %s", endpoint->api_key);
        headers[1] = buf_text(&authorization);
    }
    CLEANUP(mem_cleanup) char *base_url = endpoint_url(endpoint);
    if (url_join_path(span_of(base_url), SPAN_LITERAL("models"), &url))
        probe_get(buf_text(&url), headers, ca_file, llm->connect_timeout_ms, &answer);
    else
        error_set(&answer.error, -1, "%s is not a base URL", endpoint->base_url);
    tell(&answer, endpoint, report);
    buf_finish(&answer.body);
}
