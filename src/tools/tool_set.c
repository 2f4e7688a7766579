#include "tools/tool_set.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

struct tool_set *tool_set_create(void)
{
    struct tool_set *set = mem_new(struct tool_set);
    set->references = 1;
    return set;
}

struct tool_set *tool_set_ref(struct tool_set *set)
{
    set->references++;
    return set;
}

void tool_set_unref(struct tool_set *set)
{
    if (!set || --set->references)
        return;
    for (size_t i = 0; i < set->count; i++)
        free((char *)set->tools[i].name); // the others stand behind it
    free(set->tools);
    free(set);
}

const struct tool_set_entry *tool_set_find(const struct tool_set *set, const char *name)
{
    for (size_t i = 0; i < set->count; i++)
        if (strcmp(set->tools[i].name, name) == 0)
            return &set->tools[i];
    return NULL;
}

static const char *put(char **at, const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = memcpy(*at, text, size);
    *at += size;
    return copy;
}

static size_t size_of(const char *name, const char *description, const char *parameters)
{
    return strlen(name) + strlen(description) + strlen(parameters) + 3;
}

static void add(struct tool_set *set, const struct tool_set_entry *entry)
{
    size_t size = size_of(entry->name, entry->description, entry->parameters);
    char *at = mem_alloc(size);
    *(entry->flags & TOOL_FOUND ? &set->found_bytes : &set->bytes) += size;
    set->tools = mem_grow(set->tools, set->count, &set->capacity, sizeof *set->tools);
    struct tool_set_entry *copy = &set->tools[set->count++];
    *copy = *entry;
    copy->name = put(&at, entry->name);
    copy->description = put(&at, entry->description);
    copy->parameters = put(&at, entry->parameters);
}

void tool_set_add_others(struct tool_set *set, const struct tool_set *from, tool_source_id but)
{
    for (size_t i = 0; i < from->count; i++)
        if (from->tools[i].source != but)
            add(set, &from->tools[i]);
}

static bool is_among(const char *names, const char *name)
{
    struct span rest = span_of(names), word;
    do {
        word = span_cut(&rest, ' ');
        if (span_is(word, name))
            return true;
    } while (rest.len);
    return false;
}

struct tool_set *tool_set_select(struct tool_set *from, unsigned flags, const char *names)
{
    struct tool_set *set = tool_set_create();
    for (size_t i = 0; i < from->count; i++)
        if ((from->tools[i].flags & flags) == flags &&
            (!names || is_among(names, from->tools[i].name))) {
            struct tool_set_entry entry = from->tools[i];
            if (names) // so few need not be looked for
                entry.flags &= ~(unsigned)TOOL_FOUND;
            add(set, &entry);
        }
    if (set->count < from->count)
        return set;
    tool_set_unref(set);
    return tool_set_ref(from);
}

struct tool_set *tool_set_without(struct tool_set *from, const char *names)
{
    struct tool_set *set = tool_set_create();
    for (size_t i = 0; i < from->count; i++)
        if (!is_among(names, from->tools[i].name))
            add(set, &from->tools[i]);
    return set;
}

static bool is_name(const char *name)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
    size_t len = strlen(name);
    return len > 0 && len <= TOOL_NAME_MAX && strspn(name, allowed) == len;
}

static bool is_schema(const char *parameters)
{
    JSON_AUTO doc = JSON_INIT;
    if (strlen(parameters) > TOOL_PARAMETERS_MAX ||
        json_parse(&doc, span_of(parameters), NULL) < 0 ||
        !json_is(json_get(json_root(&doc), "type"), "object"))
        return false;
    enum json_type properties = json_type(json_get(json_root(&doc), "properties"));
    return properties == JSON_OBJECT || properties == JSON_ABSENT;
}

// A model's provider refuses a whole request for one tool that is not as it must be.
static int check(const struct tool_set *set, const char *source,
                 const struct tool_description *tool, struct error *err)
{
    if (!is_name(tool->name))
        return error_set(err, -EINVAL,
                         "\"%s\" has a tool that cannot be offered to a model: its name must be 1 "
                         "to %d letters, digits, \"_\" and \"-\"",
                         source, TOOL_NAME_MAX);
    if (strlen(tool->description) > TOOL_DESCRIPTION_MAX)
        return error_set(err, -E2BIG, "the description of \"%s\" of \"%s\" is longer than %d bytes",
                         tool->name, source, TOOL_DESCRIPTION_MAX);
    if (!is_schema(tool->parameters))
        return error_set(err, -EINVAL,
                         "the parameters of \"%s\" of \"%s\" are not a JSON Schema of an object, "
                         "of at most %d bytes",
                         tool->name, source, TOOL_PARAMETERS_MAX);
    if (tool_set_find(set, tool->name))
        return error_set(err, -EEXIST,
                         "\"%s\" has a tool \"%s\", and there is one of that name already", source,
                         tool->name);
    if (set->count == TOOL_SET_MAX)
        return error_set(err, -E2BIG, "with \"%s\" there would be more than %d tools", source,
                         TOOL_SET_MAX);
    bool found = tool->flags & TOOL_FOUND;
    size_t bytes = found ? set->found_bytes : set->bytes;
    size_t max = found ? TOOL_SET_FOUND_BYTES_MAX : TOOL_SET_BYTES_MAX;
    if (bytes + size_of(tool->name, tool->description, tool->parameters) > max)
        return error_set(err, -E2BIG,
                         "with \"%s\" the descriptions of all tools would be longer than %zu KiB",
                         source, max / 1024);
    return 0;
}

int tool_set_add_source(struct tool_set *set, const struct tool_source *source, tool_source_id id,
                        struct error *err)
{
    struct tool_description tool;
    for (size_t i = 0; source->ops->describe(source, i, &tool); i++) {
        int r = check(set, source->name, &tool, err);
        if (r < 0)
            return r;
        add(set, &(struct tool_set_entry){.name = tool.name,
                                          .description = tool.description,
                                          .parameters = tool.parameters,
                                          .flags = tool.flags,
                                          .source = id});
    }
    return 0;
}
