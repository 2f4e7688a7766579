#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "base/fd.h"
#include "channels/target.h"
#include "channels/telegram.h"
#include "store/key_value.h"
#include "support/store_fixture.h"

static char home[FIXTURE_PATH_MAX];
static struct telegram_config config;
static struct target_env env;

static int setup(void **state)
{
    fixture_make_home(home);
    config = (struct telegram_config){0};
    env = (struct target_env){fixture_open(home, NULL), home, &config};
    return 0;
}

static int teardown(void **state)
{
    store_close(env.store);
    fixture_remove_home(home);
    return 0;
}

static void put_directory(const char *text)
{
    char path[FIXTURE_PATH_MAX + 32];
    snprintf(path, sizeof path, "%s/channel_directory.json", home);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void goes_to(const char *text, const char *chat, const char *thread)
{
    struct target target;
    struct error err = ERROR_INIT;
    if (target_resolve(&env, span_of(text), &target, &err) < 0)
        fail_msg("%s: %s", text, err.text);
    assert_string_equal(target.channel, "telegram");
    assert_string_equal(target.chat, chat);
    assert_string_equal(target.thread, thread);
}

static void is_refused(const char *text, int code, const char *why)
{
    struct target target = {.channel = "as it was"};
    struct error err = ERROR_INIT;
    assert_int_equal(target_resolve(&env, span_of(text), &target, &err), code);
    if (!strstr(err.text, why))
        fail_msg("%s: %s", text, err.text);
    assert_string_equal(target.channel, "as it was");
}

static void by_number(void **state)
{
    goes_to("telegram:42", "42", "");
    goes_to(" telegram:-1001234567890:17 ", "-1001234567890", "17");
    is_refused("discord:42", -EINVAL, "\"discord\" is not delivered to");
    is_refused("", -EINVAL, "is not delivered to");
    is_refused("telegram:42:x", -ENOENT, "\"42:x\"");
    is_refused("telegram:99999999999999999999", -ENOENT, "no chat");
}

static void the_home_channel(void **state)
{
    static const char *const users[] = {"42", "43"};
    static const char *const everybody[] = {"*"};
    is_refused("telegram", -ENOENT, "/sethome");
    config.allowed_users = (struct option_list){everybody, 1};
    is_refused("telegram", -ENOENT, "/sethome");
    config.allowed_users = (struct option_list){users, 2};
    is_refused("telegram", -ENOENT, "/sethome");
    config.allowed_users.count = 1;
    goes_to("telegram", "42", "");
    config.home_chat = "7";
    goes_to("telegram", "7", "");
    config.home_thread = "3";
    goes_to("telegram:", "7", "3");
    store_write_key_value(env.store, SPAN_LITERAL("home channel of telegram"),
                          SPAN_LITERAL("-5\n9"), STORE_DURABLE, NULL, NULL, NULL);
    store_wait(env.store);
    goes_to("telegram", "-5", "9");
}

static void pair(const char *users)
{
    char path[FIXTURE_PATH_MAX + 64];
    snprintf(path, sizeof path, "%s/pairing", home);
    mkdir(path, 0700);
    snprintf(path, sizeof path, "%s/pairing/telegram-approved.json", home);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(users, file);
    fclose(file);
}

static void the_only_person_who_is_paired(void **state)
{
    static const char *const users[] = {"42"}, *const everybody[] = {"*"};
    pair("{\"42\": {\"user_name\": \"U\", \"approved_at\": 1}}");
    goes_to("telegram", "42", "");
    config.allowed_users = (struct option_list){users, 1};
    goes_to("telegram", "42", ""); // the same one
    config.allowed_users = (struct option_list){everybody, 1};
    is_refused("telegram", -ENOENT, "/sethome");
    config.allowed_users = (struct option_list){users, 1};
    pair("{\"43\": {}}");
    is_refused("telegram", -ENOENT, "/sethome");
    pair("not JSON");
    goes_to("telegram", "42", "");
}

static void by_name(void **state)
{
    is_refused("telegram:Ann", -ENOENT, "no chat");
    put_directory("{\"updated_at\":\"2026\",\"platforms\":{\"discord\":[{\"id\":\"1\",\"name\":"
                  "\"Eve\"}],\"telegram\":["
                  "{\"id\":\"42\",\"name\":\"Ann\",\"type\":\"dm\",\"thread_id\":null},"
                  "{\"id\":\"-100:17\",\"name\":\"Family / news\",\"type\":\"group\"},"
                  "{\"id\":\"-7\",\"name\":\"Team\",\"type\":\"group\"},"
                  "{\"id\":\"-8\",\"name\":\"Team\",\"type\":\"channel\"},"
                  "{\"name\":\"no id\"},{\"id\":\"x y\",\"name\":\"odd\"},7]}}");
    goes_to("telegram:ann", "42", "");
    goes_to("telegram:#Family / news", "-100", "17");
    goes_to("telegram:team (channel)", "-8", "");
    is_refused("telegram:Team", -ENOENT, "more than one");
    is_refused("telegram:Eve", -ENOENT, "no chat");
    is_refused("telegram:odd", -ENOENT, "no chat");
    is_refused("telegram:no id", -ENOENT, "no chat");
}

static void of_a_file_that_is_damaged(void **state)
{
    put_directory("{\"platforms\":{\"telegram\":");
    is_refused("telegram:Ann", -ENOENT, "no chat");
    put_directory("{\"platforms\":[{\"telegram\":[]}]}");
    is_refused("telegram:Ann", -ENOENT, "no chat");
    put_directory("");
    is_refused("telegram:Ann", -ENOENT, "no chat");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(by_number, setup, teardown),
        cmocka_unit_test_setup_teardown(the_home_channel, setup, teardown),
        cmocka_unit_test_setup_teardown(the_only_person_who_is_paired, setup, teardown),
        cmocka_unit_test_setup_teardown(by_name, setup, teardown),
        cmocka_unit_test_setup_teardown(of_a_file_that_is_damaged, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
