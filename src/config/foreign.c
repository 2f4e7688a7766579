#include "config/foreign.h"

#include "base/mem.h"
#include "config/option.h"

/*
 * The names are interface facts of hermes-agent 0.19 to 0.21 (its documentation, example and
 * default configuration) and of the LiteLLM proxy's configuration schema. A section that stands
 * here alone covers all that is beneath it; the sections of which this program reads a part, or
 * will, are spelled out key by key, so that a misspelling in them is still found. The keys that it
 * reads are in the modules' own tables, not here.
 */
static const char elsewhere[] = "it is of a program or service that Hermes does not use";
static const char absent[] = "Hermes does not offer that";
static const char always[] = "Hermes decides that itself";

#define EXTRA_KEYS                                                                            \
    "base_file_url,local_mode,drop_pending_on_cold_boot,max_concurrent_updates,command_menu," \
    "rich_messages,rich_drafts,allow_cjk_rich_messages,status_indicator,dm_topics,"           \
    "group_topics,ignore_root_dm,disable_topic_auto_rename,fallback_ips,"                     \
    "allow_admin_from,user_allowed_commands,group_allow_admin_from,"                          \
    "group_user_allowed_commands,guest_mode"

static const struct group {
    const char *section, *why, *keys;
} hermes_agent[] = {
    {"model", absent, "ollama_num_ctx"},
    {"agent", absent,
     "gateway_timeout_warning,auto_recovery_cycles,reasoning_effort,reasoning_overrides,"
     "service_tier,personalities,disabled_toolsets,session_stall_timeout,cron_drain_timeout,"
     "verify_on_stop,verify_guidance,max_verify_nudges,coding_context,coding_instructions,"
     "environment_hint,gateway_notify_interval"},
    {"agent", always,
     "api_max_retries,tool_use_enforcement,intent_ack_continuation,task_completion_guidance,"
     "parallel_tool_call_guidance,environment_probe,clarify_timeout,"
     "gateway_auto_continue_freshness,local_stream_stale_timeout"},
    {"memory", absent, "nudge_interval,write_approval,provider"},
    {"streaming", always, "transport,buffer_threshold,cursor,fresh_final_after_seconds"},
    {"display", absent,
     "tool_progress_command,tool_progress_grouping,tool_progress_overrides,tool_preview_length,"
     "friendly_tool_labels,busy_ack_enabled,busy_steer_ack_enabled,show_reasoning,reasoning_full,"
     "reasoning_style,streaming,cleanup_progress,interim_assistant_messages,show_commentary,"
     "long_running_notifications,background_process_notifications,memory_notifications,"
     "suppress_warning_notifications,personality,platforms,status_phrases,show_cost,"
     "ephemeral_system_ttl,runtime_footer,file_mutation_verifier,turn_completion_explainer"},
    {"display", elsewhere,
     "skin,compact,resume_display,resume_exchanges,resume_max_user_chars,"
     "resume_max_assistant_chars,resume_max_assistant_lines,resume_skip_tool_only,interface,"
     "tui_auto_resume_recent,tui_agents_nudge,tui_status_indicator,bell_on_complete,timestamps,"
     "timestamp_format,final_response_markdown,persistent_output,persistent_output_max_lines,"
     "persist_prompts,inline_diffs,credits_notices,cli_refresh_interval,user_message_preview,"
     "copy_shortcut,pet"},
    {"platforms.*", absent, "reply_to_mode,guest_mode,channel_overrides,home_channel"},
    {"platforms.*.extra", absent, EXTRA_KEYS},
    {"telegram.extra", absent, EXTRA_KEYS},
    {"telegram", absent,
     "exclusive_bot_mentions,pretty_tables,reply_to_mode,guest_mode,"
     "allow_bots,observe_unmentioned_group_messages,bots_require_mention,proxy,"
     "channel_prompts"},
    {"sessions", absent,
     "vacuum_after_prune,min_vacuum_interval_days,min_interval_hours,"
     "write_json_snapshots"},
    {"gateway", absent,
     "message_timestamps,bot_loop_guard,systemd_watchdog_seconds,multiplex_profiles,"
     "scale_to_zero,max_inbound_media_bytes,media_delivery_allow_dirs,trust_recent_files,"
     "trust_recent_files_seconds"},
    {"gateway", always,
     "delivery_ledger,trust_env,platform_connect_timeout,write_sessions_json,restart_loop_guard,"
     "respawn_storm,strict"},
    {"approvals", absent, "single_query_mode,destructive_slash_confirm,mcp_reload_confirm"},
    {"mcp", absent, "auto_reload_on_config_change"},
    {"tools", always, "tool_search"},
    {"providers.*", absent,
     "base_url,api_key,key_env,key_cmd,api_mode,model,models,extra_body,extra_headers,"
     "request_timeout_seconds,stale_timeout_seconds,session_affinity_header"},
    {"skills", absent,
     "creation_nudge_interval,config,template_vars,inline_shell,"
     "inline_shell_timeout,guard_agent_created"},
    {"cron", absent,
     "model_provider,mirror_delivery,preflight,retry_unreachable,allow_agent_scheduling,delivery,"
     "misfire_grace_minutes,provider,chronos,session_db_timeout_seconds"},
    {"stt", absent, "echo_transcripts,local,openai,groq,mistral,elevenlabs,deepinfra"},
    {"delegation", absent,
     "max_spawn_depth,orchestrator_enabled,sub"
     "agent_auto_approve,provider,base_url,api_key,api_mode,fallback_providers,"
     "inherit_mcp_toolsets,reasoning_effort"},
    {"compression", absent,
     "protect_first_n,min_tail_user_messages,max_attempts,tail_mode,in_place,progress_notices,"
     "idle_compact_after_seconds,proactive_prune_tokens,hygiene_max_turn_hold_seconds,"
     "hygiene_hard_message_limit,model_thresholds,abort_on_summary_failure,"
     "codex_gpt55_autoraise,codex_gpt55_autoraise_notice,codex_app_server_auto"},
    // Not read at all: the section.
    {"", absent,
     "custom_providers,fallback_providers,fallback_model,model_aliases,credential_pool_strategies,"
     "auxiliary,prompt_caching,openrouter,max_concurrent_sessions,max_live_sessions,session_reset,"
     "platform_toolsets,toolsets,mcp_servers,checkpoints,web,hooks,hooks_auto_accept,"
     "quick_commands,platform_hints,personalities,prefill_messages_file,human_delay,goals,curator,"
     "privacy,network"},
    {"", always,
     "terminal,tool_loop_guardrails,tool_output,tool_budget,file_read_max_chars,"
     "context_file_max_chars,context,security,database,code_execution"},
    {"", elsewhere,
     "_config_version,plugins,browser,lsp,kanban,dashboard,discord,slack,whatsapp,mattermost,"
     "matrix,tts,voice,moa,honcho,bedrock,vertex,x_search,secrets,model_catalog,computer_use,"
     "desktop,onboarding,updates,paste_collapse_threshold,paste_collapse_threshold_fallback,"
     "paste_collapse_char_threshold"},
};

static const struct group litellm[] = {
    {"", NULL,
     "model_list,router_settings,litellm_settings,general_settings,environment_variables,include,"
     "guardrails,policies,policy_attachments,credential_list,callback_settings,files_settings,"
     "finetune_settings,vector_store_registry"},
};

// Is `key` one of them, beneath one, or a section that some are in?
static bool covers(const struct group *groups, size_t count, struct span key, const char **ret_why)
{
    for (size_t i = 0; i < count; i++) {
        struct span rest = key, names = span_of(groups[i].keys), name;
        struct span section = span_of(groups[i].section);
        if (!option_match_parts(&section, &rest))
            continue;
        *ret_why = groups[i].why;
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

const char *config_foreign_owner(struct span key, const char **ret_why)
{
    if (key.len == 0)
        return NULL;
    // Newer versions have these beneath "gateway" as well.
    if (span_starts_with(key, "gateway.platforms") || span_starts_with(key, "gateway.streaming"))
        key = span_skip(key, sizeof "gateway." - 1);
    if (covers(hermes_agent, ARRAY_LEN(hermes_agent), key, ret_why))
        return "hermes-agent";
    return covers(litellm, ARRAY_LEN(litellm), key, ret_why) ? "LiteLLM" : NULL;
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
