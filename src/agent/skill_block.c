#include "agent/skill_block.h"

#include <errno.h>
#include <string.h>

#include "agent/command_word.h"
#include "tools/skills.h"

#define LOADED "\n\n[skill: "

// A request holds it as JSON.
static size_t cost(const struct buf *text)
{
    size_t sum = text->len;
    for (size_t i = 0; i < text->len; i++)
        sum += (unsigned char)text->data[i] < ' ' || strchr("\"\\", text->data[i]);
    return sum;
}

static bool is_shown(const struct skill *skill)
{
    return !skill_trouble(skill);
}

static void write_lines(const struct skills *skills, struct buf *out)
{
    const struct skill *skill;
    buf_append_text(out, "\n\nSkills for call_tool skill_view, before such work:");
    for (size_t i = 0; (skill = skills_at(skills, i)) && out->len <= SKILL_BLOCK_MAX; i++)
        if (is_shown(skill))
            buf_printf(out, "\n%s%s%s", skill->name, skill->tainted ? "" : ": ",
                       skill->tainted ? "" : skill->description);
}

static void write_names(const struct skills *skills, struct buf *out)
{
    const struct skill *skill;
    const char *before = " ";
    buf_append_text(out, "\n\nSkills for call_tool skill_view, before such work (skills_list: what "
                         "for):");
    for (size_t i = 0; (skill = skills_at(skills, i)) && out->len <= SKILL_BLOCK_MAX; i++)
        if (is_shown(skill)) {
            buf_printf(out, "%s%s", before, skill->name);
            before = ", ";
        }
}

// They stand together in the list.
static void write_categories(const struct skills *skills, struct buf *out)
{
    static const char more[] = ", and more";
    const struct skill *skill;
    const char *before = " ";
    buf_append_text(out, "\n\nSkills, by category (call_tool skills_list lists one's, skill_view "
                         "loads one before such work):");
    for (size_t i = 0; (skill = skills_at(skills, i));) {
        const struct skill *first = skill;
        size_t count = 0, len = out->len;
        for (; (skill = skills_at(skills, i)) && strcmp(skill->category, first->category) == 0; i++)
            count += is_shown(skill);
        if (count)
            buf_printf(out, "%s%s %zu", before, *first->category ? first->category : "other",
                       count);
        if (cost(out) + sizeof more - 1 > SKILL_BLOCK_MAX) {
            buf_truncate(out, len);
            buf_append_text(out, more);
            return;
        }
        before = count ? ", " : before;
    }
}

void skill_block_append(struct skills *skills, struct buf *out)
{
    static void (*const levels[])(const struct skills *skills,
                                  struct buf *out) = {write_lines, write_names, write_categories};
    bool any = false;
    const struct skill *skill;
    if (!skills)
        return;
    skills_refresh(skills);
    for (size_t i = 0; (skill = skills_at(skills, i)); i++)
        any = any || is_shown(skill);
    for (size_t i = 0; any && i < sizeof levels / sizeof *levels; i++) {
        BUF_AUTO block = BUF_INIT(SKILL_BLOCK_MAX + 2 * SKILL_DESCRIPTION_MAX);
        levels[i](skills, &block);
        if (!buf_is_full(&block) && cost(&block) <= SKILL_BLOCK_MAX) {
            buf_append_span(out, buf_span(&block));
            return;
        }
    }
}

int skill_command_expand(struct skills *skills, struct span text, struct buf *out,
                         bool *ret_tainted, struct error *err)
{
    struct span word, rest = text;
    bool tainted = false;
    int count = 0;
    if (!skills)
        return 0;
    skills_refresh(skills);
    while (count < SKILL_COMMANDS_MAX && command_word_read(rest, &word, &rest)) {
        const struct skill *skill = skills_find(skills, span_skip(word, 1));
        if (!skill)
            break;
        if (skill_trouble(skill))
            return error_set(err, -ENOENT, "the skill %s does not work here: %s", skill->name,
                             skill_trouble(skill));
        if (count++ == 0)
            buf_append_span(out, text);
        buf_printf(out, LOADED "%s]\n", skill->name);
        int r = skill_read(skill, NULL, out, err);
        if (r < 0)
            return r;
        skill_list_files(skill, out);
        tainted = tainted || skill->tainted;
    }
    if (count && buf_is_full(out))
        return error_set(err, -E2BIG, "this is too long together with its skills");
    *ret_tainted = tainted;
    return count > 0;
}

struct span skill_command_typed(struct span expanded)
{
    ptrdiff_t at = span_find(expanded, SPAN_LITERAL(LOADED));
    bool loads = expanded.len && *expanded.data == '/' && at > 0;
    return span_make(expanded.data, loads ? (size_t)at : expanded.len);
}
