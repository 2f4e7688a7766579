#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "channels/pairing.h"
#include "daemon/command.h"
#include "daemon/settings.h"

/*
 * Only the files of pairing/ are touched, and those have a lock of their own, so this works beside
 * a running daemon, which reads them anew for every message.
 */
enum { OPTION_JSON = OPTION_FIRST_OWN };

enum { OUTPUT_MAX = 1 << 20 }; // bytes

static const struct command_option options[] = {
    COMMAND_CONFIG_OPTIONS,
    {"json", 0, NULL, "list as JSON, one object"},
    COMMAND_OPTIONS_END,
};

static int fail(const struct error *err)
{
    log_error("pairing: %s", err->text);
    return EXIT_FAILED;
}

static int list(const struct pairing *pairing, bool json)
{
    BUF_AUTO out = BUF_INIT(OUTPUT_MAX);
    struct error err = ERROR_INIT;
    if (pairing_list(pairing, json, &out, &err) < 0)
        return fail(&err);
    if (buf_is_full(&out)) {
        log_error("pairing: the list is larger than %d KiB", OUTPUT_MAX / 1024);
        return EXIT_FAILED;
    }
    fwrite(buf_text(&out), 1, out.len, stdout);
    return EXIT_OK;
}

static int approve(const struct pairing *pairing, const char *code)
{
    BUF_AUTO user = BUF_INIT(256);
    struct error err = ERROR_INIT;
    if (pairing_approve(pairing, span_of(code), &user, &err) < 0)
        return fail(&err);
    printf("The user %s may now talk to Hermes on %s.\n", buf_text(&user), pairing->platform);
    return EXIT_OK;
}

static int revoke_user(const struct pairing *pairing, const char *user)
{
    struct error err = ERROR_INIT;
    if (pairing_revoke(pairing, span_of(user), &err) < 0)
        return fail(&err);
    printf("The user %s is not approved on %s any more. Whom the configuration or "
           "TELEGRAM_ALLOWED_USERS names is allowed all the same.\n",
           user, pairing->platform);
    return EXIT_OK;
}

static int clear_pending(const struct pairing *pairing)
{
    struct error err = ERROR_INIT;
    if (pairing_clear_pending(pairing, &err) < 0)
        return fail(&err);
    printf("No code of %s is valid any more.\n", pairing->platform);
    return EXIT_OK;
}

struct verb {
    const char *name;
    size_t words_min, words_max; // itself included
    const char *usage;
};

static const struct verb verbs[] = {
    {"list", 1, 2, "list [telegram]"},
    {"approve", 3, 3, "approve telegram CODE"},
    {"revoke", 3, 3, "revoke telegram ID"},
    {"clear-pending", 1, 2, "clear-pending [telegram]"},
};

static const struct verb *find_verb(const struct arguments *arguments)
{
    const char *word = arguments->word_count ? arguments->words[0] : "list";
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
        const struct verb *verb = &verbs[i];
        if (strcmp(verb->name, word) != 0)
            continue;
        size_t count = arguments->word_count ? arguments->word_count : 1;
        if (count >= verb->words_min && count <= verb->words_max)
            return verb;
        log_error("pairing: it is hermes pairing %s", verb->usage);
        return NULL;
    }
    log_error("pairing: \"%.64s\" is not one of list, approve, revoke, clear-pending", word);
    return NULL;
}

static int run_verb(const struct verb *verb, const struct arguments *arguments,
                    const struct pairing *pairing)
{
    const char *argument = arguments->word_count > 2 ? arguments->words[2] : "";
    switch (verb - verbs) {
    case 0:
        return list(pairing, arguments->values[OPTION_JSON] != NULL);
    case 1:
        return approve(pairing, argument);
    case 2:
        return revoke_user(pairing, argument);
    default:
        return clear_pending(pairing);
    }
}

static int run(const struct command *command, const struct arguments *arguments)
{
    (void)command;
    const struct verb *verb = find_verb(arguments);
    if (!verb)
        return EXIT_USAGE;
    if (arguments->word_count > 1 && strcmp(arguments->words[1], "telegram") != 0) {
        log_error("pairing: \"%.64s\" is not a platform; telegram is", arguments->words[1]);
        return EXIT_USAGE;
    }
    char *home = NULL;
    struct error err = ERROR_INIT;
    if (settings_find_home(arguments, &home, &err) < 0)
        return fail(&err);
    struct pairing pairing = {.home = home, .platform = "telegram", .clock = &clock_system};
    int status = EXIT_FAILED;
    if (access(home, F_OK) < 0) // or a mistyped one would read as "nobody"
        log_error("pairing: the home %s cannot be looked at: %s", home, strerror(errno));
    else
        status = run_verb(verb, arguments, &pairing);
    free(home);
    return status;
}

const struct command command_pairing = {
    .name = "pairing",
    .words = "[list|approve|revoke|clear-pending] [telegram] [CODE|ID]",
    .summary = "Let people talk to Hermes who asked for it, or no longer",
    .help = "list                    who waits for approval and who is approved (the default)\n"
            "approve telegram CODE   the user who was sent this code is allowed from now on\n"
            "revoke telegram ID      and not any more\n"
            "clear-pending           no code that was sent is valid any more\n",
    .options = options,
    .max_words = 3,
    .run = run,
};
