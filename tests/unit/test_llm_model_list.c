// LiteLLM's model_list: which entry a name means, which server that is, and who gets which key.
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
#include "llm/model_list.h"
#include "loop/loop.h"

static struct option_pair pairs[] = {
    {.name = "0.model_name", .value = "free"},
    {.name = "0.litellm_params.model", .value = "openrouter/vendor/model:free"},
    {.name = "1.model_name", .value = "free"},
    {.name = "1.litellm_params.model", .value = "openai/second"},
    {.name = "2.model_name", .value = "own"},
    {.name = "2.litellm_params.model", .value = "openai/org/big"},
    {.name = "2.litellm_params.api_base", .value = "http://z/v1"},
    {.name = "3.model_name", .value = "unset"},
    {.name = "3.litellm_params.model", .value = "openai/m"},
    {.name = "3.litellm_params.api_key", .value = "os.environ/NO_KEY"},
    {.name = "4.model_name", .value = "bare"},
    {.name = "4.litellm_params.model", .value = "gpt-4o-mini"},
    {.name = "5.model_name", .value = "claude"},
    {.name = "5.litellm_params.model", .value = "anthropic/claude"},
    {.name = "6.model_name", .value = "nothing"},
    {.name = "7.model_name", .value = "g"},
    {.name = "7.litellm_params.model", .value = "gemini/gemini-3"},
    {.name = "7.litellm_params.api_key", .value = "gk"},
    {.name = "8.model_name", .value = "d"},
    {.name = "8.litellm_params.model", .value = "deepseek/deepseek-chat"},
    {.name = "9.model_name", .value = "local"},
    {.name = "9.litellm_params.model", .value = "ollama/qwen3"},
    {.name = "10.model_name", .value = "local-v1"},
    {.name = "10.litellm_params.model", .value = "ollama_chat/qwen3"},
    {.name = "10.litellm_params.api_base", .value = "http://pi:11434/v1"},
    {.name = "11.litellm_params.model", .value = "openai/nameless"},
    {.name = "12.model_name", .value = "elsewhere"},
    {.name = "12.litellm_params.model", .value = "openrouter/v/m"},
    {.name = "12.litellm_params.api_base", .value = "http://z/v1"},
    {.name = "13.model_name", .value = "explicit"},
    {.name = "13.litellm_params.model", .value = "openai/v/m"},
    {.name = "13.litellm_params.api_base", .value = "https://openrouter.ai/api/v1"},
    {.name = "200.model_name", .value = "beyond"},
    {.name = "200.litellm_params.model", .value = "openai/x"},
};

static const struct option_map list = {pairs, ARRAY_LEN(pairs)};

static void chooses(const char *name, const char *wanted)
{
    struct llm_config config = {.openrouter_api_key = "rk",
                                .openai_api_key = "ok",
                                .api_key = "mk",
                                .model_list = list,
                                .model = name};
    struct endpoint endpoint;
    struct error err = ERROR_INIT;
    char text[1024];
    int r = endpoint_choose(&config, &endpoint, &err);
    if (r < 0) {
        snprintf(text, sizeof text, "%d %s", r, err.text);
    } else {
        CLEANUP(mem_cleanup) char *url = endpoint_url(&endpoint);
        snprintf(text, sizeof text, "%s %s %s key=%s", endpoint.provider, url, endpoint.model,
                 endpoint.api_key);
        assert_string_equal(endpoint.name, name);
        assert_true(endpoint.listed);
    }
    assert_string_equal(text, wanted);
}

static void a_name_means_its_first_entry(void **state)
{
    chooses("free", "openrouter https://openrouter.ai/api/v1 vendor/model:free key=rk");
    chooses("bare", "openai https://api.openai.com/v1 gpt-4o-mini key=ok");
    chooses("g", "gemini https://generativelanguage.googleapis.com/v1beta/openai gemini-3 key=gk");
    chooses("local", "ollama http://127.0.0.1:11434/v1 qwen3 key=");
    chooses("local-v1", "ollama_chat http://pi:11434/v1 qwen3 key=");
}

static void keys_go_where_they_belong(void **state)
{
    chooses("own", "openai http://z/v1 org/big key=");
    chooses("explicit", "openai https://openrouter.ai/api/v1 v/m key=rk");
    chooses("elsewhere", "-126 model_list: \"elsewhere\" has no key for openrouter: set "
                         "litellm_params.api_key, or OPENROUTER_API_KEY");
    chooses("d", "-126 model_list: \"d\" has no key for deepseek: set litellm_params.api_key");
}

static void what_cannot_be_used_says_why(void **state)
{
    chooses("unset", "-126 model_list: the api_key of \"unset\" is in the variable NO_KEY, which "
                     "is not set; set it, or put a file of that name into the directory that "
                     "HERMES_SECRETS_DIR names");
    chooses("claude", "-95 model_list: \"claude\" is anthropic/claude, and anthropic is not a "
                      "known provider (openrouter, openai, gemini, deepseek, ollama); for a "
                      "server with OpenAI's protocol use openai/MODEL and an api_base");
    chooses("nothing", "-22 model_list: \"nothing\" has no model: set "
                       "litellm_params.model, as in openrouter/vendor/model");
}

static void other_names(void **state)
{
    struct llm_config config = {.model_list = list, .model = "fre"};
    struct endpoint endpoint;
    struct error err = ERROR_INIT;
    assert_int_equal(endpoint_choose(&config, &endpoint, &err), -ENOENT);
    assert_string_equal(err.text,
                        "there is no model fre; model_list has free, own, unset, bare, claude, "
                        "nothing, g, d, local, local-v1, elsewhere, explicit");
    config.model = NULL;
    assert_int_equal(endpoint_choose(&config, &endpoint, &err), -ENOENT);
    assert_non_null(strstr(err.text, "no model is chosen: set HERMES_MODEL (or model.default); "
                                     "model_list has free, own"));
    config.model = "beyond";
    assert_int_equal(endpoint_choose(&config, &endpoint, &err), -ENOENT);
    // With a server that may know it the name goes there.
    config.openai_base_url = "http://there/v1";
    assert_int_equal(endpoint_choose(&config, &endpoint, &err), 0);
    assert_string_equal(endpoint.base_url, "http://there/v1");
    assert_string_equal(endpoint.name, "beyond");
    assert_false(endpoint.listed);
    config.provider = "offline";
    config.model = "free";
    assert_int_equal(endpoint_choose(&config, &endpoint, &err), 0);
    assert_null(endpoint.format);
    config.provider = NULL;
    assert_int_equal(endpoint_choose_model(&config, "offline", &endpoint, &err), 0);
    assert_null(endpoint.format);
}

static void names_are_bounded(void **state)
{
    struct option_pair one[] = {{.name = "0.model_name"}, {.name = "0.litellm_params.model"}};
    const struct option_map small = {one, ARRAY_LEN(one)};
    struct deployment found;
    struct error err = ERROR_INIT;
    char name[MODEL_NAME_MAX + 2];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    one[0].value = name;
    one[1].value = "openai/x";
    assert_int_equal(model_list_find(&small, name, &found, &err), -E2BIG);
    name[MODEL_NAME_MAX] = '\0';
    assert_int_equal(model_list_find(&small, name, &found, &err), 0);
    assert_int_equal(model_list_find(&small, "other", &found, &err), 1);
    assert_int_equal(model_list_count(&list), 14);
    assert_true(model_list_is_repeated(&list, 1));
    assert_false(model_list_is_repeated(&list, 11));

    struct option_pair many[60];
    char texts[30][2][16];
    BUF_AUTO names = BUF_INIT(4096);
    for (int i = 0; i < 30; i++) {
        snprintf(texts[i][0], sizeof texts[i][0], "%d.model_name", i);
        snprintf(texts[i][1], sizeof texts[i][1], "m%d", i);
        many[i] = (struct option_pair){.name = texts[i][0], .value = texts[i][1]};
    }
    model_list_names(&(struct option_map){many, 30}, &names);
    assert_non_null(strstr(buf_text(&names), "m18, m19, ..."));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_means_its_first_entry),
        cmocka_unit_test(keys_go_where_they_belong),
        cmocka_unit_test(what_cannot_be_used_says_why),
        cmocka_unit_test(other_names),
        cmocka_unit_test(names_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
