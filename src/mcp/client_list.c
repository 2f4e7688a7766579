#include <stdlib.h>

#include "base/hash.h"
#include "mcp/client_call.h"

struct mcp_listing {
    mcp_page_fn *fn;
    void *context;
    size_t pages;
    uint64_t cursors[MCP_PAGES_MAX]; // hashes of those that were followed
};

static void on_end(void *context, const struct mcp_reply *reply)
{
    struct mcp_listing *listing = context;
    mcp_page_fn *fn = listing->fn;
    context = listing->context;
    free(listing);
    fn(context, reply, true);
}

static bool was_followed(const struct mcp_listing *listing, uint64_t cursor)
{
    for (size_t i = 0; i < listing->pages; i++)
        if (listing->cursors[i] == cursor)
            return true;
    return false;
}

// An empty cursor is one; only none, or null, is the end.
void mcp_list_page(struct mcp_call *call, struct json_value result)
{
    struct mcp_client *client = call->client;
    struct mcp_listing *listing = call->listing;
    struct mcp_reply reply = {.trouble = MCP_OK, .result = result};
    struct json_value cursor = json_get(result, "nextCursor");
    struct span raw = json_raw(cursor);
    uint64_t hash = hash_of(raw);
    mcp_request_id id = call->id;
    bool gone = false;
    if (json_type(cursor) != JSON_STRING) {
        mcp_call_end(call, &reply);
        return;
    }
    if (listing->pages + 1 >= MCP_PAGES_MAX || raw.len > MCP_CURSOR_MAX ||
        was_followed(listing, hash)) {
        mcp_call_fail(call, MCP_INVALID, false, "never comes to the end of %s", call->method);
        return;
    }
    client->gone = &gone;
    listing->fn(listing->context, &reply, false);
    if (gone)
        return;
    client->gone = NULL;
    if (mcp_call_find(client, id) != call)
        return; // cancelled
    listing->cursors[listing->pages++] = hash;
    buf_finish(&call->params);
    buf_init(&call->params, raw.len + sizeof "{\"cursor\":}");
    buf_append_text(&call->params, "{\"cursor\":");
    buf_append_span(&call->params, raw);
    buf_append_char(&call->params, '}');
    call->resent = false;
    mcp_call_restart(call);
    mcp_call_send(call);
}

mcp_request_id mcp_client_list(struct mcp_client *client, const char *method, mcp_page_fn *fn,
                               void *context, struct error *err)
{
    struct mcp_listing *listing = mem_new(struct mcp_listing);
    struct mcp_request request = {.method = method, .repeatable = true};
    *listing = (struct mcp_listing){.fn = fn, .context = context};
    mcp_request_id id = mcp_client_request(client, &request, on_end, listing, err);
    if (id)
        mcp_call_find(client, id)->listing = listing;
    else
        free(listing);
    return id;
}
