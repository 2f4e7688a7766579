#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "codec/document.h"
#include "daemon/command.h"
#include "daemon/control_client.h"
#include "daemon/cron_commands.h"
#include "daemon/owner.h"
#include "daemon/page.h"
#include "serve/control.h"

enum {
    OPTION_NAME = OPTION_FIRST_OWN,
    OPTION_DELIVER,
    OPTION_FAILURE_DELIVER,
    OPTION_SKILL,
    OPTION_CONTEXT,
    OPTION_SCRIPT,
    OPTION_MONITOR,
    OPTION_NO_AGENT,
    OPTION_REPEAT,
    OPTION_PAUSED,
    OPTION_SCHEDULE,
    OPTION_PROMPT,
    OPTION_JSON,
};

enum { REQUEST_MAX = 256 * 1024, PATIENCE_MS = 10 * 1000 };

static void add_list(const struct arguments *arguments, int option, const char *key,
                     struct node root)
{
    struct node list = {0};
    for (size_t i = 0; i < arguments->given_count; i++) {
        if (arguments->given[i].option != option)
            continue;
        if (!list.doc)
            list = node_add_array(root, key);
        node_add_text(list, NULL, arguments->given[i].value);
    }
}

static int add_repeat(const char *text, struct node root, struct error *err)
{
    int64_t times;
    if (!text)
        return 0;
    if (!span_to_i64(span_of(text), &times) || times < 0)
        return error_set(err, COMMAND_MISUSED, "cron: --repeat is a number of runs, not \"%.64s\"",
                         text);
    node_add_int(root, "repeat", times);
    return 0;
}

static int add_options(const struct arguments *arguments, struct node root, struct error *err)
{
    static const struct {
        int option;
        const char *key;
    } texts[] = {
        {OPTION_NAME, "name"},         {OPTION_DELIVER, "deliver"},
        {OPTION_SCRIPT, "script"},     {OPTION_FAILURE_DELIVER, "failure_deliver"},
        {OPTION_MONITOR, "monitor"},   {OPTION_MODEL, "model"},
        {OPTION_SCHEDULE, "schedule"}, {OPTION_PROMPT, "prompt"},
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        if (arguments->values[texts[i].option])
            node_add_text(root, texts[i].key, arguments->values[texts[i].option]);
    if (arguments->values[OPTION_NO_AGENT])
        node_add_bool(root, "no_agent", true);
    if (arguments->values[OPTION_PAUSED])
        node_add_bool(root, "paused", true);
    if (arguments->values[OPTION_JSON])
        node_add_bool(root, "json", true);
    add_list(arguments, OPTION_SKILL, "skills", root);
    add_list(arguments, OPTION_CONTEXT, "context_from", root);
    return add_repeat(arguments->values[OPTION_REPEAT], root, err);
}

static int write_request(const struct arguments *arguments, struct buf *out, struct error *err)
{
    DOCUMENT_AUTO doc = DOCUMENT_INIT(4 * REQUEST_MAX);
    struct node root = document_object(&doc);
    const char *const *words = arguments->words;
    const char *action = arguments->word_count ? words[0] : "list";
    bool adds = strcmp(action, "add") == 0 || strcmp(action, "create") == 0;
    size_t most = adds ? 3 : 2;
    if (arguments->word_count > most)
        return error_set(err, COMMAND_MISUSED,
                         "cron: \"%.64s\" is one word too many; put what has blanks into quotes",
                         words[most]);
    struct error wrong = ERROR_INIT;
    if (cron_words_check(span_of(action), arguments->word_count > 1, &wrong) < 0)
        return error_set(err, COMMAND_MISUSED, "cron: %s", wrong.text);
    if (adds && arguments->word_count < 2 && !arguments->values[OPTION_SCHEDULE])
        return error_set(err, COMMAND_MISUSED,
                         "cron: it is \"add WHEN WHAT\", such as: hermes cron add \"daily at 7am\" "
                         "\"Tell me the news\"");
    node_add_text(root, "action", action);
    if (adds && arguments->word_count > 1)
        node_add_text(root, "schedule", words[1]);
    if (adds && arguments->word_count > 2)
        node_add_text(root, "prompt", words[2]);
    if (!adds && arguments->word_count > 1)
        node_add_text(root, "job_id", words[1]);
    int r = add_options(arguments, root, err);
    return r < 0 ? r : document_print(&doc, out, err);
}

// No hermes runs: jobs can be changed nevertheless, and what was can be read.
static int ask_here(const struct settings *settings, struct span request, struct buf *out,
                    struct error *err)
{
    STORE_ONLY_AUTO only = {.home = HOME_INIT};
    JSON_AUTO doc = JSON_INIT;
    int r = store_only_open(settings->home, &only, err);
    if (r < 0)
        return r;
    struct scheduler_env env = {.loop = only.loop, .store = only.store, .home = only.home.path};
    cron_settings(settings, &env);
    struct scheduler *scheduler = scheduler_create(&env);
    r = json_parse(&doc, request, err);
    if (r == 0)
        r = scheduler_ask(scheduler, json_root(&doc), NULL, out, err);
    scheduler_destroy(scheduler);
    if (r == 0)
        buf_append_char(out, '\n');
    return r;
}

static bool waits_for_its_time(const struct arguments *arguments)
{
    static const char *const actions[] = {"add", "create", "edit", "resume", "run"};
    for (size_t i = 0; i < ARRAY_LEN(actions); i++)
        if (arguments->word_count && strcmp(arguments->words[0], actions[i]) == 0)
            return true;
    return false;
}

static int ask(const struct arguments *arguments, struct span request, struct buf *out,
               struct error *err)
{
    CLEANUP(settings_finish) struct settings settings = {0};
    BUF_AUTO body = BUF_INIT(CONTROL_ANSWER_MAX);
    DOCUMENT_AUTO doc = DOCUMENT_INIT(CONTROL_ANSWER_MAX);
    struct arguments plain = *arguments;
    plain.values[OPTION_MODEL] = NULL; // it is the job's
    int r = settings_load(&plain, &settings, err);
    if (r == 0)
        r = control_client_post(settings.home, "/cron", request, PATIENCE_MS, &body, err);
    if (r == CONTROL_NO_OWNER) {
        r = ask_here(&settings, request, out, err);
        if (r == 0 && waits_for_its_time(arguments))
            log_info("no \"hermes run\" uses this home at the moment; jobs wait until one does");
        return r;
    }
    if (r == 0 && arguments->values[OPTION_JSON]) {
        buf_append_span(out, buf_span(&body));
    } else if (r == 0) {
        r = document_read(&doc, buf_span(&body), err);
        const char *text = node_text(node_get(document_root(&doc), "text"));
        buf_printf(out, "%s\n", text ? text : "");
    }
    return r;
}

static int run(const struct arguments *arguments, struct error *err)
{
    BUF_AUTO request = BUF_INIT(REQUEST_MAX), out = BUF_INIT(CONTROL_ANSWER_MAX);
    int r = write_request(arguments, &request, err);
    if (r == 0)
        r = ask(arguments, buf_span(&request), &out, err);
    if (r < 0)
        return r;
    page_print_raw(buf_span(&out));
    return EXIT_OK;
}

const struct command command_cron = {
    .name = "cron",
    .words = "[list|add WHEN WHAT|show|edit|run|pause|resume|remove|history] [JOB]",
    .summary = "Keep scheduled jobs: what Hermes does by itself, and when",
    .help =
        "list     the jobs, when each is next, and which fail (the default)\n"
        "add      a job: WHEN is like \"every 2h\", \"in 30m\", \"daily at 7am\", \"weekdays at "
        "9am\",\n"
        "         \"0 9 * * 1-5\" or 2027-02-03T14:00; WHAT is what the model is asked\n"
        "show     one job; JOB is its id, the beginning of it, or its name\n"
        "edit     change it: --schedule, --prompt and the other options\n"
        "run      it now; pause, resume, remove it\n"
        "history  what became of the last runs, of all jobs or of one\n",
    .takes_settings = true,
    COMMAND_OPTIONS(
        {"name", 0, "NAME", "what the job is called"},
        {"deliver", 'd', "WHERE", "local, telegram, telegram:CHAT[:THREAD], by commas"},
        {"failure-deliver", 0, "WHERE", "failures; else as --deliver"},
        {"skill", 0, "NAME", "the job works by that skill; may be repeated"},
        {"context-from", 0, "JOB", "the last answer of that job is told; may be repeated"},
        {"script", 0, "FILE", "of scripts/ in the home: runs before the model"},
        {"monitor", 0, "WHAT", "URL, SERVER:/path or script: run only on a change"},
        {"no-agent", 0, NULL, "the script alone, without a model"},
        {"repeat", 0, "N", "so many runs"}, {"paused", 0, NULL, "add: it waits for resume"},
        {"schedule", 0, "WHEN", "edit: another one"}, {"prompt", 0, "WHAT", "edit: another one"},
        {"json", 0, NULL, "as JSON, for programs"}),
    .max_words = 3,
    .run = run,
};
