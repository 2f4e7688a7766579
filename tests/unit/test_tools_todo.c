#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/clock.h"
#include "store/session.h"
#include "store/todo.h"
#include "support/store_talk.h"
#include "tools/toolbox.h"

// The todo tool, with a store in a directory. In arguments ' stands for ".

static struct toolbox *toolbox;

static int setup(void **state)
{
    talk_setup_session(state);
    toolbox = toolbox_create(&(struct tool_env){.store = talk.store, .clock = &clock_system});
    return 0;
}

static int teardown(void **state)
{
    toolbox_destroy(toolbox);
    return talk_teardown(state);
}

struct heard {
    int calls;
    bool failed;
    char text[TOOL_TEXT_MAX + 1];
};

static void on_end(void *context, const struct tool_result *result)
{
    struct heard *heard = context;
    heard->calls++;
    heard->failed = result->failed;
    snprintf(heard->text, sizeof heard->text, "%.*s", (int)result->text.len, result->text.data);
}

static void begin(const char *session, const char *arguments, struct heard *heard)
{
    BUF_AUTO text = BUF_INIT(1 << 20);
    for (; *arguments; arguments++)
        buf_append_char(&text, *arguments == '\'' ? '"' : *arguments);
    struct tool_call_context on_behalf = {.session = session, .flow = 1};
    *heard = (struct heard){0};
    toolbox_run(toolbox, toolbox_tools(toolbox), &on_behalf, "todo", buf_span(&text), on_end,
                heard);
}

static const struct heard *run(const char *session, const char *arguments)
{
    static struct heard heard;
    begin(session, arguments, &heard);
    store_wait(talk.store);
    assert_int_equal(heard.calls, 1);
    return &heard;
}

static void says(const char *arguments, const char *wanted)
{
    const struct heard *heard = run("a", arguments);
    assert_string_equal(heard->text, wanted);
    assert_false(heard->failed);
}

static void refuses(const char *arguments, const char *wanted)
{
    const struct heard *heard = run("a", arguments);
    assert_string_equal(heard->text, wanted);
    assert_true(heard->failed);
}

static void a_list_is_made_and_changed(void **state)
{
    says("{}", "the list is empty");
    says("{'todos':[{'id':'1','content':'buy oil','status':'in_progress'},"
         "{'id':'2','content':' drain it\\n'}]}",
         "1 [in_progress] buy oil\n2 [pending] drain it\n"
         "in all: 1 pending, 1 in_progress, 0 completed, 0 cancelled");
    says("{'merge':true,'todos':[{'id':3,'content':'fill','status':'pending'},"
         "{'id':1,'status':'completed'},{'id':'2','content':'drain'}]}",
         "1 [completed] buy oil\n2 [pending] drain\n3 [pending] fill\n"
         "in all: 2 pending, 0 in_progress, 1 completed, 0 cancelled");
    says("{'todos':null}", "1 [completed] buy oil\n2 [pending] drain\n3 [pending] fill\n"
                           "in all: 2 pending, 0 in_progress, 1 completed, 0 cancelled");
    says("{'todos':[],'merge':true}", "1 [completed] buy oil\n2 [pending] drain\n3 [pending] fill\n"
                                      "in all: 2 pending, 0 in_progress, 1 completed, 0 cancelled");
    // Of two with one id the last one counts, in the place of the first.
    says("{'todos':[{'id':'b','content':'x'},{'id':'a','content':'y','status':'cancelled'},"
         "{'id':'b','content':'z'}],'merge':false}",
         "b [pending] z\na [cancelled] y\n"
         "in all: 1 pending, 0 in_progress, 0 completed, 1 cancelled");
    says("{'todos':[]}", "the list is empty");
}

static void each_session_has_its_own(void **state)
{
    struct heard other;
    talk_create(talk.store, "b");
    says("{'todos':[{'id':'1','content':'of a'}]}",
         "1 [pending] of a\nin all: 1 pending, 0 in_progress, 0 completed, 0 cancelled");
    assert_string_equal(run("b", "{}")->text, "the list is empty");
    begin("nobody", "{}", &other);
    store_wait(talk.store);
    assert_true(other.failed);
    assert_string_equal(other.text, "there is no session nobody");
}

static void it_outlives_the_program_and_goes_with_its_session(void **state)
{
    says("{'todos':[{'id':'1','content':'keep'}]}",
         "1 [pending] keep\nin all: 1 pending, 0 in_progress, 0 completed, 0 cancelled");
    toolbox_destroy(toolbox);
    store_close(talk.store);
    talk.store = fixture_open(talk.home, NULL);
    toolbox = toolbox_create(&(struct tool_env){.store = talk.store, .clock = &clock_system});
    says("{}", "1 [pending] keep\nin all: 1 pending, 0 in_progress, 0 completed, 0 cancelled");
    struct outcome outcome = {0};
    store_session_delete(talk.store, SPAN_LITERAL("a"), fixture_done, &outcome, NULL);
    store_wait(talk.store);
    assert_int_equal(outcome.result, 0);
    assert_int_equal(fixture_number(talk.path, "SELECT count(*) FROM todos"), 0);
}

static void what_is_wrong_changes_nothing(void **state)
{
    static const char kept[] =
        "1 [pending] x\nin all: 1 pending, 0 in_progress, 0 completed, 0 cancelled";
    says("{'todos':[{'id':'1','content':'x'}]}", kept);
    refuses("{'todos':'buy'}", "the parameter \"todos\" must be a list of at most 200 objects");
    refuses("{'todos':{}}", "the parameter \"todos\" must be a list of at most 200 objects");
    refuses("{'todos':[7]}", "step 1 of the list: \"id\" must be a text of 1 to 64 bytes");
    refuses("{'todos':[{'content':'x'}]}",
            "step 1 of the list: \"id\" must be a text of 1 to 64 bytes");
    refuses("{'todos':[{'id':' ','content':'x'}]}",
            "step 1 of the list: \"id\" must be a text of 1 to 64 bytes");
    refuses("{'todos':[{'id':'1','content':'x'},{'id':'2','content':['y']}]}",
            "step 2 of the list: \"content\" must be a text of 1 to 4000 bytes");
    refuses("{'todos':[{'id':'1','content':'x','status':'done'}]}",
            "step 1 of the list: \"status\" must be pending, in_progress, completed or cancelled");
    refuses("{'todos':[{'id':'1','content':'x'}],'merge':'yes'}",
            "the parameter \"merge\" must be true or false");
    refuses("{'todos':[{'id':'1','status':'completed'},{'id':'9','status':'pending'}],"
            "'merge':true}",
            "there is no step \"9\", and a new one needs content");
    refuses("{'todos':[{'id':'9'}]}", "there is no step \"9\", and a new one needs content");
    says("{}", kept);
}

static void a_list_has_bounds(void **state)
{
    static const char too_long[] = "the list would have more than 200 steps, or 32 KiB of text";
    BUF_AUTO text = BUF_INIT(1 << 20);
    buf_append_text(&text, "{'merge':true,'todos':[");
    for (int i = 0; i < 8; i++)
        buf_printf(&text, "%s{'id':'%d','content':'%04000d'}", i ? "," : "", i, 0);
    buf_append_text(&text, "]}");
    assert_false(run("a", buf_text(&text))->failed);
    assert_int_equal(fixture_number(talk.path, "SELECT count(*) FROM todos"), 8);
    buf_clear(&text);
    buf_printf(&text, "{'merge':true,'todos':[{'id':'more','content':'%0800d'}]}", 0);
    refuses(buf_text(&text), too_long);
    assert_int_equal(fixture_number(talk.path, "SELECT count(*) FROM todos"), 8);

    buf_clear(&text);
    buf_append_text(&text, "{'todos':[");
    for (int i = 0; i < STORE_TODOS_MAX; i++)
        buf_printf(&text, "%s{'id':%d,'content':'x','status':'in_progress'}", i ? "," : "", i);
    buf_append_text(&text, "]}");
    const struct heard *heard = run("a", buf_text(&text));
    assert_false(heard->failed);
    assert_non_null(strstr(heard->text, "\n199 [in_progress] x\nin all: 0 pending, 200 in_pro"));
    refuses("{'merge':true,'todos':[{'id':'more','content':'x'}]}", too_long);
    assert_int_equal(fixture_number(talk.path, "SELECT count(*) FROM todos"), 200);
}

static void a_cancelled_call_is_silent(void **state)
{
    struct heard heard = {0};
    struct tool_call_context on_behalf = {.session = "a", .flow = 1};
    tool_run_id id = toolbox_run(toolbox, toolbox_tools(toolbox), &on_behalf, "todo",
                                 SPAN_LITERAL("{}"), on_end, &heard);
    assert_true(toolbox_cancel(toolbox, id));
    store_wait(talk.store);
    assert_int_equal(heard.calls, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_list_is_made_and_changed, setup, teardown),
        cmocka_unit_test_setup_teardown(each_session_has_its_own, setup, teardown),
        cmocka_unit_test_setup_teardown(it_outlives_the_program_and_goes_with_its_session, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_is_wrong_changes_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(a_list_has_bounds, setup, teardown),
        cmocka_unit_test_setup_teardown(a_cancelled_call_is_silent, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
