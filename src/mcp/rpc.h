#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "codec/json.h"

/*
 * JSON-RPC 2.0 as the Model Context Protocol uses it. A message that arrives is read by position,
 * since schemas, structured contents and ids keep their bytes; one that is sent is a document.
 * Members come in any order, and an error may have no id.
 */
enum {
    RPC_MESSAGE_MAX = 16 << 20, // bytes of one that arrives; images come in one piece
    RPC_METHOD_MAX = 128,       // bytes
    RPC_ID_MAX = 256,           // bytes of somebody else's id, quotes included
};

enum rpc_code { // those that mean something here
    RPC_PARSE_ERROR = -32700,
    RPC_INVALID_REQUEST = -32600,
    RPC_METHOD_NOT_FOUND = -32601,
    RPC_INVALID_PARAMS = -32602,
    RPC_INTERNAL_ERROR = -32603,
    RPC_RESOURCE_NOT_FOUND = -32002,  // until 2025-11-25; -32602 since
    RPC_HEADER_MISMATCH = -32020,     // 2026-07-28
    RPC_MISSING_CAPABILITY = -32021,  // 2026-07-28
    RPC_UNSUPPORTED_VERSION = -32022, // 2026-07-28: data.supported
    RPC_URL_ELICITATION = -32042,     // 2025-11-25
};

enum rpc_kind { RPC_REQUEST, RPC_NOTIFICATION, RPC_RESULT, RPC_ERROR };

struct rpc_message { // points into its document
    enum rpc_kind kind;
    struct json_value id;      // a string or an integer; absent: it has none
    struct json_value method;  // of a request and a notification
    struct json_value params;  // absent: none
    struct json_value result;  // of a result
    int64_t code;              // of an error; any number, 0 included
    struct json_value message; // of an error: a string, or absent
    struct json_value data;    // of an error
};

// Which of the four the root of a document is. -EBADMSG, with what is wrong: none.
int rpc_read(const struct json *doc, struct rpc_message *ret_message, struct error *err);
// Is it an answer to a request of ours, whose ids are numbers from 1?
bool rpc_is_ours(const struct rpc_message *message, uint64_t *ret_id);

// Is the text an object or an array, as messages are? And of the request of ours that it answers
// the id, for those who carry messages; 0: it does not, or is a batch.
bool rpc_peek(struct span text, uint64_t *ret_answered);

/*
 * Each appends one message without line breaks. Params, results and data are JSON already (objects;
 * absent: none), and an id is somebody else's bytes. False, with `out` full, when it does not fit.
 */
bool rpc_write_request(struct buf *out, uint64_t id, const char *method, struct span params);
bool rpc_write_notification(struct buf *out, const char *method, struct span params);
bool rpc_write_result(struct buf *out, struct span id, struct span result);
bool rpc_write_error(struct buf *out, struct span id, int64_t code, const char *message,
                     struct span data); // an empty id is null
