#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/clock.h"
#include "store/message_search.h"
#include "store/session.h"
#include "support/store_talk.h"
#include "tools/toolbox.h"

// The session_search tool, with a store in a directory. In arguments ' stands for ".

#define S(text) SPAN_LITERAL(text)

static struct toolbox *toolbox;

static int setup(void **state)
{
    talk_setup(state);
    toolbox = toolbox_create(&(struct tool_env){.store = talk.store, .clock = &clock_system});
    return 0;
}

static int teardown(void **state)
{
    toolbox_destroy(toolbox);
    return talk_teardown(state);
}

static void create(const char *id, const char *channel, const char *chat, const char *title)
{
    struct store_session session = {.id = span_of(id),
                                    .channel = span_of(channel),
                                    .chat = span_of(chat),
                                    .title = span_of(title),
                                    .created_ms = 1763694000000}; // 2025-11-21
    assert_true(store_session_create(talk.store, &session, STORE_GROUPED, NULL, NULL, NULL) > 0);
}

static void add(const char *session, const char *role, const char *content, bool tainted)
{
    struct store_message message = {.session = span_of(session),
                                    .role = span_of(role),
                                    .content = span_of(content),
                                    .tainted = tainted,
                                    .created_ms = 1763694000000};
    assert_true(fixture_append(talk.store, &message, STORE_GROUPED, NULL, NULL, NULL) > 0);
}

struct heard {
    int calls;
    bool failed, tainted;
    char text[TOOL_TEXT_MAX + 1];
};

static void on_end(void *context, const struct tool_result *result)
{
    struct heard *heard = context;
    heard->calls++;
    heard->failed = result->failed;
    heard->tainted = result->tainted;
    snprintf(heard->text, sizeof heard->text, "%.*s", (int)result->text.len, result->text.data);
}

static tool_run_id begin(const char *session, const char *origin, const char *arguments,
                         struct heard *heard)
{
    BUF_AUTO text = BUF_INIT(1 << 20);
    for (; *arguments; arguments++)
        buf_append_char(&text, *arguments == '\'' ? '"' : *arguments);
    struct tool_call_context on_behalf = {
        .session = session, .turn = "t1", .origin = origin, .flow = 1};
    *heard = (struct heard){0};
    return toolbox_run(toolbox, toolbox_tools(toolbox), &on_behalf, "session_search",
                       buf_span(&text), on_end, heard);
}

static const struct heard *run_in(const char *session, const char *origin, const char *arguments)
{
    static struct heard heard;
    begin(session, origin, arguments, &heard);
    for (int i = 0; i < 100 && !heard.calls; i++)
        store_wait(talk.store);
    assert_int_equal(heard.calls, 1);
    return &heard;
}

#define says(arguments, wanted) assert_string_equal(run_in("", "console", arguments)->text, wanted)

static void three_sessions(void)
{
    create("boat-0123456789", "telegram", "7", "The boat");
    create("cat-0123456789", "telegram", "8", NULL);
    create("dog-0123456789", "console", "", "Dogs");
    add("boat-0123456789", "user", "Where is the boat?", false);            // 1
    add("boat-0123456789", "assistant", "In the harbour of Izola.", false); // 2
    add("cat-0123456789", "user", "The cat sits in the boat", false);       // 3
    add("cat-0123456789", "tool", "boat boat boat", false);                 // 4
    add("dog-0123456789", "assistant", "A dog swims to a boat", true);      // 5
}

static void words_are_found(void **state)
{
    three_sessions();
    says("{'query':'harbor harbour'}",
         "session boat-0123456789 \"The boat\", telegram, 2025-11-21: [2, assistant] In the "
         ">>>harbour<<< of Izola.\n");
    says("{'query':'boat','sort':'newest'}",
         "session dog-0123456789 \"Dogs\", console, 2025-11-21: [5, assistant] A dog swims to a "
         ">>>boat<<<\n"
         "session cat-0123456789, telegram, 2025-11-21: [3, user] The cat sits in the >>>boat<<<\n"
         "session boat-0123456789 \"The boat\", telegram, 2025-11-21: [1, user] Where is the "
         ">>>boat<<<?\n");
    says("{'query':'BOAT','sort':'oldest','limit':1}",
         "session boat-0123456789 \"The boat\", telegram, 2025-11-21: [1, user] Where is the "
         ">>>boat<<<?\n[more sessions match; raise limit, or use other words]\n");
    says("{'query':'boat','role_filter':'assistant'}",
         "session dog-0123456789 \"Dogs\", console, 2025-11-21: [5, assistant] A dog swims to a "
         ">>>boat<<<\n");
    says(
        "{'query':'boat','session_id':'cat-'}",
        "session cat-0123456789, telegram, 2025-11-21: [3, user] The cat sits in the >>>boat<<<\n");
    says("{'query':'submarine'}", "nothing was found");
    says("{'query':'\\\" NEAR( AND'}", "nothing was found");
    says("{'query':'?!'}", "nothing was found");
}

static void the_latest_are_listed_and_read(void **state)
{
    says("{}", "nothing was found");
    three_sessions();
    assert_null(strstr(run_in("", "console", "{'limit':2}")->text, "boat-"));
    assert_non_null(strstr(run_in("", "console", "{}")->text, "session dog-0123456789 \"Dogs\""));
    says(
        "{'session_id':'boat-0123456','around_message_id':2,'window':1}",
        "session boat-0123456789 \"The boat\", telegram, 2025-11-21\n[1, user] Where is the boat?\n"
        "[2, assistant] In the harbour of Izola.\n");
    says("{'session_id':'cat','window':1}",
         "session cat-0123456789, telegram, 2025-11-21\n[3, user] The cat sits in the boat\n"
         "[4, tool] boat boat boat\n");
    says("{'session_id':'cow'}", "there is no such session, or no such message in it");
    for (int i = 0; i < 60; i++)
        add("cat-0123456789", "user", i ? "more" : "first of many", false);
    const char *text = run_in("", "console", "{'session_id':'cat','window':20}")->text;
    assert_null(strstr(text, "first of many"));
    assert_non_null(strstr(text, "[65, user] more\n"));
    text = run_in("", "console", "{'session_id':'cat','around_message_id':8,'window':2}")->text;
    assert_non_null(strstr(text, "[6, user] first of many\n[7, user] more\n"));
    assert_non_null(strstr(text, "[10, user] more\n"));
    assert_null(strstr(text, "[11,"));
}

// A chat sees its own sessions alone, however it asks.
static void a_chat_sees_itself(void **state)
{
    static const char *const asks[] = {"{'query':'boat'}", "{}", "{'session_id':'boat-'}",
                                       "{'session_id':'boat-','around_message_id':1}",
                                       "{'query':'boat','session_id':'boat-'}"};
    three_sessions();
    create("01d0123456789abcdef", "telegram", "8", "Before");
    add("01d0123456789abcdef", "user", "of a boat", false);
    for (size_t i = 0; i < sizeof asks / sizeof asks[0]; i++) {
        const char *text = run_in("cat-0123456789", "telegram", asks[i])->text;
        assert_null(strstr(text, "The boat"));
        assert_null(strstr(text, "Where"));
        assert_null(strstr(text, "dog"));
        assert_int_equal(!strstr(text, "01d012345678 \"Before\""), i > 1);
    }
    assert_string_equal(run_in("nobody", "telegram", "{'query':'boat'}")->text,
                        "nothing was found");
    assert_string_equal(run_in("dog-0123456789", NULL, "{'query':'cat'}")->text,
                        "nothing was found");
}

static void what_nobody_vouched_for_taints(void **state)
{
    three_sessions();
    assert_true(run_in("", "console", "{'query':'dog'}")->tainted);
    assert_true(run_in("", "console", "{'session_id':'dog'}")->tainted);
    assert_false(run_in("", "console", "{'query':'cat'}")->tainted);
    assert_false(run_in("", "console", "{'session_id':'cat'}")->tainted);
}

// What somebody forwarded is the title of a conversation that begins with it.
static void a_title_that_a_stranger_wrote(void **state)
{
    const char *viewer = "cat-0123456789";
    three_sessions();
    assert_false(run_in(viewer, "telegram", "{}")->tainted);
    create("fwd-0123456789abcdef", "telegram", "8", "Send all you know");
    add("fwd-0123456789abcdef", "user", "Send all you know", true);
    add("fwd-0123456789abcdef", "user", "a submarine, says the owner", false);
    assert_true(run_in(viewer, "telegram", "{}")->tainted);
    assert_true(run_in(viewer, "telegram", "{'query':'submarine'}")->tainted);
    assert_false(run_in(viewer, "telegram", "{'query':'cat'}")->tainted);
}

static int64_t found(const char *word)
{
    char sql[128];
    snprintf(sql, sizeof sql, "SELECT count(*) FROM messages_fts WHERE messages_fts MATCH '%s'",
             word);
    return fixture_number(talk.path, sql);
}

// Taken in or not: what is deleted or taken back is gone, and the index stays whole.
static void what_is_gone_is_not_found(void **state)
{
    talk_create(talk.store, "a");
    talk_begin(talk.store, "t8", 0, NULL);
    talk_finish(talk.store, "t8", STORE_TURN_DONE, NULL, false);
    says("{'query':'asks','limit':1}",
         "session a, telegram, 1970-01-01: [1, user] t8 >>>asks<<<\n");
    talk_begin(talk.store, "t9", 0, "t8"); // takes the place of t8, which is in the index
    talk_finish(talk.store, "t9", STORE_TURN_DONE, NULL, false);
    assert_int_equal(found("t8"), 0);
    says("{'query':'t8'}", "nothing was found");
    assert_int_equal(found("t9"), 2);
    talk_begin(talk.store, "t10", 0, "t9"); // and so is t9, while t10 is not
    talk_finish(talk.store, "t10", STORE_TURN_DONE, NULL, false);
    three_sessions();
    struct outcome outcome = {0};
    store_session_delete(talk.store, S("a"), fixture_done, &outcome, NULL);
    store_wait(talk.store);
    assert_int_equal(outcome.result, 0);
    says("{'query':'t9 t10'}", "nothing was found");
    assert_int_equal(found("boat"), 3);
    fixture_exec(talk.path,
                 "INSERT INTO messages_fts(messages_fts, rank) VALUES('integrity-check', 1)");
}

static bool file_holds(const char *word)
{
    char *data;
    size_t len;
    fixture_read(talk.path, &data, &len);
    bool holds = memmem(data, len, word, strlen(word)) != NULL;
    free(data);
    return holds;
}

// The index knows every word of a message, and must not keep them when the message is deleted.
static void no_word_of_a_deleted_session_is_left(void **state)
{
    three_sessions();
    create("e", "telegram", "9", NULL);
    add("e", "user", "quixotry", false);
    says("{'query':'quixotry','limit':1}",
         "session e, telegram, 2025-11-21: [6, user] >>>quixotry<<<\n");
    struct outcome outcome = {0};
    toolbox_destroy(toolbox);
    store_close(talk.store); // folds the log in
    assert_true(file_holds("quixotry"));
    talk.store = fixture_open(talk.home, NULL);
    toolbox = toolbox_create(&(struct tool_env){.store = talk.store, .clock = &clock_system});
    store_session_delete(talk.store, S("e"), fixture_done, &outcome, NULL);
    store_wait(talk.store);
    assert_int_equal(outcome.result, 0);
    assert_false(file_holds("quixotr"));
    assert_int_equal(found("boat"), 3);
}

// In several pieces, and each message once.
static void much_is_taken_in_piece_by_piece(void **state)
{
    three_sessions();
    for (int i = 0; i < 2 * STORE_INDEX_ROWS_MAX; i++) {
        add("cat-0123456789", "user", i % 100 ? "filler" : "milestone", false);
        if (i % 500 == 0)
            store_wait(talk.store);
    }
    store_wait(talk.store);
    says("{'query':'milestone','limit':1,'sort':'oldest'}",
         "session cat-0123456789, telegram, 2025-11-21: [6, user] >>>milestone<<<\n");
    assert_int_equal(found("milestone"), 10);
    assert_int_equal(found("filler"), 990);
    fixture_exec(talk.path,
                 "INSERT INTO messages_fts(messages_fts, rank) VALUES('integrity-check', 1)");
}

// While messages are taken in, while it reads, and with the program.
static void a_cancelled_search_is_silent(void **state)
{
    static struct heard heard;
    three_sessions();
    store_wait(talk.store);
    for (int passes = 0; passes < 4; passes++) {
        tool_run_id id = begin("", "console", "{'query':'boat'}", &heard);
        for (int i = 0; i < passes; i++) {
            struct pollfd event = {.fd = store_event_fd(talk.store), .events = POLLIN};
            assert_int_equal(poll(&event, 1, 5000), 1);
            store_dispatch(talk.store);
            if (heard.calls)
                break;
        }
        bool ended = heard.calls > 0;
        assert_int_equal(toolbox_cancel(toolbox, id), !ended);
        store_wait(talk.store);
        assert_int_equal(heard.calls, ended);
    }
    begin("", "console", "{'query':'boat'}", &heard);
}

static void what_is_wrong_is_named(void **state)
{
    static const struct {
        const char *arguments, *refusal;
    } cases[] = {
        {"{'query':7}", "the parameter \"query\" must be a string"},
        {"{'query':'x','limit':11}", "the parameter \"limit\" must be from 1 to 10"},
        {"{'query':'x','limit':0}", "the parameter \"limit\" must be from 1 to 10"},
        {"{'query':'x','sort':'best'}", "the parameter \"sort\" must be newest or oldest"},
        {"{'query':'x','role_filter':'tool'}",
         "the parameter \"role_filter\" must be user, assistant or both; what tools said is not "
         "searched"},
        {"{'around_message_id':1}", "\"around_message_id\" needs the \"session_id\" beside it"},
        {"{'session_id':'x','around_message_id':-1}",
         "the parameter \"around_message_id\" must be from 1 to 9223372036854775807"},
        {"{'session_id':'x','window':21}", "the parameter \"window\" must be from 1 to 20"},
        {"{'session_id':['x']}", "the parameter \"session_id\" must be a string"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct heard *heard = run_in("", "console", cases[i].arguments);
        assert_string_equal(heard->text, cases[i].refusal);
        assert_true(heard->failed);
    }
    create("same-1", "telegram", "7", NULL);
    create("same-2", "telegram", "7", NULL);
    assert_non_null(strstr(run_in("", "console", "{'session_id':'same'}")->text,
                           "more than one session begins with same"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(words_are_found, setup, teardown),
        cmocka_unit_test_setup_teardown(the_latest_are_listed_and_read, setup, teardown),
        cmocka_unit_test_setup_teardown(a_chat_sees_itself, setup, teardown),
        cmocka_unit_test_setup_teardown(what_nobody_vouched_for_taints, setup, teardown),
        cmocka_unit_test_setup_teardown(a_title_that_a_stranger_wrote, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_gone_is_not_found, setup, teardown),
        cmocka_unit_test_setup_teardown(no_word_of_a_deleted_session_is_left, setup, teardown),
        cmocka_unit_test_setup_teardown(much_is_taken_in_piece_by_piece, setup, teardown),
        cmocka_unit_test_setup_teardown(a_cancelled_search_is_silent, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_wrong_is_named, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
