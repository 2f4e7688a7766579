// What clients get: one answer, or what is wrong, in OpenAI's shape.
#include <stdarg.h>
#include <stdio.h>

#include "net/http_server.h"
#include "serve/api_internal.h"

const char api_channel[] = "api", api_json[] = "application/json";

int64_t api_now_s(const struct api *api)
{
    return loop_wall(api->control->loop) / 1000;
}

void api_write_error(struct node parent, unsigned status, const char *code, const char *message)
{
    struct node error = node_add_object(parent, "error");
    node_add_text(error, "message", message);
    node_add_text(error, "type",
                  status == 429  ? "rate_limit_error"
                  : status < 500 ? "invalid_request_error"
                                 : "server_error");
    node_add_null(error, "param");
    node_add_text(error, "code", code);
}

void api_reply(struct http_exchange *exchange, unsigned status, const struct document *doc)
{
    BUF_AUTO body = BUF_INIT(API_ANSWER_MAX);
    if (document_print(doc, &body, NULL) < 0)
        http_exchange_reply_text(exchange, 500, "the answer is too large");
    else
        http_exchange_reply_take(exchange, status, api_json, &body);
}

void api_refuse(struct http_exchange *exchange, unsigned status, const char *code, const char *fmt,
                ...)
{
    char message[2 * ERROR_TEXT_MAX];
    DOCUMENT_AUTO doc = DOCUMENT_INIT(DOCUMENT_SMALL);
    va_list values;
    va_start(values, fmt);
    vsnprintf(message, sizeof message, fmt, values);
    va_end(values);
    api_write_error(document_object(&doc), status, code, message);
    api_reply(exchange, status, &doc);
}

void api_refuse_for_now(struct http_exchange *exchange, const char *sentence)
{
    http_exchange_add_header(exchange, "Retry-After", "1"); // second
    api_refuse(exchange, 503, NULL, "%s", sentence);
}
