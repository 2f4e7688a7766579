#pragma once

#include "codec/zone.h"

// The table that scripts/zones.py generates for zone.c. Nobody else includes this.

struct zone_entry {
    uint16_t name_at; // into zone_table_names
    uint16_t zone_at; // into zone_table_zones
};

extern const size_t zone_table_len;
extern const struct zone_entry zone_table[]; // sorted by name in lower case
extern const char zone_table_names[];        // each with its NUL
extern const struct zone zone_table_zones[];
