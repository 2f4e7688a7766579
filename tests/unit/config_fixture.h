#pragma once

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/fd.h"
#include "base/mem.h"
#include "config/config.h"
#include "config_sample.h"

// A directory for files, an environment that is a list, and the sample schema loaded from them.

enum { FIXTURE_OVERRIDES = 4 };

struct fixture {
    char dir[64];
    char *yaml, *dotenv, *secret;                        // paths in it
    const char *env[8][2];                               // the environment; ends at the first NULL
    struct config_override overrides[FIXTURE_OVERRIDES]; // ends at the first NULL key
    struct sample sample;                                // what was loaded
    struct config *config;
    struct error err;
};

static inline const char *fixture_get(void *context, const char *name)
{
    const struct fixture *fixture = context;
    for (size_t i = 0; i < ARRAY_LEN(fixture->env) && fixture->env[i][0]; i++)
        if (strcmp(fixture->env[i][0], name) == 0)
            return fixture->env[i][1];
    return NULL;
}

static inline void fixture_write(const char *path, const char *text)
{
    FD_AUTO fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(fd_write_all(fd, text, strlen(text)), 0);
}

static inline int fixture_set_up(void **state)
{
    struct fixture *fixture = mem_new(struct fixture);
    snprintf(fixture->dir, sizeof fixture->dir, "/tmp/test_config.XXXXXX");
    assert_non_null(mkdtemp(fixture->dir));
    fixture->yaml = mem_printf("%s/c.yaml", fixture->dir);
    fixture->dotenv = mem_printf("%s/.env", fixture->dir);
    fixture->secret = mem_printf("%s/secret", fixture->dir);
    *state = fixture;
    return 0;
}

static inline int fixture_tear_down(void **state)
{
    struct fixture *fixture = *state;
    config_destroy(fixture->config);
    unlink(fixture->yaml);
    unlink(fixture->dotenv);
    unlink(fixture->secret);
    rmdir(fixture->dir);
    free(fixture->yaml);
    free(fixture->dotenv);
    free(fixture->secret);
    free(fixture);
    return 0;
}

// The inputs; `yaml` is the text of the file, NULL: there is none. `environment` is filled.
static inline struct config_inputs fixture_inputs(struct fixture *fixture, const char *yaml,
                                                  struct config_environment *environment)
{
    *environment = (struct config_environment){fixture_get, fixture};
    if (yaml)
        fixture_write(fixture->yaml, yaml);
    size_t count = 0;
    while (count < FIXTURE_OVERRIDES && fixture->overrides[count].key)
        count++;
    return (struct config_inputs){
        .path = yaml ? fixture->yaml : NULL,
        .dotenv_path = fixture->dotenv,
        .environment = environment,
        .overrides = fixture->overrides,
        .override_count = count,
    };
}

static inline int fixture_load(struct fixture *fixture, const char *yaml)
{
    struct config_environment environment;
    struct config_inputs inputs = fixture_inputs(fixture, yaml, &environment);
    fixture->err = (struct error)ERROR_INIT;
    config_destroy(fixture->config);
    fixture->config = NULL;
    return config_load(&inputs, &sample_schema, &fixture->sample, &fixture->config, &fixture->err);
}

static inline void fixture_must_load(struct fixture *fixture, const char *yaml)
{
    if (fixture_load(fixture, yaml) < 0)
        fail_msg("%s", fixture->err.text);
}

// Loads what must fail; the sentence, without the directory, must be `wanted`.
static inline void fixture_must_fail(struct fixture *fixture, const char *yaml, const char *wanted)
{
    struct sample before = fixture->sample;
    assert_true(fixture_load(fixture, yaml) < 0);
    const char *text = fixture->err.text;
    if (strncmp(text, fixture->dir, strlen(fixture->dir)) == 0)
        text += strlen(fixture->dir) + 1;
    assert_string_equal(text, wanted);
    assert_memory_equal(&before, &fixture->sample, sizeof before);
    assert_null(fixture->config);
}

static inline void fixture_inspect(struct fixture *fixture, const char *yaml)
{
    struct config_environment environment;
    struct config_inputs inputs = fixture_inputs(fixture, yaml, &environment);
    config_destroy(fixture->config);
    fixture->config = config_inspect(&inputs, &sample_schema);
}

static inline const char *fixture_where(const struct fixture *fixture, const char *key)
{
    const char *where = config_setting(fixture->config, key)->where;
    size_t len = strlen(fixture->dir);
    return strncmp(where, fixture->dir, len) == 0 ? where + len + 1 : where;
}

#define FIXTURE_TEST(function) \
    cmocka_unit_test_setup_teardown(function, fixture_set_up, fixture_tear_down)
