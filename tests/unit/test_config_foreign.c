#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "config/foreign.h"

static void expect(const char *key, const char *owner)
{
    const char *why, *found = config_foreign_owner(span_of(key), &why);
    if (owner && found)
        assert_string_equal(found, owner);
    else
        assert_ptr_equal(found, owner);
}

static void test_sections_keys_and_what_is_beneath(void **state)
{
    (void)state;
    expect("compression", "hermes-agent");
    expect("compression.in_place", "hermes-agent");
    expect("model.ollama_num_ctx", "hermes-agent");
    expect("model", "hermes-agent"); // a section that holds some
    expect("agent.personalities.pirate", "hermes-agent");
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

// An allowlist that is misspelled must not pass for a key of somebody else's.
static void test_sections_that_are_read_in_part(void **state)
{
    (void)state;
    expect("platforms.discord", "hermes-agent");
    expect("platforms.telegram.reply_to_mode", "hermes-agent");
    expect("platforms.telegram.tokn", NULL);
    expect("platforms.telegram.extra.guest_mode", "hermes-agent");
    expect("platforms.telegram.extra.allow_form", NULL);
    expect("gateway.platforms.telegram.extra.guest_mode", "hermes-agent");
    expect("gateway.platforms.telegram.extra.allow_form", NULL);
    expect("gateway.platforms", "hermes-agent");
    expect("gateway.streaming.cursor", "hermes-agent");
    expect("gateway.streaming.edit_intervall", NULL);
    expect("telegram.allowed_usrs", NULL);
    expect("display.busy_inptu_mode", NULL);
    expect("display.platforms.telegram.skin", "hermes-agent");
}

static void test_why_it_is_not_used(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"discord.auto_thread", "it is of a program or service that Hermes does not use"},
        {"display.skin", "it is of a program or service that Hermes does not use"},
        {"telegram.extra.rich_drafts", "Hermes does not offer that"},
        {"tool_output.max_lines", "Hermes decides that itself"},
        {"privacy", "Hermes does not offer that"}, // a section of which nothing is read
    };
    const char *why;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_string_equal(config_foreign_owner(span_of(cases[i][0]), &why), "hermes-agent");
        assert_string_equal(why, cases[i][1]);
    }
    config_foreign_owner(span_of("model_list"), &why);
    assert_null(why);
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

static void test_words_that_limit(void **state)
{
    (void)state;
    static const char *const limits[] = {
        "max_budget",      "guardrails",
        "allowed_ips",     "blocked",
        "include",         "max_parallel_requests",
        "rpm_limit",       "enable_jwt_auth",
        "enforced_params", "upperbound_key_generate_params",
        "mock_response",   "max_response_size_mb",
        "hide_secrets",    "rpm",
    };
    static const char *const others[] = {
        "success_callback",
        "database_connection_pool_limit",
        "include_cost_in_usage",
        "Authorization",
        "max_tokens",
        "store_model_in_db",
        "cache_params",
        "",
    };
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
        assert_non_null(config_foreign_limit(span_of(limits[i])));
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_null(config_foreign_limit(span_of(others[i])));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sections_keys_and_what_is_beneath),
        cmocka_unit_test(test_any_name_in_the_middle),
        cmocka_unit_test(test_sections_that_are_read_in_part),
        cmocka_unit_test(test_why_it_is_not_used),
        cmocka_unit_test(test_what_is_nobodys),
        cmocka_unit_test(test_words_that_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
