#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "sandbox/process.h"
#include "support/dispatcher_fixture.h"
#include "tools/clarify.h"
#include "tools/tool_process.h"

// A model asks whoever it works for, and the turn waits for what they say.

#define ASK \
    "call call_tool {'name':'clarify','arguments':{'question':'Which?','choices':['red','blue']}}"

static void until(const char *sql)
{
    for (int i = 0; i < 4000 && !agent_world_number(&fixture.world, sql); i++)
        dispatcher_world_passes(&fixture, 1);
    assert_true(agent_world_number(&fixture.world, sql));
    dispatcher_world_until_idle(&fixture);
}

static void ask(const char *script)
{
    fixture.world.script = script;
    dispatcher_world_arrives(&fixture, "paint it");
    until("SELECT count(*) FROM turns WHERE state = 'waiting'");
    fixture.world.script = "say Done.\nsay Hello.";
}

static void ends_told(const char *text)
{
    until("SELECT count(*) FROM turns WHERE state = 'done'");
    if (!strstr(buf_text(&fixture.world.prompt), text))
        fail_msg("not in the prompt: %s\n%s", text, buf_text(&fixture.world.prompt));
}

static void shows(const char *text)
{
    if (!strstr(dispatcher_world_outbox(&fixture), text))
        fail_msg("not in the outbox: %s\n%s", text, dispatcher_world_outbox(&fixture));
}

static void any_text_answers(void **state)
{
    ask(ASK);
    shows("❓ Which?\n1. red\n2. blue\n\nJust answer, by number too, or /answer ");
    assert_int_equal(
        agent_world_number(&fixture.world,
                           "SELECT count(*) FROM outbox, approvals WHERE buttons ="
                           " '[{\"text\":\"red\",\"data\":\"/answer ' || code || ' 1\"},"
                           "{\"text\":\"blue\",\"data\":\"/answer ' || code || ' 2\"}]'"),
        1);
    dispatcher_world_arrives(&fixture, "green, as the door");
    ends_told("the user answered: green, as the door");
    shows("|Answered: green, as the door|Done.");
    assert_int_equal(dispatcher_world_unhandled(&fixture), 0);
    assert_int_equal(agent_world_number(&fixture.world, "SELECT failed FROM tool_calls"), 0);
}

// A message with more buttons than a channel takes would never be seen.
static void no_more_is_asked_than_buttons_fit(void **state)
{
    BUF_AUTO script = BUF_INIT(1 << 16);
    buf_append_text(&script, "call ");
    for (int i = 0; i < 30; i++)
        buf_printf(&script,
                   "%scall_tool {'name':'clarify','arguments':{'question':'Which %d?',"
                   "'choices':['a','b','c','d']}}",
                   i ? "; " : "", i);
    ask(buf_text(&script));
    assert_int_equal(agent_world_number(&fixture.world, "SELECT count(*) FROM approvals"), 25);
    assert_int_equal(
        agent_world_number(&fixture.world,
                           "SELECT (length(buttons) - length(replace(buttons, '\"data\"', ''))) / 6"
                           " FROM outbox WHERE kind = 'question'"),
        100);
}

static void a_number_chooses(void **state)
{
    ask(ASK);
    dispatcher_world_arrives(&fixture, " 2 ");
    ends_told("the user answered: blue");
}

static void by_its_code_and_after_a_restart(void **state)
{
    char text[64];
    ask(ASK);
    dispatcher_world_restart(&fixture);
    dispatcher_world_until_idle(&fixture);
    dispatcher_world_arrives(&fixture, "/approve"); // which is no answer to this
    dispatcher_world_until_idle(&fixture);
    shows("|Nothing waits for approval.");
    dispatcher_world_arrives(&fixture, "/answer");
    dispatcher_world_until_idle(&fixture);
    shows(" and at most 16384 bytes of text.");
    snprintf(text, sizeof text, "/answer %s 1",
             agent_world_text(&fixture.world, "SELECT code FROM approvals"));
    dispatcher_world_arrives(&fixture, text);
    ends_told("the user answered: red");
}

static void what_was_said_before_is_no_answer(void **state)
{
    ask(ASK);
    fixture.received_ms = 1;
    dispatcher_world_arrives(&fixture, "an older thought");
    dispatcher_world_passes(&fixture, 20);
    assert_int_equal(dispatcher_world_unhandled(&fixture), 1);
    fixture.received_ms = 0;
    dispatcher_world_arrives(&fixture, "blue");
    until("SELECT count(*) = 2 FROM turns WHERE state = 'done'");
    shows("|Answered: blue|Done.|Hello.");
}

static void nobody_wants_to_answer(void **state)
{
    ask(ASK);
    dispatcher_world_arrives(&fixture, "/deny");
    ends_told("the user does not want to answer this, or cannot");
}

static void nobody_answers_in_time(void **state)
{
    fixture.world.config.approval_ms = 1000; // by the agent's clock, which is long ago
    ask(ASK);
    ends_told("the user was asked and did not answer in time");
}

static void only_the_one_who_asked(void **state)
{
    fixture.sender = "ann";
    ask(ASK);
    fixture.sender = "bob";
    dispatcher_world_arrives(&fixture, "/answer pink");
    dispatcher_world_until_idle(&fixture);
    shows("Only the one who asked may answer this.");
    assert_string_equal(agent_world_text(&fixture.world, "SELECT state FROM approvals"), "asked");
}

static void what_asks_nothing_is_refused(void **state)
{
    fixture.world.script = "call call_tool {'name':'clarify','arguments':{'choices':['a']}}\n"
                           "say Sorry.";
    dispatcher_world_arrives(&fixture, "go");
    ends_told("\"question\" must be a text of 1 to 2000 bytes");
}

static void work_that_nobody_watches(void **state)
{
    HEARD_AUTO heard = {0};
    fixture.world.request.terms.unattended = true;
    agent_world_turn(&fixture.world, "go", "call clarify {'question':'Which?'}\nsay Red, then.",
                     TURN_DONE, &heard);
    assert_non_null(strstr(buf_text(&fixture.world.prompt), "nobody can be asked here; go on"));
}

static const struct {
    const char *arguments, *says; // its text, or the refusal
} forms[] = {
    {"{\"question\":\"a?\"}", "a?"},
    {"{\"question\":\"a?\",\"choices\":null}", "a?"},
    {"{\"questions\":[{\"question\":\"a?\",\"choices\":[\"b\"],\"multi_select\":false}]}",
     "a?\n1. b"},
    {"{\"questions\":[{\"question\":\"a?\"},{\"question\":\"b?\"}]}", "ask one question at a time"},
    {"{\"questions\":[]}", "\"question\" must be a text of 1 to 2000 bytes"},
    {"{\"question\":\" \"}", "\"question\" must be a text of 1 to 2000 bytes"},
    {"{\"question\":5}", "\"question\" must be a text of 1 to 2000 bytes"},
    {"[]", "\"question\" must be a text of 1 to 2000 bytes"},
    {"{\"question\":\"a\",\"choices\":\"b\"}", "\"choices\" must be a list of at most 4 texts"},
    {"{\"question\":\"a\",\"choices\":[1]}", "each choice must be a text of 1 to 300 bytes"},
    {"{\"question\":\"a\",\"choices\":[\"b\",\"\"]}",
     "each choice must be a text of 1 to 300 bytes"},
    {"{\"question\":\"a\",\"choices\":[\"1\",\"2\",\"3\",\"4\",\"5\"]}",
     "\"choices\" must be a list of at most 4 texts"},
};

static void arguments(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        CLEANUP(clarify_finish) struct clarification asked = {0};
        BUF_AUTO text = BUF_INIT(CLARIFY_TEXT_MAX);
        struct error err = ERROR_INIT;
        if (clarify_read(span_of(forms[i].arguments), &asked, &err) == 0)
            clarify_write(&asked, &text);
        assert_string_equal(text.len ? buf_text(&text) : err.text, forms[i].says);
    }
}

// What a model puts on a button cannot end it, and buttons come in pairs.
static void buttons(void **state)
{
    CLEANUP(clarify_finish) struct clarification asked = {0};
    BUF_AUTO out = BUF_INIT(4096);
    assert_int_equal(
        clarify_read(SPAN_LITERAL("{\"question\":\"a\",\"choices\":[\"x\\\"},{\"]}"), &asked, NULL),
        0);
    clarify_write_buttons(&asked, "c0de", &out);
    assert_string_equal(buf_text(&out), "[{\"text\":\"x\\\"},{\",\"data\":\"/answer c0de 1\"},"
                                        "{\"text\":\"None of these\",\"data\":\"/deny c0de\"}");
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], process_command) == 0)
        return process_main(argc - 2, argv + 2, &tool_process_function, 1);
    const struct CMUnitTest tests[] = {
        TEST(any_text_answers),
        TEST(no_more_is_asked_than_buttons_fit),
        TEST(a_number_chooses),
        TEST(by_its_code_and_after_a_restart),
        TEST(what_was_said_before_is_no_answer),
        TEST(nobody_wants_to_answer),
        TEST(nobody_answers_in_time),
        TEST(only_the_one_who_asked),
        TEST(what_asks_nothing_is_refused),
        TEST(work_that_nobody_watches),
        cmocka_unit_test(arguments),
        cmocka_unit_test(buttons),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
