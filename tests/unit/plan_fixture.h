#pragma once

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/fd.h"
#include "base/mem.h"
#include "config/config.h"
#include "llm/options.h"
#include "router/plan/options.h"
#include "router/plan/plan.h"

// A config.yaml, an environment that is a list, and the plan that they come to.

struct plan_values {
    struct llm_config llm;
    struct router_config router;
};

static const struct config_section plan_sections[] = {
    {llm_options, &llm_option_count, offsetof(struct plan_values, llm)},
    {router_options, &router_option_count, offsetof(struct plan_values, router)},
};
static const struct config_schema plan_schema = {plan_sections, ARRAY_LEN(plan_sections),
                                                 sizeof(struct plan_values)};

struct plan_fixture {
    char path[64];          // of the file
    const char *env[16][2]; // the environment; ends at the first NULL
    struct router_plan *plan;
    struct config *config;
    struct plan_values values;
    struct buf lines; // of all mistakes
    struct error err;
};

static inline const char *plan_fixture_get(void *context, const char *name)
{
    const struct plan_fixture *f = context;
    for (size_t i = 0; i < ARRAY_LEN(f->env) && f->env[i][0]; i++)
        if (strcmp(f->env[i][0], name) == 0)
            return f->env[i][1];
    return NULL;
}

static inline int plan_set_up(void **state)
{
    struct plan_fixture *f = mem_new(struct plan_fixture);
    snprintf(f->path, sizeof f->path, "/tmp/test_plan.XXXXXX");
    int fd = mkstemp(f->path);
    assert_true(fd >= 0);
    close(fd);
    buf_init(&f->lines, 1 << 20);
    *state = f;
    return 0;
}

static inline int plan_tear_down(void **state)
{
    struct plan_fixture *f = *state;
    router_plan_unref(f->plan);
    config_destroy(f->config);
    buf_finish(&f->lines);
    unlink(f->path);
    free(f);
    return 0;
}

// Loads the text as the file, NULL: without one. 0, or the first error of config or plan.
static inline int plan_load(struct plan_fixture *f, const char *yaml)
{
    const struct config_environment environment = {plan_fixture_get, f};
    struct config_inputs inputs = {.path = yaml ? f->path : NULL, .environment = &environment};
    if (yaml) {
        FD_AUTO fd = open(f->path, O_WRONLY | O_TRUNC | O_CLOEXEC);
        assert_int_equal(fd_write_all(fd, yaml, strlen(yaml)), 0);
    }
    router_plan_unref(STEAL(f->plan));
    config_destroy(STEAL(f->config));
    f->err = (struct error)ERROR_INIT;
    buf_clear(&f->lines);
    int r = config_load(&inputs, &plan_schema, &f->values, &f->config, &f->err);
    const struct router_plan_source source = {"c.yaml", &f->values.llm, &f->values.router};
    if (r == 0)
        r = router_plan_create(&source, &f->plan, &f->lines, &f->err);
    return r;
}

static inline void plan_must_load(struct plan_fixture *f, const char *yaml)
{
    if (plan_load(f, yaml) < 0)
        fail_msg("%s", f->err.text);
    assert_int_equal(f->lines.len, 0);
}

// Fails, with `wanted` in the sentence (which may begin with the temporary path).
static inline void plan_must_fail(struct plan_fixture *f, const char *yaml, const char *wanted)
{
    if (plan_load(f, yaml) == 0)
        fail_msg("it was taken: %s", yaml);
    if (!strstr(f->err.text, wanted))
        fail_msg("\"%s\" does not say \"%s\"", f->err.text, wanted);
}

#define PLAN_TEST(function) cmocka_unit_test_setup_teardown(function, plan_set_up, plan_tear_down)
