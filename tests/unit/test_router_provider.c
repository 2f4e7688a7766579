#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "loop/loop.h"
#include "plan_fixture.h"
#include "router/provider.h"
#include "router/router.h"

struct heard {
    struct loop *loop;
    char text[256];
    struct chat_failure failure;
};

static void on_text(void *context, struct span delta) {}

static void on_reply(void *context, struct chat_reply *reply)
{
    struct heard *heard = context;
    snprintf(heard->text, sizeof heard->text, "%s", reply->message.text);
    loop_stop(heard->loop);
}

static void on_failure(void *context, const struct chat_failure *failure)
{
    struct heard *heard = context;
    heard->failure = *failure;
    snprintf(heard->text, sizeof heard->text, "failed: %s", failure->text);
    loop_stop(heard->loop);
}

// Both cost a dollar for a token, and a dollar a day is all there is.
static const char budget_yaml[] =
    "model_list:\n"
    "  - model_name: free\n"
    "    litellm_params: {model: openai/x, api_base: http://z/v1, api_key: k,\n"
    "                     input_cost_per_token: 1, output_cost_per_token: 1}\n"
    "  - model_name: offline\n"
    "    litellm_params: {model: offline}\n"
    "router:\n"
    "  slots: {main: free, title: offline}\n"
    "  budgets: [{name: daily, max: 1, period: day}]\n";

static const char config_yaml[] = "model_list:\n"
                                  "  - model_name: free\n"
                                  "    litellm_params: {model: openai/x, api_base: http://z/v1}\n"
                                  "  - model_name: claude\n"
                                  "    litellm_params: {model: anthropic/x}\n";

// What the network does is tests/blackbox's; here it is the ids and the refusals.
static void a_request_goes_to_what_its_name_means(void **state)
{
    static const struct chat_sink sink = {on_text, NULL, on_reply, on_failure};
    struct plan_fixture *f = *state;
    assert_int_equal(plan_load(f, config_yaml), 0);
    char text[] = "hi";
    struct chat_message message = {.role = CHAT_USER, .text = text};
    struct chat_request request = {.model = "offline", .messages = &message, .message_count = 1};
    struct heard heard = {0};
    struct router *router;
    struct chat_provider *provider;
    chat_call_id id = 0, other = 0;
    assert_int_equal(loop_create(&clock_system, &heard.loop, &f->err), 0);
    struct router_env env = {.loop = heard.loop, .home = "/nonexistent"};
    assert_int_equal(router_create(&env, f->plan, &router, &f->err), 0);
    router_provider_create(router, &f->values.llm, heard.loop, &provider);
    assert_int_equal(chat_provider_start(provider, &request, &sink, &heard, &id, &f->err), 0);
    loop_run(heard.loop);
    assert_non_null(strstr(heard.text, "offline"));

    assert_int_equal(chat_provider_start(provider, &request, &sink, &heard, &other, &f->err), 0);
    assert_true(other != id);
    chat_provider_cancel(provider, id); // stale
    chat_provider_cancel(provider, other);
    chat_provider_cancel(provider, other | 78); // that nobody made
    request.model = "claude";
    assert_true(chat_provider_start(provider, &request, &sink, &heard, &id, &f->err) < 0);
    assert_non_null(strstr(f->err.text, "anthropic"));
    request.model = "nobody";
    assert_int_equal(chat_provider_start(provider, &request, &sink, &heard, &id, &f->err), -ENOENT);
    chat_provider_destroy(provider);
    router_destroy(router);
    loop_destroy(heard.loop);
}

struct asking {
    struct loop *loop;
    struct router *router;
    struct chat_provider *provider;
    struct heard heard;
};

static void open_asking(struct plan_fixture *f, const char *yaml, struct asking *asking)
{
    plan_must_load(f, yaml);
    assert_int_equal(loop_create(&clock_system, &asking->loop, &f->err), 0);
    struct router_env env = {.loop = asking->loop, .home = "/nonexistent"};
    assert_int_equal(router_create(&env, f->plan, &asking->router, &f->err), 0);
    router_provider_create(asking->router, &f->values.llm, asking->loop, &asking->provider);
    asking->heard = (struct heard){.loop = asking->loop};
}

static const char *ask(struct plan_fixture *f, struct asking *asking, const char *slot)
{
    static const struct chat_sink sink = {on_text, NULL, on_reply, on_failure, NULL};
    char text[] = "hi";
    struct chat_message message = {.role = CHAT_USER, .text = text};
    struct chat_request request = {
        .origin.slot = slot, .messages = &message, .message_count = 1, .max_tokens = 100};
    chat_call_id id = 0;
    assert_int_equal(
        chat_provider_start(asking->provider, &request, &sink, &asking->heard, &id, &f->err), 0);
    loop_run(asking->loop);
    return asking->heard.text;
}

static void close_asking(struct asking *asking)
{
    chat_provider_destroy(asking->provider);
    router_destroy(asking->router);
    loop_destroy(asking->loop);
}

// A work without a name gets the model of the slot; and a budget of the owner's own is no account
// that somebody could top up.
static void a_slot_is_a_model_and_a_budget_is_a_budget(void **state)
{
    struct plan_fixture *f = *state;
    struct asking asking;
    open_asking(f, budget_yaml, &asking);
    assert_non_null(strstr(ask(f, &asking, "title"), "offline model"));
    assert_non_null(strstr(ask(f, &asking, "main"), "failed: budget \"daily\""));
    assert_non_null(strstr(asking.heard.text, "resets at"));
    assert_int_equal(asking.heard.failure.kind, CHAT_BUDGET);
    assert_true(asking.heard.failure.retry_after_ms >= 0);
    assert_string_equal(chat_failure_advice(&asking.heard.failure),
                        "raise it in the configuration, or wait until then");
    ask(f, &asking, "a slot that nobody filled");
    assert_int_equal(asking.heard.failure.kind, CHAT_BUDGET);
    close_asking(&asking);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAN_TEST(a_request_goes_to_what_its_name_means),
        PLAN_TEST(a_slot_is_a_model_and_a_budget_is_a_budget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
