#include "codec/media.h"

#include <string.h>

#include "base/mem.h"

static const struct media {
    struct media_type type;
    const char *first; // bytes at the beginning, and
    const char *then;  // those from THEN_AT on; NULL: whatever they are
} all[] = {
    {{"image/png", true}, "\x89PNG\r\n\x1a\n", NULL},
    {{"image/jpeg", true}, "\xff\xd8\xff", NULL},
    {{"image/gif", true}, "GIF8", NULL},
    {{"image/webp", true}, "RIFF", "WEBP"},
    {{"audio/wav", false}, "RIFF", "WAVE"},
    {{"audio/mp3", false}, "ID3", NULL},
    {{"audio/mp3", false}, "\xff\xfb", NULL},
    {{"audio/mp3", false}, "\xff\xf3", NULL},
    {{"audio/ogg", false}, "OggS", NULL},
    {{"audio/flac", false}, "fLaC", NULL},
};
enum { THEN_AT = 8 }; // bytes

const struct media_type *media_type_of(struct span bytes)
{
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        if (span_starts_with(bytes, all[i].first) &&
            (!all[i].then ||
             (bytes.len > THEN_AT && span_starts_with(span_skip(bytes, THEN_AT), all[i].then))))
            return &all[i].type;
    return NULL;
}

const struct media_type *media_type_named(struct span name)
{
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        if (span_is(name, all[i].type.name))
            return &all[i].type;
    return NULL;
}

const char *media_type_word(const struct media_type *type)
{
    return strchr(type->name, '/') + 1;
}
