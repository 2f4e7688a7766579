#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "base/error.h"
#include "codec/json.h"

/*
 * What Streamable HTTP of 2026-07-28 repeats of a message in its header: x-mcp-header in a tool's
 * input schema names properties whose values go into Mcp-Param-* lines.
 */
enum {
    MCP_PARAM_HEADERS_MAX = 16,     // of one tool
    MCP_PARAM_VALUE_MAX = 4 * 1024, // bytes, encoded
};

// A value as such a line, or Mcp-Name, may hold it: itself, or "=?base64?...?=".
bool mcp_header_value(struct span text, struct buf *out);

/*
 * "Mcp-Param-<Name>: <value>" for each argument that has such a property, up to NULL, for
 * mcp_request.headers; released by mcp_lines_free(). Absent arguments have none: that is the check
 * of a schema, whose failure (-EINVAL) says why its tool must be left out over HTTP.
 */
int mcp_param_headers(struct json_value schema, struct json_value arguments, char ***ret_lines,
                      struct error *err);
void mcp_lines_free(char **lines); // accepts NULL
