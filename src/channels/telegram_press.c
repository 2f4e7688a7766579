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
    char *chat, *message, *rows; // owned; the rows of buttons that are left, as JSON
    telegram_call_id edit;
    bool changed; // since the edit was handed over
};

static void pressed_destroy(struct pressed *pressed)
{
    telegram_api_cancel(pressed->telegram, pressed->edit);
    list_remove(&pressed->link);
    free(pressed->chat);
    free(pressed->message);
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

// The oldest makes room, but for those whose edit is under way.
static void forget_old(struct telegram *telegram)
{
    size_t count = 0;
    for (struct list *link = telegram->pressed.next; link != &telegram->pressed; link = link->next)
        count++;
    list_for_each(link, &telegram->pressed) {
        struct pressed *pressed = list_entry(link, struct pressed, link);
        if (count < TELEGRAM_REMEMBERED_MAX)
            return;
        if (!pressed->edit) {
            pressed_destroy(pressed);
            count--;
        }
    }
}

static struct pressed *pressed_create(struct telegram *telegram,
                                      const struct telegram_update *update)
{
    struct pressed *pressed = mem_new(struct pressed);
    pressed->telegram = telegram;
    pressed->chat = mem_strdup(update->ids.chat);
    pressed->message = mem_strdup(update->ids.message);
    pressed->rows = mem_strdup(update->buttons);
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
    (void)answer;
    pressed->edit = 0;
    if (pressed->changed)
        edit(pressed);
}

void telegram_press(struct telegram *telegram, const struct telegram_update *update)
{
    telegram_api_confirm(telegram, update->ids.press);
    struct pressed *pressed = find(telegram, update);
    if (pressed) {
        CLEANUP(mem_cleanup) char *before = pressed->rows;
        pressed->rows = telegram_rows_without(span_of(before), update->text);
    } else {
        forget_old(telegram);
        pressed = pressed_create(telegram, update);
    }
    pressed->changed = true;
    if (!pressed->edit)
        edit(pressed);
}

void telegram_press_stop(struct telegram *telegram)
{
    list_for_each(link, &telegram->pressed)
        pressed_destroy(list_entry(link, struct pressed, link));
}
