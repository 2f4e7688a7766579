// A file of LiteLLM's as it is: what the router runs by, and which name means what.
#include "plan_fixture.h"
#include "support/samples.h"

static void load_sample(struct plan_fixture *f)
{
    BUF_AUTO text = BUF_INIT(1 << 20);
    sample_read("litellm_chain.yaml", &text);
    f->env[0][0] = "OPENROUTER_API_KEY", f->env[0][1] = "sk-or-0123456789abcdef";
    f->env[1][0] = "OR_SITE_URL", f->env[1][1] = "https://example.org";
    f->env[2][0] = "OR_APP_NAME", f->env[2][1] = "Example";
    plan_must_load(f, buf_text(&text));
}

static const struct router_deployment *at(const struct plan_fixture *f, size_t index)
{
    assert_true(index < f->plan->deployment_count);
    return &f->plan->deployments[index];
}

static void deployments_and_groups(void **state)
{
    struct plan_fixture *f = *state;
    load_sample(f);
    const struct router_plan *plan = f->plan;
    static const char *const groups[] = {"free",     "free2",         "cheap",         "strong",
                                         "openai/*", "openai/gpt-5*", "local-qwen2.5", "offline"};
    assert_int_equal(plan->group_count, ARRAY_LEN(groups));
    for (size_t i = 0; i < ARRAY_LEN(groups); i++)
        assert_string_equal(plan->groups[i].name, groups[i]);
    assert_true(plan->listed);
    assert_int_equal(plan->groups[2].count, 2);
    assert_int_equal(plan->groups[2].members[0], 2);
    assert_int_equal(plan->groups[2].members[1], 3);
    assert_true(plan->groups[2].usable);
    assert_false(plan->groups[3].usable);
    assert_true(plan->groups[4].wildcard);
    assert_true(plan->groups[7].internal);

    const struct router_deployment *free1 = at(f, 0);
    assert_null(free1->trouble);
    assert_string_equal(free1->provider, "openrouter");
    assert_string_equal(free1->litellm_name, "openrouter/deepseek/deepseek-r1:free");
    assert_string_equal(free1->model, "deepseek/deepseek-r1:free");
    assert_string_equal(free1->base_url, "https://openrouter.ai/api/v1");
    assert_string_equal(free1->api_key, "sk-or-0123456789abcdef");
    assert_string_equal(free1->headers[0], "HTTP-Referer: https://example.org");
    assert_string_equal(free1->headers[1], "X-Title: Example");
    assert_null(free1->headers[2]);
    assert_string_equal(free1->params,
                        "{\"provider\":{\"order\":[\"chutes\",\"targon\"],\"allow_fallbacks\":"
                        "false},\"models\":[\"deepseek/deepseek-r1:free\",\"qwen/qwen3-coder:"
                        "free\"]}");
    assert_int_equal(free1->rpm, 20);
    assert_int_equal(free1->tpm, -1);
    assert_int_equal(free1->timeout_ms, 300000);
    assert_int_equal(free1->stream_timeout_ms, 60000);
    assert_int_equal(free1->price.input_pico, -1); // it names others, of which nothing is known
    assert_int_equal(at(f, 1)->price.input_pico, 0);
    assert_int_equal(at(f, 1)->price.output_pico, 0);
    assert_int_equal(free1->order, 1);
    assert_int_equal(free1->weight_micro, 1000000);
    assert_int_equal(free1->cooldown_ms, -1);
    assert_int_equal(at(f, 1)->cooldown_ms, 0);
    assert_int_equal(at(f, 1)->max_parallel, 2);
    assert_int_equal(at(f, 1)->tpm, 100000);
    assert_int_equal(at(f, 1)->timeout_ms, 600000);
}

static void prices_parameters_and_what_is_known_of_a_model(void **state)
{
    struct plan_fixture *f = *state;
    load_sample(f);
    const struct router_deployment *cheap = at(f, 2), *second = at(f, 3);
    assert_string_equal(cheap->id, "cheap-1");
    assert_string_equal(cheap->mode, "chat");
    assert_int_equal(cheap->max_tokens, 16384);
    assert_int_equal(cheap->max_input_tokens, 128000);
    assert_int_equal(cheap->price.input_pico, 150000);
    assert_int_equal(cheap->price.output_pico, 600000);
    assert_int_equal(cheap->price.cache_read_pico, -1);
    assert_string_equal(cheap->params, "{\"max_tokens\":4096,\"temperature\":0.2,"
                                       "\"stop\":[\"\\n\\n\",true]}");
    assert_int_equal(second->price.input_pico, 150000);
    assert_int_equal(second->price.output_pico, 600000);
    assert_int_equal(second->price.cache_read_pico, 75000);
    assert_string_equal(second->api_key, "sk-from-the-file-0123456789");
    assert_int_equal(second->order, 2);
    assert_int_equal(second->weight_micro, 500000);
    assert_int_equal(second->num_retries, 1);
    assert_string_equal(second->headers[0], "OpenAI-Organization: org-1");
    assert_string_equal(second->headers[1], "X-Team: blue");
    assert_null(second->headers[2]);
    assert_string_equal(at(f, 7)->base_url, "http://127.0.0.1:11434/v1");
    assert_string_equal(at(f, 7)->params, "{\"keep_alive\":\"10m\",\"num_ctx\":8192}");
    assert_string_equal(at(f, 7)->api_key, "");
    assert_non_null(strstr(at(f, 4)->trouble, "ANTHROPIC_API_KEY"));
    assert_string_equal(at(f, 4)->provider, "anthropic");
}

static void the_settings(void **state)
{
    struct plan_fixture *f = *state;
    load_sample(f);
    const struct router_plan *plan = f->plan;
    assert_int_equal(plan->strategy, ROUTER_SIMPLE_SHUFFLE);
    assert_int_equal(plan->num_retries, 2); // router_settings is before litellm_settings
    assert_int_equal(plan->max_fallbacks, 5);
    assert_int_equal(plan->retry_after_ms, 1000);
    assert_int_equal(plan->retries[ROUTER_CLASS_TIMEOUT], 1);
    assert_int_equal(plan->retries[ROUTER_CLASS_RATE_LIMIT], 0);
    assert_int_equal(plan->retries[ROUTER_CLASS_NOT_FOUND], -1);
    assert_int_equal(plan->allowed_fails, 3);
    assert_int_equal(plan->fails[ROUTER_CLASS_INTERNAL_SERVER], 7);
    assert_int_equal(plan->cooldown_ms, 30000);
    assert_true(plan->pre_call_checks);
    assert_false(plan->disable_cooldowns);
    assert_int_equal(plan->timeout_ms, 600000);
    assert_int_equal(plan->stream_timeout_ms, -1);
    assert_int_equal(plan->max_parallel, 64);
    assert_string_equal(plan->master_key, "sk-1234567890");
    assert_int_equal(plan->metrics_key, -1);
    assert_string_equal(plan->timezone, "US/Eastern");
    assert_int_equal(plan->zone.standard_s, -5 * 3600);
    assert_true(plan->refuse_unpriced);
    assert_false(plan->refuse_oversized);
    assert_int_equal(plan->max_body, 32 << 20);
    assert_int_equal(plan->ledger_days, 90);
    assert_int_equal(f->values.router.port, 0);
    assert_string_equal(f->values.router.host, "127.0.0.1");
}

static void slots_and_budgets(void **state)
{
    struct plan_fixture *f = *state;
    load_sample(f);
    const struct router_plan *plan = f->plan;
    assert_string_equal(router_plan_slot(plan, SPAN_LITERAL("title")), "free2");
    assert_string_equal(router_plan_slot(plan, SPAN_LITERAL("compression")), "free"); // main's
    assert_string_equal(router_plan_own_slot(plan, SPAN_LITERAL("mine")), "gpt-4");
    assert_string_equal(router_plan_own_slot(plan, SPAN_LITERAL("main")), "free");
    assert_null(router_plan_own_slot(plan, SPAN_LITERAL("compression")));
    assert_null(router_plan_own_slot(plan, SPAN_LITERAL("")));
    assert_null(router_plan_own_slot(plan, SPAN_ABSENT));
    assert_string_equal(router_plan_slot(plan, SPAN_ABSENT), "free");
    assert_int_equal(plan->budget_count, 4);
    const struct router_budget_rule *b = plan->budgets;
    assert_string_equal(b[0].name, "max_budget");
    assert_int_equal(b[0].scope, ROUTER_SCOPE_ROUTER);
    assert_int_equal(b[0].cap_pico, 100000000000000);
    assert_int_equal(b[0].period.kind, BUDGET_MONTHS); // LiteLLM's 30d
    assert_string_equal(b[1].name, "slot:title");
    assert_int_equal(b[1].scope, ROUTER_SCOPE_SLOT);
    assert_int_equal(b[1].cap_pico, 500000000000);
    assert_int_equal(b[1].period.kind, BUDGET_DAYS);
    assert_string_equal(b[2].name, "each");
    assert_string_equal(b[2].match, "*");
    assert_int_equal(b[2].cap_pico, 2000000000000);
    assert_int_equal(b[2].period.kind, BUDGET_TOTAL);
    assert_int_equal(b[3].cap_pico, 100000);
    assert_string_equal(router_scope_name(b[3].scope), "model");
}

// Each under the name that its calls have: behind aliases, and one of many behind a wildcard.
static void budgets_of_models(void **state)
{
    static const char list[] =
        "model_list:\n"
        "- {model_name: a, litellm_params: {model: openai/m, api_key: k}}\n"
        "- {model_name: w/*, litellm_params: {model: openai/*, api_key: k}}\n"
        "router_settings: {model_group_alias: {x: a, y: w/m}}\n"
        "router: {budgets: [{max: 1, scope: model, match: %s}]}\n";
    static const char *const cases[][2] = {{"a", "a"},     {"x", "a"},       {"y", "w/m"},
                                           {"w/z", "w/z"}, {"'w/*'", "w/*"}, {"'*'", "*"}};
    struct plan_fixture *f = *state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP(mem_cleanup) char *yaml = mem_printf(list, cases[i][0]);
        plan_must_load(f, yaml);
        assert_string_equal(f->plan->budgets[0].match, cases[i][1]);
    }
    assert_string_equal(f->plan->budgets[0].name, "model");
    CLEANUP(mem_cleanup) char *none = mem_printf(list, "'w/a*'");
    plan_must_fail(f, none, "router.budgets[0].match: \"w/a*\" is no wildcard of model_list");
    plan_must_load(f, "router: {budgets: [{max: 1, scope: model, match: vendor/m}]}");
    assert_string_equal(f->plan->budgets[0].match, "vendor/m");
}

// A budget of the whole router would pass them over, and what is asked in their place costs more.
static void who_has_no_price_is_told(void **state)
{
    struct plan_fixture *f = *state;
    static const char text[] =
        "model_list:\n"
        "  - {model_name: a, litellm_params: {model: openai/m, api_key: k, api_base: %s}}\n"
        "  - {model_name: b, litellm_params: {model: openai/m, api_key: k, api_base: %s,\n"
        "     input_cost_per_token: 0, output_cost_per_token: 0}}\n"
        "  - {model_name: c, litellm_params: {model: openrouter/v/m, api_key: k}}\n"
        "  - {model_name: d, litellm_params: {model: openrouter/v/m, api_key: k, models: [x]}}\n"
        "  - {model_name: e, litellm_params: {model: ollama/m}}\n"
        "%s";
    static const char base[] = "http://127.0.0.1:1/v1";
    static const char cap[] = "litellm_settings: {max_budget: 1}\n";
    static const char two_lines[] =
        "note: a (openai/m): its price is unknown, so budget \"max_budget\" skips it; set "
        "input_cost_per_token and output_cost_per_token (0 where it is free), or router.unpriced: "
        "allow\n"
        "note: d (openrouter/v/m): its price is";
    char config[1024];
    snprintf(config, sizeof config, text, base, base, "");
    plan_must_load(f, config);
    assert_string_equal(f->plan->notes, "");
    snprintf(config, sizeof config, text, base, base, cap);
    plan_must_load(f, config);
    assert_int_equal(strncmp(f->plan->notes, two_lines, strlen(two_lines)), 0);
    snprintf(config, sizeof config, text, base, base,
             "litellm_settings: {max_budget: 1}\nrouter: {unpriced: allow}\n");
    plan_must_load(f, config);
    assert_string_equal(f->plan->notes, "");
}

#define SLOT(name) router_plan_slot(f->plan, SPAN_LITERAL(name))

// What is chosen as the model is what "main" means, whatever the slots say of it.
static void the_slot_main(void **state)
{
    struct plan_fixture *f = *state;
    static const char yaml[] = "model_list:\n"
                               "- {model_name: a, litellm_params: {model: offline}}\n"
                               "- {model_name: b, litellm_params: {model: offline}}\n"
                               "router: {slots: {main: a}}\n";
    plan_must_load(f, yaml);
    assert_string_equal(SLOT("main"), "a");
    assert_string_equal(SLOT("title"), "a");
    f->env[0][0] = "HERMES_MODEL", f->env[0][1] = "b";
    plan_must_load(f, yaml);
    assert_string_equal(SLOT("main"), "b");
    assert_string_equal(SLOT("title"), "b");
}

// A work without a slot of ours, and one that leads elsewhere, is left with main and told of.
static void the_slots_of_a_hermes_agent(void **state)
{
    struct plan_fixture *f = *state;
    plan_must_load(f, "model_list:\n"
                      "- {model_name: a, litellm_params: {model: openai/x, api_key: k}}\n"
                      "- {model_name: b, litellm_params: {model: openai/y, api_key: k}}\n"
                      "router: {slots: {main: a, vision: a, mine: b}}\n"
                      "auxiliary:\n"
                      "  vision: {model: b}\n"
                      "  title_generation: {provider: auto, model: b}\n"
                      "  compression: {provider: openai, model: b}\n"
                      "  session_search: {provider: openrouter, model: b}\n"
                      "  web_extract: {base_url: 'http://elsewhere/v1', model: b}\n"
                      "  approval: {provider: main, model: c}\n"
                      "  tts_audio_tags: {model: b}\n");
    assert_string_equal(SLOT("vision"), "a");
    assert_string_equal(SLOT("title"), "b");
    assert_string_equal(SLOT("compression"), "b");
    assert_string_equal(SLOT("session_search"), "a");
    assert_string_equal(SLOT("web_extract"), "a");
    assert_string_equal(SLOT("approval"), "a");
    assert_string_equal(
        f->plan->notes,
        "note: auxiliary.session_search: not used: that name is another provider's model here; "
        "name it in model_list and router.slots.session_search\n"
        "note: auxiliary.approval: not used: there is no such model in model_list; name it in "
        "model_list and router.slots.approval\n"
        "note: auxiliary.web_extract: not used: that name is another provider's model here; "
        "name it in model_list and router.slots.web_extract\n");
}

// Without a list any name is one of the same server.
static void the_slots_of_a_hermes_agent_without_a_list(void **state)
{
    struct plan_fixture *f = *state;
    f->env[0][0] = "HERMES_MODEL", f->env[0][1] = "m";
    f->env[1][0] = "OPENROUTER_API_KEY", f->env[1][1] = "rk";
    plan_must_load(f, "auxiliary: {compression: {provider: openrouter, model: small}, "
                      "vision: {provider: openai, model: large}}");
    assert_string_equal(SLOT("compression"), "small");
    assert_string_equal(SLOT("vision"), "m");
}

// "group model id|star", or "-".
static const char *means(const struct router_plan *plan, const char *name)
{
    static char text[256];
    struct router_match match;
    BUF_AUTO scratch = BUF_INIT(256);
    if (!router_plan_find(plan, span_of(name), &match))
        return "-";
    const struct router_group *group = &plan->groups[match.group];
    struct span model = router_plan_model(&plan->deployments[group->members[0]], &match, &scratch);
    snprintf(text, sizeof text, "%s%s %.*s", match.alias ? "@" : "", group->name, (int)model.len,
             model.data);
    return text;
}

static void which_name_means_what(void **state)
{
    struct plan_fixture *f = *state;
    load_sample(f);
    assert_string_equal(means(f->plan, "free"), "free deepseek/deepseek-r1:free");
    assert_string_equal(means(f->plan, "gpt-4"), "@free deepseek/deepseek-r1:free");
    assert_string_equal(means(f->plan, "gpt-4.1"), "@openai/* gpt-4.1");
    assert_string_equal(means(f->plan, "openai/o3"), "openai/* o3");
    assert_string_equal(means(f->plan, "openai/gpt-5-mini"), "openai/gpt-5* openai/gpt-5-mini");
    assert_string_equal(means(f->plan, "openai/"), "-");
    assert_string_equal(means(f->plan, "openai"), "-");
    assert_string_equal(means(f->plan, ""), "-");
    assert_string_equal(means(f->plan, "fre"), "-");
    assert_string_equal(means(f->plan, "freeze"), "-");
    assert_string_equal(means(f->plan, "cheap-1"), "-");                   // an id is no name
    assert_string_equal(means(f->plan, "deepseek/deepseek-r1:free"), "-"); // nor is the upstream's
    assert_string_equal(means(f->plan, "offline"), "-");                   // the agent's alone
    struct router_match match;
    assert_true(router_plan_find_own(f->plan, SPAN_LITERAL("offline"), &match));
    assert_null(f->plan->deployments[f->plan->groups[match.group].members[0]].format);
    assert_true(router_plan_find_id(f->plan, SPAN_LITERAL("cheap-1"), &match));
    assert_int_equal(match.deployment, 2);
    assert_false(router_plan_find_id(f->plan, SPAN_LITERAL("cheap"), &match));
}

static void what_comes_next(void **state)
{
    struct plan_fixture *f = *state;
    load_sample(f);
    const struct router_plan *plan = f->plan;
    const struct router_chain *chain =
        router_plan_chain(plan, SPAN_LITERAL("free"), ROUTER_CHAIN_GENERAL);
    assert_int_equal(chain->count, 2);
    assert_string_equal(chain->targets[0].name, "free2");
    assert_int_equal(chain->targets[1].group, 2);
    assert_int_equal(chain->targets[1].deployment, ROUTER_NONE);
    // Beneath the alias' name it was written, and beneath what that means it is found.
    chain = router_plan_chain(plan, SPAN_LITERAL("openai/gpt-4.1"), ROUTER_CHAIN_GENERAL);
    assert_int_equal(chain->count, 2);
    assert_int_equal(chain->targets[1].deployment, 2);
    assert_string_equal(router_plan_chain(plan, SPAN_LITERAL("other"), ROUTER_CHAIN_GENERAL)->name,
                        "*");
    // A setting that is there counts alone; one that is not leaves it to the general one.
    chain = router_plan_chain(plan, SPAN_LITERAL("free"), ROUTER_CHAIN_CONTEXT_WINDOW);
    assert_int_equal(chain->count, 1);
    assert_null(router_plan_chain(plan, SPAN_LITERAL("cheap"), ROUTER_CHAIN_CONTEXT_WINDOW));
    assert_int_equal(
        router_plan_chain(plan, SPAN_LITERAL("free"), ROUTER_CHAIN_CONTENT_POLICY)->count, 2);

    plan_must_load(f, "model_list:\n"
                      "  - {model_name: a, litellm_params: {model: openai/x}}\n"
                      "  - {model_name: v/m, litellm_params: {model: openai/x}}\n"
                      "  - {model_name: w/*, litellm_params: {model: openai/*}}\n"
                      "litellm_settings: {fallbacks: [{m: [a]}, {w/*: [w/small]}]}\n");
    assert_string_equal(router_plan_chain(f->plan, SPAN_LITERAL("v/m"), ROUTER_CHAIN_GENERAL)->name,
                        "m");
    chain = router_plan_chain(f->plan, SPAN_LITERAL("w/large"), ROUTER_CHAIN_GENERAL);
    struct router_match match = router_target_match(f->plan, &chain->targets[0]);
    BUF_AUTO scratch = BUF_INIT(64);
    assert_true(span_is(router_plan_model(&f->plan->deployments[2], &match, &scratch), "small"));
    assert_null(router_plan_chain(f->plan, SPAN_LITERAL("a"), ROUTER_CHAIN_GENERAL));

    plan_must_load(f, "model_list:\n"
                      "  - {model_name: a, litellm_params: {model: openai/x}}\n"
                      "  - {model_name: b, litellm_params: {model: openai/x}}\n"
                      "router_settings: {model_group_alias: {n: a}, fallbacks: [{a: [b]}]}\n");
    assert_string_equal(router_plan_chain(f->plan, SPAN_LITERAL("n"), ROUTER_CHAIN_GENERAL)->name,
                        "a"); // an alias has what its group has
}

// Ids stand in ledgers and dashboards.
static void an_id_stays_and_is_nobody_elses(void **state)
{
    struct plan_fixture *f = *state;
    static const char yaml[] =
        "model_list:\n"
        "  - {model_name: a, litellm_params: {model: openai/x, api_key: os.environ/K, rpm: 3}}\n"
        "  - {model_name: a, litellm_params: {model: openai/x, api_key: os.environ/K}}\n"
        "  - {model_name: b, litellm_params: {model: openai/x, api_key: k}}\n";
    char first[65];
    f->env[0][0] = "K", f->env[0][1] = "sk-one";
    plan_must_load(f, yaml);
    snprintf(first, sizeof first, "%s", at(f, 0)->id);
    assert_int_equal(strlen(first), 64);
    assert_string_not_equal(first, at(f, 1)->id);
    assert_string_not_equal(first, at(f, 2)->id);
    f->env[0][1] = "sk-another";
    plan_must_load(f, yaml);
    assert_string_equal(first, at(f, 0)->id);
}

static void without_a_model_list(void **state)
{
    struct plan_fixture *f = *state;
    f->env[0][0] = "HERMES_MODEL", f->env[0][1] = "m";
    f->env[1][0] = "OPENROUTER_API_KEY", f->env[1][1] = "rk";
    plan_must_load(f, NULL);
    assert_false(f->plan->listed);
    assert_string_equal(means(f->plan, "any/thing"), "* any/thing");
    assert_string_equal(at(f, 0)->api_key, "rk");
    assert_int_equal(at(f, 0)->timeout_ms, 1800000);
    assert_string_equal(router_plan_slot(f->plan, SPAN_LITERAL("title")), "m");
    f->env[0][0] = "NO_MODEL";
    plan_must_load(f, NULL);
    assert_string_equal(means(f->plan, "x"), "* x");
    assert_null(router_plan_slot(f->plan, SPAN_LITERAL("main")));
    f->env[1][0] = "NO_KEY";
    plan_must_load(f, NULL);
    assert_null(at(f, 0)->format);
    assert_null(at(f, 0)->trouble);
    f->env[0][0] = "HERMES_MODEL";
    plan_must_load(f, NULL);
    assert_non_null(strstr(at(f, 0)->trouble, "set OPENROUTER_API_KEY"));
    assert_false(f->plan->groups[0].usable);
}

// What worked without a router must go on: a model beside the list that the settings know.
static void a_model_beside_the_list(void **state)
{
    struct plan_fixture *f = *state;
    f->env[0][0] = "HERMES_MODEL", f->env[0][1] = "vendor/other";
    f->env[1][0] = "OPENROUTER_API_KEY", f->env[1][1] = "rk";
    plan_must_load(f, "model_list: [{model_name: a, litellm_params: {model: offline}}]");
    struct router_match match;
    assert_string_equal(means(f->plan, "vendor/other"), "-");
    assert_true(router_plan_find_own(f->plan, SPAN_LITERAL("vendor/other"), &match));
    assert_string_equal(at(f, 1)->model, "vendor/other");
    assert_null(at(f, 0)->format);
    assert_string_equal(means(f->plan, "a"), "a offline");
    // What a wildcard of the list knows is not beside it.
    plan_must_load(f, "model_list: [{model_name: 'vendor/*', litellm_params: {model: openai/*}}]");
    assert_string_equal(means(f->plan, "vendor/other"), "vendor/* other");
}

// A call that is under way keeps what it began with.
static void a_plan_outlives_its_configuration(void **state)
{
    struct plan_fixture *f = *state;
    load_sample(f);
    struct router_plan *kept = router_plan_ref(f->plan);
    router_plan_unref(STEAL(f->plan));
    config_destroy(STEAL(f->config));
    assert_string_equal(means(kept, "free"), "free deepseek/deepseek-r1:free");
    assert_string_equal(kept->deployments[0].headers[1], "X-Title: Example");
    assert_string_equal(router_plan_slot(kept, SPAN_LITERAL("nothing")), "free");
    router_plan_unref(kept);
    router_plan_unref(NULL);
}

static void two_hundred_deployments(void **state)
{
    struct plan_fixture *f = *state;
    BUF_AUTO yaml = BUF_INIT(1 << 20);
    buf_append_text(&yaml, "model_list:\n");
    for (int i = 0; i < 200; i++) {
        buf_printf(&yaml, "- model_name: m%d.0\n  litellm_params:\n    model: openai/x%d\n", i, i);
        for (int j = 0; j < 30; j++)
            buf_printf(&yaml, "    extra_%d: %d\n", j, j);
    }
    plan_must_load(f, buf_text(&yaml));
    assert_int_equal(f->plan->deployment_count, 201);
    assert_string_equal(means(f->plan, "m199.0"), "m199.0 x199");
    buf_append_text(&yaml, "- {model_name: one-more, litellm_params: {model: openai/x}}\n");
    plan_must_fail(f, buf_text(&yaml), "model_list: it has more than 200 entries");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAN_TEST(deployments_and_groups),
        PLAN_TEST(prices_parameters_and_what_is_known_of_a_model),
        PLAN_TEST(the_settings),
        PLAN_TEST(slots_and_budgets),
        PLAN_TEST(budgets_of_models),
        PLAN_TEST(who_has_no_price_is_told),
        PLAN_TEST(the_slot_main),
        PLAN_TEST(the_slots_of_a_hermes_agent),
        PLAN_TEST(the_slots_of_a_hermes_agent_without_a_list),
        PLAN_TEST(which_name_means_what),
        PLAN_TEST(what_comes_next),
        PLAN_TEST(an_id_stays_and_is_nobody_elses),
        PLAN_TEST(without_a_model_list),
        PLAN_TEST(a_model_beside_the_list),
        PLAN_TEST(a_plan_outlives_its_configuration),
        PLAN_TEST(two_hundred_deployments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
