#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "base/replace.h"
#include "codec/text_replace.h"
#include "sandbox/temporary.h"
#include "tools/beneath.h"
#include "tools/file_target.h"
#include "tools/skills.h"
#include "tools/table.h"

/*
 * Writes the skills of the home, in hermes-agent's layout. It works in skills/ itself, so those of
 * directories outside do not exist for it. A SKILL.md is read as it will be later before it takes
 * the place of the old one.
 */
enum { NEW_FILE_MODE = 0600 };

struct managing {
    int fd; // of skills/
    struct json_value arguments;
    struct skills *skills;
    const struct skill *skill; // NULL: there is none of that name
    struct buf name;
    struct buf *out;
    struct error *err;
};

static void managing_finish(struct managing *managing)
{
    skills_destroy(managing->skills);
    buf_finish(&managing->name);
}

// Is it what will be found under this name?
static int check(const struct managing *managing, struct span text)
{
    struct skill skill = {0};
    size_t head = text.len < SKILL_HEAD_MAX ? text.len : SKILL_HEAD_MAX;
    int r = text.len > SKILL_FILE_MAX
                ? error_set(managing->err, -E2BIG, "SKILL.md would be larger than %d KiB",
                            SKILL_FILE_MAX / 1024)
                : skill_head_read(span_make(text.data, head), NULL, &skill, managing->err);
    if (r < 0)
        error_wrap(managing->err, "nothing was written: SKILL.md");
    else if (!skill.name || !span_is(buf_span(&managing->name), skill.name))
        r = error_set(managing->err, -EINVAL,
                      "nothing was written: the name in SKILL.md must be \"%s\"",
                      buf_text(&managing->name));
    skill_finish(&skill);
    return r;
}

static int write_to(const struct managing *managing, const char *path, struct span text)
{
    FD_AUTO parent = -1;
    const char *name;
    struct file_target target;
    int r = beneath_make_parent(managing->fd, path, &parent, &name, managing->err);
    if (r == 0)
        r = file_target_look(parent, name, path, &target, managing->err);
    if (r == 0)
        r = replace_file(parent, name, target.exists ? target.mode : NEW_FILE_MODE, text, true,
                         managing->err);
    if (r == 0)
        buf_printf(managing->out, "wrote %s, %zu bytes; known from the next conversation on", path,
                   text.len);
    return r;
}

static int create(struct managing *managing)
{
    BUF_AUTO content = BUF_INIT(0);
    BUF_AUTO category = BUF_INIT(0);
    int r = tool_need_text(managing->arguments, "content", SKILL_FILE_MAX, &content, managing->err);
    if (r == 0 && tool_has(managing->arguments, "category"))
        r = tool_need_text(managing->arguments, "category", TOOL_PATH_MAX, &category,
                           managing->err);
    if (r == 0 && managing->skill)
        r = error_set(managing->err, -EEXIST, "there is a skill \"%s\" already; patch or edit it",
                      managing->skill->name);
    if (r == 0 && category.len && !skill_name_is_valid(buf_span(&category)))
        r = error_set(managing->err, -EINVAL,
                      "the parameter \"category\" must be 1 to %d of a-z, 0-9 and -",
                      SKILL_NAME_MAX);
    if (r == 0)
        r = check(managing, buf_span(&content));
    CLEANUP(mem_cleanup)
    char *path = mem_printf("%s%s%s/SKILL.md", buf_text(&category), category.len ? "/" : "",
                            buf_text(&managing->name));
    return r < 0 ? r : write_to(managing, path, buf_span(&content));
}

static int edit(struct managing *managing)
{
    BUF_AUTO content = BUF_INIT(0);
    int r = tool_need_text(managing->arguments, "content", SKILL_FILE_MAX, &content, managing->err);
    if (r == 0)
        r = check(managing, buf_span(&content));
    CLEANUP(mem_cleanup) char *path = mem_printf("%s/SKILL.md", managing->skill->path);
    return r < 0 ? r : write_to(managing, path, buf_span(&content));
}

// A file besides SKILL.md, in one of the directories that skills have.
static int take_path(const struct managing *managing, char **ret_path)
{
    static const char *const places[] = {"references/", "templates/", "scripts/",
                                         "examples/",   "assets/",    "tests/"};
    BUF_AUTO file = BUF_INIT(0);
    int r = tool_need_path(managing->arguments, "file_path", NULL, &file, managing->err);
    bool placed = false;
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(places); i++)
        placed = placed || span_starts_with(buf_span(&file), places[i]);
    if (r == 0 && (!placed || strstr(buf_text(&file), "..")))
        r = error_set(managing->err, -EINVAL,
                      "the parameter \"file_path\" must begin with references/, templates/, "
                      "scripts/, examples/, assets/ or tests/");
    if (r == 0)
        *ret_path = mem_printf("%s/%s", managing->skill->path, buf_text(&file));
    return r;
}

static int patch(struct managing *managing)
{
    BUF_AUTO old = BUF_INIT(0);
    BUF_AUTO new = BUF_INIT(0);
    BUF_AUTO text = BUF_INIT(SKILL_FILE_MAX);
    BUF_AUTO changed = BUF_INIT(2 * SKILL_FILE_MAX);
    BUF_AUTO remarks = BUF_INIT(TOOL_TEXT_MAX);
    TEXT_EDITS_AUTO edits = {0};
    FD_AUTO fd = -1;
    struct stat stat;
    struct text_replace replace;
    bool other = tool_has(managing->arguments, "file_path");
    CLEANUP(mem_cleanup) char *path = mem_printf("%s/SKILL.md", managing->skill->path);
    CLEANUP(mem_cleanup) char *given = NULL;
    int r = tool_need_text(managing->arguments, "old_string", SKILL_FILE_MAX, &old, managing->err);
    if (r == 0)
        r = tool_need_text(managing->arguments, "new_string", SKILL_FILE_MAX, &new, managing->err);
    if (r == 0)
        r = tool_want_bool(managing->arguments, "replace_all", &replace.all, managing->err);
    if (r == 0 && other)
        r = take_path(managing, &given);
    if (r == 0)
        r = beneath_open_file(managing->fd, given ? given : path, &fd, &stat, managing->err);
    if (r == 0 && fd_read_all(fd, &text) < 0)
        r = error_set(managing->err, -EFBIG, "it cannot be read, or is larger than %d KiB",
                      SKILL_FILE_MAX / 1024);
    if (r < 0)
        return r;
    replace.old_text = buf_span(&old);
    replace.new_text = buf_span(&new);
    text_edits_init(&edits, 2 * SKILL_FILE_MAX);
    r = text_replace_find(&replace, buf_span(&text), &edits, &remarks, managing->out,
                          managing->err);
    if (r == 0 && !text_edits_apply(&edits, buf_span(&text), &changed))
        r = error_set(managing->err, -E2BIG, "the file would be too large");
    if (r == 0 && !other)
        r = check(managing, buf_span(&changed));
    return r < 0 ? r : write_to(managing, given ? given : path, buf_span(&changed));
}

static int delete_skill(struct managing *managing)
{
    temporary_remove(managing->skill->path);
    if (access(managing->skill->path, F_OK) == 0)
        return error_set(managing->err, -EIO, "a part of %s could not be removed",
                         managing->skill->path);
    buf_printf(managing->out, "deleted %s", managing->skill->path);
    return 0;
}

static int write_file(struct managing *managing)
{
    BUF_AUTO content = BUF_INIT(0);
    CLEANUP(mem_cleanup) char *path = NULL;
    int r = take_path(managing, &path);
    if (r == 0)
        r = tool_need_text(managing->arguments, "file_content", SKILL_FILE_MAX, &content,
                           managing->err);
    return r < 0 ? r : write_to(managing, path, buf_span(&content));
}

static int remove_file(struct managing *managing)
{
    FD_AUTO parent = -1;
    const char *name;
    CLEANUP(mem_cleanup) char *path = NULL;
    int r = take_path(managing, &path);
    if (r == 0)
        r = beneath_open_parent(managing->fd, path, &parent, &name, managing->err);
    if (r == 0 && unlinkat(parent, name, 0) < 0)
        r = error_errno(managing->err, errno, "cannot remove %s", path);
    if (r == 0)
        buf_printf(managing->out, "removed %s", path);
    return r;
}

static const struct action {
    const char *name;
    int (*run)(struct managing *managing);
    bool of_new;
} actions[] = {
    {"create", create, true},
    {"patch", patch, false},
    {"edit", edit, false},
    {"delete", delete_skill, false},
    {"write_file", write_file, false},
    {"remove_file", remove_file, false},
};

static int work(int directory_fd, struct json_value arguments, struct buf *out, struct error *err)
{
    CLEANUP(managing_finish)
    struct managing managing = {.fd = directory_fd, .arguments = arguments, .out = out, .err = err};
    const struct action *action = actions, *end = actions + ARRAY_LEN(actions);
    while (action < end && !json_is(json_get(arguments, "action"), action->name))
        action++;
    if (action == end)
        return error_set(err, -EINVAL,
                         "the parameter \"action\" must be create, patch, edit, "
                         "delete, write_file or remove_file");
    int r = tool_need_text(arguments, "name", TOOL_PATH_MAX, &managing.name, err);
    if (r == 0 && !skill_name_is_valid(buf_span(&managing.name)))
        r = error_set(err, -EINVAL, "the parameter \"name\" must be 1 to %d of a-z, 0-9 and -",
                      SKILL_NAME_MAX);
    if (r < 0)
        return r;
    if (fchdir(directory_fd) < 0)
        return error_errno(err, errno, "cannot go to skills/");
    managing.skills = skills_create(".", NULL);
    skills_refresh(managing.skills);
    managing.skill = skills_find(managing.skills, buf_span(&managing.name));
    if (!managing.skill && !action->of_new)
        return error_set(err, -ENOENT,
                         "there is no skill \"%s\" in skills/; those of other directories are "
                         "only read",
                         buf_text(&managing.name));
    return action->run(&managing);
}

static bool is_available(const struct tool_env *env)
{
    return env->skills != NULL;
}

const struct tool tool_skill_manage = {
    .name = "skill_manage",
    .description = "Write a skill, once something that took several steps has worked and will "
                   "come up again, or mend one that was wrong.",
    .parameters =
        "{\"type\":\"object\",\"properties\":{"
        "\"action\":{\"type\":\"string\",\"enum\":[\"create\",\"patch\",\"edit\",\"delete\","
        "\"write_file\",\"remove_file\"],\"description\":\"What to do\"},"
        "\"name\":{\"type\":\"string\",\"description\":\"Lowercase words with -\"},"
        "\"content\":{\"type\":\"string\",\"description\":\"The whole SKILL.md: ---, name:, "
        "description: (at most 60 characters), ---, then numbered steps\"},"
        "\"category\":{\"type\":\"string\",\"description\":\"Of a new one\"},"
        "\"old_string\":{\"type\":\"string\",\"description\":\"To be replaced\"},"
        "\"new_string\":{\"type\":\"string\",\"description\":\"Its replacement\"},"
        "\"replace_all\":{\"type\":\"boolean\",\"description\":\"Every place\"},"
        "\"file_path\":{\"type\":\"string\",\"description\":\"Of another file: scripts/x.sh\"},"
        "\"file_content\":{\"type\":\"string\",\"description\":\"The whole text of that\"}},"
        "\"required\":[\"action\",\"name\"]}",
    .flags = TOOL_WRITES | TOOL_UNATTENDED | TOOL_FOUND,
    .place = TOOL_IN_SKILLS,
    .memory = 4 << 20,
    .available = is_available,
    .work = work,
};
