#pragma once

#include "base/span.h"

/*
 * Keys of the configuration files that people bring along. They are not mistakes, so they are
 * listed apart from unknown keys; what a module implements is in its option table as well, which is
 * asked first. Returns "hermes-agent" or "LiteLLM" when `key` is one of theirs, is beneath one, or
 * is a section that holds some; else NULL. *ret_why: why it is not used, as the end of a sentence,
 * or NULL; it means something only with an owner.
 */
const char *config_foreign_owner(struct span key, const char **ret_why);

/*
 * Does a key of LiteLLM's (its last part, without the section), or a word in one of its lists,
 * limit something: money, calls, who may ask and for what? Then the sentence of a program that does
 * not hold it, with what to do instead; else NULL.
 */
const char *config_foreign_limit(struct span word);
