#include "config/environment.h"

#include <stdlib.h>

static const char *process_get(void *context, const char *name)
{
    return getenv(name);
}

const struct config_environment config_environment_process = {process_get, NULL};

const char *config_environment_get(const struct config_environment *environment, const char *name)
{
    const char *value = environment->get(environment->context, name);
    return value && value[0] ? value : NULL;
}
