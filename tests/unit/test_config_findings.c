#include "config_fixture.h"

// Every mistake is found, placed, and said in one sentence; nothing secret is shown.

static void test_type_errors(void **state)
{
    struct fixture *f = *state;
    fixture_must_fail(f, "model:\n  max_tokens: abc\n",
                      "c.yaml:2:15: model.max_tokens: \"abc\" is not a whole number");
    fixture_must_fail(f, "model:\n  max_tokens: 0\n",
                      "c.yaml:2:15: model.max_tokens: \"0\" is out of range (1 to 100000)");
    fixture_must_fail(f, "model: {max_tokens: [1]}\n",
                      "c.yaml:1:21: model.max_tokens: must be a number, not a list");
    fixture_must_fail(f, "model: {extra_headers: [1]}\n",
                      "c.yaml:1:24: model.extra_headers: must be a mapping of text, not a list");
    fixture_must_fail(f, "model: {extra_headers: {A: {B: c}}}\n",
                      "c.yaml:1:28: model.extra_headers.A: must be text, not a mapping");
    fixture_must_fail(f, "agent: {disabled_toolsets: [a, ~]}\n",
                      "c.yaml:1:32: agent.disabled_toolsets[1]: must be text, not nothing");
    fixture_must_fail(f, "agent: {tool_progress: some}\n",
                      "c.yaml:1:24: agent.tool_progress: \"some\" is not one of off,new,all");
    fixture_must_fail(f, "agent: 5\n",
                      "c.yaml:1:8: agent: must be a mapping of settings, not a single value");
    fixture_must_fail(f, "model: [a]\n", "c.yaml:1:8: model: must be text, not a list");
    fixture_must_fail(f, "model: {default: \"a\\0b\"}\n",
                      "c.yaml:1:18: model.default: the value holds a NUL byte");
    fixture_must_fail(f, "- a\n",
                      "c.yaml:1:1: the file must be a mapping of settings (key: value)");
}

static void test_errors_outside_the_file(void **state)
{
    struct fixture *f = *state;
    f->env[0][0] = "MAX_TOKENS", f->env[0][1] = "many";
    fixture_must_fail(f, NULL, "env MAX_TOKENS: model.max_tokens: \"many\" is not a whole number");
    fixture_must_load(f, "model: {max_tokens: 5}"); // not looked at where it does not count
    f->env[0][0] = NULL;
    f->overrides[0] = (struct config_override){"model.max_tokens", "", "--max-tokens"};
    fixture_must_fail(f, NULL,
                      "command line --max-tokens: model.max_tokens: \"\" is not a whole number");
    f->overrides[0] = (struct config_override){"nope", "x", "--nope"};
    fixture_must_fail(f, NULL, "command line: there is no option \"nope\" (--nope)");
}

static void test_a_dotenv_that_cannot_be_read(void **state)
{
    struct fixture *f = *state;
    fixture_write(f->dotenv, "A=1\nB=\"unfinished\n");
    assert_true(fixture_load(f, NULL) < 0);
    assert_non_null(strstr(f->err.text, "/.env: line 2: "));
    assert_null(strstr(f->err.text, "unfinished"));
    unlink(f->dotenv);
    assert_int_equal(mkdir(f->dotenv, 0755), 0);
    int r = fixture_load(f, NULL);
    rmdir(f->dotenv);
    assert_true(r < 0);
    assert_non_null(strstr(f->err.text, "cannot read"));
}

static void test_what_is_not_yaml(void **state)
{
    struct fixture *f = *state;
    assert_true(fixture_load(f, "model:\n  default: [a\nagent:\n") < 0);
    assert_non_null(strstr(f->err.text, "c.yaml:3:"));
    assert_true(fixture_load(f, "model:\n  default: a\n  default: b\n") < 0);
    assert_non_null(strstr(f->err.text, "c.yaml:3:3: "));
    assert_non_null(strstr(f->err.text, "default"));
}

static void test_a_missing_or_large_file(void **state)
{
    struct fixture *f = *state;
    const struct config_environment environment = {fixture_get, f};
    const struct config_inputs inputs = {.path = f->yaml, .environment = &environment};
    assert_true(config_load(&inputs, &sample_schema, &f->sample, &f->config, &f->err) < 0);
    assert_non_null(strstr(f->err.text, "cannot open"));
    char *text = mem_alloc(CONFIG_FILE_MAX + 2);
    memset(text, '\n', CONFIG_FILE_MAX + 1);
    text[CONFIG_FILE_MAX + 1] = '\0';
    int r = fixture_load(f, text);
    free(text);
    assert_true(r < 0);
    assert_non_null(strstr(f->err.text, "is larger than 1048576 bytes"));
}

static void expect_finding(struct fixture *f, size_t index, enum config_severity severity,
                           unsigned line, const char *text)
{
    assert_true(index < config_finding_count(f->config));
    const struct config_finding *finding = config_finding_at(f->config, index);
    assert_string_equal(finding->text, text);
    assert_int_equal(finding->severity, severity);
    char place[32];
    snprintf(place, sizeof place, ".yaml:%u:", line);
    assert_non_null(strstr(finding->where, place));
}

static void test_unknown_keys(void **state)
{
    struct fixture *f = *state;
    fixture_must_load(f, "model:\n"
                         "  defualt: x\n"
                         "  ollama_num_ctx: 5\n"
                         "modle: {a: 1}\n"
                         "max_turns: 5\n"
                         "frobnicate: 1\n"
                         "privacy: {enabled: true}\n"
                         "model_list: []\n"
                         "terminal: {backend: local}\n"
                         "~: 1\n");
    size_t n = 0;
    expect_finding(f, n++, CONFIG_WARNING, 2,
                   "unknown key \"model.defualt\" (did you mean \"model.default\"?)");
    expect_finding(f, n++, CONFIG_NOTE, 3,
                   "model.ollama_num_ctx: known to hermes-agent, not used by this version: "
                   "Hermes does not offer that");
    expect_finding(f, n++, CONFIG_WARNING, 4, "unknown key \"modle\" (did you mean \"model\"?)");
    expect_finding(f, n++, CONFIG_WARNING, 5,
                   "unknown key \"max_turns\" (did you mean \"agent.max_turns\"?)");
    expect_finding(f, n++, CONFIG_WARNING, 6, "unknown key \"frobnicate\"");
    expect_finding(f, n++, CONFIG_NOTE, 7,
                   "privacy: known to hermes-agent, not used by this version: "
                   "Hermes does not offer that");
    expect_finding(f, n++, CONFIG_NOTE, 8,
                   "model_list: known to LiteLLM, not used by this version");
    expect_finding(f, n++, CONFIG_NOTE, 9,
                   "terminal: known to hermes-agent, not used by this version: "
                   "Hermes decides that itself");
    expect_finding(f, n++, CONFIG_WARNING, 10, "unknown key \"~\"");
    assert_int_equal(config_finding_count(f->config), n);
}

static void test_hostile_keys(void **state)
{
    struct fixture *f = *state;
    char name[601], text[700];
    memset(name, 'k', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    snprintf(text, sizeof text, "\"model\\0x\": a\n\"\\e[31m\\n\": 1\n%s: 1\n", name);
    fixture_must_load(f, text);
    assert_null(f->sample.model.name);
    assert_int_equal(config_finding_count(f->config), 3);
    expect_finding(f, 1, CONFIG_WARNING, 2, "unknown key \"?[31m?\"");
    assert_true(strlen(config_finding_at(f->config, 2)->text) < 300);
}

static void test_two_spellings(void **state)
{
    struct fixture *f = *state;
    fixture_must_load(f, "model:\n  model: a\n  default: b\n");
    assert_string_equal(f->sample.model.name, "b");
    expect_finding(f, 0, CONFIG_WARNING, 2,
                   "another spelling of model.default, which line 3 sets; it is ignored");
    fixture_must_load(f, "model:\n  default: b\n  model: a\n");
    assert_string_equal(f->sample.model.name, "b");
    expect_finding(f, 0, CONFIG_WARNING, 3,
                   "model.model: another spelling of model.default, which line 2 sets; "
                   "it is ignored");
    fixture_must_fail(f, "model.default: a\nmodel: {default: b}\n",
                      "c.yaml:2:9: model.default: line 1 sets the same option; keep one of them");
}

static void test_all_errors_at_once(void **state)
{
    struct fixture *f = *state;
    const char *yaml = "model: {max_tokens: a, timeout: b}\nagent: {max_turns: c, x: d}\n";
    fixture_must_fail(f, yaml,
                      "c.yaml:1:21: model.max_tokens: \"a\" is not a whole number "
                      "(and 2 more; `hermes config check` lists them)");
    fixture_inspect(f, yaml);
    assert_int_equal(config_error_count(f->config), 3);
    assert_int_equal(config_finding_count(f->config), 4);
    assert_string_equal(config_setting(f->config, "model.max_tokens")->text, "4096");

    BUF_AUTO out = BUF_INIT(4096);
    config_render_findings(f->config, &out);
    CLEANUP(mem_cleanup)
    char *line = mem_printf("\nerror: %s:2:20: agent.max_turns: \"c\" is not a whole number\n"
                            "warning: %s:2:23: unknown key \"agent.x\"\n",
                            f->yaml, f->yaml);
    assert_non_null(strstr(buf_text(&out), line));
}

static void test_many_findings_are_counted(void **state)
{
    struct fixture *f = *state;
    BUF_AUTO text = BUF_INIT(CONFIG_FILE_MAX);
    for (int i = 0; i < CONFIG_FINDINGS_MAX + 7; i++)
        buf_printf(&text, "key%d: 1\n", i);
    fixture_must_load(f, buf_text(&text));
    assert_int_equal(config_finding_count(f->config), CONFIG_FINDINGS_MAX);
    BUF_AUTO out = BUF_INIT(1 << 20);
    config_render_findings(f->config, &out);
    assert_non_null(strstr(buf_text(&out), "... and 7 more\n"));

    buf_append_text(&text, "model: {max_tokens: x}\n"); // beyond what is kept, and still an error
    fixture_must_fail(f, buf_text(&text), "the configuration has 1 error");
}

static void test_secrets_are_masked(void **state)
{
    struct fixture *f = *state;
    f->env[0][0] = "MY_TOKEN", f->env[0][1] = "tok-0123456789abcdef";
    f->env[1][0] = "OPENAI_API_KEY", f->env[1][1] = "sk-or-v1-0123456789";
    fixture_must_load(f, "model:\n"
                         "  default: ${MY_TOKEN}\n"
                         "  base_url: https://user:hunter2@host/v1\n"
                         "  extra_headers: {X-Title: Hermes, X-Api-Key: short}\n"
                         "agent:\n"
                         "  disabled_toolsets: [\"a\\nb\"]\n");
    BUF_AUTO out = BUF_INIT(8192);
    config_render_show(f->config, &out);
    const char *text = buf_text(&out);
    assert_non_null(strstr(text, " tok...ef  ("));
    assert_non_null(strstr(text, " sk-...89  (env OPENAI_API_KEY)"));
    assert_non_null(strstr(text, " https://***@host/v1  ("));
    assert_non_null(strstr(text, "X-Title: Hermes, X-Api-Key: ***  ("));
    assert_non_null(strstr(text, " a\\nb  ("));
    assert_non_null(strstr(text, " 4096  (default)"));
    assert_non_null(strstr(text, " 30s  (default)"));
    assert_non_null(strstr(text, " 1Mi  (default)"));
    assert_null(strstr(text, "hunter2"));
    assert_null(strstr(text, "short"));
}

static void test_a_rejected_secret_is_not_repeated(void **state)
{
    struct fixture *f = *state;
    f->env[0][0] = "PORT_KEY", f->env[0][1] = "s3cret";
    fixture_must_fail(
        f, "model: {max_tokens: '${PORT_KEY}'}",
        "c.yaml:1:21: model.max_tokens: ${PORT_KEY}: its value is not a whole number");
    fixture_must_load(f, "model: {api_key: 'pass${w:rd'}");
    assert_null(strstr(config_finding_at(f->config, 0)->text, "w:rd"));
}

static void test_masks(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"", "***"},
        {"short", "***"},
        {"123456789012345", "***"},
        {"1234567890123456", "123...56"},
        {"12345678901234 6", "***"},
        {"1234567890123\xc3\xa9", "***"},
    };
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        BUF_AUTO out = BUF_INIT(64);
        config_render_masked(pairs[i][0], &out);
        assert_string_equal(buf_text(&out), pairs[i][1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(test_type_errors),
        FIXTURE_TEST(test_errors_outside_the_file),
        FIXTURE_TEST(test_a_dotenv_that_cannot_be_read),
        FIXTURE_TEST(test_what_is_not_yaml),
        FIXTURE_TEST(test_a_missing_or_large_file),
        FIXTURE_TEST(test_unknown_keys),
        FIXTURE_TEST(test_hostile_keys),
        FIXTURE_TEST(test_two_spellings),
        FIXTURE_TEST(test_all_errors_at_once),
        FIXTURE_TEST(test_many_findings_are_counted),
        FIXTURE_TEST(test_secrets_are_masked),
        FIXTURE_TEST(test_a_rejected_secret_is_not_repeated),
        cmocka_unit_test(test_masks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
