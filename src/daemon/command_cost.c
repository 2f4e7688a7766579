#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "codec/suggest.h"
#include "codec/url.h"
#include "daemon/command.h"
#include "daemon/cost_page.h"
#include "daemon/main_model.h"
#include "daemon/owner.h"
#include "daemon/page.h"
#include "daemon/settings.h"
#include "daemon/terminal.h"
#include "router/plan/plan.h"
#include "serve/control.h"

enum { DAYS_MAX = 3660 };

enum { OPTION_BY = OPTION_FIRST_OWN, OPTION_DAYS, OPTION_JSON, OPTION_CSV };

static const struct command_option options[] = {
    COMMAND_CONFIG_OPTIONS,
    {"by", 'b', "WHAT", "model (the default), slot, session, key, job or day"},
    {"days", 'd', "N", "number of days, today included (30)"},
    {"json", 0, NULL, "as JSON, for programs"},
    {"csv", 0, NULL, "the sums as comma-separated values"},
    COMMAND_OPTIONS_END,
};

static const char *const by_words[] = {"model", "slot", "session", "key", "job", "day"};

static bool is_by(const char *word)
{
    for (size_t i = 0; i < ARRAY_LEN(by_words); i++)
        if (strcmp(by_words[i], word) == 0)
            return true;
    return false;
}

static int make_costs_path(const struct arguments *arguments, struct buf *path, struct error *err)
{
    const char *by = arguments->values[OPTION_BY] ? arguments->values[OPTION_BY] : "model";
    const char *wanted = arguments->values[OPTION_DAYS] ? arguments->values[OPTION_DAYS] : "30";
    int64_t days = 0;
    if (!is_by(by)) {
        const char *near = suggest_nearest(span_of(by), by_words, ARRAY_LEN(by_words));
        return error_set(err, -EINVAL,
                         "--by takes model, slot, session, key, job or day, not \"%.64s\"%s%s", by,
                         near ? "; did you mean " : "", near ? near : "");
    }
    if (!span_to_i64(span_of(wanted), &days) || days < 1 || days > DAYS_MAX)
        return error_set(err, -EINVAL, "--days takes a number from 1 to %d, not \"%.64s\"",
                         DAYS_MAX, wanted);
    buf_printf(path, "/cost/%s/%" PRId64, by, days);
    return 0;
}

static int make_why_path(const char *id, struct buf *path, struct error *err)
{
    buf_append_text(path, "/calls/");
    url_encode(span_of(id), path);
    return buf_is_full(path) ? error_set(err, -EINVAL, "that is not a call's id") : 0;
}

// NULL where the configuration cannot be read: then days are those of UTC, and the page says so.
static struct router_plan *find_plan(const struct arguments *arguments)
{
    struct settings settings = {0};
    struct router_plan *plan = NULL;
    if (settings_load(arguments, &settings, NULL) < 0)
        return NULL;
    main_model_plan(&settings, &plan, NULL, NULL);
    settings_finish(&settings);
    return plan;
}

static int tell(const struct arguments *arguments, const char *home, const char *path, bool why,
                struct error *err)
{
    BUF_AUTO body = BUF_INIT(CONTROL_ANSWER_MAX);
    JSON_AUTO document = JSON_INIT;
    struct router_plan *plan = find_plan(arguments);
    int r = owner_ask_cost(home, path, plan, &body, err);
    router_plan_unref(plan);
    if (r == 0)
        r = json_parse(&document, buf_span(&body), err);
    if (r < 0)
        return r;
    if (arguments->values[OPTION_JSON])
        page_print_raw(buf_span(&body)); // one line of JSON already
    else if (why)
        cost_page_why(json_root(&document));
    else if (arguments->values[OPTION_CSV])
        cost_page_csv(json_root(&document));
    else
        cost_page_show(json_root(&document), terminal_columns());
    return 0;
}

// NULL when the words make sense.
static const char *complaint(const struct arguments *arguments, bool why)
{
    if (arguments->word_count && !why)
        return "cost takes no argument but why: hermes cost why ID";
    if (why && (arguments->word_count < 2 || !*arguments->words[1]))
        return "cost why needs an id; hermes cost lists the costliest calls";
    if (why && arguments->values[OPTION_CSV])
        return "cost why has no --csv; use --json";
    if (arguments->values[OPTION_JSON] && arguments->values[OPTION_CSV])
        return "cost: use either --json or --csv";
    return NULL;
}

static int run(const struct arguments *arguments, struct error *err)
{
    bool why = arguments->word_count && strcmp(arguments->words[0], "why") == 0;
    const char *sentence = complaint(arguments, why);
    CLEANUP(mem_cleanup) char *home = NULL;
    BUF_AUTO path = BUF_INIT(URL_BYTES_MAX);
    if (sentence)
        return error_set(err, COMMAND_MISUSED, "%s", sentence);
    if ((why ? make_why_path(arguments->words[1], &path, err)
             : make_costs_path(arguments, &path, err)) < 0) {
        error_wrap(err, "cost");
        return COMMAND_MISUSED;
    }
    int r = settings_find_home(arguments, &home, err);
    return r < 0 ? r : tell(arguments, home, buf_text(&path), why, err);
}

const struct command command_cost = {
    .name = "cost",
    .words = "[why ID]",
    .summary = "Show what was spent, and why a call was costly",
    .help = "Without an argument: today, this month, the last days and the costliest calls.\n\n"
            "why     one call: its attempts, and what made it costly. The beginning of an ID\n"
            "        is enough.\n\n"
            "Sums by session and by job reach back as far as single calls are kept\n"
            "(router.ledger_days), the others to the beginning. A call counts when it ends.\n",
    .options = options,
    .max_words = 2,
    .run = run,
};
