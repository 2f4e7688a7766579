#include "base/mem.h"
#include "store/migrate.h"

/*
 * The schema, as the steps that lead to it. A step that was released is never edited; what changes
 * is a new step at the end.
 *
 * Names and numbers. What the rest of the program names by text (sessions, turns) it names itself,
 * so that it can submit a session, its turn and its messages without waiting for an answer. Inside,
 * rows point at each other by number, which keeps the indexes of the large tables small. Order is
 * the order of numbers, never of times: a Pi has no clock of its own, and wakes up in 1970.
 *
 * Numbers of messages, sessions and turns are never used again (AUTOINCREMENT): once something was
 * deleted, a number that is remembered elsewhere must not come to mean something else.
 *
 * A turn is complete here, so that it can be continued after a crash: its state, the iteration, the
 * tool calls with the model's own bytes, the flags of each one's tool, how often it was taken up
 * again. States are words, since the file is also read by people with a shell; what they may be is
 * said by the tables in turn_words.c and outbox.c.
 *
 * messages.turn has no foreign key, because enforcing one would need an index on the largest table
 * that no query uses. Messages go with their session, and so do turns.
 *
 * In and out. A message is in the inbox before its sender's server hears that it arrived, and the
 * cursor of that server moves in the same transaction. handled_ms is set in the one that acts on
 * it; from then on the row is there for its external id, by which a second delivery and an edit are
 * recognised, and its text, which went where it was wanted, is gone. A reply is in the outbox in
 * the transaction that ends its turn, or before, if it is shown while it is written. inbox.turn and
 * outbox.turn are no foreign keys either: both tables outlive a session that was deleted.
 *
 * Of the indexes on inbox and outbox those that find what waits are partial, so that they stay as
 * small as that is, whatever has been done before.
 *
 * A turn that was taken back (/undo, /retry) stays, because it was paid for; `dropped` takes its
 * messages out of the conversation, and is part of the index by which a conversation is read.
 *
 * sessions.used is the number of the newest message when the session was used last: an order of
 * use that no clock can disturb.
 *
 * The memory's text index keeps no text of its own (external content); the triggers are the only
 * writers of it, so it cannot be forgotten in some function.
 *
 * Spending. A row of the ledger is an attempt to have a model answer; it carries names and no
 * foreign keys, since what was paid stays true when its session is gone. Its number is the order in
 * which attempts ended. `last` is 1, and has no meaning any more; `charges` are the
 * accounts that pay, kept only while the cost may still be corrected. The instant comes first in a
 * row's name, so that its index grows at its end: by the call's id, which is random, each row would
 * write a page of its own. The rows are forgotten after some months, so their sums per day are
 * written in the same transaction, and what each budget has spent too: no sum is ever calculated by
 * adding up rows. journals says how far each generation of the journal was applied, and `sealed`
 * that this is on the disk; reservations are those of calls that had not ended by then.
 *
 * Jobs are not here: nothing writes them yet, a table without a writer is a guess, and adding one
 * later is a step that takes a millisecond.
 */

// clean: 1 closed in order, 0 in use or not closed in order, -1 damage was seen while in use.
static const char version_1[] =
    "CREATE TABLE meta("
    "  key TEXT PRIMARY KEY NOT NULL,"
    "  value NOT NULL"
    ") WITHOUT ROWID;"
    "INSERT INTO meta(key, value) VALUES('clean', 1);"

    "CREATE TABLE sessions("
    "  number INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  id TEXT NOT NULL UNIQUE, channel TEXT NOT NULL, chat TEXT NOT NULL, title TEXT,"
    "  model TEXT, prompt TEXT, created_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL"
    ");"
    "CREATE INDEX sessions_chat ON sessions(channel, chat);"

    "CREATE TABLE turns("
    "  number INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  id TEXT NOT NULL UNIQUE,"
    "  session INTEGER NOT NULL REFERENCES sessions(number) ON DELETE CASCADE,"
    "  state TEXT NOT NULL, iteration INTEGER NOT NULL DEFAULT 0, source TEXT NOT NULL,"
    "  external_id TEXT, model TEXT, error TEXT, input_tokens INTEGER NOT NULL DEFAULT 0,"
    "  cached_tokens INTEGER NOT NULL DEFAULT 0, output_tokens INTEGER NOT NULL DEFAULT 0,"
    "  cost_micro_usd INTEGER NOT NULL DEFAULT 0, started_ms INTEGER NOT NULL, ended_ms INTEGER"
    ");"
    "CREATE INDEX turns_session ON turns(session);"
    "CREATE INDEX turns_open ON turns(number) WHERE ended_ms IS NULL;"
    "CREATE UNIQUE INDEX turns_external ON turns(source, external_id)"
    "  WHERE external_id IS NOT NULL;"

    "CREATE TABLE messages("
    "  id INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  session INTEGER NOT NULL REFERENCES sessions(number) ON DELETE CASCADE,"
    "  turn INTEGER, role TEXT NOT NULL, content TEXT, reasoning TEXT, tool_calls BLOB,"
    "  tool_call_id TEXT, name TEXT, tainted INTEGER NOT NULL DEFAULT 0,"
    "  created_ms INTEGER NOT NULL"
    ");"
    "CREATE INDEX messages_session ON messages(session);"

    "CREATE TABLE tool_calls("
    "  turn INTEGER NOT NULL REFERENCES turns(number) ON DELETE CASCADE,"
    "  iteration INTEGER NOT NULL, ordinal INTEGER NOT NULL, call_id TEXT, name TEXT NOT NULL,"
    "  arguments BLOB, state TEXT NOT NULL, repeatable INTEGER NOT NULL,"
    "  failed INTEGER NOT NULL DEFAULT 0, tainted INTEGER NOT NULL DEFAULT 0, result BLOB,"
    "  changed_ms INTEGER NOT NULL,"
    "  UNIQUE(turn, iteration, ordinal)"
    ");"

    "CREATE TABLE memory("
    "  id INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  content TEXT NOT NULL, tainted INTEGER NOT NULL DEFAULT 0, created_ms INTEGER NOT NULL"
    ");"
    "CREATE VIRTUAL TABLE memory_fts USING fts5("
    "  content, content = 'memory', content_rowid = 'id',"
    "  tokenize = 'unicode61 remove_diacritics 2'"
    ");"
    "CREATE TRIGGER memory_added AFTER INSERT ON memory BEGIN"
    "  INSERT INTO memory_fts(rowid, content) VALUES(new.id, new.content);"
    "END;"
    "CREATE TRIGGER memory_removed AFTER DELETE ON memory BEGIN"
    "  INSERT INTO memory_fts(memory_fts, rowid, content)"
    "  VALUES('delete', old.id, old.content);"
    "END;"
    "CREATE TRIGGER memory_changed AFTER UPDATE OF content ON memory BEGIN"
    "  INSERT INTO memory_fts(memory_fts, rowid, content)"
    "  VALUES('delete', old.id, old.content);"
    "  INSERT INTO memory_fts(rowid, content) VALUES(new.id, new.content);"
    "END;";

static const char version_2[] =
    "CREATE TABLE inbox("
    "  number INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  channel TEXT NOT NULL, chat TEXT NOT NULL, external_id TEXT NOT NULL,"
    "  sender TEXT NOT NULL, text TEXT NOT NULL, cut INTEGER NOT NULL, sent_ms INTEGER NOT NULL,"
    "  received_ms INTEGER NOT NULL, handled_ms INTEGER, turn INTEGER,"
    "  UNIQUE(channel, external_id)"
    ");"
    "CREATE INDEX inbox_waiting ON inbox(number) WHERE handled_ms IS NULL;"

    "CREATE TABLE cursors("
    "  channel TEXT PRIMARY KEY NOT NULL,"
    "  value INTEGER NOT NULL"
    ") WITHOUT ROWID;"

    "CREATE TABLE outbox("
    "  number INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  channel TEXT NOT NULL, chat TEXT NOT NULL, turn INTEGER, state TEXT NOT NULL,"
    "  in_flight INTEGER NOT NULL DEFAULT 0, part INTEGER NOT NULL DEFAULT 0, message_id TEXT,"
    "  attempts INTEGER NOT NULL DEFAULT 0, next_ms INTEGER NOT NULL DEFAULT 0, error TEXT,"
    "  created_ms INTEGER NOT NULL, changed_ms INTEGER NOT NULL, text TEXT NOT NULL"
    ");"
    "CREATE INDEX outbox_waiting ON outbox(channel) WHERE state IN ('open', 'pending');"
    "CREATE INDEX outbox_failed ON outbox(channel) WHERE state = 'failed';"
    "CREATE INDEX outbox_sent ON outbox(number) WHERE state = 'sent';"
    "CREATE INDEX outbox_turn ON outbox(turn) WHERE turn IS NOT NULL;"

    "ALTER TABLE turns ADD COLUMN resumes INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE turns ADD COLUMN dropped INTEGER NOT NULL DEFAULT 0;"

    "ALTER TABLE messages ADD COLUMN dropped INTEGER NOT NULL DEFAULT 0;"
    "DROP INDEX messages_session;"
    "CREATE INDEX messages_session ON messages(session, dropped);"

    "ALTER TABLE sessions ADD COLUMN used INTEGER NOT NULL DEFAULT 0;"
    "UPDATE sessions SET used = coalesce("
    "  (SELECT max(m.id) FROM messages m WHERE m.session = sessions.number), 0);"
    "CREATE INDEX sessions_used ON sessions(used);";

static const char version_3[] =
    "CREATE TABLE ledger("
    "  number INTEGER PRIMARY KEY,"
    "  call TEXT NOT NULL, operation TEXT NOT NULL, slot TEXT NOT NULL, session TEXT NOT NULL,"
    "  job TEXT NOT NULL, key TEXT NOT NULL, user TEXT NOT NULL, asked TEXT NOT NULL,"
    "  deployment TEXT NOT NULL, provider TEXT NOT NULL, model TEXT NOT NULL,"
    "  error TEXT NOT NULL, reason TEXT NOT NULL, instead_of TEXT NOT NULL,"
    "  reply_id TEXT NOT NULL,"
    "  attempt INTEGER NOT NULL, wall_ms INTEGER NOT NULL, day INTEGER NOT NULL,"
    "  duration_ms INTEGER, first_byte_ms INTEGER, status INTEGER,"
    "  prompt_tokens INTEGER, completion_tokens INTEGER, cached_tokens INTEGER,"
    "  cache_write_tokens INTEGER, reasoning_tokens INTEGER,"
    "  bytes_in INTEGER, bytes_out INTEGER, tools_bytes INTEGER, messages_bytes INTEGER,"
    "  cost_pico INTEGER, reserved_pico INTEGER,"
    "  streamed INTEGER NOT NULL, cancelled INTEGER NOT NULL, last INTEGER NOT NULL,"
    "  source TEXT NOT NULL, charges BLOB,"
    "  UNIQUE(wall_ms, call, attempt)"
    ");"
    "CREATE TABLE ledger_days("
    "  day INTEGER NOT NULL, model TEXT NOT NULL, slot TEXT NOT NULL, key TEXT NOT NULL,"
    "  calls INTEGER NOT NULL, attempts INTEGER NOT NULL, failed INTEGER NOT NULL,"
    "  cancelled INTEGER NOT NULL, unsure INTEGER NOT NULL,"
    "  prompt_tokens INTEGER NOT NULL, cached_tokens INTEGER NOT NULL,"
    "  completion_tokens INTEGER NOT NULL, cost_pico INTEGER NOT NULL,"
    "  PRIMARY KEY(day, model, slot, key)"
    ") WITHOUT ROWID;"
    "CREATE TABLE budgets("
    "  account TEXT NOT NULL, period_ms INTEGER NOT NULL, resets_ms INTEGER NOT NULL,"
    "  spent_pico INTEGER NOT NULL,"
    "  PRIMARY KEY(account, period_ms)"
    ") WITHOUT ROWID;"
    "CREATE TABLE reservations(call TEXT PRIMARY KEY NOT NULL, record BLOB NOT NULL)"
    " WITHOUT ROWID;"
    "CREATE TABLE journals("
    "  generation INTEGER PRIMARY KEY,"
    "  folded INTEGER NOT NULL, sealed INTEGER NOT NULL DEFAULT 0"
    ");";

// An account that a charge above its bound has closed stays closed until its period ends, or its
// cap is raised above the one of that time.
static const char version_4[] =
    "ALTER TABLE budgets ADD COLUMN overshoot_pico INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE budgets ADD COLUMN closed_cap_pico INTEGER NOT NULL DEFAULT 0;";

// `queue` is what a channel's server numbers its messages in (Telegram: the bot's), so that another
// bot's are no duplicates; nor are those that were sent at another time, since a server may begin
// its numbers anew. '' until store_inbox_adopt() has said whose the earlier ones are.
static const char version_5[] =
    "CREATE TABLE new_inbox("
    "  number INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  channel TEXT NOT NULL, queue TEXT NOT NULL, chat TEXT NOT NULL, external_id TEXT NOT NULL,"
    "  sender TEXT NOT NULL, text TEXT NOT NULL, cut INTEGER NOT NULL, sent_ms INTEGER NOT NULL,"
    "  received_ms INTEGER NOT NULL, handled_ms INTEGER, turn INTEGER,"
    "  UNIQUE(channel, queue, external_id, sent_ms)"
    ");"
    "INSERT INTO new_inbox SELECT number, channel, '', chat, external_id, sender, text, cut,"
    "  sent_ms, received_ms, handled_ms, turn FROM inbox;"
    "DELETE FROM sqlite_sequence WHERE name = 'new_inbox';"
    "INSERT INTO sqlite_sequence(name, seq)"
    "  SELECT 'new_inbox', seq FROM sqlite_sequence WHERE name = 'inbox';"
    "DROP TABLE inbox;"
    "ALTER TABLE new_inbox RENAME TO inbox;"
    "CREATE INDEX inbox_waiting ON inbox(number) WHERE handled_ms IS NULL;"

    "CREATE TABLE new_cursors("
    "  channel TEXT NOT NULL, queue TEXT NOT NULL, value INTEGER NOT NULL,"
    "  PRIMARY KEY(channel, queue)"
    ") WITHOUT ROWID;"
    "INSERT INTO new_cursors SELECT channel, '', value FROM cursors;"
    "DROP TABLE cursors;"
    "ALTER TABLE new_cursors RENAME TO cursors;";

// Money in 10^-12 dollars, as in the ledger. A turn of more than 10,000 dollars is a mistake, and
// must not make sums overflow.
static const char version_6[] =
    "ALTER TABLE turns RENAME COLUMN cost_micro_usd TO cost_pico;"
    "UPDATE turns SET cost_pico = min(cost_pico, 10000000000) * 1000000;";

// Where a chat has threads (Telegram's topics), each is a conversation of its own; `sender` is set
// where each of several people in a chat has one too. `grouped`: the chat has several senders.
static const char version_7[] =
    "ALTER TABLE inbox ADD COLUMN thread TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE inbox ADD COLUMN grouped INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE outbox ADD COLUMN thread TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE sessions ADD COLUMN thread TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE sessions ADD COLUMN sender TEXT NOT NULL DEFAULT '';"
    "DROP INDEX sessions_chat;"
    "CREATE INDEX sessions_chat ON sessions(channel, chat, thread, sender);";

// `repeatable` was 0 or 1, which is the first of the bits of enum tool_flags (tools/tool_source.h).
// It was also set for tools that nobody knew; of these it is not true.
static const char version_8[] =
    "ALTER TABLE tool_calls RENAME COLUMN repeatable TO flags;"
    "UPDATE tool_calls SET flags = 0"
    " WHERE turn IN (SELECT number FROM turns WHERE ended_ms IS NULL)"
    " AND name NOT IN ('current_time', 'list_files', 'memory', 'read_file', 'recall',"
    "                  'search_files', 'write_file');";

// The terms of a turn. Before, the answer went to the session's own chat, save at the console,
// where somebody waited for it.
static const char version_9[] =
    "ALTER TABLE turns ADD COLUMN slot TEXT NOT NULL DEFAULT 'main';"
    "ALTER TABLE turns ADD COLUMN pinned TEXT;"
    "ALTER TABLE turns ADD COLUMN reply_channel TEXT;"
    "ALTER TABLE turns ADD COLUMN reply_chat TEXT;"
    "ALTER TABLE turns ADD COLUMN reply_thread TEXT;"
    "ALTER TABLE turns ADD COLUMN iterations_max INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE turns ADD COLUMN limit_ms INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE turns ADD COLUMN interactive INTEGER NOT NULL DEFAULT 0;"
    "UPDATE turns SET interactive = 1 WHERE ended_ms IS NULL AND source = 'console';"
    "UPDATE turns SET (reply_channel, reply_chat, reply_thread) ="
    "  (SELECT channel, chat, thread FROM sessions WHERE number = turns.session)"
    " WHERE ended_ms IS NULL AND source <> 'console';";

// A turn may wait for somebody to approve calls of its: a question each, which repeats the call, so
// that it shows what was asked and is compared with what runs. `asker` wrote what began the turn.
// A reply may have buttons, [{"text", "data"}, ...]; what comes in may be more than a text.
static const char version_10[] =
    "ALTER TABLE inbox ADD COLUMN kind TEXT NOT NULL DEFAULT 'text';"
    "ALTER TABLE inbox ADD COLUMN payload TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE outbox ADD COLUMN kind TEXT NOT NULL DEFAULT 'reply';"
    "ALTER TABLE outbox ADD COLUMN buttons TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE turns ADD COLUMN asker TEXT NOT NULL DEFAULT '';"
    "CREATE TABLE approvals("
    "  turn INTEGER NOT NULL REFERENCES turns(number) ON DELETE CASCADE,"
    "  iteration INTEGER NOT NULL, ordinal INTEGER NOT NULL, code TEXT NOT NULL,"
    "  name TEXT NOT NULL, arguments BLOB NOT NULL, hash TEXT NOT NULL, may_answer TEXT NOT NULL,"
    "  expires_ms INTEGER NOT NULL, state TEXT NOT NULL, answered_ms INTEGER, answered_by TEXT,"
    "  PRIMARY KEY(turn, iteration, ordinal)"
    ") WITHOUT ROWID;"
    "CREATE INDEX approvals_asked ON approvals(expires_ms) WHERE state = 'asked';";

// The id of a turn's trigger was never used: what came in twice is known by its inbox row.
static const char version_11[] = "DROP INDEX turns_external;"
                                 "ALTER TABLE turns DROP COLUMN external_id;";

// The size of a conversation as a model last counted it.
static const char version_12[] = "ALTER TABLE turns ADD COLUMN prompt_tokens INTEGER;";

// What a turn may use, and whether somebody can be asked for more, survives a restart.
static const char version_13[] =
    "ALTER TABLE turns ADD COLUMN tools TEXT;"  // names; NULL: all
    "ALTER TABLE turns ADD COLUMN parent TEXT;" // the turn that began it
    "ALTER TABLE turns ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE turns ADD COLUMN unattended INTEGER NOT NULL DEFAULT 0;";

// What a session has to do, step by step.
static const char version_14[] =
    "CREATE TABLE todos("
    "  session INTEGER NOT NULL REFERENCES sessions(number) ON DELETE CASCADE,"
    "  id TEXT NOT NULL,"
    "  position INTEGER NOT NULL,"
    "  content TEXT NOT NULL,"
    "  status TEXT NOT NULL,"
    "  PRIMARY KEY(session, id)"
    ") WITHOUT ROWID;";

/*
 * The text index of what was said (message_search.c); what it holds of messages_said ends at
 * `messages_indexed`. A delete of what it does not hold would damage it, so the triggers ask.
 */
#define INDEXED_BEFORE                                                                \
    " old.id <= coalesce((SELECT value FROM meta WHERE key = 'messages_indexed'), 0)" \
    " AND old.role IN ('user', 'assistant') AND old.content <> '' AND old.dropped = 0"
static const char version_15[] =
    "CREATE VIEW messages_said AS SELECT id, content FROM messages"
    " WHERE role IN ('user', 'assistant') AND content <> '' AND dropped = 0;"
    "CREATE VIRTUAL TABLE messages_fts USING fts5("
    "  content, content = 'messages_said', content_rowid = 'id',"
    "  tokenize = 'unicode61 remove_diacritics 2'"
    ");"
    "CREATE TRIGGER messages_removed AFTER DELETE ON messages WHEN" INDEXED_BEFORE " BEGIN"
    "  INSERT INTO messages_fts(messages_fts, rowid, content)"
    "  VALUES('delete', old.id, old.content);"
    "END;"
    "CREATE TRIGGER messages_dropped AFTER UPDATE OF dropped ON messages WHEN" INDEXED_BEFORE
    " AND new.dropped <> 0 BEGIN"
    "  INSERT INTO messages_fts(messages_fts, rowid, content)"
    "  VALUES('delete', old.id, old.content);"
    "END;";

// Why somebody is asked, when, and what was said where that is not yes or no; and what was in the
// files that the call names, so that what runs is what was approved. Of questions that were asked
// before nothing of it is known. What outlives a conversation keeps the mark of text that nobody
// vouches for (taint.h).
static const char version_16[] = "ALTER TABLE approvals ADD COLUMN why TEXT NOT NULL DEFAULT '';"
                                 "ALTER TABLE approvals ADD COLUMN files TEXT NOT NULL DEFAULT '';"
                                 "ALTER TABLE approvals ADD COLUMN answer TEXT NOT NULL DEFAULT '';"
                                 "ALTER TABLE approvals ADD COLUMN asked_ms INTEGER NOT NULL"
                                 "  DEFAULT 0;"
                                 "ALTER TABLE todos ADD COLUMN tainted INTEGER NOT NULL DEFAULT 0;"
                                 "CREATE TABLE taints("
                                 "  kind TEXT NOT NULL, name TEXT NOT NULL,"
                                 "  why TEXT NOT NULL, marked_ms INTEGER NOT NULL,"
                                 "  PRIMARY KEY(kind, name)"
                                 ") WITHOUT ROWID;";

// Of a message that came in, a part may be quoted, or all of it passed on.
static const char version_17[] = "ALTER TABLE inbox ADD COLUMN tainted INTEGER NOT NULL DEFAULT 0;";

// Images and sound of messages: what they are, and beside it their bytes, of which the oldest go.
static const char version_18[] =
    "ALTER TABLE messages ADD COLUMN parts TEXT;"
    "ALTER TABLE tool_calls ADD COLUMN parts TEXT;"
    "CREATE TABLE parts("
    "  number INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  session INTEGER NOT NULL REFERENCES sessions(number) ON DELETE CASCADE,"
    "  id TEXT NOT NULL, data BLOB NOT NULL,"
    "  UNIQUE(session, id)"
    ");";

// What came with a message besides its text, as its channel names it.
static const char version_19[] = "ALTER TABLE inbox ADD COLUMN media TEXT NOT NULL DEFAULT '';";

// Runs of scheduled jobs (run.h). Whatever ends the program, a row is there before a run does
// anything, and its end is one transaction with what is delivered.
static const char version_20[] =
    "CREATE TABLE runs("
    "  number INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  job TEXT NOT NULL, name TEXT NOT NULL, due_ms INTEGER NOT NULL,"
    "  started_ms INTEGER NOT NULL, ended_ms INTEGER NOT NULL DEFAULT 0,"
    "  attempts INTEGER NOT NULL DEFAULT 1, outcome TEXT NOT NULL,"
    "  error TEXT NOT NULL DEFAULT '', turn TEXT NOT NULL DEFAULT '',"
    "  delivered TEXT NOT NULL DEFAULT '',"
    "  input_tokens INTEGER NOT NULL DEFAULT 0, cached_tokens INTEGER NOT NULL DEFAULT 0,"
    "  output_tokens INTEGER NOT NULL DEFAULT 0, cost_pico INTEGER NOT NULL DEFAULT 0"
    ");"
    "CREATE INDEX runs_job ON runs(job, number);";

// A message of the role "summary" stands for a model in the place of what there is up to `covers`,
// and results of tools up to `emptied` are only named to it. Of the conversations of a chat the one
// that was picked last goes on.
static const char version_21[] =
    "ALTER TABLE messages ADD COLUMN covers INTEGER;"
    "ALTER TABLE messages ADD COLUMN emptied INTEGER;"
    "CREATE INDEX messages_summaries ON messages(session) WHERE role = 'summary';"
    "ALTER TABLE sessions ADD COLUMN picked INTEGER NOT NULL DEFAULT 0;"
    "UPDATE sessions SET picked = number;"
    "DROP INDEX sessions_chat;"
    "CREATE INDEX sessions_chat ON sessions(channel, chat, thread, sender, picked);"
    "CREATE INDEX sessions_picked ON sessions(picked);";

static const char *const steps[] = {
    version_1,  version_2,  version_3,  version_4,  version_5,  version_6,  version_7,
    version_8,  version_9,  version_10, version_11, version_12, version_13, version_14,
    version_15, version_16, version_17, version_18, version_19, version_20, version_21};

const struct store_migrations store_schema = {steps, ARRAY_LEN(steps)};
