#pragma once

#include "base/buf.h"

/*
 * The lines of a file in bounded memory, however long they are: of each the beginning, and how long
 * it is.
 */
struct line_reader {
    int fd;           // borrowed
    char *chunk;      // owned: what was read last, between `at` and `end`
    size_t at, end;   // bytes
    struct buf text;  // the beginning of the line
    size_t line_size; // bytes of the whole line, without its newline
};

// `most` bytes of each line are kept.
void line_reader_init(struct line_reader *reader, int fd, size_t most);
void line_reader_finish(struct line_reader *reader);

// 1: reader->text is the next line; 0: there is none; negative: the file could not be read.
int line_reader_next(struct line_reader *reader);
