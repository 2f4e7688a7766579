#pragma once

#include <stdbool.h>

#include "base/span.h"

/*
 * A command is a slash, a word, and what follows: "/new@my_bot A title" is the word "/new" and the
 * rest "A title" (Telegram adds the bot's name where there are several). A path ("/etc/hosts is
 * empty") is no command. False, and nothing is set, when it is none.
 */
bool command_word_read(struct span text, struct span *ret_word, struct span *ret_rest);

struct span command_word_first(struct span text); // up to white space
