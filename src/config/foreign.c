#include "config/foreign.h"

#include "config/option.h"

/*
 * The names are interface facts of hermes-agent 0.21 (its documentation and example configuration)
 * and of the LiteLLM proxy's configuration schema. A section that stands here alone covers all that
 * is beneath it; the sections of which this program reads a part are spelled out key by key, so
 * that a misspelling in them is still found.
 */
static const char hermes_agent[] =
    "_config_version,"
    // read in part: every key
    "model.provider,model.base_url,model.api_key,model.context_length,model.ollama_num_ctx,"
    "model.streaming,model.default_headers,model.extra_headers,model.max_tokens,"
    "agent.max_turns,agent.gateway_timeout,agent.gateway_timeout_warning,"
    "agent.api_max_retries,agent.auto_recovery_cycles,agent.reasoning_effort,"
    "agent.reasoning_overrides,agent.service_tier,agent.personalities,agent.system_prompt,"
    "agent.disabled_toolsets,agent.session_stall_timeout,agent.restart_drain_timeout,"
    "agent.cron_drain_timeout,agent.verify_on_stop,"
    "terminal.backend,terminal.cwd,terminal.timeout,terminal.lifetime_seconds,"
    "terminal.temp_dir,terminal.home_mode,terminal.env_passthrough,terminal.sudo_password,"
    "terminal.ssh_host,terminal.ssh_user,terminal.ssh_port,terminal.ssh_key,"
    "terminal.docker_image,terminal.docker_volumes,terminal.docker_forward_env,"
    "terminal.container_cpu,terminal.container_memory,terminal.container_disk,"
    "terminal.container_persistent,"
    "memory.memory_enabled,memory.user_profile_enabled,memory.memory_char_limit,"
    "memory.user_char_limit,memory.nudge_interval,memory.write_approval,memory.provider,"
    "sessions.auto_prune,sessions.retention_days,sessions.vacuum_after_prune,"
    "sessions.min_vacuum_interval_days,sessions.min_interval_hours,"
    "database.journal_mode,database.synchronous,database.wal_autocheckpoint,"
    "database.journal_size_limit,database.backend,"
    "gateway.api_server,gateway.delivery_ledger,gateway.message_timestamps,"
    "gateway.bot_loop_guard,gateway.systemd_watchdog_seconds,gateway.trust_env,"
    "gateway.multiplex_profiles,gateway.streaming,gateway.platforms,"
    "providers.*.base_url,providers.*.api_key,providers.*.key_env,providers.*.key_cmd,"
    "providers.*.api_mode,providers.*.model,providers.*.models,providers.*.extra_body,"
    "providers.*.extra_headers,providers.*.request_timeout_seconds,"
    "providers.*.stale_timeout_seconds,providers.*.session_affinity_header,"
    // not read at all: the section
    "custom_providers,fallback_providers,fallback_model,model_aliases,auxiliary,"
    "compression,prompt_caching,approvals,command_allowlist,tool_loop_guardrails,skills,"
    "session_reset,group_sessions_per_user,max_concurrent_sessions,unauthorized_dm_behavior,"
    "streaming,display,platform_toolsets,toolsets,platforms,telegram,discord,mcp_servers,cron,"
    "stt,tts,delegation,code_execution,tool_budget,security,privacy,network,hooks,browser,lsp,"
    "kanban,dashboard";

static const char litellm[] = "model_list,router_settings,litellm_settings,general_settings,"
                              "environment_variables,include";

// Is `key` the same as `name`, beneath it, or a section that it is in? Part by part; * is any part.
static bool related(struct span name, struct span key)
{
    while (name.len && key.len) {
        struct span wanted = span_cut(&name, '.');
        struct span part = span_cut(&key, '.');
        if (!span_equal(wanted, part) && !span_is(wanted, "*"))
            return false;
    }
    return true;
}

static bool covers(const char *names, struct span key)
{
    struct span rest = span_of(names), name;
    while (option_next_word(&rest, &name))
        if (related(name, key))
            return true;
    return false;
}

const char *config_foreign_owner(struct span key)
{
    if (key.len == 0)
        return NULL;
    if (covers(hermes_agent, key))
        return "hermes-agent";
    return covers(litellm, key) ? "LiteLLM" : NULL;
}
