/*
 * Idempotency-Key: whoever does not know whether a request arrived sends it again, and gets the
 * answer to the first one. That is in memory only, for a day, and of the newest; streams and
 * failures are not kept, so their requests run anew.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "codec/sha256.h"
#include "net/http_server.h"
#include "serve/api_internal.h"

enum {
    ONCE_KEPT_MS = 24 * 3600 * 1000,
    ONCE_MAX = 32,               // requests
    ONCE_ANSWER_MAX = 128 * 1024 // bytes of one answer
};

struct once {
    struct list link; // api::once, the oldest first
    unsigned char hash[SHA256_SIZE];
    uint64_t exchange; // that is being answered
    int64_t since_ms;
    unsigned status; // 0: there is no answer yet
    char session[ASKED_ID_SIZE];
    struct buf body;
};

static void forget(struct once *once)
{
    list_remove(&once->link);
    buf_finish(&once->body);
    free(once);
}

void api_once_finish(struct api *api)
{
    list_for_each(link, &api->once)
        forget(list_entry(link, struct once, link));
}

// Two requests are the same when all that they ask is.
static void hash_of(struct http_exchange *exchange, struct span key, unsigned char *hash)
{
    const struct span parts[] = {key, http_exchange_path(exchange),
                                 http_exchange_header(exchange, "X-Hermes-Session-Id"),
                                 http_exchange_body(exchange)};
    struct sha256 sum;
    sha256_init(&sum);
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        sha256_add(&sum, parts[i]);
        sha256_add(&sum, SPAN_LITERAL("\n"));
    }
    sha256_end(&sum, hash);
}

static struct once *find(struct api *api, const unsigned char *hash)
{
    struct once *found = NULL;
    size_t count = 0;
    int64_t now_ms = loop_now(api->control->loop);
    list_for_each(link, &api->once) {
        struct once *once = list_entry(link, struct once, link);
        if (now_ms - once->since_ms > ONCE_KEPT_MS)
            forget(once);
        else if (count++, memcmp(once->hash, hash, SHA256_SIZE) == 0)
            found = once;
    }
    if (!found && count >= ONCE_MAX)
        forget(list_entry(api->once.next, struct once, link));
    return found;
}

bool api_once_answer(struct api *api, struct http_exchange *exchange)
{
    struct span key = http_exchange_header(exchange, "Idempotency-Key");
    unsigned char hash[SHA256_SIZE];
    if (!key.len || !span_is(http_exchange_method(exchange), "POST"))
        return false;
    hash_of(exchange, key, hash);
    struct once *once = find(api, hash);
    if (once && once->status) {
        http_exchange_add_header(exchange, "X-Hermes-Session-Id", once->session);
        http_exchange_reply(exchange, once->status, api_json, buf_span(&once->body));
        return true;
    }
    if (once && http_server_find(api->server, once->exchange)) {
        http_exchange_add_header(exchange, "Retry-After", "1"); // second
        api_refuse(exchange, 409, "idempotency_key_in_use",
                   "the request with this Idempotency-Key is still being answered");
        return true;
    }
    if (!once) {
        once = mem_new(struct once);
        memcpy(once->hash, hash, sizeof hash);
        buf_init(&once->body, ONCE_ANSWER_MAX);
        list_append(&api->once, &once->link);
    }
    once->exchange = http_exchange_id(exchange);
    once->since_ms = loop_now(api->control->loop);
    return false;
}

void api_once_reply(struct api_work *work, struct http_exchange *exchange, unsigned status,
                    const struct document *doc)
{
    list_for_each(link, &work->api->once) {
        struct once *once = list_entry(link, struct once, link);
        if (once->exchange != http_exchange_id(exchange) || once->status)
            continue;
        if (document_print(doc, &once->body, NULL) < 0) { // it runs anew when it is asked again
            forget(once);
            break;
        }
        once->status = status;
        memcpy(once->session, work->session, sizeof once->session);
    }
    api_reply(exchange, status, doc);
}
