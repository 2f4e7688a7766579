// Turns that were asked for over the API, as the store has them; and pages that wait for it.
#include "serve/api_turn.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "net/http_server.h"
#include "serve/control_internal.h"
#include "store/turn_read.h"

enum { NAME_LEN = 32 }; // hex digits

void api_turn_finish(struct api_turn *turn)
{
    free(turn->text);
    free(turn->error);
}

static bool on_turn(void *context, const struct store_turn_row *row)
{
    struct api_turn *turn = context;
    if (!span_is(row->channel, api_channel))
        return false;
    turn->state = row->state;
    turn->started_ms = row->started_ms;
    turn->usage = (struct chat_usage)CHAT_USAGE_UNKNOWN;
    turn->usage.prompt_tokens = row->usage.input_tokens;
    turn->usage.cached_tokens = row->usage.cached_tokens;
    turn->usage.completion_tokens = row->usage.output_tokens;
    turn->error = mem_strndup(row->error.len ? row->error.data : "", row->error.len);
    snprintf(turn->session, sizeof turn->session, "%.*s", (int)row->session.len, row->session.data);
    snprintf(turn->chat, sizeof turn->chat, "%.*s", (int)row->chat.len, row->chat.data);
    return false;
}

static void on_answer(void *context, struct span name, struct span text)
{
    struct api_turn *turn = context;
    turn->text = mem_strndup(text.len ? text.data : "", text.len);
}

bool api_turn_read(struct api *api, struct span id, const char *prefix, struct api_turn *ret_turn,
                   struct http_exchange *exchange)
{
    struct error err = ERROR_INIT;
    struct store *store = api->control->store;
    struct span name = span_skip(id, strlen(prefix));
    bool named = span_starts_with(id, prefix) && name.len == NAME_LEN;
    int r = STORE_NOT_FOUND;
    if (named) {
        memcpy(ret_turn->name, name.data, NAME_LEN);
        r = store_read_turn(store, name, on_turn, ret_turn, &err);
    }
    if (r == 0 && *ret_turn->session && ret_turn->state >= STORE_TURN_DONE) // or it was left out
        r = store_read_answer(store_view(store), name, on_answer, ret_turn, &err);
    if (r < 0)
        api_refuse_for_now(exchange, err.text);
    else if (r != 0 || !*ret_turn->session)
        api_refuse(exchange, 404, "not_found", "there is no \"%.*s\"",
                   id.len < 80 ? (int)id.len : 80, id.data ? id.data : "");
    return r == 0 && *ret_turn->session;
}

// --- pages ---------------------------------------------------------------------------------------

struct api_page *api_page_begin(struct api *api, struct http_exchange *exchange,
                                void (*done)(struct api_page *, int, const struct error *))
{
    struct api_page *page = mem_new(struct api_page);
    page->api = api;
    page->exchange = exchange ? http_exchange_id(exchange) : 0;
    page->done = done;
    list_append(&api->pages, &page->link);
    return page;
}

void api_page_destroy(struct api_page *page)
{
    store_forget(page->api->control->store, page->job);
    list_remove(&page->link);
    free(page);
}

void api_page_done(void *context, int result, const struct error *err, int64_t rowid)
{
    struct api_page *page = context;
    page->job = 0;
    page->done(page, result, err);
    api_page_destroy(page);
}

void api_page_wait(struct api_page *page, int64_t job, const struct error *err)
{
    if (job <= 0)
        api_page_done(page, (int)job, err, 0);
    else
        page->job = job;
}
