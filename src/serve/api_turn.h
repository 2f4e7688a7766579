#pragma once

#include "serve/api_internal.h"
#include "store/turn.h"

// Turns that were asked for over the API, and answers that wait for the store. Private to the API.
struct api_turn { // as the store has it
    char name[33], session[ASKED_ID_SIZE], chat[API_CHAT_SIZE];
    enum store_turn_state state;
    int64_t started_ms;
    struct chat_usage usage;
    char *text, *error; // the last word, when it has ended
};

struct api_page {     // an answer that waits for the store
    struct list link; // api::pages
    struct api *api;
    uint64_t exchange; // 0: nobody waits for it
    int64_t job;
    void (*done)(struct api_page *page, int result, const struct error *err);
    char id[API_ID_SIZE];
};

// False when it was answered that there is none.
bool api_turn_read(struct api *api, struct span id, const char *prefix, struct api_turn *ret_turn,
                   struct http_exchange *exchange);
void api_turn_finish(struct api_turn *turn);
// `exchange` may be NULL. api_page_done(), the completion of its job, frees it.
struct api_page *api_page_begin(struct api *api, struct http_exchange *exchange,
                                void (*done)(struct api_page *page, int result,
                                             const struct error *err));
store_done_fn api_page_done;
void api_page_wait(struct api_page *page, int64_t job, const struct error *err);
void api_page_destroy(struct api_page *page);
