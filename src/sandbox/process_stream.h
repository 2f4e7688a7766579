#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "base/buf.h"
#include "loop/loop.h"

/*
 * Our ends of a process's pipes. Neither ever waits: what the process does not read yet is kept up
 * to a maximum.
 */
struct process_output {
    struct loop *loop;
    int fd; // -1 once its end was read, or it was closed
    loop_id watch;
    // Empty bytes are the end. It may close or free the output.
    void (*on_bytes)(void *context, struct process_output *output, struct span bytes);
    void *context;
};

void process_output_open(struct process_output *output, int fd);    // the rest is set; owns fd
void process_output_close(struct process_output *output);           // accepts one that is closed
void process_output_hold(struct process_output *output, bool held); // likewise

struct process_input {
    struct loop *loop;
    int fd; // -1 once it was closed
    loop_id watch;
    struct buf waiting; // what was taken and not written
    bool short_of_room; // since less than all was taken
    bool expected;      // to be opened: until then what is written waits
    bool ends;          // behind what waits
    void (*on_room)(void *context);
    void *context;
};

void process_input_open(struct process_input *input, int fd); // the rest is set; owns fd
ssize_t process_input_write(struct process_input *input, struct span bytes); // as process_write()
void process_input_end(struct process_input *input);   // as process_end_input()
void process_input_close(struct process_input *input); // at once; accepts one that is closed
