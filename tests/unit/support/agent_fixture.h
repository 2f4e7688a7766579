#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "support/agent_world.h"

// A world that each test of a file gets anew.
static struct agent_world world;

static inline int setup(void **state)
{
    (void)state;
    agent_world_make(&world, NULL);
    return 0;
}

static inline int teardown(void **state)
{
    (void)state;
    agent_world_remove(&world);
    return 0;
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
