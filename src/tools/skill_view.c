#include <errno.h>

#include "base/mem.h"
#include "tools/skills.h"
#include "tools/table.h"

static bool is_available(const struct tool_env *env)
{
    return env->skills != NULL;
}

static void forget(const struct tool_env *env, int64_t handle)
{
    (void)env, (void)handle; // they end before they return
}

static int start_list(const struct tool_env *env, const struct tool_call *call,
                      struct tool_run *run, struct buf *out, struct error *err)
{
    (void)run;
    BUF_AUTO category = BUF_INIT(0);
    bool chosen = tool_has(call->arguments, "category"), tainted = false;
    int r = chosen ? tool_need_text(call->arguments, "category", TOOL_PATH_MAX, &category, err) : 0;
    if (r < 0)
        return r;
    skills_refresh(env->skills);
    if (!skills_write_list(env->skills, chosen ? buf_text(&category) : NULL, out, &tainted))
        return error_set(err, -E2BIG, "the list is too long; ask for one category");
    if (out->len == 0)
        buf_append_text(out, chosen ? "there are no skills of that category"
                                    : "there are no skills yet; skill_manage writes one");
    return tainted ? TOOL_ENDED_TAINTED : TOOL_ENDED;
}

const struct tool tool_skills_list = {
    .name = "skills_list",
    .description = "All skills, each with the line that says what it is for.",
    .parameters = "{\"type\":\"object\",\"properties\":{"
                  "\"category\":{\"type\":\"string\",\"description\":\"Only of this one\"}}}",
    .flags = TOOL_READS | TOOL_REPEATABLE | TOOL_UNATTENDED | TOOL_FOUND,
    .available = is_available,
    .start = start_list,
    .forget = forget,
};

static int start_view(const struct tool_env *env, const struct tool_call *call,
                      struct tool_run *run, struct buf *out, struct error *err)
{
    (void)run;
    BUF_AUTO name = BUF_INIT(0);
    BUF_AUTO file = BUF_INIT(0);
    int r = tool_need_text(call->arguments, "name", TOOL_PATH_MAX, &name, err);
    if (r == 0 && tool_has(call->arguments, "file_path"))
        r = tool_need_path(call->arguments, "file_path", NULL, &file, err);
    if (r < 0)
        return r;
    skills_refresh(env->skills);
    const struct skill *skill = skills_find(env->skills, buf_span(&name));
    if (!skill)
        return error_set(err, -ENOENT, "there is no skill \"%.64s\"; skills_list shows all",
                         buf_text(&name));
    if (skill_trouble(skill))
        buf_printf(out, "[does not work here: %s]\n", skill_trouble(skill));
    r = skill_read(skill, file.len ? buf_text(&file) : NULL, out, err);
    if (r < 0)
        return r;
    if (file.len == 0)
        skill_list_files(skill, out);
    return skill->tainted ? TOOL_ENDED_TAINTED : TOOL_ENDED;
}

const struct tool tool_skill_view = {
    .name = "skill_view",
    .description = "Load a skill: what to do, step by step, and which files it has.",
    .parameters = "{\"type\":\"object\",\"properties\":{"
                  "\"name\":{\"type\":\"string\",\"description\":\"Of the skill\"},"
                  "\"file_path\":{\"type\":\"string\",\"description\":\"One of its files instead, "
                  "as references/x.md\"}},\"required\":[\"name\"]}",
    .flags = TOOL_READS | TOOL_REPEATABLE | TOOL_UNATTENDED | TOOL_FOUND,
    .available = is_available,
    .start = start_view,
    .forget = forget,
};
