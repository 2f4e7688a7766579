#pragma once

#include <stdint.h>

#include "base/error.h"

struct loop;
struct metrics;
struct router;
struct router_face;

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
struct router_face_env { // borrowed; outlives the face
    struct loop *loop;
    struct router *router;
    struct metrics *metrics;
    const char *host; // numeric
    int64_t port;     // 0: any free one
    const char *version;
};

// -ENOKEY where there is no key: a face without one is not opened.
int router_face_create(const struct router_face_env *env, struct router_face **ret_face,
                       struct error *err);
void router_face_destroy(struct router_face *face);   // cuts who is being answered; accepts NULL
void router_face_configure(struct router_face *face); // after a reload of the router's plan
uint16_t router_face_port(const struct router_face *face);

// For an orderly end: nobody new is let in, and what is open may end.
void router_face_close(struct router_face *face);
unsigned router_face_open(const struct router_face *face); // answers that have not ended
