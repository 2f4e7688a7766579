#include "router/money/names.h"

#include <stdlib.h>

#include "base/mem.h"

struct router_names {
    int64_t day;
    size_t count, capacity, max;
    char **names; // owned
};

struct router_names *router_names_create(size_t max)
{
    struct router_names *names = mem_new(struct router_names);
    names->max = max;
    return names;
}

static void clear(struct router_names *names)
{
    while (names->count)
        free(names->names[--names->count]);
}

void router_names_destroy(struct router_names *names)
{
    if (!names)
        return;
    clear(names);
    free(names->names);
    free(names);
}

struct span router_names_take(struct router_names *names, struct span name, int64_t day,
                              struct span others)
{
    if (names->day != day)
        clear(names);
    names->day = day;
    for (size_t i = 0; i < names->count; i++)
        if (span_is(name, names->names[i]))
            return name;
    if (names->count == names->max)
        return others;
    names->names = mem_grow(names->names, names->count, &names->capacity, sizeof *names->names);
    names->names[names->count++] = mem_printf("%.*s", (int)name.len, name.data);
    return name;
}
