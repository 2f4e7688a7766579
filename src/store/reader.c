#include <errno.h>

#include "store/store_internal.h"
#include "store/store_thread.h"

int store_reader(struct store *store, sqlite3 **ret_db, struct error *err)
{
    int r = 0;
    switch (store_state(store)) {
    case STORE_READY:
        break;
    case STORE_FAILED:
        return error_set(err, -EIO, "%s", store_describe(store));
    default:
        return error_set(err, -EAGAIN, "%s", store_describe(store));
    }
    if (!store->reader)
        r = store_reader_open(store_path(store), store->vfs, &store->reader, err);
    if (r == 0)
        *ret_db = store->reader;
    return r;
}
