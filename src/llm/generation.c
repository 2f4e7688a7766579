#include "llm/generation.h"

#include <errno.h>

#include "base/buf.h"
#include "codec/json.h"
#include "codec/money.h"
#include "net/http_client.h"

enum { ID_MAX = 512, NUMBER_SHOWN = 40 };

struct span generation_id(struct span head_lines)
{
    struct http_head head = {200, head_lines};
    return http_head_get(&head, "X-Generation-Id");
}

static bool is_cost(struct json_value number, int64_t *ret_pico)
{
    return json_fixed(number, MONEY_DIGITS, ret_pico) && *ret_pico >= 0 &&
           *ret_pico <= MONEY_CALL_MAX;
}

static int refuse_cost(struct json_value number, struct error *err)
{
    return error_set(
        err, -EBADMSG, "the provider reported an impossible cost: %.*s",
        (int)(json_raw(number).len < NUMBER_SHOWN ? json_raw(number).len : NUMBER_SHOWN),
        json_raw(number).data);
}

// With a key of the owner's own, the total is the gateway's fee: the provider's charge is apart.
int generation_read_cost(struct span body, struct span id, int64_t *ret_cost_pico,
                         struct error *err)
{
    JSON_AUTO document = JSON_INIT;
    int64_t cost_pico = 0, upstream_pico = 0;
    bool is_byok = false;
    if (json_parse(&document, body, NULL) < 0)
        return error_set(err, -EBADMSG, "the provider's record of the call is not JSON");
    struct json_value data = json_get(json_root(&document), "data");
    struct json_value cost = json_get(data, "total_cost");
    struct json_value upstream = json_get(data, "upstream_inference_cost");
    BUF_AUTO told = BUF_INIT(ID_MAX);
    if (!json_string(json_get(data, "id"), &told) || !span_equal(buf_span(&told), id))
        return error_set(err, -EBADMSG, "the provider reported another call");
    json_bool(json_get(data, "is_byok"), &is_byok);
    if (json_type(cost) != JSON_NUMBER || (is_byok && json_type(upstream) != JSON_NUMBER))
        return error_set(err, -EBADMSG, "the provider did not report the call's cost");
    if (!is_cost(cost, &cost_pico))
        return refuse_cost(cost, err);
    if (is_byok && !is_cost(upstream, &upstream_pico))
        return refuse_cost(upstream, err);
    *ret_cost_pico = money_add(cost_pico, upstream_pico);
    return 0;
}
