#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "codec/document.h"
#include "daemon/command.h"
#include "daemon/owner.h"
#include "daemon/page.h"
#include "daemon/settings.h"
#include "store/import.h"

enum { OPTION_DRY_RUN = OPTION_FIRST_OWN, OPTION_JSON };
enum {
    OUTPUT_MAX = 16 * 1024,      // bytes
    CALLS_MEMORY_MAX = 32 << 20, // bytes of memory that the calls of a message take
};

#define UNREADABLE "came without a text or calls of tools that are too long or unreadable"

static const struct {
    const char *key, *of_one, *of_several;
    size_t offset;
} kinds[] = {
#define KIND(field, of_one, of_several)                                         \
    {                                                                           \
#field, of_one, of_several, offsetof(struct store_import_counts, field) \
    }
    KIND(sessions, NULL, NULL),
    KIND(messages, NULL, NULL),
    KIND(known, "was taken over before", "were taken over before"),
    KIND(taken_back, "is left out: it was taken back there",
         "are left out: they were taken back there"),
    KIND(other_roles, "is left out: it is no user's, assistant's or tool's",
         "are left out: they are no user's, assistant's or tool's"),
    KIND(stray, "is left out: it belongs to no conversation",
         "are left out: they belong to no conversation"),
    KIND(unreadable, UNREADABLE, UNREADABLE),
};

static int64_t count_of(const struct store_import_counts *counts, size_t kind)
{
    int64_t count;
    memcpy(&count, (const char *)counts + kinds[kind].offset, sizeof count);
    return count;
}

static void print_json(const struct store_import *import, const struct store_import_counts *counts)
{
    DOCUMENT_AUTO doc = DOCUMENT_INIT(OUTPUT_MAX);
    BUF_AUTO out = BUF_INIT(OUTPUT_MAX);
    struct node root = document_object(&doc);
    node_add_text(root, "from", import->from);
    node_add_bool(root, "dry_run", import->dry_run);
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        node_add_int(root, kinds[i].key, count_of(counts, i));
    document_print(&doc, &out, NULL);
    buf_append_char(&out, '\n');
    page_print_raw(buf_span(&out));
}

static void print(const struct store_import *import, const struct store_import_counts *counts)
{
    printf("%s %" PRId64 " conversation%s with %" PRId64 " message%s from ",
           import->dry_run ? "Would take over" : "Took over", counts->sessions,
           counts->sessions == 1 ? "" : "s", counts->messages, counts->messages == 1 ? "" : "s");
    page_print_raw(span_of(import->from));
    puts("/state.db.");
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (kinds[i].of_one && count_of(counts, i))
            printf("%7" PRId64 " %s\n", count_of(counts, i),
                   count_of(counts, i) == 1 ? kinds[i].of_one : kinds[i].of_several);
}

// From OpenAI's form into this program's own; false when there is nothing to be made of it.
static bool convert_calls(struct span text, struct buf *out)
{
    DOCUMENT_AUTO doc = DOCUMENT_INIT(CALLS_MEMORY_MAX);
    DOCUMENT_AUTO own = DOCUMENT_INIT(CALLS_MEMORY_MAX);
    struct node rows = document_array(&own);
    if (document_read(&doc, text, NULL) < 0 || node_type(document_root(&doc)) != JSON_ARRAY)
        return false;
    for (struct node call = node_first(document_root(&doc)); node_type(call) != JSON_ABSENT;
         call = node_next(call)) {
        struct node function = node_get(call, "function");
        struct node row = node_add_object(rows, NULL);
        node_add_text(row, "id", node_text(node_get(call, "id")));
        node_add_text(row, "name", node_text(node_get(function, "name")));
        node_add_text(row, "arguments", node_text(node_get(function, "arguments")));
    }
    return document_print(&own, out, NULL) == 0;
}

static void on_progress(void *context, const struct store_import_counts *counts)
{
    bool *shown = context;
    if (isatty(STDERR_FILENO))
        *shown = fprintf(stderr, "\r%" PRId64 " messages ...", counts->messages) > 0;
}

static int run(const struct arguments *arguments, struct error *err)
{
    STORE_ONLY_AUTO only = {.home = HOME_INIT};
    CLEANUP(mem_cleanup) char *home = NULL;
    CLEANUP(mem_cleanup) char *scratch = NULL;
    struct store_import_counts counts = {0};
    bool shown = false;
    struct stat st;
    const char *from = arguments->word_count ? arguments->words[0] : NULL;
    if (from && stat(from, &st) == 0 && !S_ISDIR(st.st_mode))
        return error_set(err, -ENOTDIR, "import: %s is a file; name the home that it is in", from);
    int r = settings_find_home(arguments, &home, err);
    if (r == 0)
        r = store_only_open(home, &only, err);
    if (r < 0)
        return error_wrap(err, "import");
    scratch = mem_printf("%s/import.tmp", home);
    struct store_import import = {
        .from = from ? from : home,
        .scratch = scratch,
        .dry_run = arguments->values[OPTION_DRY_RUN] != NULL,
        .convert_calls = convert_calls,
        .on_progress = on_progress,
        .context = &shown,
    };
    r = store_import_run(only.store, &import, &counts, err);
    if (shown)
        fputc('\n', stderr);
    if (r == 0 || counts.messages)
        (arguments->values[OPTION_JSON] ? print_json : print)(&import, &counts);
    return r < 0 ? error_wrap(err, "import") : EXIT_OK;
}

const struct command command_import = {
    .name = "import",
    .words = "[HOME]",
    .summary = "Take over the conversations of a hermes-agent",
    .help =
        "From the state.db in its home, HOME, which stays as it is; by default that is Hermes's\n"
        "own home. A second import takes over only what is new. Stop hermes run before.\n",
    .takes_settings = true,
    COMMAND_OPTIONS({"dry-run", 'n', NULL, "only say what would be taken over"},
                    {"json", 0, NULL, "as JSON, one object"}),
    .max_words = 1,
    .run = run,
};
