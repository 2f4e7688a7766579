#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "daemon/settings.h"
#include "llm/endpoint.h"

struct router_plan;

/*
 * Which model answers what people say: the slot `main`. In the file router.slots.main is before
 * model.default; what is said for one run (--model, HERMES_MODEL) is before both. Makes it
 * values->llm.model, so that everybody else knows of one model only.
 */
void main_model_choose(const struct config *config, struct settings_values *values);

// What the router would run by; all that is wrong goes to `ret_errors` (or NULL).
int main_model_plan(const struct settings *settings, struct router_plan **ret_plan,
                    struct buf *ret_errors, struct error *err);

// Where that is. Unlike endpoint_choose() it knows what the plan knows: aliases and wildcards.
int main_model_endpoint(const struct llm_config *llm, const struct router_plan *plan,
                        struct endpoint *ret_endpoint, struct error *err);

// Could its server be asked at all? Nothing is asked. The sentence names the place of the setting.
int main_model_check(const struct settings *settings, const struct endpoint *endpoint,
                     bool with_key, struct error *err);
