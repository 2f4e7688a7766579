#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/colour.h"
#include "base/log.h"
#include "base/mem.h"
#include "codec/json.h"
#include "codec/utf8.h"
#include "daemon/command.h"
#include "daemon/log_files.h"
#include "daemon/log_row.h"
#include "daemon/settings.h"

/*
 * `hermes log` reads the files, not the daemon: it answers also when the daemon does not. The files
 * are read twice. The first time finds out where to begin (the place of the last N lines that are
 * wanted, in a ring) and which id was meant; the second time prints. So memory is that of one line,
 * whatever is in the files.
 *
 * What is in them is not trusted: a line that is no JSON object is shown as text, and only where
 * everything is shown.
 */
enum {
    OPTION_LINES = OPTION_FIRST_OWN,
    OPTION_JSON,
    OPTION_FOLLOW,
    OPTION_ERRORS,

    LINES_DEFAULT = 30,
    LINES_MAX = 100000,
    ID_BEGINNING_MIN = 4, // bytes
    ID_MAX = 128,
    IDS_TOLD = 4, // of an ambiguous beginning
    ROW_MAX = 1 << 20,
    POLL_S = 1,
};

struct view {
    bool json, errors, terminal;
    const char *wanted; // beginning of an id; NULL: all
    const char *id;     // the one that was meant, once it is known
    struct log_row_style style;
    struct json doc; // of the line at hand

    // The first reading
    struct log_place *ring; // owned
    size_t ring_size, seen;
    struct log_place first; // of an id
    char *ids[IDS_TOLD];    // owned; the different ones
    size_t id_count;
    bool exact;

    // The second
    int64_t last_ms;
    size_t printed;
};

static void view_finish(struct view *view)
{
    for (size_t i = 0; i < view->id_count; i++)
        free(view->ids[i]);
    free(view->ring);
    json_finish(&view->doc);
}

// The line's object, or absent.
static struct json_value parse(struct view *view, struct span line)
{
    if (json_parse(&view->doc, line, NULL) < 0)
        return JSON_VALUE_ABSENT;
    struct json_value root = json_root(&view->doc);
    return json_type(root) == JSON_OBJECT ? root : JSON_VALUE_ABSENT;
}

static bool is_wanted(const struct view *view, struct span line, struct json_value root)
{
    if (json_type(root) == JSON_ABSENT)
        return line.len && !view->json && !view->errors && !view->wanted;
    struct json_value level = json_get(root, "level");
    if (view->errors && !json_is(level, "error") && !json_is(level, "warning"))
        return false;
    return !view->id || json_is(json_get(root, "id"), view->id);
}

/* The first reading */

static void look_for_id(void *context, struct span line, struct log_place place)
{
    struct view *view = context;
    if (view->exact || span_find(line, span_of(view->wanted)) < 0)
        return;
    CLEANUP(mem_cleanup) char *id = json_strdup(json_get(parse(view, line), "id"), ID_MAX);
    if (!id || strncmp(id, view->wanted, strlen(view->wanted)) != 0)
        return;
    if (strcmp(id, view->wanted) == 0) { // beats all of which it is the beginning
        view->exact = true;
        while (view->id_count)
            free(view->ids[--view->id_count]);
    }
    for (size_t i = 0; i < view->id_count; i++)
        if (strcmp(view->ids[i], id) == 0)
            return;
    if (view->id_count == 0)
        view->first = place;
    if (view->id_count < IDS_TOLD)
        view->ids[view->id_count++] = STEAL(id);
}

static void note_place(void *context, struct span line, struct log_place place)
{
    struct view *view = context;
    if (is_wanted(view, line, parse(view, line)))
        view->ring[view->seen++ % view->ring_size] = place;
}

static int refuse_ids(const struct view *view, struct error *err)
{
    BUF_AUTO told = BUF_INIT(2 * IDS_TOLD * ID_MAX * UTF8_BYTES_MAX);
    for (size_t i = 0; i < view->id_count; i++) {
        buf_append_text(&told, i ? ", " : "");
        log_row_clean(&told, span_of(view->ids[i]), false);
    }
    if (view->id_count == 0)
        return error_set(
            err, -ENOENT,
            "log: no event has the id \"%.128s\"; hermes log shows the latest ids, and "
            "older events are no longer in the log",
            view->wanted);
    return error_set(err, -EINVAL, "log: several ids begin with \"%.128s\": %s%s; give more of it",
                     view->wanted, buf_text(&told), view->id_count == IDS_TOLD ? ", ..." : "");
}

// Where to begin printing.
static int find_begin(struct view *view, struct log_files *files, struct log_place *ret_begin,
                      struct error *err)
{
    static const struct log_place start = {0, 0};
    int r = log_files_each(files, start, view->wanted ? look_for_id : note_place, view, err);
    if (r < 0)
        return r;
    if (!view->wanted) {
        size_t oldest = view->seen > view->ring_size ? view->seen % view->ring_size : 0;
        // Nothing wanted is there: what is to be followed begins at the end.
        *ret_begin =
            view->seen ? view->ring[oldest] : (struct log_place){files->count - 1, files->read_to};
        return 0;
    }
    if (view->id_count != 1)
        return refuse_ids(view, err);
    view->id = view->ids[0];
    *ret_begin = view->first;
    return 0;
}

/* The second */

static void print(void *context, struct span line, struct log_place place)
{
    struct view *view = context;
    struct json_value root = parse(view, line);
    if (!is_wanted(view, line, root))
        return;
    BUF_AUTO row = BUF_INIT(ROW_MAX);
    if (json_type(root) == JSON_ABSENT || view->json) {
        if (view->json && !view->terminal)
            buf_append_span(&row, line);
        else
            log_row_clean(&row, line, false);
        buf_append_char(&row, '\n');
    } else {
        if (view->id && view->printed == 0) {
            view->style.relative = log_row_time(root, &view->style.since_ms);
            buf_append_text(&row, view->style.colours ? "\033[1m" : "");
            log_row_clean(&row, span_of(view->id), false);
            buf_append_text(&row, view->style.colours ? "\033[0m  " : "  ");
            if (view->style.relative)
                log_row_local_time(&row, view->style.since_ms);
            buf_append_char(&row, '\n');
        }
        log_row_write(&row, root, &view->style);
    }
    log_row_time(root, &view->last_ms);
    view->printed++;
    fwrite(row.data, 1, row.len, stdout);
}

static int show(struct view *view, const char *home, bool follows, struct error *err)
{
    LOG_FILES_AUTO files = {.count = 0};
    struct log_place begin = {0, 0};
    int r = log_files_open(home, &files, err);
    if (r < 0)
        return r;
    if (files.count == 0)
        log_info("there is no log in %s/logs yet; hermes run writes it%s", home,
                 follows ? " (waiting)" : "");
    else
        r = find_begin(view, &files, &begin, err);
    if (r == 0 && files.count)
        r = log_files_each(&files, begin, print, view, err);
    // Until the reader is gone, or a signal ends this process.
    while (r == 0 && follows && fflush(stdout) == 0 && !ferror(stdout)) {
        nanosleep(&(struct timespec){.tv_sec = POLL_S}, NULL);
        r = log_files_more(&files, print, view, err);
    }
    if (r < 0 || follows)
        return r;
    int64_t ms = view->last_ms - view->style.since_ms;
    if (view->id && !view->json && view->style.relative && view->printed)
        printf("%zu event%s in %.1f s\n", view->printed, view->printed == 1 ? "" : "s",
               ms > 0 ? (double)ms / 1000 : 0);
    if (files.count && view->printed == 0)
        log_info("the log has no %s", view->errors ? "warnings and no errors" : "events yet");
    return files.count == 0 && view->wanted ? EXIT_FAILED : EXIT_OK;
}

static int parse_arguments(const struct arguments *arguments, struct view *view, struct error *err)
{
    uint64_t lines = LINES_DEFAULT;
    const char *number = arguments->values[OPTION_LINES];
    if (number && (!span_to_u64(span_of(number), &lines) || lines == 0 || lines > LINES_MAX))
        return error_set(err, COMMAND_MISUSED,
                         "log: --lines: \"%.64s\" is not a number from 1 to %d", number, LINES_MAX);
    view->wanted = arguments->word_count ? arguments->words[0] : NULL;
    if (view->wanted && strlen(view->wanted) < ID_BEGINNING_MIN)
        return error_set(
            err, COMMAND_MISUSED,
            "log: \"%.64s\" is too short for an id; give at least its first %d characters",
            view->wanted, ID_BEGINNING_MIN);
    view->json = arguments->values[OPTION_JSON];
    view->errors = arguments->values[OPTION_ERRORS];
    view->terminal = isatty(STDOUT_FILENO);
    view->style = (struct log_row_style){
        .colours = colour_wanted(STDOUT_FILENO),
        .whole = view->wanted,
        .relative = view->wanted,
    };
    view->ring_size = lines;
    view->ring = mem_alloc(lines * sizeof *view->ring);
    return 0;
}

static int run(const struct arguments *arguments, struct error *err)
{
    CLEANUP(view_finish) struct view view = {.doc = JSON_INIT};
    CLEANUP(mem_cleanup) char *home = NULL;
    int r = parse_arguments(arguments, &view, err);
    if (r == 0)
        r = settings_find_home(arguments, &home, err);
    return r < 0 ? r : show(&view, home, arguments->values[OPTION_FOLLOW], err);
}

const struct command command_log = {
    .name = "log",
    .words = "[ID]",
    .summary = "Show the latest events, or all about one piece of work",
    .help = "Reads logs/gateway.log of the home and its rotated files. With an ID, or its\n"
            "unambiguous beginning, shows one piece of work from its trigger to its tokens.\n",
    .takes_settings = true,
    COMMAND_OPTIONS({"lines", 'n', "N", "number of events (30)"},
                    {"json", 0, NULL, "print the lines as in the file"},
                    {"follow", 'f', NULL, "follow new events, until Ctrl-C"},
                    {"errors", 0, NULL, "warnings and errors only"}),
    .max_words = 1,
    .run = run,
};
