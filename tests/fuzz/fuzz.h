#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/*
 * A fuzz target is one file with LLVMFuzzerTestOneInput(). It is linked with libFuzzer to look for
 * trouble (make fuzz) and with replay.c to run the kept inputs of corpus/<name>/ as a test. It does
 * more than not crash: it states what must hold for every input.
 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// assert() that no build type switches off.
#define REQUIRE(condition)                                                                 \
    do {                                                                                   \
        if (!(condition)) {                                                                \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition); \
            abort();                                                                       \
        }                                                                                  \
    } while (0)
