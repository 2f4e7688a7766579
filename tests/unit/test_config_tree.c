// A list of mappings, of which a part is used: what is kept, told of, shown and hidden.
#include <string.h>

#include "config/substitute.h"
#include "config_fixture.h"

static const char *place(const struct fixture *f, const char *name)
{
    const struct option_map *places = &f->sample.agent.places;
    for (size_t i = 0; i < places->count; i++)
        if (strcmp(places->pairs[i].name, name) == 0)
            return places->pairs[i].value;
    return NULL;
}

static const char two[] = "places:\n"
                          "  - name: a\n"
                          "    params: {api_key: os.environ/A_KEY, url: 'http://${HOST}/'}\n"
                          "  - name: b\n"
                          "    params: &p {api_key: plain-secret-0123456789}\n"
                          "  - {name: 7, params: *p}\n";

static void test_scalars_by_place(void **state)
{
    struct fixture *f = *state;
    f->env[0][0] = "A_KEY", f->env[0][1] = "from-a-variable-0123";
    f->env[1][0] = "HOST", f->env[1][1] = "there";
    fixture_must_load(f, two);
    assert_int_equal(f->sample.agent.places.count, 7);
    assert_string_equal(place(f, "0.name"), "a");
    assert_string_equal(place(f, "0.params.api_key"), "from-a-variable-0123");
    assert_string_equal(place(f, "0.params.url"), "http://there/");
    assert_string_equal(place(f, "2.name"), "7");
    assert_string_equal(place(f, "2.params.api_key"), "plain-secret-0123456789");
    assert_int_equal(config_finding_count(f->config), 0);
    fixture_must_load(f, "places: []");
    assert_int_equal(f->sample.agent.places.count, 0);
    fixture_must_load(f, "places:");
    fixture_must_load(f, NULL);
    assert_int_equal(f->sample.agent.places.count, 0);
}

static void test_an_unset_variable_is_nobodys_business_yet(void **state)
{
    struct fixture *f = *state;
    char name[SUBSTITUTE_NAME_MAX + 1];
    fixture_must_load(f, two);
    assert_int_equal(config_finding_count(f->config), 2);
    const struct config_finding *finding = config_finding_at(f->config, 0);
    assert_int_equal(finding->severity, CONFIG_NOTE);
    assert_string_equal(finding->text, "places[0].params.api_key: the environment variable A_KEY "
                                       "is not set, which matters only when this is used");
    assert_true(config_unset_variable(place(f, "0.params.api_key"), name));
    assert_string_equal(name, "A_KEY");
    assert_true(config_unset_variable(place(f, "0.params.url"), name));
    assert_string_equal(name, "HOST");
    assert_false(config_unset_variable("sk-a-key", name));
    assert_false(config_unset_variable("${", name));
}

static void test_what_is_not_used_is_told(void **state)
{
    struct fixture *f = *state;
    fixture_must_load(f, "places:\n"
                         "  - name: a\n"
                         "    rpm: 20\n"
                         "    params: {api_kye: x, url: u, deep: [1, {er: 2}]}\n");
    static const char *const wanted[] = {
        "places[0].rpm: not used by this version",
        "unknown key \"places[0].params.api_kye\" (did you mean \"api_key\"?)",
        "places[0].params.deep[0]: not used by this version",
        "places[0].params.deep[1].er: not used by this version",
    };
    assert_int_equal(config_finding_count(f->config), ARRAY_LEN(wanted));
    for (size_t i = 0; i < ARRAY_LEN(wanted); i++)
        assert_string_equal(config_finding_at(f->config, i)->text, wanted[i]);
    assert_int_equal(config_finding_at(f->config, 1)->severity, CONFIG_WARNING);
    assert_non_null(strstr(config_finding_at(f->config, 0)->where, ".yaml:3:"));
    assert_int_equal(f->sample.agent.places.count, 2);
}

static void test_a_value_or_a_mapping(void **state)
{
    struct fixture *f = *state;
    const struct option_map *places = &f->sample.agent.places;
    fixture_must_load(f, "places: [{box: yes}, {box: {size: 3}}]");
    assert_int_equal(places->count, 2);
    assert_string_equal(places->pairs[0].name, "0.box");
    assert_string_equal(places->pairs[1].name, "1.box.size");
    fixture_must_fail(f, "places: [{box: {size: [3]}}]",
                      "c.yaml:1:23: places[0].box.size: must be a single value, not a list or "
                      "mapping");
}

static void test_wrong_shapes(void **state)
{
    struct fixture *f = *state;
    fixture_must_fail(f, "places: a",
                      "c.yaml:1:9: places: must be a list of mappings, not a "
                      "single value");
    fixture_must_fail(f, "places: {name: a}",
                      "c.yaml:1:9: places: must be a list of mappings, not a mapping");
    fixture_must_load(f, "places: [a, [b], ~]");
    assert_int_equal(f->sample.agent.places.count, 0);
    assert_string_equal(config_finding_at(f->config, 0)->text,
                        "places[0]: not used by this version");

    BUF_AUTO many = BUF_INIT(1 << 20);
    buf_append_text(&many, "places:\n");
    for (int i = 0; i <= OPTION_TREE_MAX; i++)
        buf_append_text(&many, "  - name: x\n");
    fixture_must_fail(f, buf_text(&many),
                      "c.yaml:16386:11: places[16384].name: it has too many entries");
}

static void test_secrets_are_not_shown(void **state)
{
    struct fixture *f = *state;
    const char *secrets[8];
    f->env[0][0] = "HOST", f->env[0][1] = "there";
    f->env[1][0] = "MY_TOKEN", f->env[1][1] = "t-0123456789-0123456789";
    BUF_AUTO out = BUF_INIT(1 << 16);
    fixture_must_load(f, "places:\n"
                         "  - name: a\n"
                         "    params: {api_key: os.environ/A_KEY, url: 'http://${HOST}/'}\n"
                         "  - name: ${MY_TOKEN}\n"
                         "    params: {api_key: plain-secret-0123456789}\n");
    config_render_show(f->config, &out);
    assert_non_null(strstr(buf_text(&out), "  0.name                             a\n"));
    assert_non_null(strstr(buf_text(&out), "  0.params.api_key                   os.environ/A_K"));
    assert_non_null(strstr(buf_text(&out), "  0.params.url                       http://there/"));
    assert_non_null(strstr(buf_text(&out), "  1.name                             t-0...89\n"));
    assert_non_null(strstr(buf_text(&out), "  1.params.api_key                   pla...89\n"));
    assert_int_equal(config_secrets(f->config, secrets, ARRAY_LEN(secrets)), 2);
    assert_string_equal(secrets[0], "t-0123456789-0123456789");
    assert_string_equal(secrets[1], "plain-secret-0123456789");
    assert_int_equal(config_secrets(f->config, secrets, 1), 1);
}

static const char *rule(const struct fixture *f, const char *name)
{
    const struct option_map *rules = &f->sample.agent.rules;
    for (size_t i = 0; i < rules->count; i++)
        if (strcmp(rules->pairs[i].name, name) == 0)
            return rules->pairs[i].value;
    return NULL;
}

// Names of models hold dots, so what is named by them is taken whole.
static void test_a_mapping_and_what_is_taken_whole(void **state)
{
    struct fixture *f = *state;
    f->env[0][0] = "NAME", f->env[0][1] = "a \"b\"";
    f->env[1][0] = "A_TOKEN", f->env[1][1] = "t-0123456789-0123456789";
    fixture_must_load(f, "rules:\n"
                         "  tries: 3\n"
                         "  inner: {times: 2}\n"
                         "  chain: [{gpt-4.1: [os.environ/NAME, 'x']}, ~]\n"
                         "  extra: {t: 0.20, n: .5, e: 1e-7, b: yes, q: 'no', s: \"7\", h: 0x1f,\n"
                         "          k: os.environ/A_TOKEN, v: 'v${NAME}', m: []}\n");
    assert_string_equal(rule(f, "tries"), "3");
    assert_string_equal(rule(f, "inner.times"), "2");
    assert_string_equal(rule(f, "chain"), "[{\"gpt-4.1\":[\"a \\\"b\\\"\",\"x\"]},null]");
    assert_string_equal(rule(f, "extra"),
                        "{\"t\":0.20,\"n\":0.5,\"e\":1e-7,\"b\":true,\"q\":\"no\",\"s\":\"7\","
                        "\"h\":\"0x1f\",\"k\":\"t-0123456789-0123456789\",\"v\":\"va "
                        "\\\"b\\\"\",\"m\":[]}");
    assert_int_equal(f->sample.agent.rules.pairs[2].line, 4);
    assert_false(f->sample.agent.rules.pairs[2].secret);
    assert_true(f->sample.agent.rules.pairs[3].secret);
    fixture_must_fail(f, "rules: [a]",
                      "c.yaml:1:8: rules: must be a mapping of settings, not a "
                      "list");
    fixture_must_fail(f, "rules: {tries: {a: b}}",
                      "c.yaml:1:16: rules.tries: must be a single value, not a list or mapping");
}

static void test_a_limit_that_would_not_hold(void **state)
{
    struct fixture *f = *state;
    static const char *const cases[] = {
        "rules: {max_budget: 5}",
        "rules: {max_budget: {a: {b: 5}}}",
        "rules: {inner: {allowed_ips: []}}",
        "rules: {callbacks: [other, hide_secrets]}",
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_true(fixture_load(f, cases[i]) < 0);
        assert_non_null(strstr(f->err.text, "remove it"));
        assert_null(strstr(f->err.text, "more;")); // once, not for all that is in it
    }
    fixture_must_load(f, "rules: {max_budget: ~, blocked: false, callbacks: [other], cache: {}}");
    assert_int_equal(config_finding_count(f->config), 3);
    fixture_must_load(f, "places: [{max_budget: 5}]"); // a tree that is not strict
}

static void test_variables_of_the_file(void **state)
{
    struct fixture *f = *state;
    const char *secrets[4];
    static const char yaml[] = "agent: {}\n"
                               "model: {base_url: 'http://${WHERE}/'}\n"
                               "environment_variables:\n"
                               "  OPENAI_API_KEY: os.environ/OTHER\n"
                               "  WHERE: here\n"
                               "  MAX_TOKENS: 7\n";
    f->env[0][0] = "OTHER", f->env[0][1] = "sk-0123456789";
    fixture_must_load(f, yaml);
    assert_string_equal(f->sample.model.api_key, "sk-0123456789");
    assert_string_equal(f->sample.model.base_url, "http://here/");
    assert_int_equal(f->sample.model.max_tokens, 7);
    assert_string_equal(fixture_where(f, "model.max_tokens"), "c.yaml:6");
    assert_int_equal(config_setting(f->config, "model.max_tokens")->origin, CONFIG_FROM_FILE);
    assert_int_equal(config_finding_count(f->config), 0);
    assert_true(config_secrets(f->config, secrets, ARRAY_LEN(secrets)) >= 2);
    // The real ones are before them, and so is .env.
    f->env[1][0] = "MAX_TOKENS", f->env[1][1] = "9";
    fixture_write(f->dotenv, "WHERE=there\n");
    fixture_must_load(f, yaml);
    assert_int_equal(f->sample.model.max_tokens, 9);
    assert_string_equal(f->sample.model.base_url, "http://there/");
    fixture_must_fail(f, "environment_variables: [a]",
                      "c.yaml:1:24: environment_variables: must be a mapping of text, not a list");
    fixture_must_fail(f, "environment_variables: {A: [b]}",
                      "c.yaml:1:28: environment_variables.A: must be text, not a list");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(test_scalars_by_place),
        FIXTURE_TEST(test_an_unset_variable_is_nobodys_business_yet),
        FIXTURE_TEST(test_what_is_not_used_is_told),
        FIXTURE_TEST(test_a_value_or_a_mapping),
        FIXTURE_TEST(test_wrong_shapes),
        FIXTURE_TEST(test_secrets_are_not_shown),
        FIXTURE_TEST(test_a_mapping_and_what_is_taken_whole),
        FIXTURE_TEST(test_a_limit_that_would_not_hold),
        FIXTURE_TEST(test_variables_of_the_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
