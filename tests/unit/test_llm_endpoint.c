#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "llm/endpoint.h"
#include "llm/upstream.h"
#include "loop/loop.h"

static const char at_openrouter[] = "https://openrouter.ai/api/v1";
static const char at_openai[] = "https://api.openai.com/v1";

static void its_bound_has_the_name_that_the_model_knows(void **state)
{
    static const char *const reasoning[] = {"gpt-5",   "gpt-5.1-codex", "o1",  "o4-mini-2025-04-16",
                                            "gpt-6-x", "ft:o4-mini:me", "a/o3"};
    static const char *const others[] = {"gpt-4o", "gpt-5-chat-latest", "o", "omni-1", "a/b", ""};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(reasoning); i++) {
        assert_true(endpoint_wants_completion_bound("openai", span_of(reasoning[i])));
        assert_false(endpoint_wants_completion_bound("openrouter", span_of(reasoning[i])));
    }
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        assert_false(endpoint_wants_completion_bound("openai", span_of(others[i])));
}

static void describe(const struct llm_config *config, char *text, size_t size)
{
    struct endpoint endpoint;
    struct error err = ERROR_INIT;
    int r = endpoint_choose(config, &endpoint, &err);
    if (r < 0)
        snprintf(text, size, "%d %s", r, err.text);
    else
        snprintf(text, size, "%s%s %s %s key=%s", endpoint.provider, endpoint.chosen ? "" : "?",
                 endpoint.base_url, endpoint.model, endpoint.api_key);
}

static void chooses(struct llm_config config, const char *wanted)
{
    char text[1024];
    describe(&config, text, sizeof text);
    if (strcmp(text, wanted) != 0)
        fail_msg("provider=%s model=%s base_url=%s:\n%s\nwanted:\n%s",
                 config.provider ? config.provider : "-", config.model ? config.model : "-",
                 config.base_url ? config.base_url : "-", text, wanted);
}

#define CONFIG(...) ((struct llm_config){__VA_ARGS__})

static void nothing_set_is_offline(void **state)
{
    chooses(CONFIG(NULL), "offline?  offline key=");
    chooses(CONFIG(.provider = "auto", .model = "", .openai_api_key = ""),
            "offline?  offline key=");
    chooses(CONFIG(.model = "offline", .openrouter_api_key = "r"), "offline  offline key=");
    chooses(CONFIG(.provider = "offline", .model = "m", .openrouter_api_key = "r"),
            "offline  offline key=");
    chooses(CONFIG(.model = "m"), "-126 no key for the model m: set OPENROUTER_API_KEY, or "
                                  "OPENAI_BASE_URL and OPENAI_API_KEY, or use "
                                  "HERMES_MODEL=offline");
    // A key that belongs to model.base_url says nothing without one.
    chooses(CONFIG(.api_key = "k"), "offline?  offline key=");
}

static void the_environment_alone_is_enough(void **state)
{
    chooses(CONFIG(.model = "m", .openrouter_api_key = "r"),
            "openrouter https://openrouter.ai/api/v1 m key=r");
    chooses(CONFIG(.model = "m", .openrouter_api_key = "r", .openai_api_key = "o",
                   .openai_base_url = "http://x/v1"),
            "openrouter https://openrouter.ai/api/v1 m key=r");
    chooses(CONFIG(.model = "m", .openai_api_key = "o"),
            "openai https://api.openai.com/v1 m key=o");
    chooses(CONFIG(.model = "m", .openai_base_url = "http://x/v1"), "openai http://x/v1 m key=");
    chooses(CONFIG(.model = "m", .openai_base_url = "http://x/v1", .openai_api_key = "o"),
            "openai http://x/v1 m key=o");
    chooses(CONFIG(.model = "m", .openrouter_api_key = "r", .openrouter_base_url = "http://y/v1"),
            "openrouter http://y/v1 m key=r");
    chooses(CONFIG(.model = "m", .openrouter_api_key = "r", .openai_api_key = "o",
                   .base_url = "http://z/v1"),
            "custom http://z/v1 m key=o");
}

static void named_providers(void **state)
{
    static const char *const local[] = {"custom",    "ollama",   "vllm",   "llamacpp",
                                        "llama.cpp", "lmstudio", "litellm"};
    for (size_t i = 0; i < ARRAY_LEN(local); i++) {
        char wanted[128];
        chooses(CONFIG(.provider = local[i], .model = "m", .base_url = "http://z/v1"),
                "custom http://z/v1 m key=");
        chooses(CONFIG(.provider = local[i], .model = "m", .openai_base_url = "http://x/v1",
                       .openai_api_key = "o", .openrouter_api_key = "r"),
                "custom http://x/v1 m key=o");
        snprintf(wanted, sizeof wanted, "-22 model.provider is %s: set model.base_url too",
                 local[i]);
        chooses(CONFIG(.provider = local[i], .model = "m"), wanted);
    }
    chooses(CONFIG(.provider = "openai", .model = "m", .base_url = "http://z/v1", .api_key = "k",
                   .openrouter_api_key = "r"),
            "openai https://api.openai.com/v1 m key=k");
    chooses(CONFIG(.provider = "openrouter", .model = "m", .api_key = "k", .openai_api_key = "o"),
            "openrouter https://openrouter.ai/api/v1 m key=k");
    chooses(CONFIG(.provider = "openrouter", .model = "m", .openai_api_key = "o"),
            "-126 no key for OpenRouter: set OPENROUTER_API_KEY");
    chooses(CONFIG(.provider = "opnai", .model = "m"),
            "-2 model.provider: \"opnai\" is unknown; use openrouter, openai, offline, or "
            "custom with model.base_url");
    chooses(CONFIG(.openrouter_api_key = "r"),
            "-22 no model is chosen: set HERMES_MODEL (or model.default) to a name that "
            "https://openrouter.ai/api/v1 knows");
}

// A key goes where it belongs and nowhere else.
static void keys(void **state)
{
    static const struct {
        const char *base_url, *key;
    } table[] = {
        {"https://openrouter.ai/api/v1", "r"},
        {"https://openrouter.ai", "r"},
        {"https://eu.openrouter.ai/api/v1", "r"},
        {"https://openrouter.ai:443/api/v1", "r"},
        {"https://notopenrouter.ai/api/v1", "o"},
        {"https://openrouter.ai.example.com/v1", "o"},
        {"https://example.com/openrouter.ai/v1", "o"},
        {"http://localhost:11434/v1", "o"},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        char wanted[256];
        snprintf(wanted, sizeof wanted, "custom %s m key=%s", table[i].base_url, table[i].key);
        chooses(CONFIG(.model = "m", .base_url = table[i].base_url, .openai_api_key = "o",
                       .openrouter_api_key = "r"),
                wanted);
        snprintf(wanted, sizeof wanted, "custom %s m key=k", table[i].base_url);
        chooses(CONFIG(.model = "m", .base_url = table[i].base_url, .api_key = "k",
                       .openai_api_key = "o", .openrouter_api_key = "r"),
                wanted);
    }
}

// Whatever is set or not: there is an endpoint that can be called, or one sentence.
static void every_combination(void **state)
{
    static const char *const providers[] = {NULL,     "auto",   "offline", "openrouter",
                                            "openai", "custom", "nonsense"};
    for (size_t i = 0; i < ARRAY_LEN(providers); i++)
        for (unsigned set = 0; set < 1u << 7; set++) {
            struct llm_config config = {
                .provider = providers[i],
                .model = set & 1 ? "m" : NULL,
                .base_url = set & 2 ? "http://z/v1" : NULL,
                .api_key = set & 4 ? "k" : NULL,
                .openrouter_api_key = set & 8 ? "r" : NULL,
                .openrouter_base_url = set & 16 ? "http://y/v1" : NULL,
                .openai_api_key = set & 32 ? "o" : NULL,
                .openai_base_url = set & 64 ? "http://x/v1" : NULL,
            };
            struct endpoint endpoint = {.provider = "untouched"};
            struct error err = ERROR_INIT;
            int r = endpoint_choose(&config, &endpoint, &err);
            if (r < 0) {
                assert_true(strlen(err.text) > 20);
                assert_string_equal(endpoint.provider, "untouched");
                continue;
            }
            assert_true(endpoint.base_url && endpoint.api_key && *endpoint.model);
            assert_int_equal(endpoint.format != NULL, *endpoint.base_url != '\0');
            bool is_router = strcmp(endpoint.base_url, at_openrouter) == 0;
            if (is_router)
                assert_string_not_equal(endpoint.api_key, "o");
            if (strcmp(endpoint.base_url, at_openai) == 0)
                assert_string_not_equal(endpoint.api_key, "r");
            if (endpoint.format && strcmp(endpoint.provider, "openrouter") != 0)
                assert_string_not_equal(endpoint.api_key, "r");
        }
}

static int upstream_of(const char *base_url, const char *api_key, struct error *err)
{
    struct upstream_options options = {
        .format = &wire_openai_chat, .base_url = base_url, .api_key = api_key};
    struct upstream *upstream = NULL;
    int r = upstream_create(NULL, &options, &upstream, err);
    assert_int_equal(upstream != NULL, r == 0);
    upstream_destroy(upstream);
    return r;
}

static void servers_are_opened(void **state)
{
    struct error err = ERROR_INIT;
    assert_int_equal(upstream_of("http://z/v1", "k", &err), 0);
    assert_int_equal(upstream_of("http://z/v1", NULL, &err), 0);
    assert_true(upstream_of("http://z/v1", "k\r\nX-Evil: 1", &err) < 0);
    assert_null(strstr(err.text, "Evil"));
    assert_true(upstream_of("ftp://z", "k", &err) < 0);
    assert_int_equal(strncmp(err.text, "the base URL: ", 14), 0);
    char longest[4096] = "http://z/";
    memset(longest + 9, 'x', sizeof longest - 10);
    assert_int_equal(upstream_of(longest, "k", &err), -ENAMETOOLONG);
    upstream_destroy(NULL);
}

static void its_headers_are_those_of_the_settings(void **state)
{
    struct option_pair header = {"X-Team", "home"};
    struct llm_config config = {.extra_headers = {&header, 1}};
    struct endpoint endpoint = {.format = &wire_openai_chat, .provider = "custom"};
    char **lines = endpoint_headers(&endpoint, &config);
    assert_string_equal(lines[0], "X-Team: home");
    assert_null(lines[1]);
    endpoint_headers_free(lines);
    endpoint.listed = true; // they are not for whoever a list names
    lines = endpoint_headers(&endpoint, &config);
    assert_true(!lines[0] || strcmp(lines[0], "X-Team: home") != 0);
    endpoint_headers_free(lines);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(its_bound_has_the_name_that_the_model_knows),
        cmocka_unit_test(nothing_set_is_offline),
        cmocka_unit_test(the_environment_alone_is_enough),
        cmocka_unit_test(named_providers),
        cmocka_unit_test(keys),
        cmocka_unit_test(every_combination),
        cmocka_unit_test(servers_are_opened),
        cmocka_unit_test(its_headers_are_those_of_the_settings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
