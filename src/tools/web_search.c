#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "codec/url.h"
#include "tools/excerpt.h"
#include "tools/table.h"
#include "tools/web_call.h"
#include "tools/web_options.h"

/*
 * One service is asked, which the owner has chosen. They differ in how a question is put and in
 * what the parts of an answer are called, and in nothing else.
 */
enum {
    QUERY_MAX = 1024,        // bytes
    LIMIT_MAX = 20,          // results
    LIMIT = 5,               // the same, where nothing is said
    ANSWER_MAX = 512 * 1024, // bytes
    TITLE_MAX = 300,         // bytes
    SNIPPET_MAX = 1500,      // bytes; with 20 results they fit into TOOL_TEXT_MAX
    FIELD_MAX = 64 * 1024,   // bytes of one part of an answer
};

struct provider {
    const char *name;
    const char *base_url; // NULL: there is none but the owner's
    const char *path;
    const char *key_header;    // what stands before the key; NULL: it needs none
    const char *query, *limit; // names of both
    bool posts;                // as JSON; else they are a query
    const char *more;          // behind those
    const char *outer;         // the member that holds the results; NULL: the whole does
    const char *snippet;
};

static const struct provider providers[] = {
    {"searxng", NULL, "search", NULL, "q", NULL, false, "&format=json", NULL, "content"},
    {"tavily", "https://api.tavily.com", "search", "Authorization: Bearer ", "query", "max_results",
     true, "", NULL, "content"},
    {"brave", "https://api.search.brave.com", "res/v1/web/search", "X-Subscription-Token: ", "q",
     "count", false, "", "web", "description"},
    {"exa", "https://api.exa.ai", "search", "x-api-key: ", "query", "numResults", true,
     ",\"contents\":{\"text\":{\"maxCharacters\":500}}", NULL, "text"},
};

struct web_search {
    struct tool_run *run;
    const struct provider *provider;
    int64_t limit;
    struct web_call *call;
    char *key; // the header line; NULL: none
};

static const struct provider *provider_of(const struct web_config *config)
{
    const char *name = config ? config->search_provider : NULL;
    for (size_t i = 0; name && i < ARRAY_LEN(providers); i++)
        if (strcmp(providers[i].name, name) == 0)
            return &providers[i];
    return NULL;
}

static const char *base_url_of(const struct provider *provider, const struct web_config *config)
{
    return config->search_url && *config->search_url ? config->search_url : provider->base_url;
}

static bool has_key(const struct web_config *config)
{
    return config->search_key && *config->search_key;
}

int web_search_check(const struct web_config *config, struct error *err)
{
    struct url url;
    const struct provider *provider = provider_of(config);
    if (!provider)
        return 0;
    const char *base_url = base_url_of(provider, config);
    if (!base_url)
        return error_set(err, -EINVAL, "tools.web.search.base_url is not set: where is %s?",
                         provider->name);
    return url_parse(span_of(base_url), &url, err) < 0
               ? error_wrap(err, "tools.web.search.base_url")
               : 0;
}

static bool is_configured(const struct tool_env *env)
{
    const struct provider *provider = provider_of(env->settings.web);
    return provider && (!provider->key_header || has_key(env->settings.web));
}

static void destroy(struct web_search *search)
{
    free(search->key);
    free(search);
}

/* The answer */

static void show_field(struct json_value value, size_t max, struct buf *out)
{
    BUF_AUTO text = BUF_INIT(FIELD_MAX);
    json_string(value, &text);
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] == '\n' || text.data[i] == '\r')
            text.data[i] = ' ';
    excerpt_append(span_trim(buf_span(&text)), max, max, out);
}

static int show_results(const struct web_search *search, struct span answer, struct buf *out,
                        struct error *err)
{
    JSON_AUTO doc = JSON_INIT;
    if (json_parse(&doc, answer, NULL) < 0)
        return error_set(err, -EBADMSG, "%s did not reply in JSON", search->provider->name);
    struct json_value root = json_root(&doc), result;
    if (search->provider->outer)
        root = json_get(root, search->provider->outer);
    struct json_iter it = json_iter_init(json_get(root, "results"));
    for (int64_t i = 1; i <= search->limit && json_iter_next(&it, NULL, &result); i++) {
        buf_printf(out, "%s%d. ", i > 1 ? "\n\n" : "", (int)i);
        show_field(json_get(result, "title"), TITLE_MAX, out);
        buf_append_char(out, '\n');
        show_field(json_get(result, "url"), URL_BYTES_MAX, out);
        buf_append_char(out, '\n');
        show_field(json_get(result, search->provider->snippet), SNIPPET_MAX, out);
    }
    if (out->len == 0)
        buf_append_text(out, "nothing was found");
    return 0;
}

static int read_answer(const struct web_search *search, const struct web_answer *answer,
                       struct buf *out, struct error *err)
{
    const char *name = search->provider->name;
    if (answer->status == 401 || answer->status == 403)
        return error_set(err, -EACCES,
                         "%s refuses (HTTP %d): tools.web.search of the configuration needs %s",
                         name, answer->status,
                         search->key ? "another api_key" : "an instance that allows format json");
    if (answer->status < 200 || answer->status > 299)
        return error_set(err, -EIO, "%s answers with HTTP status %d", name, answer->status);
    if (answer->cut)
        return error_set(err, -EFBIG, "the answer of %s is larger than %d KiB", name,
                         ANSWER_MAX >> 10);
    return show_results(search, buf_span(&answer->body), out, err);
}

static void on_answer(void *context, const struct web_answer *answer, const struct error *failed)
{
    struct web_search *search = context;
    BUF_AUTO out = BUF_INIT(2 * TOOL_TEXT_MAX);
    struct error err = *failed;
    if (err.code == 0)
        read_answer(search, answer, &out, &err);
    if (err.code < 0) {
        buf_clear(&out);
        buf_append_text(&out, err.text);
    }
    tool_run_end(search->run,
                 &(struct tool_result){
                     .text = buf_span(&out), .failed = err.code < 0, .tainted = true, .ms = -1});
    destroy(search);
}

/* The question */

static void write_query(const struct provider *provider, struct span query, int64_t limit,
                        struct buf *out)
{
    buf_printf(out, "%s?%s=", provider->path, provider->query);
    url_encode(query, out);
    if (provider->limit)
        buf_printf(out, "&%s=%d", provider->limit, (int)limit);
    buf_append_text(out, provider->more);
}

static void write_body(const struct provider *provider, struct json_value query, int64_t limit,
                       struct buf *out)
{
    struct span raw = json_raw(query);
    buf_printf(out, "{\"%s\":%.*s,\"%s\":%d%s}", provider->query, (int)raw.len, raw.data,
               provider->limit, (int)limit, provider->more);
}

static int begin(struct web_search *search, const struct tool_env *env, struct json_value arguments,
                 struct error *err)
{
    const struct web_config *config = env->settings.web;
    const struct provider *provider = search->provider;
    BUF_AUTO query = BUF_INIT(0);
    BUF_AUTO path = BUF_INIT(URL_BYTES_MAX);
    BUF_AUTO body = BUF_INIT(URL_BYTES_MAX);
    BUF_AUTO url = BUF_INIT(URL_BYTES_MAX);
    struct http_client *http;
    int r = tool_need_text(arguments, "query", QUERY_MAX, &query, err);
    if (r == 0 && span_trim(buf_span(&query)).len == 0)
        r = error_set(err, -EINVAL, "the parameter \"query\" is empty");
    if (r == 0)
        r = tool_want_number(arguments, "limit", LIMIT, 1, 100, &search->limit, err);
    if (r == 0)
        r = tool_need_http(env, &http, err);
    if (r < 0)
        return r;
    search->limit = search->limit < LIMIT_MAX ? search->limit : LIMIT_MAX;
    if (provider->posts) {
        buf_append_text(&path, provider->path);
        write_body(provider, json_get(arguments, "query"), search->limit, &body);
    } else {
        write_query(provider, buf_span(&query), search->limit, &path);
    }
    if (buf_is_full(&body) ||
        !url_join_path(span_of(base_url_of(provider, config)), buf_span(&path), &url))
        return error_set(err, -E2BIG, "the parameter \"query\" is too long");
    if (provider->key_header || has_key(config))
        search->key = mem_printf(
            "%s%s", provider->key_header ? provider->key_header : "Authorization: Bearer ",
            config->search_key);
    const char *const headers[] = {"Accept: application/json", "Accept-Encoding: identity",
                                   provider->posts ? "Content-Type: application/json"
                                                   : "User-Agent: hermes/" HERMES_VERSION,
                                   search->key, NULL};
    struct web_call_spec spec = {
        .http = http,
        .loop = env->loop,
        .method = provider->posts ? "POST" : "GET",
        .url = buf_text(&url),
        .headers = headers,
        .body = buf_span(&body),
        .body_max = ANSWER_MAX,
    };
    return web_call_start(&spec, on_answer, search, &search->call, err);
}

static int start(const struct tool_env *env, const struct tool_call *call, struct tool_run *run,
                 struct buf *out, struct error *err)
{
    (void)out;
    if (!is_configured(env))
        return error_set(err, -ENOENT, "no search service is configured (tools.web.search)");
    struct web_search *search = mem_new(struct web_search);
    search->run = run;
    search->provider = provider_of(env->settings.web);
    int r = begin(search, env, call->arguments, err);
    if (r < 0)
        destroy(search);
    else
        tool_run_set_handle(run, (union tool_handle){.pointer = search});
    return r;
}

static void forget(const struct tool_env *env, int64_t handle)
{
    (void)env;
    struct web_search *search = (union tool_handle){.number = handle}.pointer;
    web_call_cancel(search->call);
    destroy(search);
}

const struct tool tool_web_search = {
    .name = "web_search",
    .description = "Search the web: titles, addresses and a few words of each page.",
    .parameters = "{\"type\":\"object\",\"properties\":{"
                  "\"query\":{\"type\":\"string\",\"description\":\"What to look for\"},"
                  "\"limit\":{\"type\":\"integer\",\"description\":\"Results, at most 20; else 5\"}"
                  "},\"required\":[\"query\"]}",
    .flags = TOOL_NETWORK | TOOL_REPEATABLE | TOOL_UNATTENDED | TOOL_FOUND,
    .available = is_configured,
    .start = start,
    .forget = forget,
};
