#include "codec/line_nearest.h"

#include <inttypes.h>

#include "codec/text_line.h"
#include "codec/utf8.h"

enum {
    SAME = 100,        // points of a line that differs in its indentation at most
    LIKE_MIN = 40,     // of a hundred bytes, those that are equal at either end
    COMPARED_MAX = 400 // bytes of a line
};

struct window { // the lines of the text that are compared at present
    struct span lines[LINE_NEAREST_LINES];
    size_t begin, count; // a ring
};

static unsigned likeness(struct span a, struct span b)
{
    if (span_equal(a, b))
        return a.len ? SAME : 1; // an empty one says little
    a.len = a.len < COMPARED_MAX ? a.len : COMPARED_MAX;
    b.len = b.len < COMPARED_MAX ? b.len : COMPARED_MAX;
    size_t least = a.len < b.len ? a.len : b.len, most = a.len + b.len - least;
    size_t head = 0, tail = 0;
    while (head < least && a.data[head] == b.data[head])
        head++;
    while (tail < least - head && a.data[a.len - tail - 1] == b.data[b.len - tail - 1])
        tail++;
    size_t equal = most ? SAME * (head + tail) / (most + 1) : 0; // less than if it were the same
    return equal >= LIKE_MIN ? (unsigned)equal : 0;
}

static void show(struct span text, int64_t from, size_t count, struct buf *out)
{
    struct text_line line;
    for (int64_t number = 1; number < from + (int64_t)count && text_line_next(&text, &line);
         number++) {
        if (number < from)
            continue;
        size_t len = line.text.len;
        if (len > LINE_NEAREST_SHOWN) {
            len = LINE_NEAREST_SHOWN;
            len -= utf8_incomplete_tail(span_make(line.text.data, len));
        }
        buf_printf(out, "%" PRId64 "|%.*s%s\n", number, (int)len, line.text.data,
                   len < line.text.len ? " [cut]" : "");
    }
}

bool line_nearest_show(struct span text, const struct span *lines, size_t count, struct buf *out)
{
    struct span cores[LINE_NEAREST_LINES], rest = text;
    struct window window = {0};
    struct text_line line;
    unsigned best = LIKE_MIN - 1;
    int64_t at = 0, number = 1; // of the window's first line
    count = count < LINE_NEAREST_LINES ? count : LINE_NEAREST_LINES;
    for (size_t i = 0; i < count; i++)
        cores[i] = text_line_core(lines[i]);
    bool more = true;
    while (more || window.count) {
        more = text_line_next(&rest, &line);
        if (more)
            window.lines[(window.begin + window.count++) % LINE_NEAREST_LINES] =
                text_line_core(line.text);
        if (more && window.count < count)
            continue;
        unsigned points = 0;
        for (size_t i = 0; i < count && i < window.count; i++)
            points += likeness(window.lines[(window.begin + i) % LINE_NEAREST_LINES], cores[i]);
        if (points > best) {
            best = points;
            at = number;
        }
        window.begin = (window.begin + 1) % LINE_NEAREST_LINES;
        window.count -= window.count > 0;
        number++;
    }
    if (at)
        show(text, at, count, out);
    return at > 0;
}
