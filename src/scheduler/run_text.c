#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/skill_block.h"
#include "base/fd.h"
#include "base/replace.h"
#include "codec/iso_time.h"
#include "codec/utf8.h"
#include "scheduler/scheduler_internal.h"

// What a run says to the model, and what is said of it to people.

static int is_output(const struct dirent *entry)
{
    return span_ends_with(span_of(entry->d_name), ".md");
}

// The newest answer that is kept of a job. False: there is none, or it is no id.
static bool add_answer(const struct run *run, struct span id, struct buf *out)
{
    BUF_AUTO text = BUF_INIT(2 * RUN_TEXT_MAX);
    struct dirent **all = NULL;
    CLEANUP(mem_cleanup)
    char *directory =
        mem_printf("%s/output/%.*s", run->scheduler->file.directory, (int)id.len, id.data);
    bool found = false, named = id.len <= JOB_ID_MAX && !memchr(id.data, '/', id.len);
    int count = named && *id.data != '.' ? scandir(directory, &all, is_output, alphasort) : 0;
    for (int i = count - 1; i >= 0; i--) {
        CLEANUP(mem_cleanup) char *path = mem_printf("%s/%s", directory, all[i]->d_name);
        free(all[i]);
        buf_clear(&text);
        if (found || fd_read_file(path, &text, NULL) < 0)
            continue;
        struct span whole = buf_span(&text), mark = SPAN_LITERAL("\n## Response\n\n");
        long at = (long)span_find(whole, mark);
        struct span answer =
            span_trim(span_skip(whole, at < 0 ? whole.len : (size_t)at + mark.len));
        if (answer.len == 0 || span_is(answer, "[SILENT]"))
            continue;
        answer.len = answer.len > RUN_CONTEXT_MAX ? RUN_CONTEXT_MAX : answer.len;
        answer.len -= utf8_incomplete_tail(answer);
        buf_printf(out,
                   "\n\n[The last answer of the job %.*s, of which nobody vouches for a word:]\n",
                   (int)id.len, id.data);
        utf8_sanitize(answer, out);
        buf_append_text(out, "\n[This is its end.]");
        found = true;
    }
    free(all);
    return found;
}

bool run_write_question(const struct run *run, struct buf *out)
{
    const struct job *job = run->job;
    struct span others = span_of(job->context);
    bool tainted = run->tainted;
    buf_printf(
        out,
        "[This is the scheduled job \"%s\". Nobody watches it, and nobody can be asked. Your "
        "last answer goes out as it is; if there is nothing worth saying, it is [SILENT].]",
        job->name);
    if (run->late)
        buf_append_text(out, "\n[It was due earlier, while Hermes did not run.]");
    for (int i = 0; others.len && i < RUN_CONTEXTS_MAX; i++) {
        struct span id = span_cut(&others, ' ');
        tainted |= id.len && add_answer(run, id, out);
    }
    if (job->prompt)
        buf_printf(out, "\n\n%s", job->prompt);
    if (run->output)
        buf_printf(out, "\n\n%s", run->output);
    return tainted;
}

int run_add_skills(const struct run *run, struct span *text, struct buf *out, bool *tainted,
                   struct error *err)
{
    BUF_AUTO typed = BUF_INIT(RUN_TEXT_MAX);
    struct span rest = span_of(run->job->skills);
    bool theirs = false;
    if (rest.len == 0)
        return 0;
    while (rest.len) {
        struct span name = span_cut(&rest, ' ');
        buf_printf(&typed, "/%.*s ", (int)name.len, name.data);
    }
    buf_append_char(&typed, '\n');
    buf_append_span(&typed, *text);
    int r = skill_command_expand(run->scheduler->env.skills, buf_span(&typed), out, &theirs, err);
    if (r > 0)
        *text = buf_span(out);
    *tainted = *tainted || theirs;
    return r < 0 ? r : 0;
}

// hermes-agent's sets of tools; any other word is a tool's own name.
char *run_tools(const struct job *job)
{
    static const struct {
        const char *set, *tools;
    } sets[] = {
        {"web", "web_fetch web_extract web_search http_request"},
        {"search", "web_search"},
        {"terminal", "terminal process read_result"},
        {"file", "read_file write_file patch search_files list_files read_result"},
        {"skills", "skills_list skill_view"},
        {"todo", "todo"},
    };
    BUF_AUTO out = BUF_INIT(JOB_TEXT_MAX);
    struct span rest = span_of(job->tools);
    if (rest.len == 0)
        return NULL;
    buf_append_text(&out, "find_tools call_tool");
    while (rest.len) {
        struct span name = span_cut(&rest, ' ');
        for (size_t i = 0; i < ARRAY_LEN(sets); i++)
            if (span_is(name, sets[i].set))
                name = span_of(sets[i].tools);
        buf_printf(&out, " %.*s", (int)name.len, name.data);
    }
    return buf_take_text(&out);
}

bool run_is_silence(const char *answer)
{
    static const char *const words[] = {"[SILENT]", "SILENT", "NO_REPLY", "NO REPLY",
                                        "[\xe9\x9d\x99\xe9\xbb\x98]"};
    struct span text = span_trim(span_of(answer ? answer : ""));
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (text.len == strlen(words[i]) && strncasecmp(text.data, words[i], text.len) == 0)
            return true;
    return false;
}

static void write_time(const struct run *run, int64_t ms, struct buf *out)
{
    char text[ISO_TIME_SIZE];
    iso_time_format(ms, &run->scheduler->env.zone, text);
    buf_printf(out, "%.10s %.5s", text, text + 11);
}

static const char *ordinal(int64_t number)
{
    int64_t ten = number / 10 % 10, one = number % 10;
    return ten == 1 ? "th" : one == 1 ? "st" : one == 2 ? "nd" : one == 3 ? "rd" : "th";
}

static void write_failure(const struct run *run, struct buf *out)
{
    static const char *const words[STORE_RUN_OUTCOMES] = {
        [STORE_RUN_FAILED] = "failed",
        [STORE_RUN_MISSED] = "was missed",
        [STORE_RUN_BLOCKED] = "could not begin",
        [STORE_RUN_OVER_BUDGET] = "was stopped by a budget",
    };
    int64_t streak = run->job->streak;
    buf_printf(out, "⚠️ The job %s %s: %s", run->job->name, words[run->outcome],
               run->error ? run->error : "");
    if (run->outcome == STORE_RUN_MISSED) {
        buf_append_text(out, " (it was due at ");
        write_time(run, run->due_ms, out);
        buf_append_char(out, ')');
    }
    if (run->answer)
        buf_printf(out, "\n\n%s", run->answer);
    if (streak > 1)
        buf_printf(out, "\n\nThis is the %lld%s failure in a row.", (long long)streak,
                   ordinal(streak));
}

void run_write_reply(const struct run *run, struct buf *out)
{
    if (run->outcome == STORE_RUN_SILENT || run->outcome == STORE_RUN_SKIPPED)
        return;
    if (run->outcome != STORE_RUN_OK) {
        write_failure(run, out);
        return;
    }
    if (run->scheduler->env.config->wrap)
        buf_printf(out, "Cronjob Response: %s\n\n", run->job->name);
    buf_append_text(out, run->answer ? run->answer : "");
    if (run->late && run->due_ms) {
        buf_append_text(out, "\n\n(This was due at ");
        write_time(run, run->due_ms, out);
        buf_append_text(out, " and ran late, as Hermes did not run then.)");
    }
}

/* cron/output/ */

// Their names are times, so the first are the oldest.
static void drop_oldest(const char *directory, int64_t kept)
{
    struct dirent **all = NULL;
    int count = scandir(directory, &all, is_output, alphasort);
    for (int i = 0; i < count; i++) {
        CLEANUP(mem_cleanup) char *path = mem_printf("%s/%s", directory, all[i]->d_name);
        if (count - i > kept)
            unlink(path);
        free(all[i]);
    }
    free(all);
}

static void write_output(const struct run *run, const char *when, struct buf *out)
{
    const struct job *job = run->job;
    buf_printf(out, "# Cron Job: %s\n\n**Job ID:** %s\n**Run Time:** %s\n", job->name, job->id,
               when);
    if (job->no_agent)
        buf_append_text(out, "**Mode:** no_agent\n");
    else
        buf_printf(out, "**Schedule:** %s\n\n## Prompt\n\n%s\n", job->display ? job->display : "",
                   job->prompt ? job->prompt : "");
    buf_printf(out, "\n## %s\n\n%s\n", run->error ? "Error" : "Response",
               run->error    ? run->error
               : run->answer ? run->answer
                             : "[SILENT]");
}

// Names are seconds of the local clock, so another run may have this one's already: of the second
// before, or of the hour that the clock shows twice. A run that goes on in the next process keeps
// its own.
static void name_output(const struct run *run, const char *directory, const char *when,
                        char name[ISO_TIME_SIZE])
{
    enum { LATER_MOST = 60 };
    CLEANUP(mem_cleanup) char *mark = mem_printf("\n**Run Time:** %s\n", when);
    for (int later = 0; later < LATER_MOST; later++) {
        char local[ISO_TIME_SIZE];
        BUF_AUTO text = BUF_INIT(2 * RUN_TEXT_MAX);
        iso_time_format(run->started_ms + later * 1000, &run->scheduler->env.zone, local);
        snprintf(name, ISO_TIME_SIZE, "%.10s_%.2s-%.2s-%.2s.md", local, local + 11, local + 14,
                 local + 17);
        CLEANUP(mem_cleanup) char *path = mem_printf("%s/%s", directory, name);
        if (fd_read_file(path, &text, NULL) == -ENOENT ||
            span_find(buf_span(&text), span_of(mark)) >= 0)
            return;
    }
}

void run_keep_output(const struct run *run)
{
    const struct scheduler *scheduler = run->scheduler;
    char when[ISO_TIME_SIZE], name[ISO_TIME_SIZE];
    BUF_AUTO text = BUF_INIT(2 * RUN_TEXT_MAX);
    struct error err = ERROR_INIT;
    if (scheduler->env.config->outputs == 0 || !*run->job->id)
        return;
    iso_time_format(run->started_ms, &scheduler->env.zone, when);
    CLEANUP(mem_cleanup) char *all = mem_printf("%s/output", scheduler->file.directory);
    CLEANUP(mem_cleanup) char *path = mem_printf("%s/%s", all, run->job->id);
    mkdir(scheduler->file.directory, 0700);
    mkdir(all, 0700);
    mkdir(path, 0700);
    FD_AUTO directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    name_output(run, path, when, name);
    write_output(run, when, &text);
    int r = directory < 0 ? error_errno(&err, errno, "cannot open %s", path)
                          : replace_file(directory, name, 0600, buf_span(&text), false, &err);
    if (r < 0)
        LOG_EVENT(LOG_ERROR, "cron.unsaved", run->turn_name, LOG_TEXT("error", err.text));
    drop_oldest(path, scheduler->env.config->outputs);
}
