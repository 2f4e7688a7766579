#include "router/wire/part_scan.h"

#include "base/mem.h"
#include "router/wire/member_scan.h"

enum { NAME_RAW_MAX = 6 * 32 }; // bytes of an escaped name that may still be one of ours

struct name {
    struct span text;
    unsigned value;
};

#define NAME(text, value)           \
    {                               \
        SPAN_LITERAL(text), (value) \
    }

static bool name_is(struct span raw, bool escaped, struct span name, bool fold)
{
    if (escaped)
        return member_name_is(raw, name, fold);
    int counts = fold ? ~0x20 : ~0; // bits of a character
    bool same = raw.len == name.len;
    for (size_t i = 0; same && i < name.len; i++)
        same = !((raw.data[i] ^ name.data[i]) & counts);
    return same;
}

static unsigned look_up(const struct name *names, size_t count, struct span raw, bool escaped,
                        bool fold, unsigned other)
{
    for (size_t i = 0; i < count && raw.len <= NAME_RAW_MAX; i++)
        if (name_is(raw, escaped, names[i].text, fold))
            return names[i].value;
    return other;
}

// Exact, because these count less than what is not known.
enum part_area part_area_of(struct span name, bool escaped)
{
    static const struct name names[] = {
        NAME("tools", PART_AREA_NONE),           NAME("functions", PART_AREA_NONE),
        NAME("response_format", PART_AREA_NONE), NAME("tool_choice", PART_AREA_NONE),
        NAME("metadata", PART_AREA_NONE),        NAME("litellm_metadata", PART_AREA_NONE),
        NAME("logit_bias", PART_AREA_NONE),
    };
    return (enum part_area)look_up(names, ARRAY_LEN(names), name, escaped, false, PART_AREA_PARTS);
}

enum part_kind part_kind_of(struct span name, bool escaped)
{
    static const struct name names[] = {
        NAME("type", PART_TYPE),          NAME("image_url", PART_IMAGE),
        NAME("input_image", PART_IMAGE),  NAME("image", PART_IMAGE),
        NAME("images", PART_IMAGE),       NAME("image_urls", PART_IMAGE),
        NAME("image_data", PART_IMAGE),   NAME("input_audio", PART_AUDIO),
        NAME("audio_url", PART_AUDIO),    NAME("audio", PART_AUDIO),
        NAME("file", PART_REMOTE),        NAME("input_file", PART_REMOTE),
        NAME("file_id", PART_REMOTE),     NAME("file_url", PART_REMOTE),
        NAME("document", PART_REMOTE),    NAME("video", PART_REMOTE),
        NAME("video_url", PART_REMOTE),   NAME("videos", PART_REMOTE),
        NAME("input_video", PART_REMOTE),
    };
    return (enum part_kind)look_up(names, ARRAY_LEN(names), name, escaped, true, PART_NONE);
}
