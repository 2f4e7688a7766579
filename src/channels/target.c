#include "channels/target.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "agent/home_channel.h"
#include "base/buf.h"
#include "base/fd.h"
#include "base/mem.h"
#include "channels/pairing.h"
#include "channels/telegram.h"
#include "codec/document.h"
#include "store/store.h"

enum {
    DIRECTORY_MAX = 1 << 20, // bytes
    NAME_MAX_BYTES = 256,
};

static bool is_number(struct span text)
{
    int64_t number;
    return text.len && text.data[0] != '+' && span_to_i64(text, &number);
}

// "CHAT", "CHAT:THREAD", both by number.
static bool take_numbers(struct span text, struct target *target)
{
    struct span rest = text;
    struct span chat = span_cut(&rest, ':');
    if (!is_number(chat) || (rest.len && !is_number(rest)) || chat.len >= sizeof target->chat ||
        rest.len >= sizeof target->thread)
        return false;
    snprintf(target->chat, sizeof target->chat, "%.*s", (int)chat.len, chat.data);
    snprintf(target->thread, sizeof target->thread, "%.*s", (int)rest.len,
             rest.len ? rest.data : "");
    return true;
}

// By its name, or as it is shown: "Name (group)".
static bool is_named(struct node entry, struct span wanted)
{
    const char *name = node_text(node_get(entry, "name"));
    const char *type = node_text(node_get(entry, "type"));
    if (!name)
        return false;
    CLEANUP(mem_cleanup) char *shown = mem_printf("%s (%s)", name, type ? type : "");
    return (wanted.len == strlen(name) && strncasecmp(name, wanted.data, wanted.len) == 0) ||
           (wanted.len == strlen(shown) && strncasecmp(shown, wanted.data, wanted.len) == 0);
}

// How many there are of the name; the last of them is taken.
static size_t look_up(const struct target_env *env, struct span name, struct target *target)
{
    CLEANUP(mem_cleanup) char *path = mem_printf("%s/channel_directory.json", env->home);
    BUF_AUTO file = BUF_INIT(DIRECTORY_MAX);
    DOCUMENT_AUTO doc = DOCUMENT_INIT(4 * DIRECTORY_MAX);
    size_t found = 0;
    if (fd_read_file(path, &file, NULL) < 0 || document_read(&doc, buf_span(&file), NULL) < 0)
        return 0;
    struct node chats = node_get(node_get(document_root(&doc), "platforms"), target->channel);
    for (struct node chat = node_first(chats); chat.item; chat = node_next(chat)) {
        const char *id = node_text(node_get(chat, "id"));
        if (id && is_named(chat, name) && take_numbers(span_of(id), target))
            found++;
    }
    return found;
}

struct person { // who is answered in a chat of their own, if that is one person
    char id[64];
    bool several;
};

static void meet(void *context, struct span user)
{
    struct person *person = context;
    user = span_trim(user);
    person->several |= span_is(user, "*");
    if (!is_number(user) || user.len >= sizeof person->id)
        return;
    person->several |= *person->id && !span_is(user, person->id);
    snprintf(person->id, sizeof person->id, "%.*s", (int)user.len, user.data);
}

// By the configuration, or paired.
static const char *only_person(const struct target_env *env, struct person *person)
{
    const struct option_list *users = &env->telegram->allowed_users;
    const struct pairing pairing = {.home = env->home, .platform = "telegram"};
    for (size_t i = 0; i < users->count; i++)
        meet(person, span_of(users->items[i]));
    pairing_each_approved(&pairing, meet, person);
    return person->several ? "" : person->id;
}

static int find_home(const struct target_env *env, struct target *target, struct error *err)
{
    BUF_AUTO chosen = BUF_INIT(256);
    const struct telegram_config *config = env->telegram;
    int r = home_channel_read(env->store, span_of(target->channel), &chosen, err);
    if (r < 0)
        return r;
    struct person person = {0};
    if (r == STORE_NOT_FOUND && config->home_chat && *config->home_chat)
        buf_printf(&chosen, "%s\n%s", config->home_chat,
                   config->home_thread ? config->home_thread : "");
    else if (r == STORE_NOT_FOUND)
        buf_append_text(&chosen, only_person(env, &person));
    struct span rest = buf_span(&chosen);
    struct span chat = span_cut(&rest, '\n');
    if (chat.len == 0)
        return error_set(err, -ENOENT,
                         "%s has no home channel; say /sethome in the chat that is to be it, or "
                         "set TELEGRAM_HOME_CHANNEL",
                         target->channel);
    snprintf(target->chat, sizeof target->chat, "%.*s", (int)chat.len, chat.data);
    snprintf(target->thread, sizeof target->thread, "%.*s", (int)rest.len,
             rest.len ? rest.data : "");
    return 0;
}

int target_resolve(const struct target_env *env, struct span text, struct target *ret_target,
                   struct error *err)
{
    struct target target = {.channel = "telegram"};
    struct span rest = span_trim(text);
    struct span channel = span_cut(&rest, ':');
    if (!span_is(channel, target.channel))
        return error_set(err, -EINVAL,
                         "\"%.*s\" is not delivered to; say telegram, telegram:CHAT[:THREAD] or "
                         "telegram:NAME",
                         channel.len < NAME_MAX_BYTES ? (int)channel.len : NAME_MAX_BYTES,
                         channel.data);
    rest = span_trim(rest);
    if (rest.len && rest.data[0] == '#')
        rest = span_skip(rest, 1);
    int r = 0;
    if (rest.len == 0) {
        r = find_home(env, &target, err);
    } else if (!take_numbers(rest, &target)) {
        size_t found = rest.len < NAME_MAX_BYTES ? look_up(env, rest, &target) : 0;
        if (found != 1)
            r = error_set(err, -ENOENT,
                          "%s chat of channel_directory.json has the name \"%.*s\"; give its "
                          "number",
                          found ? "more than one" : "no",
                          rest.len < NAME_MAX_BYTES ? (int)rest.len : NAME_MAX_BYTES, rest.data);
    }
    if (r == 0)
        *ret_target = target;
    return r;
}
