// links: the router and what it may use
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
    snprintf(heard->text, sizeof heard->text, "failed: %s", failure->text);
    loop_stop(heard->loop);
}

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
    assert_int_equal(router_calls(router), 0);
    chat_provider_destroy(provider);
    router_destroy(router);
    loop_destroy(heard.loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_request_goes_to_what_its_name_means, plan_set_up,
                                        plan_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
