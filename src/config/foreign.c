#include "config/foreign.h"

#include "base/mem.h"
#include "config/option.h"

/*
 * The names are interface facts of hermes-agent 0.21 (its documentation and example configuration)
 * and of the LiteLLM proxy's configuration schema. A section that stands here alone covers all that
 * is beneath it; the sections of which this program reads a part are spelled out key by key, so
 * that a misspelling in them is still found. The keys that it reads are in the modules' own tables,
 * not here.
 */
static const struct group {
    const char *section, *keys;
} hermes_agent[] = {
    {"model", "context_length,ollama_num_ctx"},
    {"agent",
     "gateway_timeout_warning,api_max_retries,auto_recovery_cycles,reasoning_effort,"
     "reasoning_overrides,service_tier,personalities,disabled_toolsets,session_stall_timeout,"
     "cron_drain_timeout,verify_on_stop"},
    {"terminal",
     "backend,cwd,timeout,lifetime_seconds,temp_dir,home_mode,env_passthrough,sudo_password,"
     "ssh_host,ssh_user,ssh_port,ssh_key,docker_image,docker_volumes,docker_forward_env,"
     "container_cpu,container_memory,container_disk,container_persistent"},
    {"memory", "nudge_interval,write_approval,provider"},
    {"streaming", "transport,buffer_threshold,cursor"},
    {"display", "tool_progress,tool_progress_command,tool_progress_grouping,busy_ack_enabled,"
                "show_reasoning,streaming,cleanup_progress,interim_assistant_messages,"
                "long_running_notifications,background_process_notifications,"
                "suppress_warning_notifications,personality,skin,platforms"},
    {"platforms.*", "reply_to_mode,guest_mode,channel_overrides,home_channel"},
    {"platforms.*.extra",
     "base_file_url,local_mode,drop_pending_on_cold_boot,max_concurrent_updates,command_menu,"
     "rich_messages,rich_drafts,allow_cjk_rich_messages,status_indicator,dm_topics,group_topics,"
     "ignore_root_dm,disable_topic_auto_rename,fallback_ips,group_allow_from,"
     "group_allowed_chats,allow_admin_from,user_allowed_commands,group_allow_admin_from,"
     "group_user_allowed_commands,guest_mode"},
    {"telegram",
     "require_mention,exclusive_bot_mentions,mention_patterns,ignored_threads,allowed_chats,"
     "group_allowed_chats,group_allowed_users,reactions,pretty_tables,reply_to_mode,guest_mode,"
     "allow_bots,home_channel,observe_unmentioned_group_messages,bots_require_mention,proxy"},
    {"sessions",
     "auto_prune,retention_days,vacuum_after_prune,min_vacuum_interval_days,min_interval_hours"},
    {"database", "journal_mode,synchronous,wal_autocheckpoint,journal_size_limit,backend"},
    {"gateway",
     "api_server,delivery_ledger,message_timestamps,bot_loop_guard,systemd_watchdog_seconds,"
     "trust_env,multiplex_profiles"},
    {"approvals", "single_query_mode,destructive_slash_confirm,mcp_reload_confirm"},
    {"providers.*",
     "base_url,api_key,key_env,key_cmd,api_mode,model,models,extra_body,extra_headers,"
     "request_timeout_seconds,stale_timeout_seconds,session_affinity_header"},
    {"", // not read at all: the section
     "_config_version,custom_providers,fallback_providers,fallback_model,model_aliases,"
     "auxiliary,compression,prompt_caching,tool_loop_guardrails,"
     "skills,session_reset,max_concurrent_sessions,platform_toolsets,"
     "toolsets,discord,mcp_servers,cron,stt,tts,delegation,code_execution,tool_budget,security,"
     "privacy,network,hooks,browser,lsp,kanban,dashboard"},
};

static const struct group litellm[] = {
    {"",
     "model_list,router_settings,litellm_settings,general_settings,environment_variables,include,"
     "guardrails,policies,policy_attachments,credential_list,callback_settings,files_settings,"
     "finetune_settings,vector_store_registry"},
};

// Is `key` one of them, beneath one, or a section that some are in?
static bool covers(const struct group *groups, size_t count, struct span key)
{
    for (size_t i = 0; i < count; i++) {
        struct span rest = key, names = span_of(groups[i].keys), name;
        struct span section = span_of(groups[i].section);
        if (!option_match_parts(&section, &rest))
            continue;
        if (rest.len == 0)
            return true;
        while (option_next_word(&names, &name)) {
            struct span inner = rest;
            if (option_match_parts(&name, &inner))
                return true;
        }
    }
    return false;
}

const char *config_foreign_owner(struct span key)
{
    if (key.len == 0)
        return NULL;
    // Newer versions have these beneath "gateway" as well.
    if (span_starts_with(key, "gateway.platforms") || span_starts_with(key, "gateway.streaming"))
        key = span_skip(key, sizeof "gateway." - 1);
    if (covers(hermes_agent, ARRAY_LEN(hermes_agent), key))
        return "hermes-agent";
    return covers(litellm, ARRAY_LEN(litellm), key) ? "LiteLLM" : NULL;
}

/*
 * By words, because there are more such keys than any list of them has, and new ones with every
 * release. A key that is not meant by its word stands below. Better one start refused too many than
 * a budget that is believed in.
 */
#define NOT_HELD "LiteLLM enforces this and Hermes would not: remove it"

static const struct limit {
    const char *word, *sentence;
} limits[] = {
    {"budget", NOT_HELD ", and set litellm_settings.max_budget or router.budgets"},
    {"upperbound", NOT_HELD " (there are no virtual keys to limit)"},
    {"limit", NOT_HELD ", and set rpm, tpm or max_parallel_requests of the deployments"},
    {"rpm", NOT_HELD ", and set litellm_params.rpm of the deployments"},
    {"tpm", NOT_HELD ", and set litellm_params.tpm of the deployments"},
    {"quota", NOT_HELD ", and set router.budgets"},
    {"parallel", NOT_HELD ", and set general_settings.global_max_parallel_requests or "
                          "max_parallel_requests of the deployments"},
    {"_size_mb", NOT_HELD ", and set router.max_body or router.buffers"},
    {"guard", NOT_HELD "; there are no guardrails"},
    {"moderation", NOT_HELD "; there are no guardrails"},
    {"injection", NOT_HELD "; there are no guardrails"},
    {"presidio", NOT_HELD "; there are no guardrails"},
    {"lakera", NOT_HELD "; there are no guardrails"},
    {"hide_secrets", NOT_HELD "; there are no guardrails"},
    {"secret_detection", NOT_HELD "; there are no guardrails"},
    {"banned", NOT_HELD "; there are no guardrails"},
    {"block", NOT_HELD "; leave out of model_list what nobody may ask"},
    {"allowed", NOT_HELD "; the network (router.host) decides who reaches the router, model_list "
                         "which models they may ask"},
    {"allowlist", NOT_HELD "; model_list decides which models may be asked"},
    {"restrict", NOT_HELD},
    {"deny", NOT_HELD},
    {"enforce", NOT_HELD},
    {"permission", NOT_HELD},
    {"admin_only", NOT_HELD},
    {"tag_filtering", NOT_HELD "; give models to be kept apart their own names in model_list"},
    {"auth", "this does not decide here who may ask: remove it, and set "
             "general_settings.master_key"},
    {"mock_response", "Hermes would call the model, which costs money: remove it"},
};

// Keys that hold such a word and limit no call.
static const char no_limits[] =
    "database_connection_pool_limit,database_connection_timeout,prometheus_initialize_budget_"
    "metrics,proxy_budget_rescheduler_min_time,proxy_budget_rescheduler_max_time,budget_alert_ttl,"
    "authorization";

const char *config_foreign_limit(struct span word)
{
    if (option_words_have(no_limits, word))
        return NULL;
    if (span_is(word, "include"))
        return "the file is not read, so its limits would not hold: copy it in here";
    if (span_is(word, "policies"))
        return NOT_HELD;
    for (size_t i = 0; i < ARRAY_LEN(limits); i++)
        if (span_find(word, span_of(limits[i].word)) >= 0)
            return limits[i].sentence;
    return NULL;
}
