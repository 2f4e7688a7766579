#pragma once

#include <stddef.h>

#include "base/span.h"

// "Did you mean ...?": the name that a mistyped word was probably meant to be.

enum { SUGGEST_WORD_MAX = 64 }; // bytes; longer words are not compared

// The nearest of `names` by inserted, deleted, changed and swapped characters (case and - against _
// count nothing); NULL when none is near enough to be worth saying. The first wins among equals.
const char *suggest_nearest(struct span word, const char *const *names, size_t count);

// Edits between two words, or `limit` + 1 when there are more, or a word is too long.
unsigned suggest_distance(struct span a, struct span b, unsigned limit);
