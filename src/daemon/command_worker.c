#include "daemon/command.h"
#include "sandbox/worker.h"
#include "tools/toolbox.h"

static int run(const struct command *command, const struct arguments *arguments)
{
    (void)command;
    if (arguments->word_count != 2)
        return EXIT_USAGE;
    return worker_main(arguments->words[0], arguments->words[1], toolbox_work);
}

const struct command command_worker = {
    .name = "worker",
    .words = "DIRECTORY BYTES",
    .summary = "Run one tool for another Hermes process",
    .max_words = 2,
    .hidden = true,
    .run = run,
};
