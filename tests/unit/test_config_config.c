#include "config_fixture.h"

// Which source of a value counts, and what becomes of it in the struct.

static void test_defaults(void **state)
{
    struct fixture *f = *state;
    fixture_must_load(f, NULL);
    assert_null(f->sample.model.name);
    assert_string_equal(f->sample.model.base_url, "https://example.org/v1");
    assert_int_equal(f->sample.model.max_tokens, 4096);
    assert_int_equal(f->sample.model.timeout_ms, 30000);
    assert_int_equal(f->sample.model.buffer_bytes, 1 << 20);
    assert_true(f->sample.model.stream);
    assert_int_equal(f->sample.agent.turns, 60);
    assert_int_equal(f->sample.agent.toolsets.count, 0);
    assert_int_equal(f->sample.model.headers.count, 0);
    assert_string_equal(fixture_where(f, "model.max_tokens"), "default");
    assert_null(config_path(f->config));
    assert_int_equal(config_finding_count(f->config), 0);
}

static void test_every_kind_from_the_file(void **state)
{
    struct fixture *f = *state;
    fixture_must_load(f, "model:\n"
                         "  default: a/b\n"
                         "  api_key: sk-123\n"
                         "  extra_headers: {X-One: '1', X-Two: two words}\n"
                         "  max_tokens: 17\n"
                         "  timeout: 2m\n"
                         "  buffer: 64Ki\n"
                         "  streaming: off\n"
                         "agent:\n"
                         "  max_turns: -3\n"
                         "  tool_progress: \"all\"\n"
                         "  disabled_toolsets:\n"
                         "  - web\n"
                         "  - 'a, b'\n");
    assert_string_equal(f->sample.model.name, "a/b");
    assert_string_equal(f->sample.model.api_key, "sk-123");
    assert_int_equal(f->sample.model.headers.count, 2);
    assert_string_equal(f->sample.model.headers.pairs[1].name, "X-Two");
    assert_string_equal(f->sample.model.headers.pairs[1].value, "two words");
    assert_int_equal(f->sample.model.max_tokens, 17);
    assert_int_equal(f->sample.model.timeout_ms, 120000);
    assert_int_equal(f->sample.model.buffer_bytes, 65536);
    assert_false(f->sample.model.stream);
    assert_int_equal(f->sample.agent.turns, -3);
    assert_string_equal(f->sample.agent.progress, "all");
    assert_int_equal(f->sample.agent.toolsets.count, 2);
    assert_string_equal(f->sample.agent.toolsets.items[1], "a, b");
    assert_string_equal(fixture_where(f, "model.timeout"), "c.yaml:6");
    assert_string_equal(config_setting(f->config, "agent.disabled_toolsets")->text, "web, a, b");
}

static void test_lists_and_maps_as_one_text(void **state)
{
    struct fixture *f = *state;
    f->env[0][0] = "DISABLED";
    f->env[0][1] = "web, ,shell,";
    fixture_must_load(f, "model: {extra_headers: 'A=1=2, B='}");
    assert_int_equal(f->sample.agent.toolsets.count, 2);
    assert_string_equal(f->sample.agent.toolsets.items[1], "shell");
    assert_string_equal(fixture_where(f, "agent.disabled_toolsets"), "env DISABLED");
    assert_int_equal(f->sample.model.headers.count, 2);
    assert_string_equal(f->sample.model.headers.pairs[0].value, "1=2");
    assert_string_equal(f->sample.model.headers.pairs[1].value, "");
    fixture_must_fail(f, "model: {extra_headers: 'A'}",
                      "c.yaml:1:24: model.extra_headers: an entry is not name=value");
}

static void test_the_model_as_one_word(void **state)
{
    struct fixture *f = *state;
    fixture_must_load(f, "model: gpt-x\n");
    assert_string_equal(f->sample.model.name, "gpt-x");
    fixture_must_load(f, "model: {model: gpt-y}\n");
    assert_string_equal(f->sample.model.name, "gpt-y");
    assert_int_equal(config_finding_count(f->config), 0);
}

static void test_nothing_in_the_file_is_no_value(void **state)
{
    struct fixture *f = *state;
    f->env[0][0] = "OPENAI_BASE_URL";
    f->env[0][1] = "http://env/";
    fixture_must_load(f, "model:\n  base_url:\n  max_tokens: ~\nagent:\n");
    assert_string_equal(f->sample.model.base_url, "http://env/");
    assert_int_equal(f->sample.model.max_tokens, 4096);
    fixture_must_load(f, "model:\n  base_url: ''\n");
    assert_string_equal(f->sample.model.base_url, "");
    fixture_must_load(f, "");
    fixture_must_load(f, "# only a comment\n");
}

static void test_precedence(void **state)
{
    struct fixture *f = *state;
    const char *yaml = "model: {default: file, base_url: file}";
    fixture_write(f->dotenv, "A=1\n\nexport OPENAI_BASE_URL='dotenv'\nHERMES_MODEL=dotenv\n"
                             "HERMES_INFERENCE_MODEL=second\n");
    fixture_must_load(f, NULL);
    assert_string_equal(f->sample.model.base_url, "dotenv");
    assert_string_equal(fixture_where(f, "model.base_url"), ".env:3");
    assert_int_equal(config_setting(f->config, "model.base_url")->origin, CONFIG_FROM_DOTENV);

    // The real environment beats .env, whichever of the option's names it uses.
    f->env[0][0] = "OPENAI_BASE_URL", f->env[0][1] = "env";
    f->env[1][0] = "HERMES_INFERENCE_MODEL", f->env[1][1] = "env";
    fixture_must_load(f, NULL);
    assert_string_equal(f->sample.model.base_url, "env");
    assert_string_equal(f->sample.model.name, "env");
    assert_string_equal(fixture_where(f, "model.default"), "env HERMES_INFERENCE_MODEL");

    // The file beats both, except for what the environment overrides for one process.
    fixture_must_load(f, yaml);
    assert_string_equal(f->sample.model.base_url, "file");
    assert_string_equal(f->sample.model.name, "env");

    f->overrides[0] = (struct config_override){"model.base_url", "flag", "--base-url"};
    f->overrides[1] = (struct config_override){"model.default", "flag", "--model"};
    f->overrides[2] = (struct config_override){"model.max_tokens", NULL, "--max-tokens"};
    fixture_must_load(f, yaml);
    assert_string_equal(f->sample.model.base_url, "flag");
    assert_string_equal(f->sample.model.name, "flag");
    assert_string_equal(fixture_where(f, "model.default"), "command line --model");
    assert_int_equal(f->sample.model.max_tokens, 4096);
}

static void test_an_empty_variable_is_not_set(void **state)
{
    struct fixture *f = *state;
    fixture_write(f->dotenv, "HERMES_MODEL=\n");
    f->env[0][0] = "OPENAI_BASE_URL", f->env[0][1] = "";
    fixture_must_load(f, NULL);
    assert_null(f->sample.model.name);
    assert_string_equal(f->sample.model.base_url, "https://example.org/v1");
}

static void test_variables_in_values(void **state)
{
    struct fixture *f = *state;
    fixture_write(f->dotenv, "PORT=8080\nKEY=sk-dotenv\n");
    f->env[0][0] = "HOST", f->env[0][1] = "pi: {a: 1}";
    f->env[1][0] = "LIST", f->env[1][1] = "a,b";
    fixture_must_load(f, "model:\n"
                         "  base_url: http://${HOST}:${env:PORT}/$HOST\n"
                         "  api_key: os.environ/KEY\n"
                         "  max_tokens: ${PORT}\n"
                         "  extra_headers: {Authorization: 'Bearer ${KEY}'}\n"
                         "agent:\n"
                         "  disabled_toolsets: ${LIST}\n");
    assert_string_equal(f->sample.model.base_url, "http://pi: {a: 1}:8080/$HOST");
    assert_string_equal(f->sample.model.api_key, "sk-dotenv");
    assert_int_equal(f->sample.model.max_tokens, 8080);
    assert_string_equal(f->sample.model.headers.pairs[0].value, "Bearer sk-dotenv");
    assert_int_equal(f->sample.agent.toolsets.count, 2);
    assert_string_equal(config_variable(f->config, "PORT"), "8080");
    assert_null(config_variable(f->config, "NOPE"));
}

static void test_the_environment_is_taken_as_it_is(void **state)
{
    struct fixture *f = *state;
    f->env[0][0] = "OPENAI_API_KEY", f->env[0][1] = "${HOME}";
    f->env[1][0] = "HERMES_MODEL", f->env[1][1] = "os.environ/HOME";
    fixture_must_load(f, NULL);
    assert_string_equal(f->sample.model.api_key, "${HOME}");
    assert_string_equal(f->sample.model.name, "os.environ/HOME");
    assert_int_equal(config_finding_count(f->config), 0);
}

static void test_unset_variables(void **state)
{
    struct fixture *f = *state;
    fixture_must_load(f, "model: {base_url: 'http://${NOPE}/${A:-b}'}\n");
    assert_string_equal(f->sample.model.base_url, "http://${NOPE}/${A:-b}");
    assert_int_equal(config_finding_count(f->config), 2);
    assert_int_equal(config_finding_at(f->config, 0)->severity, CONFIG_WARNING);
    assert_string_equal(config_finding_at(f->config, 0)->text,
                        "model.base_url: the environment variable NOPE is not set; "
                        "the text stays as written");
    fixture_must_fail(f, "model:\n  api_key: ${NOPE}\n",
                      "c.yaml:2:12: model.api_key: the environment variable NOPE is not set");
}

static void test_secrets_in_files(void **state)
{
    struct fixture *f = *state;
    CLEANUP(mem_cleanup) char *yaml = mem_printf("model:\n  api_key_file: %s\n", f->secret);
    fixture_write(f->secret, "\n  sk-from-file \n");
    fixture_must_load(f, yaml);
    assert_string_equal(f->sample.model.api_key, "sk-from-file");
    assert_string_equal(fixture_where(f, "model.api_key"), "c.yaml:2");

    f->env[0][0] = "OPENAI_API_KEY_FILE", f->env[0][1] = f->secret;
    fixture_must_load(f, NULL);
    assert_string_equal(f->sample.model.api_key, "sk-from-file");
    assert_string_equal(fixture_where(f, "model.api_key"), "env OPENAI_API_KEY_FILE");

    f->env[1][0] = "OPENAI_API_KEY", f->env[1][1] = "direct";
    fixture_must_load(f, NULL);
    assert_string_equal(f->sample.model.api_key, "direct");
}

static void test_bad_secret_files(void **state)
{
    struct fixture *f = *state;
    CLEANUP(mem_cleanup) char *yaml = mem_printf("model:\n  api_key_file: %s\n", f->secret);
    CLEANUP(mem_cleanup) char *twice = mem_printf("%s  api_key: x\n", yaml);
    CLEANUP(mem_cleanup)
    char *missing = mem_printf(
        "c.yaml:2:17: model.api_key_file: cannot open %s: No such file or directory", f->secret);
    CLEANUP(mem_cleanup)
    char *empty = mem_printf("c.yaml:2:17: model.api_key_file: %s is empty", f->secret);
    fixture_must_fail(f, yaml, missing);
    fixture_write(f->secret, " \n");
    fixture_must_fail(f, yaml, empty);
    fixture_write(f->secret, "sk");
    fixture_must_fail(f, twice,
                      "c.yaml:3:3: model.api_key: line 2 sets the same option from a file; "
                      "keep one of them");
    fixture_must_fail(f, "model: {api_key_file: secret}",
                      "c.yaml:1:23: model.api_key_file: secret is not an absolute path");
    fixture_must_fail(f, "model: {api_key_file: [a]}",
                      "c.yaml:1:23: model.api_key_file: must be the path of a file, not a list");
}

static void test_a_reload_leaves_the_old_one_alone(void **state)
{
    struct fixture *f = *state;
    fixture_must_load(f, "model: {default: old}");
    struct sample old = f->sample;
    struct config *config = f->config;
    f->config = NULL;
    fixture_must_fail(f, "model: {max_tokens: x}",
                      "c.yaml:1:21: model.max_tokens: \"x\" is not a whole number");
    assert_string_equal(old.model.name, "old");
    fixture_must_load(f, "model: {default: new}");
    assert_string_equal(old.model.name, "old");
    assert_string_equal(f->sample.model.name, "new");
    config_destroy(config);
}

static void test_the_file_is_only_read(void **state)
{
    struct fixture *f = *state;
    struct stat before, after;
    CLEANUP(mem_cleanup) char *link = mem_printf("%s/link", f->dir);
    fixture_write(f->yaml, "model: linked\n");
    assert_int_equal(chmod(f->yaml, 0444), 0);
    assert_int_equal(symlink("c.yaml", link), 0); // as in a mounted ConfigMap
    assert_int_equal(stat(f->yaml, &before), 0);
    const struct config_environment environment = {fixture_get, f};
    const struct config_inputs inputs = {.path = link, .environment = &environment};
    int r = config_load(&inputs, &sample_schema, &f->sample, &f->config, &f->err);
    unlink(link);
    assert_int_equal(r, 0);
    assert_string_equal(f->sample.model.name, "linked");
    assert_int_equal(stat(f->yaml, &after), 0);
    assert_memory_equal(&before.st_mtim, &after.st_mtim, sizeof before.st_mtim);
    assert_int_equal(before.st_ino, after.st_ino);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(test_defaults),
        FIXTURE_TEST(test_every_kind_from_the_file),
        FIXTURE_TEST(test_lists_and_maps_as_one_text),
        FIXTURE_TEST(test_the_model_as_one_word),
        FIXTURE_TEST(test_nothing_in_the_file_is_no_value),
        FIXTURE_TEST(test_precedence),
        FIXTURE_TEST(test_an_empty_variable_is_not_set),
        FIXTURE_TEST(test_variables_in_values),
        FIXTURE_TEST(test_the_environment_is_taken_as_it_is),
        FIXTURE_TEST(test_unset_variables),
        FIXTURE_TEST(test_secrets_in_files),
        FIXTURE_TEST(test_bad_secret_files),
        FIXTURE_TEST(test_a_reload_leaves_the_old_one_alone),
        FIXTURE_TEST(test_the_file_is_only_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
