#include "agent/turn_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/part_list.h"
#include "agent/turn.h"
#include "base/log.h"
#include "base/mem.h"
#include "codec/base64.h"
#include "codec/sha256.h"
#include "store/part.h"
#include "tools/tool_target.h"

struct shown {
    size_t message, part;    // places
    char *id;                // in the store
    char *data;              // base64; NULL: not read
    struct chat_part *parts; // of the message, where this is the first of it
};

struct turn_showing {
    char *session;
    struct shown all[CHAT_PARTS_SENT_MAX];
    size_t count;
};

struct reading { // the store's until it has ended
    struct turn *turn;
    struct turn_showing *showing; // NULL: the turn has it
};

static void showing_destroy(struct turn_showing *showing)
{
    if (!showing)
        return;
    for (size_t i = 0; i < showing->count; i++) {
        free(showing->all[i].id);
        free(showing->all[i].data);
        free(showing->all[i].parts);
    }
    free(showing->session);
    free(showing);
}

/* What a tool has given, or the user */

static void add(struct turn *turn, const struct tool_part *given, const char *tool,
                struct chat_parts *parts)
{
    struct error err = ERROR_INIT;
    char id[SHA256_HEX_SIZE];
    struct sha256 hash;
    sha256_init(&hash);
    sha256_add(&hash, given->bytes);
    sha256_end_hex(&hash, id);
    struct store_part row = {span_of(turn->session->id), span_of(id), given->bytes};
    *chat_parts_add(parts) = (struct chat_part){given->type, tool ? mem_strdup(tool) : NULL,
                                                mem_strdup(id), given->bytes.len, NULL};
    if (store_part_add(turn->agent->env.store, &row, STORE_GROUPED, NULL, NULL, &err) < 0)
        LOG_EVENT(LOG_ERROR, "turn.part", turn->name, LOG_TEXT("error", err.text));
}

void turn_parts_keep(struct turn_call *call, const struct tool_result *result)
{
    BUF_AUTO text = BUF_INIT(PART_LIST_MAX);
    CLEANUP(chat_parts_finish) struct chat_parts parts = {0};
    const struct chat_call *asked = &turn_asking_message(call->turn)->calls[call->ordinal];
    struct tool_target target;
    if (result->part_count == 0)
        return;
    tool_target_find(call->turn->tools, asked->name, span_of(asked->arguments), &target);
    for (size_t i = 0; i < result->part_count; i++)
        add(call->turn, &result->parts[i], target.entry ? target.entry->name : NULL, &parts);
    part_list_write(&parts, &text);
    call->parts = buf_take_text(&text);
}

static char *copy_of(const char *text)
{
    return text ? mem_strdup(text) : NULL;
}

void turn_parts_begin(struct turn *turn, const struct turn_request *request, struct buf *text)
{
    const struct chat_history *history = &turn->session->history;
    size_t replaced = turn->replaces ? turn_find_question(turn) : history->count;
    for (size_t i = 0; i < request->part_count && i < CHAT_PARTS_MAX; i++)
        add(turn, &request->parts[i], NULL, &turn->parts);
    for (size_t i = 0; replaced < history->count && i < history->messages[replaced].parts.count;
         i++) {
        const struct chat_part *part = &history->messages[replaced].parts.items[i];
        *chat_parts_add(&turn->parts) = (struct chat_part){part->type, copy_of(part->name),
                                                           copy_of(part->id), part->size, NULL};
    }
    part_list_write(&turn->parts, text);
}

/* What a model is shown */

// In bits of enum chat_media; *ret_sure: whatever the model is.
static unsigned media_of(const struct turn *turn, unsigned *ret_sure)
{
    const struct agent_env *env = &turn->agent->env;
    struct span mode = span_of(env->config->image_input_mode);
    bool never = span_is(mode, "text");
    *ret_sure = span_is(mode, "native") ? CHAT_IMAGES : 0;
    return chat_provider_media(env->provider, NULL) & ~(never ? CHAT_IMAGES : 0u);
}

// The newest first, until the next would be too much.
static void choose(const struct turn *turn, struct turn_showing *showing)
{
    const struct chat_history *history = &turn->session->history;
    unsigned sure, media = media_of(turn, &sure) | sure;
    size_t bytes = 0;
    for (size_t i = history->count; i-- > 0;)
        for (size_t j = history->messages[i].parts.count; j-- > 0;) {
            const struct chat_part *part = &history->messages[i].parts.items[j];
            if (!part->id || !(chat_part_media(part) & media))
                continue;
            bytes += part->size;
            if (showing->count == CHAT_PARTS_SENT_MAX || bytes > CHAT_PARTS_SENT_BYTES)
                return;
            showing->all[showing->count++] = (struct shown){i, j, mem_strdup(part->id), NULL, NULL};
        }
}

static int on_thread(void *context, struct store_view *view, struct error *err)
{
    struct turn_showing *showing = ((struct reading *)context)->showing;
    for (size_t i = 0; i < showing->count; i++) {
        BUF_AUTO bytes = BUF_INIT(CHAT_PART_MAX);
        BUF_AUTO data = BUF_INIT(2 * CHAT_PART_MAX);
        if (store_read_part(view, span_of(showing->session), span_of(showing->all[i].id), &bytes,
                            err) == 0 &&
            base64_encode(buf_span(&bytes), &data))
            showing->all[i].data = buf_take_text(&data);
    }
    return 0;
}

// What could not be read is not shown.
static void on_read(void *context, int result, const struct error *err, int64_t rowid)
{
    struct reading *reading = context;
    struct turn *turn = reading->turn;
    (void)result, (void)err, (void)rowid;
    turn->media.job = 0;
    turn->media.showing = STEAL(reading->showing);
    turn->media.next(turn);
}

static void release(void *context)
{
    struct reading *reading = context;
    showing_destroy(reading->showing);
    free(reading);
}

bool turn_parts_load(struct turn *turn, turn_next_fn *next)
{
    static const struct store_reading how = {on_thread, on_read, release};
    struct turn_showing *showing = mem_new(struct turn_showing);
    struct error err = ERROR_INIT;
    choose(turn, showing);
    if (showing->count == 0) {
        free(showing);
        return false;
    }
    showing->session = mem_strdup(turn->session->id);
    struct reading *reading = mem_new(struct reading);
    *reading = (struct reading){turn, showing};
    int64_t job = store_read(turn->agent->env.store, &how, reading, &err);
    if (job < 0) {
        release(reading);
        return false;
    }
    turn->media.next = next;
    turn->media.job = job;
    return true;
}

void turn_parts_show(struct turn *turn, struct chat_message *messages, struct chat_request *request)
{
    struct turn_showing *showing = turn->media.showing;
    const struct chat_history *history = &turn->session->history;
    request->media = media_of(turn, &request->media_sure);
    for (size_t i = 0; showing && i < showing->count; i++) {
        struct shown *shown = &showing->all[i];
        struct chat_parts *parts = &messages[shown->message].parts;
        if (parts->items == history->messages[shown->message].parts.items) {
            shown->parts = mem_alloc(parts->count * sizeof *shown->parts);
            memcpy(shown->parts, parts->items, parts->count * sizeof *shown->parts);
            parts->items = shown->parts;
        }
        parts->items[shown->part].data = shown->data;
    }
}

void turn_parts_forget(struct turn *turn)
{
    store_forget(turn->agent->env.store, turn->media.job);
    showing_destroy(STEAL(turn->media.showing));
    turn->media.job = 0;
}
