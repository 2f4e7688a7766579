#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "codec/utf8.h"
#include "store/message_search.h"
#include "store/session.h"
#include "tools/table.h"

/*
 * Earlier conversations: found by words, read around a message, or listed. It happens on the
 * store's thread, where `search` belongs to nobody else. Somebody at the console sees what was said
 * everywhere, a chat what was said in it, a job what its maker sees. Text that nobody vouched for
 * then is not vouched for now.
 */
enum {
    QUERY_MAX = 1024, // bytes
    LIMIT_DEFAULT = 3,
    LIMIT_MAX = 10,
    WINDOW_DEFAULT = 5,
    WINDOW_MAX = 20,
    MESSAGE_SHOWN_MAX = 1000, // bytes: 41 of them fit into a result
    ID_SHOWN = 12,            // characters, which are enough to name a session
};

struct search {
    const struct tool_env *env; // outlives every run
    struct tool_run *run;
    char *viewer, *turn;
    struct buf words, session; // owned
    int64_t limit, window, around;
    enum store_search_order order;
    const char *role; // NULL: both
    bool everywhere;
    int64_t job; // of the store
    bool reads;  // the job is the read, which the store releases
    struct buf out;
    bool tainted;
};

static void search_destroy(void *context)
{
    struct search *search = context;
    free(search->viewer);
    free(search->turn);
    buf_finish(&search->words);
    buf_finish(&search->session);
    buf_finish(&search->out);
    free(search);
}

static void show_place(struct search *search, const struct store_found *found)
{
    char when[CLOCK_TEXT_SIZE];
    clock_format_utc(found->at_ms, when);
    buf_printf(&search->out, "session %.*s", store_id_shown(found->session, ID_SHOWN),
               found->session.data);
    if (found->title.data)
        buf_printf(&search->out, " \"%.*s\"", (int)found->title.len, found->title.data);
    buf_printf(&search->out, ", %.*s, %.10s", (int)found->channel.len, found->channel.data, when);
    search->tainted = search->tainted || found->tainted; // its title
}

static void show_text(struct search *search, const struct store_found *found)
{
    size_t len = found->text.len;
    if (len > MESSAGE_SHOWN_MAX)
        len = MESSAGE_SHOWN_MAX -
              utf8_incomplete_tail(span_make(found->text.data, MESSAGE_SHOWN_MAX));
    buf_printf(&search->out, "[%lld, %.*s] %.*s%s\n", (long long)found->message,
               (int)found->role.len, found->role.data, (int)len,
               found->text.data ? found->text.data : "", len < found->text.len ? " [cut]" : "");
    search->tainted = search->tainted || found->tainted;
}

static void on_hit(void *context, const struct store_found *found)
{
    show_place(context, found);
    buf_append_text(&((struct search *)context)->out, ": ");
    show_text(context, found);
}

static void on_message(void *context, const struct store_found *found)
{
    struct search *search = context;
    if (search->out.len == 0) {
        show_place(search, found);
        buf_append_char(&search->out, '\n');
    }
    show_text(search, found);
}

static void on_session(void *context, const struct store_found *found)
{
    show_place(context, found);
    buf_printf(&((struct search *)context)->out, ", %lld messages\n", (long long)found->message);
}

// Its beginning may have been given.
static void on_named(void *context, const struct store_session *session)
{
    struct buf *id = context;
    buf_clear(id);
    buf_append_span(id, session->id);
}

static int find(struct search *search, struct store_view *view, struct error *err)
{
    struct store_viewer viewer = {span_of(search->viewer), search->everywhere};
    struct span session = search->session.len ? buf_span(&search->session) : SPAN_ABSENT;
    struct store_message_search wanted = {
        .viewer = viewer,
        .words = buf_span(&search->words),
        .session = session,
        .role = span_of(search->role),
        .but_turn = span_of(search->turn),
        .order = search->order,
        .limit = (int)search->limit,
    };
    if (search->words.len == 0 && !session.data)
        return store_read_sessions_seen(view, &viewer, (int)search->limit, on_session, search, err);
    if (search->words.len == 0 || search->around)
        return store_read_messages_around(view, &viewer, session, search->around,
                                          (int)search->window, on_message, search, err);
    return store_search_messages(view, &wanted, on_hit, search, err);
}

static int read_all(void *context, struct store_view *view, struct error *err)
{
    struct search *search = context;
    int r = 0;
    if (search->session.len)
        r = store_find_session(view, buf_span(&search->session), on_named, &search->session, err);
    if (r == 0)
        r = find(search, view, err);
    if (r == STORE_NOT_FOUND)
        r = error_set(err, -ENOENT, "there is no such session, or no such message in it");
    if (r == STORE_LEFT_OVER)
        buf_append_text(&search->out, "[more sessions match; raise limit, or use other words]\n");
    if (r >= 0 && search->out.len == 0)
        buf_append_text(&search->out, "nothing was found");
    return r < 0 ? r : 0;
}

static void on_read(void *context, int result, const struct error *err, int64_t rowid)
{
    struct search *search = context;
    struct span text = result < 0 ? span_of(err->text) : buf_span(&search->out);
    tool_run_end(search->run,
                 &(struct tool_result){
                     .text = text, .failed = result < 0, .tainted = search->tainted, .ms = -1});
}

static void go_on(struct search *search, int64_t job, const struct error *err)
{
    search->job = job;
    if (job > 0)
        return;
    struct tool_run *run = search->run;
    search_destroy(search);
    tool_run_end(run, &(struct tool_result){.text = span_of(err->text), .failed = true, .ms = -1});
}

// Piece by piece, so that the store does something else in between.
static void on_indexed(void *context, int result, const struct error *err, int64_t rowid)
{
    static const struct store_reading reading = {read_all, on_read, search_destroy};
    struct search *search = context;
    struct error problem = ERROR_INIT;
    search->reads = result == 0;
    if (result == STORE_LEFT_OVER)
        go_on(search, store_messages_index(search->env->store, on_indexed, search, &problem),
              &problem);
    else if (result == 0)
        go_on(search, store_read(search->env->store, &reading, search, &problem), &problem);
    else
        go_on(search, result, err);
}

static int take_role(struct json_value arguments, struct search *search, struct error *err)
{
    BUF_AUTO text = BUF_INIT(0);
    bool user = false, assistant = false;
    if (!tool_has(arguments, "role_filter"))
        return 0;
    int r = tool_need_text(arguments, "role_filter", QUERY_MAX, &text, err);
    for (struct span rest = buf_span(&text); r == 0 && rest.len;) {
        struct span word = span_trim(span_cut(&rest, ','));
        user = user || span_is(word, "user");
        assistant = assistant || span_is(word, "assistant");
    }
    if (r == 0 && !user && !assistant)
        r = error_set(err, -EINVAL,
                      "the parameter \"role_filter\" must be user, assistant or both; what tools "
                      "said is not searched");
    search->role = user && assistant ? NULL : user ? "user" : "assistant";
    return r;
}

static int take_order(struct json_value arguments, struct search *search, struct error *err)
{
    struct json_value sort = json_get(arguments, "sort");
    search->order = json_is(sort, "newest")   ? STORE_NEWEST_FIRST
                    : json_is(sort, "oldest") ? STORE_OLDEST_FIRST
                                              : STORE_BEST_FIRST;
    if (tool_has(arguments, "sort") && search->order == STORE_BEST_FIRST)
        return error_set(err, -EINVAL, "the parameter \"sort\" must be newest or oldest");
    return 0;
}

static int take_place(struct json_value arguments, struct search *search, struct error *err)
{
    int r = 0;
    if (tool_has(arguments, "session_id"))
        r = tool_need_text(arguments, "session_id", STORE_ID_MAX, &search->session, err);
    if (r == 0 && tool_has(arguments, "around_message_id"))
        r = tool_want_number(arguments, "around_message_id", 0, 1, INT64_MAX, &search->around, err);
    if (r == 0 && search->around && !search->session.len)
        r = error_set(err, -EINVAL, "\"around_message_id\" needs the \"session_id\" beside it");
    if (r == 0)
        r = tool_want_number(arguments, "window", WINDOW_DEFAULT, 1, WINDOW_MAX, &search->window,
                             err);
    return r;
}

static int take(struct json_value arguments, struct search *search, struct error *err)
{
    int r = 0;
    if (tool_has(arguments, "query"))
        r = tool_need_text(arguments, "query", QUERY_MAX, &search->words, err);
    if (r == 0)
        r = tool_want_number(arguments, "limit", LIMIT_DEFAULT, 1, LIMIT_MAX, &search->limit, err);
    if (r == 0)
        r = take_order(arguments, search, err);
    if (r == 0)
        r = take_role(arguments, search, err);
    if (r == 0)
        r = take_place(arguments, search, err);
    return r;
}

static int start(const struct tool_env *env, const struct tool_call *call, struct tool_run *run,
                 struct buf *out, struct error *err)
{
    const struct tool_call_context *context = call->context;
    struct search *search = mem_new(struct search);
    bool console = context->origin && strcmp(context->origin, "console") == 0;
    bool alone = context->session && !*context->session; // a program of the owner's, in no chat
    *search = (struct search){
        .env = env,
        .run = run,
        .viewer = mem_strdup(context->session ? context->session : ""),
        .turn = mem_strdup(context->turn ? context->turn : ""),
        .everywhere = console || alone,
        .out = BUF_INIT(TOOL_TEXT_MAX),
    };
    int r = take(call->arguments, search, err);
    if (r == 0)
        search->job = store_messages_index(env->store, on_indexed, search, err);
    if (r < 0 || search->job < 0) {
        r = r < 0 ? r : (int)search->job;
        search_destroy(search);
        return r;
    }
    tool_run_set_handle(run, (union tool_handle){.number = (intptr_t)search});
    return 0;
}

// What reads is released by the store.
static void forget(const struct tool_env *env, int64_t handle)
{
    struct search *search = (struct search *)(intptr_t)handle;
    bool reads = search->reads;
    store_forget(env->store, search->job);
    if (!reads)
        search_destroy(search);
}

const struct tool tool_session_search = {
    .name = "session_search",
    .description = "Earlier conversations. query finds them by words; session_id with "
                   "around_message_id reads what was said around a message, session_id alone the "
                   "end; without arguments the latest are listed.",
    .parameters =
        "{\"type\":\"object\",\"properties\":{"
        "\"query\":{\"type\":\"string\",\"description\":\"Words\"},"
        "\"limit\":{\"type\":\"integer\",\"description\":\"Most sessions, to 10; 3\"},"
        "\"sort\":{\"type\":\"string\",\"enum\":[\"newest\",\"oldest\"],\"description\":"
        "\"Instead of the best first\"},"
        "\"session_id\":{\"type\":\"string\",\"description\":\"As a result shows it\"},"
        "\"around_message_id\":{\"type\":\"integer\",\"description\":\"The number of a message\"},"
        "\"window\":{\"type\":\"integer\",\"description\":\"Messages before and after it, to "
        "20; 5\"},"
        "\"role_filter\":{\"type\":\"string\",\"description\":\"user or assistant\"}}}",
    .flags = TOOL_READS | TOOL_REPEATABLE | TOOL_UNATTENDED | TOOL_FOUND,
    .start = start,
    .forget = forget,
};
