#pragma once

#include "loop/child.h"
#include "sandbox/process.h"

// What a process is started with, copied from its specification.
struct process_launch {
    char **words; // up to NULL: this program, process_command, what process_main() reads
    char **environment;
    struct buf input; // of a buffer
    enum process_stdio_kind kinds[PROCESS_STDIO_COUNT];
    bool in_hands;
};

// In the place of a function, before words of grants; the second before those of hands_relay(), the
// third before what is shown, what is hidden, and "--".
extern const char process_in_sandbox[], process_in_hands[], process_in_hiding[];

// Our ends: of its stdio, and where a relay tells what became of the program (hands_relay.h).
enum { PROCESS_VERDICT = PROCESS_STDIO_COUNT, PROCESS_ENDS_COUNT };

int process_launch_init(struct process_launch *launch, const struct process_spec *spec,
                        struct error *err);
void process_launch_finish(struct process_launch *launch); // accepts one that is finished

// Our ends of what is a pipe go into `ends`, -1 for the others; the caller closes them.
int process_spawn(struct loop *loop, const struct process_launch *launch, child_exit_fn *on_exit,
                  void *context, int ends[PROCESS_ENDS_COUNT], struct child **ret_child,
                  struct error *err);

// What became of one, of its status as from waitpid(2): see struct process_end.
int process_result(int status, bool is_function, int64_t memory, struct error *err);
