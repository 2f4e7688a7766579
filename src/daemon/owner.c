#include "daemon/owner.h"

#include <errno.h>
#include <sys/stat.h>

#include "daemon/control_client.h"
#include "daemon/store_only.h"
#include "loop/loop.h"
#include "serve/control.h"
#include "store/store.h"

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

static int answer_here(const char *home, const char *method, const char *path, struct buf *ret_body,
                       struct error *err)
{
    struct own_answer answer = {ret_body, 0};
    struct store_only only;
    struct stat status;
    if (stat(home, &status) < 0 && errno == ENOENT)
        return error_set(err, -ENOENT,
                         "there is no home %s yet: hermes chat or hermes run makes it", home);
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
    };
    if (store_state(only.store) == STORE_FAILED) {
        r = error_set(err, -EIO, "%s", store_describe(only.store));
    } else {
        control_answer(&env, span_of(method), span_of(path), SPAN_ABSENT, on_answer, &answer);
        store_wait(only.store);
        if (answer.status != 200)
            r = control_client_refusal(answer.status, buf_span(ret_body), err);
    }
    store_only_close(&only);
    return r;
}

int owner_ask(const char *home, const char *method, const char *path, struct buf *ret_body,
              struct error *err)
{
    int r = control_client_ask(home, method, path, ret_body, err);
    if (r != CONTROL_NO_OWNER)
        return r;
    buf_clear(ret_body);
    return answer_here(home, method, path, ret_body, err);
}
