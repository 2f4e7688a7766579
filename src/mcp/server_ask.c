/*
 * A client is asked in the way of its era. A legacy one gets requests on the stream of its call,
 * which waits for the answers; a modern one gets a result that says what is missing, and calls
 * again with it. For the owner both are the same: on_request comes again. Its state, which a modern
 * client keeps meanwhile, is signed together with what it belongs to and until when (HMAC of
 * RFC 2104, but that the inner digest goes in as hex digits; nobody else has to agree with it).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "codec/sha256.h"
#include "mcp/server_internal.h"

enum { BLOCK_SIZE = 64 }; // bytes, of SHA-256

static const struct {
    const char *method, *capability;
    unsigned can;
} kinds[] = {
    {"elicitation/create", "elicitation", MCP_CAN_ELICIT},
    {"sampling/createMessage", "sampling", MCP_CAN_SAMPLE},
    {"roots/list", "roots", MCP_CAN_ROOTS},
};

static void begin_half(const struct mcp_server *server, unsigned char pad, struct sha256 *hash)
{
    char block[BLOCK_SIZE];
    memset(block, pad, sizeof block);
    for (size_t i = 0; i < sizeof server->key; i++)
        block[i] = (char)(server->key[i] ^ pad);
    sha256_init(hash);
    sha256_add(hash, span_make(block, sizeof block));
}

// Into SHA256_HEX_SIZE bytes.
static void sign(const struct mcp_served *call, struct span expires, struct span state, char *mac)
{
    struct sha256 hash;
    char verb = (char)call->verb;
    begin_half(call->server, 0x36, &hash);
    sha256_add(&hash, span_make(&verb, 1));
    sha256_add(&hash, span_make(call->name, strlen(call->name) + 1));
    sha256_add(&hash, expires);
    sha256_add(&hash, SPAN_LITERAL("."));
    sha256_add(&hash, state);
    sha256_end_hex(&hash, mac);
    begin_half(call->server, 0x5c, &hash);
    sha256_add(&hash, span_of(mac));
    sha256_end_hex(&hash, mac);
}

static void seal(const struct mcp_served *call, struct span state, struct buf *out)
{
    char mac[SHA256_HEX_SIZE], expires[24];
    snprintf(expires, sizeof expires, "%lld",
             (long long)(loop_wall(call->server->loop) + MCP_STATE_MS));
    sign(call, span_of(expires), state, mac);
    buf_printf(out, "%s.%s.", mac, expires);
    buf_append_span(out, state);
}

bool mcp_state_open(const struct mcp_served *call, struct span sealed, struct buf *state)
{
    char wanted[SHA256_HEX_SIZE];
    uint64_t until;
    struct span mac = span_cut(&sealed, '.'), expires = span_cut(&sealed, '.');
    if (!span_to_u64(expires, &until) || mac.len != sizeof wanted - 1)
        return false;
    sign(call, expires, sealed, wanted);
    unsigned differs = 0;
    for (size_t i = 0; i < mac.len; i++)
        differs |= (unsigned char)(mac.data[i] ^ wanted[i]);
    return !differs && until > (uint64_t)loop_wall(call->server->loop) &&
           buf_append(state, sealed.data ? sealed.data : "", sealed.len);
}

static void refuse(struct mcp_served *call, unsigned missing)
{
    BUF_AUTO data = BUF_INIT(DOCUMENT_SMALL);
    DOCUMENT_AUTO doc = DOCUMENT_INIT(DOCUMENT_SMALL);
    struct node wanted = node_add_object(document_object(&doc), "requiredCapabilities");
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (kinds[i].can & missing)
            node_add_object(wanted, kinds[i].capability);
    document_print(&doc, &data, NULL);
    mcp_served_misused(call, RPC_MISSING_CAPABILITY,
                       "this needs a capability that the client has not declared", buf_span(&data));
}

static void ask_modern(struct mcp_served *call, const struct mcp_ask *asks, size_t count,
                       struct span state)
{
    struct error err = ERROR_INIT;
    BUF_AUTO sealed = BUF_INIT(2 * (size_t)MCP_STATE_MAX);
    BUF_AUTO json = BUF_INIT(MCP_ANSWER_MAX), text = BUF_INIT(MCP_ANSWER_MAX);
    DOCUMENT_AUTO doc = DOCUMENT_INIT(MCP_ANSWER_MAX);
    struct node result = document_object(&doc);
    node_add_text(result, "resultType", "input_required");
    struct node requests = node_add_object(result, "inputRequests");
    for (size_t i = 0; i < count; i++) {
        struct node request = node_add_object(requests, asks[i].key);
        node_add_text(request, "method", asks[i].method);
        node_add_raw(request, "params", asks[i].params);
    }
    if (state.data) {
        seal(call, state, &sealed);
        node_add_string(result, "requestState", buf_span(&sealed));
    }
    if (document_print(&doc, &json, &err) == 0 &&
        rpc_write_result(&text, json_raw(call->message.id), buf_span(&json)))
        mcp_served_end(call, 200, buf_span(&text));
    else
        mcp_served_error(call, 200, RPC_INTERNAL_ERROR, err.text, SPAN_ABSENT);
}

static void ask_legacy(struct mcp_served *call, const struct mcp_ask *asks, size_t count,
                       struct span state)
{
    if (++call->rounds > MCP_ASK_ROUNDS_MAX) {
        mcp_served_error(call, 200, RPC_INTERNAL_ERROR, "the client was asked too often",
                         SPAN_ABSENT);
        return;
    }
    BUF_AUTO kept = BUF_INIT(MCP_STATE_MAX); // `state` may be what is here already
    buf_append(&kept, state.data ? state.data : "", state.len);
    buf_finish(&call->state);
    call->state = kept;
    kept = (struct buf){0};
    bool sent = true;
    for (size_t i = 0; i < count; i++) {
        struct mcp_open_ask *ask = &call->asks[call->ask_count++];
        BUF_AUTO text = BUF_INIT(MCP_ANSWER_MAX);
        *ask = (struct mcp_open_ask){++call->server->last_ask, mem_strdup(asks[i].key),
                                     BUF_INIT(MCP_REQUEST_MAX)};
        sent = sent && rpc_write_request(&text, ask->id, asks[i].method, asks[i].params) &&
               mcp_served_send(call, buf_span(&text));
    }
    if (!sent) // its client is gone, and nobody would ever answer
        mcp_served_destroy(call);
}

void mcp_server_ask(struct mcp_server *server, mcp_call_id id, const struct mcp_ask *asks,
                    size_t count, struct span state)
{
    struct mcp_served *call = mcp_served_find(server, id);
    if (!call)
        return;
    unsigned missing = 0;
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < ARRAY_LEN(kinds); k++)
            if (strcmp(asks[i].method, kinds[k].method) == 0)
                missing |= kinds[k].can & ~call->can;
    if (missing)
        refuse(call, missing);
    else if (count > MCP_ASKS_MAX || state.len > MCP_STATE_MAX)
        mcp_served_error(call, 200, RPC_INTERNAL_ERROR, "too much is asked at a time", SPAN_ABSENT);
    else if (call->modern)
        ask_modern(call, asks, count, state);
    else
        ask_legacy(call, asks, count, state);
}

// All of them have been answered: the owner is asked anew.
static void go_on(struct mcp_served *call)
{
    DOCUMENT_AUTO doc = DOCUMENT_INIT(MCP_ANSWER_MAX);
    struct node responses = document_object(&doc);
    for (size_t i = 0; i < call->ask_count; i++)
        node_add_raw(responses, call->asks[i].key, buf_span(&call->asks[i].answer));
    mcp_served_forget_asks(call);
    buf_clear(&call->answers);
    if (document_print(&doc, &call->answers, NULL) < 0 ||
        json_parse(&call->answers_doc, buf_span(&call->answers), NULL) < 0)
        mcp_served_error(call, 200, RPC_INTERNAL_ERROR, "the client's answers are too large",
                         SPAN_ABSENT);
    else
        mcp_served_to_owner(call);
}

static struct mcp_served *find_asking(const struct mcp_served *answer, uint64_t id, size_t *ret_ask)
{
    list_for_each(link, &answer->server->calls) {
        struct mcp_served *call = list_entry(link, struct mcp_served, link);
        for (*ret_ask = 0; *ret_ask < call->ask_count; ++*ret_ask)
            if (call->peer == answer->peer && call->asks[*ret_ask].id == id)
                return call;
    }
    return NULL;
}

void mcp_served_answered(struct mcp_served *answer)
{
    uint64_t id;
    size_t at;
    struct mcp_served *call =
        answer->peer && rpc_is_ours(&answer->message, &id) ? find_asking(answer, id, &at) : NULL;
    if (!call)
        return;
    if (answer->message.kind == RPC_ERROR) {
        mcp_served_error(call, 200, RPC_INTERNAL_ERROR, "the client refused what it was asked for",
                         json_raw(answer->message.data));
        return;
    }
    call->asks[at].id = 0;
    buf_append_span(&call->asks[at].answer, json_raw(answer->message.result));
    bool open = false;
    for (size_t i = 0; i < call->ask_count; i++)
        open |= call->asks[i].id != 0;
    if (!open)
        go_on(call);
}
