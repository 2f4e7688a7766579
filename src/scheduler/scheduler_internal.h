#pragma once

#include "agent/agent.h"
#include "base/log.h"
#include "base/mem.h"
#include "loop/loop.h"
#include "scheduler/job_file.h"
#include "scheduler/scheduler.h"
#include "store/run.h"
#include "tools/shell.h"
#include "tools/toolbox.h"

/*
 * Private to the scheduler, lowest first: state.c is what there is, run_end.c the end of a run,
 * script.c what one does before a model is asked, run.c its way from row to end, request.c what
 * people ask for, words.c how they type it, tool.c what models ask for, and scheduler.c the timer.
 */
enum {
    RUN_TEXT_MAX = 512 * 1024,  // bytes of what a model is asked, or answers
    RUN_CONTEXT_MAX = 8 * 1024, // bytes of another job's answer, and of how many jobs
    RUN_CONTEXTS_MAX = 8,
    RUN_SCRIPT_MAX = 48 * 1024, // bytes of a script
    RUN_RESUMES_MAX = 5,        // stops of the program in one run, after which it is given up
    SCHEDULER_LOOK_MS = 60 * 1000,
    RUN_LATE_MS = 2 * SCHEDULER_LOOK_MS, // by which a run is late enough to be told of
    SCHEDULER_RETRY_MS = 2000,           // when the disk refuses
};

struct scheduler {
    struct scheduler_env env;
    struct job_file file;
    struct list runs; // struct run
    // What is due is begun, what is next waited for.
    void (*look)(struct scheduler *scheduler);
    loop_id timer;
    bool started, stopping;
    int64_t seen_ms;            // the wall clock, when it was looked at last
    struct tool_source *source; // the tool "cronjob"; NULL: not added
    tool_source_id source_id;
};

struct run {
    struct list link; // scheduler::runs
    struct scheduler *scheduler;
    struct job *job;    // as it was when the run began
    int64_t number;     // of its row; 0: not there yet
    int64_t due_ms;     // 0: somebody asked for it
    int64_t started_ms; // wall clock
    int attempts;
    int64_t pause_ms; // before the attempt that gets its row now; 0: none
    bool late;
    int64_t store_job;
    loop_id timer;
    struct shell *shell;
    tool_run_id fetch;
    struct agent_session *session;
    turn_id turn;
    char turn_name[STORE_ID_MAX + 1];
    void (*next)(struct run *run); // once its monitor and script are over
    char *output;                  // of script and monitor, for the model; NULL: none
    bool tainted;                  // nobody vouches for that
    // What became of it, once it is known.
    enum store_run_outcome outcome;
    char *answer, *error; // NULL: none
    struct store_usage usage;
    char *delivered;
};

// state.c
void scheduler_save(struct scheduler *scheduler); // the file; a failure is logged
void scheduler_plan(struct scheduler *scheduler); // after the file was read: by what the store has
void scheduler_look_at_file(struct scheduler *scheduler); // if somebody wrote it; and at the clock
bool scheduler_is_running(const struct scheduler *scheduler, const char *job);
size_t scheduler_running(const struct scheduler *scheduler);

// run.c
void run_begin(struct scheduler *scheduler, struct job *job, int64_t due_ms, bool late);
void run_resume(struct scheduler *scheduler, const struct store_run *row, struct job *job);

// run_end.c
struct run *run_create(struct scheduler *scheduler, struct job *job, int64_t due_ms);
struct store_run run_row(const struct run *run);    // borrows
struct job *run_present_job(const struct run *run); // as it is now; NULL: it was removed
int64_t *run_counter(struct metrics *metrics, enum store_run_outcome outcome);
// One that never began: skipped, or missed.
void run_note(struct scheduler *scheduler, struct job *job, int64_t due_ms,
              enum store_run_outcome outcome, const char *why);
void run_end(struct run *run, enum store_run_outcome outcome, const char *error);
void run_destroy(struct run *run); // its row stays as it is
// What its monitor shows now is what changes are told from, once this run has ended well.
void run_remember(struct run *run, const char *seen);
// What the last process wrote down of ends, and not into the file any more.
void run_recall_ends(struct scheduler *scheduler);

// script.c: `next` follows, or run_end(). A run goes through its monitor, its script, and to the
// model.
void run_prepare(struct run *run, void (*next)(struct run *run));
int run_check(const struct run *run, struct error *err); // may it begin?

// run_text.c
bool run_write_question(const struct run *run, struct buf *out); // true: it is tainted
char *run_tools(const struct job *job); // names of those that it may use; NULL: all
// *text becomes what is in `out` where the job has skills.
int run_add_skills(const struct run *run, struct span *text, struct buf *out, bool *tainted,
                   struct error *err);
bool run_is_silence(const char *answer);
// Of its end, for people: "" is nothing to be said.
void run_write_reply(const struct run *run, struct buf *out);
void run_keep_output(const struct run *run); // in cron/output/

// delivery.c: where to. Negative, with a sentence: nobody can be reached there.
struct delivery {
    char *channel, *chat, *thread;
};
struct deliveries {
    struct delivery all[STORE_RUN_REPLIES_MAX];
    size_t count;
};
int deliveries_find(const struct scheduler *scheduler, const struct job *job, const char *targets,
                    struct deliveries *ret, struct error *err);
void deliveries_finish(struct deliveries *deliveries);

// tool.c
void scheduler_add_tool(struct scheduler *scheduler);
void scheduler_remove_tool(struct scheduler *scheduler);
// The chat of a session that has one which is delivered to.
bool scheduler_origin_of(const struct scheduler *scheduler, const char *session, char **ret_chat,
                         char **ret_thread);
