#include "daemon/probe_telegram.h"

#include <string.h>

#include "base/mem.h"
#include "codec/document.h"
#include "daemon/probe_http.h"

enum {
    TREE_MAX = 1 << 20, // bytes of memory of an answer
    NAME_SHOWN = 64,    // bytes
    CONNECT_MS = 10 * 1000,
};

static void tell_who_may_talk(const struct telegram_config *config, struct report *report)
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
static void tell(const struct probe_answer *answer, const char *base_url, struct report *report)
{
    DOCUMENT_AUTO doc = DOCUMENT_INIT(TREE_MAX);
    if (answer->status)
        document_read(&doc, buf_span(&answer->body), NULL);
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
    struct probe_answer answer;
    struct error err = ERROR_INIT;
    CLEANUP(mem_cleanup) char *token = NULL;
    CLEANUP(mem_cleanup) char *api = NULL;
    if (telegram_address(config, &token, &api, &err) < 0) {
        report_line(report, REPORT_FAILED, "telegram", "%s", err.text);
        return;
    }
    CLEANUP(mem_cleanup) char *url = mem_printf("%sgetMe", api);
    probe_get(url, NULL, ca_file, CONNECT_MS, &answer);
    tell(&answer, config->base_url, report);
    tell_who_may_talk(config, report);
    buf_finish(&answer.body);
}
