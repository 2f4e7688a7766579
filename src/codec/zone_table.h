#pragma once

#include <stddef.h>
#include <stdint.h>

// The table that scripts/zones.py generates for zone.c. Nobody else includes this.

struct zone_entry {
    uint16_t name_at; // into zone_table_names
    uint16_t rule_at; // into zone_table_rules
};

extern const size_t zone_table_len;
extern const struct zone_entry zone_table[]; // sorted by name in lower case
extern const char zone_table_names[];        // each with its NUL
extern const char zone_table_rules[];        // the same: "RULE" or "RULE;UNTIL=OFFSET;..."
