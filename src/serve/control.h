#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/span.h"
#include "net/http_server.h"

struct agent;
struct dispatcher;
struct endpoint;
struct loop;
struct mcp_servers;
struct mcp_face;
struct router;
struct router_plan;
struct scheduler;
struct store;
struct telegram;
struct toolbox;

/*
 * The owner of a home serves the other commands over <home>/hermes.sock (0600), in HTTP:
 *
 *     GET    /status            what runs, as JSON
 *     GET    /sessions          the sessions, as JSON
 *     GET    /sessions/ID       one with its messages, as JSON
 *     DELETE /sessions/ID       and "left_over": why its text may still be in the file
 *     POST   /sessions/ID       {"title": ...}
 *     GET    /prune/CHANNEL/DAYS  how many ended ones were not used since, "*": of all channels;
 *                               DELETE: some of them are deleted
 *     GET    /taints            what is marked, as JSON
 *     DELETE /taints/ID         one of these marks, or of all files, if it is still as it was told
 *     GET    /cost/BY/DAYS      what was spent in so many days, by model, slot, key, day, session
 *                               or job (default: model, 30), as JSON; also /cost and /cost/BY
 *     GET    /calls/ID          the attempts of one call, and why it was dear
 *     GET    /mcp-servers       the configured ones, as JSON; /mcp-servers/NAME: one with its tools
 *     POST   /mcp-servers       connects them all anew, then the same
 *     POST   /mcp-servers/NAME  {"do": "accept"|"reconnect"|"test"|"login"|"logout"|"call"}, and
 *                               what that needs (control_mcp.c)
 *     POST   /cron              {"action": ...}: jobs are listed or changed (scheduler_ask())
 *     GET    /context           what a first message costs, part by part
 *     POST   /chat?chat=NAME    a message; the answer is an event stream
 *     DELETE /chat?chat=NAME    ends the answer, which its stream then tells
 *     POST   /reload            as SIGHUP, and says what came of it
 *     POST   /mcp               a message of the Model Context Protocol (mcp/server_ways.h)
 *
 * The same questions are answered without an owner by control_answer(), in the process that asks,
 * which then holds the lock. ID may be an unambiguous beginning of one.
 *
 * The events of /chat: "step" {}, "text" {delta}, "call" {name, arguments}, "result" {name, failed,
 * text}, "wait" {text} (why nothing happens), and last "end" {state: "done"|"failed"|"cancelled",
 * text, error, remark, usage, iterations}. Who leaves before that ends the turn.
 */
struct control;

enum {
    CONTROL_MESSAGE_MAX = 1024 * 1024, // bytes of one message of a chat
    CONTROL_ANSWER_MAX = 64 << 20,     // bytes of an answer
};

struct control_env { // borrowed, and looked at anew with each question; outlives the control
    struct loop *loop;
    struct store *store;
    struct dispatcher *dispatcher;    // NULL: /chat and /context are refused
    struct telegram **telegram;       // where the channel is found; may be NULL, or point at NULL
    const struct agent *agent;        // NULL: nothing is told of the calls to models
    const struct endpoint *endpoint;  // which model is asked, and where; NULL: not told
    struct mcp_servers *mcp_servers;  // NULL: /mcp-servers is refused
    struct toolbox *toolbox;          // of those
    struct scheduler *scheduler;      // NULL: /cron is refused
    const struct target_env *targets; // where a run of the API may answer
    const char *home;
    const char *workspace;
    int64_t started_ms;  // wall
    int64_t up_since_ms; // the same instant on the monotonic clock, which does not jump
    // Builds the new configuration, and takes it; the sentence says what is wrong. NULL: refused.
    int (*reload)(void *context, struct buf *ret_text, struct error *err);
    struct router *router; // whose budgets, unwritten rows and zone are told of; NULL: none runs
    const struct router_plan *plan; // by which budgets and days are told where none runs; NULL: UTC
    void *context;                  // of reload
    struct mcp_face *mcp_face;      // NULL: /mcp is refused
};

int control_create(const struct control_env *env, struct control **ret_control, struct error *err);

// Unlinks the socket and cuts who is being answered. Accepts NULL. After dispatcher_destroy(): a
// turn that runs still speaks to its client, and is not ended by this.
void control_destroy(struct control *control);

// The status of the answer (HTTP's), and its body: JSON, or {"error": sentence}. Everything but
// /chat. `done` may come before this returns; else when the store's completion is dispatched.
typedef void control_done_fn(void *context, unsigned status, struct span body);
void control_answer(const struct control_env *env, struct span method, struct span path,
                    struct span body, control_done_fn *done, void *context);
