#include "daemon/command.h"
#include "sandbox/worker.h"
#include "tools/toolbox.h"

static int run(const struct command *command, const struct arguments *arguments)
{
    (void)command;
    if (arguments->word_count != 1)
        return EXIT_USAGE;
    return worker_main(arguments->words[0], toolbox_work);
}

const struct command command_worker = {
    .name = "worker",
    .words = "DIRECTORY",
    .summary = "Run one tool for another Hermes process",
    .max_words = 1,
    .hidden = true,
    .run = run,
};
