#include "daemon/store_only.h"

#include "loop/loop.h"
#include "store/store.h"

int store_only_open(const char *home, struct store_only *ret_store, struct error *err)
{
    struct store_only only = {.home = HOME_INIT};
    int r = loop_create(&clock_system, &only.loop, err);
    if (r == 0)
        r = home_open(home, &only.home, err);
    if (r == 0)
        home_leave(&only.home); // soon: a service that starts meanwhile waits for that
    if (r == 0)
        r = store_open(only.home.path, NULL, &only.store, err);
    if (r == 0)
        store_wait(only.store);
    if (r < 0)
        store_only_close(&only);
    else
        *ret_store = only;
    return r;
}

void store_only_close(struct store_only *only)
{
    store_close(only->store);
    home_close(&only->home);
    loop_destroy(only->loop);
    *only = (struct store_only){.home = HOME_INIT};
}
