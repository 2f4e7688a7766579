#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "daemon/command.h"
#include "daemon/owner.h"
#include "daemon/page.h"
#include "daemon/settings.h"
#include "serve/control.h"

enum {
    ID_WIDTH = 12,
    KIND_WIDTH = 6,
    NAME_MAX_COLUMNS = 300,
    WHY_MAX_COLUMNS = 160,
    PATH_MAX_BYTES = 64,
};

enum { OPTION_JSON = OPTION_FIRST_OWN, OPTION_ALL_FILES, OPTION_YES };

static int ask(const struct arguments *arguments, const char *id, struct buf *body,
               struct json *values, struct error *err)
{
    char path[PATH_MAX_BYTES];
    CLEANUP(settings_finish) struct settings settings = {0};
    CLEANUP(mem_cleanup) char *home = NULL;
    snprintf(path, sizeof path, id ? "/taints/%s" : "/taints", id);
    struct owner_question question = {.method = id ? "DELETE" : "GET", .path = path};
    int r = settings_find_home(arguments, &home, err);
    if (r == 0 && id) { // whose log has it
        r = settings_load(arguments, &settings, err);
        question.log = &settings;
    }
    return r < 0 ? r : owner_ask(home, &question, body, values, err);
}

static void print_mark(struct json_value mark)
{
    char when[CLOCK_TEXT_SIZE];
    CLEANUP(mem_cleanup) char *id = page_cell(json_get(mark, "id"), "?", ID_WIDTH);
    CLEANUP(mem_cleanup) char *kind = page_cell(json_get(mark, "kind"), "?", KIND_WIDTH);
    CLEANUP(mem_cleanup) char *name = page_cell(json_get(mark, "name"), "?", NAME_MAX_COLUMNS);
    CLEANUP(mem_cleanup) char *why = page_cell(json_get(mark, "why"), "", WHY_MAX_COLUMNS);
    bool all = *name == '\0' && json_is(json_get(mark, "kind"), "file");
    printf("%-*s  %-*s  %-16s  %s%s%s%s", ID_WIDTH, id, KIND_WIDTH, kind,
           page_time(page_number(mark, "marked_ms"), when), all ? "(every file)" : name,
           *why ? " (" : "", why, *why ? ")" : "");
    if (page_flag(mark, "gone"))
        fputs(", is gone or out of reach", stdout);
    else if (json_type(json_get(mark, "bytes")) == JSON_NUMBER)
        printf(", last changed %s, %" PRId64 " bytes",
               page_time(page_number(mark, "changed_ms"), when), page_number(mark, "bytes"));
    putchar('\n');
}

// The marks of an id, which may be that of all files; without an id, all.
static size_t print_marks(struct json_value root, struct json_value id)
{
    struct json_value mark;
    size_t count = 0;
    bool some = json_type(id) == JSON_STRING;
    bool files = some && span_equal(json_raw(id), json_raw(json_get(root, "all_files")));
    for (struct json_iter it = json_iter_init(json_get(root, "marks"));
         json_iter_next(&it, NULL, &mark);) {
        if (some && !span_equal(json_raw(id), json_raw(json_get(mark, "id"))) &&
            !(files && json_is(json_get(mark, "kind"), "file")))
            continue;
        if (count++ == 0)
            printf("%-*s  %-*s  %-16s  %s\n", ID_WIDTH, "ID", KIND_WIDTH, "KIND", "MARKED, UTC",
                   "WHAT");
        print_mark(mark);
    }
    return count;
}

static int list(const struct arguments *arguments, struct error *err)
{
    BUF_AUTO body = BUF_INIT(CONTROL_ANSWER_MAX);
    JSON_AUTO values = JSON_INIT;
    int r = ask(arguments, NULL, &body, &values, err);
    if (r < 0)
        return r;
    if (arguments->values[OPTION_JSON])
        page_print_raw(buf_span(&body));
    else if (print_marks(json_root(&values), JSON_VALUE_ABSENT) == 0)
        puts("Nothing is marked.");
    return EXIT_OK;
}

// The id of what a word means: the path of a file, or an id. Absent: there is none.
static struct json_value find(struct json_value root, const char *word)
{
    struct json_value mark, all = json_get(root, "all_files");
    if (!word || json_is(all, word))
        return all;
    for (struct json_iter it = json_iter_init(json_get(root, "marks"));
         json_iter_next(&it, NULL, &mark);)
        if (json_is(json_get(mark, "id"), word) ||
            (json_is(json_get(mark, "kind"), "file") && json_is(json_get(mark, "name"), word)))
            return json_get(mark, "id");
    return JSON_VALUE_ABSENT;
}

static bool is_wanted(void)
{
    char reply[16] = "";
    fputs("Do you vouch for what is there now? [y/N] ", stdout);
    fflush(stdout);
    return fgets(reply, sizeof reply, stdin) && (reply[0] == 'y' || reply[0] == 'Y');
}

static int lift(const struct arguments *arguments, struct error *err)
{
    BUF_AUTO body = BUF_INIT(CONTROL_ANSWER_MAX);
    JSON_AUTO values = JSON_INIT;
    const char *word = arguments->word_count > 1 ? arguments->words[1] : NULL;
    bool sure = arguments->values[OPTION_YES] != NULL;
    if (!sure && !isatty(STDIN_FILENO))
        return error_set(err, -EINVAL, "there is no terminal to ask on: lift it with --yes");
    int r = ask(arguments, NULL, &body, &values, err);
    if (r < 0)
        return r;
    struct json_value found = find(json_root(&values), word);
    CLEANUP(mem_cleanup) char *id = json_strdup(found, PATH_MAX_BYTES);
    if (!id && word)
        return error_set(err, -ENOENT,
                         "nothing was lifted: no file %.200s is marked, and no mark has this id, "
                         "or what it marks has changed since it was listed; hermes taint list "
                         "shows what is marked now",
                         word);
    if (!id)
        return error_set(err, -ENOENT, "nothing was lifted: no file is marked");
    print_marks(json_root(&values), found);
    if (!sure && !is_wanted()) {
        puts("Nothing was lifted.");
        return EXIT_OK;
    }
    r = ask(arguments, id, &body, &values, err); // as it was shown, or not at all
    if (r == 0)
        puts("Lifted.");
    return r;
}

static int run(const struct arguments *arguments, struct error *err)
{
    const char *word = arguments->word_count ? arguments->words[0] : "list";
    bool lifts = strcmp(word, "lift") == 0, all = arguments->values[OPTION_ALL_FILES];
    if (!lifts && strcmp(word, "list") != 0)
        return error_set(err, COMMAND_MISUSED, "taint: \"%.64s\" is not one of list, lift", word);
    if (arguments->word_count + all != (lifts ? 2 : arguments->word_count ? 1 : 0))
        return error_set(err, COMMAND_MISUSED,
                         lifts ? "taint lift needs a PATH, an ID or --all-files; hermes taint list "
                                 "prints them"
                               : "taint list takes no path");
    return lifts ? lift(arguments, err) : list(arguments, err);
}

const struct command command_taint = {
    .name = "taint",
    .words = "[list|lift PATH|lift ID]",
    .summary = "List and lift the marks of text that nobody vouches for",
    .help = "list  what was written with such text in mind, why, and when last (the default)\n"
            "lift  one of these marks: you vouch for what is there now; asks first\n\n"
            "A PATH is as it is listed, of a file in the workspace. An ID means a mark as it was\n"
            "listed, and nothing any more once what it marks has changed.\n",
    .takes_settings = true,
    COMMAND_OPTIONS({"json", 0, NULL, "list: as JSON, for programs"},
                    {"all-files", 0, NULL, "lift: of every file that is marked"},
                    {"yes", 'y', NULL, "lift: without asking"}),
    .max_words = 2,
    .run = run,
};
