#pragma once

#include "base/buf.h"
#include "base/span.h"

// Appends a text that a person is to judge: characters that nobody sees (codec/entries.h) could
// turn around what is read, and are shown as JSON escapes them. `instead` stands for those of
// `blanks`.
void visible_write(struct span text, const char *blanks, char instead, struct buf *out);
