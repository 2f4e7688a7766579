/*
 * Buttons that were pressed. A press tells what its message showed at that moment, which is not the
 * present state where two come quickly: so what is left of a message's buttons is remembered here.
 * One edit of a message is under way at a time: the order of two would be left to the network.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "channels/telegram_internal.h"

struct pressed {      // a message
    struct list link; // telegram::pressed, the newest last
    struct telegram *telegram;
    char chat[TELEGRAM_NUMBER_MAX], message[TELEGRAM_NUMBER_MAX];
    char *rows; // owned; the rows of buttons that are left, as JSON
    telegram_call_id edit;
    bool changed; // since the edit was handed over
};

static void pressed_destroy(struct pressed *pressed)
{
    telegram_api_cancel(pressed->telegram, pressed->edit);
    pressed->telegram->pressed_count--;
    list_remove(&pressed->link);
    free(pressed->rows);
    free(pressed);
}

static struct pressed *find(struct telegram *telegram, const struct telegram_update *update)
{
    list_for_each(link, &telegram->pressed) {
        struct pressed *pressed = list_entry(link, struct pressed, link);
        if (strcmp(pressed->chat, update->ids.chat) == 0 &&
            strcmp(pressed->message, update->ids.message) == 0)
            return pressed;
    }
    return NULL;
}

// The oldest makes room.
static struct pressed *pressed_create(struct telegram *telegram,
                                      const struct telegram_update *update)
{
    if (telegram->pressed_count++ == TELEGRAM_REMEMBERED_MAX)
        pressed_destroy(list_entry(telegram->pressed.next, struct pressed, link));
    struct pressed *pressed = mem_new(struct pressed);
    pressed->telegram = telegram;
    memcpy(pressed->chat, update->ids.chat, sizeof pressed->chat);
    memcpy(pressed->message, update->ids.message, sizeof pressed->message);
    list_append(&telegram->pressed, &pressed->link);
    return pressed;
}

static void on_edited(void *context, const struct telegram_answer *answer);

static void edit(struct pressed *pressed)
{
    pressed->changed = false;
    pressed->edit =
        telegram_api_keyboard(pressed->telegram, (struct telegram_place){pressed->chat, ""},
                              pressed->message, span_of(pressed->rows), on_edited, pressed);
}

static void on_edited(void *context, const struct telegram_answer *answer)
{
    struct pressed *pressed = context;
    pressed->edit = 0;
    if (pressed->changed)
        edit(pressed);
}

void telegram_press(struct telegram *telegram, const struct telegram_update *update)
{
    telegram_api_confirm(telegram, update->ids.press);
    struct pressed *pressed = find(telegram, update);
    if (!pressed)
        pressed = pressed_create(telegram, update);
    CLEANUP(mem_cleanup) char *before = pressed->rows;
    pressed->rows =
        before ? telegram_rows_without(span_of(before), update->text) : mem_strdup(update->buttons);
    pressed->changed = true;
    if (!pressed->edit)
        edit(pressed);
}

void telegram_press_stop(struct telegram *telegram)
{
    list_for_each(link, &telegram->pressed)
        pressed_destroy(list_entry(link, struct pressed, link));
}
