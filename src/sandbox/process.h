#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/error.h"
#include "config/option.h"
#include "sandbox/grants.h"

struct loop;

/*
 * Everything that runs outside this process: a function of this program that handles what somebody
 * else wrote (a file tool, a reader), or a program with its arguments. The daemon holds the secrets
 * and must never wait for a disk, so it starts such a process instead.
 *
 * A process gets an environment, a directory, limits and three descriptors, all as its
 * specification says, and nothing else. It leads a session and a process group of its own, and dies
 * with us: in between is this program once more, executed anew, which takes the limits on itself
 * (process_main()).
 *
 * Functions share a budget of memory (`sandbox.memory`): each may take what its limit of address
 * space is, and what does not fit waits in a queue: each flow in order, the flows in turn. One
 * without that limit begins at once. One that was cancelled or late counts until it is dead.
 * Whatever would have to wait for one that does not die, since a disk is silent, is refused.
 * Programs begin at once. Their limit is what is resident of their whole session, looked at a
 * few times a second, so that more may be taken in between: a limit of address space would end
 * those that reserve much and use little. With a program goes its whole session.
 *
 * A program that is given grants runs in the sandbox: see supervisor.h; or in the hands, which are
 * another container: see hands_relay.h. Limits of memory and processes hold there then.
 */
struct processes;
typedef uint64_t process_id; // 0 is none

enum {
    PROCESS_INPUT_MAX = 8 << 20, // bytes of an input that is a buffer
    PROCESS_WORDS_MAX = 256,     // of a program's arguments, and of its environment
    PROCESS_DEATH_MAX_MS = 10 * 1000,
    PROCESS_HELD_MAX_MS = 60 * 1000,     // after its exit, while it is held
    PROCESS_WAIT_MAX_MS = 5 * 60 * 1000, // in the queue
    PROCESSES_WAITING_MAX = 1024,
    PROCESSES_WAITING_BYTES_MAX = 16 << 20, // of their inputs, which are not part of the budget
};

// What an input or output is. An input that is a buffer is read to its end at the process's pace;
// an output that is one is kept for the end.
enum process_stdio_kind { PROCESS_NONE, PROCESS_BUFFER, PROCESS_STREAM, PROCESS_INHERIT };

struct process_stdio {
    enum process_stdio_kind kind;
    struct span bytes; // of an input that is a buffer; copied
    size_t max;        // bytes: of an output's buffer, or that wait to be written to a stream
};

enum { PROCESS_STDIN, PROCESS_STDOUT, PROCESS_STDERR, PROCESS_STDIO_COUNT };

struct process_limits { // 0: none
    int64_t wall_ms;    // from its beginning
    int64_t cpu_s;      // processor time of each of its processes
    int64_t memory;     // bytes: a function's address space, what is resident of a program
    int64_t all_memory; // bytes: resident of all programs that have this limit, together
    int64_t processes;  // of a program, at a time
    int64_t file_size;  // bytes of a file that it writes
    int64_t output;     // bytes of both outputs together
};

struct process_spec {
    const char *function;        // one of those process_main() is given, or:
    const char *const *argv;     // up to NULL; the first is a path, or looked up in its PATH
    const struct grants *grants; // of a program, which is then behind all layers; or NULL
    // Of a program without grants: paths up to NULL that it must not see, where the kernel lets us
    // hide them (sandbox/namespaces.h), and a directory that it sees nevertheless. Or NULL.
    const char *const *hidden, *shown;
    const char *const *environment; // "NAME=value", up to NULL; NULL: empty
    const char *directory;
    struct process_limits limits;
    struct process_stdio stdio[PROCESS_STDIO_COUNT];
    uint64_t flow; // of a function: whose turn it takes in the queue
};

struct process_end {
    int result; // its exit status (of a function 0 or 1, a refusal), or negative: see `err`
    int status; // as from waitpid(2); of one that was stopped, or never began: 0
    struct span output[PROCESS_STDIO_COUNT]; // those that are buffers
    int64_t ms;                              // without its waiting
    const struct error *err;
};

// All come from the loop, never from inside a call below, and may call any of those.
struct process_events {
    void (*on_end)(void *context, const struct process_end *end);   // once, and the last
    void (*on_output)(void *context, int which, struct span bytes); // of an output that is a stream
    void (*on_room)(void *context); // for input again, after process_write() took less than all
};

struct process_config {
    int64_t memory; // bytes that all functions may take together
};

extern const struct option process_options[];
extern const size_t process_option_count;

struct processes *processes_create(struct loop *loop, const struct process_config *config);
void processes_destroy(struct processes *processes); // kills those that run; accepts NULL
void processes_configure(struct processes *processes, const struct process_config *config);

// What was resident of all programs with a limit of `all_memory`, when it was looked at last.
int64_t processes_memory(const struct processes *processes);

// Everything in `spec` and `events` is copied. Once this has failed, nothing comes.
int process_start(struct processes *processes, const struct process_spec *spec,
                  const struct process_events *events, void *context, process_id *ret_id,
                  struct error *err);

// Nothing comes after this, and the id is nobody's. The group is killed, which is not waited for.
// Had it begun?
bool process_cancel(struct processes *processes, process_id id);

// The same, politely: it reads the end of its input behind what waits, and what it still writes is
// thrown away. When it is there `patience_ms` later it gets SIGTERM, and after as long again it is
// killed. Behind the layers of a sandbox SIGTERM kills.
void process_leave(struct processes *processes, process_id id, int64_t patience_ms);

// For an input that is a stream. Returns how many bytes were taken, fewer when it does not read, or
// has not begun: then on_room() follows. -EPIPE when it reads no more, or has ended.
ssize_t process_write(struct processes *processes, process_id id, struct span bytes);
// It reads the end of its input behind what was taken.
void process_end_input(struct processes *processes, process_id id);
// While it is held its outputs are not read, so that it waits once its pipes are full. When it
// exits then and stays held for too long, what is in them is lost.
void process_hold(struct processes *processes, process_id id, bool held);

/*
 * The other side, which the command line calls with the words behind process_command: takes the
 * limits, then becomes the program, or reads the input and prints what the function answers (0) or
 * refuses (negative, `err`). Returns the exit status.
 */
struct process_function {
    const char *name;
    int (*run)(int directory_fd, struct span input, struct buf *out, struct error *err);
    size_t answer_max; // bytes
    bool explains;     // a refusal too is followed by what it answers
    bool streams;      // it reads its standard input itself, and gets no bytes of it
};

extern const char process_command[]; // the hidden sub-command
int process_main(int argc, char **argv, const struct process_function *functions, size_t count);
