#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "support/dispatcher_world.h"

// A dispatcher with its world that each test of a file gets anew.
static struct dispatcher_world fixture;

static inline int setup(void **state)
{
    (void)state;
    dispatcher_world_make(&fixture, NULL);
    return 0;
}

static inline int teardown(void **state)
{
    (void)state;
    dispatcher_world_remove(&fixture);
    return 0;
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
