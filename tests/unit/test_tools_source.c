#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"
#include "codec/utf8.h"
#include "loop/loop.h"
#include "support/scripted_source.h"
#include "tools/toolbox.h"
#include "tools/web_options.h"

/*
 * Sources that come and go. Nobody waits for anything here: the scripted source answers when the
 * test says so.
 */
static int64_t now_ms;

static int64_t monotonic(void *context)
{
    return now_ms;
}

static const struct clock test_clock = {monotonic, monotonic, NULL, NULL};

static struct loop *loop;
static struct toolbox *toolbox;
static struct scripted_source scripted;
static tool_source_id scripted_id;

static int setup(void **state)
{
    now_ms = 1000;
    assert_int_equal(loop_create(&test_clock, &loop, NULL), 0);
    struct tool_env env = {.clock = &test_clock, .loop = loop};
    toolbox = toolbox_create(&env);
    scripted_source_init(&scripted, scripted_tools);
    assert_int_equal(toolbox_add_source(toolbox, &scripted.source, &scripted_id, NULL), 0);
    return 0;
}

static int teardown(void **state)
{
    toolbox_destroy(toolbox);
    loop_destroy(loop);
    return 0;
}

struct heard {
    int calls;
    bool failed, tainted;
    int64_t ms;
    size_t len;
    char text[512];
    tool_run_id cancels; // inside the callback
};

static void on_done(void *context, const struct tool_result *result)
{
    struct heard *heard = context;
    heard->calls++;
    heard->failed = result->failed;
    heard->tainted = result->tainted;
    heard->ms = result->ms;
    heard->len = result->text.len;
    assert_true(utf8_valid(result->text));
    snprintf(heard->text, sizeof heard->text, "%.*s", (int)result->text.len, result->text.data);
    toolbox_cancel(toolbox, heard->cancels);
}

static tool_run_id run_for(struct tool_call_context on_behalf, const char *tool,
                           struct heard *heard)
{
    *heard = (struct heard){0};
    return toolbox_run(toolbox, toolbox_tools(toolbox), &on_behalf, tool, SPAN_LITERAL("{}"),
                       on_done, heard);
}

static tool_run_id run(const struct tool_set *set, const char *tool, struct heard *heard)
{
    *heard = (struct heard){0};
    return toolbox_run(toolbox, set, &(struct tool_call_context){.flow = 1}, tool,
                       SPAN_LITERAL("{\"x\":1}"), on_done, heard);
}

static void heard_is(const struct heard *heard, bool failed, const char *text)
{
    assert_int_equal(heard->calls, 1);
    assert_string_equal(heard->text, text);
    assert_true(heard->failed == failed);
}

static void its_tools_stand_behind_those_of_this_program(void **state)
{
    const struct tool_set *set = toolbox_tools(toolbox);
    assert_string_equal(set->tools[0].name, "call_tool");
    assert_string_equal(set->tools[set->count - 1].name, "ring");
    const struct tool_set_entry *slow = tool_set_find(set, "slow");
    assert_non_null(slow);
    assert_string_equal(slow->description, "Answers later.");
    assert_int_equal(slow->flags, 0);
    assert_int_equal(tool_set_find(set, "look")->flags, TOOL_READS | TOOL_REPEATABLE);
    assert_null(tool_set_find(set, "fast"));
}

// A tool that needs settings comes and goes with them, and the others stay where they were.
static void a_tool_that_is_configured(void **state)
{
    static const struct option_pair pairs[] = {{"0.name", "wiki", false, 1},
                                               {"0.url", "http://wiki.example", false, 2}};
    struct web_config config = {.endpoints = {pairs, ARRAY_LEN(pairs)}};
    struct tool_settings settings = {.web = &config};
    struct tool_set *before = tool_set_ref(toolbox_tools(toolbox));
    assert_null(tool_set_find(before, "http_request"));
    toolbox_configure(toolbox, &settings);
    const struct tool_set *set = toolbox_tools(toolbox);
    assert_non_null(tool_set_find(set, "http_request"));
    assert_int_equal(set->count, before->count + 1);
    assert_string_equal(set->tools[0].name, "call_tool");
    assert_string_equal(set->tools[set->count - 1].name, "ring");
    config.endpoints.count = 0;
    toolbox_configure(toolbox, &settings);
    set = toolbox_tools(toolbox);
    assert_int_equal(set->count, before->count);
    for (size_t i = 0; i < set->count; i++)
        assert_string_equal(set->tools[i].name, before->tools[i].name);
    tool_set_unref(before);
}

// Whatever the source, whatever the outcome, and wherever its answer is cut.
static void no_result_shows_a_secret(void **state)
{
    static const char *const secrets[] = {"correct-horse-battery"};
    struct heard heard;
    toolbox_hide(toolbox, secrets, 1);
    run(toolbox_tools(toolbox), "slow", &heard);
    scripted_source_answer(&scripted, 0, "a correct-horse-battery, c\"correct-horse-battery\"",
                           false);
    heard_is(&heard, false, "a [redacted], c\"[redacted]\"");
    run(toolbox_tools(toolbox), "slow", &heard);
    scripted_source_answer(&scripted, 1, "no entry for correct-horse-battery", true);
    heard_is(&heard, true, "no entry for [redacted]");
    run(toolbox_tools(toolbox), "slow", &heard);
    scripted_source_answer(&scripted, 2, "Y29ycmVjdC1ob3JzZS1iYXR0ZXJ5", false); // in base64
    heard_is(&heard, false, "[redacted]");
    run(toolbox_tools(toolbox), "slow", &heard);
    scripted_source_answer(&scripted, 3, "Authorization: Bearer abcdef0123456789", false);
    heard_is(&heard, false, "Authorization: Bearer [redacted]");

    static const char *const others[] = {"another-secret"};
    run(toolbox_tools(toolbox), "slow", &heard);
    toolbox_hide(toolbox, others, 1); // while it runs
    scripted_source_answer(&scripted, 4, "another-secret", false);
    heard_is(&heard, false, "[redacted]");
}

static void a_secret_at_the_cut_is_not_shown_in_part(void **state)
{
    static const char *const secrets[] = {"correct-horse-battery"};
    static char text[TOOL_TEXT_MAX + 100];
    toolbox_hide(toolbox, secrets, 1);
    memset(text, '-', sizeof text - 1);
    memcpy(text + TOOL_TEXT_MAX - 8, secrets[0], strlen(secrets[0]));
    struct heard heard;
    run(toolbox_tools(toolbox), "slow", &heard);
    scripted_source_answer(&scripted, 0, text, false);
    assert_int_equal(heard.calls, 1);
    assert_int_equal(heard.len, TOOL_TEXT_MAX + strlen("\n[88 more bytes are not shown]"));
    assert_null(memmem(heard.text, sizeof heard.text, "correct", 7));
}

static void calls_of_it(void **state)
{
    struct heard heard, other;
    const struct tool_set *set = toolbox_tools(toolbox);
    assert_int_equal(run(set, "at_once", &heard), 0);
    heard_is(&heard, false, "here");
    assert_string_equal(scripted.arguments[0], "{\"x\":1}");
    assert_int_equal(run(set, "no", &heard), 0);
    heard_is(&heard, true, "I will not");
    assert_int_equal(run(set, "slaw", &heard), 0);
    heard_is(&heard, true, "there is no tool \"slaw\"; did you mean \"slow\"?");

    assert_int_not_equal(run(set, "slow", &heard), 0);
    assert_int_not_equal(run(set, "look", &other), 0);
    now_ms += 250;
    scripted_source_answer(&scripted, 3, "second\xff", false);
    heard_is(&other, false, "second\xef\xbf\xbd");
    assert_true(other.tainted);
    assert_int_equal(heard.calls, 0);
    scripted_source_answer(&scripted, 2, "broken", true);
    heard_is(&heard, true, "broken");
    assert_int_equal(heard.ms, 250);
    assert_false(heard.tainted);
}

// Whatever a source gives: of one size, UTF-8, and without a NUL, which would end it for a model.
static void what_a_result_holds(void **state)
{
    struct heard heard;
    static char many[TOOL_TEXT_MAX + 100];
    run(toolbox_tools(toolbox), "slow", &heard);
    tool_run_end(scripted.runs[0], &(struct tool_result){.text = SPAN_LITERAL("a\0\xff\0")});
    heard_is(&heard, false, "a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
    memset(many, 'x', sizeof many);
    run(toolbox_tools(toolbox), "slow", &heard);
    tool_run_end(scripted.runs[1], &(struct tool_result){.text = span_make(many, sizeof many)});
    assert_int_equal(heard.len, TOOL_TEXT_MAX + strlen("\n[100 more bytes are not shown]"));
}

static tool_run_id run_with(const char *tool, const char *arguments, struct heard *heard)
{
    *heard = (struct heard){0};
    return toolbox_run(toolbox, toolbox_tools(toolbox), &(struct tool_call_context){.flow = 1},
                       tool, span_of(arguments), on_done, heard);
}

static void tools_that_are_found(void **state)
{
    struct heard heard;
    static const char first[] = "current_time: The date and time now.\n"
                                "parameters: {\"type\":\"object\",\"properties\":{}}\n";
    assert_int_equal(run_with("find_tools", "{\"query\":\"Which TIME is it\"}", &heard), 0);
    assert_int_equal(strncmp(heard.text, first, sizeof first - 1), 0);
    assert_int_equal(run_with("find_tools", "{\"query\":\"zeppelin\"}", &heard), 0);
    assert_non_null(strstr(heard.text, "\nremember: Keep something for later"));
    assert_null(strstr(heard.text, "read_file"));  // which needs no finding
    assert_null(strstr(heard.text, "parameters")); // of any
    assert_int_equal(run_with("find_tools", "{\"query\":7}", &heard), 0);
    assert_true(heard.failed);
}

// Its own arguments, as the model wrote them.
static void a_call_of_a_tool_that_was_found(void **state)
{
    struct heard heard;
    assert_int_not_equal(
        run_with("call_tool", "{\"name\":\"slow\",\"arguments\": {\"n\": 12345678901234567890}}",
                 &heard),
        0);
    assert_string_equal(scripted.arguments[0], "{\"n\": 12345678901234567890}");
    scripted_source_answer(&scripted, 0, "ding", false);
    heard_is(&heard, false, "ding");
    run_with("call_tool", "{\"name\":\"at_once\"}", &heard);
    heard_is(&heard, false, "here");
    assert_string_equal(scripted.arguments[1], "{}");
    run_with("call_tool", "{\"name\":\"ring\",\"arguments\":{}}", &heard);
    heard_is(&heard, true,
             "the tool \"ring\" runs only when somebody has approved the call, and nobody has");
    run_with("call_tool", "{\"name\":\"slaw\"}", &heard);
    heard_is(&heard, true, "there is no tool \"slaw\"; did you mean \"slow\"?");
    run_with("call_tool", "{\"name\":\"slow\",\"arguments\":\"{}\"}", &heard);
    heard_is(&heard, true, "the arguments must be a JSON object");
    static const char *const bad[] = {"{}", "{\"name\":1}", "{\"name\":\"call_tool\"}", "[]"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        run_with("call_tool", bad[i], &heard);
        assert_true(heard.failed);
        assert_non_null(strstr(heard.text, i < 3 ? "call_tool wants \"name\"" : "must be a JSON"));
    }
    run_with("call_tool", "{\"name\":", &heard);
    assert_non_null(strstr(heard.text, "the arguments are not JSON"));
    assert_int_equal(scripted.started, 2);
}

static void a_call_that_needs_approval(void **state)
{
    struct heard heard;
    assert_int_equal(run(toolbox_tools(toolbox), "ring", &heard), 0);
    heard_is(&heard, true,
             "the tool \"ring\" runs only when somebody has approved the call, and nobody has");
    assert_int_equal(scripted.started, 0);
    assert_int_equal(run_for((struct tool_call_context){.unattended = true}, "ring", &heard), 0);
    heard_is(&heard, true,
             "the tool \"ring\" runs only when somebody has approved the call, and nobody can be "
             "asked here");
    assert_int_not_equal(run_for((struct tool_call_context){.approved = true}, "ring", &heard), 0);
    scripted_source_answer(&scripted, 0, "rung", false);
    heard_is(&heard, false, "rung");
}

static void the_deadline(void **state)
{
    struct heard quick, slow, other, late;
    now_ms += 100; // in mid-pass: the loop's own now is older
    struct tool_call_context on_behalf = {.deadline_ms = now_ms + 500};
    run_for(on_behalf, "slow", &quick);
    run_for(on_behalf, "slow", &slow);
    run(toolbox_tools(toolbox), "slow", &other);
    scripted_source_answer(&scripted, 0, "in time", false);
    now_ms += 499;
    loop_run_once(loop, 0);
    assert_int_equal(slow.calls, 0);
    now_ms++;
    loop_run_once(loop, 0);
    heard_is(&slow, true,
             "the tool \"slow\" was cancelled, since the time of the turn was over; it had begun "
             "and may have had an effect");
    assert_int_equal(slow.ms, 500);
    assert_int_equal(scripted.cancelled, 1);
    scripted_source_answer(&scripted, 1, "late", false);
    heard_is(&quick, false, "in time");
    assert_int_equal(slow.calls, 1);
    assert_int_equal(other.calls, 0);
    assert_int_equal(run_for(on_behalf, "slow", &late), 0);
    heard_is(&late, true, "not run: the time of the turn was over");
    assert_int_equal(scripted.started, 3);
}

static void an_answer_after_the_cancel(void **state)
{
    struct heard heard;
    tool_run_id id = run(toolbox_tools(toolbox), "slow", &heard);
    assert_true(toolbox_cancel(toolbox, id));
    assert_false(toolbox_cancel(toolbox, id));
    assert_int_equal(scripted.cancelled, 1);
    scripted_source_answer(&scripted, 0, "late", false);
    assert_int_equal(heard.calls, 0);
}

// A set is a snapshot: what it names may be gone.
static void it_vanishes(void **state)
{
    struct heard slow, look, late;
    struct tool_set *set = tool_set_ref(toolbox_tools(toolbox));
    run(set, "slow", &slow);
    run(set, "look", &look);
    toolbox_remove_source(toolbox, scripted_id);
    heard_is(&slow, true,
             "the tool \"slow\" is not available any more; it had begun and may have had an "
             "effect");
    assert_int_equal(look.calls, 1);
    assert_int_equal(scripted.cancelled, 2);
    scripted_source_answer(&scripted, 0, "late", false);
    assert_int_equal(slow.calls, 1);

    assert_null(tool_set_find(toolbox_tools(toolbox), "slow"));
    assert_int_equal(run(set, "slow", &late), 0);
    heard_is(&late, true, "the tool \"slow\" is not available any more");
    assert_int_equal(run(toolbox_tools(toolbox), "slow", &late), 0);
    heard_is(&late, true, "there is no tool \"slow\"");
    assert_int_equal(scripted.started, 2);
    assert_int_equal(run(set, "current_time", &late), 0);
    assert_false(late.failed);

    toolbox_remove_source(toolbox, scripted_id); // stale
    // It is another one that comes back: the set does not take it for what it knew.
    assert_int_equal(toolbox_add_source(toolbox, &scripted.source, &scripted_id, NULL), 0);
    run(set, "at_once", &late);
    heard_is(&late, true, "the tool \"at_once\" is not available any more");
    run(toolbox_tools(toolbox), "at_once", &late);
    heard_is(&late, false, "here");
    tool_set_unref(set);
}

// Whoever hears of the first end cancels the other, which is the next to go.
static void a_callback_cancels_while_it_vanishes(void **state)
{
    struct heard first, second;
    run(toolbox_tools(toolbox), "slow", &first);
    first.cancels = run(toolbox_tools(toolbox), "slow", &second);
    toolbox_remove_source(toolbox, scripted_id);
    assert_int_equal(first.calls, 1);
    assert_int_equal(second.calls, 0);
    assert_int_equal(scripted.cancelled, 2);
}

static void destroyed_while_it_works(void **state)
{
    struct heard heard;
    struct tool_env env = {.clock = &test_clock};
    struct scripted_source source;
    tool_source_id id;
    struct toolbox *short_lived = toolbox_create(&env);
    scripted_source_init(&source, scripted_tools);
    assert_int_equal(toolbox_add_source(short_lived, &source.source, &id, NULL), 0);
    toolbox_run(short_lived, toolbox_tools(short_lived), &(struct tool_call_context){0}, "slow",
                SPAN_LITERAL("{}"), on_done, &heard);
    toolbox_destroy(short_lived);
    assert_int_equal(source.cancelled, 1);
}

static void refused(const struct tool_description *tools, const char *wanted)
{
    struct scripted_source source;
    struct error err = ERROR_INIT;
    tool_source_id id = 77;
    size_t before = toolbox_tools(toolbox)->count;
    scripted_source_init(&source, tools);
    assert_true(toolbox_add_source(toolbox, &source.source, &id, &err) < 0);
    assert_string_equal(err.text, wanted);
    assert_int_equal(id, 77);
    assert_int_equal(toolbox_tools(toolbox)->count, before);
    assert_null(tool_set_find(toolbox_tools(toolbox), "good"));
}

// All of it or nothing, so that nobody wonders where a tool has gone.
static void what_is_refused(void **state)
{
#define OBJECT "{\"type\":\"object\"}"
#define GOOD {"good", "", OBJECT, 0}
    refused((struct tool_description[]){GOOD, {"read_file", "", OBJECT, 0}, {0}},
            "\"scripted\" has a tool \"read_file\", and there is one of that name already");
    refused((struct tool_description[]){GOOD, GOOD, {0}},
            "\"scripted\" has a tool \"good\", and there is one of that name already");
    static const char name_sentence[] =
        "\"scripted\" has a tool that cannot be offered to a model: its name must be 1 to 64 "
        "letters, digits, \"_\" and \"-\"";
    static const char *const names[] = {
        "",    "a b",
        "a.b", "\xc3\xa4",
        "x\n", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}; // 65
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        refused((struct tool_description[]){GOOD, {names[i], "", OBJECT, 0}, {0}}, name_sentence);
    static const char *const schemas[] = {"",
                                          "[]",
                                          "{",
                                          "null",
                                          "{}",
                                          OBJECT "{}",
                                          "{\"type\":\"array\"}",
                                          "{\"type\":\"object\",\"properties\":[]}"};
    for (size_t i = 0; i < ARRAY_LEN(schemas); i++)
        refused((struct tool_description[]){GOOD, {"t", "", schemas[i], 0}, {0}},
                "the parameters of \"t\" of \"scripted\" are not a JSON Schema of an object, of at "
                "most 65536 bytes");
    CLEANUP(mem_cleanup) char *large = mem_alloc(TOOL_PARAMETERS_MAX + 2);
    memset(large, ' ', TOOL_PARAMETERS_MAX + 1);
    large[TOOL_PARAMETERS_MAX + 1] = '\0';
    refused((struct tool_description[]){GOOD, {"t", large, OBJECT, 0}, {0}},
            "the description of \"t\" of \"scripted\" is longer than 8192 bytes");
    memcpy(large, OBJECT, strlen(OBJECT)); // a JSON object, but for its length
    refused((struct tool_description[]){GOOD, {"t", "", large, 0}, {0}},
            "the parameters of \"t\" of \"scripted\" are not a JSON Schema of an object, of at "
            "most 65536 bytes");
}

static void too_many(void **state)
{
    static char names[TOOL_SET_MAX][8];
    static struct tool_description tools[TOOL_SET_MAX + 1];
    for (int i = 0; i < TOOL_SET_MAX; i++) {
        snprintf(names[i], sizeof names[i], "t%d", i);
        tools[i] = (struct tool_description){names[i], "", OBJECT, 0};
    }
    refused(tools, "with \"scripted\" there would be more than 512 tools");
    static char large[TOOL_DESCRIPTION_MAX + 1];
    memset(large, 'x', TOOL_DESCRIPTION_MAX);
    for (int i = 0; i < TOOL_SET_MAX; i++)
        tools[i].description = large;
    refused(tools, "with \"scripted\" the descriptions of all tools would be longer than 256 KiB");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(its_tools_stand_behind_those_of_this_program, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_tool_that_is_configured, setup, teardown),
        cmocka_unit_test_setup_teardown(calls_of_it, setup, teardown),
        cmocka_unit_test_setup_teardown(no_result_shows_a_secret, setup, teardown),
        cmocka_unit_test_setup_teardown(a_secret_at_the_cut_is_not_shown_in_part, setup, teardown),
        cmocka_unit_test_setup_teardown(what_a_result_holds, setup, teardown),
        cmocka_unit_test_setup_teardown(tools_that_are_found, setup, teardown),
        cmocka_unit_test_setup_teardown(a_call_of_a_tool_that_was_found, setup, teardown),
        cmocka_unit_test_setup_teardown(a_call_that_needs_approval, setup, teardown),
        cmocka_unit_test_setup_teardown(the_deadline, setup, teardown),
        cmocka_unit_test_setup_teardown(an_answer_after_the_cancel, setup, teardown),
        cmocka_unit_test_setup_teardown(it_vanishes, setup, teardown),
        cmocka_unit_test_setup_teardown(a_callback_cancels_while_it_vanishes, setup, teardown),
        cmocka_unit_test_setup_teardown(destroyed_while_it_works, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(too_many, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
