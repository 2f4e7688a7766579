#include "router/money/names.h"

#include <stdlib.h>

#include "base/mem.h"

enum { DAY_MS = 24 * 60 * 60 * 1000 };

void router_names_finish(struct router_names *names)
{
    while (names->count)
        free(names->names[--names->count]);
    free(names->names);
    *names = (struct router_names){.count = 0};
}

struct span router_names_take(struct router_names *names, size_t max, struct span name,
                              int64_t wall_ms, struct span others)
{
    int64_t day = wall_ms / DAY_MS;
    if (names->day != day)
        router_names_finish(names);
    names->day = day;
    for (size_t i = 0; i < names->count; i++)
        if (span_is(name, names->names[i]))
            return name;
    if (names->count == max)
        return others;
    names->names = mem_grow(names->names, names->count, &names->capacity, sizeof *names->names);
    names->names[names->count++] = mem_printf("%.*s", (int)name.len, name.data);
    return name;
}
