#include "tools/skills.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "codec/utf8.h"
#include "store/taint.h"
#include "tools/beneath.h"
#include "tools/directory.h"

/*
 * The list is made anew whenever somebody wants to see it, on the loop. 73 skills of 10 KB cost
 * 5 ms at first, and then a few system calls each, as a SKILL.md that has kept its time, size and
 * inode is not read again. Paths are resolved beneath their root, so no link leads out of it.
 */
enum { FILES_SHOWN_MAX = 60 }; // names of a skill's files

const struct option skills_options[] = {
    {.key = "skills.external_dirs",
     .type = OPTION_LIST,
     .offset = offsetof(struct skills_config, external_dirs),
     .help = "directories with more skills, which are only read; nobody vouches for their texts"},
    {.key = "skills.external_trusted",
     .type = OPTION_BOOL,
     .offset = offsetof(struct skills_config, external_trusted),
     .fallback = "false",
     .help = "you vouch for what those directories hold"},
    {.key = "skills.write_approval",
     .type = OPTION_BOOL,
     .offset = offsetof(struct skills_config, write_approval),
     .fallback = "false",
     .help = "you are asked before the agent changes a skill"},
};

const size_t skills_option_count = ARRAY_LEN(skills_options);

struct skills {
    char **roots; // owned: the home's, and those outside
    size_t root_count;
    struct store *store;
    struct skills_config config;
    const struct config *variables;
    struct skill *all; // owned
    size_t count, capacity;
    bool more;
};

struct walk {
    struct skills *skills;
    struct skill *before; // whose heads are known
    size_t before_count;
    int root_fd;
    const char *root;
    bool external;
    size_t looked;
};

struct skills *skills_create(const char *home, struct store *store)
{
    struct skills *skills = mem_new(struct skills);
    skills->roots = mem_new(char *);
    skills->roots[0] = mem_strdup(home);
    skills->root_count = 1;
    skills->store = store;
    return skills;
}

void skills_forget(struct skills *skills)
{
    for (size_t i = 0; i < skills->count; i++)
        skill_finish(&skills->all[i]);
    free(STEAL(skills->all));
    skills->count = skills->capacity = 0;
}

void skills_destroy(struct skills *skills)
{
    if (!skills)
        return;
    skills_forget(skills);
    for (size_t i = 0; i < skills->root_count; i++)
        free(skills->roots[i]);
    free(skills->roots);
    free(skills);
}

void skills_configure(struct skills *skills, const struct skills_config *config,
                      const struct config *variables)
{
    const struct option_list *outside = &config->external_dirs;
    const char *home = getenv("HOME");
    skills_forget(skills);
    skills->config = *config;
    skills->variables = variables;
    while (skills->root_count > 1)
        free(skills->roots[--skills->root_count]);
    skills->roots = mem_realloc(skills->roots, (outside->count + 1) * sizeof *skills->roots);
    for (size_t i = 0; i < outside->count; i++) {
        const char *path = outside->items[i];
        bool short_for = strncmp(path, "~/", 2) == 0 && home;
        skills->roots[skills->root_count++] =
            mem_printf("%s%s", short_for ? home : "", path + short_for);
    }
}

// Its head, or as its problem what is wrong with that.
static void read_head(struct walk *walk, int fd, struct skill *skill)
{
    BUF_AUTO head = BUF_INIT(SKILL_HEAD_MAX);
    struct error err = ERROR_INIT;
    int r = fd_read_all(fd, &head); // -EFBIG: the rest is text
    if (r < 0 && r != -EFBIG)
        r = error_errno(&err, -r, "it cannot be read");
    else
        r = skill_head_read(buf_span(&head), walk->skills->variables, skill, &err);
    if (r < 0) {
        char line[ERROR_TEXT_MAX]; // it may quote the file
        utf8_one_line(span_of(err.text), line, sizeof line);
        free(skill->problem);
        skill->malformed = true;
        skill->problem = mem_printf("SKILL.md:%s%s", strchr("0123456789", *line) ? "" : " ", line);
    }
}

// What its directory says: <category>/<name>. Categories are in the prompt, where no sentence of a
// stranger belongs.
static struct skill skill_at(const struct walk *walk, const char *path)
{
    const char *slash = strrchr(path, '/');
    char name[4 * SKILL_NAME_MAX];
    utf8_one_line(span_of(slash ? slash + 1 : path), name, sizeof name);
    CLEANUP(mem_cleanup) char *parent = mem_strndup(path, slash ? (size_t)(slash - path) : 0);
    char category[4 * SKILL_NAME_MAX];
    utf8_one_line(span_of(parent), category, sizeof category);
    if (walk->external &&
        strspn(category, "abcdefghijklmnopqrstuvwxyz0123456789-/") != strlen(category))
        *category = '\0';
    return (struct skill){
        .name = mem_strdup(name),
        .category = mem_strdup(category),
        .description = mem_strdup(""),
        .path = mem_strdup(path),
        .root = walk->root,
        .external = walk->external,
    };
}

static struct skill *add(struct walk *walk, struct skill skill)
{
    struct skills *skills = walk->skills;
    skills->all = mem_grow(skills->all, skills->count, &skills->capacity, sizeof *skills->all);
    skills->all[skills->count] = skill;
    return &skills->all[skills->count++];
}

static void take(struct walk *walk, const char *path, int fd, const struct stat *stat)
{
    long long mtime_ns = stat->st_mtim.tv_sec * 1000000000LL + stat->st_mtim.tv_nsec;
    for (size_t i = 0; i < walk->before_count; i++) {
        struct skill *known = &walk->before[i];
        if (known->path && known->root == walk->root && strcmp(known->path, path) == 0 &&
            known->mtime_ns == mtime_ns && known->size == stat->st_size &&
            known->inode == (long long)stat->st_ino) {
            add(walk, *known);
            *known = (struct skill){0};
            return;
        }
    }
    struct skill *skill = add(walk, skill_at(walk, path));
    skill->mtime_ns = mtime_ns;
    skill->size = stat->st_size;
    skill->inode = (long long)stat->st_ino;
    read_head(walk, fd, skill);
    if (!skill_name_is_valid(span_of(skill->name)) && !skill->malformed) {
        free(skill->problem);
        skill->malformed = true;
        skill->problem = mem_printf("the name of its directory must be 1 to %d of a-z, 0-9 and -",
                                    SKILL_NAME_MAX);
    }
}

static void walk_into(struct walk *walk, const char *path, int depth);

static void walk_below(struct walk *walk, const char *path, int fd, int depth)
{
    CLEANUP(directory_finish) struct directory directory = {0};
    if (directory_read(fd, &directory, NULL) < 0)
        return;
    for (size_t i = 0; i < directory.count; i++) {
        const char *name = directory.names[i];
        if (*name == '.' || span_ends_with(span_of(name), ".md"))
            continue;
        if (walk->looked++ == SKILLS_LOOKED_MAX || walk->skills->count == SKILLS_MAX) {
            walk->skills->more = true;
            return;
        }
        CLEANUP(mem_cleanup) char *child = mem_printf("%s%s%s", path, *path ? "/" : "", name);
        walk_into(walk, child, depth + 1);
    }
}

static void walk_into(struct walk *walk, const char *path, int depth)
{
    FD_AUTO fd = -1;
    FD_AUTO file = -1;
    struct stat stat;
    struct error err = ERROR_INIT;
    int r = beneath_open(walk->root_fd, path, O_PATH | O_DIRECTORY, 0, &fd, &err);
    if (r == 0) {
        CLEANUP(mem_cleanup) char *name = mem_printf("%s/SKILL.md", path);
        r = beneath_open_file(walk->root_fd, name, &file, &stat, &err);
        if (r == 0)
            take(walk, path, file, &stat);
        else if (r == -ENOENT && depth < SKILLS_DEPTH_MAX)
            walk_below(walk, path, fd, depth);
    }
    if (r < 0 && r != -ENOENT && r != -ENOTDIR) {
        struct skill broken = skill_at(walk, path);
        broken.malformed = true;
        broken.problem = r == -EACCES ? mem_strdup("it may not be read, or is a link that leads "
                                                   "elsewhere (skills.external_dirs names such a "
                                                   "directory)")
                                      : mem_strdup(err.text);
        add(walk, broken);
    }
}

static void walk_root(struct walk *walk, const char *root, bool external)
{
    FD_AUTO fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    walk->root_fd = fd;
    walk->root = root;
    walk->external = external;
    walk->looked = 0;
    if (fd >= 0) {
        walk_below(walk, "", fd, 0);
    } else if (external) {
        struct skill broken = skill_at(walk, root);
        broken.malformed = true;
        broken.problem = mem_printf("skills.external_dirs: %s", strerror(errno));
        add(walk, broken);
    }
}

static int compare(const void *a, const void *b)
{
    const struct skill *one = a, *other = b;
    int r = strcmp(one->category, other->category);
    r = r ? r : strcmp(one->name, other->name);
    return r ? r : one->external - other->external;
}

static bool on_taint(void *context, struct span name)
{
    struct skills *skills = context;
    for (size_t i = 0; i < skills->count; i++)
        if (name.len == 0 || span_is(name, skills->all[i].name))
            skills->all[i].tainted = true;
    return true;
}

static void look_at_all(struct skills *skills)
{
    for (size_t i = 0; i < skills->count; i++) {
        struct skill *skill = &skills->all[i];
        skill->tainted = skill->external && !skills->config.external_trusted;
        skill->shadowed = false;
        for (size_t j = 0; j < skills->count && !skill->shadowed; j++)
            skill->shadowed = strcmp(skills->all[j].name, skill->name) == 0 &&
                              (skills->all[j].external < skill->external ||
                               (skills->all[j].external == skill->external && j < i));
    }
    if (skills->store &&
        store_read_taints(store_view(skills->store), STORE_TAINT_SKILL, on_taint, skills, NULL) < 0)
        on_taint(skills, SPAN_LITERAL("")); // what is not known counts as marked
}

void skills_refresh(struct skills *skills)
{
    struct walk walk = {.skills = skills, .before_count = skills->count, .before = skills->all};
    skills->all = NULL;
    skills->count = skills->capacity = 0;
    skills->more = false;
    for (size_t i = 0; i < skills->root_count; i++)
        walk_root(&walk, skills->roots[i], i > 0);
    for (size_t i = 0; i < walk.before_count; i++)
        skill_finish(&walk.before[i]);
    free(walk.before);
    if (skills->count)
        qsort(skills->all, skills->count, sizeof *skills->all, compare);
    look_at_all(skills);
}

const struct skill *skills_at(const struct skills *skills, size_t place)
{
    return place < skills->count ? &skills->all[place] : NULL;
}

// Telegram knows no "-" in commands, so "_" is as good.
static bool is_named(const struct skill *skill, struct span name)
{
    size_t i = 0;
    while (i < name.len && skill->name[i] == (name.data[i] == '_' ? '-' : name.data[i]))
        i++;
    return i == name.len && !skill->name[i];
}

const struct skill *skills_find(const struct skills *skills, struct span name)
{
    for (size_t i = 0; i < skills->count; i++)
        if (!skills->all[i].shadowed && is_named(&skills->all[i], name))
            return &skills->all[i];
    return NULL;
}

bool skills_left_some_out(const struct skills *skills)
{
    return skills->more;
}

const char *skill_trouble(const struct skill *skill)
{
    return skill->shadowed ? "another skill of this name comes first" : skill->problem;
}

bool skills_write_list(const struct skills *skills, const char *category, struct buf *out,
                       bool *ret_tainted)
{
    *ret_tainted = false;
    for (size_t i = 0; i < skills->count; i++) {
        const struct skill *skill = &skills->all[i];
        const char *trouble = skill_trouble(skill);
        if (category && strcmp(category, skill->category) != 0)
            continue;
        buf_printf(out, "%s%s%s%s%s%s%s%s\n", skill->category, *skill->category ? "/" : "",
                   skill->name, *skill->description ? ": " : "", skill->description,
                   trouble ? " (does not work here: " : "", trouble ? trouble : "",
                   trouble ? ")" : "");
        *ret_tainted = *ret_tainted || skill->tainted;
    }
    if (skills->more)
        buf_printf(out, "There are more than are looked at: %d skills, %d names in a directory.\n",
                   SKILLS_MAX, SKILLS_LOOKED_MAX);
    return !buf_is_full(out);
}

static int open_directory(const struct skill *skill, int *ret_fd, struct error *err)
{
    FD_AUTO root = open(skill->root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return error_errno(err, errno, "cannot open %s", skill->root);
    return beneath_open(root, skill->path, O_PATH | O_DIRECTORY, 0, ret_fd, err);
}

int skill_read(const struct skill *skill, const char *file, struct buf *out, struct error *err)
{
    FD_AUTO directory = -1;
    FD_AUTO fd = -1;
    struct stat stat;
    BUF_AUTO text = BUF_INIT(SKILL_SHOWN_MAX);
    file = file ? file : "SKILL.md";
    int r = open_directory(skill, &directory, err);
    if (r == 0)
        r = beneath_open_file(directory, file, &fd, &stat, err);
    if (r == -EACCES)
        return error_set(err, r, "%s leads out of the skill's directory, or may not be read", file);
    if (r < 0)
        return r;
    r = fd_read_all(fd, &text);
    if (r < 0 && r != -EFBIG)
        return error_errno(err, -r, "cannot read %s", file);
    struct span shown = buf_span(&text);
    if (r < 0)
        shown.len -= utf8_incomplete_tail(shown);
    utf8_sanitize(shown, out);
    if (r < 0)
        buf_printf(out, "\n[%s has %lld bytes; the rest is not shown]", file,
                   (long long)stat.st_size);
    return 0;
}

static void list_below(int fd, const char *before, size_t *count, struct buf *out)
{
    CLEANUP(directory_finish) struct directory directory = {0};
    if (directory_read(fd, &directory, NULL) < 0)
        return;
    for (size_t i = 0; i < directory.count; i++) {
        const char *name = directory.names[i];
        FD_AUTO below = -1;
        if (*name == '.' || (!*before && strcmp(name, "SKILL.md") == 0))
            continue;
        if (!*before && strcmp(name, "tests") == 0) // recordings, which are no business of a model
            continue;
        if (!*before &&
            beneath_open(fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW, 0, &below, NULL) == 0) {
            CLEANUP(mem_cleanup) char *prefix = mem_printf("%s/", name);
            list_below(below, prefix, count, out);
            continue;
        }
        if (++*count <= FILES_SHOWN_MAX)
            buf_printf(out, "%s%s%s", *count == 1 ? "\n[files of this skill: " : ", ", before,
                       name);
    }
}

void skill_list_files(const struct skill *skill, struct buf *out)
{
    FD_AUTO fd = -1;
    size_t count = 0;
    if (open_directory(skill, &fd, NULL) < 0)
        return;
    list_below(fd, "", &count, out);
    if (count > FILES_SHOWN_MAX)
        buf_printf(out, ", and %zu more", count - FILES_SHOWN_MAX);
    if (count)
        buf_append_text(out, "]");
}
