#pragma once

#include <stdbool.h>

#include "base/list.h"
#include "codec/document.h"
#include "codec/zone.h"
#include "loop/loop.h"
#include "net/sse_stream.h"
#include "serve/control.h"
#include "tools/tool_run.h"

struct store_call;
struct store_view;

// What the files of the control socket share. Nobody else includes this.

enum { CONTROL_ERROR_MAX = 8 * ERROR_TEXT_MAX }; // bytes: a sentence, escaped

struct control {
    const struct control_env *env; // borrowed
    struct http_server *server;
    char *path;            // of the socket
    struct list questions; // that wait for the store
    struct list chats;     // whose turn has not ended
    bool closing;
};

// A question and who asked it.
struct control_question {
    struct list link;
    const struct control_env *env;
    struct span method, path, body; // while it is asked: what is kept has none of them
    struct list *waiting;           // for what has to wait; NULL: nobody will ever take it back
    struct http_server *server;     // whose exchange gets the answer, found again by its id
    uint64_t exchange;
    control_done_fn *done; // gets it where there is no server
    void *context;
    int64_t job;              // of the store
    tool_run_id run;          // of the toolbox
    const char *redirect_uri; // of a login that is waited for; NULL: none
    loop_id timer;            // 0: none
};

// control_question.c
// A copy that waits for the store, at the beginning of `size` bytes of zeros: to be freed.
void *control_question_keep(const struct control_question *question, size_t size);
void control_forget(struct list *waiting); // no question of the list is answered any more

// Ends what was kept, with control_reply(). And what its job, or the failure to submit one, means.
void control_finish(struct control_question *kept, int r, struct buf *body,
                    const struct error *err);
void control_submitted(struct control_question *kept, int64_t job, const struct error *err);

// Each answers, once. `body` is the answer when `r` is 0; else it may be NULL.
void control_refuse(const struct control_question *question, unsigned status, const char *sentence);
void control_reply(const struct control_question *question, int r, struct buf *body,
                   const struct error *err);

unsigned control_status_of(int code); // HTTP's, of an outcome or a negated errno value
void control_print(struct document *doc, struct buf *out); // with a line feed behind it

// control_answer.c
void control_ask(const struct control_question *question);

// control.c: answers an exchange of that server with JSON. Those on the list that wait are to be
// forgotten after the server's end.
void control_serve(const struct control_env *env, struct http_server *server,
                   struct http_exchange *exchange, struct span method, struct list *waiting);

// Those that answer one path each. `rest` is what the path has after the slash.
void control_ask_status(const struct control_question *question, struct span rest);
void control_ask_cost(const struct control_question *question, struct span rest); // BY/DAYS
void control_ask_taints(const struct control_question *question, struct span id); // "": all
void control_ask_call(const struct control_question *question, struct span id);   // its beginning

// control_mcp.c
void control_ask_mcp(const struct control_question *question, struct span rest); // "" or a name
void control_add_mcp(struct node parent, const struct control_env *env);         // as "mcp_servers"

// control_cron.c
void control_ask_cron(const struct control_question *question, struct span rest);
void control_add_cron(struct node parent, const struct control_env *env); // as "cron"

// control_sessions.c, on the store's thread: a negative code, with a sentence, or 0.
int control_write_sessions(struct store_view *view, struct buf *out, struct error *err);
int control_write_session(struct store_view *view, struct span id, struct buf *out,
                          struct error *err);

// control_reasons.c
int64_t control_call_cost(const struct store_call *call); // of all attempts whose cost is known

// Why a call was dear: sentences, added to an array. Prices are
// those of the router's plan; NULL: they are not known.
void control_write_reasons(const struct store_call *call, struct router *router,
                           struct node reasons);

// control_budgets.c
struct zone control_zone(const struct control_env *env, const char **ret_name);
// "2026-11-21 16:16" there, into CLOCK_TEXT_SIZE bytes.
const char *control_local_time(const struct zone *zone, int64_t wall_ms, char *text);
void control_write_budgets(struct node answer, const struct control_env *env); // two members

// control_chat.c
bool control_is_chat_name(struct span name); // that a client may choose
void control_chat_start(struct control *control, struct http_exchange *exchange);
void control_chat_stop(struct control *control, struct http_exchange *exchange);
void control_chat_gone(void *control, uint64_t exchange); // as on_gone of its server
void control_chats_finish(struct control *control);
