#pragma once

#include "base/span.h"

/*
 * Keys of the configuration files that people bring along. They are not mistakes, so they are
 * listed apart from unknown keys; what a module implements is in its option table as well, which is
 * asked first. Returns "hermes-agent" or "LiteLLM" when `key` is one of theirs, is beneath one, or
 * is a section that holds some; else NULL.
 */
const char *config_foreign_owner(struct span key);
