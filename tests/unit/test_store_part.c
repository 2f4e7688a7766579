#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "store/part.h"
#include "store/session.h"
#include "support/store_talk.h"

#define S SPAN_LITERAL

enum { ROOM = 64 }; // bytes

static struct outcome add(const char *session, const char *id, struct span data)
{
    struct outcome outcome = {0};
    struct store_part part = {span_of(session), span_of(id), data};
    assert_true(store_part_add(talk.store, &part, STORE_GROUPED, fixture_done, &outcome, NULL) > 0);
    store_wait(talk.store);
    assert_true(outcome.called);
    return outcome;
}

static int read_part(const char *session, const char *id, struct buf *out)
{
    struct store_view *view = store_view(talk.store);
    return store_read_part(view, span_of(session), span_of(id), out, NULL);
}

static void bytes_come_back_as_they_were(void **state)
{
    (void)state;
    struct span data = S("\x89PNG\0\r\n\xff");
    BUF_AUTO out = BUF_INIT(ROOM);
    assert_int_equal(add("a", "one", data).result, 0);
    assert_int_equal(read_part("a", "one", &out), 0);
    assert_true(span_equal(buf_span(&out), data));
    assert_int_equal(read_part("a", "two", &out), STORE_NOT_FOUND);
    assert_int_equal(read_part("b", "one", &out), STORE_NOT_FOUND);
}

static void what_has_no_session_is_refused(void **state)
{
    (void)state;
    assert_int_equal(add("nobody", "one", S("x")).result, -ENOENT);
    assert_int_equal(fixture_number(talk.path, "SELECT count(*) FROM parts"), 0);
}

static void without_room_nothing_is_read(void **state)
{
    (void)state;
    BUF_AUTO small = BUF_INIT(3);
    add("a", "one", S("four"));
    assert_int_equal(read_part("a", "one", &small), -E2BIG);
    assert_int_equal(small.len, 0);
}

static void the_newest_are_kept(void **state)
{
    (void)state;
    char id[ROOM];
    BUF_AUTO out = BUF_INIT(ROOM);
    talk_create(talk.store, "b");
    add("b", "theirs", S("other"));
    add("a", "first", S("1"));
    add("a", "second", S("2"));
    for (int i = 2; i < STORE_PARTS_KEPT; i++) {
        snprintf(id, sizeof id, "more %d", i);
        add("a", id, S("x"));
    }
    add("a", "first", S("1")); // shown once more: now the second is the oldest
    assert_int_equal(read_part("a", "second", &out), 0);
    add("a", "last", S("9"));
    assert_int_equal(read_part("a", "second", &out), STORE_NOT_FOUND);
    assert_int_equal(read_part("a", "first", &out), 0);
    assert_int_equal(read_part("b", "theirs", &out), 0);
    assert_int_equal(fixture_number(talk.path, "SELECT count(*) FROM parts"), STORE_PARTS_KEPT + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(bytes_come_back_as_they_were, talk_setup_session,
                                        talk_teardown),
        cmocka_unit_test_setup_teardown(what_has_no_session_is_refused, talk_setup_session,
                                        talk_teardown),
        cmocka_unit_test_setup_teardown(without_room_nothing_is_read, talk_setup_session,
                                        talk_teardown),
        cmocka_unit_test_setup_teardown(the_newest_are_kept, talk_setup_session, talk_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
