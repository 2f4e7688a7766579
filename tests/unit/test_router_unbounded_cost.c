#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "router/wire/unbounded_cost.h"

// What can cost more than tokens, in every shape in which a provider may read it.

#define FUNCTION "{\"type\":\"function\",\"function\":{\"name\":\"f\"}}"

static const char *const allowed[] = {"mine", "also_mine"};

static bool find_dear(const char *text, const struct request_terms *terms, char *sentence)
{
    struct request_scan scan;
    struct error err = ERROR_INIT;
    if (request_scan_run(&scan, span_of(text), &err) != 0)
        fail_msg("%s: %s", text, err.text);
    bool is_unbounded = request_has_unbounded_cost(&scan, terms, sentence);
    assert_int_equal(request_has_unbounded_cost(&scan, terms, NULL), is_unbounded);
    return is_unbounded;
}

static void dear(const char *text, const struct request_terms *terms, const char *wanted)
{
    char sentence[REQUEST_UNBOUNDED_SIZE] = "";
    if (!find_dear(text, terms, sentence) || strncmp(sentence, wanted, strlen(wanted)) != 0)
        fail_msg("%s: \"%s\", wanted \"%s\"", text, sentence, wanted);
}

static void plain(const char *text, const struct request_terms *terms)
{
    char sentence[REQUEST_UNBOUNDED_SIZE] = "";
    if (find_dear(text, terms, sentence))
        fail_msg("%s: %s", text, sentence);
}

static void members_that_cost(void **state)
{
    static const struct request_terms terms = {NULL, 0, false};
    (void)state;
    dear("{\"model\":\"m\",\"plugins\":[{\"id\":\"web\"}]}", &terms, "plugins can make it cost");
    dear("{\"service_tier\":\"priority\"}", &terms, "service_tier can");
    dear("{\"service_tier\":\"fast\"}", &terms, "service_tier can");
    dear("{\"web_search_options\":{}}", &terms, "web_search_options can");
    dear("{\"search_parameters\":{}}", &terms, "search_parameters can");
    dear("{\"enable_search\":true}", &terms, "enable_search can");
    dear("{\"enable_search\":1}", &terms, "enable_search can");
    dear("{\"web_search\":{\"enable\":true}}", &terms, "web_search can");
    dear("{\"preset\":\"p\"}", &terms, "preset can");
    dear("{\"pr\\u0065set\":\"p\"}", &terms, "preset can");
    dear("{\"speed\":\"fast\"}", &terms, "speed can");
    dear("{\"messages\":[{\"content\":[{\"type\":\"input_audio\",\"input_audio\":{}}]}]}", &terms,
         "input_audio can");
    plain("{\"model\":\"m\",\"provider\":null,\"modalities\":[\"text\"],"
          "\"service_tier\":\"flex\",\"speed\":\"standard\",\"enable_search\":false,"
          "\"web_search\":false,\"preset\":null}",
          &terms);
    plain("{\"models\":[],\"provider\":{},\"service_tier\":\"auto\",\"frob\":1}", &terms);
}

static void tools_that_somebody_else_runs(void **state)
{
    static const struct request_terms terms = {allowed, ARRAY_LEN(allowed), false};
    static const char *const others[] = {
        "{\"googleSearch\":{}}",
        "{\"google_search\":{}}",
        "{\"google_search_retrieval\":{}}",
        "{\"web_search\":{}}",
        "{\"type\":\"web_search\"}",
        "{\"type\":\"builtin_function\",\"function\":{\"name\":\"$web_search\"}}",
        "{\"type\":\"function\",\"function\":{},\"googleSearch\":{}}",
        "{\"type\":\"function\",\"type\":\"web_search\"}",
        "{\"type\":\"web_search\",\"type\":\"function\"}",
        "{\"Type\":\"function\"}",
        "{\"type\":\"Function\"}",
        "{\"type\":[\"function\"]}",
        "{\"function\":{\"name\":\"f\"}}",
        "{}",
        "\"web_search\"",
        "[" FUNCTION "]",
        "null",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        CLEANUP(mem_cleanup)
        char *text = mem_printf("{\"tools\":[" FUNCTION ", %s]}", others[i]);
        dear(text, &terms, "tools[1] is not a plain function");
    }
    dear("{\"tool\\u0073\":[{}]}", &terms, "tools[0] is not");
    dear("{\"tools\":{\"googleSearch\":{}}}", &terms, "tools is no list");
    dear("{\"tools\":\"web_search\"}", &terms, "tools is no list");
    plain("{\"tools\":[" FUNCTION "," FUNCTION "]}", &terms);
    plain("{\"tools\":null,\"x\":0}", &terms);
    plain("{\"tools\":[]}", &terms);
    plain("{\"tools\":[{\"type\":\"function\",\"name\":\"f\",\"parameters\":{\"web_search\":{}},"
          "\"strict\":true,\"cache_control\":{}},{\"t\\u0079pe\":\"functio\\u006e\"},"
          "{\"type\":\"custom\",\"custom\":{}}]}",
          &terms);
    plain("{\"tools\":[{\"type\":\"also_mine\",\"whatever\":{}}]}", &terms);
}

// Which of two members of one name a provider reads is not known, nor what it does with a second
// shape beside the one that was named.
static void a_named_type_lets_nothing_else_through(void **state)
{
    static const struct request_terms terms = {allowed, ARRAY_LEN(allowed), false};
    static const char *const named[] = {"google_search"};
    static const struct request_terms google = {named, ARRAY_LEN(named), false};
    static const char *const others[] = {
        "{\"type\":\"mine\",\"google_search\":{}}",
        "{\"googleSearch\":{},\"type\":\"mine\"}",
        "{\"type\":\"mine\",\"google_search_retrieval\":{}}",
        "{\"type\":\"web_search\",\"type\":\"mine\"}",
        "{\"type\":\"mine\",\"type\":\"web_search\"}",
        "{\"type\":\"mine\",\"type\":[]}",
        "{\"type\":\"function\",\"google_search\":{},\"type\":\"mine\"}",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        CLEANUP(mem_cleanup)
        char *text = mem_printf("{\"tools\":[" FUNCTION ", %s]}", others[i]);
        dear(text, &terms, "tools[1] is not a plain function");
    }
    plain("{\"tools\":[{\"type\":\"mine\",\"type\":\"also_mine\",\"mine\":{}}]}", &terms);
    plain("{\"tools\":[{\"type\":\"google_search\",\"google_search\":{}}]}", &google);
}

static void the_advice_is_one_that_helps(void **state)
{
    static const struct request_terms terms = {allowed, ARRAY_LEN(allowed), false};
    static const struct {
        const char *tool;
        bool helps;
    } cases[] = {{"{\"type\":\"web_search\"}", true},
                 {"{\"type\":\"function\",\"type\":\"web_search\"}", true},
                 {"{\"googleSearch\":{}}", false},
                 {"{\"type\":\"mine\",\"googleSearch\":{}}", false},
                 {"{\"type\":{}}", false},
                 {"null", false}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char sentence[REQUEST_UNBOUNDED_SIZE] = "";
        CLEANUP(mem_cleanup) char *text = mem_printf("{\"tools\":[%s]}", cases[i].tool);
        assert_true(find_dear(text, &terms, sentence));
        if ((strstr(sentence, "router.tool_types") != NULL) != cases[i].helps)
            fail_msg("%s: %s", text, sentence);
    }
}

static void members_that_nobody_knows(void **state)
{
    static const struct request_terms terms = {NULL, 0, true};
    (void)state;
    dear("{\"model\":\"m\",\"frob\":1}", &terms,
         "nobody here knows what the member \"frob\" costs");
    dear("{\"Seed\":1}", &terms, "nobody here knows what the member \"Seed\"");
    dear("{\"googleSearch\":{}}", &terms, "nobody here");
    plain("{\"frob\":null}", &terms);
    plain("{\"model\":\"m\",\"messages\":[],\"temperature\":1,\"top_p\":1,\"stop\":[],\"seed\":1,"
          "\"response_format\":{},\"tools\":[],\"tool_choice\":\"auto\",\"logprobs\":true,"
          "\"max_tokens\":1,\"stream\":true,\"stream_options\":{},\"user\":\"u\",\"n\":1,"
          "\"metadata\":{},\"reasoning_effort\":\"low\",\"reasoning\":{},\"usage\":{}}",
          &terms);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_that_cost),
        cmocka_unit_test(tools_that_somebody_else_runs),
        cmocka_unit_test(a_named_type_lets_nothing_else_through),
        cmocka_unit_test(the_advice_is_one_that_helps),
        cmocka_unit_test(members_that_nobody_knows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
