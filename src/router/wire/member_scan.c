/*
 * Every request of every client passes here, up to 32 MiB of it. json_parse() makes a token of 16
 * bytes for each value, to be looked at by whoever wants; here it is known beforehand what is
 * wanted, so nothing is kept but the way down from the root. The syntax is json_scan.c's for both,
 * so that nothing is accepted here that is refused there, but for the number of values.
 */
#include "router/wire/member_scan.h"

#include <errno.h>

#include "base/mem.h"
#include "codec/json_scan.h"

/* Parts */

/*
 * Parts of a message that cost more than their bytes: images, sound, files.
 *
 * A part is an object with a key of a known name, or with a "type" of that name; having both, it is
 * counted once. What servers accept differs, so every spelling that any of them is known to take
 * counts, wherever it stands: too many is a dearer bound, too few a broken one. Left out is only
 * what holds JSON Schemas or labels, where "file" is the name of somebody's argument.
 */
enum part_kind {
    PART_NONE = 0,
    PART_IMAGE = 1, // bits, so that an object remembers which it was counted for
    PART_AUDIO = 2,
    PART_REMOTE = 4,
    PART_TYPE = 8, // none by itself: the text that is the value of such a key may name one
};

enum part_area {
    PART_AREA_NONE,  // nothing in this member of the root counts
    PART_AREA_PARTS, // what a model reads
};

// Could a name that begins so be one of the above? A backslash always may.
static inline bool part_may_begin(char c)
{
    const uint32_t letters = 1u << ('a' - 'a') | 1u << ('d' - 'a') | 1u << ('f' - 'a') |
                             1u << ('i' - 'a') | 1u << ('t' - 'a') | 1u << ('v' - 'a');
    unsigned at = ((unsigned char)c | 0x20u) - 'a';
    return at < 26 ? letters >> at & 1 : c == '\\';
}

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
// Names are raw, between the quotes, `escaped` when they hold a backslash.
static enum part_area part_area_of(struct span name, bool escaped)
{
    static const struct name names[] = {
        NAME("tools", PART_AREA_NONE),           NAME("functions", PART_AREA_NONE),
        NAME("response_format", PART_AREA_NONE), NAME("tool_choice", PART_AREA_NONE),
        NAME("metadata", PART_AREA_NONE),        NAME("litellm_metadata", PART_AREA_NONE),
        NAME("logit_bias", PART_AREA_NONE),
    };
    return (enum part_area)look_up(names, ARRAY_LEN(names), name, escaped, false, PART_AREA_PARTS);
}

// For a key, and for the text of a "type". Compared without regard to case, since some readers have
// none.
static enum part_kind part_kind_of(struct span name, bool escaped)
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

/* The scan */

struct level {
    const char *begin; // its bracket
    uint32_t count;
    uint8_t counted; // bits of enum part_kind: this object is such a part, and was counted
    uint8_t part;    // enum part_kind of the key that holds this array
};

struct scan {
    const struct member_scan *wanted;
    struct json_scan json;
    uint8_t pending; // enum part_kind of the key whose value comes
    enum part_area area;
    struct span names[MEMBER_PATH_MAX];
    bool escaped[MEMBER_PATH_MAX];
    struct level levels[JSON_DEPTH_MAX + 1]; // [json.depth] is the innermost, [0] above the root
};

// Tells of the byte that is wrong; a text that ends too early has none.
static int refuse(const struct json_scan *json, struct error *err)
{
    static const char *const wanted[] = {
        [JSON_WANT_VALUE] = "a value",
        [JSON_WANT_VALUE_OR_END] = "a value",
        [JSON_WANT_KEY] = "a quoted key",
        [JSON_WANT_KEY_OR_END] = "a quoted key",
        [JSON_WANT_COLON] = "a colon",
        [JSON_WANT_NOTHING] = "nothing more",
        [JSON_WANT_STRING_END] = "the end of a string",
        [JSON_WANT_STRING_TEXT] = "no control character",
        [JSON_WANT_ESCAPE_END] = "the end of an escape",
        [JSON_WANT_ESCAPE] = "an escape that JSON knows",
        [JSON_WANT_HEX] = "four hexadecimal digits",
        [JSON_WANT_DIGIT] = "a digit",
    };
    if (json->want == JSON_WANT_DEPTH)
        return error_set(err, -EMSGSIZE, "this JSON is nested deeper than %d levels",
                         JSON_DEPTH_MAX);
    const char *what = wanted[json->want];
    if (json->want == JSON_WANT_COMMA_OR_END)
        what = json->object[json->depth] ? "a comma or }" : "a comma or ]";
    else if (json->want == JSON_WANT_VALUE_OR_END && json->from == json->end)
        what = "a value or ]";
    else if (json->want == JSON_WANT_KEY_OR_END && json->from == json->end)
        what = "a quoted key or }";
    size_t offset = (size_t)(json->at - json->begin);
    if (json->at == json->end)
        return error_set(err, -ENODATA, "not valid JSON: it ends at byte %zu, expected %s", offset,
                         what);
    return error_set(err, -EBADMSG, "not valid JSON at byte %zu: expected %s", offset, what);
}

static inline struct span between_quotes(struct span raw)
{
    return span_make(raw.data + 1, raw.len - 2);
}

static void count_part(struct scan *s, enum part_kind kind, uint32_t count)
{
    struct member_parts *parts = s->wanted->parts;
    parts->images += kind == PART_IMAGE ? count : 0;
    parts->audio += kind == PART_AUDIO ? count : 0;
    parts->remote += kind == PART_REMOTE ? count : 0;
}

static void note_part(struct scan *s, struct level *level, enum part_kind kind)
{
    if (!(level->counted & kind))
        count_part(s, kind, 1);
    level->counted |= kind;
}

static void note_key(struct scan *s, unsigned depth, struct span name, bool escaped)
{
    if (depth == 1)
        s->area = part_area_of(name, escaped);
    if (!escaped && !part_may_begin(*name.data))
        return; // of the root, which is told of all its keys
    if (s->area == PART_AREA_NONE)
        return;
    s->pending = (uint8_t)part_kind_of(name, escaped);
}

// The value that its key promised, in `level`. A null is nothing.
static void note_value(struct scan *s, struct level *level)
{
    const struct json_scan *json = &s->json;
    struct span raw = {json->from, (size_t)(json->at - json->from)};
    if (s->pending == PART_TYPE && json->type == JSON_STRING)
        note_part(s, level, part_kind_of(between_quotes(raw), json->escaped));
    else if (json->type != JSON_NULL)
        note_part(s, level, s->pending);
    s->pending = PART_NONE;
}

/* Members */

// The key of a value on the level `depth`.
static inline void on_key(struct scan *s, unsigned depth)
{
    bool escaped = s->json.key_escaped;
    struct span name = between_quotes(s->json.key);
    if (depth <= s->wanted->depth_max) {
        s->names[depth - 1] = name;
        s->escaped[depth - 1] = escaped;
    }
    if (s->wanted->parts && (depth == 1 || escaped || part_may_begin(*name.data)))
        note_key(s, depth, name, escaped);
}

static inline void on_open(struct scan *s)
{
    const struct json_scan *json = &s->json;
    bool object = json->object[json->depth];
    struct level *level = &s->levels[json->depth];
    *level = (struct level){json->from, 0, 0, object ? PART_NONE : s->pending};
    if (s->pending)
        note_value(s, level - 1);
    if (!object && json->depth <= MEMBER_PATH_MAX)
        s->names[json->depth - 1] = SPAN_ABSENT;
}

// The value from `from` on has ended.
static inline int on_end(struct scan *s, const char *from, uint32_t count)
{
    unsigned depth = s->json.depth;
    s->levels[depth].count++;
    if (!s->json.object[depth] || depth > s->wanted->depth_max)
        return 0;
    const struct member member = {
        .depth = depth,
        .names = s->names,
        .escaped = s->escaped[depth - 1],
        .type = s->json.type,
        .value = {from, (size_t)(s->json.at - from)},
        .count = count,
    };
    return s->wanted->fn(s->wanted->context, &member);
}

int member_scan_run(const struct member_scan *scan, struct span text, enum json_type *ret_type,
                    struct error *err)
{
    struct scan s; // the levels are not worth clearing for every small text
    s.wanted = scan;
    s.pending = PART_NONE;
    s.area = PART_AREA_NONE;
    s.levels[0] = (struct level){NULL, 0, 0, PART_NONE};
    json_scan_init(&s.json, text);
    for (;;) {
        int r = 0;
        struct level *level;
        enum json_event event = json_scan_next(&s.json);
        if (s.json.key.data)
            on_key(&s, s.json.depth - (event == JSON_EVENT_OPEN));
        switch (event) {
        case JSON_EVENT_VALUE:
            if (s.pending)
                note_value(&s, &s.levels[s.json.depth]);
            r = on_end(&s, s.json.from, 0);
            break;
        case JSON_EVENT_OPEN:
            on_open(&s);
            break;
        case JSON_EVENT_CLOSE:
            level = &s.levels[s.json.depth + 1];
            if (level->part && level->count > 1) // a list of images is as many
                count_part(&s, level->part, level->count - 1);
            r = on_end(&s, level->begin, level->count);
            break;
        case JSON_EVENT_END:
            if (ret_type)
                *ret_type = s.json.type;
            return 0;
        case JSON_EVENT_FAULT:
            return refuse(&s.json, err);
        }
        if (r != 0)
            return r;
    }
}

/* Names */

// Two letters of Unicode fold into ASCII, for a reader that does not tell case.
static uint32_t fold_char(uint32_t rune)
{
    if (rune == 0x17F)
        return 's';
    if (rune == 0x212A)
        return 'k';
    return rune >= 'A' && rune <= 'Z' ? rune | 0x20 : rune;
}

bool member_name_is(struct span name, struct span text, bool fold)
{
    while (name.len && text.len) {
        uint32_t rune = json_next_rune(&name);
        if (fold)
            rune = fold_char(rune);
        if (rune > 0x7F || rune != (unsigned char)text.data[0])
            return false;
        text = span_skip(text, 1);
    }
    return name.len == 0 && text.len == 0;
}
