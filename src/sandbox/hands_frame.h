#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "sandbox/grants.h"

/*
 * What head and hands say to each other: frames, each of a kind, a length and so many bytes. There
 * is one connection to a program, so that neither side has to sort them. The hands greet, the head
 * requests, and after that bytes go in both directions until the hands tell the end.
 *
 * Both sides hold what arrives for hostile: a frame that is longer than its kind may be, or out of
 * order, ends the connection. Nothing that the hands say is a path, or becomes one.
 */
enum hands_kind {
    HANDS_HELLO = 'h',
    HANDS_REQUEST = 'r',   // of the head
    HANDS_INPUT = 'i',     // the same
    HANDS_INPUT_END = 'e', // the same; empty
    HANDS_STDOUT = 'o',
    HANDS_STDERR = 'x',
    HANDS_END = '.', // the last
};

enum {
    HANDS_HEADER = 4,               // bytes: the kind, and a length of three
    HANDS_DATA_MAX = 16 * 1024,     // bytes of an input or output in one frame
    HANDS_REQUEST_MAX = 512 * 1024, // bytes
    HANDS_TALK_MAX = 1024,          // bytes of a greeting or an end
    HANDS_LIST_MAX = 256,           // arguments, or variables
    HANDS_PATHS_MAX = 64,
};

struct hands_frame {
    enum hands_kind kind;
    struct span bytes;
};

// The first of `bytes`: 1, 0 when it is not there yet as a whole, or -EPROTO when it is none.
int hands_frame_read(struct span bytes, struct hands_frame *ret_frame);
void hands_frame_write(struct buf *out, enum hands_kind kind, struct span bytes);

struct hands_hello {
    enum isolation_kind isolation; // that holds inside, beside the container itself
    int64_t memory;                // bytes that all commands together may take; 0: unknown
};

void hands_hello_write(struct buf *out, const struct hands_hello *hello);
int hands_hello_read(struct span bytes, struct hands_hello *ret_hello);

struct hands_request {
    const char *directory;
    int64_t cpu_s, memory, processes, file_size; // as of struct process_limits
    int64_t tasks, tmp, disk;                    // as of struct grants, like these:
    const char *const *read, *const *write;
    const char *const *environment, *const *argv; // as of struct process_spec
    const char **words;                           // owned, of one that was read
};

// False when it is larger than HANDS_REQUEST_MAX.
bool hands_request_write(struct buf *out, const struct hands_request *request);
// What it points at are `bytes`.
int hands_request_read(struct span bytes, struct hands_request *ret_request);
void hands_request_finish(struct hands_request *request);

struct hands_end {
    int status;  // as from waitpid(2)
    int failure; // 0, or -errno: it was stopped, and `text` says why
    char text[ERROR_TEXT_MAX];
};

void hands_end_write(struct buf *out, const struct hands_end *end);
int hands_end_read(struct span bytes, struct hands_end *ret_end);
