#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "sandbox/grants.h"
#include "sandbox/landlock.h"
#include "sandbox/refusals.h"

static size_t count(char **words)
{
    size_t n = 0;
    while (words[n])
        n++;
    return n;
}

static void free_words(char **words)
{
    for (size_t i = 0; words[i]; i++)
        free(words[i]);
    free(words);
}

static void words_are_read_as_they_were_written(void **state)
{
    const char *const read[] = {"/one", "--", NULL}, *const write[] = {"/two words", NULL};
    struct grants grants = {.isolation = ISOLATION_LANDLOCK,
                            .without = LAYER_SECCOMP | LAYER_SESSION,
                            .tasks = 64,
                            .tmp = 1 << 20,
                            .disk = 1 << 30,
                            .read = read,
                            .write = write};
    char **words = grants_to_words(&grants);
    struct grants_read back = {0};
    assert_int_equal(grants_from_words((int)count(words), words, &back), 0);
    assert_int_equal(back.taken, count(words));
    assert_int_equal(back.grants.isolation, ISOLATION_LANDLOCK);
    assert_int_equal(back.grants.network, NETWORK_NONE);
    assert_int_equal(back.grants.without, LAYER_SECCOMP | LAYER_SESSION);
    assert_int_equal(back.grants.tasks, 64);
    assert_int_equal(back.grants.tmp, 1 << 20);
    assert_int_equal(back.grants.disk, 1 << 30);
    assert_string_equal(back.grants.read[1], "--");
    assert_null(back.grants.read[2]);
    assert_string_equal(back.grants.write[0], "/two words");
    assert_null(back.grants.write[1]);
    grants_read_finish(&back);
    free_words(words);
}

static void fewer_or_wrong_words_are_refused(void **state)
{
    const char *const read[] = {"/one", "/two", NULL};
    char **words = grants_to_words(&(struct grants){.read = read});
    struct grants_read back = {0};
    for (int n = 0; n < (int)count(words); n++)
        assert_true(grants_from_words(n, words, &back) < 0);
    for (size_t i = 0; i < count(words) - 2; i++) {
        char *kept = words[i];
        words[i] = (char *)"-1";
        assert_true(grants_from_words((int)count(words), words, &back) < 0);
        words[i] = kept;
    }
    free_words(words);
}

static void names_of_layers_and_isolations(void **state)
{
    enum sandbox_layer layer;
    enum isolation_kind kind;
    assert_true(sandbox_layer_parse("files", &layer));
    assert_int_equal(layer, LAYER_FILES);
    assert_false(sandbox_layer_parse("", &layer));
    for (int i = ISOLATION_AUTO; i <= ISOLATION_HANDS; i++) {
        assert_true(isolation_parse(isolation_name((enum isolation_kind)i), &kind));
        assert_int_equal(kind, i);
    }
    assert_false(isolation_parse("none", &kind));
}

// A right that a kernel does not know would make it refuse all rules.
static void rights_by_the_version_of_landlock(void **state)
{
    const uint64_t refer = 1 << 13, truncate = 1 << 14, ioctl = 1 << 15;
    assert_int_equal(landlock_rights(0), 0);
    assert_int_equal(landlock_rights(1), refer - 1);
    assert_int_equal(landlock_rights(2), truncate - 1);
    assert_int_equal(landlock_rights(3), ioctl - 1);
    assert_int_equal(landlock_rights(4), ioctl - 1);
    assert_int_equal(landlock_rights(5), 2 * ioctl - 1);
    assert_int_equal(landlock_rights(99), 2 * ioctl - 1);
    assert_int_equal(landlock_rights(-1), 0);
    assert_int_equal(landlock_read_rights() & ~landlock_rights(1), 0);
}

static void refusals_are_counted_by_name(void **state)
{
    struct refusals refusals = {0};
    char text[REFUSALS_TEXT_MAX] = "";
    assert_false(refusals_describe(&refusals, text));
    refusals_add(&refusals, "socket");
    refusals_add(&refusals, "ptrace");
    refusals_add(&refusals, "socket");
    assert_true(refusals_describe(&refusals, text));
    assert_string_equal(text, "socket (2 times), ptrace");
    assert_int_equal(refusals_count(&refusals), 3);
}

static void refusals_of_many_kinds_fit(void **state)
{
    struct refusals refusals = {0};
    char text[REFUSALS_TEXT_MAX] = "";
    for (int i = 0; i < 100; i++) {
        CLEANUP(mem_cleanup)
        char *name = mem_printf("%03d_a_name_that_is_longer_than_any_call_s", i);
        refusals_add(&refusals, name);
        refusals_add(&refusals, name);
    }
    for (unsigned i = 0; i < refusals.kind_count; i++)
        refusals.kinds[i].count = UINT64_MAX / 1000;
    assert_true(refusals_describe(&refusals, text));
    assert_non_null(strstr(text, ", others (168 times)"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_read_as_they_were_written),
        cmocka_unit_test(fewer_or_wrong_words_are_refused),
        cmocka_unit_test(names_of_layers_and_isolations),
        cmocka_unit_test(rights_by_the_version_of_landlock),
        cmocka_unit_test(refusals_are_counted_by_name),
        cmocka_unit_test(refusals_of_many_kinds_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
