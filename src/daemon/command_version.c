#include <stdio.h>

#include "daemon/command.h"
#include "daemon/notices.h"

enum { OPTION_LICENSES };

static int run(const struct arguments *arguments, struct error *err)
{
    if (arguments->values[OPTION_LICENSES])
        fwrite(notices_text, 1, notices_text_len, stdout);
    else
        printf("hermes %s (%s)\n", HERMES_VERSION, HERMES_TARGET);
    return EXIT_OK;
}

const struct command command_version = {
    .name = "version",
    .summary = "Print the version, or the licences",
    COMMAND_OPTIONS(
        {"licenses", 0, NULL, "the licences of Hermes and of everything that is linked in"}),
    .run = run,
};
