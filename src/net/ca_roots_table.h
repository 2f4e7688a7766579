#pragma once

#include <stddef.h>
#include <stdint.h>

// What scripts/ca_roots.py generates for ca_roots.c. Nobody else includes this.

struct ca_root {
    uint32_t offset : 31; // into ca_roots_der; it ends where the next one begins
    uint32_t whole : 1;   // a certificate as it is; else its validity, subject and key only
    uint16_t subject_at;  // from `offset`
    uint16_t subject_len;
};

extern const size_t ca_roots_table_len; // without the last one, which only ends the one before
extern const struct ca_root ca_roots_table[]; // sorted by subject, see ca_roots.c
extern const unsigned char ca_roots_der[];
