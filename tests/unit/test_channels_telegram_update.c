#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/buf.h"
#include "channels/telegram_update.h"

enum { TEXT_MAX = 1 << 20 };

static int read_updates(const char *text, struct telegram_updates *ret_updates)
{
    struct json doc = JSON_INIT;
    assert_int_equal(json_parse(&doc, span_of(text), NULL), 0);
    int r = telegram_updates_read(json_root(&doc), ret_updates, NULL);
    json_finish(&doc); // what was read does not point into it
    return r;
}

#define PRIVATE(fields)                                                               \
    "[{\"update_id\":7,\"message\":{\"message_id\":1,\"date\":1700000000,"            \
    "\"chat\":{\"id\":42,\"type\":\"private\"},\"from\":{\"id\":42,\"is_bot\":false," \
    "\"first_name\":\"Ada\",\"last_name\":\"L\",\"username\":\"ada\"}," fields "}}]"

// The text that the only update's message becomes; "" when it becomes none.
static void assert_text(const char *updates_text, const char *wanted)
{
    struct telegram_updates updates;
    assert_int_equal(read_updates(updates_text, &updates), 0);
    assert_int_equal(updates.count, 1);
    assert_string_equal(updates.rows[0].text ? updates.rows[0].text : "", wanted);
    telegram_updates_finish(&updates);
}

static void test_a_private_message(void **state)
{
    (void)state;
    struct telegram_updates updates;
    assert_int_equal(read_updates(PRIVATE("\"text\":\"hello \\u20ac\""), &updates), 0);
    const struct telegram_update *update = &updates.rows[0];
    assert_int_equal(update->id, 7);
    assert_int_equal(update->kind, TELEGRAM_MESSAGE);
    assert_int_equal(update->chat, 42);
    assert_int_equal(update->user, 42);
    assert_string_equal(update->name, "Ada L");
    assert_string_equal(update->username, "ada");
    assert_int_equal(update->sent_ms, 1700000000000);
    assert_string_equal(update->text, "hello \xe2\x82\xac");
    assert_false(update->cut);
    telegram_updates_finish(&updates);
}

static void assert_thread(const char *updates_text, const char *wanted)
{
    struct telegram_updates updates;
    assert_int_equal(read_updates(updates_text, &updates), 0);
    assert_int_equal(updates.rows[0].kind, TELEGRAM_MESSAGE);
    assert_string_equal(updates.rows[0].ids.thread, wanted);
    telegram_updates_finish(&updates);
}

// An id alone is that of a message that is replied to.
static void test_only_a_topic_is_a_thread(void **state)
{
    (void)state;
    assert_thread(PRIVATE("\"text\":\"a\""), "");
    assert_thread(PRIVATE("\"text\":\"a\",\"message_thread_id\":5"), "");
    assert_thread(PRIVATE("\"text\":\"a\",\"message_thread_id\":5,\"is_topic_message\":true"), "5");
    assert_thread(PRIVATE("\"text\":\"a\",\"message_thread_id\":5,\"is_topic_message\":1"), "");
    assert_thread(PRIVATE("\"text\":\"a\",\"message_thread_id\":-5,\"is_topic_message\":true"), "");
    assert_thread(PRIVATE("\"text\":\"a\",\"message_thread_id\":{},\"is_topic_message\":true"), "");
}

#define PRESSED(fields)                                                                      \
    "[{\"update_id\":7,\"callback_query\":{\"id\":\"4001\",\"from\":{\"id\":42},"            \
    "\"message\":{\"message_id\":9,\"date\":1700000000,\"from\":{\"id\":1,\"is_bot\":true}," \
    "\"chat\":{\"id\":42,\"type\":\"private\"}}" fields "}}]"

static void test_a_button(void **state)
{
    (void)state;
    struct telegram_updates updates;
    assert_int_equal(read_updates(PRESSED(",\"data\":\"/approve 12\""), &updates), 0);
    const struct telegram_update *update = &updates.rows[0];
    assert_int_equal(update->kind, TELEGRAM_BUTTON);
    assert_string_equal(update->ids.chat, "42");
    assert_string_equal(update->ids.user, "42"); // whoever pressed it, not the bot
    assert_string_equal(update->ids.message, "9");
    assert_string_equal(update->ids.press, "4001");
    assert_string_equal(update->text, "/approve 12");
    assert_string_equal(update->buttons, "[]");
    telegram_updates_finish(&updates);
}

static void test_the_rows_that_stay(void **state)
{
    (void)state;
    static const char questions[] = "[[{\"callback_data\":\"/approve a1\"}],"
                                    "[{\"callback_data\":\"/deny a1\"}],"
                                    "[{\"callback_data\":\"/deny b2\"}]]";
    static const char servers[] = "[[{\"callback_data\":\"/mcp accept a 1\"}],"
                                  "[{\"callback_data\":\"/mcp accept b 1\"}]]";
    CLEANUP(mem_cleanup) char *left = telegram_rows_without(span_of(questions), "/approve a1");
    assert_string_equal(left, "[[{\"callback_data\":\"/deny b2\"}]]");
    CLEANUP(mem_cleanup) char *other = telegram_rows_without(span_of(servers), "/mcp accept a 1");
    assert_string_equal(other, "[[{\"callback_data\":\"/mcp accept b 1\"}]]");
}

static void test_a_button_without_data_is_nothing(void **state)
{
    (void)state;
    assert_text(PRESSED(""), "");
    assert_text(PRESSED(",\"data\":\"\""), "");
    assert_text(
        PRESSED(",\"data\":\"12345678901234567890123456789012345678901234567890123456789012345\""),
        "");
    assert_text("[{\"update_id\":7,\"callback_query\":{\"id\":\"1\",\"data\":\"x\"}}]", "");
}

static void test_an_edit_has_the_id_of_its_message(void **state)
{
    (void)state;
    struct telegram_updates updates;
    assert_int_equal(read_updates("[{\"update_id\":7,\"edited_message\":{\"message_id\":1,"
                                  "\"chat\":{\"id\":42,\"type\":\"private\"},\"from\":"
                                  "{\"id\":42},\"text\":\"b\",\"date\":5,\"edit_date\":6}},"
                                  "{\"update_id\":8,\"message\":{\"message_id\":1,"
                                  "\"chat\":{\"id\":42,\"type\":\"private\"},\"from\":"
                                  "{\"id\":42},\"text\":\"a\",\"date\":6}}]",
                                  &updates),
                     0);
    assert_int_equal(updates.rows[0].kind, TELEGRAM_EDIT);
    assert_string_equal(updates.rows[0].text, "b");
    assert_string_equal(updates.rows[0].ids.external, "42:1");
    assert_int_equal(updates.rows[0].sent_ms, 6008);
    assert_string_equal(updates.rows[1].ids.external, "42:1");
    assert_int_equal(updates.rows[1].sent_ms, 6000);
    assert_string_not_equal(updates.rows[0].hash, updates.rows[1].hash);
    telegram_updates_finish(&updates);
}

static void test_ids_are_sorted_and_counted_once(void **state)
{
    (void)state;
    struct telegram_updates updates;
    assert_int_equal(read_updates("[{\"update_id\":9223372036854775806},{\"update_id\":3},"
                                  "{\"update_id\":5},{\"update_id\":3},{\"update_id\":\"4\"},"
                                  "{\"update_id\":-1},{\"update_id\":9223372036854775807},{},7]",
                                  &updates),
                     0);
    assert_int_equal(updates.count, 3);
    assert_int_equal(updates.rows[0].id, 3);
    assert_int_equal(updates.rows[1].id, 5);
    assert_int_equal(updates.rows[2].id, 9223372036854775806);
    assert_int_equal(updates.rows[0].kind, TELEGRAM_NOTHING);
    telegram_updates_finish(&updates);
}

static void test_only_so_many_at_a_time(void **state)
{
    (void)state;
    BUF_AUTO text = BUF_INIT(TEXT_MAX);
    buf_append_text(&text, "[");
    for (int i = 250; i > 0; i--)
        buf_printf(&text, "%s{\"update_id\":%d}", i == 250 ? "" : ",", i);
    buf_append_text(&text, "]");
    struct telegram_updates updates;
    assert_int_equal(read_updates(buf_text(&text), &updates), 0);
    assert_int_equal(updates.count, TELEGRAM_BATCH_MAX);
    assert_int_equal(updates.rows[TELEGRAM_BATCH_MAX - 1].id, TELEGRAM_BATCH_MAX);
    telegram_updates_finish(&updates);
}

static void test_no_list_of_updates(void **state)
{
    (void)state;
    struct telegram_updates updates;
    assert_true(read_updates("{}", &updates) < 0);
    assert_true(read_updates("null", &updates) < 0);
    BUF_AUTO text = BUF_INIT(TEXT_MAX);
    buf_append_text(&text, "[0");
    for (int i = 0; i < TELEGRAM_UPDATES_MAX; i++)
        buf_append_text(&text, ",0");
    buf_append_text(&text, "]");
    assert_true(read_updates(buf_text(&text), &updates) < 0);
}

static void test_groups_and_bots(void **state)
{
    (void)state;
    struct telegram_updates updates;
    assert_int_equal(
        read_updates("[{\"update_id\":1,\"message\":{\"chat\":{\"id\":-100,\"type\":\"channel\"},"
                     "\"from\":{\"id\":42},\"text\":\"hi\"}},"
                     "{\"update_id\":2,\"message\":{\"chat\":{\"id\":5,\"type\":\"private\"},"
                     "\"from\":{\"id\":5,\"is_bot\":true},\"text\":\"hi\"}},"
                     "{\"update_id\":3,\"message\":{\"chat\":{\"id\":5,\"type\":\"private\"},"
                     "\"text\":\"nobody\"}},"
                     "{\"update_id\":4,\"message\":{\"chat\":{\"id\":1.5,\"type\":\"private\"}}}]",
                     &updates),
        0);
    assert_int_equal(updates.rows[0].kind, TELEGRAM_ELSEWHERE);
    assert_int_equal(updates.rows[0].chat, -100);
    for (int i = 1; i < 4; i++)
        assert_int_equal(updates.rows[i].kind, TELEGRAM_NOTHING);
    telegram_updates_finish(&updates);
}

static void test_what_is_no_text_is_noted(void **state)
{
    (void)state;
    assert_text(PRIVATE("\"sticker\":{}"), "[a sticker came with this; it cannot be seen yet]");
    assert_text(PRIVATE("\"poll\":{},\"caption\":\"my cat\""),
                "my cat\n[a poll came with this; it cannot be read yet]");
    assert_text(PRIVATE("\"photo\":[{}]"), ""); // it is fetched, as is
    assert_text(PRIVATE("\"voice\":{},\"caption\":\"my cat\""), "my cat");
    assert_text(PRIVATE("\"pinned_message\":{\"text\":\"x\"}"), "");
    assert_text(PRIVATE("\"text\":7"), "");
    assert_text(PRIVATE("\"text\":\"a\\u0000b\""), "a b");
}

static void test_a_reply_quotes_what_it_replies_to(void **state)
{
    (void)state;
    assert_text(PRIVATE("\"text\":\"why?\",\"reply_to_message\":{\"text\":\"one\\ntwo\"}"),
                "> one\n> two\n\nwhy?");
    assert_text(PRIVATE("\"text\":\"why?\",\"quote\":{\"text\":\"two\"},"
                        "\"reply_to_message\":{\"text\":\"one\\ntwo\"}"),
                "> two\n\nwhy?");
    assert_text(PRIVATE("\"text\":\"/retry\",\"reply_to_message\":{\"text\":\"one\"}"), "/retry");
    assert_text(PRIVATE("\"text\":\"why?\",\"reply_to_message\":{\"photo\":[]}"), "why?");
}

static void assert_tainted(const char *updates_text, bool wanted)
{
    struct telegram_updates updates;
    assert_int_equal(read_updates(updates_text, &updates), 0);
    assert_int_equal(updates.rows[0].tainted, wanted);
    assert_non_null(updates.rows[0].text);
    telegram_updates_finish(&updates);
}

static void test_what_the_sender_did_not_write(void **state)
{
    (void)state;
#define OF(id) "\"reply_to_message\":{\"from\":{\"id\":" id "},\"text\":\"one\"}"
    assert_tainted(PRIVATE("\"text\":\"a\""), false);
    assert_tainted(PRIVATE("\"text\":\"a\"," OF("42")), false);
    assert_tainted(PRIVATE("\"text\":\"a\"," OF("43")), true);
    assert_tainted(PRIVATE("\"text\":\"/status\"," OF("43")), false); // which is not quoted
    assert_tainted(PRIVATE("\"text\":\"a\",\"reply_to_message\":{\"text\":\"one\"}"), true);
    assert_tainted(PRIVATE("\"text\":\"a\",\"reply_to_message\":{\"from\":{\"id\":42},"
                           "\"forward_origin\":{\"type\":\"user\"},\"text\":\"one\"}"),
                   true);
    assert_tainted(PRIVATE("\"text\":\"a\",\"external_reply\":{},\"quote\":{\"text\":\"b\"}"),
                   true); // of a chat elsewhere
    assert_tainted(PRIVATE("\"text\":\"a\",\"forward_origin\":{\"type\":\"hidden_user\"}"), true);
    assert_tainted(PRIVATE("\"caption\":\"a\",\"photo\":[],\"forward_date\":1"), true);
    assert_tainted(PRIVATE("\"text\":\"a\",\"via_bot\":{\"id\":9}"), true);
}

static void test_a_quote_is_cut(void **state)
{
    (void)state;
    BUF_AUTO text = BUF_INIT(TEXT_MAX);
    BUF_AUTO wanted = BUF_INIT(TEXT_MAX);
    buf_append_text(&text,
                    "[{\"update_id\":7,\"message\":{\"chat\":{\"id\":4,\"type\":\"private\"},"
                    "\"from\":{\"id\":4},\"text\":\"so\",\"reply_to_message\":{\"text\":\"");
    buf_append_text(&wanted, "> ");
    for (int i = 0; i < 600; i++) {
        buf_append_text(&text, "\xe2\x82\xac");
        if (i < TELEGRAM_QUOTE_MAX)
            buf_append_text(&wanted, "\xe2\x82\xac");
    }
    buf_append_text(&text, "\"}}}]");
    buf_append_text(&wanted, " ...\n\nso");
    assert_text(buf_text(&text), buf_text(&wanted));
}

static void test_a_text_that_was_probably_cut(void **state)
{
    (void)state;
    for (size_t units = TELEGRAM_CUT_UNITS - 2; units <= TELEGRAM_CUT_UNITS; units += 2) {
        BUF_AUTO text = BUF_INIT(TEXT_MAX);
        struct telegram_updates updates;
        buf_append_text(&text, "[{\"update_id\":7,\"message\":{\"chat\":{\"id\":4,"
                               "\"type\":\"private\"},\"from\":{\"id\":4},\"text\":\"");
        for (size_t i = 0; i < units; i += 2) // a character of two units
            buf_append_text(&text, "\\ud83d\\ude00");
        buf_append_text(&text, "\"}}]");
        assert_int_equal(read_updates(buf_text(&text), &updates), 0);
        assert_int_equal(updates.rows[0].cut, units >= TELEGRAM_CUT_UNITS);
        telegram_updates_finish(&updates);
    }
}

static void test_a_text_beyond_all_bounds(void **state)
{
    (void)state;
    BUF_AUTO text = BUF_INIT(TEXT_MAX);
    buf_append_text(&text,
                    "[{\"update_id\":7,\"message\":{\"chat\":{\"id\":4,\"type\":\"private\"},"
                    "\"from\":{\"id\":4,\"first_name\":\"");
    for (int i = 0; i < 200; i++)
        buf_append_text(&text, "\xe2\x82\xac");
    buf_append_text(&text, "\"},\"text\":\"");
    for (int i = 0; i <= TELEGRAM_MESSAGE_MAX; i++)
        buf_append_text(&text, "x");
    buf_append_text(&text, "\"}}]");
    struct telegram_updates updates;
    assert_int_equal(read_updates(buf_text(&text), &updates), 0);
    assert_string_equal(updates.rows[0].text, "[a message that is too long to be read]");
    assert_int_equal(strlen(updates.rows[0].name) % 3, 0); // whole characters
    telegram_updates_finish(&updates);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_private_message),
        cmocka_unit_test(test_only_a_topic_is_a_thread),
        cmocka_unit_test(test_a_button),
        cmocka_unit_test(test_the_rows_that_stay),
        cmocka_unit_test(test_a_button_without_data_is_nothing),
        cmocka_unit_test(test_an_edit_has_the_id_of_its_message),
        cmocka_unit_test(test_ids_are_sorted_and_counted_once),
        cmocka_unit_test(test_only_so_many_at_a_time),
        cmocka_unit_test(test_no_list_of_updates),
        cmocka_unit_test(test_groups_and_bots),
        cmocka_unit_test(test_what_is_no_text_is_noted),
        cmocka_unit_test(test_a_reply_quotes_what_it_replies_to),
        cmocka_unit_test(test_what_the_sender_did_not_write),
        cmocka_unit_test(test_a_quote_is_cut),
        cmocka_unit_test(test_a_text_that_was_probably_cut),
        cmocka_unit_test(test_a_text_beyond_all_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
