#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "support/reply_record.h"
#include "support/samples.h"

// One sample of every dialect, in every way in which a network may deliver it.

static void check(struct span body, struct reply_feeding feeding, const char *wanted)
{
    BUF_AUTO out = BUF_INIT(1 << 20);
    reply_record(body, feeding, &out);
    if (strcmp(buf_text(&out), wanted) != 0)
        fail_msg("type %s, step %zu, cut %zu:\n%s\nwanted:\n%s",
                 feeding.type ? feeding.type : "(none)", feeding.step, feeding.cut, buf_text(&out),
                 wanted);
}

static void check_deliveries(struct span body, const char *wanted)
{
    static const char *const types[] = {NULL, "text/event-stream; charset=utf-8",
                                        "application/json", "text/plain"};
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        for (size_t step = 1; step <= body.len; step = step < 4 ? step + 1 : 3 * step)
            check(body, (struct reply_feeding){types[i], step, 0}, wanted);
    for (size_t cut = 0; cut <= body.len; cut++)
        check(body, (struct reply_feeding){NULL, 0, cut}, wanted);
}

static void with_crlf(struct span body, struct buf *out)
{
    buf_init(out, 2 * body.len);
    for (size_t i = 0; i < body.len; i++) {
        if (body.data[i] == '\n')
            buf_append_char(out, '\r');
        buf_append_char(out, body.data[i]);
    }
}

static void gives(const char *sample, const char *wanted)
{
    BUF_AUTO body = BUF_INIT(0);
    sample_read(sample, &body);
    check_deliveries(buf_span(&body), wanted);
    BUF_AUTO crlf = BUF_INIT(0);
    with_crlf(buf_span(&body), &crlf);
    check(buf_span(&crlf), (struct reply_feeding){NULL, 1, 0}, wanted);
    check(buf_span(&crlf), (struct reply_feeding){NULL, crlf.len, 0}, wanted);
}

static void openai(void **state)
{
    gives("openai_text.sse",
          "text=Grüß Gott, \"Pi\" \\ 🥧\n|stop|19,10,4,3,-|gpt-4o-mini-2024-07-18");
    gives("openai_tools.sse", "text=(none)|read_file[call_A]{\"path\":\"a\\\"b.md\"}"
                              "|recall[call_B]{\"id\":9007199254740993, \"x\": 1.10}"
                              "|tool_calls|80,40,-,-,-|gpt-4o-mini-2024-07-18");
    gives("openai_whole.json", "text=Hello! How can I help?|stop|19,10,0,0,-|gpt-4.1-2025-04-14");
}

static void openrouter(void **state)
{
    gives("openrouter_text.sse", "(The user waves.)text=Hi there|stop|12,34,0,30,1234560000|"
                                 "deepseek/deepseek-r1:free");
    gives("openrouter_failing.sse", "failed 11 500: the provider failed (HTTP 500): "
                                    "Provider disconnected unexpectedly");
    gives("openrouter_choice_error.json",
          "failed 3 429: the provider asks to slow down (HTTP 429): "
          "Rate limit exceeded: free-models-per-min.");
}

static void ollama(void **state)
{
    gives("ollama_tools.sse", "text=(none)|list_files[call_k1]{\"path\":\".\"}"
                              "|current_time[call_k2]{}|tool_calls|-,-,-,-,-|qwen3:4b");
}

static void llamacpp(void **state)
{
    gives("llamacpp_tools.sse", "text=Let me look.|search_files[Xw9]{\"pattern\":\"^a+$\"}"
                                "|tool_calls|300,21,-,-,-|gpt-3.5-turbo");
}

static void deepseek(void **state)
{
    gives("deepseek_tools.sse",
          "(I need the time.)text=(none)|current_time[call_00_x]{}"
          "|extra=\"reasoning_content\":\"I need the time.\"|tool_calls|13,12,8,6,-|"
          "deepseek-reasoner");
}

static void gemini(void **state)
{
    gives("gemini_tools.sse",
          "text=(none)|read_file[made-up]{\"path\":\"a\"}"
          "+\"extra_content\":{\"google\":{\"thought_signature\":\"c2lnLTE=\"}}"
          "|read_file[made-up]{\"path\":\"b\"}|current_time[made-up]{}|stop|5,6,-,-,-|"
          "gemini-3-pro-preview");
    gives("gemini_error.json", "failed 9 400: the provider rejected the request (HTTP 400): "
                               "Function call is missing a thought_signature in functionCall "
                               "parts.");
}

static void litellm(void **state)
{
    gives("litellm_text.sse", "text=Fine.|length|7,2,-,-,32000000|free");
    gives("litellm_failing.sse",
          "failed 3 429: the provider asks to slow down (HTTP 429): litellm.RateLimitError: "
          "RateLimitError: OpenrouterException - slow down");
}

static void vllm(void **state)
{
    gives("vllm_tools.sse", "text=(none)|recall[chatcmpl-tool-1]{\"query\": \"x\"}|tool_calls|"
                            "-,-,-,-,-|Qwen/Qwen3-8B");
}

static void mistral(void **state)
{
    gives("mistral_parts.sse", "text=Yes, so|stop|3,5,-,-,-|magistral-medium");
}

// Cut after any byte, a stream is an answer only if the chunk with its finish_reason is whole.
static void cut_streams_are_never_whole(void **state)
{
    static const char *const samples[] = {
        "openai_text.sse",    "openai_tools.sse", "openrouter_text.sse", "ollama_tools.sse",
        "llamacpp_tools.sse", "gemini_tools.sse", "litellm_text.sse",    "vllm_tools.sse",
    };
    for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
        BUF_AUTO body = BUF_INIT(0);
        sample_read(samples[i], &body);
        const char *reason = strstr(buf_text(&body), "\"finish_reason\":\"");
        size_t enough = (size_t)(strchr(reason, '\n') - buf_text(&body));
        for (size_t len = 0; len < body.len; len++) {
            BUF_AUTO out = BUF_INIT(1 << 20);
            reply_record(span_make(body.data, len), (struct reply_feeding){NULL, len, 0}, &out);
            bool whole = strstr(buf_text(&out), "failed ") == NULL;
            if (whole != (len >= enough))
                fail_msg("%s cut after %zu of %zu bytes (%zu are enough): %s", samples[i], len,
                         body.len, enough, buf_text(&out));
        }
    }
}

static void cut_documents_are_never_whole(void **state)
{
    BUF_AUTO body = BUF_INIT(0);
    sample_read("openai_whole.json", &body);
    for (size_t len = 0; len + 1 < body.len; len++) { // it ends in a line break
        BUF_AUTO out = BUF_INIT(1 << 20);
        reply_record(span_make(body.data, len), (struct reply_feeding){NULL, len, 0}, &out);
        if (strncmp(buf_text(&out), "failed ", 7) != 0)
            fail_msg("cut after %zu of %zu bytes: %s", len, body.len, buf_text(&out));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(openai),
        cmocka_unit_test(openrouter),
        cmocka_unit_test(ollama),
        cmocka_unit_test(llamacpp),
        cmocka_unit_test(deepseek),
        cmocka_unit_test(gemini),
        cmocka_unit_test(litellm),
        cmocka_unit_test(vllm),
        cmocka_unit_test(mistral),
        cmocka_unit_test(cut_streams_are_never_whole),
        cmocka_unit_test(cut_documents_are_never_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
