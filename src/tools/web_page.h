#pragma once

#include "base/span.h"
#include "sandbox/process.h"

enum { WEB_PAGE_CHARACTERS_MAX = 40000 }; // of a page's text; what is asked for beyond is less

// The readable text of something from the Web, made in a process of its own: whoever wrote a page
// also chose its bytes.
struct web_page {
    struct span type; // its Content-Type
    struct span url;
    struct span body;
    int64_t characters; // that are wanted of it
    int64_t bytes;      // the same
};

// Is this Content-Type one of a text, so that its body is worth reading?
bool web_page_is_text(struct span type);

// As process_start(): its standard output is the text, or a sentence where its result is not 0.
int web_page_start(struct processes *processes, const char *directory, uint64_t flow,
                   const struct web_page *page, const struct process_events *events, void *context,
                   process_id *ret_id, struct error *err);

extern const struct process_function web_page_function;
