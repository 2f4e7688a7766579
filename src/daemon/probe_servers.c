#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "channels/telegram.h"
#include "codec/document.h"
#include "codec/url.h"
#include "daemon/fetch.h"
#include "daemon/probe.h"
#include "llm/endpoint.h"
#include "llm/options.h"

enum {
    LIMIT_MS = 15 * 1000,
    BODY_MAX = 64 * 1024, // bytes that are kept
    URL_MAX = 2048,       // bytes
    SKEW_MAX_S = 300,     // seconds by which clocks may differ
    TREE_MAX = 1 << 20,   // bytes of memory of an answer
    NAME_SHOWN = 64,      // bytes
    TELEGRAM_CONNECT_MS = 10 * 1000,
};

static void tell_upstream(const struct fetch *answer, const struct endpoint *endpoint,
                          struct report *report)
{
    if (answer->status == 0)
        report_line(report, REPORT_FAILED, "upstream", "%s; check the base URL and the network",
                    answer->err.text);
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
    BUF_AUTO body = BUF_INIT(BODY_MAX);
    CLEANUP(mem_cleanup)
    char *authorization = mem_printf("Authorization: Bearer %s", endpoint->api_key);
    const char *headers[] = {"Accept: application/json", *endpoint->api_key ? authorization : NULL,
                             NULL};
    CLEANUP(mem_cleanup) char *base_url = endpoint_url(endpoint);
    struct fetch answer = {.status = 0};
    if (url_join_path(span_of(base_url), SPAN_LITERAL("models"), &url)) {
        struct http_request request = {
            .method = "GET",
            .url = buf_text(&url),
            .headers = headers,
            .timeouts = {.connect = llm->connect_timeout_ms, .total = LIMIT_MS},
        };
        answer = fetch_run(&request, ca_file, &body);
    } else {
        error_set(&answer.err, -1, "%s is not a base URL", endpoint->base_url);
    }
    tell_upstream(&answer, endpoint, report);
}

static void report_allowed_users(const struct telegram_config *config, struct report *report)
{
    bool all = config->allow_all;
    for (size_t i = 0; i < config->allowed_users.count; i++)
        all |= strcmp(config->allowed_users.items[i], "*") == 0;
    if (all)
        report_line(report, REPORT_WARNING, "telegram", "anybody who finds the bot may talk to it");
    else if (config->allowed_users.count == 0)
        report_line(report, REPORT_WARNING, "telegram",
                    "TELEGRAM_ALLOWED_USERS lists nobody: write to the bot, then approve the code "
                    "in its reply with hermes pairing approve telegram CODE");
}

// The sentences of a failed request may hold the URL, and that the token; so none is shown.
static void tell_bot(const struct fetch *answer, const char *base_url, struct report *report)
{
    DOCUMENT_AUTO doc = DOCUMENT_INIT(TREE_MAX);
    if (answer->status)
        document_read(&doc, buf_span(answer->body), NULL);
    const char *name = node_text(node_get(node_get(document_root(&doc), "result"), "username"));
    if (answer->status == 0)
        report_line(report, REPORT_FAILED, "telegram",
                    "%s cannot be reached; check the network, or TELEGRAM_API_BASE", base_url);
    else if (answer->status == 401 || answer->status == 404)
        report_line(report, REPORT_FAILED, "telegram",
                    "%s refuses the token; set TELEGRAM_BOT_TOKEN to the one from @BotFather",
                    base_url);
    else if (!name)
        report_line(report, REPORT_WARNING, "telegram", "%s replies with HTTP %d, unlike Telegram",
                    base_url, answer->status);
    else
        report_line(report, REPORT_OK, "telegram", "the bot is @%.*s", NAME_SHOWN, name);
}

void probe_telegram(const struct telegram_config *config, const char *ca_file,
                    struct report *report)
{
    if (!telegram_is_wanted(config))
        return;
    struct error err = ERROR_INIT;
    CLEANUP(mem_cleanup) char *token = NULL;
    CLEANUP(mem_cleanup) char *api = NULL;
    if (telegram_address(config, &token, &api, &err) < 0) {
        report_line(report, REPORT_FAILED, "telegram", "%s", err.text);
        return;
    }
    CLEANUP(mem_cleanup) char *url = mem_printf("%sgetMe", api);
    BUF_AUTO body = BUF_INIT(BODY_MAX);
    struct http_request request = {
        .method = "GET",
        .url = url,
        .timeouts = {.connect = TELEGRAM_CONNECT_MS, .total = LIMIT_MS},
    };
    struct fetch answer = fetch_run(&request, ca_file, &body);
    tell_bot(&answer, config->base_url, report);
    report_allowed_users(config, report);
}
