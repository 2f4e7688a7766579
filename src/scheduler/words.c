#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "agent/command_word.h"
#include "scheduler/scheduler_internal.h"
#include "store/inbox.h"

// "/cron" and what follows it, as people type it in a chat.

// The longest beginning that is a schedule, with or without quotes. Absent: there is none.
static struct span take_schedule_words(const struct scheduler *scheduler, struct span *rest)
{
    enum { WORDS = 8 };
    struct schedule ignored;
    struct span text = *rest, found = SPAN_ABSENT;
    if (text.len && *text.data == '"') {
        text = span_skip(text, 1);
        found = span_cut(&text, '"');
        *rest = span_trim(text);
        return found;
    }
    size_t at = 0;
    for (int word = 0; word < WORDS && at < text.len; word++) {
        while (at < text.len && text.data[at] != ' ')
            at++;
        struct span beginning = span_make(text.data, at);
        if (schedule_parse(beginning, &scheduler->env.zone, loop_wall(scheduler->env.loop),
                           &ignored, NULL) == 0)
            found = beginning;
        while (at < text.len && text.data[at] == ' ')
            at++;
    }
    *rest = span_trim(span_skip(text, found.len));
    return found;
}

struct lookup {
    const struct scheduler_origin *origin;
    struct span words;
    char *name;
    size_t size;
};

static bool on_message(void *context, const struct store_inbound *message)
{
    const struct lookup *lookup = context;
    const struct scheduler_origin *origin = lookup->origin;
    struct span word, rest;
    bool found = span_is(message->channel, origin->channel ? origin->channel : "") &&
                 span_is(message->chat, origin->chat ? origin->chat : "") &&
                 span_is(message->thread, origin->thread ? origin->thread : "") &&
                 command_word_read(message->text, &word, &rest) && span_equal(rest, lookup->words);
    if (found)
        snprintf(lookup->name, lookup->size, "%" PRId64 " %" PRId64, message->number,
                 message->received_ms);
    return !found;
}

/*
 * What the command does is in jobs.json before its message counts as handled. So a kill between the
 * two brings the command again, by the same row of the inbox, which jobs.json names then.
 */
static void name_command(const struct scheduler *scheduler, const struct scheduler_origin *origin,
                         struct span words, char *name, size_t size)
{
    struct lookup lookup = {origin, words, name, size};
    *name = '\0';
    store_read_inbox(scheduler->env.store, 0, on_message, &lookup, NULL);
}

int scheduler_ask_words(struct scheduler *scheduler, struct span words,
                        const struct scheduler_origin *origin, struct buf *out, struct error *err)
{
    BUF_AUTO request = BUF_INIT(2 * JOB_TEXT_MAX);
    JSON_AUTO doc = JSON_INIT;
    struct json_writer w;
    struct span rest = span_trim(words), action = span_cut(&rest, ' ');
    rest = span_trim(rest);
    bool adds = span_is(action, "add") || span_is(action, "create");
    json_writer_init(&w, &request);
    json_write_object_begin(&w);
    json_write_member_string(&w, "action", action.len ? action : SPAN_LITERAL("list"));
    if (adds) {
        struct span schedule = take_schedule_words(scheduler, &rest);
        if (!schedule.data)
            return error_set(
                err, -EINVAL,
                "it is: /cron add WHEN WHAT, such as /cron add daily at 7am Tell me the "
                "news");
        json_write_member_string(&w, "schedule", schedule);
        json_write_member_string(&w, "prompt", rest);
    } else if (rest.len) {
        json_write_member_string(&w, "job_id", rest);
    }
    json_write_object_end(&w);
    int r = json_parse(&doc, buf_span(&request), err);
    if (r < 0 || !origin)
        return r < 0 ? r : scheduler_ask(scheduler, json_root(&doc), NULL, out, err);
    char name[48];
    struct scheduler_origin known = *origin;
    name_command(scheduler, origin, words, name, sizeof name);
    known.command = *name ? name : NULL;
    return scheduler_ask(scheduler, json_root(&doc), &known, out, err);
}
