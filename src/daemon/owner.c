#include "daemon/owner.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "base/mem.h"
#include "daemon/control_client.h"
#include "daemon/store_only.h"
#include "loop/loop.h"
#include "serve/control.h"
#include "store/journal.h"
#include "store/ledger.h"
#include "store/store.h"

// For a start that still reads what the one before left.
enum { PATIENCE_MS = 5000, LOOK_MS = 20 };

static void free_generations(uint64_t **generations)
{
    free(*generations);
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

struct own_question {
    const char *method, *path;
    bool of_costs;
    const struct router_plan *plan;
};

static void on_fold(void *context, int result, const struct error *err,
                    const struct store_fold_result *folded)
{
    bool *is_behind = context;
    *is_behind = result == 0 && folded->is_behind;
}

// As a start of the router would.
static void take_up(const struct store_only *only)
{
    CLEANUP(free_generations) uint64_t *generations = NULL;
    struct store_fold_range range = {
        .home = only->home.path, .limit = -1, .wall_ms = clock_wall_ms(&clock_system)};
    bool is_behind = journal_list(range.home, &generations, &range.count, NULL) == 0 && range.count;
    range.generations = generations;
    while (is_behind) {
        is_behind = false;
        store_ledger_fold(only->store, &range, on_fold, &is_behind, NULL);
        store_wait(only->store);
    }
    store_ledger_charge_orphans(only->store, NULL, NULL, NULL);
    store_wait(only->store);
}

static int answer_here(const char *home, const struct own_question *question, struct buf *ret_body,
                       struct error *err)
{
    struct own_answer answer = {ret_body, 0};
    struct store_only only;
    struct stat status;
    if (stat(home, &status) < 0 && errno == ENOENT)
        return error_set(err, -ENOENT,
                         "there is no home %s yet: hermes chat or hermes run creates it", home);
    int r = store_only_open(home, &only, err);
    if (r < 0)
        return r;
    struct control_env env = {
        .loop = only.loop,
        .store = only.store,
        .home = only.home.path,
        .version = HERMES_VERSION,
        .started_ms = loop_wall(only.loop),
        .up_since_ms = loop_now(only.loop),
        .plan = question->plan,
    };
    if (store_state(only.store) == STORE_FAILED) {
        r = error_set(err, -EIO, "%s", store_describe(only.store));
    } else {
        if (question->of_costs)
            take_up(&only);
        control_answer(&env, span_of(question->method), span_of(question->path), SPAN_ABSENT,
                       on_answer, &answer);
        store_wait(only.store);
        if (answer.status != 200)
            r = control_client_refusal(answer.status, buf_span(ret_body), err);
    }
    store_only_close(&only);
    return r;
}

static int ask(const char *home, const struct own_question *question, struct buf *ret_body,
               struct error *err)
{
    int r = control_client_ask(home, question->method, question->path, ret_body, err);
    if (r != CONTROL_NO_OWNER)
        return r;
    buf_clear(ret_body);
    return answer_here(home, question, ret_body, err);
}

int owner_ask(const char *home, const char *method, const char *path, struct buf *ret_body,
              struct error *err)
{
    struct own_question question = {.method = method, .path = path};
    return ask(home, &question, ret_body, err);
}

int owner_ask_cost(const char *home, const char *path, const struct router_plan *plan,
                   struct buf *ret_body, struct error *err)
{
    struct own_question question = {"GET", path, true, plan};
    int r = -EAGAIN;
    for (int waited_ms = 0; r == -EAGAIN && waited_ms <= PATIENCE_MS; waited_ms += LOOK_MS) {
        if (waited_ms)
            nanosleep(&(struct timespec){.tv_nsec = LOOK_MS * 1000000L}, NULL);
        buf_clear(ret_body);
        r = ask(home, &question, ret_body, err);
    }
    return r;
}
