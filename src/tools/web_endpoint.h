#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "config/option.h"

/*
 * A server that the owner has named for http_request (`tools.http.endpoints`): where its URLs
 * begin, what may be done there, and the headers that nobody else sees.
 */
enum {
    WEB_ENDPOINTS_MAX = 64,
    WEB_ENDPOINT_HEADERS_MAX = 16,
    WEB_ENDPOINT_QUERY_MAX = 4096, // bytes
};

struct web_endpoint { // points into the settings
    const struct option_map *settings;
    size_t place; // in their list
    const char *name;
    const char *url;
    const char *help; // for who may use it; NULL
};

extern const char web_endpoint_places[]; // of the settings' tree

// Walks the list: false behind the last, or where there is none of that name.
bool web_endpoint_at(const struct option_map *settings, size_t place, struct web_endpoint *ret);
bool web_endpoint_find(const struct option_map *settings, const char *name,
                       struct web_endpoint *ret);

// 0 or -EINVAL, with a sentence that names what is wrong.
int web_endpoints_check(const struct option_map *settings, struct error *err);

bool web_endpoint_allows(const struct web_endpoint *endpoint, const char *method);
void web_endpoint_list_methods(const struct web_endpoint *endpoint, struct buf *out);

// Its headers as "Name: value" lines on the heap, which are the caller's; WEB_ENDPOINT_HEADERS_MAX
// at most. *ret_count holds what was made even after a failure.
int web_endpoint_headers(const struct web_endpoint *endpoint, char **lines, size_t *ret_count,
                         struct error *err);

/*
 * The URL of a path beneath the endpoint's. What could lead out of there is refused, in any
 * spelling: "..", "//", a backslash, an encoded slash, dot or percent sign. The query (absent:
 * none) is encoded already; the path may have one of its own.
 */
int web_endpoint_url(const struct web_endpoint *endpoint, struct span path, struct span query,
                     struct buf *out, struct error *err);
