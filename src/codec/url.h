#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/span.h"

/*
 * Absolute http and https URLs (RFC 3986), strictly: what one program takes for the host and
 * another for something else is refused, and so are credentials, which would end up in logs.
 * No sentence repeats the URL, because its query may hold a secret.
 */

enum { URL_BYTES_MAX = 8192 };

// Everything points into the text that was parsed and lives as long as that.
struct url {
    struct span text;
    struct span scheme;    // as written
    bool secure;           // https
    struct span authority; // host and port as written, brackets included: what a message shows
    struct span host;      // without the brackets of an IPv6 literal
    bool ipv6;             // host is an IPv6 literal
    bool has_port;         // written in the URL
    uint16_t port;         // that, or 80 and 443
    struct span path;      // "" or "/..."
    struct span query;     // without the ?; absent when there is none
    struct span fragment;  // without the #; absent when there is none
};

int url_parse(struct span text, struct url *ret_url, struct error *err); // 0 or -EINVAL

// "https://host/v1/?x=1" and "chat/completions" make "https://host/v1/chat/completions?x=1". The
// path may have a query of its own; it is taken as it is, not encoded. False, with nothing
// appended, when the base is no URL or the result does not fit.
bool url_join_path(struct span base, struct span path, struct buf *out);

// What a reference in a document at `base` leads to, made a URL that url_parse() takes: what one
// may not hold is percent-encoded, "." and ".." are gone. Without a base (absent) only a whole URL
// leads anywhere. False, with nothing appended, when it leads to nothing of http or https.
bool url_resolve(struct span base, struct span reference, struct buf *out);

// Percent-encodes all but RFC 3986's unreserved characters. All or nothing.
bool url_encode(struct span component, struct buf *out);
