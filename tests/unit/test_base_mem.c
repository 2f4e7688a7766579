//
// The out-of-memory policy is shown in a child, which has to die of it.
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/mem.h"

// The sanitizer's allocator would otherwise end the child in its own way.
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}

static void zero_bytes_are_something(void **state)
{
    (void)state;
    CLEANUP(mem_cleanup) char *none = mem_alloc(0);
    CLEANUP(mem_cleanup) char *zeroed = mem_zalloc(0);
    assert_non_null(none);
    assert_non_null(zeroed);
    none = mem_realloc(none, 0);
    assert_non_null(none);
}

static void new_is_zeroed(void **state)
{
    (void)state;
    struct thing {
        char bytes[4096];
    };
    for (int round = 0; round < 4; round++) { // later rounds get memory that was used
        CLEANUP(mem_cleanup) struct thing *thing = mem_new(struct thing);
        for (size_t i = 0; i < sizeof thing->bytes; i++)
            assert_int_equal(thing->bytes[i], 0);
        memset(thing, 0xa5, sizeof *thing);
    }
}

static void texts(void **state)
{
    (void)state;
    CLEANUP(mem_cleanup) char *whole = mem_strdup("hello");
    CLEANUP(mem_cleanup) char *part = mem_strndup("hello", 2);
    CLEANUP(mem_cleanup) char *none = mem_strndup(NULL, 0);
    CLEANUP(mem_cleanup) char *made = mem_printf("%s-%d", "a", 5);
    assert_string_equal(whole, "hello");
    assert_string_equal(part, "he");
    assert_string_equal(none, "");
    assert_string_equal(made, "a-5");
}

static void grow_keeps_what_is_there(void **state)
{
    (void)state;
    int *numbers = NULL;
    size_t capacity = 0, moves = 0;
    for (size_t count = 0; count < 10000; count++) {
        size_t before = capacity;
        numbers = mem_grow(numbers, count, &capacity, sizeof *numbers);
        assert_true(capacity > count);
        moves += capacity != before;
        numbers[count] = (int)count;
    }
    for (size_t i = 0; i < 10000; i++)
        assert_int_equal(numbers[i], i);
    assert_true(moves < 20); // in proportion, not one by one
    free(numbers);
}

static void stealing_leaves_null(void **state)
{
    (void)state;
    CLEANUP(mem_cleanup) char *mine = mem_strdup("x"); // a second free would be reported
    CLEANUP(mem_cleanup) char *taken = STEAL(mine);
    assert_null(mine);
    assert_string_equal(taken, "x");
}

static void container_and_length(void **state)
{
    (void)state;
    struct box {
        int a;
        char member;
    } box;
    assert_ptr_equal(CONTAINER_OF(&box.member, struct box, member), &box);
    int five[5];
    assert_int_equal(ARRAY_LEN(five), 5);
}

static void allocate(int which)
{
    volatile size_t huge = PTRDIFF_MAX / 2;
    if (which == 0)
        free(mem_alloc(huge));
    else if (which == 1)
        free(mem_zalloc(huge));
    else
        free(mem_realloc(mem_alloc(1), huge));
}

static void running_out_aborts(void **state)
{
    (void)state;
    for (int which = 0; which < 3; which++) {
        int ends[2];
        assert_int_equal(pipe(ends), 0);
        pid_t pid = fork();
        if (pid == 0) {
            struct rlimit none = {0, 0};
            setrlimit(RLIMIT_CORE, &none);
            sigaction(SIGABRT, &(struct sigaction){.sa_handler = SIG_DFL}, NULL);
            dup2(ends[1], STDERR_FILENO);
            allocate(which);
            _exit(0);
        }
        close(ends[1]);
        char said[4096];
        size_t len = 0;
        for (ssize_t n;
             len < sizeof said - 1 && (n = read(ends[0], said + len, sizeof said - 1 - len)) > 0;)
            len += (size_t)n;
        said[len] = '\0';
        close(ends[0]);
        int status;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), SIGABRT);
        assert_non_null(strstr(said, "hermes: out of memory\n"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zero_bytes_are_something),
        cmocka_unit_test(new_is_zeroed),
        cmocka_unit_test(texts),
        cmocka_unit_test(grow_keeps_what_is_there),
        cmocka_unit_test(stealing_leaves_null),
        cmocka_unit_test(container_and_length),
        cmocka_unit_test(running_out_aborts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
