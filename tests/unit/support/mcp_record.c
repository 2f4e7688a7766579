#include "support/mcp_record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum {
    PATIENCE_MS = 20 * 1000,
    PASS_MS = 5,
    LOG_MAX = 1 << 20,
    SHOWN_MAX = 300, // bytes of a message
};

static const char *const losses[] = {"not-sent", "cut", "refused", "session-gone", "unauthorized"};

static void reach(struct mcp_record *record, enum mcp_place place)
{
    assert_true(record->transport != NULL); // nothing comes after its end
    if (record->destroy_in != place)
        return;
    mcp_transport_destroy(STEAL(record->transport));
}

static void on_message(void *context, struct span text, uint64_t request)
{
    struct mcp_record *record = context;
    record->events++;
    record->messages++;
    if (text.len > record->longest)
        record->longest = text.len;
    buf_printf(&record->log, "message %d ", (int)request);
    if (text.len > SHOWN_MAX)
        buf_printf(&record->log, "%zu bytes\n", text.len);
    else
        buf_printf(&record->log, "%.*s\n", (int)text.len, text.data);
    reach(record, MCP_IN_MESSAGE);
    assert_true(text.len == 0 || text.data[text.len - 1] != '\n'); // it is still there
}

static void on_failure(void *context, uint64_t request, const struct mcp_failure *failure)
{
    struct mcp_record *record = context;
    record->events++;
    record->failures++;
    buf_clear(&record->challenge);
    buf_append_span(&record->challenge, failure->challenge);
    buf_clear(&record->body);
    buf_append_span(&record->body, failure->body);
    reach(record, MCP_IN_FAILURE);
    buf_printf(&record->log, "failure %d %s %d %s\n", (int)request, losses[failure->loss],
               failure->status, failure->err->text);
}

static void on_closed(void *context, const struct error *err)
{
    struct mcp_record *record = context;
    record->events++;
    record->closes++;
    reach(record, MCP_IN_CLOSED);
    buf_printf(&record->log, "closed %s\n", err->text);
}

static void on_taken(void *context)
{
    struct mcp_record *record = context;
    record->events++;
    record->taken++;
    reach(record, MCP_IN_TAKEN);
}

const struct mcp_transport_events mcp_record_events = {on_message, on_failure, on_closed, on_taken};

struct mcp_record mcp_record_of(struct loop *loop)
{
    return (struct mcp_record){.loop = loop,
                               .log = BUF_INIT(LOG_MAX),
                               .challenge = BUF_INIT(LOG_MAX),
                               .body = BUF_INIT(LOG_MAX)};
}

void mcp_record_finish(struct mcp_record *record)
{
    mcp_transport_destroy(STEAL(record->transport));
    buf_finish(&record->log);
    buf_finish(&record->challenge);
    buf_finish(&record->body);
}

void mcp_record_until(struct mcp_record *record, const unsigned *count, unsigned value)
{
    int64_t deadline = clock_monotonic_ms(&clock_system) + PATIENCE_MS;
    while (*count < value) {
        if (clock_monotonic_ms(&clock_system) > deadline)
            fail_msg("nothing came in time; until now: %s", buf_text(&record->log));
        loop_run_once(record->loop, PASS_MS);
    }
}

void mcp_record_says(const struct mcp_record *record, const char *log)
{
    if (strcmp(buf_text(&record->log), log) != 0)
        fail_msg("it said\n%swanted:\n%s", buf_text(&record->log), log);
}

void mcp_record_holds(const struct mcp_record *record, const char *part)
{
    if (!strstr(buf_text(&record->log), part))
        fail_msg("it said\n%swithout: %s", buf_text(&record->log), part);
}

int mcp_record_send(struct mcp_record *record, const char *text, uint64_t request,
                    struct error *err)
{
    const struct mcp_outgoing message = {
        .text = span_of(text), .request = request, .method = "tools/call", .name = "it"};
    return mcp_transport_send(record->transport, &message, err);
}
