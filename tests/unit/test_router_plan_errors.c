// What a plan is not made of: each mistake with its place, and limits that would not hold.
#include "plan_fixture.h"

#define ENTRY "- {model_name: a, litellm_params: {model: openai/x, api_key: k}}\n"
#define LIST "model_list:\n" ENTRY

static void values_that_make_no_sense(void **state)
{
    struct plan_fixture *f = *state;
    static const char *const cases[][2] = {
        {"rpm: -5", "c.yaml:4: model_list[0].litellm_params.rpm: \"-5\" is out of range (1 to "
                    "10000000)"},
        {"rpm: 0", "rpm: \"0\" is out of range (1 to 10000000)"}, // LiteLLM takes it for no limit
        {"rpm: many", "rpm: \"many\" is not a whole number"},
        {"rpm: 1.5", "rpm: \"1.5\" is not a whole number"},
        {"rpm: os.environ/RPM", "rpm: its value is in the variable RPM, which is not set"},
        {"tpm: 1e99", "tpm: \"1e99\" is not a whole number"},
        {"max_parallel_requests: 0", "max_parallel_requests: \"0\" is out of range"},
        {"weight: -0.5", "weight: \"-0.5\" is out of range"},
        {"order: first", "order: \"first\" is not a whole number"},
        {"timeout: 0", "timeout: \"0\" is out of range (1ms to 604800s)"},
        {"timeout: 5 parsecs", "timeout: \"5 parsecs\" is not a time"},
        {"stream_timeout: -1", "stream_timeout: \"-1\" is out of range"},
        {"cooldown_time: forever", "cooldown_time: \"forever\" is not a time"},
        {"num_retries: 1000", "num_retries: \"1000\" is out of range"},
        {"input_cost_per_token: -1e-7", "input_cost_per_token: \"-1e-7\" is not a price"},
        {"output_cost_per_token: free", "output_cost_per_token: \"free\" is not a price"},
        {"max_tokens: -1", "litellm_params: max_tokens is not a number of tokens"},
        {"extra_body: [a]", "extra_body: it must be a mapping of parameters"},
        {"extra_headers: {X-A: \"a\\r\\nB: c\"}", "X-A: it has a character that a header"},
        {"extra_body: {a: [os.environ/NO_BODY]}", "extra_body: the variable NO_BODY in it is not"},
        {"user: os.environ/NO_USER", "user: the variable NO_USER in it is not set"},
        {"rpm: [20]", "model_list[0].litellm_params.rpm: must be a single value"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP(mem_cleanup)
        char *yaml = mem_printf("model_list:\n- model_name: a\n  litellm_params:\n    %s\n"
                                "    model: openai/x\n",
                                cases[i][0]);
        plan_must_fail(f, yaml, cases[i][1]);
    }
}

static void numbers_and_times_as_people_write_them(void **state)
{
    struct plan_fixture *f = *state;
    plan_must_load(f, "model_list:\n- model_name: a\n  litellm_params:\n    model: openai/x\n"
                      "    rpm: 1e3\n    tpm: '500'\n    timeout: 5m\n    stream_timeout: 1.5\n"
                      "    cooldown_time: 12h\n    input_cost_per_token: 3e-06\n"
                      "    output_cost_per_token: 0.00015\n    weight: .25\n"
                      "    output_cost_per_token_above_200k_tokens: 0.0003\n"
                      "    input_cost_per_image: 1e-15\n"
                      "router_settings: {cooldown_time: 7d, timeout: 30s, retry_after: 250ms}\n");
    const struct router_deployment *d = f->plan->deployments;
    assert_int_equal(d->rpm, 1000);
    assert_int_equal(d->tpm, 500);
    assert_int_equal(d->timeout_ms, 300000);
    assert_int_equal(d->stream_timeout_ms, 1500);
    assert_int_equal(d->cooldown_ms, 12 * 3600 * 1000);
    assert_int_equal(d->weight_micro, 250000);
    assert_int_equal(d->price.input_pico, 3000000);
    assert_int_equal(d->price.output_pico, 300000000); // the dearer one
    assert_int_equal(d->price.image_pico, 1);          // never rounded to nothing
    assert_int_equal(f->plan->cooldown_ms, 7 * 86400000LL);
    assert_int_equal(f->plan->timeout_ms, 30000);
    assert_int_equal(f->plan->retry_after_ms, 250);
    plan_must_fail(f, LIST "router_settings: {cooldown_time: 1mo}\n", "out of range");
}

static void names_and_ids(void **state)
{
    struct plan_fixture *f = *state;
    plan_must_fail(f, "model_list: [{litellm_params: {model: openai/x}}]",
                   "model_list[0]: it has no model_name");
    plan_must_fail(f, "model_list: [{model_name: 'a*b*', litellm_params: {model: openai/x}}]",
                   "model_list[0].model_name: only one *");
    plan_must_fail(f,
                   "model_list:\n"
                   "- {model_name: a, litellm_params: {model: openai/x}, model_info: {id: i}}\n"
                   "- {model_name: b, litellm_params: {model: openai/x}, model_info: {id: i}}\n",
                   "c.yaml:3: model_list[1].model_info.id: another deployment has the id \"i\"");
}

// It starts without them, because others may do.
static void what_only_lacks_something_is_no_mistake(void **state)
{
    struct plan_fixture *f = *state;
    static const char *const cases[][2] = {
        {"model: openai/x, api_key: os.environ/NO_KEY", "is in the variable NO_KEY"},
        {"model: openrouter/v/m", "set litellm_params.api_key, or OPENROUTER_API_KEY"},
        {"model: groq/m", "has no key for groq"},
        {"model: bedrock/m, api_base: 'http://x/v1'", "bedrock is not a known provider"},
        {"model: vendor/m", "vendor is not a known provider"},
        {"model: hosted_vllm/m", "has no address of hosted_vllm: set litellm_params.api_base"},
        {"model: openai/x, api_base: 'ftp://x'", "the address of \"a\""},
        {"model: openai/x*", "but its name has no * to take the model from"},
        {"rpm: 3", "has no model: set"},
        {"model: openai/x, extra_headers: {X-A: os.environ/NO_HEADER}",
         "model_list[0].litellm_params.extra_headers.X-A is in the variable NO_HEADER, which is"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP(mem_cleanup)
        char *yaml =
            mem_printf("model_list:\n- {model_name: a, litellm_params: {%s}}\n", cases[i][0]);
        plan_must_load(f, yaml);
        const char *trouble = f->plan->deployments[0].trouble;
        if (!trouble || !strstr(trouble, cases[i][1]))
            fail_msg("%s: %s", cases[i][0], trouble);
        assert_false(f->plan->groups[0].usable);
    }
    plan_must_load(f, "model_list: [{model_name: '*', litellm_params: {model: '*'}}]");
    assert_non_null(strstr(f->plan->deployments[0].trouble, "say which provider"));
}

static void providers(void **state)
{
    struct plan_fixture *f = *state;
    static const char *const cases[][2] = {
        {"model: groq/llama, api_key: k", "groq https://api.groq.com/openai/v1 llama"},
        {"model: gemini/g", "gemini https://generativelanguage.googleapis.com/v1beta/openai g"},
        {"model: deepseek/d, api_key: k", "deepseek https://api.deepseek.com/v1 d"},
        {"model: ollama/q", "ollama http://pi:11434/v1 q"},
        {"model: lm_studio/q, api_base: 'http://h:1'", "lm_studio http://h:1/v1 q"},
        {"model: llamacpp/q, api_base: 'http://h:1/v1'", "llamacpp http://h:1/v1 q"},
        {"model: litellm_proxy/a/b", "litellm_proxy http://up/v1 a/b"},
        {"model: vendor/m, api_base: 'http://h/v2'", "custom http://h/v2 m"},
        {"model: org/m, custom_llm_provider: openai, base_url: 'http://h'",
         "openai http://h org/m"},
        {"model: openai/m, custom_llm_provider: openai", "openai https://api.openai.com/v1 m"},
    };
    f->env[0][0] = "GEMINI_API_KEY", f->env[0][1] = "gk";
    f->env[1][0] = "OLLAMA_API_BASE", f->env[1][1] = "http://pi:11434";
    f->env[2][0] = "LITELLM_PROXY_API_BASE", f->env[2][1] = "http://up";
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP(mem_cleanup)
        char *yaml =
            mem_printf("model_list:\n- {model_name: a, litellm_params: {%s}}\n", cases[i][0]);
        plan_must_load(f, yaml);
        const struct router_deployment *d = f->plan->deployments;
        if (d->trouble)
            fail_msg("%s", d->trouble);
        CLEANUP(mem_cleanup) char *is = mem_printf("%s %s %s", d->provider, d->base_url, d->model);
        assert_string_equal(is, cases[i][1]);
    }
}

static void settings_that_lead_nowhere(void **state)
{
    struct plan_fixture *f = *state;
    static const char *const cases[][2] = {
        {"router_settings: {fallbacks: [{a: [b]}]}",
         "c.yaml:3: router_settings.fallbacks: there is no model \"b\""},
        {"router_settings: {fallbacks: [{b: [a]}]}", "there is no model \"b\""},
        {"router_settings: {fallbacks: [{a: [a]}]}", "\"a\" falls back to itself alone"},
        {"router_settings: {fallbacks: [{a: [offline]}, {a: []}]}", "\"a\" is listed twice"},
        {"router_settings: {fallbacks: [a]}", "an entry must be a name and a list"},
        {"router_settings: {fallbacks: a}", "it must be a list"},
        {"router_settings: {fallbacks: [{a: 7}]}", "the fallbacks must be a list"},
        {"router_settings: {fallbacks: [{a: [7]}]}", "7 is not the name of a model"},
        {"router_settings: {default_fallbacks: [z]}", "default_fallbacks: there is no model \"z\""},
        {"litellm_settings: {context_window_fallbacks: [{a: [z]}]}",
         "litellm_settings.context_window_fallbacks: there is no model \"z\""},
        {"router_settings: {model_group_alias: {x: z}}", "there is no model \"z\""},
        {"router_settings: {model_group_alias: {x: y, y: x}}",
         "\"x\" leads to \"y\", which is an alias too"},
        {"router_settings: {routing_strategy: best}", "\"best\" is not one of simple-shuffle"},
        {"router_settings: {num_retries: -1}", "num_retries: \"-1\" is out of range"},
        {"router_settings: {retry_policy: {TimeoutErrorRetries: x}}", "is not a whole number"},
        {"router_settings: {disable_cooldowns: 7}", "disable_cooldowns: \"7\" is not yes or no"},
        {"general_settings: {master_key: os.environ/MASTER}", "in the variable MASTER, which is"},
        {"general_settings: {master_key: ''}", "master_key: it is empty"},
        {"general_settings: {master_key: \"a b\"}", "a header cannot have"},
        {"general_settings: {token_rate_limit_type: input}", "only \"total\" is supported"},
        {"litellm_settings: {timezone: Europe/Vienn}", "litellm_settings.timezone: "},
        {"litellm_settings: {max_budget: lots}", "\"lots\" is not an amount in dollars"},
        {"litellm_settings: {max_budget: -1}", "\"-1\" is not an amount in dollars"},
        {"litellm_settings: {max_budget: 1, budget_duration: soon}", "budget_duration: "},
        {"litellm_settings: {max_budget: 1, budget_duration: 30}", "\"30\" is not a budget period"},
        {"router: {slots: {title: z}}", "router.slots.title: there is no model \"z\""},
        {"router: {budgets: [{scope: slot}]}", "router.budgets[0]: it has no amount"},
        {"router: {budgets: [{max: 1, scope: team}]}", "\"team\" is not one of router, slot"},
        {"router: {budgets: [{max: 1, match: x}]}", "has nothing to match"},
        {"router: {budgets: [{max: 1, scope: slot}, {max: 2, scope: slot, match: x}]}",
         "router.budgets[1]: the budgets \"slot\" and \"slot:x\" would share an account"},
        {"router: {budgets: [{max: 1, scope: slot, match: x}, {max: 2, scope: slot}]}",
         "router.budgets[1]: the budgets \"slot:x\" and \"slot\" would share an account"},
        {"router: {budgets: [{max: 1, scope: model, match: z}]}", "there is no model \"z\""},
        {"router: {budgets: [{max: 1, scope: key, match: bob}]}",
         "there is no key \"bob\": the only one is master"},
        {"router: {budgets: [{max: 1, scope: key}]}", "no call has a key, so this budget never"},
        {"router: {budgets: [{max: 1, scope: key, match: master}]}", "no call has a key"},
        {"router: {budgets: [{max: 1, scope: key, match: '*'}]}", "no call has a key"},
        {"router: {budgets: [{max: 1}, {max: 2}]}", "another budget is named \"router\""},
        {"router: {budgets: [{max: 1, limit: 2}]}", "router.budgets[0].limit: LiteLLM enforces"},
        {"router: {budgets: [{max: 1, mach: x}]}",
         "unknown key \"router.budgets[0].mach\" (did you mean \"match\"?)"},
        {"router: {budgets: [{max: 1, for: x}]}",
         "unknown key \"router.budgets[0].for\"; it can have *.name, *.scope, *.match"},
        {"router_settings: {default_litellm_params: {rpm: 3}}", "and set litellm_params.rpm"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP(mem_cleanup) char *yaml = mem_printf(LIST "%s\n", cases[i][0]);
        plan_must_fail(f, yaml, cases[i][1]);
    }
    plan_must_fail(f,
                   "model_list: [{model_name: cheap, litellm_params: {model: openai/x}}]\n"
                   "router: {slots: {title: chepa}}",
                   "c.yaml:2: router.slots.title: there is no model \"chepa\" (did you mean "
                   "\"cheap\"?)");
}

static void all_mistakes_at_once(void **state)
{
    struct plan_fixture *f = *state;
    plan_must_fail(f,
                   "model_list: [{model_name: a, litellm_params: {model: openai/x, rpm: -1}}]\n"
                   "router_settings: {fallbacks: [{a: [b]}], num_retries: x}\n",
                   "(and 2 more; `hermes config check` lists them)");
    assert_string_equal(
        buf_text(&f->lines),
        "error: c.yaml:2: router_settings.num_retries: \"x\" is not a whole number\n"
        "error: c.yaml:1: model_list[0].litellm_params.rpm: \"-1\" is out of range (1 to "
        "10000000)\n"
        "error: c.yaml:2: router_settings.fallbacks: there is no model \"b\"; model_list has a\n");
}

// A secret is not quoted, wherever the sentence comes from.
static void secrets_stay_out_of_sentences(void **state)
{
    struct plan_fixture *f = *state;
    f->env[0][0] = "SECRET_TOKEN", f->env[0][1] = "sk-0123456789";
    assert_true(plan_load(f, "model_list: [{model_name: a, litellm_params: {model: openai/x, "
                             "rpm: os.environ/SECRET_TOKEN}}]") < 0);
    assert_null(strstr(f->err.text, "sk-0123"));
    plan_must_load(f, "model_list: [{model_name: a, litellm_params: {model: openai/x, "
                      "max_tokens: 4096, input_cost_per_token: 0.00000015, "
                      "api_key: sk-0123456789, extra_headers: {X-Team: blue-team}}}]\n"
                      "general_settings: {master_key: sk-master-key}");
    const char *secrets[8];
    assert_int_equal(config_secrets(f->config, secrets, ARRAY_LEN(secrets)), 3);
}

enum fate { USED, TOLD, REFUSED };

static enum fate fate_of(struct plan_fixture *f, const char *yaml)
{
    if (plan_load(f, yaml) < 0) {
        if (!strstr(f->err.text, "remove it") && !strstr(f->err.text, "copy it in here"))
            fail_msg("%s: %s", yaml, f->err.text);
        return REFUSED;
    }
    return config_finding_count(f->config) ? TOLD : USED;
}

static void expect_fates(struct plan_fixture *f, const char *before, const char *const *cases,
                         size_t count, enum fate wanted)
{
    static const char *const names[] = {"used", "told of", "refused"};
    for (size_t i = 0; i < count; i++) {
        CLEANUP(mem_cleanup)
        char *yaml = mem_printf(LIST "%s%s%s\n", before, cases[i], *before ? "}" : "");
        enum fate fate = fate_of(f, yaml);
        if (fate != wanted)
            fail_msg("%s%s is %s, not %s", before, cases[i], names[fate], names[wanted]);
    }
}

#define FATES(before, fate, ...)                                     \
    do {                                                             \
        static const char *const cases[] = {__VA_ARGS__};            \
        expect_fates(*state, before, cases, ARRAY_LEN(cases), fate); \
    } while (0)

// Every key of LiteLLM's documented file: it counts, it is told of, or it limits something that
// would not be limited, and then nothing starts.
static void every_key_has_its_fate(void **state)
{
    FATES("router_settings: {", USED, "routing_strategy: simple-shuffle", "fallbacks: [{a: []}]",
          "context_window_fallbacks: []", "content_policy_fallbacks: []", "default_fallbacks: [a]",
          "max_fallbacks: 5", "num_retries: 2", "retry_after: 0",
          "retry_policy: {BadRequestErrorRetries: 1}", "allowed_fails: 3",
          "allowed_fails_policy: {BadRequestErrorAllowedFails: 1}", "cooldown_time: 5",
          "disable_cooldowns: false", "enable_pre_call_checks: false", "model_group_alias: {b: a}",
          "timeout: 600", "stream_timeout: 60", "default_max_parallel_requests: 4");
    FATES("router_settings: {", TOLD, "redis_host: h", "redis_port: 1", "redis_password: p",
          "redis_url: u", "optional_pre_call_checks: [prompt_caching]", "set_verbose: true",
          "enable_tag_filtering: false", "routing_strategy_args: {ttl: 1}",
          "allowed_fails_policy: {OtherErrorAllowedFails: 1}");
    FATES("router_settings: {", REFUSED, "enable_tag_filtering: true",
          "optional_pre_call_checks: [router_budget_limiting]",
          "provider_budget_config: {openai: {budget_limit: 1, time_period: 1d}}");
    FATES("litellm_settings: {", USED, "request_timeout: 600", "num_retries: 1", "fallbacks: []",
          "default_fallbacks: [a]", "allowed_fails: 1", "cooldown_time: 1", "max_budget: 100",
          "max_budget: 100, budget_duration: 30d", "timezone: US/Eastern",
          "require_auth_for_metrics_endpoint: true");
    FATES("litellm_settings: {", TOLD, "success_callback: [langfuse]", "failure_callback: [sentry]",
          "callbacks: [prometheus, otel]", "service_callbacks: [prometheus_system]",
          "drop_params: true", "cache: true", "cache_params: {type: redis, host: h, ttl: 1}",
          "prometheus_metrics_config: [{group: a, metrics: [b]}]",
          "custom_prometheus_metadata_labels: [a]", "custom_prometheus_tags: [a]",
          "prometheus_initialize_budget_metrics: true", "prometheus_emit_stream_label: true",
          "enable_end_user_cost_tracking_prometheus_only: true", "set_verbose: true");
    FATES("litellm_settings: {", REFUSED, "max_internal_user_budget: 10",
          "internal_user_budget_duration: 1mo", "max_end_user_budget: 1",
          "default_key_generate_params: {max_budget: 1}",
          "upperbound_key_generate_params: {duration: 30d}", "guardrails: [{a: {b: c}}]",
          "callbacks: [hide_secrets]", "callbacks: [detect_prompt_injection]",
          "default_internal_user_params: {max_budget: 1}", "model_max_budget: {a: 1}");
    FATES("general_settings: {", USED, "master_key: sk-1234", "global_max_parallel_requests: 5",
          "max_parallel_requests: 5", "litellm_key_header_name: X-Key",
          "always_include_stream_usage: true", "token_rate_limit_type: total",
          "max_request_size_mb: 2");
    FATES("general_settings: {", TOLD, "database_url: u", "database_connection_pool_limit: 10",
          "database_connection_timeout: 60", "store_model_in_db: true", "disable_spend_logs: true",
          "disable_error_logs: true", "store_prompts_in_spend_logs: true",
          "maximum_spend_logs_retention_period: 30d", "maximum_spend_logs_retention_interval: 1d",
          "proxy_batch_write_at: 10", "proxy_budget_rescheduler_min_time: 597",
          "proxy_budget_rescheduler_max_time: 605", "allow_requests_on_db_unavailable: true",
          "background_health_checks: true", "health_check_interval: 300",
          "health_check_details: false", "user_api_key_cache_ttl: 60", "completion_model: a",
          "alerting: [slack]", "blocked_ips: false");
    FATES("general_settings: {", REFUSED, "allowed_ips: [127.0.0.1]", "allowed_ips: []",
          "max_response_size_mb: 1", "custom_auth: a.b", "enable_jwt_auth: true",
          "enforce_user_param: true", "allowed_routes: [a]", "admin_only_routes: [a]",
          "role_permissions: [{role: a}]", "max_ui_session_budget: 1");
    FATES("", REFUSED, "guardrails: [{guardrail_name: g}]", "include: [other.yaml]",
          "policies: {a: b}");
    FATES("", TOLD, "credential_list: []", "litellm_setting: {}");
    FATES("", USED, "environment_variables: {A: b}");
}

static void every_key_of_a_deployment_has_its_fate(void **state)
{
    struct plan_fixture *f = *state;
    static const struct {
        const char *text;
        enum fate fate;
    } cases[] = {
        {"rpm: 20", USED},
        {"tpm: 1", USED},
        {"max_parallel_requests: 1", USED},
        {"timeout: 300, stream_timeout: 60", USED},
        {"weight: 1, order: 1, cooldown_time: 0", USED},
        {"max_retries: 1, num_retries: 1", USED},
        {"temperature: 0.5, max_tokens: 1, top_p: 1, seed: 7, tools: []", USED},
        {"reasoning_effort: low, provider: {sort: price}, models: [x]", USED},
        {"input_cost_per_token: 1e-7, output_cost_per_token: 0", USED},
        {"organization: o, custom_llm_provider: openai, api_base: 'http://h/v1'", USED},
        {"region_name: eu, tags: [free], aws_role_name: r", TOLD},
        {"api_bas: x", TOLD},
        {"max_budget: 1, budget_duration: 1d", REFUSED},
        {"blocked: true", REFUSED},
        {"blocked: false", TOLD},
        {"mock_response: hi", REFUSED},
        {"allowed_model_region: eu", REFUSED},
        {"guardrails: [g]", REFUSED},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP(mem_cleanup)
        char *yaml = mem_printf("model_list: [{model_name: a, "
                                "litellm_params: {model: openai/x, %s}}]\n",
                                cases[i].text);
        enum fate fate = fate_of(f, yaml);
        if (fate != cases[i].fate)
            fail_msg("%s: %d", cases[i].text, (int)fate);
    }
    assert_int_equal(fate_of(f, "model_list: [{model_name: a, litellm_params: {model: openai/x}, "
                                "model_info: {access_groups: [a], supports_vision: true}}]"),
                     TOLD);
    assert_int_equal(fate_of(f, "model_list: [{model_name: a, litellm_params: {model: openai/x}, "
                                "model_info: {rpm: 1}}]"),
                     REFUSED);
    assert_int_equal(
        fate_of(f, "model_list: [{model_name: a, tpm: 1, litellm_params: {model: openai/x}}]"),
        REFUSED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAN_TEST(values_that_make_no_sense),
        PLAN_TEST(numbers_and_times_as_people_write_them),
        PLAN_TEST(names_and_ids),
        PLAN_TEST(what_only_lacks_something_is_no_mistake),
        PLAN_TEST(providers),
        PLAN_TEST(settings_that_lead_nowhere),
        PLAN_TEST(all_mistakes_at_once),
        PLAN_TEST(secrets_stay_out_of_sentences),
        PLAN_TEST(every_key_has_its_fate),
        PLAN_TEST(every_key_of_a_deployment_has_its_fate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
