#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/span.h"
#include "codec/charset.h"

/*
 * HTML as a run of tags and texts. Tolerant as a browser is: nothing is an error, and what never
 * ends, ends with the page. Comments and declarations are left out; the inside of script, style and
 * the like is one text. Each byte is looked at a few times at most. No memory of its own.
 */
enum { HTML_NAME_MAX = 16 }; // bytes of an element's name with its NUL; longer ones are cut

enum html_token_kind { HTML_TEXT, HTML_START, HTML_END };

struct html_token {
    enum html_token_kind kind;
    struct span text;         // HTML_TEXT: as it stands there, references not decoded
    char name[HTML_NAME_MAX]; // of a tag, in lower case
    struct span attributes;   // of HTML_START
};

struct html_tokens {
    struct span rest;
    char raw[HTML_NAME_MAX]; // the element whose inside comes next and holds no tags; "": none
};

void html_tokens_init(struct html_tokens *tokens, struct span page);
bool html_tokens_next(struct html_tokens *tokens, struct html_token *ret); // false at the end

// The raw value of an attribute; absent when it is not there, empty when it has none.
struct span html_attribute(struct span attributes, const char *name);

// Appends a value with its references decoded, as UTF-8; as much as fits.
void html_append_value(struct span value, enum charset charset, struct buf *out);
