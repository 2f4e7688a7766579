#include <string.h>

#include "base/mem.h"
#include "daemon/command.h"

static const struct command *const table[] = {
    &command_chat,   &command_run,      &command_router,  &command_status,  &command_log,
    &command_cost,   &command_sessions, &command_context, &command_pairing, &command_config,
    &command_doctor, &command_sandbox,  &command_version, &command_help,    &command_completion,
};

const struct command *const *command_table(size_t *ret_count)
{
    *ret_count = ARRAY_LEN(table);
    return table;
}

const struct command *command_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (strcmp(table[i]->name, name) == 0)
            return table[i];
    return strcmp(name, "gateway") == 0 ? &command_run : NULL; // hermes-agent's name for it
}
