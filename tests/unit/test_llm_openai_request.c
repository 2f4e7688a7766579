#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "codec/json.h"
#include "llm/openai_request.h"
#include "llm/wire_format.h"

static void writes(const struct chat_request *request, const char *wanted)
{
    BUF_AUTO out = BUF_INIT(WIRE_REQUEST_MAX);
    JSON_AUTO doc = JSON_INIT;
    struct error err = ERROR_INIT;
    assert_int_equal(openai_write_request(request, &out, &err), 0);
    assert_string_equal(buf_text(&out), wanted);
    assert_int_equal(json_parse(&doc, buf_span(&out), &err), 0);
}

static void a_whole_request(void **state)
{
    struct chat_history history = {0};
    chat_history_append_text(&history, CHAT_SYSTEM, "You are \"Hermes\".\n");
    chat_history_append_text(&history, CHAT_USER, "read \xff");
    struct chat_message asking = {.role = CHAT_ASSISTANT};
    chat_message_add_call(&asking, "call_1", "read_file",
                          "{\"path\": \"a\", \"n\": 9007199254740993}",
                          "\"extra_content\":{\"google\":{\"thought_signature\":\"c2ln\"}}");
    chat_message_add_call(&asking, "call_2", "current_time", "{}", NULL);
    asking.extra = mem_strdup("\"reasoning_content\":\"Hm.\"");
    chat_history_append(&history, &asking);
    assert_null(asking.calls);
    chat_history_append_result(&history, "call_1", "1|x\n", false);
    chat_history_append_result(&history, "call_2", "", false);
    chat_history_append_text(&history, CHAT_ASSISTANT, "It says x.");
    const struct chat_tool tools[] = {
        {"read_file", "Read.", "{\"type\":\"object\"}"},
        {"current_time", "Now.", "{\"type\":\"object\",\"properties\":{}}"},
    };
    struct chat_request request = {.model = "a/b:free",
                                   .messages = history.messages,
                                   .message_count = history.count,
                                   .tools = tools,
                                   .tool_count = 2,
                                   .max_tokens = 500,
                                   .stream = true};
    writes(
        &request,
        "{\"model\":\"a/b:free\",\"messages\":["
        "{\"role\":\"system\",\"content\":\"You are \\\"Hermes\\\".\\n\"},"
        "{\"role\":\"user\",\"content\":\"read \xef\xbf\xbd\"},"
        "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":["
        "{\"id\":\"call_1\",\"type\":\"function\",\"function\":{\"name\":\"read_file\","
        "\"arguments\":\"{\\\"path\\\": \\\"a\\\", \\\"n\\\": 9007199254740993}\"},"
        "\"extra_content\":{\"google\":{\"thought_signature\":\"c2ln\"}}},"
        "{\"id\":\"call_2\",\"type\":\"function\",\"function\":{\"name\":\"current_time\","
        "\"arguments\":\"{}\"}}],\"reasoning_content\":\"Hm.\"},"
        "{\"role\":\"tool\",\"tool_call_id\":\"call_1\",\"content\":\"1|x\\n\"},"
        "{\"role\":\"tool\",\"tool_call_id\":\"call_2\",\"content\":\"\"},"
        "{\"role\":\"assistant\",\"content\":\"It says x.\"}],"
        "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"read_file\","
        "\"description\":\"Read.\",\"parameters\":{\"type\":\"object\"}}},"
        "{\"type\":\"function\",\"function\":{\"name\":\"current_time\",\"description\":\"Now.\","
        "\"parameters\":{\"type\":\"object\",\"properties\":{}}}}],\"max_tokens\":500,"
        "\"stream\":true,\"stream_options\":{\"include_usage\":true}}");
    chat_history_finish(&history);
}

// One vendor's thoughts are not for another: after /model the call is sent without them.
static void thoughts_of_another_model(void **state)
{
    struct chat_message asking = {.role = CHAT_ASSISTANT, .writer = mem_strdup("a/one")};
    chat_message_add_call(&asking, "c1", "look", "{}", "\"thought_signature\":\"c2ln\"");
    asking.extra = mem_strdup("\"reasoning_content\":\"Hm.\"");
    struct chat_request request = {
        .model = "m", .writer = "b/two", .messages = &asking, .message_count = 1};
#define CALL(extra)                                                            \
    "{\"model\":\"m\",\"messages\":[{\"role\":\"assistant\",\"content\":null," \
    "\"tool_calls\":[{"                                                        \
    "\"id\":\"c1\",\"type\":\"function\",\"function\":{\"name\":\"look\","     \
    "\"arguments\":\"{}\"}" extra
    writes(&request, CALL("}]}]}"));
    request.writer = "a/one";
    writes(&request, CALL(",\"thought_signature\":\"c2ln\"}],\"reasoning_content\":\"Hm.\"}]}"));
    chat_message_finish(&asking);
}

static void the_least_request(void **state)
{
    struct chat_message messages[] = {{.role = CHAT_ASSISTANT}, {.role = CHAT_USER}};
    struct chat_request request = {.model = "m", .messages = messages, .message_count = 2};
    writes(&request, "{\"model\":\"m\",\"messages\":[{\"role\":\"assistant\",\"content\":\"\"},"
                     "{\"role\":\"user\",\"content\":\"\"}]}");
}

// What a model once wrote wrongly would have every later request refused.
static void wrong_arguments_become_an_empty_object(void **state)
{
    static const char *const wrong[] = {"", "{", "not JSON", "[1]", "7", "null", "\"{}\"", "{}{}"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct chat_message message = {.role = CHAT_ASSISTANT, .text = mem_strdup("t")};
        chat_message_add_call(&message, "i", "f", wrong[i], NULL);
        struct chat_request request = {.model = "m", .messages = &message, .message_count = 1};
        writes(&request, "{\"model\":\"m\",\"messages\":[{\"role\":\"assistant\",\"content\":\"t\","
                         "\"tool_calls\":[{\"id\":\"i\",\"type\":\"function\",\"function\":"
                         "{\"name\":\"f\",\"arguments\":\"{}\"}}]}]}");
        chat_message_finish(&message);
    }
}

static void wrong_names_become_allowed_ones(void **state)
{
    static const char longest[] =
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    struct chat_message message = {.role = CHAT_ASSISTANT};
    chat_message_add_call(&message, "1", "read file/now!", "{}", NULL);
    chat_message_add_call(&message, "2", "", "{}", NULL);
    chat_message_add_call(&message, "3", longest, "{}", NULL);
    struct chat_request request = {.model = "m", .messages = &message, .message_count = 1};
    BUF_AUTO out = BUF_INIT(WIRE_REQUEST_MAX);
    assert_int_equal(openai_write_request(&request, &out, NULL), 0);
    assert_non_null(strstr(buf_text(&out), "\"name\":\"read_file_now_\""));
    assert_non_null(strstr(buf_text(&out), "\"name\":\"unnamed\""));
    assert_non_null(strstr(buf_text(&out), longest + sizeof longest - 1 - 64));
    assert_null(strstr(buf_text(&out), longest + sizeof longest - 1 - 65));
    chat_message_finish(&message);
}

static void what_does_not_fit_is_refused(void **state)
{
    struct chat_message message = {.role = CHAT_USER, .text = mem_alloc(2 << 20)};
    memset(message.text, 'x', 2 << 20);
    message.text[(2 << 20) - 1] = '\0';
    struct chat_request request = {.model = "m", .messages = &message, .message_count = 1};
    BUF_AUTO out = BUF_INIT(1 << 20);
    struct error err = ERROR_INIT;
    assert_int_equal(openai_write_request(&request, &out, &err), -E2BIG);
    assert_string_equal(err.text, "the conversation is larger than 1 MiB");
    chat_message_finish(&message);
}

static void a_history_can_be_cut_back(void **state)
{
    struct chat_history history = {0};
    for (int i = 0; i < 100; i++)
        chat_history_append_text(&history, i % 2 ? CHAT_ASSISTANT : CHAT_USER, "x");
    chat_history_truncate(&history, 3);
    assert_int_equal(history.count, 3);
    chat_history_truncate(&history, 50);
    assert_int_equal(history.count, 3);
    chat_history_append_text(&history, CHAT_ASSISTANT, "y");
    assert_string_equal(history.messages[3].text, "y");
    chat_history_finish(&history);
    assert_int_equal(history.count, 0);
}

static struct chat_part part_of(const char *type, const char *name, const char *data)
{
    return (struct chat_part){.type = media_type_named(span_of(type)),
                              .name = name ? mem_strdup(name) : NULL,
                              .size = 9,
                              .data = data ? mem_strdup(data) : NULL};
}

// Two results, of which the second has an image and sound, and a question with an image.
static void make_history(struct chat_history *history)
{
    struct chat_message asking = {.role = CHAT_ASSISTANT};
    chat_history_append_text(history, CHAT_USER, "look");
    *chat_parts_add(&history->messages[0].parts) = part_of("image/jpeg", NULL, "T0xE");
    chat_message_add_call(&asking, "c1", "one", "{}", NULL);
    chat_message_add_call(&asking, "c2", "two", "{}", NULL);
    chat_history_append(history, &asking);
    chat_history_append_result(history, "c1", "text", false);
    chat_history_append_result(history, "c2", "[an image]", false);
    struct chat_parts *parts = &history->messages[3].parts;
    *chat_parts_add(parts) = part_of("image/png", "two", "QUJD");
    *chat_parts_add(parts) = part_of("audio/wav", NULL, "REVG");
    *chat_parts_add(parts) = part_of("image/gif", "two", NULL);
    chat_history_append_text(history, CHAT_ASSISTANT, "seen");
}

#define ASKS(id, name)                                                              \
    "{\"id\":\"" id "\",\"type\":\"function\",\"function\":{\"name\":\"" name "\"," \
    "\"arguments\":\"{}\"}}"
#define CALLS                                                                               \
    "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[" ASKS("c1", "one") "," ASKS( \
        "c2", "two") "]},"                                                                  \
                     "{\"role\":\"tool\",\"tool_call_id\":\"c1\",\"content\":\"text\"},"    \
                     "{\"role\":\"tool\",\"tool_call_id\":\"c2\",\"content\":\"[an image]"
#define SEEN "{\"role\":\"assistant\",\"content\":\"seen\"}]}"
#define OLD                                                                                    \
    "\\n[image/gif, 9 bytes: not shown any more: of a conversation, the newest 10 images and " \
    "sounds are]\"},"
#define BLIND                                                                                     \
    ", 9 bytes: not shown, as the model is not known to see. Its owner can set supports_vision: " \
    "true in its model_info, or agent.image_input_mode: native]"
#define DEAF                                                                                   \
    "\\n[audio/wav, 9 bytes: not shown, as the model is not known to hear. Its owner can set " \
    "supports_audio_input: true in its model_info]"
#define LOOKS(text)                                                                  \
    "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"look" text "\"}," \
    "{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/jpeg;base64,T0xE\"}}]},"
#define LABEL(what) "{\"type\":\"text\",\"text\":\"[" what ": not from the user]\"},"
#define PNG                                           \
    LABEL("image/png, 9 bytes, in the result of two") \
    "{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/png;base64,QUJD\"}}"

#define WAV                                              \
    LABEL("audio/wav, 9 bytes, in the result of a tool") \
    "{\"type\":\"input_audio\",\"input_audio\":{\"format\":\"wav\",\"data\":\"REVG\"}}"

// A result is a text: what else it has follows the last of them, as no text of the user's.
static void images_and_sound(void **state)
{
    struct chat_history history = {0};
    make_history(&history);
    struct chat_request request = {.model = "m",
                                   .messages = history.messages,
                                   .message_count = history.count,
                                   .media = CHAT_SOUND,
                                   .media_sure = CHAT_IMAGES};
    writes(&request, "{\"model\":\"m\",\"messages\":[" LOOKS("") CALLS OLD
           "{\"role\":\"user\",\"content\":[" PNG "," WAV "]}," SEEN);
    request.media = 0;
    writes(&request, "{\"model\":\"m\",\"messages\":[" LOOKS("") CALLS DEAF OLD
           "{\"role\":\"user\",\"content\":[" PNG "]}," SEEN);
    request.media_sure = 0;
    writes(
        &request,
        "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"look\\n[image/jpeg" BLIND
        "\"}," CALLS "\\n[image/png" BLIND DEAF "\\n[image/gif" BLIND "\"}," SEEN);
    chat_history_finish(&history);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_request),
        cmocka_unit_test(thoughts_of_another_model),
        cmocka_unit_test(the_least_request),
        cmocka_unit_test(wrong_arguments_become_an_empty_object),
        cmocka_unit_test(wrong_names_become_allowed_ones),
        cmocka_unit_test(what_does_not_fit_is_refused),
        cmocka_unit_test(images_and_sound),
        cmocka_unit_test(a_history_can_be_cut_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
