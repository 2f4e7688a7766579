#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/mem.h"
#include "base/replace.h"
#include "codec/document.h"
#include "daemon/command.h"
#include "daemon/home.h"
#include "daemon/page.h"
#include "daemon/replay.h"
#include "daemon/settings.h"
#include "tools/beneath.h"
#include "tools/directory.h"

/*
 * Skills are files, so all of this is done beside a running daemon, which looks at them anew before
 * each conversation.
 */
enum { OPTION_JSON = OPTION_FIRST_OWN, OPTION_LIVE };

enum {
    OUTPUT_MAX = 4 << 20,     // bytes
    NAME_WIDTH = 36,          // columns
    DESCRIPTION_ADVISED = 60, // characters, as hermes-agent has it: lists stay short
};

struct asked {
    struct settings settings;
    struct skills *skills;
    char *home; // its skills/
    const struct arguments *arguments;
    const char *name; // NULL: not given
};

static void asked_finish(struct asked *asked)
{
    skills_destroy(asked->skills);
    free(asked->home);
    settings_finish(&asked->settings);
}

// Of a directory outside that cannot be read, the path is the whole one.
static char *path_of(const struct skill *skill)
{
    return *skill->path == '/' ? mem_strdup(skill->path)
                               : mem_printf("%s/%s", skill->root, skill->path);
}

static int list_json(const struct asked *asked, struct error *err)
{
    DOCUMENT_AUTO doc = DOCUMENT_INIT(OUTPUT_MAX);
    BUF_AUTO out = BUF_INIT(OUTPUT_MAX);
    struct node rows = node_add_array(document_object(&doc), "skills");
    const struct skill *skill;
    for (size_t i = 0; (skill = skills_at(asked->skills, i)); i++) {
        struct node row = node_add_object(rows, NULL);
        node_add_text(row, "name", skill->name);
        node_add_text(row, "category", skill->category);
        node_add_text(row, "description", skill->description);
        node_add_text(row, "problem", skill_trouble(skill));
        node_add_bool(row, "external", skill->external);
        CLEANUP(mem_cleanup) char *path = path_of(skill);
        node_add_text(row, "path", path);
    }
    int r = document_print(&doc, &out, err);
    if (r == 0)
        printf("%s\n", buf_text(&out));
    return r;
}

static int list(const struct asked *asked, struct error *err)
{
    const struct skill *skill;
    if (asked->arguments->values[OPTION_JSON])
        return list_json(asked, err);
    for (size_t i = 0; (skill = skills_at(asked->skills, i)); i++) {
        const char *trouble = skill_trouble(skill);
        BUF_AUTO name = BUF_INIT(4 * SKILL_DESCRIPTION_MAX);
        buf_printf(&name, "%s%s%s", skill->category, *skill->category ? "/" : "", skill->name);
        page_pad(buf_text(&name), NAME_WIDTH);
        printf("%s%s%s%s\n", skill->description, trouble && *skill->description ? " - " : "",
               trouble ? "does not work here: " : "", trouble ? trouble : "");
    }
    if (!skills_at(asked->skills, 0))
        printf("No skills in %s; `hermes skills new NAME` begins one.\n", asked->home);
    return EXIT_OK;
}

static int find(const struct asked *asked, const struct skill **ret_skill, struct error *err)
{
    *ret_skill = skills_find(asked->skills, span_of(asked->name));
    return *ret_skill ? 0
                      : error_set(err, -ENOENT,
                                  "there is no skill \"%.64s\"; `hermes skills` "
                                  "lists them",
                                  asked->name);
}

static int show(const struct asked *asked, struct error *err)
{
    const struct skill *skill;
    BUF_AUTO out = BUF_INIT(OUTPUT_MAX);
    const char *file = asked->arguments->word_count > 2 ? asked->arguments->words[2] : NULL;
    int r = find(asked, &skill, err);
    if (r == 0)
        r = skill_read(skill, file, &out, err);
    if (r < 0)
        return r;
    if (!file)
        skill_list_files(skill, &out);
    page_print_raw(buf_span(&out));
    if (out.len && out.data[out.len - 1] != '\n')
        putchar('\n');
    return EXIT_OK;
}

static int begin(const struct asked *asked, const char *name, const char *path, struct error *err)
{
    BUF_AUTO text = BUF_INIT(SKILL_FILE_MAX);
    FD_AUTO root = -1;
    FD_AUTO parent = -1;
    const char *file;
    mkdir(asked->settings.home, 0700); // if one cannot be made, that shows now:
    if (mkdir(asked->home, 0700) < 0 && errno != EEXIST)
        return error_errno(err, errno, "cannot make %s", asked->home);
    root = open(asked->home, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return error_errno(err, errno, "cannot open %s", asked->home);
    buf_printf(&text,
               "---\nname: %s\ndescription: Say in 60 characters when to use this.\n"
               "version: 1.0.0\n---\n\n# %s\n\n1. The first step.\n2. How to see that it worked.\n",
               name, name);
    int r = beneath_make_parent(root, path, &parent, &file, err);
    return r < 0 ? r : replace_file(parent, file, 0600, buf_span(&text), true, err);
}

static int new (const struct asked *asked, struct error *err)
{
    const char *slash = strrchr(asked->name, '/'), *name = slash ? slash + 1 : asked->name;
    struct span category = span_make(asked->name, slash ? (size_t)(slash - asked->name) : 0);
    if (!skill_name_is_valid(span_of(name)) || (slash && !skill_name_is_valid(category)))
        return error_set(err, COMMAND_MISUSED,
                         "skills: \"%.64s\" is no NAME or CATEGORY/NAME of a-z, 0-9 and -",
                         asked->name);
    if (skills_find(asked->skills, span_of(name)))
        return error_set(err, -EEXIST, "there is a skill \"%s\" already", name);
    CLEANUP(mem_cleanup) char *path = mem_printf("%s/SKILL.md", asked->name);
    int r = begin(asked, name, path, err);
    if (r == 0)
        printf("Wrote %s/%s; put your steps into it.\n", asked->home, path);
    return home_explain(asked->settings.home, r, err);
}

static int check(const struct asked *asked, struct error *err)
{
    const struct skill *skill;
    size_t count = 0, wrong = 0;
    int r = asked->name ? find(asked, &skill, err) : 0;
    if (r < 0)
        return r;
    for (size_t i = 0; (skill = skills_at(asked->skills, i)); i++) {
        const char *trouble = skill_trouble(skill), *slash = strrchr(skill->path, '/');
        if (asked->name && strcmp(asked->name, skill->name) != 0)
            continue;
        CLEANUP(mem_cleanup) char *path = path_of(skill);
        count++;
        wrong += skill->malformed;
        if (trouble)
            printf("%s: %s%s\n", path, skill->malformed ? "" : "does not work here: ", trouble);
        if (strcmp(slash ? slash + 1 : skill->path, skill->name) != 0 && !skill->malformed)
            printf("%s: note: its name is %s\n", path, skill->name);
        if (strlen(skill->description) > DESCRIPTION_ADVISED)
            printf("%s: note: the description has more than %d characters\n", path,
                   DESCRIPTION_ADVISED);
        if (skill->size > SKILL_SHOWN_MAX)
            printf("%s: note: only the first %d KiB of SKILL.md are shown to a model\n", path,
                   SKILL_SHOWN_MAX / 1024);
    }
    printf("%zu skill%s, %zu malformed\n", count, count == 1 ? "" : "s", wrong);
    return wrong ? EXIT_FAILED : EXIT_OK;
}

static int test_one(const struct asked *asked, const char *path, struct error *err)
{
    BUF_AUTO recording = BUF_INIT(REPLAY_FILE_MAX);
    int r = fd_read_file(path, &recording, err);
    if (r == 0)
        r = replay_run(asked->arguments, buf_span(&recording),
                       asked->arguments->values[OPTION_LIVE] != NULL, err);
    if (r > 0)
        printf("%s: %d difference%s\n", path, r, r == 1 ? "" : "s");
    else if (r == 0)
        printf("%s: the same as recorded\n", path);
    return r < 0 ? error_wrap(err, "%s", path) : r;
}

static int test(const struct asked *asked, struct error *err)
{
    const struct skill *skill;
    CLEANUP(directory_finish) struct directory directory = {0};
    FD_AUTO fd = -1;
    size_t count = 0, different = 0;
    int r = find(asked, &skill, err);
    if (r < 0)
        return r;
    CLEANUP(mem_cleanup) char *path = mem_printf("%s/%s/tests", skill->root, skill->path);
    fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0)
        r = directory_read(fd, &directory, err);
    for (size_t i = 0; r >= 0 && i < directory.count; i++) {
        CLEANUP(mem_cleanup) char *file = mem_printf("%s/%s", path, directory.names[i]);
        if (!span_ends_with(span_of(file), ".json"))
            continue;
        r = test_one(asked, file, err);
        count++;
        different += r > 0;
    }
    if (r >= 0 && count == 0)
        return error_set(err, -ENOENT,
                         "there are no recordings %s/*.json; `hermes replay --record SESSION` "
                         "prints one",
                         path);
    return r < 0 ? r : different ? EXIT_FAILED : EXIT_OK;
}

static const struct verb {
    const char *name;
    size_t words_min, words_max; // itself included
    const char *usage;
    int (*run)(const struct asked *asked, struct error *err);
} verbs[] = {
    {"list", 0, 1, "list", list},
    {"show", 2, 3, "show NAME [FILE]", show},
    {"new", 2, 2, "new [CATEGORY/]NAME", new},
    {"check", 1, 2, "check [NAME]", check},
    {"test", 2, 2, "test NAME", test},
};

static int run(const struct arguments *arguments, struct error *err)
{
    const char *word = arguments->word_count ? arguments->words[0] : "list";
    const struct verb *verb = verbs, *end = verbs + ARRAY_LEN(verbs);
    CLEANUP(asked_finish) struct asked asked = {.arguments = arguments};
    while (verb < end && strcmp(verb->name, word) != 0)
        verb++;
    if (verb == end)
        return error_set(err, COMMAND_MISUSED,
                         "skills: \"%.64s\" is not one of list, show, new, check, test", word);
    if (arguments->word_count < verb->words_min || arguments->word_count > verb->words_max)
        return error_set(err, COMMAND_MISUSED, "skills: usage: hermes skills %s", verb->usage);
    int r = settings_load(arguments, &asked.settings, err);
    if (r < 0)
        return r;
    asked.name = arguments->word_count > 1 ? arguments->words[1] : NULL;
    asked.home = mem_printf("%s/skills", asked.settings.home);
    asked.skills = skills_create(asked.home, NULL);
    skills_configure(asked.skills, &asked.settings.values.skills, asked.settings.config);
    skills_refresh(asked.skills);
    r = verb->run(&asked, err);
    return r == COMMAND_MISUSED || r >= 0 ? r : error_wrap(err, "skills");
}

const struct command command_skills = {
    .name = "skills",
    .words = "[list|show|new|check|test] [NAME] [FILE]",
    .summary = "List, show, begin, check and test skills",
    .help = "list               all, with the reason why one does not work here (the default)\n"
            "show NAME [FILE]   its SKILL.md, or a file of it\n"
            "new NAME           begin one in skills/ of the home; CATEGORY/NAME puts it there\n"
            "check [NAME]       look for mistakes; exit status 1 if a skill is malformed\n"
            "test NAME          replay the recordings in its tests/; 1 if something differs\n",
    .takes_settings = true,
    COMMAND_OPTIONS({"json", 0, NULL, "list as JSON, one object"},
                    {"live", 0, NULL, "test with the configured model, which is paid for"}),
    .max_words = 3,
    .run = run,
};
