#include "support/scripted_model.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"

enum { LINE_MAX_BYTES = 32 * 1024 };

struct scripted {
    struct chat_provider provider;
    struct loop *loop;
    struct scripted_model_hooks hooks;
    loop_id deferred;
    chat_call_id pending; // one call at a time is all that the agent of one session makes
    chat_call_id last_id;
    char line[LINE_MAX_BYTES];
    char *paid; // by whom the reply is paid, to be told; NULL: no news
    const struct chat_sink *sink;
    void *context;
};

void scripted_model_write(const struct chat_message *messages, size_t count, struct buf *out)
{
    const struct chat_message *asking = NULL;
    size_t answered = 0;
    for (size_t i = 0; i < count; i++) {
        const struct chat_message *message = &messages[i];
        buf_printf(out, "%s: %s", chat_role_name(message->role),
                   message->text ? message->text : "");
        if (message->role == CHAT_TOOL) {
            assert_non_null(asking);
            assert_true(answered < asking->call_count);
            assert_string_equal(message->call_id, asking->calls[answered].id);
            answered++;
        } else {
            if (asking)
                assert_int_equal(answered, asking->call_count);
            asking = message->call_count ? message : NULL;
            answered = 0;
        }
        for (size_t n = 0; n < message->call_count; n++)
            buf_printf(out, " +%s(%s)#%s", message->calls[n].name, message->calls[n].arguments,
                       message->calls[n].id);
        buf_append_char(out, '\n');
    }
    if (asking)
        assert_int_equal(answered, asking->call_count);
}

static void say(struct scripted *model, const char *text)
{
    size_t half = strlen(text) / 2;
    if (half)
        model->sink->on_text(model->context, span_make(text, half));
    if (*text)
        model->sink->on_text(model->context, span_of(text + half));
}

static void add_calls(struct chat_message *message, char *calls)
{
    char *rest = calls, *call;
    while ((call = strsep(&rest, ";"))) {
        char id[16];
        call += strspn(call, " ");
        char *arguments = call;
        char *name = strsep(&arguments, " ");
        for (char *quote = arguments; quote && (quote = strchr(quote, '\''));)
            *quote = '"';
        snprintf(id, sizeof id, "c%zu", message->call_count);
        chat_message_add_call(message, id, name, arguments ? arguments : "{}", NULL);
    }
}

static bool is(const char *line, const char *word, const char **ret_rest)
{
    size_t len = strlen(word);
    bool same = strncmp(line, word, len) == 0;
    if (same)
        *ret_rest = line + len + (line[len] == ' ');
    return same;
}

static void reply(struct scripted *model, const char *text, bool calls, enum chat_finish finish)
{
    struct chat_reply made = {.message = {.role = CHAT_ASSISTANT},
                              .finish = finish,
                              .usage = {100, 10, 1, -1, -1, 7},
                              .model = mem_strdup("scripted")};
    if (calls) {
        CLEANUP(mem_cleanup) char *list = mem_strdup(text);
        add_calls(&made.message, list);
    } else {
        made.message.text = mem_strdup(text);
        say(model, text);
    }
    if (model->paid) {
        made.notice = mem_printf("%s is paid", model->paid);
        free(STEAL(model->paid));
    }
    model->pending = 0;
    model->sink->on_reply(model->context, &made);
    chat_reply_finish(&made);
}

static void deliver(void *context)
{
    struct scripted *model = context;
    const char *rest;
    CLEANUP(mem_cleanup) char *line = mem_strdup(model->line); // on_reply may ask again at once
    model->deferred = 0;
    if (is(line, "paid", &rest)) {
        size_t len = strcspn(rest, " ");
        model->paid = mem_strndup(rest, len);
        memmove(line, rest + len + 1, strlen(rest + len + 1) + 1);
    }
    if (is(line, "say", &rest)) {
        reply(model, rest, false, CHAT_FINISH_STOP);
    } else if (is(line, "cut-call", &rest)) {
        reply(model, rest, true, CHAT_FINISH_LENGTH);
    } else if (is(line, "cut", &rest)) {
        reply(model, rest, false, CHAT_FINISH_LENGTH);
    } else if (is(line, "flood", &rest)) {
        int64_t len = 0;
        assert_true(span_to_i64(span_of(rest), &len));
        CLEANUP(mem_cleanup) char *text = mem_alloc((size_t)len + 1);
        memset(text, 'x', (size_t)len);
        text[len] = '\0';
        reply(model, text, false, CHAT_FINISH_STOP);
    } else if (is(line, "call", &rest)) {
        reply(model, rest, true, CHAT_FINISH_TOOL_CALLS);
    } else if (is(line, "allow", &rest)) {
        const char *code = strstr(buf_text(model->hooks.prompt), "\"ALLOW ");
        CLEANUP(mem_cleanup) char *text = mem_printf("%.14s%s", code + 1, rest);
        reply(model, text, false, CHAT_FINISH_STOP);
    } else if (is(line, "hang", &rest)) {
        say(model, rest);
    } else if (is(line, "fail", &rest) || is(line, "long", &rest)) {
        struct chat_failure failure = {.kind = *line == 'l' ? CHAT_TOO_LONG : CHAT_SERVER,
                                       .status = 500,
                                       .retry_after_ms = -1};
        char *sentence = strchr(line + 5, ' ');
        *sentence = '\0';
        if (failure.kind != CHAT_TOO_LONG)
            say(model, rest);
        snprintf(failure.text, sizeof failure.text, "%s", sentence + 1);
        model->pending = 0;
        model->sink->on_failure(model->context, &failure);
    } else {
        fail_msg("the script has no line for this call, or an odd one: %s", line);
    }
}

static int start(struct chat_provider *provider, const struct chat_request *request,
                 const struct chat_sink *sink, void *context, chat_call_id *ret_id,
                 struct error *err)
{
    struct scripted *model = CONTAINER_OF(provider, struct scripted, provider);
    const char **script = model->hooks.script, *rest;
    size_t len = strcspn(*script, "\n");
    assert_int_equal(model->pending, 0);
    const char *slot = request->origin.slot ? request->origin.slot : "";
    bool beside = strcmp(slot, "approval") == 0 || strcmp(slot, "compression") == 0 ||
                  strcmp(slot, "title") == 0;
    assert_true(request->message_count > 1 && (request->tool_count == 0) == beside);
    assert_int_equal(request->messages[0].role, CHAT_SYSTEM);
    buf_clear(model->hooks.prompt);
    scripted_model_write(request->messages, request->message_count, model->hooks.prompt);
    snprintf(model->line, sizeof model->line, "%.*s", (int)len, *script);
    *script += len + ((*script)[len] == '\n');
    ++*model->hooks.asked;
    snprintf(model->hooks.asked_as, 64, "%s%s%s", request->origin.slot, request->model ? " " : "",
             request->model ? request->model : "");
    *model->hooks.priority = request->origin.priority;
    if (is(model->line, "refuse", &rest))
        return error_set(err, -EIO, "%s", rest);
    model->sink = sink;
    model->context = context;
    model->pending = *ret_id = ++model->last_id;
    model->deferred = loop_defer(model->loop, deliver, model);
    return 0;
}

static void cancel(struct chat_provider *provider, chat_call_id id)
{
    struct scripted *model = CONTAINER_OF(provider, struct scripted, provider);
    if (id == 0 || id != model->pending)
        return;
    loop_cancel(model->loop, model->deferred);
    model->deferred = 0;
    model->pending = 0;
}

static void end_work(struct chat_provider *provider, const char *work, bool told)
{
    struct scripted *model = CONTAINER_OF(provider, struct scripted, provider);
    assert_true(*work);
    *model->hooks.told = told;
}

static void destroy(struct chat_provider *provider)
{
    struct scripted *model = CONTAINER_OF(provider, struct scripted, provider);
    assert_int_equal(model->pending, 0); // nobody forgot a call
    free(model);
}

struct chat_provider *scripted_model_create(struct loop *loop, struct scripted_model_hooks hooks)
{
    static const struct chat_provider_ops ops = {"scripted", start, cancel, end_work, destroy};
    struct scripted *model = mem_new(struct scripted);
    model->provider.ops = &ops;
    model->loop = loop;
    model->hooks = hooks;
    return &model->provider;
}
