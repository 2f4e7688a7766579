#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/random.h"
#include "router/call.h"

// What a call is known by: its own name, and who asks for what.

static bool is_fit_id(struct span id)
{
    for (size_t i = 0; i < id.len; i++) {
        char c = id.data[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '-' || c == '_' || c == '.'))
            return false;
    }
    return id.len && id.len <= ROUTER_CALL_ID_MAX;
}

// As LiteLLM makes them: a random UUID (RFC 9562, version 4).
static void make_id(struct router *router, char *text)
{
    unsigned char b[16];
    random_from_pool(&router->names, b, sizeof b);
    b[6] = (b[6] & 0x0f) | 0x40;
    b[8] = (b[8] & 0x3f) | 0x80;
    static const char hex[] = "0123456789abcdef";
    for (size_t i = 0; i < sizeof b; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *text++ = '-';
        *text++ = hex[b[i] >> 4];
        *text++ = hex[b[i] & 15];
    }
    *text = '\0';
}

void router_call_name(struct router_call *call, struct span wanted)
{
    char id[ROUTER_UUID_SIZE];
    make_id(call->router, id);
    if (is_fit_id(wanted)) {
        memcpy(call->id, wanted.data, wanted.len);
        snprintf(call->ledger_id, sizeof call->ledger_id, "%s.%s", call->id, id);
    } else {
        memcpy(call->id, id, sizeof id);
        memcpy(call->ledger_id, id, sizeof id);
    }
}

struct span router_call_model(const struct router_call *call)
{
    struct span ours = span_of(call->attempt.deployment->model);
    struct span told = span_of(call->attempt.watch.model);
    if (!told.len || span_equal(told, ours))
        return ours;
    return router_names_take(&call->router->model_names, ROUTER_MODEL_NAMES_MAX, told,
                             loop_wall(loop_of(call)), ours);
}

void router_call_keep_origin(struct router_call *call, const struct router_origin *origin)
{
    call->origin = *origin;
    if (origin->slot.len && !router_plan_knows_slot(call->runtime->plan, origin->slot))
        call->origin.slot =
            router_names_take(&call->router->slot_names, ROUTER_SLOT_NAMES_MAX, origin->slot,
                              loop_wall(loop_of(call)), SPAN_LITERAL("other"));
    struct span *texts[] = {&call->origin.slot, &call->origin.session, &call->origin.job,
                            &call->origin.key_name, &call->origin.key_hash};
    size_t bytes = 0;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        bytes += texts[i]->len;
    char *to = call->texts = mem_alloc(bytes + 1);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        if (texts[i]->len)
            memcpy(to, texts[i]->data, texts[i]->len);
        texts[i]->data = to;
        to += texts[i]->len;
    }
}
