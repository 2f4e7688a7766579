#include "daemon/owner.h"

#include <errno.h>
#include <sys/stat.h>
#include <time.h>

#include "base/mem.h"
#include "daemon/control_client.h"
#include "daemon/home.h"
#include "daemon/page.h"
#include "daemon/settings.h"
#include "loop/loop.h"
#include "serve/control.h"
#include "store/journal.h"
#include "store/ledger.h"
#include "store/store.h"

// For a start that still reads what the one before left.
enum { PATIENCE_MS = 5000, LOOK_MS = 20 };

int store_only_open(const char *home, struct store_only *only, struct error *err)
{
    struct stat status;
    if (stat(home, &status) < 0 && errno == ENOENT)
        return error_set(err, -ENOENT,
                         "there is no home %s yet: hermes chat or hermes run creates it", home);
    int r = loop_create(&clock_system, &only->loop, err);
    if (r == 0)
        r = home_open(home, &only->home, err);
    if (r == 0)
        home_leave(&only->home); // soon: a service that starts meanwhile waits for that
    if (r == 0)
        r = store_open(only->home.path, NULL, &only->store, err);
    if (r == 0)
        store_wait(only->store);
    if (r == 0 && store_state(only->store) == STORE_FAILED)
        r = error_set(err, -EIO, "%s", store_describe(only->store));
    return r;
}

void store_only_close(struct store_only *only)
{
    store_close(only->store);
    home_close(&only->home);
    loop_destroy(only->loop);
}

static void close_log(struct gateway_log **log)
{
    gateway_log_close(*log);
}

struct own_answer {
    struct buf *body;
    unsigned status;
};

static void on_answer(void *context, unsigned status, struct span body)
{
    struct own_answer *answer = context;
    answer->status = status;
    buf_append_span(answer->body, body);
}

static void on_apply(void *context, int result, const struct error *err,
                     const struct store_apply_result *applied)
{
    bool *is_behind = context;
    *is_behind = result == 0 && applied->is_behind;
}

// As a start of the router would.
static void take_up(const struct store_only *only)
{
    CLEANUP(mem_cleanup) uint64_t *generations = NULL;
    struct store_apply_range range = {
        .home = only->home.path, .limit = -1, .wall_ms = clock_wall_ms(&clock_system)};
    bool is_behind = journal_list(range.home, &generations, &range.count, NULL) == 0 && range.count;
    range.generations = generations;
    while (is_behind) {
        is_behind = false;
        store_ledger_apply(only->store, &range, on_apply, &is_behind, NULL);
        store_wait(only->store);
    }
    store_ledger_charge_orphans(only->store, NULL, NULL, NULL);
    store_wait(only->store);
}

static int answer_here(const char *home, const struct owner_question *question,
                       struct buf *ret_body, struct error *err)
{
    struct own_answer answer = {ret_body, 0};
    STORE_ONLY_AUTO only = {.home = HOME_INIT};
    int r = store_only_open(home, &only, err);
    if (r < 0)
        return r;
    struct control_env env = {
        .loop = only.loop,
        .store = only.store,
        .home = only.home.path,
        .workspace = only.home.workspace,
        .started_ms = loop_wall(only.loop),
        .up_since_ms = loop_now(only.loop),
        .plan = question->plan,
    };
    CLEANUP(close_log) struct gateway_log *log = NULL;
    r = question->log ? settings_open_log(question->log, only.home.path, NULL, &log, err) : 0;
    if (r < 0)
        return r;
    if (question->of_costs)
        take_up(&only);
    control_answer(&env, span_of(question->method), span_of(question->path), SPAN_ABSENT, on_answer,
                   &answer);
    store_wait(only.store);
    return answer.status == 200 ? 0
                                : control_client_refusal(answer.status, buf_span(ret_body), err);
}

static int ask(const char *home, const struct owner_question *question, struct buf *ret_body,
               struct error *err)
{
    buf_clear(ret_body);
    int r = control_client_ask(home, question->method, question->path, ret_body, err);
    if (r != CONTROL_NO_OWNER)
        return r;
    buf_clear(ret_body);
    return answer_here(home, question, ret_body, err);
}

int owner_ask(const char *home, const struct owner_question *question, struct buf *ret_body,
              struct json *ret_values, struct error *err)
{
    int r = ask(home, question, ret_body, err);
    for (int waited_ms = 0; r == -EAGAIN && question->of_costs && waited_ms < PATIENCE_MS;
         waited_ms += LOOK_MS) {
        nanosleep(&(struct timespec){.tv_nsec = LOOK_MS * 1000000L}, NULL);
        r = ask(home, question, ret_body, err);
    }
    return r == 0 ? json_parse(ret_values, buf_span(ret_body), err) : r;
}
