#include "mcp/rpc.h"

#include "base/mem.h"
#include "fuzz.h"

// A message that is taken can be written again, and is the same then.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    JSON_AUTO doc = JSON_INIT;
    JSON_AUTO again = JSON_INIT;
    BUF_AUTO out = BUF_INIT(4 * size + 1024);
    struct rpc_message message, same;
    if (json_parse(&doc, span_make(data, size), NULL) < 0 || rpc_read(&doc, &message, NULL) < 0)
        return 0;
    if (message.kind == RPC_RESULT) {
        REQUIRE(rpc_write_result(&out, json_raw(message.id), json_raw(message.result)));
    } else if (message.kind == RPC_ERROR) {
        REQUIRE(
            rpc_write_error(&out, json_raw(message.id), message.code, "x", json_raw(message.data)));
    } else {
        return 0;
    }
    REQUIRE(json_parse(&again, buf_span(&out), NULL) == 0);
    REQUIRE(rpc_read(&again, &same, NULL) == 0);
    REQUIRE(same.kind == message.kind && same.code == message.code);
    return 0;
}
