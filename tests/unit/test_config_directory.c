// HERMES_SECRETS_DIR and CREDENTIALS_DIRECTORY: files that stand for variables.
#include <string.h>

#include "config/variables.h"
#include "config_fixture.h"

static char *entry(const struct fixture *f, const char *name)
{
    return mem_printf("%s/%s", f->dir, name);
}

// The directory of the fixture is the one of secrets as well; what is put there goes with it.
static void put(struct fixture *f, const char *name, const void *content, size_t len)
{
    CLEANUP(mem_cleanup) char *path = entry(f, name);
    FD_AUTO fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(fd_write_all(fd, content, len), 0);
}

static void put_text(struct fixture *f, const char *name, const char *text)
{
    put(f, name, text, strlen(text));
}

static void drop(struct fixture *f, const char *name)
{
    CLEANUP(mem_cleanup) char *path = entry(f, name);
    assert_int_equal(unlink(path), 0);
}

static void use(struct fixture *f, const char *variable)
{
    f->env[0][0] = variable;
    f->env[0][1] = f->dir;
}

static void test_a_file_is_a_variable(void **state)
{
    struct fixture *f = *state;
    use(f, "HERMES_SECRETS_DIR");
    put_text(f, "OPENAI_API_KEY", "sk-0123456789abcdef\n");
    put_text(f, "HERMES_MODEL", "vendor/model");
    put_text(f, "HOST", "there\n");
    put_text(f, "MAX_TOKENS", "");
    fixture_must_load(f, "model: {base_url: 'http://${HOST}/'}");
    assert_string_equal(f->sample.model.api_key, "sk-0123456789abcdef");
    assert_string_equal(f->sample.model.name, "vendor/model");
    assert_string_equal(f->sample.model.base_url, "http://there/");
    assert_int_equal(f->sample.model.max_tokens, 4096); // set to nothing is not set
    assert_string_equal(fixture_where(f, "model.api_key"), "OPENAI_API_KEY");
    assert_int_equal(config_setting(f->config, "model.api_key")->origin, CONFIG_FROM_SECRETS);
    assert_string_equal(config_variable(f->config, "HOST"), "there");
    assert_null(config_variable(f->config, "NO_SUCH"));

    const char *secrets[4];
    assert_int_equal(config_secrets(f->config, secrets, ARRAY_LEN(secrets)), 2);
    BUF_AUTO shown = BUF_INIT(1 << 16);
    config_render_show(f->config, &shown);
    assert_null(strstr(buf_text(&shown), "0123456789"));
    drop(f, "OPENAI_API_KEY");
    drop(f, "HERMES_MODEL");
    drop(f, "HOST");
    drop(f, "MAX_TOKENS");
}

static void test_what_counts_first(void **state)
{
    struct fixture *f = *state;
    use(f, "HERMES_SECRETS_DIR");
    put_text(f, "OPENAI_BASE_URL", "file");
    put_text(f, "HERMES_INFERENCE_MODEL", "file");
    fixture_write(f->dotenv, "OPENAI_BASE_URL=dotenv\nHERMES_MODEL=dotenv\nMAX_TOKENS=5\n");
    fixture_must_load(f, NULL);
    assert_string_equal(f->sample.model.base_url, "file");
    assert_string_equal(f->sample.model.name, "file");
    assert_int_equal(f->sample.model.max_tokens, 5);
    f->env[1][0] = "OPENAI_BASE_URL", f->env[1][1] = "env";
    fixture_must_load(f, NULL);
    assert_string_equal(f->sample.model.base_url, "env");
    drop(f, "OPENAI_BASE_URL");
    drop(f, "HERMES_INFERENCE_MODEL");
}

static void test_the_volume_of_a_secret(void **state)
{
    struct fixture *f = *state;
    use(f, "HERMES_SECRETS_DIR");
    CLEANUP(mem_cleanup) char *real = entry(f, "..2026_11");
    CLEANUP(mem_cleanup) char *data = entry(f, "..data");
    CLEANUP(mem_cleanup) char *link = entry(f, "OPENAI_API_KEY");
    assert_int_equal(mkdir(real, 0700), 0);
    put_text(f, "..2026_11/OPENAI_API_KEY", "of-the-volume");
    assert_int_equal(symlink("..2026_11", data), 0);
    assert_int_equal(symlink("..data/OPENAI_API_KEY", link), 0);
    fixture_must_load(f, NULL);
    assert_string_equal(f->sample.model.api_key, "of-the-volume");
    assert_int_equal(config_finding_count(f->config), 0);
    put_text(f, "..2026_11/OPENAI_API_KEY", "changed");
    fixture_must_load(f, NULL);
    assert_string_equal(f->sample.model.api_key, "changed");
    drop(f, "OPENAI_API_KEY");
    drop(f, "..data");
    drop(f, "..2026_11/OPENAI_API_KEY");
    assert_int_equal(rmdir(real), 0);
}

static void must_refuse(struct fixture *f, const char *content, size_t len, const char *words)
{
    put(f, "A_KEY", content, len);
    assert_true(fixture_load(f, NULL) < 0);
    assert_int_equal(strncmp(f->err.text, "HERMES_SECRETS_DIR: /tmp/", 25), 0);
    if (!strstr(f->err.text, words) || !strstr(f->err.text, "/A_KEY "))
        fail_msg("%s", f->err.text);
    assert_null(strstr(f->err.text, "hush"));
}

static void test_contents_that_are_no_value(void **state)
{
    struct fixture *f = *state;
    char longest[CONFIG_SECRET_FILE_MAX + 2];
    memset(longest, 'x', sizeof longest);
    use(f, "HERMES_SECRETS_DIR");
    must_refuse(f, "hush\0hush", 9, "holds a NUL byte");
    must_refuse(f, "hush\nhush", 9, "holds a line break");
    must_refuse(f, "hush\r\n", 6, "holds a line break");
    must_refuse(f, "hush\n\n", 6, "holds a line break");
    must_refuse(f, "hush\033", 5, "holds a control character");
    must_refuse(f, longest, sizeof longest, "is longer than 65536 bytes");
    drop(f, "A_KEY");
}

static void test_entries_that_are_no_file(void **state)
{
    struct fixture *f = *state;
    use(f, "HERMES_SECRETS_DIR");
    CLEANUP(mem_cleanup) char *path = entry(f, "A_KEY");
    assert_int_equal(mkdir(path, 0700), 0);
    assert_true(fixture_load(f, NULL) < 0);
    assert_non_null(strstr(f->err.text, "/A_KEY is not a file"));
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_true(fixture_load(f, NULL) < 0);
    assert_non_null(strstr(f->err.text, "/A_KEY is not a file"));
    drop(f, "A_KEY");
    assert_int_equal(symlink("nowhere", path), 0);
    assert_true(fixture_load(f, NULL) < 0);
    assert_non_null(strstr(f->err.text, "/A_KEY: No such file or directory"));
    drop(f, "A_KEY");
}

static void test_other_names(void **state)
{
    struct fixture *f = *state;
    put_text(f, "openai_api_key", "x");
    use(f, "HERMES_SECRETS_DIR");
    fixture_must_load(f, NULL);
    assert_int_equal(config_finding_count(f->config), 1);
    assert_int_equal(config_finding_at(f->config, 0)->severity, CONFIG_WARNING);
    assert_non_null(strstr(config_finding_at(f->config, 0)->text, "/openai_api_key is not used"));
    use(f, "CREDENTIALS_DIRECTORY");
    fixture_must_load(f, NULL);
    assert_int_equal(config_finding_count(f->config), 0);
    drop(f, "openai_api_key");
}

static void test_credentials_of_systemd(void **state)
{
    struct fixture *f = *state;
    use(f, "CREDENTIALS_DIRECTORY");
    put_text(f, "OPENAI_API_KEY", "of-systemd");
    fixture_must_load(f, NULL);
    assert_string_equal(f->sample.model.api_key, "of-systemd");
    drop(f, "OPENAI_API_KEY");
}

static void test_a_directory_that_is_not_there(void **state)
{
    struct fixture *f = *state;
    f->env[0][0] = "HERMES_SECRETS_DIR", f->env[0][1] = "/nowhere/at/all";
    fixture_must_fail(f, NULL,
                      "HERMES_SECRETS_DIR: cannot read the directory /nowhere/at/all: No "
                      "such file or directory");
    f->env[0][1] = "relative";
    fixture_must_fail(f, NULL, "HERMES_SECRETS_DIR: relative is not an absolute path");
    f->env[0][0] = "CREDENTIALS_DIRECTORY", f->env[0][1] = "/nowhere/at/all";
    fixture_must_load(f, NULL);
    assert_int_equal(config_finding_at(f->config, 0)->severity, CONFIG_NOTE);
}

static void test_names_of_secrets(void **state)
{
    static const char *const secret[] = {
        "OPENAI_API_KEY", "api_key",         "MY_TOKEN",  "TOKENS",  "SECRET_KEY_BASE",
        "DB_PASSWORD",    "PGPASSWORD",      "APIKEY",    "Key",     "MYSQL_PWD",
        "HTTP_AUTH",      "AWS_CREDENTIALS", "AUTHTOKEN", "x-cookie"};
    static const char *const open[] = {"GIT_AUTHOR_NAME",
                                       "KEYCLOAK_SERVICE_HOST",
                                       "TOKENIZERS_PARALLELISM",
                                       "AUTHORS",
                                       "TOKEN_SERVICE_PORT",
                                       "KEYBOARD",
                                       "SECRETARY",
                                       "HOME",
                                       "SECRET_PORT_1_TCP_ADDR",
                                       "",
                                       "_",
                                       "PATH"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(secret); i++)
        if (!variables_looks_secret(secret[i]))
            fail_msg("%s", secret[i]);
    for (size_t i = 0; i < ARRAY_LEN(open); i++)
        if (variables_looks_secret(open[i]))
            fail_msg("%s", open[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(test_a_file_is_a_variable),
        FIXTURE_TEST(test_what_counts_first),
        FIXTURE_TEST(test_the_volume_of_a_secret),
        FIXTURE_TEST(test_contents_that_are_no_value),
        FIXTURE_TEST(test_entries_that_are_no_file),
        FIXTURE_TEST(test_other_names),
        FIXTURE_TEST(test_credentials_of_systemd),
        FIXTURE_TEST(test_a_directory_that_is_not_there),
        FIXTURE_TEST(test_names_of_secrets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
