// What a client tells of its conversation, compared with our own record of it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "agent/asked.h"
#include "agent/session.h"
#include "base/mem.h"

static struct chat_history stored;
static struct asked *asked;
static struct agent_session *session;

static int setup(void **state)
{
    (void)state;
    stored = (struct chat_history){0};
    asked = mem_new(struct asked);
    session = agent_session_create(&(struct store_session_key){SPAN_LITERAL("api")});
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    chat_history_finish(&stored);
    asked_destroy(asked);
    agent_session_destroy(session);
    return 0;
}

// Messages in one text: "u" a user's, "a" an answer, "c" an answer with a call, "r" the result of
// one, "s" of the system; a capital is tainted. Each is followed by what it says, and ";".
static void tell(struct chat_history *history, const char *text)
{
    static const char letters[] = "uacrs";
    static const enum chat_role roles[] = {CHAT_USER, CHAT_ASSISTANT, CHAT_ASSISTANT, CHAT_TOOL,
                                           CHAT_SYSTEM};
    struct span rest = span_of(text);
    while (rest.len) {
        struct span part = span_cut(&rest, ';');
        char letter = (char)(part.data[0] | 0x20);
        struct chat_message message = {.tainted = letter != part.data[0],
                                       .role = roles[strchr(letters, letter) - letters]};
        if (part.len > 1)
            message.text = mem_strndup(part.data + 1, part.len - 1);
        if (letter == 'c')
            chat_message_add_call(&message, "c0", "look", "{}", NULL);
        chat_history_append(history, &message);
    }
}

static bool goes_on(const char *ours, const char *theirs)
{
    struct chat_history here = {0}, given = {0};
    tell(&here, ours);
    tell(&given, theirs);
    bool same = asked_goes_on(&here, &given);
    chat_history_finish(&here);
    chat_history_finish(&given);
    return same;
}

static void expect_session(const char *wanted)
{
    char text[512] = "";
    for (size_t i = 0; i < session->history.count; i++) {
        const struct chat_message *message = &session->history.messages[i];
        char letter = "suar"[message->role];
        size_t used = strlen(text);
        snprintf(text + used, sizeof text - used, "%c%s;",
                 message->tainted ? letter & ~0x20 : letter, message->text ? message->text : "");
    }
    assert_string_equal(text, wanted);
    assert_int_equal(session->seeded, session->history.count);
}

static void nothing_was_said(void **state)
{
    (void)state;
    assert_true(goes_on("", ""));
    assert_false(goes_on("uhi;", ""));
    assert_false(goes_on("", "uhi;"));
    asked_seed(asked, NULL, session);
    asked_seed(asked, &stored, session);
    expect_session("");
    asked_destroy(NULL);
}

static void the_same_conversation(void **state)
{
    (void)state;
    assert_true(goes_on("uhi;ahello;", "uhi;ahello;"));
    assert_true(goes_on("uhi;ahello;", "u hi\n;a hello ;"));
    assert_false(goes_on("uhi;ahello;", "uho;ahello;"));
    assert_false(goes_on("uhi;ahello;", "uhi;agoodbye;"));
    assert_false(goes_on("uhi;ahello;", "uhi;"));                     // ours says more
    assert_false(goes_on("uhi;ahello;", "uhi;ahello;umore;"));        // so do they
    assert_false(goes_on("uhi;ahello;", "uhi;ahello;uhi;ahello;"));   // twice
    assert_false(goes_on("uhi;ahello;uhi;ahello;", "uhi;ahello;"));   // once
    assert_false(goes_on("uhi;ahello;", "ahello;uhi;"));              // the other way round
    assert_false(goes_on("uhi;", "uhi;ahello;"));                     // ours has no answer
    assert_false(goes_on("uhi;ahell;", "uhi;ahel;"));                 // a piece of ours
    assert_true(goes_on("uhi;uagain;ahello;", "uhi;uagain;ahello;")); // a turn was given up
    assert_false(goes_on("uhi;uagain;ahello;", "uhi;ahello;"));
}

// A client saw what was said between calls, and one text, with remarks around it.
static void calls_that_a_client_never_saw(void **state)
{
    (void)state;
    static const char ours[] = "uhi;c;rsecret;cone moment;rmore;ahello;ubye;asee you;";
    assert_true(goes_on(ours, "uhi;ahello;ubye;asee you;"));
    assert_true(goes_on(ours, "uhi;aone moment hello (cut);ubye;asee you;"));
    assert_false(goes_on(ours, "uhi;aone moment;ubye;asee you;"));
    assert_false(goes_on(ours, "uhi;asecret;ubye;asee you;"));
    assert_false(goes_on(ours, "uhi;ahello;asee you;"));
    assert_false(goes_on(ours, "uhi;aone moment;ahello;ubye;asee you;")); // two for one
    assert_false(goes_on("uhi;c;rsecret;", "uhi;asecret;"));              // nothing was said
    assert_false(goes_on("uhi;c;rsecret;", "uhi;a;"));
    assert_false(goes_on("uhi;a;", "uhi;a;"));
}

// Messages that no client should tell.
static void roles_of_other_kinds(void **state)
{
    (void)state;
    assert_false(goes_on("uhi;c;rresult;ahello;", "uhi;c;rresult;ahello;"));
    assert_false(goes_on("uhi;ahello;", "sbe kind;uhi;ahello;"));
    assert_false(goes_on("uhi;ahello;", "uhi;rnothing;"));
    assert_false(goes_on("", "sbe kind;"));
    tell(&asked->given, "rresult;sbe kind;uhi;rother;slate;ahello;");
    asked_seed(asked, NULL, session);
    expect_session("uhi;Rother;Slate;Ahello;"); // it begins with what a user said
}

static void tell_many(struct chat_history *history, int from, int to)
{
    for (int i = from; i < to; i++) {
        char text[64];
        snprintf(text, sizeof text, "u%d;aanswer %d;", i, i);
        tell(history, text);
    }
}

// Beyond so many messages only the end of ours is in memory; what they tell before is not compared.
static void only_the_end_is_compared(void **state)
{
    (void)state;
    enum { PAIRS = ASKED_HISTORY_MAX / 2 };
    tell_many(&stored, 50, 50 + PAIRS);
    tell_many(&asked->given, 0, 50 + PAIRS);
    assert_true(asked_goes_on(&stored, &asked->given));
    chat_history_truncate(&asked->given, asked->given.count - 2);
    assert_false(asked_goes_on(&stored, &asked->given)); // ours says more
    tell(&asked->given, "uother;aanswer 149;");
    assert_false(asked_goes_on(&stored, &asked->given));
    chat_history_truncate(&asked->given, 4); // fewer than ours
    assert_false(asked_goes_on(&stored, &asked->given));
    chat_history_truncate(&stored, ASKED_HISTORY_MAX - 1);
    tell_many(&asked->given, 2, 50 + PAIRS);
    assert_false(asked_goes_on(&stored, &asked->given)); // one that is short is compared whole
}

static void a_seed_is_cut_to_its_end(void **state)
{
    (void)state;
    enum { PAIRS = ASKED_HISTORY_MAX };
    tell_many(&asked->given, 0, PAIRS);
    asked_seed(asked, NULL, session);
    assert_int_equal(session->history.count, ASKED_HISTORY_MAX);
    assert_int_equal(session->seeded, ASKED_HISTORY_MAX);
    assert_string_equal(session->history.messages[0].text, "100");
    assert_string_equal(session->history.messages[ASKED_HISTORY_MAX - 1].text, "answer 199");
}

// The cut falls between a question and its answer, which alone would be no beginning.
static void a_seed_does_not_begin_with_an_answer(void **state)
{
    (void)state;
    tell(&asked->given, "ufirst;");
    tell_many(&asked->given, 0, ASKED_HISTORY_MAX / 2 - 1);
    tell(&asked->given, "ulast;alast;ureally;");
    asked_seed(asked, NULL, session);
    assert_int_equal(session->history.count, ASKED_HISTORY_MAX - 1);
    assert_string_equal(session->history.messages[0].text, "1");
    assert_string_equal(session->history.messages[session->history.count - 1].text, "really");
}

// Of an answer that we know it is known where it comes from, of any other it is not.
static void what_is_told_is_as_tainted_as_we_know(void **state)
{
    (void)state;
    tell(&stored, "uhi;ahello;uread it;c;Rpage;Asee the page;uthanks;aas you like;");
    tell(&asked->given, "uhi;ahello;uread it;asee the page;uthanks;aas you like;");
    asked_seed(asked, &stored, session);
    expect_session("uhi;ahello;uread it;Asee the page;uthanks;aas you like;");
}

static void behind_a_difference_nothing_is_known(void **state)
{
    (void)state;
    tell(&stored, "uhi;ahello;ubye;asee you;");
    tell(&asked->given, "uhi;ahello;uother;asee you;ubye;asee you;");
    asked_seed(asked, &stored, session);
    expect_session("uhi;ahello;uother;Asee you;ubye;Asee you;");
}

static void nobody_knows_it(void **state)
{
    (void)state;
    tell(&asked->given, "uhi;ahello;Uquoted;a;");
    asked_seed(asked, NULL, session);
    expect_session("uhi;Ahello;Uquoted;A;");
}

// A question that was tainted when it was asked stays so, whoever tells it again.
static void a_tainted_question_stays_so(void **state)
{
    (void)state;
    tell(&stored, "Uhi;ahello;");
    tell(&asked->given, "uhi;ahello;");
    asked_seed(asked, &stored, session);
    expect_session("Uhi;ahello;");
}

// What is told beyond ours is not vouched for by it.
static void more_than_we_know(void **state)
{
    (void)state;
    tell(&stored, "uhi;ahello;");
    tell(&asked->given, "uhi;ahello;umore;amuch more;");
    asked_seed(asked, &stored, session);
    expect_session("uhi;ahello;umore;Amuch more;");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nothing_was_said),
        TEST(the_same_conversation),
        TEST(calls_that_a_client_never_saw),
        TEST(roles_of_other_kinds),
        TEST(only_the_end_is_compared),
        TEST(a_seed_is_cut_to_its_end),
        TEST(a_seed_does_not_begin_with_an_answer),
        TEST(what_is_told_is_as_tainted_as_we_know),
        TEST(behind_a_difference_nothing_is_known),
        TEST(nobody_knows_it),
        TEST(a_tainted_question_stays_so),
        TEST(more_than_we_know),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
