#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/mem.h"
#include "channels/telegram_internal.h"

static bool listed(const char *const *items, size_t count, const char *user)
{
    struct telegram_config config = {.allowed_users = {items, count}};
    return telegram_access_listed(&config, span_of(user));
}

static void test_only_whole_ids_are_let_in(void **state)
{
    (void)state;
    static const char *const users[] = {"42", " 4711 ", ""};
    assert_true(listed(users, ARRAY_LEN(users), "42"));
    assert_true(listed(users, ARRAY_LEN(users), "4711"));
    assert_false(listed(users, ARRAY_LEN(users), "4"));
    assert_false(listed(users, ARRAY_LEN(users), "421"));
    assert_false(listed(users, ARRAY_LEN(users), ""));
    assert_false(listed(NULL, 0, "42"));
}

static void test_everybody(void **state)
{
    (void)state;
    static const char *const star[] = {"7", "*"};
    struct telegram_config config = {.allow_all = true};
    assert_true(listed(star, ARRAY_LEN(star), "42"));
    assert_true(telegram_access_listed(&config, span_of("42")));
}

static void test_codes_are_given_only_where_nobody_is_listed(void **state)
{
    (void)state;
    static const char *const users[] = {"42"};
    struct telegram_config config = {.strangers = "auto"};
    assert_true(telegram_access_pairs(&config));
    config.allowed_users = (struct option_list){users, 1};
    assert_false(telegram_access_pairs(&config));
    config.strangers = "pair";
    assert_true(telegram_access_pairs(&config));
    config.strangers = "ignore";
    config.allowed_users.count = 0;
    assert_false(telegram_access_pairs(&config));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_whole_ids_are_let_in),
        cmocka_unit_test(test_everybody),
        cmocka_unit_test(test_codes_are_given_only_where_nobody_is_listed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
