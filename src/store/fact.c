#include "store/fact.h"

#include "store/store_internal.h"

static int take(void *context, sqlite3_stmt *stmt, struct error *err)
{
    (void)err;
    buf_append_span(context, sql_column(stmt, 0));
    return 0;
}

int store_read_fact(struct store *store, struct span name, struct buf *ret_text, struct error *err)
{
    static const char sql[] = "SELECT value FROM meta WHERE key = 'fact:' || ?";
    return store_read_row(store, sql, SQL_VALUES(sql_text(name)), take, ret_text, err);
}
