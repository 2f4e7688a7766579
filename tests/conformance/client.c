/*
 * The client for the conformance suite of the protocol's own people, which starts it with the URL
 * of a server that looks at what it does. What that is, is the same in all scenarios: it uses
 * whatever the server offers. Tools are called beside each other with arguments made from their
 * schemas, unless the suite says with which; a question is accepted with its defaults.
 */
#include "mcp/client.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "codec/json_write.h"
#include "login.h"
#include "loop/loop.h"
#include "mcp/param_headers.h"
#include "net/ca_roots.h"
#include "net/http_client.h"

enum { TEXT_MAX = 1 << 20 }; // bytes of arguments and questions

struct visit {
    struct loop *loop;
    struct mcp_client *client;
    struct mcp_info info;
    struct json context; // what the suite wants called
    struct buf first_schema;
    unsigned open;   // requests that run
    char *challenge; // of a refusal; NULL: none
    int status;
};

static void done(struct visit *visit)
{
    if (--visit->open == 0)
        loop_stop(visit->loop);
}

static void fail(struct visit *visit, const char *why)
{
    fprintf(stderr, "conformance_client: %s\n", why);
    visit->status = 1;
}

// One that is refused for want of a token begins anew with one.
static void fail_with(struct visit *visit, const struct mcp_reply *reply)
{
    if (reply->trouble != MCP_DENIED) {
        fail(visit, reply->err->text);
        return;
    }
    free(visit->challenge);
    visit->challenge =
        mem_strndup(reply->challenge.len ? reply->challenge.data : "", reply->challenge.len);
    loop_stop(visit->loop);
}

/* Values for a schema */

static void write_value(struct json_writer *w, struct visit *visit, struct json_value name,
                        struct json_value schema)
{
    struct json_value given = json_get(schema, "default"), type = json_get(schema, "type");
    struct span first = json_raw(json_at(json_get(schema, "enum"), 0));
    if (json_type(given) != JSON_ABSENT)
        json_write_raw(w, json_raw(given));
    else if (first.len)
        json_write_raw(w, first);
    else if (json_is(type, "integer") || json_is(type, "number"))
        json_write_int(w, 1);
    else if (json_is(type, "boolean"))
        json_write_bool(w, true);
    else if (json_is(type, "object"))
        json_write_raw(w, json_is(name, "schema") ? buf_span(&visit->first_schema)
                                                  : SPAN_LITERAL("{}"));
    else if (json_is(type, "array"))
        json_write_raw(w, SPAN_LITERAL("[]"));
    else
        json_write_text(w, "x");
}

static void write_object(struct buf *out, struct visit *visit, struct json_value schema)
{
    struct json_value name, property;
    struct json_iter it = json_iter_init(json_get(schema, "properties"));
    BUF_AUTO key = BUF_INIT(TEXT_MAX);
    struct json_writer w;
    json_writer_init(&w, out);
    json_write_object_begin(&w);
    while (json_iter_next(&it, &name, &property)) {
        buf_clear(&key);
        json_string(name, &key);
        json_write_key_span(&w, buf_span(&key));
        write_value(&w, visit, name, property);
    }
    json_write_object_end(&w);
}

/* Requests */

static void on_reply(void *context, const struct mcp_reply *reply)
{
    struct visit *visit = context;
    if (reply->trouble != MCP_OK && reply->trouble != MCP_ERROR) // which is an answer, too
        fail_with(visit, reply);
    done(visit);
}

// {"name": "..."} or {"uri": "..."}, with arguments where there are some.
static void use(struct visit *visit, const char *method, const char *key, struct json_value name,
                struct span arguments, const char *const *headers)
{
    BUF_AUTO params = BUF_INIT(2 * TEXT_MAX);
    struct error err = ERROR_INIT;
    struct json_writer w;
    CLEANUP(mem_cleanup) char *text = json_strdup(name, TEXT_MAX);
    json_writer_init(&w, &params);
    json_write_object_begin(&w);
    json_write_member_raw(&w, key, json_raw(name));
    if (arguments.len)
        json_write_member_raw(&w, "arguments", arguments);
    json_write_object_end(&w);
    const struct mcp_request request = {
        .method = method,
        .params = buf_span(&params),
        .name = text,
        .headers = headers,
    };
    if (mcp_client_request(visit->client, &request, on_reply, visit, &err))
        visit->open++;
    else
        fail(visit, err.text);
}

static void call(struct visit *visit, struct json_value tool, struct json_value arguments)
{
    struct json_value schema = json_get(tool, "inputSchema");
    char **headers = NULL;
    struct error err = ERROR_INIT;
    BUF_AUTO made = BUF_INIT(TEXT_MAX);
    JSON_AUTO doc = JSON_INIT;
    if (json_type(arguments) == JSON_ABSENT)
        write_object(&made, visit, schema);
    else
        buf_append_span(&made, json_raw(arguments));
    json_parse(&doc, buf_span(&made), NULL);
    if (mcp_param_headers(schema, json_root(&doc), &headers, &err) < 0) {
        fprintf(stderr, "conformance_client: left out: %s\n", err.text);
        return;
    }
    use(visit, "tools/call", "name", json_get(tool, "name"), buf_span(&made),
        visit->info.modern ? (const char *const *)headers : NULL);
    mcp_lines_free(headers);
}

static void call_tool(struct visit *visit, struct json_value tool)
{
    struct json_value calls = json_get(json_root(&visit->context), "toolCalls"), each;
    struct json_iter it = json_iter_init(calls);
    if (!visit->first_schema.len)
        buf_append_span(&visit->first_schema, json_raw(json_get(tool, "inputSchema")));
    if (json_type(calls) == JSON_ABSENT)
        call(visit, tool, JSON_VALUE_ABSENT);
    while (json_iter_next(&it, NULL, &each)) {
        CLEANUP(mem_cleanup) char *name = json_strdup(json_get(each, "name"), TEXT_MAX);
        if (name && json_is(json_get(tool, "name"), name))
            call(visit, tool, json_get(each, "arguments"));
    }
}

static void use_all(struct visit *visit, struct json_value page)
{
    struct json_value each;
    struct json_iter tools = json_iter_init(json_get(page, "tools"));
    struct json_iter resources = json_iter_init(json_get(page, "resources"));
    struct json_iter prompts = json_iter_init(json_get(page, "prompts"));
    while (json_iter_next(&tools, NULL, &each))
        call_tool(visit, each);
    while (json_iter_next(&resources, NULL, &each))
        use(visit, "resources/read", "uri", json_get(each, "uri"), SPAN_ABSENT, NULL);
    while (json_iter_next(&prompts, NULL, &each))
        use(visit, "prompts/get", "name", json_get(each, "name"), SPAN_ABSENT, NULL);
}

static void on_page(void *context, const struct mcp_reply *page, bool last)
{
    struct visit *visit = context;
    if (page->trouble == MCP_OK)
        use_all(visit, page->result);
    else
        fail_with(visit, page);
    if (last)
        done(visit);
}

/* The connection */

static void on_ready(void *context, const struct mcp_info *info)
{
    struct visit *visit = context;
    const struct {
        const char *method;
        bool offered;
    } lists[] = {
        {"tools/list", info->tools},
        {"resources/list", info->resources},
        {"prompts/list", info->prompts},
    };
    visit->info = *info;
    visit->open = 1;
    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        if (lists[i].offered &&
            mcp_client_list(visit->client, lists[i].method, on_page, visit, NULL))
            visit->open++;
    done(visit);
}

static void on_closed(void *context, const struct mcp_reply *reply)
{
    struct visit *visit = context;
    fail_with(visit, reply);
    loop_stop(visit->loop);
}

static void on_notification(void *context, const char *method, struct json_value params)
{
    (void)context, (void)method, (void)params;
}

static void on_question(void *context, uint64_t question, mcp_request_id request,
                        struct json_value params)
{
    struct visit *visit = context;
    BUF_AUTO content = BUF_INIT(TEXT_MAX);
    (void)request;
    write_object(&content, visit, json_get(params, "requestedSchema"));
    mcp_client_answer(visit->client, question, "accept", buf_span(&content));
}

static void on_question_over(void *context, uint64_t question)
{
    (void)context, (void)question;
}

static int visit_once(struct visit *visit, const struct mcp_env *env, const char *url,
                      const char *const *headers, struct error *err)
{
    static const struct mcp_client_events events = {on_ready, on_closed, on_notification,
                                                    on_question, on_question_over};
    const struct mcp_endpoint endpoint = {
        .name = "of the suite",
        .url = url,
        .headers = headers,
        .timeout_ms = 20 * 1000,
        .connect_ms = 20 * 1000,
        .asks = true,
    };
    int r = mcp_client_create(env, &endpoint, &events, visit, &visit->client, err);
    if (r < 0)
        return r;
    loop_run(visit->loop);
    mcp_client_destroy(visit->client);
    loop_run_once(visit->loop, 500); // a session is given back
    return 0;
}

static int run(struct visit *visit, const struct mcp_env *env, const char *url, struct error *err)
{
    struct login access = {
        .loop = visit->loop, .http = env->http, .context = json_root(&visit->context)};
    int r;
    for (;;) {
        r = visit_once(visit, env, url, access.headers, err);
        CLEANUP(mem_cleanup) char *challenge = STEAL(visit->challenge);
        if (r == 0 && challenge)
            r = login(&access, url, span_of(challenge), err);
        if (r < 0 || !challenge)
            break;
    }
    login_finish(&access);
    return r;
}

int main(int argc, char **argv)
{
    struct visit visit = {.first_schema = BUF_INIT(TEXT_MAX)};
    struct mcp_env env = {0};
    struct trust *trust = NULL;
    struct error err = ERROR_INIT;
    const char *context = getenv("MCP_CONFORMANCE_CONTEXT");
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGPIPE, &ignore, NULL);
    json_parse(&visit.context, span_of(context ? context : "{}"), NULL);
    int r = argc == 2 ? 0 : error_set(&err, -1, "usage: conformance_client URL");
    if (r == 0)
        r = loop_create(&clock_system, &visit.loop, &err);
    if (r == 0)
        r = trust_create(NULL, &trust, &err);
    if (r == 0)
        r = http_client_create(visit.loop, trust, &env.http, &err);
    env.loop = visit.loop;
    if (r == 0)
        r = run(&visit, &env, argv[1], &err);
    if (r < 0)
        fail(&visit, err.text);
    http_client_destroy(env.http);
    trust_destroy(trust);
    loop_destroy(visit.loop);
    buf_finish(&visit.first_schema);
    json_finish(&visit.context);
    return visit.status;
}
