#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "base/span.h"
#include "codec/charset.h"

/*
 * What a person would read of a page: its title, headings, lists, links as [text](url), tables with
 * a bar between cells, code as it stands. What is not read is left out: scripts, styles, forms'
 * buttons, navigation, footers, and whatever is hidden. There is no tree, so no depth to run out
 * of; an element that never ends does not take the rest of the page with it.
 */
struct html_page {
    struct span bytes;
    enum charset charset;
    struct span url; // where it came from, for its links; absent: those that are whole
};

// As much as fits, UTF-8. False when that was not all.
bool html_text(const struct html_page *page, struct buf *out);

// By a byte order mark, the Content-Type field (may be absent), a <meta> element near the
// beginning; else UTF-8.
enum charset html_charset(struct span page, struct span content_type);
