#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "router/wire/reply_watch.h"

#define HEAD "\"id\":\"gen-1\",\"model\":\"vendor/m\","
#define CHUNK(delta, finish)                                                                   \
    "data: {" HEAD "\"choices\":[{\"index\":0,\"delta\":{" delta "},\"finish_reason\":" finish \
    "}],\"usage\":null}\n\n"
#define ROLE CHUNK("\"role\":\"assistant\",\"content\":\"\"", "null")
#define TEXT(text) CHUNK("\"content\":\"" text "\"", "null")
// A chunk of the choice with that index.
#define OF(index, delta, finish)                                                 \
    "data: {" HEAD "\"choices\":[{\"finish_reason\":" finish ",\"index\":" index \
    ",\"delta\":{" delta "}}]}\n\n"
#define WORD(index) OF(index, "\"content\":\"a\"", "null")
#define END(index) OF(index, "", "\"stop\"")
#define STOP CHUNK("", "\"stop\"")
#define COUNTS "{\"prompt_tokens\":9,\"completion_tokens\":4,\"total_tokens\":13,\"cost\":1.4e-05}"
#define USAGE "data: {" HEAD "\"choices\":[],\"usage\":" COUNTS "}\n\n"
#define DONE "data: [DONE]\n\n"
#define WHOLE(message, finish)                                                   \
    "{" HEAD "\"choices\":[{\"message\":{" message "},\"finish_reason\":" finish \
    "}],\"usage\":" COUNTS "}"

enum { NO = -1 }; // no failure

struct fault {
    const char *name;
    const char *body;
    const char *out; // what is passed on; NULL: the body
    int failure;     // enum chat_failure_kind, or NO
    int status;      // of HTTP; 0: 200
    bool drop_usage, cut, shown;
    enum reply_kind kind;
    int64_t answers; // that were asked for; 0: one
};

static const struct fault faults[] = {
    // What is well
    {"stream", ROLE TEXT("a") TEXT("b") STOP USAGE DONE, NULL, NO},
    {"usage dropped", ROLE TEXT("a") STOP USAGE DONE, ROLE TEXT("a") STOP DONE, NO,
     .drop_usage = true},
    {"no [DONE]", TEXT("a") STOP, NULL, NO},
    {"no [DONE], and a cut", TEXT("a") STOP, NULL, NO, .cut = true},
    {"cut behind [DONE]", TEXT("a") DONE, NULL, NO, .cut = true},
    {"words in the text",
     TEXT("a \\\"error\\\": {} \\\"finish_reason\\\":\\\"error\\\" [DONE]") TEXT("error") STOP DONE,
     NULL, NO},
    {"comments", ": OPENROUTER PROCESSING\n\n:\n\n" ROLE ": x\n\n" TEXT("a") ": y\n\n" STOP DONE,
     ROLE TEXT("a") ": y\n\n" STOP DONE, NO},
    {"no blank behind the colon",
     "data:{\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n"
     "data:{\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata:[DONE]\n\n",
     NULL, NO},
    {"last event without its end", TEXT("a") STOP "data: [DONE]", TEXT("a") STOP DONE, NO},
    {"CRLF", "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\r\n\r\ndata: [DONE]\r\n\r\n",
     NULL, NO},
    {"CRLF, usage dropped",
     "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\r\n\r\n"
     "data: {\"choices\":[],\"usage\":" COUNTS "}\r\n\r\ndata: [DONE]\r\n\r\n",
     "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\r\n\r\ndata: [DONE]\r\n\r\n", NO,
     .drop_usage = true},
    {"CR", "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\r\rdata: [DONE]\r\r", NULL, NO},
    {"several lines",
     "id: 1\ndata: {\"choices\":[{\"delta\":\ndata: {\"content\":\"a\"}}]}\n\n" DONE, NULL, NO},
    {"byte order mark", "\xef\xbb\xbf" TEXT("a") DONE, NULL, NO},
    {"reasoning", CHUNK("\"content\":null,\"reasoning\":\"hm\"", "null") STOP DONE, NULL, NO},
    {"reasoning_content", CHUNK("\"reasoning_content\":\"hm\"", "null") STOP DONE, NULL, NO},
    {"tool call",
     CHUNK("\"tool_calls\":[{\"index\":0,\"function\":{\"name\":\"f\"}}]", "null")
         CHUNK("", "\"tool_calls\"") DONE,
     NULL, NO},
    {"refusal", CHUNK("\"refusal\":\"no\"", "null") STOP DONE, NULL, NO},
    {"sound", CHUNK("\"audio\":{\"id\":\"a\"}", "null") STOP DONE, NULL, NO},
    {"parts", CHUNK("\"content\":[{\"type\":\"text\",\"text\":\"a\"}]", "null") STOP DONE, NULL,
     NO},
    {"completion", "data: {\"choices\":[{\"text\":\"a\",\"finish_reason\":null}]}\n\n" DONE, NULL,
     NO},
    {"all tokens used up", ROLE CHUNK("", "\"length\"") DONE, NULL, NO},
    {"whole", WHOLE("\"content\":\"a\"", "\"stop\""), NULL, NO},
    {"whole with white space", "  \n\n " WHOLE("\"content\":\"a\"", "\"stop\"") " \n", NULL, NO},
    {"whole, tools", WHOLE("\"content\":null,\"tool_calls\":[{}]", "\"tool_calls\""), NULL, NO},
    {"embeddings", "{\"data\":[{\"embedding\":[1]}],\"usage\":{\"prompt_tokens\":3}}", NULL, NO,
     .kind = REPLY_OTHER},

    // Several choices: one that has ended says nothing of the others
    {"two, no [DONE]", WORD("0") WORD("1") END("1") END("0"), NULL, NO, .cut = true, .answers = 2},
    {"two in one chunk",
     "data: {\"choices\":[{\"index\":0,\"text\":\"a\",\"finish_reason\":\"stop\"},"
     "{\"index\":1,\"text\":\"b\",\"finish_reason\":\"length\"}]}\n\n",
     NULL, NO, .cut = true, .answers = 2},
    {"two, the second open", WORD("0") WORD("1") END("0") WORD("1"), NULL, CHAT_INTERRUPTED,
     .cut = true, .answers = 2},
    {"two, the second open at its end", WORD("0") WORD("1") END("0"), NULL, CHAT_INTERRUPTED,
     .answers = 2},
    {"two, the second not begun", WORD("0") END("0"), NULL, CHAT_INTERRUPTED, .cut = true,
     .answers = 2},
    {"two, the second said null", WORD("0") OF("1", "\"content\":\"b\"", "\"null\"") END("0"), NULL,
     CHAT_INTERRUPTED, .cut = true, .answers = 2},
    {"two wanted, one given", WORD("0") END("0"), NULL, NO, .answers = 2},
    {"two, without an index", TEXT("a") STOP, NULL, NO, .answers = 2},
    {"two, [DONE]", WORD("0") WORD("1") END("0") DONE, NULL, NO, .cut = true, .answers = 2},
    {"two, odd indices", WORD("-1") WORD("900") END("900") END("\"x\""), NULL, NO, .cut = true,
     .answers = 2},
    {"one wanted, of another index", WORD("7") END("3"), NULL, NO, .cut = true},

    // Failures before the first content: nothing is passed on
    {"401", "{\"error\":{\"message\":\"bad key\",\"code\":\"invalid_api_key\"}}", "",
     CHAT_UNAUTHORIZED, 401},
    {"402", "{\"error\":{\"message\":\"pay\",\"code\":402}}", "", CHAT_PAYMENT, 402},
    {"403", "{\"error\":{\"message\":\"flagged\",\"code\":403}}", "", CHAT_FORBIDDEN, 403},
    {"404", "{\"error\":{\"message\":\"none\",\"http_status\":404}}", "", CHAT_NOT_FOUND, 404},
    {"408", "{\"error\":{\"message\":\"late\"}}", "", CHAT_TIMED_OUT, 408},
    {"429", "{\"error\":{\"message\":\"slow\"}}", "", CHAT_RATE_LIMITED, 429},
    {"500, a page", "<html>oops</html>", "", CHAT_SERVER, 500},
    {"502, empty", "", "", CHAT_SERVER, 502},
    {"503", "upstream connect error", "", CHAT_OVERLOADED, 503},
    {"529", "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"m\"}}", "",
     CHAT_OVERLOADED, 529},
    {"context", "{\"error\":{\"message\":\"maximum context length is 8192\"}}", "", CHAT_TOO_LONG,
     400},
    {"array under 400", "[{\"error\":{\"code\":400,\"message\":\"m\",\"status\":\"INVALID\"}}]", "",
     CHAT_REJECTED, 400},
    {"200 with an error", "{\"error\":{\"code\":502,\"message\":\"m\"}}", "", CHAT_SERVER},
    {"200 with a limit", "{\"error\":{\"code\":429,\"message\":\"Rate limit exceeded\"}}", "",
     CHAT_RATE_LIMITED},
    {"200 with an array", "[{\"error\":{\"code\":503,\"message\":\"m\"}}]", "", CHAT_OVERLOADED},
    {"200 with a text", "{\"error\":\"no\"}", "", CHAT_SERVER},
    {"200 with a detail", "{\"detail\":\"no\"}", "", CHAT_SERVER},
    {"200 with an error in a choice",
     "{\"choices\":[{\"message\":{\"content\":\"part\"},"
     "\"finish_reason\":\"error\",\"error\":{\"code\":502,\"message\":\"m\"}}]}",
     "", CHAT_SERVER},
    {"200 that ended in an error", WHOLE("\"content\":\"part\"", "\"error\""), "", CHAT_SERVER},
    {"page", "<!DOCTYPE html><p>log in</p>", "", CHAT_MALFORMED},
    {"neither", "hello", "", CHAT_MALFORMED},
    {"empty body", "", "", CHAT_EMPTY},
    {"white space", " \r\n ", "", CHAT_EMPTY},
    {"empty answer", WHOLE("\"content\":\"\"", "\"stop\""), "", CHAT_EMPTY},
    {"no choices", "{\"choices\":[]}", "", CHAT_EMPTY},
    {"filtered", WHOLE("\"content\":null", "\"content_filter\""), "", CHAT_FORBIDDEN},
    {"cut in JSON", "{\"choices\":[{\"message\":{\"content\":\"ha", "", CHAT_INTERRUPTED,
     .cut = true},
    {"cut in JSON, cleanly", "{\"choices\":[{\"message\":{\"content\":\"ha", "", CHAT_INTERRUPTED},
    {"no JSON", "{\"choices\":nothing}", "", CHAT_MALFORMED},
    {"a list", "[1,2]", "", CHAT_MALFORMED},
    {"only [DONE]", DONE, "", CHAT_EMPTY},
    {"no content", ROLE STOP USAGE DONE, "", CHAT_EMPTY},
    {"comments and an end", ": x\n\n: x\n\n", "", CHAT_EMPTY},
    {"cut before content", ROLE, "", CHAT_INTERRUPTED, .cut = true},
    {"filtered stream", ROLE CHUNK("", "\"content_filter\"") DONE, "", CHAT_FORBIDDEN},
    {"error as the first event", "data: {\"error\":{\"message\":\"m\",\"code\":\"503\"}}\n\n" DONE,
     "", CHAT_OVERLOADED},
    {"error behind the role", ROLE "data: {\"error\":{\"message\":\"m\",\"code\":429}}\n\n", "",
     CHAT_RATE_LIMITED},
    {"JSON error as a stream", ": x\n\ndata: [{\"error\":{\"code\":401}}]\n\n", "",
     CHAT_UNAUTHORIZED},
    {"event of no JSON", "data: oops\n\n" TEXT("a") DONE, "", CHAT_MALFORMED},
    {"event of a number", "data: 7\n\n" TEXT("a") DONE, "", CHAT_MALFORMED},

    // And after it: what was passed on stays
    {"cut", TEXT("a") TEXT("b"), NULL, CHAT_INTERRUPTED},
    {"cut in an event", TEXT("a") "data: {\"choices\":[{\"del", TEXT("a"), CHAT_INTERRUPTED,
     .cut = true},
    {"error event",
     TEXT("a") "data: {\"error\":{\"code\":502,\"message\":\"m\"},\"choices\":[{"
               "\"delta\":{\"content\":\"\"},\"finish_reason\":\"error\"}]}\n\n",
     NULL, CHAT_SERVER, .shown = true},
    {"typed error event",
     TEXT("a") "event: error\ndata: {\"error\":{\"message\":\"m\",\"code\":"
               "\"server_error\"}}\n\n" DONE,
     TEXT("a") "event: error\ndata: {\"error\":{\"message\":\"m\","
               "\"code\":\"server_error\"}}\n\n",
     CHAT_SERVER, .shown = true},
    {"error in a choice",
     TEXT("a") "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"error\","
               "\"error\":{\"code\":429}}]}\n\n",
     NULL, CHAT_RATE_LIMITED},
    {"finished by an error", TEXT("a") CHUNK("", "\"error\""), NULL, CHAT_SERVER},
};

static void feed(struct reply_watch *w, struct span bytes, struct buf *out)
{
    char *exact = mem_alloc(bytes.len + 1); // so that a sanitizer sees what reads beyond
    memcpy(exact, bytes.data, bytes.len);
    reply_watch_feed(w, span_make(exact, bytes.len));
    for (size_t i = 0; i < w->pieces.count; i++)
        buf_append_span(out, w->pieces.spans[i]);
    free(exact);
}

static void begin(struct reply_watch *w, const struct fault *fault)
{
    reply_watch_init(w, fault->kind, fault->drop_usage);
    w->answers = fault->answers ? fault->answers : 1;
    reply_watch_head(w, fault->status ? fault->status : 200, SPAN_ABSENT);
}

static void check(struct reply_watch *w, const struct fault *fault, struct buf *out, size_t at)
{
    enum reply_state state = reply_watch_end(w, fault->cut);
    for (size_t i = 0; i < w->pieces.count; i++)
        buf_append_span(out, w->pieces.spans[i]);
    const char *wanted = fault->out ? fault->out : fault->body;
    bool failed = state == REPLY_FAILED;
    if (failed != (fault->failure != NO) || strcmp(buf_text(out), wanted) != 0)
        fail_msg("%s, cut at %zu: state %d (%s), passed on:\n%s\nwanted:\n%s", fault->name, at,
                 state, w->failure.text, buf_text(out), wanted);
    if (failed && ((int)w->failure.kind != fault->failure || !*w->failure.text))
        fail_msg("%s, cut at %zu: %d %s", fault->name, at, w->failure.kind, w->failure.text);
    if (w->passed != (*wanted != '\0') || w->error_shown != fault->shown || w->torn)
        fail_msg("%s, cut at %zu: passed %d, shown %d, torn %d", fault->name, at, w->passed,
                 w->error_shown, w->torn);
    reply_watch_finish(w);
}

static void faults_split_at_every_byte(void **state)
{
    for (size_t f = 0; f < ARRAY_LEN(faults); f++) {
        struct span body = span_of(faults[f].body);
        for (size_t at = 0; at <= body.len; at++) {
            BUF_AUTO out = BUF_INIT(1 << 16);
            struct reply_watch w;
            begin(&w, &faults[f]);
            feed(&w, span_make(body.data, at), &out);
            feed(&w, span_skip(body, at), &out);
            check(&w, &faults[f], &out, at);
        }
        BUF_AUTO out = BUF_INIT(1 << 16);
        struct reply_watch w;
        begin(&w, &faults[f]);
        for (size_t i = 0; i < body.len; i++)
            feed(&w, span_make(body.data + i, 1), &out);
        check(&w, &faults[f], &out, SIZE_MAX);
    }
}

static struct reply_watch watch_whole(const char *body, const char *type, bool drop)
{
    struct reply_watch w;
    reply_watch_init(&w, REPLY_CHAT, drop);
    reply_watch_head(&w, 200, span_of(type));
    reply_watch_feed(&w, span_of(body));
    return w;
}

static void holds_until_content(void **state)
{
    struct reply_watch w = watch_whole(": x\n\n" ROLE, "text/event-stream; charset=utf-8", false);
    assert_int_equal(w.state, REPLY_HELD);
    assert_int_equal(w.pieces.count, 0);
    assert_true(span_is(reply_watch_held(&w), ROLE));
    static const char both[] = TEXT("a") TEXT("b") "data: {";
    assert_int_equal(reply_watch_feed(&w, span_of(both)), REPLY_PASS);
    assert_int_equal(w.pieces.count, 2); // what was held, and what came, uncopied
    assert_ptr_equal(w.pieces.spans[1].data, both);
    assert_int_equal(w.pieces.spans[1].len, strlen(both) - 7);
    assert_true(w.content && w.passed && !w.done);
    assert_int_equal(reply_watch_feed(&w, SPAN_LITERAL("\"x\":1}\n\n" DONE)), REPLY_PASS);
    assert_true(w.done);
    assert_int_equal(w.pieces.bytes, strlen("data: {\"x\":1}\n\n" DONE));
    assert_int_equal(reply_watch_end(&w, true), REPLY_PASS);
    reply_watch_finish(&w);
    reply_watch_finish(NULL);
}

static void reads_what_it_says(void **state)
{
    static const char usage[] =
        "{\"prompt_tokens\":100,\"completion_tokens\":40,\"total_tokens\":140,\"cost\":0.00014,"
        "\"prompt_tokens_details\":{\"cached_tokens\":30,\"cache_write_tokens\":5},"
        "\"completion_tokens_details\":{\"reasoning_tokens\":7}}";
    char *stream = mem_printf("%s%s%sdata: {\"choices\":[],\"usage\":%s}\n\n%s", ROLE, TEXT("a"),
                              STOP, usage, DONE);
    char *whole = mem_printf("{%s\"choices\":[{\"message\":{\"content\":\"a\"},\"finish_reason\":"
                             "\"stop\"}],\"usage\":%s}",
                             HEAD, usage);
    char *const bodies[] = {stream, whole};
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
        struct reply_watch w = watch_whole(bodies[i], "", false);
        assert_int_equal(reply_watch_end(&w, false), REPLY_PASS);
        assert_string_equal(w.id, "gen-1");
        assert_string_equal(w.model, "vendor/m");
        assert_int_equal(w.finish, REPLY_FINISH_OTHER);
        assert_int_equal(w.usage.prompt_tokens, 100);
        assert_int_equal(w.usage.completion_tokens, 40);
        assert_int_equal(w.usage.cached_tokens, 30);
        assert_int_equal(w.usage.cache_write_tokens, 5);
        assert_int_equal(w.usage.reasoning_tokens, 7);
        assert_int_equal(w.usage.cost_pico, 140000000);
        reply_watch_finish(&w);
    }
    free(stream);
    free(whole);
}

static struct chat_usage usage_of(const char *usage)
{
    char *body =
        mem_printf("{\"choices\":[{\"message\":{\"content\":\"a\"}}],\"usage\":%s}", usage);
    struct reply_watch w = watch_whole(body, "", false);
    assert_int_equal(reply_watch_end(&w, false), REPLY_PASS);
    struct chat_usage found = w.usage;
    reply_watch_finish(&w);
    free(body);
    return found;
}

static void odd_usage(void **state)
{
    assert_int_equal(usage_of("{\"cost\":1.25e-7}").cost_pico, 125000);
    assert_int_equal(usage_of("{\"cost\":-1}").cost_pico, -1);
    assert_int_equal(usage_of("{\"cost\":\"1\"}").cost_pico, -1);
    assert_int_equal(usage_of("{\"cost\":0}").cost_pico, 0);
    assert_int_equal(usage_of("null").prompt_tokens, -1);
    // With a key of the owner's own, `cost` is a fee, and the provider is paid besides.
#define OWN_KEY "\"is_byok\":true,\"cost\":0.95"
    const char *paid = "{" OWN_KEY ",\"cost_details\":{\"upstream_inference_cost\":19}}";
    const char *before = "{\"cost_details\":{\"upstream_inference_cost\":19}," OWN_KEY "}";
    assert_int_equal(usage_of(paid).cost_pico, 19950000000000);
    assert_int_equal(usage_of(before).cost_pico, 19950000000000);
    assert_int_equal(usage_of("{" OWN_KEY "}").cost_pico, -1);
    const char *unsaid = "{" OWN_KEY ",\"cost_details\":{\"upstream_inference_cost\":null}}";
    assert_int_equal(usage_of(unsaid).cost_pico, -1);
    const char *gateways = "{\"is_byok\":false,\"cost\":0.5,"
                           "\"cost_details\":{\"upstream_inference_cost\":0.5}}";
    assert_int_equal(usage_of(gateways).cost_pico, 500000000000);
    assert_int_equal(usage_of("{\"prompt_tokens\":-4}").prompt_tokens, -1);
    assert_int_equal(usage_of("{\"prompt_tokens\":1e99}").prompt_tokens, -1);
    // Thoughts that are only in the total are paid for as well.
    const char *hidden = "{\"prompt_tokens\":5,\"completion_tokens\":10,\"total_tokens\":115}";
    assert_int_equal(usage_of(hidden).completion_tokens, 110);
    // Embeddings: all of the total is the prompt.
    assert_int_equal(usage_of("{\"prompt_tokens\":5,\"total_tokens\":5}").completion_tokens, 0);
    assert_int_equal(usage_of("{\"prompt_tokens\":5}").completion_tokens, -1);

    // A later figure wins, and one that is missing there stays.
    struct reply_watch w = watch_whole(
        TEXT("a") "data: {\"choices\":[{}],\"usage\":{\"prompt_tokens\":1,\"cost\":0.5}}\n\n"
                  "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\",\"usage\":"
                  "{\"prompt_tokens\":2,\"completion_tokens\":3}}]}\n\n" DONE,
        "text/event-stream", true);
    assert_int_equal(reply_watch_end(&w, false), REPLY_PASS);
    assert_int_equal(w.usage.prompt_tokens, 2);
    assert_int_equal(w.usage.completion_tokens, 3);
    assert_int_equal(w.usage.cost_pico, 500000000000);
    reply_watch_finish(&w);
}

// Some say with each chunk what it was up to there.
static void knows_the_usage_of_a_whole_answer(void **state)
{
    (void)state;
#define SO_FAR "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"},"
    static const struct {
        const char *body;
        int64_t answers;
        bool whole;
    } cases[] = {
        {SO_FAR "\"finish_reason\":null}],\"usage\":" COUNTS "}\n\n", 1, false},
        {SO_FAR "\"finish_reason\":\"stop\"}],\"usage\":" COUNTS "}\n\n", 1, true},
        {TEXT("a") STOP SO_FAR "\"finish_reason\":null}],\"usage\":" COUNTS "}\n\n", 1, true},
        {SO_FAR "\"finish_reason\":\"stop\"}],\"usage\":" COUNTS "}\n\n", 2, false},
        {TEXT("a") USAGE, 2, true},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct reply_watch w;
        BUF_AUTO out = BUF_INIT(4096);
        reply_watch_init(&w, REPLY_CHAT, false);
        w.answers = cases[i].answers;
        reply_watch_head(&w, 200, SPAN_LITERAL("text/event-stream"));
        feed(&w, span_of(cases[i].body), &out);
        assert_int_equal(w.usage.completion_tokens, 4);
        assert_int_equal(w.usage_whole, cases[i].whole);
        reply_watch_finish(&w);
    }
}

static void keeps_the_words_of_an_error(void **state)
{
    struct reply_watch w = watch_whole(
        "{\"error\":{\"message\":\"m\",\"type\":\"t\\u0041\",\"code\":429,\"status\":\"X\\n\","
        "\"metadata\":{\"error_type\":\"rate_limit_exceeded\"}}}",
        "", false);
    assert_int_equal(reply_watch_end(&w, false), REPLY_FAILED);
    assert_string_equal(w.words.type, "tA");
    assert_string_equal(w.words.code, "429");
    assert_string_equal(w.words.status, ""); // no control character gets anywhere
    assert_string_equal(w.words.error_type, "rate_limit_exceeded");
    assert_int_equal(w.failure.status, 429);
    assert_non_null(strstr(reply_watch_held(&w).data, "rate_limit_exceeded"));
    assert_int_equal(reply_watch_feed(&w, SPAN_LITERAL("more")), REPLY_FAILED);
    reply_watch_finish(&w);

    reply_watch_init(&w, REPLY_CHAT, false);
    reply_watch_head(&w, 404, SPAN_ABSENT);
    reply_watch_feed(&w, SPAN_LITERAL("{\"error\":{\"message\":\"m\",\"type\":\"gone\"}}"));
    assert_int_equal(reply_watch_end(&w, true), REPLY_FAILED);
    assert_string_equal(w.words.type, "gone");
    assert_false(w.words.foreign);
    reply_watch_finish(&w);

    static const struct {
        const char *body;
        bool foreign;
    } bodies[] = {{"<html>no</html>", true},     {"", true},    {" denied", true},
                  {"{\"error\":\"no\"}", false}, {"[]", false}, {" {\"cut", false}};
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
        reply_watch_init(&w, REPLY_CHAT, true);
        reply_watch_head(&w, 403, SPAN_ABSENT);
        reply_watch_feed(&w, span_of(bodies[i].body));
        assert_int_equal(reply_watch_end(&w, false), REPLY_FAILED);
        assert_int_equal(w.words.foreign, bodies[i].foreign);
        reply_watch_finish(&w);
    }
}

// What grows without an end is cut off or let go, never kept.
static void holds_its_limits(void **state)
{
    char *block = mem_alloc(REPLY_ERROR_MAX);
    memset(block, 'x', REPLY_ERROR_MAX);
    struct span many = {block, REPLY_ERROR_MAX};

    struct reply_watch w; // an event without an end, after content
    reply_watch_init(&w, REPLY_CHAT, true);
    reply_watch_head(&w, 200, SPAN_ABSENT);
    size_t passed = 0, sent = strlen(TEXT("a")) + 6;
    reply_watch_feed(&w, SPAN_LITERAL(TEXT("a") "data: "));
    passed += w.pieces.bytes;
    for (unsigned i = 0; i < 10; i++) {
        assert_int_equal(reply_watch_feed(&w, many), REPLY_PASS);
        passed += w.pieces.bytes;
        sent += many.len;
        assert_true(sent - passed <= REPLY_EVENT_MAX);
    }
    assert_true(w.torn && passed == sent);
    reply_watch_feed(&w, SPAN_LITERAL("\n"));
    reply_watch_feed(&w, SPAN_LITERAL("\n" STOP "data: "));
    assert_true(!w.torn && w.finish == REPLY_FINISH_OTHER);
    reply_watch_finish(&w);

    reply_watch_init(&w, REPLY_CHAT, true); // before content
    reply_watch_head(&w, 200, SPAN_ABSENT);
    reply_watch_feed(&w, SPAN_LITERAL("data: "));
    for (unsigned i = 0; i < REPLY_FIRST_MAX / REPLY_ERROR_MAX - 1; i++)
        assert_int_equal(reply_watch_feed(&w, many), REPLY_HELD);
    for (unsigned i = 0; i < 2; i++)
        reply_watch_feed(&w, many);
    assert_int_equal(reply_watch_end(&w, true), REPLY_FAILED);
    assert_true(!w.passed && !w.torn && w.failure.kind == CHAT_TOO_LARGE);
    reply_watch_finish(&w);

    // What waits is told, and the memory of a long event goes when that has passed.
    reply_watch_init(&w, REPLY_CHAT, true);
    reply_watch_head(&w, 200, SPAN_ABSENT);
    reply_watch_feed(&w, SPAN_LITERAL(TEXT("a") ": "));
    reply_watch_feed(&w, many);
    assert_int_equal(reply_watch_waiting(&w), many.len + 2);
    assert_true(reply_watch_bytes(&w) > many.len);
    for (unsigned i = 0; i < 2; i++)
        reply_watch_feed(&w, SPAN_LITERAL("\n\n" TEXT("a")));
    assert_int_equal(reply_watch_waiting(&w), 0);
    assert_true(reply_watch_bytes(&w) < many.len);
    reply_watch_finish(&w);

    reply_watch_init(&w, REPLY_CHAT, true); // many events without content
    reply_watch_head(&w, 200, SPAN_ABSENT);
    for (sent = 0; w.state == REPLY_HELD; sent += strlen(ROLE)) {
        assert_true(sent <= REPLY_HELD_MAX);
        reply_watch_feed(&w, SPAN_LITERAL(ROLE));
    }
    assert_true(w.state == REPLY_FAILED && !w.passed && w.failure.kind == CHAT_TOO_LARGE);
    reply_watch_finish(&w);

    reply_watch_init(&w, REPLY_CHAT, true); // comments without a blank line
    reply_watch_head(&w, 200, SPAN_ABSENT);
    memset(block, ':', REPLY_ERROR_MAX);
    block[REPLY_ERROR_MAX - 1] = '\n';
    for (sent = 0; w.state == REPLY_HELD; sent += many.len) {
        assert_true(sent <= REPLY_FIRST_MAX);
        reply_watch_feed(&w, many);
    }
    assert_true(w.state == REPLY_FAILED && !w.passed && w.said == 0);
    reply_watch_finish(&w);
    free(block);
}

static void lets_go_of_what_is_too_large_to_hold(void **state)
{
    char *block = mem_alloc(REPLY_ERROR_MAX);
    memset(block, 'x', REPLY_ERROR_MAX);
    struct span many = {block, REPLY_ERROR_MAX};
    struct reply_watch w;
    reply_watch_init(&w, REPLY_CHAT, true); // a whole answer
    reply_watch_head(&w, 200, SPAN_ABSENT);
    reply_watch_feed(&w, SPAN_LITERAL("{\"x\":\""));
    for (unsigned i = 0; i < REPLY_WHOLE_MAX / REPLY_ERROR_MAX; i++)
        reply_watch_feed(&w, many);
    assert_int_equal(w.state, REPLY_PASS);
    assert_int_equal(w.pieces.bytes, REPLY_WHOLE_MAX + 6);
    assert_int_equal(reply_watch_end(&w, false), REPLY_PASS);
    reply_watch_finish(&w);

    reply_watch_init(&w, REPLY_CHAT, true); // an error
    reply_watch_head(&w, 500, SPAN_ABSENT);
    for (unsigned i = 0; i < 3; i++)
        reply_watch_feed(&w, many);
    assert_int_equal(reply_watch_held(&w).len, REPLY_ERROR_MAX);
    assert_int_equal(reply_watch_end(&w, false), REPLY_FAILED);
    reply_watch_finish(&w);
    free(block);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(faults_split_at_every_byte),
        cmocka_unit_test(holds_until_content),
        cmocka_unit_test(reads_what_it_says),
        cmocka_unit_test(odd_usage),
        cmocka_unit_test(knows_the_usage_of_a_whole_answer),
        cmocka_unit_test(keeps_the_words_of_an_error),
        cmocka_unit_test(holds_its_limits),
        cmocka_unit_test(lets_go_of_what_is_too_large_to_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
