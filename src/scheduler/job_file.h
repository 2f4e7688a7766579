#pragma once

#include <sys/stat.h>

#include "scheduler/job.h"

/*
 * cron/jobs.json of a home: the jobs, as hermes-agent has them. The file is replaced whole; one
 * that is broken is never written, so that nobody's job is lost.
 */
enum {
    JOB_FILE_MAX = 8 << 20, // bytes
    JOBS_MAX = 1000,
};

struct job_file {
    char *directory;  // the home's cron/
    struct list jobs; // struct job, in the order of the file
    char *rest;       // members besides those that are known; NULL: none
    char *command;    // of a chat, the last that changed it; NULL: none is known
    struct stat seen; // of the file that was read; st_ino 0: there was none
    char *trouble;    // why it cannot be used; NULL: it can
};

void job_file_init(struct job_file *file, const char *home);
void job_file_finish(struct job_file *file);

// Reads it if it is another one than before. 1: it was; 0: it was not; negative with a sentence:
// there are no jobs.
int job_file_load(struct job_file *file, const struct zone *zone, struct error *err);
// `durable`: a power cut does not take it back.
int job_file_save(struct job_file *file, const struct zone *zone, int64_t now_ms, bool durable,
                  struct error *err);

// By its id, its beginning, or its name. NULL with a sentence.
struct job *job_file_find(const struct job_file *file, const char *name, struct error *err);
