#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "config/config.h"

// 1: it is there. 0: it is not, and need not be. A file that exists and cannot be looked at is a
// failure in any case: to go on without the owner's limits would be worse than to stop.
static int probe(const char *path, const char *named_by, struct error *err)
{
    struct stat status;
    if (stat(path, &status) == 0)
        return S_ISDIR(status.st_mode)
                   ? error_set(err, -EISDIR, "the configuration %s is a directory", path)
                   : 1;
    if (!named_by && (errno == ENOENT || errno == ENOTDIR))
        return 0;
    if (!named_by)
        return error_errno(err, errno, "cannot open the configuration %s", path);
    return error_errno(err, errno, "cannot open the configuration %s (named by %s)", path,
                       named_by);
}

static int try_path(const char *path, const char *named_by, char **ret_path, struct error *err)
{
    int r = path ? probe(path, named_by, err) : 0;
    if (r > 0)
        *ret_path = mem_strdup(path);
    return r;
}

int config_find_file(const struct config_search *search, char **ret_path, struct error *err)
{
    const char *variable = config_environment_get(search->environment, "HERMES_CONFIG");
    CLEANUP(mem_cleanup)
    char *in_home = search->home ? mem_printf("%s/config.yaml", search->home) : NULL;
    char *found = NULL;
    int r = try_path(search->option_path, "--config", &found, err);
    if (r == 0)
        r = try_path(variable, "HERMES_CONFIG", &found, err);
    if (r == 0)
        r = try_path(search->system_path, NULL, &found, err);
    if (r == 0)
        r = try_path(in_home, NULL, &found, err);
    if (r < 0)
        return r;
    *ret_path = found;
    return 0;
}
