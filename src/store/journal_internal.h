#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"

// Private to store/. The names of what belongs to a generation of the journal,
// "WHAT.0123456789abcdef", where WHAT is JOURNAL_NAME, JOURNAL_MARK or JOURNAL_LOST.

enum { JOURNAL_NAME_SIZE = 64 }; // bytes, with the NUL

const char *journal_name(const char *what, uint64_t generation, char *name); // into `name`
char *journal_path(const char *home, const char *what, uint64_t generation); // on the heap

// What stands before each record of a journal.
enum { JOURNAL_FRAME = 16 }; // bytes: mark, length, checksum

void journal_frame(unsigned char *frame, uint64_t generation, int64_t offset, struct span record);

// Bytes of the record that begins here, with its frame; 0 when none does.
size_t journal_whole(struct span bytes, uint64_t generation, int64_t offset);

// The part of a journal's file where records go at the moment, in memory.
struct journal_window {
    char *memory; // of the file from `at` on; NULL: none
    int64_t at;
    size_t len;
    bool is_refused; // the file cannot be relied on for it
};

// Where `len` bytes at `end` of the file go; NULL: they have to be written. *ret_reserves: room
// behind `end` may have been reserved.
char *journal_window_place(struct journal_window *window, int fd, int64_t end, size_t len,
                           bool *ret_reserves);

// Copies both to a place in the window. False: the file does not have what stood there any more, or
// its disk has failed; then the window is refused.
bool journal_window_copy(struct journal_window *window, char *place, struct span frame,
                         struct span record);

bool journal_window_leave(struct journal_window *window); // false: there was none

// Can what is reserved in this file always be written? Else the window is refused.
void journal_window_begin(struct journal_window *window, int fd);
