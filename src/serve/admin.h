#pragma once

#include <stdint.h>

#include "base/error.h"
#include "config/option.h"

struct control_env;
struct metrics;

/*
 * The admin listener (9119). /healthz says that the loop turns, /readyz by its code whether Hermes
 * can do its work, with the reasons in its body; both answer without a key, and to the key /readyz
 * also tells how Telegram and the outbox do. /metrics, /status and /mcp (mcp_face.h) want the key:
 * "Authorization: Bearer <admin.key>".
 */
struct admin;

struct admin_config {
    const char *host; // numeric
    int64_t port;     // 0: any free one
    const char *key;  // NULL: /metrics, /status and /mcp are refused
};

extern const struct option admin_options[];
extern const size_t admin_option_count;

// What is told of is borrowed, and outlives the listener; without metrics there are none.
int admin_create(const struct admin_config *config, const struct control_env *control,
                 struct metrics *metrics, struct admin **ret_admin, struct error *err);
void admin_destroy(struct admin *admin); // accepts NULL
uint16_t admin_port(const struct admin *admin);

// After a reload: the key. A new address or port wants a new listener.
void admin_configure(struct admin *admin, const struct admin_config *config);
