#include "store/turn_read.h"

#include <errno.h>

#include "store/store_internal.h"

// Reads of turns and their calls.

#define TURN_COLUMNS                                                                             \
    "t.number, t.id, s.id, t.source, t.model, t.error, s.channel, s.chat, t.state, t.iteration," \
    " t.resumes, t.input_tokens, t.cached_tokens, t.output_tokens, t.cost_pico,"                 \
    " t.started_ms, t.ended_ms, t.slot, t.pinned, t.reply_channel, t.reply_chat,"                \
    " t.iterations_max, t.limit_ms, t.interactive, t.reply_thread, s.thread, s.sender,"          \
    " t.asker, (SELECT count(*) FROM approvals WHERE turn = t.number AND state = 'asked'),"      \
    " t.tools, t.parent, t.priority, t.unattended"                                               \
    " FROM turns t JOIN sessions s ON s.number = t.session"

struct reading {
    store_turn_fn *row;
    void *context;
};

static struct store_usage usage_of(sqlite3_stmt *stmt, int column)
{
    return (struct store_usage){
        .input_tokens = sqlite3_column_int64(stmt, column),
        .cached_tokens = sqlite3_column_int64(stmt, column + 1),
        .output_tokens = sqlite3_column_int64(stmt, column + 2),
        .cost_pico = sqlite3_column_int64(stmt, column + 3),
    };
}

static int tell(void *context, sqlite3_stmt *stmt, struct error *err)
{
    const struct reading *reading = context;
    int state = store_word_find(store_turn_words, STORE_TURN_UNKNOWN, sql_column(stmt, 8));
    struct store_turn_row turn = {
        .number = sqlite3_column_int64(stmt, 0),
        .id = sql_column(stmt, 1),
        .session = sql_column(stmt, 2),
        .model = sql_column(stmt, 4),
        .error = sql_column(stmt, 5),
        .channel = sql_column(stmt, 6),
        .chat = sql_column(stmt, 7),
        .state = state < 0 ? STORE_TURN_UNKNOWN : (enum store_turn_state)state,
        .iteration = sqlite3_column_int(stmt, 9),
        .resumes = sqlite3_column_int(stmt, 10),
        .usage = usage_of(stmt, 11),
        .started_ms = sqlite3_column_int64(stmt, 15),
        .ended_ms = sqlite3_column_int64(stmt, 16),
        .terms = {.origin = sql_column(stmt, 3),
                  .slot = sql_column(stmt, 17),
                  .model = sql_column(stmt, 18),
                  .reply_channel = sql_column(stmt, 19),
                  .reply_chat = sql_column(stmt, 20),
                  .iterations_max = sqlite3_column_int64(stmt, 21),
                  .limit_ms = sqlite3_column_int64(stmt, 22),
                  .interactive = sqlite3_column_int(stmt, 23) != 0,
                  .reply_thread = sql_column(stmt, 24),
                  .asker = sql_column(stmt, 27),
                  .tools = sql_column(stmt, 29),
                  .parent = sql_column(stmt, 30),
                  .priority = sqlite3_column_int(stmt, 31),
                  .unattended = sqlite3_column_int(stmt, 32) != 0},
        .thread = sql_column(stmt, 25),
        .sender = sql_column(stmt, 26),
        .asked = sqlite3_column_int64(stmt, 28),
    };
    return reading->row(reading->context, &turn) ? SQL_ROW : 0;
}

int store_read_open_turns(struct store *store, store_turn_fn *row, void *context, struct error *err)
{
    static const char sql[] =
        "SELECT " TURN_COLUMNS " WHERE t.ended_ms IS NULL AND t.state <> 'waiting'"
        " ORDER BY t.number LIMIT ?";
    struct reading reading = {row, context};
    return store_read_rows(store_view(store), sql, SQL_VALUES(sql_int(STORE_READ_ROWS_MAX)), tell,
                           &reading, err);
}

int store_read_waiting_turns(struct store *store, int64_t after, store_turn_fn *row, void *context,
                             struct error *err)
{
    static const char sql[] =
        "SELECT " TURN_COLUMNS " WHERE t.ended_ms IS NULL AND t.state = 'waiting'"
        " AND t.number > ? ORDER BY t.number LIMIT ?";
    struct reading reading = {row, context};
    return store_read_rows(store_view(store), sql,
                           SQL_VALUES(sql_int(after), sql_int(STORE_READ_ROWS_MAX)), tell, &reading,
                           err);
}

int store_read_waiting_turn(struct store_view *view, const struct store_session_key *key,
                            store_turn_fn *row, void *context, struct error *err)
{
    static const char sql[] =
        "SELECT " TURN_COLUMNS " WHERE t.ended_ms IS NULL AND t.state = 'waiting'"
        " AND s.channel = ? AND s.chat = ? AND s.thread = coalesce(?, '')"
        " AND s.sender = coalesce(?, '') ORDER BY t.number DESC LIMIT 1";
    struct reading reading = {row, context};
    return store_read_row(view, sql,
                          SQL_VALUES(sql_text(key->channel), sql_text(key->chat),
                                     sql_text(key->thread), sql_text(key->sender)),
                          tell, &reading, err);
}

int store_read_turn(struct store *store, struct span id, store_turn_fn *row, void *context,
                    struct error *err)
{
    static const char sql[] = "SELECT " TURN_COLUMNS " WHERE t.id = ?";
    struct reading reading = {row, context};
    return store_read_row(store_view(store), sql, SQL_VALUES(sql_text(id)), tell, &reading, err);
}

struct question_reading {
    store_question_fn *row;
    void *context;
};

static int tell_question(void *context, sqlite3_stmt *stmt, struct error *err)
{
    const struct question_reading *reading = context;
    reading->row(reading->context, sql_column(stmt, 0), sql_column(stmt, 1));
    return 0;
}

int store_read_question(struct store_view *view, struct span session, store_question_fn *row,
                        void *context, struct error *err)
{
    // From the newest row back; a large result of a tool is passed over without being read.
    static const char sql[] = "SELECT t.id, m.content"
                              " FROM messages m JOIN turns t ON t.number = m.turn"
                              " WHERE m.session = (SELECT number FROM sessions WHERE id = ?)"
                              " AND m.dropped = 0 AND m.role = 'user' ORDER BY m.id DESC LIMIT 1";
    struct question_reading reading = {row, context};
    return store_read_row(view, sql, SQL_VALUES(sql_text(session)), tell_question, &reading, err);
}

struct call_reading {
    store_tool_call_fn *row;
    void *context;
};

static int tell_call(void *context, sqlite3_stmt *stmt, struct error *err)
{
    const struct call_reading *reading = context;
    int state = store_word_find(store_call_words, ARRAY_LEN(store_call_words), sql_column(stmt, 4));
    if (state < 0)
        return error_set(err, -EINVAL, "a tool call in the database has no state that is known");
    struct store_tool_call call = {
        .ordinal = sqlite3_column_int(stmt, 0),
        .call_id = sql_column(stmt, 1),
        .name = sql_column(stmt, 2),
        .arguments = sql_column(stmt, 3),
        .state = (enum store_call_state)state,
        .flags = sqlite3_column_int64(stmt, 5),
        .failed = sqlite3_column_int(stmt, 6) != 0,
        .tainted = sqlite3_column_int(stmt, 7) != 0,
        .result = sql_column(stmt, 8),
    };
    return reading->row(reading->context, &call) ? SQL_ROW : 0;
}

int store_read_tool_calls(struct store *store, struct span turn, int iteration,
                          store_tool_call_fn *row, void *context, struct error *err)
{
    static const char sql[] =
        "SELECT ordinal, call_id, name, arguments, state, flags, failed, tainted, result"
        " FROM tool_calls WHERE turn = (SELECT number FROM turns WHERE id = ?) AND iteration = ?"
        " ORDER BY ordinal LIMIT ?";
    struct call_reading reading = {row, context};
    return store_read_rows(
        store_view(store), sql,
        SQL_VALUES(sql_text(turn), sql_int(iteration), sql_int(STORE_READ_ROWS_MAX)), tell_call,
        &reading, err);
}

static int take_sums(void *context, sqlite3_stmt *stmt, struct error *err)
{
    *(struct store_turn_sums *)context = (struct store_turn_sums){
        .turns = sqlite3_column_int64(stmt, 0),
        .done = sqlite3_column_int64(stmt, 1), // the sum of no rows is NULL, and that is 0
        .failed = sqlite3_column_int64(stmt, 2),
        .cancelled = sqlite3_column_int64(stmt, 3),
        .open = sqlite3_column_int64(stmt, 4),
        .usage = usage_of(stmt, 5),
    };
    return 0;
}

int store_read_turn_sums(struct store_view *view, struct span session,
                         struct store_turn_sums *ret_sums, struct error *err)
{
#define SUMS                                                                                 \
    "SELECT count(*), sum(state = 'done'), sum(state = 'failed'), sum(state = 'cancelled')," \
    " sum(ended_ms IS NULL), sum(input_tokens), sum(cached_tokens), sum(output_tokens),"     \
    " " SQL_SUM("cost_pico") " FROM turns"
    static const char all[] = SUMS;
    static const char one[] = SUMS " WHERE session = (SELECT number FROM sessions WHERE id = ?)";
    if (session.len == 0)
        return store_read_row(view, all, NULL, 0, take_sums, ret_sums, err);
    return store_read_row(view, one, SQL_VALUES(sql_text(session)), take_sums, ret_sums, err);
}
