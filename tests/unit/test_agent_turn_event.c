// An event of a turn on the wire: its bytes, which clients of the control socket read, and what is
// made of bytes that are odd.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "agent/turn_event_json.h"
#include "base/buf.h"
#include "base/mem.h"

enum { MAX = 1 << 20 };

#define READER_AUTO CLEANUP(turn_event_reader_finish) struct turn_event_reader

static void expect_written(const struct turn_event *event, const char *type, const char *json)
{
    BUF_AUTO out = BUF_INIT(MAX);
    turn_event_write(event, &out);
    assert_string_equal(turn_event_type(event->kind), type);
    assert_string_equal(buf_text(&out), json);
}

static void every_kind_has_its_bytes(void **state)
{
    struct turn_event event = {.kind = TURN_EVENT_STEP, .turn = "t"};
    (void)state;
    expect_written(&event, "step", "{}");
    event = (struct turn_event){.kind = TURN_EVENT_TEXT, .text = SPAN_LITERAL("a \"word\"\n")};
    expect_written(&event, "text", "{\"delta\":\"a \\\"word\\\"\\n\"}");
    event = (struct turn_event){.kind = TURN_EVENT_WAIT, .sentence = "it waits"};
    expect_written(&event, "wait", "{\"text\":\"it waits\"}");
    event = (struct turn_event){.kind = TURN_EVENT_CALL, .name = "look", .arguments = "{\"n\":1}"};
    expect_written(&event, "call", "{\"name\":\"look\",\"arguments\":\"{\\\"n\\\":1}\"}");
    event = (struct turn_event){
        .kind = TURN_EVENT_RESULT, .name = "look", .failed = true, .text = SPAN_LITERAL("no")};
    expect_written(&event, "result", "{\"name\":\"look\",\"failed\":true,\"text\":\"no\"}");
    struct turn_outcome outcome = {.state = TURN_FAILED,
                                   .text = "half",
                                   .error = "it broke",
                                   .remark = "",
                                   .usage = {12, -1, -1, -1, -1, -1},
                                   .iterations = 2};
    event = (struct turn_event){.kind = TURN_EVENT_END, .outcome = &outcome};
    expect_written(&event, "end",
                   "{\"state\":\"failed\",\"text\":\"half\",\"error\":\"it broke\",\"remark\":\"\","
                   "\"usage\":{\"prompt_tokens\":12,\"completion_tokens\":-1,\"cached_tokens\":-1,"
                   "\"reasoning_tokens\":-1,\"cost_pico\":-1},\"iterations\":2}");
    outcome.state = TURN_CANCELLED;
    outcome.text = NULL; // left out
    expect_written(&event, "end",
                   "{\"state\":\"cancelled\",\"text\":null,\"error\":null,\"remark\":\"\","
                   "\"usage\":{\"prompt_tokens\":12,\"completion_tokens\":-1,\"cached_tokens\":-1,"
                   "\"reasoning_tokens\":-1,\"cost_pico\":-1},\"iterations\":2}");
}

// Half a character at the cut would not be text.
static void a_long_result_is_cut_between_characters(void **state)
{
    (void)state;
    char text[3 * 8192];
    for (size_t i = 0; i < sizeof text; i += 3)
        memcpy(text + i, "€", 3);
    struct turn_event event = {
        .kind = TURN_EVENT_RESULT, .name = "n", .text = span_make(text, sizeof text)};
    BUF_AUTO out = BUF_INIT(MAX);
    READER_AUTO reader = {0};
    turn_event_write(&event, &out);
    assert_int_equal(turn_event_read(&reader, SPAN_LITERAL("result"), buf_span(&out), MAX), 0);
    assert_int_equal(reader.event.text.len, 16384 / 3 * 3);
    assert_memory_equal(reader.event.text.data, text, reader.event.text.len);
}

static void what_does_not_fit_is_full(void **state)
{
    (void)state;
    BUF_AUTO out = BUF_INIT(8);
    turn_event_write(
        &(struct turn_event){.kind = TURN_EVENT_TEXT, .text = SPAN_LITERAL("eight bytes")}, &out);
    assert_true(buf_is_full(&out));
}

static int read_text(struct turn_event_reader *reader, const char *type, const char *json)
{
    return turn_event_read(reader, span_of(type), span_of(json), MAX);
}

static void what_was_written_is_read(void **state)
{
    (void)state;
    READER_AUTO reader = {0};
    assert_int_equal(read_text(&reader, "text", "{\"delta\":\"a\\u0000b\"}"), 0);
    assert_int_equal(reader.event.kind, TURN_EVENT_TEXT);
    assert_int_equal(reader.event.text.len, 3);
    assert_int_equal(read_text(&reader, "call", "{\"name\":\"look\",\"arguments\":\"{}\"}"), 0);
    assert_string_equal(reader.event.name, "look");
    assert_string_equal(reader.event.arguments, "{}");
    assert_int_equal(read_text(&reader, "wait", "{\"text\":\"soon\"}"), 0);
    assert_string_equal(reader.event.sentence, "soon");
    assert_int_equal(read_text(&reader, "step", "{}"), 0);
    assert_int_equal(reader.event.kind, TURN_EVENT_STEP);
    assert_int_equal(
        read_text(&reader, "end",
                  "{\"state\":\"done\",\"text\":\"all\",\"error\":null,\"remark\":\"r\","
                  "\"usage\":{\"prompt_tokens\":7,\"cost_pico\":9},"
                  "\"iterations\":3}"),
        0);
    const struct turn_outcome *outcome = reader.event.outcome;
    assert_int_equal(outcome->state, TURN_DONE);
    assert_string_equal(outcome->text, "all");
    assert_string_equal(outcome->error, "");
    assert_string_equal(outcome->remark, "r");
    assert_int_equal(outcome->usage.prompt_tokens, 7);
    assert_int_equal(outcome->usage.completion_tokens, -1);
    assert_int_equal(outcome->usage.cost_pico, 9);
    assert_int_equal(outcome->iterations, 3);
}

static void questions_are_read_again(void **state)
{
    (void)state;
    char names[2][8] = {"ring", "look"}, arguments[2][8] = {"{\"n\":1}", "{}"};
    struct turn_question asked[] = {
        {.code = "12ab34cd", .name = names[0], .arguments = arguments[0], .expires_ms = 7},
        {.code = "00000000", .name = names[1], .arguments = arguments[1]}};
    struct turn_outcome outcome = {
        .state = TURN_WAITING, .text = "", .remark = "", .questions = asked, .question_count = 2};
    BUF_AUTO out = BUF_INIT(MAX);
    READER_AUTO reader = {0};
    turn_event_write(&(struct turn_event){.kind = TURN_EVENT_END, .outcome = &outcome}, &out);
    for (int i = 0; i < 2; i++) // also into a reader that holds some
        assert_int_equal(turn_event_read(&reader, SPAN_LITERAL("end"), buf_span(&out), MAX), 0);
    assert_int_equal(reader.outcome.state, TURN_WAITING);
    assert_int_equal(reader.outcome.question_count, 2);
    assert_string_equal(reader.outcome.questions[0].code, "12ab34cd");
    assert_string_equal(reader.outcome.questions[0].arguments, "{\"n\":1}");
    assert_int_equal(reader.outcome.questions[0].expires_ms, 7);
    assert_string_equal(reader.outcome.questions[1].name, "look");
}

static void odd_bytes_are_no_events_or_empty_ones(void **state)
{
    (void)state;
    READER_AUTO reader = {0};
    assert_int_equal(read_text(&reader, "progress", "{}"), -EBADMSG); // of a newer version
    assert_int_equal(read_text(&reader, "", "{}"), -EBADMSG);
    assert_int_equal(read_text(&reader, "text", "{\"delta\":"), -EBADMSG);
    assert_int_equal(read_text(&reader, "text", "[1]"), 0);
    assert_int_equal(reader.event.text.len, 0);
    assert_int_equal(read_text(&reader, "result", "{\"name\":7,\"failed\":\"yes\",\"text\":{}}"),
                     0);
    assert_string_equal(reader.event.name, "");
    assert_false(reader.event.failed);
    assert_int_equal(reader.event.text.len, 0);
    assert_int_equal(read_text(&reader, "end", "null"), 0);
    assert_int_equal(reader.event.outcome->state, TURN_FAILED);
    assert_string_equal(reader.event.outcome->text, "");
    assert_string_equal(reader.event.outcome->error, "");
    assert_int_equal(
        turn_event_read(&reader, SPAN_LITERAL("text"), SPAN_LITERAL("{\"delta\":\"longer\"}"), 5),
        0);
    assert_int_equal(reader.event.text.len, 0); // than a text may be
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_has_its_bytes),
        cmocka_unit_test(a_long_result_is_cut_between_characters),
        cmocka_unit_test(what_does_not_fit_is_full),
        cmocka_unit_test(what_was_written_is_read),
        cmocka_unit_test(questions_are_read_again),
        cmocka_unit_test(odd_bytes_are_no_events_or_empty_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
