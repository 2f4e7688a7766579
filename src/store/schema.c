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
 * A turn is complete here, before anything continues one after a crash: its state, the iteration,
 * the tool calls with the model's own bytes, whether each may be repeated, and the trigger's
 * external id, whose uniqueness is what drops a message delivered twice. States are words, since
 * the file is also read by people with a shell; what they may be is said by the tables in turn.c.
 *
 * messages.turn has no foreign key, because enforcing one would need an index on the largest table
 * that no query uses. Messages go with their session, and so do turns.
 *
 * The memory's text index keeps no text of its own (external content); the triggers are the only
 * writers of it, so it cannot be forgotten in some function.
 *
 * The outbox, the ledger of spending, jobs and approvals are not here: nothing writes them yet, a
 * table without a writer is a guess, and adding one later is a step that takes a millisecond.
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
    "  id TEXT NOT NULL UNIQUE,"
    "  channel TEXT NOT NULL,"
    "  chat TEXT NOT NULL,"
    "  title TEXT,"
    "  model TEXT,"
    "  prompt TEXT,"
    "  created_ms INTEGER NOT NULL,"
    "  updated_ms INTEGER NOT NULL"
    ");"
    "CREATE INDEX sessions_chat ON sessions(channel, chat);"

    "CREATE TABLE turns("
    "  number INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  id TEXT NOT NULL UNIQUE,"
    "  session INTEGER NOT NULL REFERENCES sessions(number) ON DELETE CASCADE,"
    "  state TEXT NOT NULL,"
    "  iteration INTEGER NOT NULL DEFAULT 0,"
    "  source TEXT NOT NULL,"
    "  external_id TEXT,"
    "  model TEXT,"
    "  error TEXT,"
    "  input_tokens INTEGER NOT NULL DEFAULT 0,"
    "  cached_tokens INTEGER NOT NULL DEFAULT 0,"
    "  output_tokens INTEGER NOT NULL DEFAULT 0,"
    "  cost_micro_usd INTEGER NOT NULL DEFAULT 0,"
    "  started_ms INTEGER NOT NULL,"
    "  ended_ms INTEGER"
    ");"
    "CREATE INDEX turns_session ON turns(session);"
    "CREATE INDEX turns_open ON turns(number) WHERE ended_ms IS NULL;"
    "CREATE UNIQUE INDEX turns_external ON turns(source, external_id)"
    "  WHERE external_id IS NOT NULL;"

    "CREATE TABLE messages("
    "  id INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  session INTEGER NOT NULL REFERENCES sessions(number) ON DELETE CASCADE,"
    "  turn INTEGER,"
    "  role TEXT NOT NULL,"
    "  content TEXT,"
    "  reasoning TEXT,"
    "  tool_calls BLOB,"
    "  tool_call_id TEXT,"
    "  name TEXT,"
    "  tainted INTEGER NOT NULL DEFAULT 0,"
    "  created_ms INTEGER NOT NULL"
    ");"
    "CREATE INDEX messages_session ON messages(session);"

    "CREATE TABLE tool_calls("
    "  turn INTEGER NOT NULL REFERENCES turns(number) ON DELETE CASCADE,"
    "  iteration INTEGER NOT NULL,"
    "  ordinal INTEGER NOT NULL,"
    "  call_id TEXT,"
    "  name TEXT NOT NULL,"
    "  arguments BLOB,"
    "  state TEXT NOT NULL,"
    "  repeatable INTEGER NOT NULL,"
    "  failed INTEGER NOT NULL DEFAULT 0,"
    "  tainted INTEGER NOT NULL DEFAULT 0,"
    "  result BLOB,"
    "  changed_ms INTEGER NOT NULL,"
    "  UNIQUE(turn, iteration, ordinal)"
    ");"

    "CREATE TABLE memory("
    "  id INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  content TEXT NOT NULL,"
    "  tainted INTEGER NOT NULL DEFAULT 0,"
    "  created_ms INTEGER NOT NULL"
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

static const char *const steps[] = {version_1};

const struct store_migrations store_schema = {steps, ARRAY_LEN(steps)};
