#include "codec/json_scan.h"
#include "router/wire/member_scan.h"

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
