#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "daemon/settings.h"
#include "support/option_tables.h"

static void test_all_tables_are_sound(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    if (option_tables_check(&settings_schema, &err) < 0)
        fail_msg("%s", err.text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_all_tables_are_sound)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
