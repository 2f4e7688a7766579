#include "tools/table.h"

#include <string.h>

#include "base/mem.h"
#include "tools/changed_files.h"
#include "tools/file_prints.h"

static const struct tool *const table[] = {
    &tool_call_tool,    &tool_clarify,      &tool_current_time, &tool_find_tools,
    &tool_http_request, &tool_list_files,   &tool_memory,       &tool_patch,
    &tool_process_tool, &tool_read_file,    &tool_read_result,  &tool_recall,
    &tool_remember,     &tool_search_files, &tool_send_file,    &tool_session_search,
    &tool_skill_manage, &tool_skill_view,   &tool_skills_list,  &tool_terminal,
    &tool_todo,         &tool_web_extract,  &tool_web_fetch,    &tool_web_search,
    &tool_write_file,
};

// What this program itself has done in a process.
static const struct tool *const unlisted[] = {&tool_changed_files, &tool_file_prints};

const struct tool *const *tool_table(size_t *ret_count)
{
    *ret_count = ARRAY_LEN(table);
    return table;
}

const struct tool *tool_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (strcmp(table[i]->name, name) == 0)
            return table[i];
    for (size_t i = 0; i < ARRAY_LEN(unlisted); i++)
        if (strcmp(unlisted[i]->name, name) == 0)
            return unlisted[i];
    return NULL;
}
