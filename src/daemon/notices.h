#pragma once

#include <stddef.h>

// NOTICE, put into the program by the build (scripts/embed.py).
extern const char notices_text[];
extern const size_t notices_text_len;
