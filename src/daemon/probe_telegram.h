#pragma once

#include "channels/telegram.h"
#include "daemon/report.h"

// Asks Telegram who the bot is, which shows whether it can be reached and takes the token, and says
// who may talk to it.
void probe_telegram(const struct telegram_config *config, const char *ca_file,
                    struct report *report);
