#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "config/schema.h"
#include "support/option_tables.h"

struct model {
    const char *name, *api_key;
};

struct agent {
    int64_t turns;
};

struct all {
    struct model model;
    struct agent agent;
};

static const struct option model_options[] = {
    {.key = "model.default",
     .aliases = "model.model,model",
     .env = "HERMES_MODEL",
     .flags = OPTION_ENV_WINS,
     .offset = offsetof(struct model, name),
     .help = "the model"},
    {.key = "model.api_key",
     .env = "A_KEY,B_KEY",
     .flags = OPTION_SECRET,
     .offset = offsetof(struct model, api_key),
     .help = "its key"},
};

static const struct option agent_options[] = {
    {.key = "agent.max_turns",
     .type = OPTION_INT,
     .fallback = "90",
     .min = 1,
     .max = 500,
     .offset = offsetof(struct agent, turns),
     .help = "steps of one turn"},
};

static const size_t model_count = ARRAY_LEN(model_options), agent_count = ARRAY_LEN(agent_options);

static const struct config_section sections[] = {
    {model_options, &model_count, offsetof(struct all, model)},
    {agent_options, &agent_count, offsetof(struct all, agent)},
};

static const struct config_schema schema = {sections, ARRAY_LEN(sections), sizeof(struct all)};

static void test_walks_all_sections(void **state)
{
    (void)state;
    size_t offset = 0;
    assert_int_equal(config_schema_count(&schema), 3);
    assert_string_equal(config_schema_at(&schema, 1, &offset)->key, "model.api_key");
    assert_int_equal(offset, offsetof(struct all, model.api_key));
    assert_string_equal(config_schema_at(&schema, 2, &offset)->key, "agent.max_turns");
    assert_int_equal(offset, offsetof(struct all, agent.turns));
}

static void test_finds_every_spelling(void **state)
{
    (void)state;
    size_t at = 99;
    assert_int_equal(config_schema_find(&schema, SPAN_LITERAL("agent.max_turns"), &at),
                     CONFIG_MATCH_KEY);
    assert_int_equal(at, 2);
    assert_int_equal(config_schema_find(&schema, SPAN_LITERAL("model"), &at), CONFIG_MATCH_ALIAS);
    assert_int_equal(at, 0);
    assert_int_equal(config_schema_find(&schema, SPAN_LITERAL("model.api_key_file"), &at),
                     CONFIG_MATCH_FILE);
    assert_int_equal(at, 1);
    assert_int_equal(config_schema_find(&schema, SPAN_LITERAL("agent.max_turns_file"), &at),
                     CONFIG_MATCH_NONE);
    assert_int_equal(config_schema_find(&schema, SPAN_LITERAL("agent"), &at), CONFIG_MATCH_NONE);
    assert_int_equal(config_schema_find(&schema, SPAN_LITERAL(""), &at), CONFIG_MATCH_NONE);
}

static void test_sections(void **state)
{
    (void)state;
    assert_true(config_schema_has_section(&schema, SPAN_LITERAL("model")));
    assert_true(config_schema_has_section(&schema, SPAN_LITERAL("agent")));
    assert_false(config_schema_has_section(&schema, SPAN_LITERAL("mode")));
    assert_false(config_schema_has_section(&schema, SPAN_LITERAL("model.default")));
}

static void expect_mistake(struct option option, const char *wanted)
{
    struct option options[] = {{.key = "a.b", .aliases = "a.c", .help = "h"}, {0}};
    const size_t count = ARRAY_LEN(options);
    const struct config_section one = {options, &count, 0};
    const struct config_schema bad = {&one, 1, 16};
    struct error err = ERROR_INIT;
    options[1] = option;
    assert_int_equal(option_tables_check(&bad, &err), -EINVAL);
    assert_string_equal(err.text, wanted);
}

static void test_mistakes_in_a_table(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    assert_int_equal(option_tables_check(&schema, &err), 0);
    expect_mistake((struct option){.key = "a.b", .help = "h"},
                   "option a.b: another option has the key or alias a.b");
    expect_mistake((struct option){.key = "x", .aliases = "a.c", .help = "h"},
                   "option x: another option has the key or alias a.c");
    expect_mistake((struct option){.key = "a", .help = "h"},
                   "option a: other options lie beneath it");
    expect_mistake((struct option){.key = "x"}, "option x: it has no help");
    expect_mistake((struct option){.key = "x", .help = "h", .offset = 9},
                   "option x: its field lies outside the struct");
    expect_mistake((struct option){.key = "x", .help = "h", .type = OPTION_INT, .fallback = "a"},
                   "option x: its default: \"a\" is not a whole number");
    expect_mistake(
        (struct option){.key = "x", .help = "h", .type = OPTION_LIST, .flags = OPTION_SECRET},
        "option x: only text and the values of a map can be secrets");
}

static void test_the_table_of_keys(void **state)
{
    (void)state;
    BUF_AUTO out = BUF_INIT(4096);
    config_render_keys(&schema, &out);
    assert_non_null(strstr(buf_text(&out), "agent.max_turns"));
    assert_non_null(strstr(buf_text(&out), "number, default 90\n    steps of one turn\n"));
    assert_non_null(strstr(buf_text(&out), "environment: HERMES_MODEL (beats the file)"));
    assert_non_null(strstr(buf_text(&out), "or model.api_key_file: the path of a file"));
    assert_non_null(strstr(buf_text(&out), "also written: model.model,model"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_walks_all_sections), cmocka_unit_test(test_finds_every_spelling),
        cmocka_unit_test(test_sections),           cmocka_unit_test(test_mistakes_in_a_table),
        cmocka_unit_test(test_the_table_of_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
