#include "tools/web_fetch.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "codec/url.h"
#include "net/address_guard.h"
#include "tools/table.h"
#include "tools/web_call.h"
#include "tools/web_options.h"
#include "tools/web_page.h"

/*
 * One page after the other: its bytes are got on the loop, under a guard (address_guard.h), and
 * made text by a process of its own (web_page.h). Whatever comes of it is somebody else's word, and
 * said to be so.
 */
enum {
    FETCHES_MAX = 4, // calls at a time, each with a page in memory; the others wait
    URLS_MAX = 5,
    URL_SHOWN_MAX = 1024, // bytes
    REDIRECTS_MAX = 5,
    PAGE_MAX = 4 << 20,      // bytes that are read of one
    CHARACTERS_MIN = 2000,   // of its text
    CHARACTERS = 15000,      // the same, where nothing is said
    TEXT_BUDGET = 40 * 1024, // bytes of all texts; the rest of TOOL_TEXT_MAX is for remarks
};

struct web_fetch {
    struct list link; // tool_queue::waiting
    bool running;
    const struct tool_env *env;
    struct http_client *http;
    struct tool_run *run;
    struct address_guard *guard;
    char *urls[URLS_MAX];
    size_t count, at, failed;
    int64_t characters;
    uint64_t flow;
    struct web_call *call; // one of these two, while it runs
    process_id page;
    bool cut;   // the page that is made text
    bool named; // it stands in `out`
    struct buf out;
};

static void destroy(struct web_fetch *fetch)
{
    for (size_t i = 0; i < fetch->count; i++)
        free(fetch->urls[i]);
    address_guard_destroy(fetch->guard);
    buf_finish(&fetch->out);
    list_remove(&fetch->link);
    free(fetch);
}

static int begin_page(struct web_fetch *fetch, struct error *err);
static void go_on(struct web_fetch *fetch, const char *failure);

static int begin(struct web_fetch *fetch, struct error *err)
{
    int r = begin_page(fetch, err);
    fetch->running = r == 0;
    fetch->env->fetches->running += r == 0;
    return r;
}

// Its place is for the one that has waited longest.
static void leave(struct web_fetch *fetch)
{
    struct tool_queue *queue = fetch->env->fetches;
    struct error err = ERROR_INIT;
    queue->running -= fetch->running;
    destroy(fetch);
    struct list *link = queue->running < FETCHES_MAX ? list_shift(&queue->waiting) : NULL;
    struct web_fetch *next = link ? list_entry(link, struct web_fetch, link) : NULL;
    if (next && begin(next, &err) < 0)
        go_on(next, err.text);
}

static void name_page(struct web_fetch *fetch, const char *url)
{
    buf_printf(&fetch->out, "%sURL: %.*s\n", fetch->out.len ? "\n\n" : "", URL_SHOWN_MAX, url);
    fetch->named = true;
}

static void go_on(struct web_fetch *fetch, const char *failure)
{
    struct error err = ERROR_INIT;
    while (failure) {
        fetch->failed++;
        if (!fetch->named)
            name_page(fetch, fetch->urls[fetch->at]);
        buf_printf(&fetch->out, "failed: %s", failure);
        fetch->named = false;
        if (++fetch->at == fetch->count)
            break;
        failure = begin_page(fetch, &err) < 0 ? err.text : NULL;
    }
    if (fetch->at < fetch->count)
        return;
    tool_run_end(fetch->run, &(struct tool_result){.text = buf_span(&fetch->out),
                                                   .failed = fetch->failed == fetch->count,
                                                   .tainted = true,
                                                   .ms = -1});
    leave(fetch);
}

static void on_text(void *context, const struct process_end *end)
{
    struct web_fetch *fetch = context;
    struct span text = end->output[PROCESS_STDOUT];
    struct error err = ERROR_INIT;
    fetch->page = 0;
    if (end->result != 0) {
        error_set(&err, -EIO, "%.*s", end->result < 0 ? ERROR_TEXT_MAX : (int)text.len,
                  end->result < 0 ? end->err->text : text.data);
        go_on(fetch, err.text);
        return;
    }
    buf_append_span(&fetch->out, text);
    if (fetch->cut)
        buf_printf(&fetch->out, "\n[only the first %d MiB of the page were read]", PAGE_MAX >> 20);
    fetch->named = false;
    if (++fetch->at < fetch->count && begin_page(fetch, &err) == 0)
        return;
    go_on(fetch, fetch->at < fetch->count ? err.text : NULL);
}

static int make_text(struct web_fetch *fetch, const struct web_answer *answer, struct error *err)
{
    static const struct process_events events = {.on_end = on_text};
    struct web_page page = {
        .type = span_of(answer->type),
        .url = span_of(answer->url),
        .body = buf_span(&answer->body),
        .characters = fetch->characters,
        .bytes = TEXT_BUDGET / (int64_t)fetch->count,
    };
    if (answer->status < 200 || answer->status > 299)
        return error_set(err, -ENOENT, "HTTP status %d of %.256s", answer->status, answer->url);
    if (answer->unwanted && answer->length >= 0)
        return error_set(err, -ENOTSUP, "it is no text but %s, of %" PRId64 " bytes", answer->type,
                         answer->length);
    if (answer->unwanted)
        return error_set(err, -ENOTSUP, "it is no text but %s", answer->type);
    fetch->cut = answer->cut;
    return web_page_start(fetch->env->processes,
                          fetch->env->workspace ? fetch->env->workspace : "/", fetch->flow, &page,
                          &events, fetch, &fetch->page, err);
}

static void on_answer(void *context, const struct web_answer *answer, const struct error *failed)
{
    struct web_fetch *fetch = context;
    struct error err = *failed;
    fetch->call = NULL;
    if (err.code == -EACCES)
        error_set(&err, -EACCES, "%s (whoever runs this program may grant it: tools.web.allow)",
                  failed->text);
    else if (err.code == 0)
        make_text(fetch, answer, &err);
    if (err.code < 0)
        go_on(fetch, err.text);
    else
        name_page(fetch, answer->url), buf_append_char(&fetch->out, '\n');
}

static int begin_page(struct web_fetch *fetch, struct error *err)
{
    static const char *const headers[] = {
        "User-Agent: Mozilla/5.0 (compatible; hermes/" HERMES_VERSION ")",
        "Accept: text/html, text/markdown;q=0.9, text/plain;q=0.9, */*;q=0.5",
        "Accept-Encoding: identity", NULL};
    struct web_call_spec spec = {
        .http = fetch->http,
        .loop = fetch->env->loop,
        .method = "GET",
        .url = fetch->urls[fetch->at],
        .headers = headers,
        .guard = fetch->guard,
        .redirects = REDIRECTS_MAX,
        .body_max = PAGE_MAX,
        .wants = web_page_is_text,
    };
    return web_call_start(&spec, on_answer, fetch, &fetch->call, err);
}

/* Arguments */

static int add_url(struct web_fetch *fetch, struct json_value value, struct error *err)
{
    BUF_AUTO text = BUF_INIT(URL_BYTES_MAX);
    BUF_AUTO url = BUF_INIT(URL_BYTES_MAX);
    struct url parsed;
    if (fetch->count == URLS_MAX)
        return error_set(err, -E2BIG, "at most %d URLs at a time", URLS_MAX);
    if (json_type(value) != JSON_STRING || !json_string(value, &text))
        return error_set(err, -EINVAL, "a URL must be a string of at most %d bytes", URL_BYTES_MAX);
    if (!url_resolve(SPAN_ABSENT, buf_span(&text), &url)) {
        int r = url_parse(span_trim(buf_span(&text)), &parsed, err);
        return r < 0 ? r : error_set(err, -EINVAL, "this is no URL that can be asked");
    }
    fetch->urls[fetch->count++] = buf_take_text(&url);
    return 0;
}

struct json_value web_fetch_urls(struct json_value arguments)
{
    struct json_value urls = json_get(arguments, "urls");
    if (json_type(urls) != JSON_ARRAY && tool_has(arguments, "url"))
        return json_get(arguments, "url");
    return urls;
}

static int read_arguments(struct web_fetch *fetch, struct json_value arguments, struct error *err)
{
    struct json_value value, urls = web_fetch_urls(arguments);
    struct json_iter it = json_iter_init(urls);
    int r = tool_want_number(arguments, "char_limit", CHARACTERS, CHARACTERS_MIN, INT32_MAX,
                             &fetch->characters, err);
    if (r == 0 && json_type(urls) == JSON_STRING)
        r = add_url(fetch, urls, err);
    else if (json_type(urls) == JSON_ARRAY)
        while (r == 0 && json_iter_next(&it, NULL, &value))
            r = add_url(fetch, value, err);
    if (r == 0 && fetch->count == 0)
        r = error_set(err, -EINVAL,
                      "the parameter \"url\" is missing: an address of http or https");
    if (fetch->characters > WEB_PAGE_CHARACTERS_MAX)
        fetch->characters = WEB_PAGE_CHARACTERS_MAX;
    return r;
}

static int start(const struct tool_env *env, const struct tool_call *call, struct tool_run *run,
                 struct buf *out, struct error *err)
{
    static const struct web_config none;
    (void)out;
    const struct web_config *config = env->settings.web ? env->settings.web : &none;
    struct web_fetch *fetch = mem_new(struct web_fetch);
    fetch->env = env;
    fetch->run = run;
    fetch->flow = call->context->flow;
    list_init(&fetch->link);
    buf_init(&fetch->out, 2 * TOOL_TEXT_MAX);
    int r = read_arguments(fetch, call->arguments, err);
    if (r == 0)
        r = tool_need_http(env, &fetch->http, err);
    if (r == 0)
        r = address_guard_create(config->allow.items, config->allow.count, config->proxied,
                                 &fetch->guard, err);
    if (r == 0 && env->fetches->running < FETCHES_MAX)
        r = begin(fetch, err);
    else if (r == 0)
        list_append(&env->fetches->waiting, &fetch->link);
    if (r < 0)
        destroy(fetch);
    else
        tool_run_set_handle(run, (union tool_handle){.pointer = fetch});
    return r;
}

static void forget(const struct tool_env *env, int64_t handle)
{
    struct web_fetch *fetch = (union tool_handle){.number = handle}.pointer;
    web_call_cancel(fetch->call);
    process_cancel(env->processes, fetch->page);
    leave(fetch);
}

const struct tool tool_web_fetch = {
    .name = "web_fetch",
    .description = "Read a web page as text.",
    .parameters = // taken as well: urls, and char_limit, of which a text that is cut tells
    "{\"type\":\"object\",\"properties\":{"
    "\"url\":{\"type\":\"string\",\"description\":\"http(s)\"}},"
    "\"required\":[\"url\"]}",
    .flags = TOOL_NETWORK | TOOL_REPEATABLE | TOOL_UNATTENDED,
    .start = start,
    .forget = forget,
};

// As hermes-agent's users and skills call it.
const struct tool tool_web_extract = {
    .name = "web_extract",
    .description = "Read up to 5 web pages as text: web_fetch for several.",
    .parameters = "{\"type\":\"object\",\"properties\":{"
                  "\"urls\":{\"type\":\"array\",\"items\":{\"type\":\"string\"},"
                  "\"description\":\"http or https, at most 5\"},"
                  "\"char_limit\":{\"type\":\"integer\",\"description\":\"Characters of each, at "
                  "least 2000, else 15000\"}},\"required\":[\"urls\"]}",
    .flags = TOOL_NETWORK | TOOL_REPEATABLE | TOOL_UNATTENDED | TOOL_FOUND,
    .start = start,
    .forget = forget,
};
