#pragma once

#include <stdint.h>

#include "base/error.h"

struct loop;
struct metrics;
struct router;
struct router_listener;

/*
 * The router for every client in the house: OpenAI's paths with LiteLLM's manners (its errors, its
 * x-litellm-... headers, its admin paths), on port 4000.
 *
 *     POST /v1/chat/completions  /v1/completions  /v1/embeddings     with and without /v1
 *     GET  /v1/models  /model/info  /health  /metrics
 *     GET  /health/liveliness  /health/readiness                     without a key
 *
 * Who asks is told by headers, all optional: x-hermes-slot, x-hermes-session, x-hermes-job (what
 * budgets apply) and x-hermes-priority: interactive, api, cron, background.
 */
struct router_listener_env { // borrowed; outlives the listener
    struct loop *loop;
    struct router *router;
    struct metrics *metrics;
    const char *host; // numeric
    int64_t port;     // 0: any free one
};

// -ENOKEY where there is no key: a listener without one is not opened.
int router_listener_create(const struct router_listener_env *env,
                           struct router_listener **ret_listener, struct error *err);
void router_listener_destroy(
    struct router_listener *listener); // cuts who is being answered; accepts NULL
void router_listener_configure(
    struct router_listener *listener); // after a reload of the router's plan
uint16_t router_listener_port(const struct router_listener *listener);

// For an orderly end: nobody new is let in, and what is open may end.
void router_listener_close(struct router_listener *listener);
unsigned router_listener_open(
    const struct router_listener *listener); // answers that have not ended
