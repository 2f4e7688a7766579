#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "codec/json_write.h"
#include "mcp/remote.h"
#include "store/key_value.h"
#include "tools/toolbox.h"

/*
 * Three texts are kept of a server in the store: the pins of its tools, of which change its owner
 * has been told, and its list as it was last, with the entry by which it was got, so that another
 * server of that name inherits no tools.
 */
enum { SETTLE_MS = 250 }; // servers say five times in a row that their list has changed

static void key_of(const struct mcp_remote *remote, const char *what, char *key, size_t size)
{
    snprintf(key, size, "mcp.%s.%s", what, remote->config.name);
}

static bool read_kept(struct mcp_remote *remote, const char *what, struct buf *out)
{
    char key[64 + MCP_SERVER_NAME_MAX];
    key_of(remote, what, key, sizeof key);
    return store_read_key_value(remote->env->store, span_of(key), out, NULL) == 0;
}

static void keep(struct mcp_remote *remote, const char *what, struct span text)
{
    char key[64 + MCP_SERVER_NAME_MAX];
    struct error err = ERROR_INIT;
    key_of(remote, what, key, sizeof key);
    if (store_write_key_value(remote->env->store, span_of(key), text, STORE_GROUPED, NULL, NULL,
                              &err) < 0)
        log_warning("what is known of the MCP server %s was not written down: %s",
                    remote->config.name, err.text);
}

static void hash_entry(const struct mcp_remote *remote, char hex[SHA256_HEX_SIZE])
{
    struct sha256 hash;
    sha256_init(&hash);
    sha256_add(&hash, span_of(remote->config.spelled));
    sha256_end_hex(&hash, hex);
}

// The toolbox learns what is offered. A failure leaves it as it was, and is told of.
static void offer(struct mcp_remote *remote)
{
    struct error err = ERROR_INIT;
    int r =
        remote->source_id
            ? toolbox_refresh_source(remote->env->toolbox, remote->source_id, &err)
            : toolbox_add_source(remote->env->toolbox, &remote->source, &remote->source_id, &err);
    if (r < 0)
        LOG_EVENT(LOG_WARNING, "mcp.tools_refused", "", LOG_TEXT("server", remote->config.name),
                  LOG_TEXT("error", err.text));
}

// Compares with the pins, or takes the definitions as they are. How many wait, or did.
static size_t pin(struct mcp_remote *remote, bool accept)
{
    struct buf *pins = &remote->pins; // the store may not have yet what was written last
    BUF_AUTO after = BUF_INIT(STORE_VALUE_MAX);
    size_t waiting = mcp_catalogue_pin(&remote->catalogue, buf_span(pins), accept, &after);
    if (span_equal(buf_span(pins), buf_span(&after)))
        return waiting;
    buf_clear(pins);
    buf_append_span(pins, buf_span(&after));
    keep(remote, "pins", buf_span(pins));
    return waiting;
}

void mcp_remote_change(const struct mcp_remote *remote, char ret_change[MCP_CHANGE_SIZE])
{
    struct sha256 hash;
    char hex[SHA256_HEX_SIZE];
    bool any = false;
    sha256_init(&hash);
    for (size_t i = 0; i < remote->catalogue.count; i++) {
        const struct mcp_tool *tool = &remote->catalogue.tools[i];
        if (tool->state != MCP_TOOL_CHANGED)
            continue;
        sha256_add(&hash, span_of(tool->hash));
        any = true;
    }
    sha256_end_hex(&hash, hex);
    snprintf(ret_change, MCP_CHANGE_SIZE, "%s", any ? hex : "");
}

void mcp_remote_told(struct mcp_remote *remote)
{
    char change[MCP_CHANGE_SIZE];
    mcp_remote_change(remote, change);
    if (!*change || strcmp(change, remote->told) == 0)
        return;
    memcpy(remote->told, change, sizeof change);
    keep(remote, "told", span_of(change));
}

size_t mcp_remote_accept(struct mcp_remote *remote)
{
    size_t waited = 0;
    for (size_t i = 0; i < remote->catalogue.count; i++)
        waited += remote->catalogue.tools[i].state == MCP_TOOL_CHANGED;
    pin(remote, true);
    offer(remote);
    LOG_EVENT(LOG_INFO, "mcp.accepted", "", LOG_TEXT("server", remote->config.name),
              LOG_NUMBER("tools", (int64_t)waited));
    return waited;
}

static void adopt(struct mcp_remote *remote, bool resources, bool prompts)
{
    mcp_catalogue_add_utilities(&remote->incoming, &remote->config,
                                resources && remote->config.resources,
                                prompts && remote->config.prompts);
    mcp_catalogue_finish(&remote->catalogue);
    remote->catalogue = remote->incoming;
    remote->incoming = (struct mcp_catalogue){0};
    size_t waiting = pin(remote, false);
    if (waiting)
        LOG_EVENT(LOG_WARNING, "mcp.changed", "", LOG_TEXT("server", remote->config.name),
                  LOG_NUMBER("tools", (int64_t)waiting));
    offer(remote);
}

void mcp_remote_restore(struct mcp_remote *remote)
{
    BUF_AUTO text = BUF_INIT(STORE_VALUE_MAX);
    JSON_AUTO doc = JSON_INIT;
    char entry[SHA256_HEX_SIZE];
    hash_entry(remote, entry);
    buf_init(&remote->pins, STORE_VALUE_MAX);
    read_kept(remote, "pins", &remote->pins);
    if (read_kept(remote, "told", &text) && text.len < sizeof remote->told)
        snprintf(remote->told, sizeof remote->told, "%s", buf_text(&text));
    buf_clear(&text);
    if (!read_kept(remote, "tools", &text) || json_parse(&doc, buf_span(&text), NULL) < 0 ||
        !json_is(json_get(json_root(&doc), "entry"), entry))
        return;
    struct json_value resources = json_get(json_root(&doc), "resources");
    struct json_value prompts = json_get(json_root(&doc), "prompts");
    mcp_catalogue_add(&remote->incoming, &remote->config, json_root(&doc));
    adopt(remote, json_type(resources) == JSON_TRUE, json_type(prompts) == JSON_TRUE);
}

/* Listing */

static void begin_kept(struct mcp_remote *remote)
{
    char entry[SHA256_HEX_SIZE];
    hash_entry(remote, entry);
    buf_finish(&remote->listed);
    buf_init(&remote->listed, STORE_VALUE_MAX - 2);
    buf_printf(&remote->listed, "{\"entry\":\"%s\",\"resources\":%s,\"prompts\":%s,\"tools\":[",
               entry, remote->info->resources ? "true" : "false",
               remote->info->prompts ? "true" : "false");
}

static void add_member(struct buf *out, struct json_value tool, const char *name)
{
    struct span raw = json_raw(json_get(tool, name));
    if (!raw.len)
        return;
    buf_printf(out, "%s\"%s\":", out->data[out->len - 1] == '{' ? "" : ",", name);
    buf_append_span(out, raw);
}

// Without the members that nothing here reads.
static void add_kept(struct buf *out, struct json_value result)
{
    static const char *const members[] = {"name", "description", "inputSchema", "annotations",
                                          "execution"};
    struct json_iter it = json_iter_init(json_get(result, "tools"));
    struct json_value tool;
    while (json_iter_next(&it, NULL, &tool)) {
        if (json_type(tool) != JSON_OBJECT)
            continue;
        buf_append_text(out, out->data[out->len - 1] == '[' ? "{" : ",{");
        for (size_t i = 0; i < ARRAY_LEN(members); i++)
            add_member(out, tool, members[i]);
        buf_append_char(out, '}');
    }
}

// The list is whole: it is offered, and kept.
static void take_list(struct mcp_remote *remote)
{
    adopt(remote, remote->info->resources, remote->info->prompts);
    if (buf_is_full(&remote->listed))
        return;
    remote->listed.max = STORE_VALUE_MAX;
    buf_append_text(&remote->listed, "]}");
    keep(remote, "tools", buf_span(&remote->listed));
}

static void on_page(void *context, const struct mcp_reply *page, bool last)
{
    struct mcp_remote *remote = context;
    struct error told;
    if (page->trouble == MCP_OK) {
        mcp_catalogue_add(&remote->incoming, &remote->config, page->result);
        add_kept(&remote->listed, page->result);
    } else {
        told = *page->err;
    }
    if (!last)
        return;
    remote->listing = 0;
    if (page->trouble == MCP_OK)
        take_list(remote);
    else
        mcp_catalogue_finish(&remote->incoming);
    buf_finish(&remote->listed);
    remote->ops->listed(remote, page->trouble == MCP_OK ? NULL : &told);
}

bool mcp_remote_list(struct mcp_remote *remote)
{
    mcp_remote_stop_listing(remote);
    begin_kept(remote);
    if (!remote->info->tools) { // it may have resources, or prompts
        take_list(remote);
        buf_finish(&remote->listed);
        return false;
    }
    remote->listing = mcp_client_list(remote->client, "tools/list", on_page, remote, NULL);
    return remote->listing != 0;
}

static void on_settled(void *context)
{
    struct mcp_remote *remote = context;
    remote->relist = 0;
    if (remote->state == MCP_READY)
        mcp_remote_list(remote);
}

void mcp_remote_listed_soon(struct mcp_remote *remote)
{
    loop_cancel(remote->env->loop, remote->relist);
    remote->relist = loop_timer_after(remote->env->loop, SETTLE_MS, on_settled, remote);
}

void mcp_remote_stop_listing(struct mcp_remote *remote)
{
    loop_cancel(remote->env->loop, remote->relist);
    remote->relist = 0;
    if (remote->listing)
        mcp_client_cancel(remote->client, remote->listing);
    remote->listing = 0;
    mcp_catalogue_finish(&remote->incoming);
    buf_finish(&remote->listed);
}

void mcp_remote_finish_tools(struct mcp_remote *remote)
{
    mcp_catalogue_finish(&remote->catalogue);
    mcp_catalogue_finish(&remote->incoming);
    buf_finish(&remote->listed);
    buf_finish(&remote->pins);
}
