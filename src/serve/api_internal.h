#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agent/asked.h"
#include "agent/turn_event.h"
#include "base/buf.h"
#include "base/list.h"
#include "codec/document.h"
#include "loop/loop.h"
#include "net/sse_stream.h"
#include "serve/api.h"
#include "serve/control.h"

// What the files of the API share. Nobody else includes this.

enum {
    API_BODY_MAX = 12 << 20,      // bytes of a request
    API_TREE_MAX = 64 << 20,      // bytes of memory of one that is read, or of an answer
    API_ANSWER_MAX = 32 << 20,    // bytes of an answer
    API_ITEMS_MAX = 1 << 20,      // bytes of the calls that an answer of /v1/responses tells of
    API_RESULT_MAX = 16 << 10,    // bytes of one result among these
    API_RUN_EVENTS_MAX = 1 << 16, // bytes of a run's events that are kept
    API_RUNS_KEPT_MAX = 32,       // runs that have ended and are told of from memory
    API_RUN_KEPT_MS = 300 * 1000, // and for how long
    API_ID_SIZE = 40,             // bytes of "resp_" or "run_" with a turn's name
    API_CHAT_SIZE = 65,           // bytes of a conversation's name
};

extern const char api_channel[], api_json[];

struct api {
    const struct api_config *config;   // borrowed
    const struct control_env *control; // borrowed
    struct http_server *server;
    struct list works;     // struct api_work
    struct list pages;     // struct api_page
    struct list once;      // of api_once.c
    struct list questions; // of the control socket, that wait for the store
};

struct api_work;

// How an answer is written.
struct api_form {
    const char *id_prefix;
    void (*begin)(struct api_work *work); // its stream has begun
    void (*event)(struct api_work *work, const struct turn_event *event);
    void (*end)(struct api_work *work, const struct turn_outcome *outcome);
    void (*waits)(struct api_work *work, const struct turn_outcome *outcome); // NULL: it ends it
    void (*finish)(struct api_work *work); // when it is destroyed; NULL: nothing
    bool outlives;                         // its asker, and is destroyed by itself
};

struct api_work {     // a turn and who waits for it, if anybody does
    struct list link; // api::works
    struct api *api;
    const struct api_form *form;
    uint64_t exchange; // 0: nobody waits any more
    struct sse_stream stream;
    bool streams;
    bool tells_usage; // at the end of a stream
    bool forgets;     // its session is deleted at the end
    bool ended;
    char turn[33], chat[API_CHAT_SIZE], session[ASKED_ID_SIZE];
    char *model;          // as the client calls it
    char *previous;       // id of a response; NULL: none
    int64_t created_s;    // wall clock
    int64_t ended_ms;     // monotonic
    bool spoke;           // text was told in this step
    unsigned sequence;    // of events
    unsigned index;       // of items
    struct buf text;      // of the present item
    struct buf items;     // JSON, each followed by a comma; of a run its events
    struct list watchers; // of a run: struct api_watcher
    const char *status;   // of a run
    char *output, *error;
    struct chat_usage usage;
};

struct api_request;

// api_answer.c
__attribute__((format(printf, 4, 5))) void api_refuse(struct http_exchange *exchange,
                                                      unsigned status, const char *code,
                                                      const char *fmt, ...);
void api_refuse_for_now(struct http_exchange *exchange, const char *sentence);
void api_write_error(struct node parent, unsigned status, const char *code, const char *message);
void api_reply(struct http_exchange *exchange, unsigned status, const struct document *doc);
int64_t api_now_s(const struct api *api); // wall clock

// api_work.c
// Takes what is asked. NULL when it was answered with the reason.
struct api_work *api_work_start(struct api *api, const struct api_form *form,
                                struct api_request *request, struct http_exchange *exchange);
void api_work_destroy(struct api_work *work);
void api_work_send(struct api_work *work, const char *type, const struct document *doc);
void api_work_leave(struct api_work *work);                     // nobody waits any more
struct http_exchange *api_work_exchange(struct api_work *work); // NULL: it is gone
struct node api_write_usage(struct node parent, const struct chat_usage *usage, const char *in,
                            const char *out);
void api_refuse_turn(struct http_exchange *exchange, const struct turn_outcome *outcome);
const char *api_failure(const struct turn_outcome *outcome); // a sentence

// api_once.c: a request that was answered before, or is being answered, which is then replied to;
// and the reply that is kept.
bool api_once_answer(struct api *api, struct http_exchange *exchange);
void api_once_reply(struct api_work *work, struct http_exchange *exchange, unsigned status,
                    const struct document *doc);
void api_once_finish(struct api *api);

// api_runs.c
struct sse_stream *api_run_stream(struct api_work *run, uint64_t exchange); // NULL: none of it
void api_run_gone(struct api_work *run, uint64_t exchange);

// api_approvals.c
void api_approvals_deny(struct api *api, const char *turn);
void api_approvals_answer(struct api *api, struct http_exchange *exchange, struct span code,
                          const char *turn);

// The routes. `rest` is what the path has behind them.
typedef void api_route_fn(struct api *api, struct http_exchange *exchange, struct span rest);
api_route_fn api_chat, api_responses, api_runs, api_approvals, api_sessions, api_jobs;
