#include "tools/line_reader.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

enum { CHUNK_SIZE = 64 * 1024 }; // bytes

void line_reader_init(struct line_reader *reader, int fd, size_t most)
{
    *reader = (struct line_reader){.fd = fd, .chunk = mem_alloc(CHUNK_SIZE)};
    buf_init(&reader->text, most);
}

void line_reader_finish(struct line_reader *reader)
{
    free(reader->chunk);
    buf_finish(&reader->text);
}

static int fill(struct line_reader *reader)
{
    ssize_t n;
    do
        n = read(reader->fd, reader->chunk, CHUNK_SIZE);
    while (n < 0 && errno == EINTR);
    reader->at = 0;
    reader->end = n > 0 ? (size_t)n : 0;
    return n < 0 ? -errno : n > 0;
}

int line_reader_next(struct line_reader *reader)
{
    bool begun = false;
    buf_clear(&reader->text);
    reader->line_size = 0;
    for (;;) {
        int r = reader->at < reader->end ? 1 : fill(reader);
        if (r <= 0)
            return r < 0 ? r : begun;
        begun = true;
        const char *from = reader->chunk + reader->at;
        const char *newline = memchr(from, '\n', reader->end - reader->at);
        size_t len = newline ? (size_t)(newline - from) : reader->end - reader->at;
        size_t room = reader->text.max - reader->text.len;
        buf_append(&reader->text, from, len < room ? len : room);
        reader->line_size += len;
        reader->at += len + (newline != NULL);
        if (newline)
            return 1;
    }
}
