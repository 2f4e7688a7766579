#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/fd.h"
#include "base/mem.h"
#include "channels/pairing.h"
#include "codec/json.h"
#include "support/fake_clock.h"
#include "support/store_fixture.h"

enum { MINUTE = 60 * 1000, HOUR = 60 * MINUTE };

static char home[FIXTURE_PATH_MAX];
static struct fake_clock fake;
static struct pairing pairing;
static char code[PAIRING_CODE_LENGTH + 1];

static int setup(void **state)
{
    fixture_make_home(home);
    const struct clock *clock = fake_clock_init(&fake, 0);
    fake.wall_ms = 1763694000123; // 2025-11-21T03:00:00Z
    pairing = (struct pairing){home, "telegram", clock};
    return 0;
}

static int teardown(void **state)
{
    static const char *const names[] = {"pairing/telegram-pending.json",
                                        "pairing/telegram-approved.json",
                                        "pairing/_rate_limits.json",
                                        "platforms/pairing/telegram-approved.json",
                                        "platforms/pairing/telegram-pending.json",
                                        "platforms/pairing/_rate_limits.json"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        unlink(fixture_path(home, names[i]));
    rmdir(fixture_path(home, "pairing"));
    rmdir(fixture_path(home, "platforms/pairing"));
    rmdir(fixture_path(home, "platforms"));
    fixture_remove_home(home);
    return 0;
}

static void put(const char *name, const char *text)
{
    mkdir(fixture_path(home, "pairing"), 0700);
    FD_AUTO fd = open(fixture_path(home, name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(fd_write_all(fd, text, strlen(text)), 0);
}

static const char *get(const char *name)
{
    static char text[64 * 1024];
    BUF_AUTO file = BUF_INIT(sizeof text - 1);
    assert_int_equal(fd_read_file(fixture_path(home, name), &file, NULL), 0);
    snprintf(text, sizeof text, "%s", buf_text(&file));
    return text;
}

static int ask(const char *user, const char *name)
{
    struct error err = ERROR_INIT;
    return pairing_request(&pairing, span_of(user), span_of(name), code, &err);
}

// The approved user, or the sentence.
static const char *approve(const char *with, int wanted)
{
    static char text[ERROR_TEXT_MAX];
    struct error err = ERROR_INIT;
    BUF_AUTO user = BUF_INIT(256);
    assert_int_equal(pairing_approve(&pairing, span_of(with), &user, &err), wanted);
    snprintf(text, sizeof text, "%s", wanted ? err.text : buf_text(&user));
    return text;
}

static bool is_approved(const char *user)
{
    return pairing_is_approved(&pairing, span_of(user), NULL);
}

static void from_stranger_to_friend(void **state)
{
    assert_false(is_approved("42"));
    assert_int_equal(ask("42", "Ann"), 0);
    assert_int_equal(strlen(code), 8);
    assert_int_equal(strspn(code, "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"), 8);
    assert_null(strstr(get("pairing/telegram-pending.json"), code));
    assert_false(is_approved("42"));
    char spelled[16];
    snprintf(spelled, sizeof spelled, " %s\n", code);
    for (int i = 1; i < 9; i++)
        spelled[i] = spelled[i] >= 'A' ? spelled[i] + 32 : spelled[i];
    assert_string_equal(approve(spelled, 0), "42");
    assert_true(is_approved("42"));
    assert_false(is_approved("4"));
    assert_false(is_approved(""));
    assert_string_equal(get("pairing/telegram-approved.json"),
                        "{\"42\":{\"user_name\":\"Ann\",\"approved_at\":1763694000.123}}\n");
    assert_string_equal(get("pairing/telegram-pending.json"), "{}\n");
    approve(code, -ENOENT); // once is enough
    struct error err = ERROR_INIT;
    assert_int_equal(pairing_revoke(&pairing, SPAN_LITERAL("42"), &err), 0);
    assert_false(is_approved("42"));
    assert_int_equal(pairing_revoke(&pairing, SPAN_LITERAL("42"), &err), -ENOENT);
    assert_string_equal(err.text, "the user 42 is not approved on telegram");
}

static void files_are_private(void **state)
{
    static const char *const names[] = {"pairing/telegram-pending.json",
                                        "pairing/telegram-approved.json",
                                        "pairing/_rate_limits.json"};
    struct stat stat_buffer;
    assert_int_equal(ask("42", "Ann"), 0);
    approve(code, 0);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        assert_int_equal(stat(fixture_path(home, names[i]), &stat_buffer), 0);
        assert_int_equal(stat_buffer.st_mode & 0777, 0600);
    }
    assert_int_equal(stat(fixture_path(home, "pairing"), &stat_buffer), 0);
    assert_int_equal(stat_buffer.st_mode & 0777, 0700);
    assert_int_equal(fixture_count_names(home, ".hermes-"), 0);
}

// Digest and fields as hermes-agent 0.21 writes them: sha256(0x00 .. 0x0f, "ABCDEFGH").
static void hermes_agents_own_files(void **state)
{
    put("pairing/telegram-pending.json",
        "{\"00112233445566aa\": {\"hash\": "
        "\"8e9907c1ad8783f7c6f6a276be4147ba3df056e870ca256335aa57122002b8d0\", "
        "\"salt\": \"000102030405060708090a0b0c0d0e0f\", \"user_id\": \"7\", "
        "\"user_name\": \"Bo\", \"created_at\": 1763693999.5, \"surplus\": [1.50]}, "
        "\"00112233445566bb\": {\"hash\": "
        "\"8e9907c1ad8783f7c6f6a276be4147ba3df056e870ca256335aa57122002b8d0\", "
        "\"salt\": \"000102030405060708090a0b0c0d0e0f\", \"user_id\": \"6\", "
        "\"user_name\": \"Bo\", \"created_at\": 1763693999.5, \"surplus\": [1.50]}, "
        "\"OLDCODES\": {\"user_id\": \"8\", \"user_name\": \"\", \"created_at\": 1763693999}}");
    put("pairing/telegram-approved.json",
        "\xef\xbb\xbf{\"5\": {\"user_name\": \"Eve\", \"approved_at\": 1.5e9, \"extra\": 1.50}}");
    assert_true(is_approved("5"));
    approve("OLDCODES", -ENOENT); // a code in the clear is none
    assert_string_equal(approve("abcdefgh", 0), "7");
    assert_string_equal(approve("00112233445566BB", 0), "6");
    approve("00112233445566BB", -ENOENT);
    assert_true(is_approved("5") && is_approved("7"));
    assert_non_null(strstr(get("pairing/telegram-approved.json"),
                           "\"5\":{\"user_name\": \"Eve\", \"approved_at\": 1.5e9, "
                           "\"extra\": 1.50},\"7\":{\"user_name\":\"Bo\""));
    assert_non_null(strstr(get("pairing/telegram-pending.json"), "OLDCODES"));
}

static void the_other_directory(void **state)
{
    mkdir(fixture_path(home, "platforms"), 0700);
    mkdir(fixture_path(home, "platforms/pairing"), 0700);
    put("platforms/pairing/telegram-approved.json", "{\"5\":{}}");
    rmdir(fixture_path(home, "pairing"));
    assert_true(is_approved("5"));
    struct error err = ERROR_INIT;
    assert_int_equal(pairing_revoke(&pairing, SPAN_LITERAL("5"), &err), 0);
    assert_string_equal(get("platforms/pairing/telegram-approved.json"), "{}\n");
}

// As a home of hermes-agent 0.19 has them: the older one is there, and empty.
static void both_directories(void **state)
{
    struct error err = ERROR_INIT;
    BUF_AUTO list = BUF_INIT(4096);
    mkdir(fixture_path(home, "platforms"), 0700);
    mkdir(fixture_path(home, "platforms/pairing"), 0700);
    mkdir(fixture_path(home, "pairing"), 0700);
    assert_int_equal(ask("1", ""), 0); // no files are anywhere
    get("pairing/telegram-pending.json");
    put("platforms/pairing/telegram-approved.json", "{\"5\":{}, \"6\":{}}");
    put("pairing/telegram-approved.json", "{\"6\":{}, \"7\":{}}");
    assert_true(is_approved("5") && is_approved("6") && is_approved("7") && !is_approved("8"));
    assert_int_equal(ask("8", ""), 0);
    assert_string_equal(approve(code, 0), "8");
    assert_non_null(strstr(get("platforms/pairing/telegram-approved.json"), "\"8\""));
    assert_int_equal(pairing_list(&pairing, true, &list, &err), 0);
    static const char *const users[] = {"5", "6", "7", "8"};
    for (size_t i = 0; i < ARRAY_LEN(users); i++) {
        CLEANUP(mem_cleanup) char *row = mem_printf("\"user_id\":\"%s\"", users[i]);
        assert_non_null(strstr(buf_text(&list), row));
        assert_int_equal(pairing_revoke(&pairing, span_of(users[i]), &err), 0);
        assert_false(is_approved(users[i])); // 6 was in both
        assert_int_equal(pairing_revoke(&pairing, span_of(users[i]), &err), -ENOENT);
    }
    put("pairing/telegram-approved.json", "[]"); // the sentence of the one that is damaged
    err = (struct error)ERROR_INIT;
    assert_false(pairing_is_approved(&pairing, SPAN_LITERAL("5"), &err));
    assert_int_equal(err.code, -EBADMSG);
}

static void limits_of_asking(void **state)
{
    assert_int_equal(ask("1", ""), 0);
    assert_int_equal(ask("1", ""), 1); // not again for 10 minutes
    fake.wall_ms += 10 * MINUTE;
    char first[sizeof code];
    memcpy(first, code, sizeof code);
    assert_int_equal(ask("1", ""), 0); // takes the place of the first
    approve(first, -ENOENT);
    assert_int_equal(ask("2", ""), 0);
    assert_int_equal(ask("3", ""), 0);
    assert_int_equal(ask("4", ""), 1); // three wait
    fake.wall_ms += HOUR;
    assert_int_equal(ask("4", ""), 0);
    assert_null(strstr(get("pairing/_rate_limits.json"), "telegram:2"));
    assert_non_null(strstr(get("pairing/_rate_limits.json"), "\"telegram:4\":1763698200.123"));
    assert_true(ask("", "") < 0);
}

static void codes_end(void **state)
{
    assert_int_equal(ask("1", ""), 0);
    fake.wall_ms += HOUR - 1;
    assert_string_equal(approve(code, 0), "1");
    assert_int_equal(ask("2", ""), 0);
    fake.wall_ms += HOUR;
    assert_string_equal(approve(code, -ENOENT),
                        "no request has this code; codes expire after an hour (1 of 5 wrong ones)");
}

static void wrong_codes_lock(void **state)
{
    assert_int_equal(ask("1", ""), 0);
    for (int i = 0; i < 4; i++)
        approve("WRONGONE", -ENOENT);
    assert_string_equal(approve(code, 0), "1"); // and the count begins anew
    assert_int_equal(ask("2", ""), 0);
    for (int i = 0; i < 4; i++)
        approve("WRONGONE", -ENOENT);
    assert_string_equal(approve("", -ENOENT), "no request has this code; after 5 wrong ones no "
                                              "code is accepted for an hour");
    assert_string_equal(approve(code, -EBUSY),
                        "after 5 wrong codes none is accepted until 2025-11-21T04:00:00Z; use a "
                        "request's id from the list");
    assert_int_equal(ask("3", ""), 1);
    fake.wall_ms += HOUR;
    assert_int_equal(ask("3", ""), 0);
    assert_string_equal(approve(code, 0), "3");
}

static void a_clock_that_jumps(void **state)
{
    put("pairing/_rate_limits.json",
        "{\"_lockout:telegram\":1863694000,\"telegram:1\":1863694000,\"_failures:telegram\":99}");
    assert_int_equal(ask("1", ""), 0);
    fake.wall_ms -= 365LL * 24 * HOUR;
    approve(code, -ENOENT);
    assert_int_equal(ask("1", ""), 0);
    assert_string_equal(approve(code, 0), "1");
}

static void damaged_files(void **state)
{
    struct error err = ERROR_INIT;
    put("pairing/telegram-approved.json", "{\"1\":");
    assert_false(pairing_is_approved(&pairing, span_of("1"), &err));
    assert_int_equal(err.code, -EBADMSG); // or the owner would be a stranger without a reason
    assert_int_equal(ask("2", ""), 0);
    assert_string_equal(approve(code, -EBADMSG),
                        "pairing/telegram-approved.json is not a JSON object and was left alone; "
                        "fix or remove it");
    assert_string_equal(get("pairing/telegram-approved.json"), "{\"1\":");
    put("pairing/telegram-approved.json", "");
    assert_string_equal(approve(code, 0), "2");
    put("pairing/telegram-pending.json", "[]");
    assert_true(ask("3", "") < 0);
    BUF_AUTO out = BUF_INIT(4096);
    assert_int_equal(pairing_list(&pairing, false, &out, &err), -EBADMSG);
}

// No double, no escape and no blank of an entry that is not ours changes.
static void entries_keep_their_bytes(void **state)
{
#define ENTRY "{ \"id\":12345678901234567890, \"approved_at\":1.50,\"x\":\"\\u0000\\/\\ud800\"}"
    put("pairing/telegram-approved.json", "{\"7\":" ENTRY "}");
    assert_int_equal(ask("2", "Bob"), 0);
    assert_string_equal(approve(code, 0), "2");
    assert_string_equal(get("pairing/telegram-approved.json"),
                        "{\"7\":" ENTRY
                        ",\"2\":{\"user_name\":\"Bob\",\"approved_at\":1763694000.123}}\n");
}

static void a_key_that_would_be_cut(void **state)
{
    static const char text[] = "{\"7\\u0000\":{\"user_name\":\"Eve\"}}";
    put("pairing/telegram-approved.json", text);
    assert_int_equal(ask("7", ""), 0);
    assert_false(is_approved("7"));
    assert_string_equal(approve(code, -EILSEQ),
                        "pairing/telegram-approved.json has a key with U+0000 and was left alone; "
                        "fix or remove it");
    assert_string_equal(get("pairing/telegram-approved.json"), text);
    assert_false(is_approved("7"));
}

static void somebody_else_is_at_it(void **state)
{
    assert_int_equal(ask("1", ""), 0);
    FD_AUTO fd = open(fixture_path(home, "pairing"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    assert_int_equal(ask("2", ""), 1);
    assert_false(is_approved("1")); // reading needs no lock
    fd_close(&fd);
    assert_int_equal(ask("2", ""), 0);
}

// Times in such a file may be any number that fits.
static void the_list_of_a_hostile_file(void **state)
{
    struct error err = ERROR_INIT;
    BUF_AUTO out = BUF_INIT(64 * 1024);
    put("pairing/telegram-approved.json",
        "{\"1\":{\"approved_at\":-9223372036854775},\"2\":{\"approved_at\":9223372036854775}}");
    put("pairing/telegram-pending.json",
        "{\"a\":{\"created_at\":-9223372036854775},\"b\":{\"created_at\":9223372036854775}}");
    assert_int_equal(pairing_list(&pairing, false, &out, &err), 0);
    assert_int_equal(pairing_list(&pairing, true, &out, &err), 0);
    assert_null(strstr(buf_text(&out), "min"));
}

static void the_list(void **state)
{
    struct error err = ERROR_INIT;
    BUF_AUTO out = BUF_INIT(64 * 1024);
    assert_int_equal(pairing_list(&pairing, false, &out, &err), 0);
    assert_string_equal(buf_text(&out),
                        "Nobody is waiting for approval on telegram.\n\n"
                        "Nobody is approved on telegram; the configuration may allow users too.\n");
    assert_true(access(fixture_path(home, "pairing"), F_OK) < 0); // looking makes nothing
    assert_int_equal(ask("41", "Ann"), 0);
    approve(code, 0);
    assert_int_equal(ask("42", "B\x1b[2J\xe2\x80\xae\xff\n"), 0);
    fake.wall_ms += 5 * MINUTE;
    buf_clear(&out);
    assert_int_equal(pairing_list(&pairing, false, &out, &err), 0);
    assert_non_null(strstr(buf_text(&out), "    5 min     42              B?[2J?\xef\xbf\xbd?\n"));
    assert_non_null(strstr(buf_text(&out), "41                2025-11-21T03:00:00Z  Ann\n"));
    buf_clear(&out);
    assert_int_equal(pairing_list(&pairing, true, &out, &err), 0);
    JSON_AUTO doc = JSON_INIT;
    assert_int_equal(json_parse(&doc, buf_span(&out), NULL), 0);
    struct json_value root = json_root(&doc);
    assert_true(json_is(json_get(json_at(json_get(root, "pending"), 0), "user_id"), "42"));
    assert_true(json_is(json_get(json_at(json_get(root, "approved"), 0), "user_name"), "Ann"));
    assert_int_equal(json_type(json_get(root, "locked_until")), JSON_NULL);
    assert_int_equal(pairing_clear_pending(&pairing, &err), 0);
    approve(code, -ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(from_stranger_to_friend, setup, teardown),
        cmocka_unit_test_setup_teardown(files_are_private, setup, teardown),
        cmocka_unit_test_setup_teardown(hermes_agents_own_files, setup, teardown),
        cmocka_unit_test_setup_teardown(the_other_directory, setup, teardown),
        cmocka_unit_test_setup_teardown(both_directories, setup, teardown),
        cmocka_unit_test_setup_teardown(limits_of_asking, setup, teardown),
        cmocka_unit_test_setup_teardown(codes_end, setup, teardown),
        cmocka_unit_test_setup_teardown(wrong_codes_lock, setup, teardown),
        cmocka_unit_test_setup_teardown(a_clock_that_jumps, setup, teardown),
        cmocka_unit_test_setup_teardown(damaged_files, setup, teardown),
        cmocka_unit_test_setup_teardown(entries_keep_their_bytes, setup, teardown),
        cmocka_unit_test_setup_teardown(a_key_that_would_be_cut, setup, teardown),
        cmocka_unit_test_setup_teardown(somebody_else_is_at_it, setup, teardown),
        cmocka_unit_test_setup_teardown(the_list, setup, teardown),
        cmocka_unit_test_setup_teardown(the_list_of_a_hostile_file, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
