#pragma once

#include <stdbool.h>

/*
 * Library code returns errors; the level that knows the human context logs, once. Lines go to
 * standard error: "hermes: warning: ...", coloured only on a terminal without NO_COLOR.
 */
enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };

void log_set_level(enum log_level level); // LOG_INFO until told
bool log_parse_level(const char *name, enum log_level *ret_level);

void log_line(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_line(LOG_ERROR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_WARNING, __VA_ARGS__)
#define log_info(...) log_line(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_DEBUG, __VA_ARGS__)
