#include "daemon/retention.h"

#include "base/log.h"
#include "daemon/app.h"
#include "store/session.h"

enum {
    FIRST_MS = 60 * 1000, // not while everything else begins
    PAUSE_MS = 1000,      // between two batches, in which others write
    ROUND_MS = 24 * 3600 * 1000,
};

static void on_due(void *context);

static void rest(struct retention *retention, int64_t delay_ms)
{
    retention->timer = loop_timer_after(retention->app->loop, delay_ms, on_due, retention);
}

static void on_pruned(void *context, int result, const struct error *err, int64_t rowid)
{
    struct retention *retention = context;
    retention->job = 0;
    retention->removed += result < 0 ? 0 : rowid;
    bool more = result == STORE_LEFT_OVER && rowid == STORE_PRUNED_MAX;
    if (!more && (retention->removed || result != 0)) { // also where the file still holds them
        LOG_EVENT(result != 0 ? LOG_ERROR : LOG_INFO, "sessions.pruned", "",
                  LOG_NUMBER("sessions", retention->removed),
                  LOG_TEXT("error", result != 0 ? err->text : ""));
        retention->removed = 0;
    }
    rest(retention, more ? PAUSE_MS : ROUND_MS);
}

static void on_due(void *context)
{
    struct retention *retention = context;
    const struct dispatcher_config *config = &retention->app->settings.values.dispatcher;
    retention->timer = 0;
    int64_t kept_ms = config->retention_days * INT64_C(24) * 3600 * 1000, job = 0;
    if (config->prunes)
        job = store_sessions_prune(retention->app->store, loop_wall(retention->app->loop) - kept_ms,
                                   SPAN_ABSENT, on_pruned, retention, NULL);
    if (job > 0)
        retention->job = job;
    else
        rest(retention, config->prunes ? FIRST_MS : ROUND_MS);
}

void retention_init(struct retention *retention, struct app *app)
{
    retention->app = app;
    rest(retention, FIRST_MS);
}

void retention_finish(struct retention *retention)
{
    if (!retention->app)
        return;
    loop_cancel(retention->app->loop, retention->timer);
    store_forget(retention->app->store, retention->job);
}
