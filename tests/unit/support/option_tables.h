#pragma once

#include "base/error.h"
#include "config/schema.h"

/*
 * Whether tables of options are sound: no key or alias twice, every fallback readable as its type,
 * every field within the struct, secrets are not lists, help is there. 0 or -EINVAL.
 */
int option_tables_check(const struct config_schema *schema, struct error *err);
