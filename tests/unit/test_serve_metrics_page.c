// The page of metrics: whole, or not at all.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "base/metrics.h"
#include "loop/loop.h"
#include "net/http_client.h"
#include "net/http_server.h"
#include "serve/metrics_page.h"

enum { ROOM = 64 * 1024 * 1024, FAMILIES = 200, SERIES = METRICS_SERIES_MAX };

struct world {
    struct loop *loop;
    struct http_server *server;
    struct metrics *metrics;
    int status;
    struct buf body;
    bool done;
};

static void on_request(void *context, struct http_exchange *exchange)
{
    metrics_page_answer(exchange, ((struct world *)context)->metrics);
}

static void on_head(void *context, const struct http_head *head)
{
    ((struct world *)context)->status = head->status;
}

static int on_body(void *context, struct span chunk)
{
    return buf_append_span(&((struct world *)context)->body, chunk) ? 0 : -1;
}

static void on_done(void *context, enum http_failure failure, const struct error *err)
{
    if (failure != HTTP_OK)
        fail_msg("%s", err->text);
    ((struct world *)context)->done = true;
}

static void scrape(struct metrics *metrics, int *ret_status, struct buf *ret_page)
{
    static const struct http_handler handler = {on_head, on_body, on_done};
    struct world w = {.metrics = metrics, .body = BUF_INIT(ROOM)};
    struct http_client *client;
    char url[64];
    http_id id;
    assert_int_equal(loop_create(&clock_system, &w.loop, NULL), 0);
    struct http_server_options options = {
        .address = "127.0.0.1", .on_request = on_request, .ctx = &w};
    assert_int_equal(http_server_create(w.loop, &options, &w.server, NULL), 0);
    assert_int_equal(http_client_create(w.loop, NULL, &client, NULL), 0);
    snprintf(url, sizeof url, "http://127.0.0.1:%u/", http_server_port(w.server));
    struct http_request request = {.method = "GET", .url = url};
    assert_int_equal(http_client_start(client, &request, &handler, &w, &id, NULL), 0);
    while (!w.done)
        loop_run_once(w.loop, 1000);
    http_client_destroy(client);
    http_server_destroy(w.server);
    loop_destroy(w.loop);
    *ret_status = w.status;
    *ret_page = w.body;
}

static void test_a_page(void **state)
{
    (void)state;
    int status;
    BUF_AUTO page = BUF_INIT(0);
    struct metrics *metrics = metrics_create();
    ++*metrics_counter(metrics, "some_total", "", "of something");
    scrape(metrics, &status, &page);
    assert_int_equal(status, 200);
    assert_non_null(strstr(buf_text(&page), "some_total 1\n"));
    metrics_destroy(metrics);
}

// More than sixteen megabytes: no family's first part is told alone.
static void test_a_page_that_does_not_fit(void **state)
{
    (void)state;
    static const char *const labels[] = {"name"};
    static char names[FAMILIES][16];
    int status;
    BUF_AUTO page = BUF_INIT(0);
    char value[METRICS_LABEL_VALUE_MAX];
    struct metrics *metrics = metrics_create();
    memset(value, 'x', sizeof value);
    for (int i = 0; i < FAMILIES; i++) {
        snprintf(names[i], sizeof names[i], "family_%d", i);
        struct metrics_family_spec spec = {.name = names[i],
                                           .help = "of something",
                                           .type = METRICS_GAUGE,
                                           .labels = labels,
                                           .label_count = 1};
        struct metrics_family *family = metrics_family(metrics, &spec);
        for (int j = 0; j < SERIES; j++) {
            snprintf(value, 10, "%09d", j);
            value[9] = 'x';
            struct span values[] = {span_make(value, sizeof value)};
            *metrics_series(family, values) = j;
        }
    }
    scrape(metrics, &status, &page);
    assert_int_equal(status, 500);
    assert_non_null(strstr(buf_text(&page), "do not fit"));
    assert_null(strstr(buf_text(&page), "family_0"));
    metrics_destroy(metrics);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_page),
        cmocka_unit_test(test_a_page_that_does_not_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
