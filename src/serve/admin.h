#pragma once

#include <stdint.h>

#include "base/error.h"
#include "config/option.h"

struct loop;
struct store;

/*
 * The admin face (9119): /healthz says that the loop turns, /readyz by its code whether Hermes can
 * do its work, with the reasons in its body. Both answer without a key.
 */
struct admin;

struct admin_config {
    const char *host; // numeric
    int64_t port;     // 0: any free one
};

extern const struct option admin_options[];
extern const size_t admin_option_count;

int admin_create(struct loop *loop, const struct admin_config *config, struct store *store,
                 struct admin **ret_admin, struct error *err);
void admin_destroy(struct admin *admin); // accepts NULL
uint16_t admin_port(const struct admin *admin);
