#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/list.h"
#include "codec/json.h"
#include "codec/json_write.h"
#include "codec/schedule.h"

/*
 * A scheduled job, as cron/jobs.json of the home has it (job_file.h). What hermes-agent or a person
 * wrote there and this program does not use stays as it is.
 */
enum {
    JOB_ID_SIZE = 13, // bytes of an id that is made here, with its end
    JOB_ID_MAX = 64,
    JOB_NAME_MAX = 120,
    JOB_TEXT_MAX = 64 * 1024, // bytes of a prompt
    JOB_WORD_MAX = 1024,      // bytes of any other text
    JOB_SKILLS_MAX = 16,
};

struct job {
    struct list link; // of the list that it is on
    unsigned references;
    char *raw; // the entry of the file, in which what is not used stands
    char id[JOB_ID_MAX + 1];
    char *name, *prompt;
    char *script, *monitor, *model, *workdir; // NULL: none
    char *deliver, *failure_deliver;          // targets; the second may be NULL: as the first
    char *skills, *tools;                     // names with blanks between them; NULL: none, all
    char *context;                            // ids of jobs whose last answers it is told
    char *platform, *chat, *thread;           // where it was made; NULL: in no chat
    char *display;                            // of its schedule, for people
    char *paused_reason;                      // NULL: not said
    char *seen, *seen_now; // what its monitor showed last, as a hash; and in the run that runs
    char *trouble;         // it cannot be run, for this reason; NULL: it can
    struct schedule schedule;
    bool no_agent, enabled, completed, ran;
    int64_t times, done; // runs that it is for (0: no end), and those that were
    int64_t created_ms, next_ms, last_ms, paused_ms; // 0: not known, none
    char *last_status, *last_error, *last_delivery_error;
    int64_t streak;   // failures in a row
    int64_t asked_ms; // when a run was asked for that has no row yet; 0: none was
    int64_t due_ms;   // the last time that had a run, as the store has it; 0: none
    int64_t taken_ms; // next_ms before what was due got its row, which it has not yet; 0: it has
};

struct job *job_create(void);
struct job *job_ref(struct job *job);
void job_unref(struct job *job); // accepts NULL
void job_cleanup(struct job **job);

bool job_is_due(const struct job *job, int64_t now_ms);
bool job_is_waiting(const struct job *job); // for a time: not paused, not completed, no trouble

// One entry. With a failure to understand it, it has `trouble`, and keeps its bytes.
struct job *job_read(struct json_value entry, const struct zone *zone);
void job_write(const struct job *job, const struct zone *zone, struct json_writer *w);

// Replaces an owned text; NULL or "" is none.
void job_set(char **text, const char *value);

/*
 * What becomes due, and what does not any more: `now_ms` is at or behind job->next_ms. The times
 * that have passed count as one, the last of them; *ret_due_ms is that. True: it is to be run.
 * False: it comes too late for that, and was missed. job->next_ms is the next one then.
 */
bool job_take_due(struct job *job, const struct zone *zone, int64_t now_ms, bool catch_up,
                  int64_t *ret_due_ms);
// The time by which it is to be waited for, after its file or the clock was set: no time that had a
// run comes again.
void job_plan(struct job *job, const struct zone *zone, int64_t now_ms);
