#include "store/turn_read.h"

#include <errno.h>

#include "base/mem.h"
#include "store/store_internal.h"

// Reads of turns and their calls.

#define TURN_COLUMNS                                                                          \
    "t.number, t.id, s.id, t.model, t.error, s.channel, s.chat, s.thread, s.sender, t.state," \
    " t.iteration, t.resumes, t.input_tokens, t.cached_tokens, t.output_tokens, t.cost_pico," \
    " t.started_ms, t.ended_ms, t.source, t.slot, t.pinned, t.tools, t.parent,"               \
    " t.reply_channel, t.reply_chat, t.reply_thread, t.asker, t.iterations_max, t.limit_ms,"  \
    " t.priority, t.unattended, t.interactive,"                                               \
    " (SELECT count(*) FROM approvals WHERE turn = t.number AND state = 'asked')"             \
    " FROM turns t JOIN sessions s ON s.number = t.session"

// `where`: which, and in what order. STORE_NOT_FOUND when there are none.
static int read_turns(struct store_view *view, const char *where, const struct sql_value *values,
                      size_t count, store_turn_fn *row, void *context, struct error *err)
{
    CLEANUP(mem_cleanup) char *sql = mem_printf("SELECT " TURN_COLUMNS " WHERE %s", where);
    SQL_AUTO *stmt = NULL;
    int r = store_read_first(view, sql, values, count, &stmt, err);
    if (r == 0)
        return STORE_NOT_FOUND;
    while (r == SQL_ROW) {
        struct store_turn_row t;
        struct store_turn_terms *terms = &t.terms;
        struct span word;
        sql_read(
            stmt,
            SQL_FIELDS(INTO(t.number), INTO(t.id), INTO(t.session), INTO(t.model), INTO(t.error),
                       INTO(t.channel), INTO(t.chat), INTO(t.thread), INTO(t.sender), INTO(word),
                       INTO(t.iteration), INTO(t.resumes), INTO(t.usage.input_tokens),
                       INTO(t.usage.cached_tokens), INTO(t.usage.output_tokens),
                       INTO(t.usage.cost_pico), INTO(t.started_ms), INTO(t.ended_ms),
                       INTO(terms->origin), INTO(terms->slot), INTO(terms->model),
                       INTO(terms->tools), INTO(terms->parent), INTO(terms->reply_channel),
                       INTO(terms->reply_chat), INTO(terms->reply_thread), INTO(terms->asker),
                       INTO(terms->iterations_max), INTO(terms->limit_ms), INTO(terms->priority),
                       INTO(terms->unattended), INTO(terms->interactive), INTO(t.asked)));
        int state = store_word_find(store_turn_words, STORE_TURN_UNKNOWN, word);
        t.state = state < 0 ? STORE_TURN_UNKNOWN : (enum store_turn_state)state;
        r = row(context, &t) ? sql_step(stmt, err) : 0;
    }
    return r;
}

int store_read_open_turns(struct store *store, store_turn_fn *row, void *context, struct error *err)
{
    static const char where[] = "t.ended_ms IS NULL AND t.state <> 'waiting'"
                                " ORDER BY t.number LIMIT ?";
    int r = read_turns(store_view(store), where, SQL_VALUES(sql_int(STORE_READ_ROWS_MAX)), row,
                       context, err);
    return r == STORE_NOT_FOUND ? 0 : r;
}

int store_read_waiting_turns(struct store *store, int64_t after, store_turn_fn *row, void *context,
                             struct error *err)
{
    static const char where[] = "t.ended_ms IS NULL AND t.state = 'waiting'"
                                " AND t.number > ? ORDER BY t.number LIMIT ?";
    int r = read_turns(store_view(store), where,
                       SQL_VALUES(sql_int(after), sql_int(STORE_READ_ROWS_MAX)), row, context, err);
    return r == STORE_NOT_FOUND ? 0 : r;
}

int store_read_waiting_turn(struct store_view *view, const struct store_session_key *key,
                            store_turn_fn *row, void *context, struct error *err)
{
    static const char where[] = "t.ended_ms IS NULL AND t.state = 'waiting'"
                                " AND s.channel = ? AND s.chat = ? AND s.thread = coalesce(?, '')"
                                " AND s.sender = coalesce(?, '') ORDER BY t.number DESC LIMIT 1";
    return read_turns(view, where,
                      SQL_VALUES(sql_text(key->channel), sql_text(key->chat), sql_text(key->thread),
                                 sql_text(key->sender)),
                      row, context, err);
}

int store_read_turn(struct store *store, struct span id, store_turn_fn *row, void *context,
                    struct error *err)
{
    static const char where[] = "t.id = ?";
    return read_turns(store_view(store), where, SQL_VALUES(sql_text(id)), row, context, err);
}

int store_read_question(struct store_view *view, struct span session, store_question_fn *row,
                        void *context, struct error *err)
{
    // From the newest row back; a large result of a tool is passed over without being read.
    static const char sql[] = "SELECT t.id, m.content"
                              " FROM messages m JOIN turns t ON t.number = m.turn"
                              " WHERE m.session = (SELECT number FROM sessions WHERE id = ?)"
                              " AND m.dropped = 0 AND m.role = 'user' ORDER BY m.id DESC LIMIT 1";
    SQL_AUTO *stmt = NULL;
    int r = store_read_first(view, sql, SQL_VALUES(sql_text(session)), &stmt, err);
    if (r != SQL_ROW)
        return r < 0 ? r : STORE_NOT_FOUND;
    row(context, sql_column(stmt, 0), sql_column(stmt, 1));
    return 0;
}

int store_read_answer(struct store_view *view, struct span turn, store_question_fn *row,
                      void *context, struct error *err)
{
    static const char sql[] = "SELECT t.id, m.content"
                              " FROM turns t JOIN messages m ON m.session = t.session"
                              " WHERE t.id = ? AND m.dropped = 0 AND m.turn = t.number"
                              " AND m.role = 'assistant' ORDER BY m.id DESC LIMIT 1";
    SQL_AUTO *stmt = NULL;
    int r = store_read_first(view, sql, SQL_VALUES(sql_text(turn)), &stmt, err);
    if (r != SQL_ROW)
        return r < 0 ? r : STORE_NOT_FOUND;
    row(context, sql_column(stmt, 0), sql_column(stmt, 1));
    return 0;
}

int store_read_tool_calls(struct store *store, struct span turn, int iteration,
                          store_tool_call_fn *row, void *context, struct error *err)
{
    static const char sql[] =
        "SELECT ordinal, call_id, name, arguments, flags, failed, tainted, result, parts, state"
        " FROM tool_calls WHERE turn = (SELECT number FROM turns WHERE id = ?) AND iteration = ?"
        " ORDER BY ordinal LIMIT ?";
    SQL_AUTO *stmt = NULL;
    int r = store_read_first(
        store_view(store), sql,
        SQL_VALUES(sql_text(turn), sql_int(iteration), sql_int(STORE_READ_ROWS_MAX)), &stmt, err);
    while (r == SQL_ROW) {
        struct store_tool_call c;
        struct span word;
        sql_read(stmt, SQL_FIELDS(INTO(c.ordinal), INTO(c.call_id), INTO(c.name), INTO(c.arguments),
                                  INTO(c.flags), INTO(c.failed), INTO(c.tainted), INTO(c.result),
                                  INTO(c.parts), INTO(word)));
        int state = store_word_find(store_call_words, ARRAY_LEN(store_call_words), word);
        if (state < 0)
            return error_set(err, -EINVAL,
                             "a tool call in the database has no state that is known");
        c.state = (enum store_call_state)state;
        r = row(context, &c) ? sql_step(stmt, err) : 0;
    }
    return r;
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
    SQL_AUTO *stmt = NULL;
    struct store_turn_sums *s = ret_sums;
    int r = session.len == 0
                ? store_read_first(view, all, NULL, 0, &stmt, err)
                : store_read_first(view, one, SQL_VALUES(sql_text(session)), &stmt, err);
    if (r < 0)
        return r;
    // The sum of no rows is NULL, and that is 0.
    sql_read(stmt,
             SQL_FIELDS(INTO(s->turns), INTO(s->done), INTO(s->failed), INTO(s->cancelled),
                        INTO(s->open), INTO(s->usage.input_tokens), INTO(s->usage.cached_tokens),
                        INTO(s->usage.output_tokens), INTO(s->usage.cost_pico)));
    return 0;
}
