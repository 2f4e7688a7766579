#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "config/foreign.h"

static void expect(const char *key, const char *owner)
{
    const char *found = config_foreign_owner(span_of(key));
    if (owner && found)
        assert_string_equal(found, owner);
    else
        assert_ptr_equal(found, owner);
}

static void test_sections_keys_and_what_is_beneath(void **state)
{
    (void)state;
    expect("compression", "hermes-agent");
    expect("compression.enabled", "hermes-agent");
    expect("model.provider", "hermes-agent");
    expect("model", "hermes-agent"); // a section that holds some
    expect("model.extra_headers.X", "hermes-agent");
    expect("model_list", "LiteLLM");
    expect("general_settings.master_key", "LiteLLM");
}

static void test_any_name_in_the_middle(void **state)
{
    (void)state;
    expect("providers.groq", "hermes-agent");
    expect("providers.groq.api_key", "hermes-agent");
    expect("providers.groq.api_kye", NULL);
}

static void test_what_is_nobodys(void **state)
{
    (void)state;
    expect("", NULL);
    expect("modle", NULL);
    expect("mode", NULL);
    expect("model.defualt", NULL);
    expect("model_lists", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sections_keys_and_what_is_beneath),
        cmocka_unit_test(test_any_name_in_the_middle),
        cmocka_unit_test(test_what_is_nobodys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
