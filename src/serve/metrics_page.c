#include "serve/metrics_page.h"

#include "base/buf.h"
#include "base/metrics.h"
#include "net/http_server.h"

enum { METRICS_PAGE_MAX = 16 * 1024 * 1024 }; // bytes

void metrics_page_answer(struct http_exchange *exchange, const struct metrics *metrics)
{
    BUF_AUTO body = BUF_INIT(METRICS_PAGE_MAX);
    if (metrics && !metrics_render(metrics, &body))
        http_exchange_reply_text(exchange, 500,
                                 "the metrics do not fit into %d MiB, and no part of them is sent",
                                 METRICS_PAGE_MAX >> 20);
    else
        http_exchange_reply_take(exchange, 200, "text/plain; version=0.0.4; charset=utf-8", &body);
}
