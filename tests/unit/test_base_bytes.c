#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/bytes.h"

enum { LONGEST = 70, SHIFTS = 17 }; // bytes: over four times what is loaded at once

// A page whose last byte is the last that may be read.
static char *page;
static char *page_end;

static int map_page(void **state)
{
    (void)state;
    size_t size = (size_t)sysconf(_SC_PAGESIZE);
    page = mmap(NULL, 2 * size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED || mprotect(page + size, size, PROT_NONE) < 0)
        return -1;
    page_end = page + size;
    return 0;
}

static int unmap_page(void **state)
{
    (void)state;
    return munmap(page, 2 * (size_t)(page_end - page));
}

static int sign(int value)
{
    return (value > 0) - (value < 0);
}

static void a_byte_is_found_where_libc_finds_it(void **state)
{
    (void)state;
    for (size_t shift = 0; shift < SHIFTS; shift++)
        for (size_t len = 0; len <= LONGEST; len++) {
            char *text = page_end - len - shift;
            memset(text - 1, 'x', len + shift + 1); // hits before and behind do not count
            memset(text, 'a', len);
            assert_ptr_equal(bytes_find(text, 'x', len), NULL);
            for (size_t at = 0; at < len; at++) {
                text[at] = (char)0xE4;
                if (at + 3 < len)
                    text[at + 3] = (char)0xE4;
                assert_ptr_equal(bytes_find(text, 0xE4, len), text + at);
                assert_ptr_equal(bytes_find(text, 0xE4, at), NULL);
                assert_ptr_equal(bytes_find(text, 0xE4, SIZE_MAX), text + at);
                memset(text, 'a', len);
            }
        }
}

static void a_length_is_what_libc_counts(void **state)
{
    (void)state;
    for (size_t shift = 0; shift < SHIFTS; shift++)
        for (size_t len = 0; len <= LONGEST; len++) {
            char *text = page_end - len - 1 - shift;
            memset(text - 1, 0, len + shift + 2);
            memset(text, 'a', len);
            assert_int_equal(bytes_length(text), len);
        }
}

static void an_order_is_libcs(void **state)
{
    (void)state;
    char other[LONGEST];
    for (size_t len = 0; len <= LONGEST; len++) {
        char *text = page_end - len;
        memset(text, 'a', len);
        memset(other, 'a', sizeof other);
        assert_int_equal(bytes_compare(text, other, len), 0);
        for (size_t at = 0; at < len; at++) {
            static const unsigned char differ[] = {0, 'Z', 'b', 0x80, 0xFF};
            for (size_t i = 0; i < sizeof differ; i++) {
                text[at] = (char)differ[i];
                text[len - 1] ^= at < len - 1 ? 0x55 : 0; // what comes later does not count
                assert_int_equal(sign(bytes_compare(text, other, len)),
                                 sign(memcmp(text, other, len)));
                assert_int_equal(sign(bytes_compare(other, text, len)),
                                 sign(memcmp(other, text, len)));
                memset(text, 'a', len);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_byte_is_found_where_libc_finds_it),
        cmocka_unit_test(a_length_is_what_libc_counts),
        cmocka_unit_test(an_order_is_libcs),
    };
    return cmocka_run_group_tests(tests, map_page, unmap_page);
}
