#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "channels/pairing.h"
#include "codec/utf8.h"
#include "daemon/command.h"
#include "daemon/home.h"
#include "daemon/page.h"
#include "daemon/settings.h"

/*
 * Only the files of pairing/ are touched, and those have a lock of their own, so this works beside
 * a running daemon, which reads them anew for every message.
 */
enum { OPTION_JSON = OPTION_FIRST_OWN };

enum { OUTPUT_MAX = 1 << 20, USER_MAX = 256 }; // bytes

static int list(const struct pairing *pairing, const struct arguments *arguments, struct error *err)
{
    BUF_AUTO out = BUF_INIT(OUTPUT_MAX);
    int r = pairing_list(pairing, arguments->values[OPTION_JSON] != NULL, &out, err);
    if (r == 0 && buf_is_full(&out))
        r = error_set(err, -EFBIG, "the list is larger than %d KiB", OUTPUT_MAX / 1024);
    if (r == 0)
        fwrite(buf_text(&out), 1, out.len, stdout);
    return r;
}

static int approve(const struct pairing *pairing, const struct arguments *arguments,
                   struct error *err)
{
    BUF_AUTO user = BUF_INIT(USER_MAX);
    BUF_AUTO shown = BUF_INIT(USER_MAX * UTF8_BYTES_MAX);
    int r = pairing_approve(pairing, span_of(arguments->words[2]), &user, err);
    page_clean(buf_span(&user), true, &shown);
    if (r == 0)
        printf("The user %s may now talk to Hermes on %s.\n", buf_text(&shown), pairing->platform);
    return r;
}

static int revoke_user(const struct pairing *pairing, const struct arguments *arguments,
                       struct error *err)
{
    int r = pairing_revoke(pairing, span_of(arguments->words[2]), err);
    if (r == 0)
        printf("The user %s is no longer approved on %s. Users in the configuration or "
               "TELEGRAM_ALLOWED_USERS are still allowed.\n",
               arguments->words[2], pairing->platform);
    return r;
}

static int clear_pending(const struct pairing *pairing, const struct arguments *arguments,
                         struct error *err)
{
    int r = pairing_clear_pending(pairing, err);
    if (r == 0)
        printf("No code of %s is valid any longer.\n", pairing->platform);
    return r;
}

static const struct verb {
    const char *name;
    size_t words_min, words_max; // itself included
    const char *usage;
    int (*run)(const struct pairing *pairing, const struct arguments *arguments, struct error *err);
} verbs[] = {
    {"list", 0, 2, "list [telegram]", list},
    {"approve", 3, 3, "approve telegram CODE", approve},
    {"revoke", 3, 3, "revoke telegram ID", revoke_user},
    {"clear-pending", 1, 2, "clear-pending [telegram]", clear_pending},
};

static int run(const struct arguments *arguments, struct error *err)
{
    const char *word = arguments->word_count ? arguments->words[0] : "list";
    const struct verb *verb = verbs, *end = verbs + ARRAY_LEN(verbs);
    CLEANUP(mem_cleanup) char *home = NULL;
    while (verb < end && strcmp(verb->name, word) != 0)
        verb++;
    if (verb == end)
        return error_set(err, COMMAND_MISUSED,
                         "pairing: \"%.64s\" is not one of list, approve, revoke, clear-pending",
                         word);
    if (arguments->word_count < verb->words_min || arguments->word_count > verb->words_max)
        return error_set(err, COMMAND_MISUSED, "pairing: usage: hermes pairing %s", verb->usage);
    if (arguments->word_count > 1 && strcmp(arguments->words[1], "telegram") != 0)
        return error_set(err, COMMAND_MISUSED, "pairing: \"%.64s\" is not a platform; telegram is",
                         arguments->words[1]);
    int r = settings_find_home(arguments, &home, err);
    if (r == 0 && access(home, F_OK) < 0) // or a mistyped one would read as "nobody"
        r = error_errno(err, errno, "the home %s cannot be looked at", home);
    struct pairing pairing = {.home = home, .platform = "telegram", .clock = &clock_system};
    if (r == 0)
        r = verb->run(&pairing, arguments, err);
    if (verb->words_min) // it writes
        r = home_explain(home, r, err);
    return r < 0 ? error_wrap(err, "pairing") : EXIT_OK;
}

const struct command command_pairing = {
    .name = "pairing",
    .words = "[list|approve|revoke|clear-pending] [telegram] [CODE|ID]",
    .summary = "Approve or revoke people who asked to talk to Hermes",
    .help = "list                    list waiting and approved users (the default)\n"
            "approve telegram CODE   allow the user with this code\n"
            "revoke telegram ID      stop allowing that user\n"
            "clear-pending           make all codes invalid\n",
    .takes_settings = true,
    COMMAND_OPTIONS({"json", 0, NULL, "list as JSON, one object"}),
    .max_words = 3,
    .run = run,
};
