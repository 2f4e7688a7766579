#pragma once

#include "base/buf.h"
#include "loop/loop.h"
#include "sandbox/process.h"
#include "tools/spool.h"

/*
 * What a program prints, however much that is: its beginning and its end in memory, and once that
 * is not all of it, the whole in a file (spool.h). Nothing here waits for the disk: when it is
 * slower than the program, the program is held.
 */
enum {
    CAPTURE_HEAD_MAX = 12 * 1024, // bytes
    CAPTURE_TAIL_MAX = 20 * 1024, // bytes
    CAPTURE_SHOWN_MAX = CAPTURE_HEAD_MAX + CAPTURE_TAIL_MAX,
    CAPTURE_MEMORY_MAX = CAPTURE_SHOWN_MAX + 64 * 1024, // bytes that are in memory at most
};

struct capture {
    struct loop *loop;
    struct processes *processes;
    const char *results;        // borrowed; NULL: nothing is kept
    bool spares;                // has time: what is not kept is read slowly
    struct buf head, tail;      // the tail begins anew behind what was dropped of it
    int64_t bytes;              // that were printed
    char name[SPOOL_NAME_SIZE]; // of the file; "": there is none
    process_id writer;
    int64_t kept;              // bytes that it was given
    struct buf pending;        // that it did not take yet
    bool held, ending, failed; // `failed`: not all of what was given is in the file
    bool cut;                  // the program ended while it was held: more may have come
    loop_id patience;          // with the writer, at the end
    int64_t unkept;            // bytes since the last pause
    loop_id pause;
    char why[128]; // it failed
    void (*on_hold)(void *context, bool held);
    void (*on_ended)(void *context); // after capture_end(), never from inside it
    void *context;
};

void capture_init(struct capture *capture); // the borrowed parts and callbacks are set
void capture_finish(struct capture *capture);

void capture_add(struct capture *capture, struct span bytes);
void capture_end(struct capture *capture); // once, when nothing more is added

// Head and tail, and between them what is missing and how to read it.
void capture_show(const struct capture *capture, struct buf *out);
// What was printed from a place on, as far as it is in memory, and of more than `most` bytes the
// beginning and the end; *place is its end then.
void capture_show_since(const struct capture *capture, int64_t *place, size_t most,
                        struct buf *out);
// Of a text whose beginning is missing, without what is left of its first word: of a secret that
// was divided nobody would see that it is one.
struct span capture_whole_words(struct span text);
// What is in memory from the beginning on. Is that all?
bool capture_show_beginning(const struct capture *capture, struct buf *out);
// Where more of it can be read, as a sentence; nothing when there is no more.
void capture_tell_file(const struct capture *capture, struct buf *out);
