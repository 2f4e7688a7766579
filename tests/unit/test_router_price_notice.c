// What a person is told of who answered, and when that is the same price.
#include "plan_fixture.h"
#include "router/money/price_notice.h"

#define NAMED(name, more) \
    "- {model_name: " name ", litellm_params: {model: openai/" name ", api_key: k" more "}}\n"
#define PRICED(in, out) ", input_cost_per_token: " in ", output_cost_per_token: " out
#define FREE PRICED("0", "0")
#define CHEAP PRICED("2.8e-7", "4.2e-7")
#define STRONG PRICED("3e-6", "1.5e-5")
#define KEYLESS \
    "- {model_name: keyless, litellm_params: {model: openrouter/x:free}}\n" NAMED("keyless", CHEAP)
#define ANY "- {model_name: 'any/*', litellm_params: {model: 'openai/*', api_key: k" STRONG "}}\n"

static const char list[] = "model_list:\n";
static const char *const entries[] = {
    NAMED("free", FREE),
    NAMED("cheap", CHEAP),
    NAMED("strong", STRONG),
    NAMED("unknown", ""),
    NAMED("same", CHEAP),
    NAMED("other", ""),
    NAMED("group", ", order: 2" STRONG),
    NAMED("group", ", order: 1" CHEAP),
    NAMED("group", ", order: 1, weight: 0" STRONG),
    NAMED("fee", FREE ", input_cost_per_request: 0.01"),
    KEYLESS,
    ANY,
};

enum { GROUP_2 = 6, GROUP_1 = 7, GROUP_LAST = 8, KEYLESS_PAID = 11, WILD = 12 };

struct told {
    char paid[128], sentence[512];
};

static struct told told;

static void load(struct plan_fixture *f)
{
    BUF_AUTO yaml = BUF_INIT(8192);
    buf_append_text(&yaml, list);
    for (size_t i = 0; i < ARRAY_LEN(entries); i++)
        buf_append_text(&yaml, entries[i]);
    plan_must_load(f, buf_text(&yaml));
}

static const char *tell(struct plan_fixture *f, const char *asked, size_t answered,
                        const struct router_failure *failed)
{
    BUF_AUTO paid = BUF_INIT(sizeof told.paid);
    BUF_AUTO sentence = BUF_INIT(sizeof told.sentence);
    struct router_match match;
    assert_true(router_plan_find(f->plan, span_of(asked), &match));
    struct router_price_notice tariff = {f->plan, asked, match.group,
                                         &f->plan->deployments[answered], failed};
    router_price_notice_write(&tariff, &paid, &sentence);
    snprintf(told.paid, sizeof told.paid, "%s", buf_text(&paid));
    snprintf(told.sentence, sizeof told.sentence, "%s", buf_text(&sentence));
    return told.sentence;
}

static struct router_failure failure(enum router_error error, int status)
{
    struct router_failure made;
    router_failure_make(error, -1, "", &made);
    made.upstream_status = status;
    return made;
}

static void somebody_else_is_paid(void **state)
{
    struct plan_fixture *f = *state;
    load(f);
    struct router_failure limited = failure(ROUTER_RATE_LIMIT, 429);
    assert_string_equal(tell(f, "free", 1, &limited),
                        "free did not answer (HTTP 429); cheap answers now, which costs "
                        "$0.28/$0.42 per million tokens.");
    assert_string_equal(told.paid, "280000/420000/280000/280000/420000/0/0 openai cheap");
    assert_string_equal(tell(f, "cheap", 0, &limited),
                        "cheap did not answer (HTTP 429); free answers now, which costs nothing "
                        "instead of $0.28/$0.42 per million tokens.");
    assert_string_equal(tell(f, "cheap", 2, &limited),
                        "cheap did not answer (HTTP 429); strong answers now, which costs "
                        "$3.00/$15.00 per million tokens instead of $0.28/$0.42.");
    assert_string_equal(
        tell(f, "free", 3, &limited),
        "free did not answer (HTTP 429); unknown answers now, at an unknown price.");
    assert_string_equal(told.paid, "? openai unknown");
    assert_string_equal(tell(f, "free", 9, &limited),
                        "free did not answer (HTTP 429); fee answers now, which costs $0.00/$0.00 "
                        "per million tokens and $0.01 per call.");
    assert_string_equal(tell(f, "free", WILD, NULL),
                        "free cannot be asked at the moment; openai answers now, which costs "
                        "$3.00/$15.00 per million tokens.");
}

static void as_the_name_itself(void **state)
{
    struct plan_fixture *f = *state;
    static const struct {
        const char *asked;
        size_t answered;
        const char *sentence;
    } cases[] = {
        {"free", 0, "free answers again, which costs nothing."},
        {"cheap", 1, "cheap answers again, which costs $0.28/$0.42 per million tokens."},
        {"cheap", 4, "cheap answers again, which costs $0.28/$0.42 per million tokens."},
        {"unknown", 3, "unknown answers again."},
        {"any/x", WILD, "any/x answers again, which costs $3.00/$15.00 per million tokens."},
        {"keyless", KEYLESS_PAID,
         "keyless answers again, which costs $0.28/$0.42 per million tokens."},
        {"group", GROUP_1, "group answers again, which costs $0.28/$0.42 per million tokens."},
    };
    load(f);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_string_equal(tell(f, cases[i].asked, cases[i].answered, NULL), cases[i].sentence);
        assert_string_equal(told.paid, "");
    }
}

// Another model whose price nobody knows may cost anything.
static void what_is_not_known_is_not_the_same(void **state)
{
    struct plan_fixture *f = *state;
    load(f);
    tell(f, "unknown", 5, NULL);
    assert_string_equal(told.paid, "? openai other");
    tell(f, "unknown", 0, NULL);
    assert_string_equal(told.paid, "0/0/0/0/0/0/0 openai free");
}

static struct router_price price_of(void *context, const struct router_deployment *d)
{
    struct router_price price = d->price;
    if (d->price.input_pico == 280000)
        price = *(const struct router_price *)context;
    return price;
}

// What makes it another price makes it another text.
static void all_of_a_price_is_told_apart(void **state)
{
    struct plan_fixture *f = *state;
    load(f);
    char first[sizeof told.paid] = "";
    for (int i = 0; i < 8; i++) {
        struct router_price price = {280000, 420000, 280000, 280000, 420000, 0, 0};
        int64_t *const members[] = {&price.input_pico,      &price.output_pico,
                                    &price.cache_read_pico, &price.cache_write_pico,
                                    &price.reasoning_pico,  &price.request_pico,
                                    &price.image_pico,      NULL};
        if (members[i])
            *members[i] += 1;
        BUF_AUTO paid = BUF_INIT(sizeof told.paid);
        BUF_AUTO sentence = BUF_INIT(sizeof told.sentence);
        struct router_match match;
        assert_true(router_plan_find(f->plan, SPAN_LITERAL("free"), &match));
        struct router_price_notice tariff = {
            f->plan, "free", match.group, &f->plan->deployments[1], NULL, price_of, &price};
        router_price_notice_write(&tariff, &paid, &sentence);
        assert_string_not_equal(buf_text(&paid), first);
        if (i == 7)
            assert_string_equal(buf_text(&paid),
                                "280000/420000/280000/280000/420000/0/0 openai cheap");
        snprintf(first, sizeof first, "%s", buf_text(&paid));
    }
}

static void deployments_that_stand_behind_others(void **state)
{
    struct plan_fixture *f = *state;
    load(f);
    struct router_failure down = failure(ROUTER_INTERNAL_SERVER, 500);
    const char *wanted = "group did not answer (HTTP 500); openai/group answers now, which costs "
                         "$3.00/$15.00 per million tokens instead of $0.28/$0.42.";
    assert_string_equal(tell(f, "group", GROUP_2, &down), wanted);
    assert_string_equal(tell(f, "group", GROUP_LAST, &down), wanted);
}

static void why(void **state)
{
    struct plan_fixture *f = *state;
    static const struct {
        enum router_error error;
        int status;
        const char *words;
    } cases[] = {
        {ROUTER_INTERNAL_SERVER, 503, "free did not answer (HTTP 503);"},
        {ROUTER_INTERNAL_SERVER, 200, "free did not answer;"},
        {ROUTER_AUTHENTICATION, 401, "free did not answer (HTTP 401);"},
        {ROUTER_TIMEOUT, 0, "free did not answer in time;"},
        {ROUTER_API_CONNECTION, 0, "free could not be reached;"},
        {ROUTER_CONTEXT_WINDOW, 400, "free has too small a context;"},
        {ROUTER_CONTENT_POLICY, 400, "free refused the content;"},
        {ROUTER_EMPTY, 200, "free gave an empty answer;"},
        {ROUTER_BUDGET, 0, "free is held back by a budget;"},
        {ROUTER_NO_DEPLOYMENT, 0, "free cannot be asked at the moment;"},
    };
    load(f);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct router_failure failed = failure(cases[i].error, cases[i].status);
        if (strncmp(tell(f, "free", 1, &failed), cases[i].words, strlen(cases[i].words)) != 0)
            fail_msg("\"%s\" does not begin with \"%s\"", told.sentence, cases[i].words);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAN_TEST(somebody_else_is_paid),
        PLAN_TEST(as_the_name_itself),
        PLAN_TEST(what_is_not_known_is_not_the_same),
        PLAN_TEST(all_of_a_price_is_told_apart),
        PLAN_TEST(deployments_that_stand_behind_others),
        PLAN_TEST(why),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
