#include "tools/tool_target.h"

#include <stdio.h>
#include <string.h>

const char tool_call_tool_name[] = "call_tool";

static const struct tool_set_entry *find(const struct tool_set *set, const char *name)
{
    return set ? tool_set_find(set, name) : NULL;
}

void tool_target_find(const struct tool_set *set, const char *name, struct span arguments,
                      struct tool_target *ret)
{
    *ret = (struct tool_target){.entry = find(set, name), .arguments = arguments};
    if (strcmp(name, tool_call_tool_name) != 0)
        return;
    BUF_AUTO inner = BUF_INIT(TOOL_NAME_MAX);
    JSON_AUTO doc = JSON_INIT;
    if (json_parse(&doc, arguments, NULL) < 0 ||
        !json_string(json_get(json_root(&doc), "name"), &inner) ||
        strcmp(buf_text(&inner), name) == 0)
        return;
    ret->entry = find(set, buf_text(&inner));
    struct json_value given = json_get(json_root(&doc), "arguments");
    ret->arguments = json_type(given) == JSON_ABSENT || json_type(given) == JSON_NULL
                         ? SPAN_LITERAL("{}")
                         : json_raw(given); // the model's own bytes
    if (!ret->entry)
        snprintf(ret->missing, sizeof ret->missing, "%s", buf_text(&inner));
}
