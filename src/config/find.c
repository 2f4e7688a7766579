#include <errno.h>
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

int config_find_file(const struct config_search *search, char **ret_path, struct error *err)
{
    CLEANUP(mem_cleanup)
    char *in_home = search->home ? mem_printf("%s/config.yaml", search->home) : NULL;
    const struct {
        const char *path, *named_by;
    } places[] = {
        {search->option_path, "--config"},
        {config_environment_get(search->environment, "HERMES_CONFIG"), "HERMES_CONFIG"},
        {search->system_path, NULL},
        {in_home, NULL},
    };
    const char *found = NULL;
    for (size_t i = 0; i < ARRAY_LEN(places) && !found; i++) {
        int r = places[i].path ? probe(places[i].path, places[i].named_by, err) : 0;
        if (r < 0)
            return r;
        found = r ? places[i].path : NULL;
    }
    *ret_path = found ? mem_strdup(found) : NULL;
    return 0;
}
