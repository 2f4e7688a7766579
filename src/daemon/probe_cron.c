#include <stdio.h>

#include "base/mem.h"
#include "codec/utf8.h"
#include "daemon/probe.h"
#include "scheduler/job_file.h"

enum { TEXT_MAX = 300 }; // bytes of what a job says of itself

static void report_job(const struct job *job, struct report *report)
{
    if (job->trouble)
        report_line(report, REPORT_WARNING, "cron", "the job %.*s cannot run: %.*s", TEXT_MAX,
                    job->name, TEXT_MAX, job->trouble);
    else if (job->streak) {
        char times[48] = "", line[TEXT_MAX];
        if (job->streak > 1)
            snprintf(times, sizeof times, " %lld times in a row", (long long)job->streak);
        utf8_one_line(span_of(job->last_error ? job->last_error : "it did not run"), line,
                      sizeof line);
        report_line(report, REPORT_WARNING, "cron",
                    "the job %.*s failed%s: %s; hermes cron history shows more", TEXT_MAX,
                    job->name, times, line);
    }
}

void probe_cron(const char *home, struct report *report)
{
    CLEANUP(job_file_finish) struct job_file file;
    struct error err = ERROR_INIT;
    size_t jobs = 0, waiting = 0;
    job_file_init(&file, home);
    if (job_file_load(&file, &ZONE_UTC, &err) < 0)
        report_line(report, REPORT_FAILED, "cron", "%s", err.text);
    list_for_each(link, &file.jobs) {
        const struct job *job = list_entry(link, struct job, link);
        jobs++;
        waiting += job_is_waiting(job);
        report_job(job, report);
    }
    if (jobs)
        report_line(report, REPORT_OK, "cron", "%zu job%s, of which %zu wait%s for %s time", jobs,
                    jobs == 1 ? "" : "s", waiting, waiting == 1 ? "s" : "",
                    waiting == 1 ? "its" : "their");
}
