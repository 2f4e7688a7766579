#pragma once

#include "base/list.h"
#include "config/option.h"
#include "tools/capture.h"
#include "tools/options.h"

/*
 * Commands of the shell, in the sandbox: they read what programs are made of, write the workspace,
 * and reach no network. Each belongs to whoever started it until shell_destroy().
 */
enum {
    SHELL_COMMAND_MAX = 64 * 1024, // bytes
    SHELL_INPUT_MAX = 64 * 1024,   // bytes that wait to be read by one
    SHELL_NOTES_MAX = 4 * 1024,    // bytes of what the sandbox says of one
    SHELLS_MAX = 16,               // commands at a time
    SHELL_MEMORY_MIN = 16 << 20,   // bytes that must be left for one that begins beside others
};

struct shell_config {
    const char *isolation; // "auto", ...
    const char *hands;     // the socket of those that run commands; NULL: there are none
    bool unsafe;           // "none" is meant
    int64_t memory;        // bytes that are resident of one
    int64_t processes, file_size, disk, timeout_ms;
};

extern const struct option shell_options[];
extern const size_t shell_option_count;

struct shells_env { // borrowed
    struct loop *loop;
    struct processes *processes;
    const char *workspace, *results;
    int64_t group_memory; // bytes that the control group allows; 0: as it says itself
};

struct shells;
struct shells *shells_create(const struct shells_env *env, const struct shell_config *config);
void shells_destroy(struct shells *shells); // ends all without callbacks; accepts NULL
void shells_configure(struct shells *shells, const struct shell_config *config);
// What commands have as TZ: the setting's zone, else `tz` (NULL: none).
void shells_set_zone(struct shells *shells, const struct tool_config *config, const char *tz);
struct loop *shells_loop(const struct shells *shells);
// Can a command leave nothing behind but in the workspace? Not where it runs elsewhere, or unbound.
bool shells_leave_nothing(const struct shells *shells);
int64_t shells_timeout_ms(const struct shells *shells);

struct shell_request {
    struct span command;
    const char *directory; // within the workspace, as somebody chose it; NULL: the workspace
    int64_t wall_ms;       // 0: no limit
    bool talks;            // has an input that shell_write() writes
    struct span remark;    // lines that are told with its end; copied
};

struct shell;
typedef uint64_t shell_id; // 0 is none

// The end, with all that was printed, comes from the loop. It may destroy the shell.
typedef void shell_end_fn(void *context, struct shell *shell);

int shell_start(struct shells *shells, const struct shell_request *request, shell_end_fn *on_end,
                void *context, struct shell **ret_shell, struct error *err);
void shell_destroy(struct shell *shell); // kills all that it runs; accepts NULL
shell_id shell_name(const struct shell *shell);
struct shell *shell_find(const struct shells *shells, shell_id id); // or NULL

// Its whole session. The end follows. False: it has ended already.
bool shell_kill(struct shell *shell);
// As process_write(); and its end.
ssize_t shell_write(struct shell *shell, struct span bytes);
void shell_end_input(struct shell *shell);

bool shell_is_over(const struct shell *shell);
const struct capture *shell_capture(const struct shell *shell);
int64_t shell_ms(const struct shell *shell); // how long it has run
// How it ended, in lines; whether that was not of its own accord.
void shell_tell_end(const struct shell *shell, struct buf *out);
bool shell_has_failed(const struct shell *shell);
int shell_exit_code(const struct shell *shell); // negative: it has none
