#pragma once

struct endpoint;
struct llm_config;
struct mcp_config;
struct telegram_config;

/*
 * What `hermes doctor` looks at and prints: a line a finding, each with what to do about it. Lines
 * go to standard output at once, since some checks take a while.
 */
enum report_level { REPORT_OK, REPORT_WARNING, REPORT_FAILED };

struct report {
    unsigned warnings, failures;
};

void report_line(struct report *report, enum report_level level, const char *subject,
                 const char *fmt, ...) __attribute__((format(printf, 4, 5)));

void probe_kernel(struct report *report); // what the sandbox and the file tools stand on
void probe_clock(struct report *report);
void probe_home(const char *home, struct report *report); // makes nothing

// Asks the chosen server for its list of models and reports whether it can be reached, whether it
// takes the key, and whether its clock agrees with ours.
void probe_upstream(const struct endpoint *endpoint, const struct llm_config *llm,
                    const char *ca_file, struct report *report);

// What a running hermes says of its MCP servers, and what their programs see of it.
void probe_mcp(const char *home, const struct mcp_config *config, struct report *report);

void probe_cron(const char *home, struct report *report); // its jobs, as their file has them

// Asks Telegram who the bot is, which shows whether it can be reached and takes the token, and says
// who may talk to it.
void probe_telegram(const struct telegram_config *config, const char *ca_file,
                    struct report *report);
