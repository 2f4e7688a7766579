#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "config/option.h"

struct control_env;

/*
 * The agent as a server for other programs (8642): OpenAI's chat completions and responses, each
 * answered by a turn with the agent's own tools, hermes-agent's runs, and its sessions. Everything
 * but /health and /v1/health wants the key, and without one nothing is opened.
 *
 *     GET    /v1/models
 *     POST   /v1/chat/completions
 *     POST   /v1/responses          GET, DELETE /v1/responses/ID
 *     POST   /v1/runs               GET /v1/runs/ID, /events; POST /stop
 *     the same at /api/runs
 *     GET    /api/sessions          GET, PATCH, DELETE /api/sessions/ID; GET /messages
 *     GET    /api/approvals         POST /api/approvals/CODE
 */
struct api;

enum { API_KEY_MIN = 8 }; // bytes

struct api_config {
    bool enabled;
    const char *host; // numeric
    int64_t port;     // 0: any free one
    const char *key;  // NULL or "": it is not opened
    const char *model_name;
    struct option_list origins; // of web pages that may ask
    int64_t runs_max;           // turns at once
};

extern const struct option api_options[];
extern const size_t api_option_count;

// 0 and NULL where nothing is to be opened. What is told of is borrowed, and outlives it.
int api_create(const struct api_config *config, const struct control_env *control,
               struct api **ret_api, struct error *err);
void api_destroy(struct api *api); // after the dispatcher; accepts NULL
uint16_t api_port(const struct api *api);

// For an orderly end: nobody new is let in, and what is open may end.
void api_close(struct api *api);
unsigned api_open(const struct api *api);
