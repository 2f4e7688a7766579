#include "tools/spool_keeper.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "tools/spool.h"

enum {
    FIRST_MS = 10 * 1000, // what has more haste comes first
    EVERY_MS = 24 * 3600 * 1000,
    PATIENCE_MS = 10 * 60 * 1000,
    ANSWER_MAX = 1024, // bytes
};

struct spool_keeper {
    struct loop *loop;
    struct processes *processes;
    const char *results;
    loop_id next;
    process_id runs;
};

static void on_end(void *context, const struct process_end *end)
{
    struct spool_keeper *keeper = context;
    keeper->runs = 0;
    if (end->result != 0)
        log_warning("old results in %s could not be removed: %s", keeper->results,
                    end->result < 0 ? end->err->text : "see the directory");
}

static void on_due(void *context)
{
    static const struct process_events events = {.on_end = on_end};
    struct spool_keeper *keeper = context;
    struct process_spec spec = {
        .function = spool_prune_function.name,
        .directory = keeper->results,
        .limits = {.wall_ms = PATIENCE_MS},
        .stdio = {[PROCESS_STDOUT] = {.kind = PROCESS_BUFFER, .max = ANSWER_MAX},
                  [PROCESS_STDERR] = {.kind = PROCESS_INHERIT}},
    };
    struct error err = ERROR_INIT;
    keeper->next = loop_timer_after(keeper->loop, EVERY_MS, on_due, keeper);
    if (process_start(keeper->processes, &spec, &events, keeper, &keeper->runs, &err) < 0)
        log_warning("old results in %s could not be removed: %s", keeper->results, err.text);
}

struct spool_keeper *spool_keeper_create(struct loop *loop, struct processes *processes,
                                         const char *results)
{
    struct spool_keeper *keeper = mem_new(struct spool_keeper);
    *keeper = (struct spool_keeper){.loop = loop, .processes = processes, .results = results};
    if (results)
        keeper->next = loop_timer_after(loop, FIRST_MS, on_due, keeper);
    return keeper;
}

void spool_keeper_destroy(struct spool_keeper *keeper)
{
    if (!keeper)
        return;
    loop_cancel(keeper->loop, keeper->next);
    process_cancel(keeper->processes, keeper->runs);
    free(keeper);
}
