#include "base/mem.h"
#include "daemon/control_client.h"
#include "daemon/page.h"
#include "daemon/probe.h"
#include "mcp/options.h"
#include "mcp/server_config.h"
#include "sandbox/namespaces.h"
#include "serve/control.h"

enum { TEXT_WIDTH = 400 }; // columns

static void report_server(struct json_value server, struct report *report)
{
    CLEANUP(mem_cleanup) char *name = page_cell(json_get(server, "name"), "?", TEXT_WIDTH);
    CLEANUP(mem_cleanup) char *state = page_cell(json_get(server, "state"), "?", TEXT_WIDTH);
    CLEANUP(mem_cleanup) char *era = page_cell(json_get(server, "era"), "", TEXT_WIDTH);
    CLEANUP(mem_cleanup) char *error = page_cell(json_get(server, "error"), "", TEXT_WIDTH);
    long long tools = page_number(server, "tools"), changed = page_number(server, "changed");
    report_line(report, *error ? REPORT_WARNING : REPORT_OK, "mcp", "%s: %s%s%s%s, %lld tool%s%s%s",
                name, state, *era ? ", of the " : "", era, *era ? " era" : "", tools,
                tools == 1 ? "" : "s", *error ? "; last error: " : "", error);
    if (changed)
        report_line(report, REPORT_WARNING, "mcp",
                    "%s: %lld tools have changed and wait; see hermes mcp tools %s, then "
                    "hermes mcp accept %s",
                    name, changed, name, name);
}

// The home's own place is enough to see whether anything can be hidden.
static void report_hiding(const char *home, const struct mcp_config *config,
                          const struct span *names, size_t count, struct report *report)
{
    const char *const hidden[] = {home, NULL};
    size_t trusted = 0;
    struct error err = ERROR_INIT;
    for (size_t i = 0; i < count; i++) {
        CLEANUP(mcp_server_config_finish) struct mcp_server_config entry = {0};
        if (mcp_server_config_read(&config->servers, names[i], &entry, NULL) == 0)
            trusted += !entry.url && !entry.sandboxed;
    }
    if (!trusted)
        return;
    if (namespaces_hide_probe(hidden, "/", &err) == 0)
        report_line(report, REPORT_OK, "mcp", "the home is hidden from the servers' programs");
    else
        report_line(report, REPORT_WARNING, "mcp",
                    "programs of %zu servers can read the home, its keys and conversations: %s. "
                    "Give them sandbox: true, or run them elsewhere and name their url",
                    trusted, err.text);
}

void probe_mcp(const char *home, const struct mcp_config *config, struct report *report)
{
    struct span names[MCP_SERVERS_MAX];
    size_t count = mcp_server_names(&config->servers, names);
    BUF_AUTO answer = BUF_INIT(CONTROL_ANSWER_MAX);
    JSON_AUTO values = JSON_INIT;
    struct json_value server;
    struct error err = ERROR_INIT;
    if (!count)
        return;
    int r = control_client_ask(home, "GET", "/mcp-servers", &answer, &err);
    if (r == 0)
        r = json_parse(&values, buf_span(&answer), &err);
    if (r == CONTROL_NO_OWNER)
        report_line(report, REPORT_OK, "mcp",
                    "%zu servers are configured; no hermes runs that knows their state, so "
                    "hermes mcp test tries them",
                    count);
    else if (r < 0)
        report_line(report, REPORT_WARNING, "mcp", "%s", err.text);
    for (struct json_iter it = json_iter_init(json_get(json_root(&values), "mcp_servers"));
         json_iter_next(&it, NULL, &server);)
        report_server(server, report);
    report_hiding(home, config, names, count, report);
}
