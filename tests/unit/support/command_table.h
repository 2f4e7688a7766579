#pragma once

#include <stddef.h>

#include "tools/command_rules.h"

// Each of these lines is judged so, with a reason unless it is plain; those that are not are told.
void command_table_expect(const char *const *commands, size_t count, enum command_verdict verdict);
