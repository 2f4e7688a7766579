#pragma once

#include "agent/outside.h"
#include "codec/zone.h"
#include "daemon/settings.h"
#include "scheduler/scheduler.h"

// "/cron" in a conversation; other commands go on to `rest`.
struct cron_commands {
    struct scheduler *scheduler; // NULL: none runs
    const struct outside *rest;
    struct outside outside;
};
void cron_commands_init(struct cron_commands *cron, const struct outside *rest);

// May a person say this word behind /cron or hermes cron, without a job if it names none?
int cron_words_check(struct span word, bool has_job, struct error *err);

// What the settings say of it: the clock, and whom to tell where nothing is said.
void cron_settings(const struct settings *settings, struct scheduler_env *env);
