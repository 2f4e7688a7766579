#include "codec/utf8.h"
#include "fuzz.h"
#include "tools/skills.h"

// Whatever is taken from the head of a SKILL.md is one line of a known length.
static void check(const char *text, size_t most)
{
    REQUIRE(text && strlen(text) <= most && utf8_valid(span_of(text)));
    REQUIRE(!strpbrk(text, "\n\r\t\x1b"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct skill skill = {0};
    struct error err = ERROR_INIT;
    int r = skill_head_read(span_make(data, size), NULL, &skill, &err);
    if (r == 0) {
        check(skill.description, SKILL_DESCRIPTION_MAX);
        REQUIRE(!skill.name || skill_name_is_valid(span_of(skill.name)));
        if (skill.problem)
            check(skill.problem, SKILL_DESCRIPTION_MAX);
    } else {
        REQUIRE(*err.text && !skill.description);
    }
    skill_finish(&skill);
    return 0;
}
