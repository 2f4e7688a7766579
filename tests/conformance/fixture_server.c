/*
 * What the conformance suite wants of a server, made of src/mcp: the tools, resources and prompts
 * by whose names its scenarios ask. Prints the URL that it answers at, and ends with its standard
 * input, so that a sanitizer has its say; with --stdio it speaks over its standard streams instead.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "loop/loop.h"
#include "mcp/rpc.h"
#include "mcp/server.h"
#include "mcp/server_ways.h"
#include "net/http_server.h"

enum { TEXT_MAX = 64 * 1024, STEP_MS = 50, STEPS = 3, ROUNDS_MAX = 2, ROUND_ASKS_MAX = 3 };

#define PNG                                                                                        \
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJg" \
    "gg=="
#define WAV "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAIA+AAACABAAZGF0YQAAAAA="
#define IMAGE "{\"type\":\"image\",\"mimeType\":\"image/png\",\"data\":\"" PNG "\"}"

static struct loop *loop;
static struct mcp_server *server;
static struct http_server *http;

static void reply_raw(const struct mcp_asked *asked, const char *key, const char *json)
{
    DOCUMENT_AUTO doc = DOCUMENT_INIT(TEXT_MAX);
    node_add_raw(document_object(&doc), key, span_of(json));
    mcp_server_reply(server, asked->call, &doc);
}

static void reply_text(mcp_call_id call, const char *text, bool failed)
{
    DOCUMENT_AUTO doc = DOCUMENT_INIT(TEXT_MAX);
    struct node root = document_object(&doc);
    struct node content = node_add_object(node_add_array(root, "content"), NULL);
    node_add_text(content, "type", "text");
    node_add_text(content, "text", text);
    if (failed)
        node_add_bool(root, "isError", true);
    mcp_server_reply(server, call, &doc);
}

/* Tools that ask */

#define ELICIT(message, properties)                      \
    "{\"message\":\"" message "\",\"requestedSchema\":{" \
    "\"type\":\"object\",\"properties\":{" properties "}}}"
#define SAMPLE(text)                                                                    \
    "{\"messages\":[{\"role\":\"user\",\"content\":{\"type\":\"text\",\"text\":\"" text \
    "\"}}],\"maxTokens\":100}"
#define STRING(name) "\"" name "\":{\"type\":\"string\"}"

struct round_ask {
    const char *key, *method, *params;
};
#define ASK_ELICIT(key, message, properties)                   \
    {                                                          \
        key, "elicitation/create", ELICIT(message, properties) \
    }
#define ASK_ROOTS                          \
    {                                      \
        "client_roots", "roots/list", "{}" \
    }

struct script {
    const char *name;
    bool keeps_state, only_possible;
    struct round_ask rounds[ROUNDS_MAX][ROUND_ASKS_MAX];
};

static const struct script scripts[] = {
    {"test_input_required_result_elicitation",
     false,
     false,
     {{ASK_ELICIT("user_name", "What is your name?", STRING("name"))}}},
    {"test_input_required_result_sampling",
     false,
     false,
     {{{"capital_question", "sampling/createMessage", SAMPLE("What is the capital of France?")}}}},
    {"test_input_required_result_list_roots", false, false, {{ASK_ROOTS}}},
    {"test_input_required_result_request_state",
     true,
     false,
     {{ASK_ELICIT("confirm", "Please confirm", "\"ok\":{\"type\":\"boolean\"}")}}},
    {"test_input_required_result_tampered_state",
     true,
     false,
     {{ASK_ELICIT("confirm", "Please confirm", "\"ok\":{\"type\":\"boolean\"}")}}},
    {"test_input_required_result_multiple_inputs",
     true,
     false,
     {{ASK_ELICIT("user_name", "What is your name?", STRING("name")),
       {"greeting", "sampling/createMessage", SAMPLE("Generate a greeting")},
       ASK_ROOTS}}},
    {"test_input_required_result_multi_round",
     true,
     false,
     {{ASK_ELICIT("step1", "Step 1: What is your name?", STRING("name"))},
      {ASK_ELICIT("step2", "Step 2: What is your favorite color?", STRING("color"))}}},
    {"test_input_required_result_capabilities",
     false,
     true,
     {{ASK_ELICIT("user_name", "What is your name?", STRING("name")),
       {"greeting", "sampling/createMessage", SAMPLE("Generate a greeting")}}}},
    {"test_missing_capability",
     false,
     false,
     {{{"greeting", "sampling/createMessage", SAMPLE("Generate a greeting")}}}},
    {"test_streaming_elicitation",
     false,
     false,
     {{ASK_ELICIT("user_name", "What is your name?", STRING("name"))}}},
    {"test_elicitation",
     false,
     false,
     {{ASK_ELICIT("answer", "Who are you?", STRING("username") "," STRING("email"))}}},
    {"test_sampling",
     false,
     false,
     {{{"answer", "sampling/createMessage", SAMPLE("Test prompt for sampling")}}}},
    {"test_elicitation_sep1034_defaults",
     false,
     false,
     {{ASK_ELICIT("answer", "Who are you?",
                  "\"name\":{\"type\":\"string\",\"default\":\"John Doe\"},"
                  "\"age\":{\"type\":\"integer\",\"default\":30},"
                  "\"score\":{\"type\":\"number\",\"default\":95.5},"
                  "\"status\":{\"type\":\"string\",\"enum\":[\"active\",\"inactive\",\"pending\"],"
                  "\"default\":\"active\"},"
                  "\"verified\":{\"type\":\"boolean\",\"default\":true}")}}},
    {"test_elicitation_sep1330_enums",
     false,
     false,
     {{ASK_ELICIT(
         "answer", "Choose",
         "\"untitledSingle\":{\"type\":\"string\",\"enum\":[\"option1\",\"option2\",\"option3\"]},"
         "\"titledSingle\":{\"type\":\"string\",\"oneOf\":[{\"const\":\"value1\","
         "\"title\":\"First Option\"},{\"const\":\"value2\",\"title\":\"Second Option\"}]},"
         "\"legacyEnum\":{\"type\":\"string\",\"enum\":[\"opt1\",\"opt2\",\"opt3\"],"
         "\"enumNames\":[\"Option One\",\"Option Two\",\"Option Three\"]},"
         "\"untitledMulti\":{\"type\":\"array\",\"items\":{\"type\":\"string\","
         "\"enum\":[\"option1\",\"option2\",\"option3\"]}},"
         "\"titledMulti\":{\"type\":\"array\",\"items\":{\"anyOf\":[{\"const\":\"value1\","
         "\"title\":\"First Choice\"},{\"const\":\"value2\",\"title\":\"Second Choice\"}]}}")}}},
};

static const struct script prompt_script = {
    "test_input_required_result_prompt",
    false,
    false,
    {{ASK_ELICIT("user_context", "What context should the prompt use?", STRING("context"))}}};

static unsigned need_of(const char *method)
{
    return *method == 'e' ? MCP_CAN_ELICIT : *method == 's' ? MCP_CAN_SAMPLE : MCP_CAN_ROOTS;
}

static size_t asks_of(const struct mcp_asked *asked, const struct script *script, uint64_t round,
                      struct mcp_ask *asks)
{
    size_t count = 0;
    for (int i = 0; round < ROUNDS_MAX && i < ROUND_ASKS_MAX; i++) {
        const struct round_ask *ask = &script->rounds[round][i];
        if (ask->key && (!script->only_possible || asked->can & need_of(ask->method)))
            asks[count++] = (struct mcp_ask){ask->key, ask->method, span_of(ask->params)};
    }
    return count;
}

// True when all has been answered that is asked.
static bool follow(const struct mcp_asked *asked, const struct script *script)
{
    struct mcp_ask asks[ROUND_ASKS_MAX];
    uint64_t round = 0;
    span_to_u64(asked->state, &round);
    size_t count = asks_of(asked, script, round, asks);
    bool answered = count && (!script->keeps_state || asked->state.len);
    for (size_t i = 0; i < count; i++)
        answered &= json_type(json_get(asked->responses, asks[i].key)) == JSON_OBJECT;
    if (answered)
        count = asks_of(asked, script, ++round, asks);
    if (!count)
        return true;
    char state[16];
    snprintf(state, sizeof state, "%u", (unsigned)round);
    mcp_server_ask(server, asked->call, asks, count,
                   script->keeps_state ? span_of(state) : SPAN_ABSENT);
    return false;
}

static void call_script(const struct mcp_asked *asked, const struct script *script)
{
    if (!follow(asked, script))
        return;
    BUF_AUTO text = BUF_INIT(TEXT_MAX);
    buf_append_text(&text, "state-ok, the client said: ");
    buf_append_span(&text, json_raw(asked->responses));
    reply_text(asked->call, buf_text(&text), false);
}

/* Tools that take their time */

struct steps {
    mcp_call_id call;
    int step;
    bool logs;
};

static void on_step(void *context)
{
    static const char *const said[STEPS] = {"Tool execution started", "Tool processing data",
                                            "Tool execution completed"};
    struct steps *steps = context;
    if (steps->step == STEPS) {
        reply_text(steps->call, "It is done.", false);
        free(steps);
        return;
    }
    if (steps->logs)
        mcp_server_log(server, steps->call, MCP_LOG_INFO, said[steps->step]);
    else
        mcp_server_progress(server, steps->call, 50 * steps->step, 100, said[steps->step]);
    steps->step++;
    loop_timer_after(loop, STEP_MS, on_step, steps);
}

static void begin_steps(const struct mcp_asked *asked, bool logs)
{
    struct steps *steps = mem_new(struct steps);
    *steps = (struct steps){asked->call, 0, logs};
    on_step(steps);
}

/* All tools */

#define TEXT_ITEM(text) "{\"type\":\"text\",\"text\":\"" text "\"}"
#define RESOURCE_ITEM(uri, type, text)                                              \
    "{\"type\":\"resource\",\"resource\":{\"uri\":\"" uri "\",\"mimeType\":\"" type \
    "\",\"text\":\"" text "\"}}"

static const struct {
    const char *name, *content;
} plain[] = {
    {"test_simple_text", "[" TEXT_ITEM("This is a simple text response for testing.") "]"},
    {"test_image_content", "[" IMAGE "]"},
    {"test_audio_content",
     "[{\"type\":\"audio\",\"mimeType\":\"audio/wav\",\"data\":\"" WAV "\"}]"},
    {"test_embedded_resource", "[" RESOURCE_ITEM("test://embedded-resource", "text/plain",
                                                 "This is an embedded resource content.") "]"},
    {"test_multiple_content_types",
     "[" TEXT_ITEM("Multiple content types test:") "," IMAGE "," RESOURCE_ITEM(
         "test://mixed-content-resource", "application/json", "{\\\"test\\\":\\\"data\\\"}") "]"},
};

static void say(const struct mcp_asked *asked)
{
    mcp_server_log(server, asked->call, MCP_LOG_INFO, "a word on the way");
    reply_text(asked->call, "It was logged.", false);
}

static void fail(const struct mcp_asked *asked)
{
    reply_text(asked->call, "This tool intentionally returns an error for testing", true);
}

static void log_steps(const struct mcp_asked *asked)
{
    begin_steps(asked, true);
}

static void tell_steps(const struct mcp_asked *asked)
{
    begin_steps(asked, false);
}

static void change_tools(const struct mcp_asked *asked)
{
    mcp_server_changed(server, MCP_TOOLS_CHANGE);
    reply_text(asked->call, "They have changed.", false);
}

static void change_prompts(const struct mcp_asked *asked)
{
    mcp_server_changed(server, MCP_PROMPTS_CHANGE);
    reply_text(asked->call, "They have changed.", false);
}

static const struct {
    const char *name;
    void (*run)(const struct mcp_asked *asked);
} functions[] = {
    {"test_error_handling", fail},
    {"test_tool_with_logging", log_steps},
    {"test_tool_with_progress", tell_steps},
    {"test_logging_tool", say},
    {"test_trigger_tool_change", change_tools},
    {"test_trigger_prompt_change", change_prompts},
};

static const char schema_2020[] =
    "{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"type\":\"object\",\"$defs\":{"
    "\"address\":{\"$anchor\":\"addressDef\",\"type\":\"object\",\"properties\":{\"street\":{"
    "\"type\":\"string\"},\"city\":{\"type\":\"string\"}}}},\"properties\":{\"name\":{\"type\":"
    "\"string\"},\"address\":{\"$ref\":\"#/$defs/address\"},\"contactMethod\":{\"type\":\"string\","
    "\"enum\":[\"phone\",\"email\"]},\"phone\":{\"type\":\"string\"},\"email\":{\"type\":"
    "\"string\"}},\"allOf\":[{\"anyOf\":[{\"required\":[\"phone\"]},{\"required\":[\"email\"]}]}],"
    "\"if\":{\"properties\":{\"contactMethod\":{\"const\":\"phone\"}},\"required\":["
    "\"contactMethod\"]},\"then\":{\"required\":[\"phone\"]},\"else\":{\"required\":[\"email\"]},"
    "\"additionalProperties\":false}";

static void add_tool(struct node list, const char *name, const char *schema)
{
    struct node tool = node_add_object(list, NULL);
    node_add_text(tool, "name", name);
    node_add_text(tool, "description", "A tool of the conformance suite");
    node_add_raw(tool, "inputSchema", span_of(schema));
}

static void list_tools(const struct mcp_asked *asked)
{
    DOCUMENT_AUTO doc = DOCUMENT_INIT(TEXT_MAX);
    struct node list = node_add_array(document_object(&doc), "tools");
    for (size_t i = 0; i < ARRAY_LEN(plain); i++)
        add_tool(list, plain[i].name, "{\"type\":\"object\"}");
    for (size_t i = 0; i < ARRAY_LEN(functions); i++)
        add_tool(list, functions[i].name, "{\"type\":\"object\"}");
    for (size_t i = 0; i < ARRAY_LEN(scripts); i++)
        add_tool(list, scripts[i].name, "{\"type\":\"object\"}");
    add_tool(list, "json_schema_2020_12_tool", schema_2020);
    mcp_server_reply(server, asked->call, &doc);
}

static void call_tool(const struct mcp_asked *asked)
{
    for (size_t i = 0; i < ARRAY_LEN(plain); i++)
        if (strcmp(asked->name, plain[i].name) == 0) {
            reply_raw(asked, "content", plain[i].content);
            return;
        }
    for (size_t i = 0; i < ARRAY_LEN(functions); i++)
        if (strcmp(asked->name, functions[i].name) == 0) {
            functions[i].run(asked);
            return;
        }
    for (size_t i = 0; i < ARRAY_LEN(scripts); i++)
        if (strcmp(asked->name, scripts[i].name) == 0) {
            call_script(asked, &scripts[i]);
            return;
        }
    mcp_server_fail_unknown(server, asked->call);
}

/* Resources and prompts */

static void read_resource(const struct mcp_asked *asked)
{
    static const char before[] = "test://template/", after[] = "/data";
    struct span uri = span_of(asked->name);
    DOCUMENT_AUTO doc = DOCUMENT_INIT(TEXT_MAX);
    struct node root = document_object(&doc);
    struct node content = node_add_object(node_add_array(root, "contents"), NULL);
    BUF_AUTO text = BUF_INIT(TEXT_MAX);
    bool binary = span_is(uri, "test://static-binary");
    node_add_string(content, "uri", uri);
    if (span_is(uri, "test://static-text") || span_is(uri, "test://watched-resource"))
        buf_append_text(&text, "This is the content of the static text resource.");
    else if (span_starts_with(uri, before) && span_ends_with(uri, after))
        buf_printf(&text, "{\"id\":\"%.*s\",\"templateTest\":true}",
                   (int)(uri.len - strlen(before) - strlen(after)), uri.data + strlen(before));
    node_add_text(content, "mimeType", binary ? "image/png" : "text/plain");
    node_add_text(content, binary ? "blob" : "text", binary ? PNG : buf_text(&text));
    if (binary || text.len)
        mcp_server_reply(server, asked->call, &doc);
    else
        mcp_server_fail_unknown(server, asked->call);
}

#define MESSAGE(content) "{\"role\":\"user\",\"content\":" content "}"

static void get_prompt(const struct mcp_asked *asked)
{
    const char *name = asked->name;
    BUF_AUTO text = BUF_INIT(TEXT_MAX);
    if (strcmp(name, "test_simple_prompt") == 0)
        buf_append_text(&text, "[" MESSAGE(TEXT_ITEM("This is a simple prompt for testing.")) "]");
    else if (strcmp(name, "test_prompt_with_arguments") == 0)
        buf_printf(&text,
                   "[" MESSAGE("{\"type\":\"text\",\"text\":%.*s}") "," MESSAGE(
                       "{\"type\":\"text\",\"text\":%.*s}") "]",
                   (int)json_raw(json_get(asked->arguments, "arg1")).len,
                   json_raw(json_get(asked->arguments, "arg1")).data,
                   (int)json_raw(json_get(asked->arguments, "arg2")).len,
                   json_raw(json_get(asked->arguments, "arg2")).data);
    else if (strcmp(name, "test_prompt_with_embedded_resource") == 0)
        buf_append_text(&text,
                        "[" MESSAGE(RESOURCE_ITEM("test://example-resource", "text/plain",
                                                  "Embedded resource content for testing.")) "]");
    else if (strcmp(name, "test_prompt_with_image") == 0)
        buf_append_text(&text, "[" MESSAGE(IMAGE) "]");
    else if (strcmp(name, prompt_script.name) == 0) {
        if (!follow(asked, &prompt_script))
            return;
        buf_append_text(&text, "[" MESSAGE(TEXT_ITEM("In that context.")) "]");
    }
    if (text.len)
        reply_raw(asked, "messages", buf_text(&text));
    else
        mcp_server_fail_unknown(server, asked->call);
}

static void on_request(void *context, const struct mcp_asked *asked)
{
    switch (asked->verb) {
    case MCP_LIST_TOOLS:
        list_tools(asked);
        break;
    case MCP_CALL_TOOL:
        call_tool(asked);
        break;
    case MCP_READ_RESOURCE:
        read_resource(asked);
        break;
    case MCP_GET_PROMPT:
        get_prompt(asked);
        break;
    case MCP_LIST_RESOURCES:
        reply_raw(asked, "resources",
                  "[{\"uri\":\"test://static-text\",\"name\":\"text\"},"
                  "{\"uri\":\"test://static-binary\",\"name\":\"binary\"},"
                  "{\"uri\":\"test://watched-resource\",\"name\":\"watched\"}]");
        break;
    case MCP_LIST_TEMPLATES:
        reply_raw(asked, "resourceTemplates",
                  "[{\"uriTemplate\":\"test://template/{id}/data\",\"name\":\"template\"}]");
        break;
    case MCP_LIST_PROMPTS:
        reply_raw(asked, "prompts",
                  "[{\"name\":\"test_simple_prompt\",\"description\":\"a\"},"
                  "{\"name\":\"test_prompt_with_arguments\",\"description\":\"b\",\"arguments\":["
                  "{\"name\":\"arg1\",\"required\":true},{\"name\":\"arg2\",\"required\":true}]},"
                  "{\"name\":\"test_prompt_with_embedded_resource\",\"description\":\"c\"},"
                  "{\"name\":\"test_prompt_with_image\",\"description\":\"d\"},"
                  "{\"name\":\"test_input_required_result_prompt\",\"description\":\"e\"}]");
        break;
    case MCP_COMPLETE:
        reply_raw(asked, "completion", "{\"values\":[\"test\"],\"total\":1,\"hasMore\":false}");
        break;
    }
}

static void on_cancel(void *context, mcp_call_id call) {}

static void on_exchange(void *context, struct http_exchange *exchange)
{
    static const struct mcp_http_rules rules = {NULL, 0, false};
    mcp_server_take(server, http, exchange, &rules);
}

static void on_gone(void *context, uint64_t exchange)
{
    if (server)
        mcp_server_gone(server, http, exchange);
}

static void on_end(void *context)
{
    loop_stop(loop);
}

static void on_input(void *context, int fd, unsigned events)
{
    loop_stop(loop);
}

int main(int argc, char **argv)
{
    static const struct mcp_offer offer = {
        .name = "hermes-conformance",
        .version = "1.0.0",
        .offers = MCP_TOOLS | MCP_RESOURCES | MCP_PROMPTS | MCP_COMPLETIONS | MCP_LOGGING |
                  MCP_TOOLS_CHANGE | MCP_RESOURCES_CHANGE | MCP_PROMPTS_CHANGE | MCP_WATCHING,
        .on_request = on_request,
        .on_cancel = on_cancel,
    };
    static const struct http_server_options options = {
        .address = "127.0.0.1",
        .max_body = MCP_REQUEST_MAX,
        .max_pending = 2 * MCP_ANSWER_MAX,
        .on_request = on_exchange,
        .on_gone = on_gone,
    };
    struct error err = ERROR_INIT;
    int r = loop_create(&clock_system, &loop, &err);
    if (r == 0)
        server = mcp_server_create(loop, &offer, NULL);
    if (r == 0 && argc > 1 && strcmp(argv[1], "--stdio") == 0)
        r = mcp_server_open_stdio(server, STDIN_FILENO, STDOUT_FILENO, on_end, NULL, &err);
    else if (r == 0)
        r = http_server_create(loop, &options, &http, &err);
    if (r < 0) {
        fprintf(stderr, "fixture_server: %s\n", err.text);
        return EXIT_FAILURE;
    }
    if (http) {
        printf("http://127.0.0.1:%u/mcp\n", http_server_port(http));
        fflush(stdout);
        loop_watch(loop, STDIN_FILENO, LOOP_READ, on_input, NULL);
    }
    loop_run(loop);
    mcp_server_destroy(STEAL(server));
    http_server_destroy(http);
    loop_destroy(loop);
    return EXIT_SUCCESS;
}
