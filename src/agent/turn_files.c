#include "agent/turn_files.h"

#include <stdlib.h>
#include <string.h>

#include "agent/turn.h"
#include "base/mem.h"
#include "tools/file_prints.h"
#include "tools/tool_target.h"

/*
 * An approval is one of what the call would do, and "sh run.sh" does what stands in run.sh. So the
 * files that a call names are looked at when somebody is asked, which is kept with the question,
 * and again before the call runs: one after another, and behind all calls that nobody was asked
 * for, since those may write files, too. What changes a file between the look and the end of the
 * call is not seen.
 */
static const char unreadable[] = ""; // as the files of a question; no digests

static const char *workspace_of(const struct turn *turn)
{
    return toolbox_env(turn->agent->env.toolbox)->workspace;
}

// False: the call names no files, or they cannot be looked at, which *ret_failed tells.
static bool look(struct turn *turn, size_t ordinal, tool_process_done_fn *done, bool *ret_failed)
{
    const struct chat_call *call = &turn_asking_message(turn)->calls[ordinal];
    CLEANUP(named_files_finish) struct named_files files = {0};
    struct tool_target target;
    tool_target_find(turn->tools, call->name, span_of(call->arguments), &target);
    *ret_failed = false;
    if (target.entry)
        named_files_find(workspace_of(turn), target.entry->name, target.arguments, &files);
    if (files.count == 0)
        return false;
    *ret_failed = file_prints_start(toolbox_env(turn->agent->env.toolbox), turn->id, &files, done,
                                    turn, &turn->looking.process, NULL) < 0;
    return !*ret_failed;
}

static void end_looking(struct turn *turn)
{
    turn_next_fn *next = turn->looking.next;
    turn->looking.asks = false;
    next(turn);
}

/* When somebody is asked */

static void ask_next(struct turn *turn);

static void keep(struct turn *turn, const char *files)
{
    BUF_AUTO why = BUF_INIT(4 * ERROR_TEXT_MAX);
    struct turn_question *question = &turn->questions[turn->looking.at];
    question->files = mem_strdup(files);
    if (turn->looking.at >= turn->question_count && *files) // it may run before it is read again
        turn->calls[question->ordinal].bound = mem_strdup(files);
    buf_append_text(&why, question->why);
    size_t before = why.len;
    buf_append_text(&why, before ? "; " : "");
    size_t begin = why.len;
    file_prints_tell_gaps(span_of(files), &why);
    if (why.len == begin)
        return;
    free(question->why);
    question->why = buf_take_text(&why);
}

static void on_asked(void *context, int result, struct span text, int64_t ms)
{
    struct turn *turn = context;
    turn->looking.process = NULL;
    CLEANUP(mem_cleanup) char *files = mem_strndup(text.data, text.len);
    keep(turn, result == 0 ? files : unreadable);
    turn->looking.at++;
    ask_next(turn);
}

static void ask_next(struct turn *turn)
{
    size_t count = turn->question_count + turn->allowed_count;
    for (; turn->looking.at < count; turn->looking.at++) {
        size_t ordinal = (size_t)turn->questions[turn->looking.at].ordinal;
        bool failed;
        if (look(turn, ordinal, on_asked, &failed))
            return;
        if (failed)
            keep(turn, unreadable);
    }
    end_looking(turn);
}

void turn_files_ask(struct turn *turn, turn_next_fn *next)
{
    turn->looking = (struct turn_looking){.asks = true, .next = next};
    ask_next(turn);
}

/* Before it runs */

static void on_compared(void *context, int result, struct span text, int64_t ms)
{
    struct turn *turn = context;
    BUF_AUTO what = BUF_INIT(ERROR_TEXT_MAX);
    turn->looking.process = NULL;
    if (file_prints_differ(span_of(turn->calls[turn->looking.at].bound),
                           result == 0 ? text : SPAN_ABSENT, &what))
        turn->looking.changed =
            mem_printf("not run: since somebody approved this call, %s. Look at it, and make the "
                       "call again if it is still wanted, which asks again",
                       buf_text(&what));
    end_looking(turn);
}

bool turn_files_compare(struct turn *turn, turn_next_fn *next)
{
    size_t at = 0;
    bool failed;
    while (at < turn->call_count && (turn->calls[at].ended || !turn->calls[at].bound))
        at++;
    if (at == turn->call_count)
        return false;
    turn_files_forget(turn);
    turn->looking = (struct turn_looking){.at = at, .next = next};
    if (!look(turn, at, on_compared, &failed))
        on_compared(turn, -1, SPAN_ABSENT, 0);
    return true;
}

void turn_files_forget(struct turn *turn)
{
    if (turn->looking.process)
        tool_process_cancel(turn->looking.process);
    free(turn->looking.changed);
    turn->looking = (struct turn_looking){0};
}
