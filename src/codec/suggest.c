#include "codec/suggest.h"

static unsigned min(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

static char fold(char c)
{
    if (c >= 'A' && c <= 'Z')
        return (char)(c - 'A' + 'a');
    return c == '-' ? '_' : c;
}

// Damerau-Levenshtein in the "optimal string alignment" form; three rows of the table suffice, as a
// swap looks back two.
unsigned suggest_distance(struct span a, struct span b, unsigned limit)
{
    unsigned rows[3][SUGGEST_WORD_MAX + 1];
    if (a.len > SUGGEST_WORD_MAX || b.len > SUGGEST_WORD_MAX)
        return limit + 1;
    for (unsigned j = 0; j <= b.len; j++)
        rows[0][j] = j;

    for (unsigned i = 1; i <= a.len; i++) {
        unsigned *row = rows[i % 3], *above = rows[(i + 2) % 3], *two_above = rows[(i + 1) % 3];
        unsigned best = row[0] = i;
        for (unsigned j = 1; j <= b.len; j++) {
            char x = fold(a.data[i - 1]), y = fold(b.data[j - 1]);
            row[j] = min(min(above[j], row[j - 1]) + 1, above[j - 1] + (x != y));
            if (i > 1 && j > 1 && x == fold(b.data[j - 2]) && fold(a.data[i - 2]) == y)
                row[j] = min(row[j], two_above[j - 2] + 1);
            best = min(best, row[j]);
        }
        if (best > limit)
            return limit + 1;
    }
    return min(rows[a.len % 3][b.len], limit + 1);
}

const char *suggest_nearest(struct span word, const char *const *names, size_t count)
{
    // A third of the word may be wrong: "modle" is near "model", "abc" is near nothing but "abd".
    unsigned limit = word.len < 12 ? (unsigned)word.len / 3 : 4;
    const char *nearest = NULL;
    for (size_t i = 0; i < count; i++) {
        unsigned distance = suggest_distance(word, span_of(names[i]), limit);
        if (distance > limit)
            continue;
        nearest = names[i];
        if (distance == 0)
            break;
        limit = distance - 1; // only a nearer one is still of interest
    }
    return nearest;
}
