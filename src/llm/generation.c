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

static bool is_of(struct json_value data, struct span id)
{
    BUF_AUTO told = BUF_INIT(ID_MAX);
    return json_string(json_get(data, "id"), &told) && span_equal(buf_span(&told), id);
}

static int shown_len(struct span number)
{
    return number.len < NUMBER_SHOWN ? (int)number.len : NUMBER_SHOWN;
}

int generation_read_cost(struct span body, struct span id, int64_t *ret_cost_pico,
                         struct error *err)
{
    JSON_AUTO document = JSON_INIT;
    int64_t cost_pico = 0;
    if (json_parse(&document, body, NULL) < 0)
        return error_set(err, -EBADMSG, "the provider's record of the call is not JSON");
    struct json_value data = json_get(json_root(&document), "data");
    struct json_value cost = json_get(data, "total_cost");
    if (!is_of(data, id))
        return error_set(err, -EBADMSG, "the provider reported another call");
    if (json_type(cost) != JSON_NUMBER)
        return error_set(err, -EBADMSG, "the provider did not report the call's cost");
    if (!json_fixed(cost, MONEY_DIGITS, &cost_pico) || cost_pico < 0 || cost_pico > MONEY_CALL_MAX)
        return error_set(err, -EBADMSG, "the provider reported an impossible cost: %.*s",
                         shown_len(json_raw(cost)), json_raw(cost).data);
    *ret_cost_pico = cost_pico;
    return 0;
}
