#pragma once

#include "tools/tool.h"

// A new tool is one file and a line here, and one in table.c.
extern const struct tool tool_current_time;
extern const struct tool tool_call_tool;
extern const struct tool tool_clarify;
extern const struct tool tool_find_tools;
extern const struct tool tool_http_request;
extern const struct tool tool_list_files;
extern const struct tool tool_memory;
extern const struct tool tool_patch;
extern const struct tool tool_process_tool;
extern const struct tool tool_read_file;
extern const struct tool tool_read_result;
extern const struct tool tool_recall;
extern const struct tool tool_remember;
extern const struct tool tool_search_files;
extern const struct tool tool_send_file;
extern const struct tool tool_session_search;
extern const struct tool tool_skill_manage;
extern const struct tool tool_skill_view;
extern const struct tool tool_skills_list;
extern const struct tool tool_todo;
extern const struct tool tool_terminal;
extern const struct tool tool_web_extract;
extern const struct tool tool_web_fetch;
extern const struct tool tool_web_search;
extern const struct tool tool_write_file;
