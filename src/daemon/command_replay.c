#include <stdio.h>
#include <string.h>

#include "base/fd.h"
#include "daemon/command.h"
#include "daemon/page.h"
#include "daemon/replay.h"

enum { OPTION_RECORD = OPTION_FIRST_OWN, OPTION_TURN, OPTION_LIVE };

static int run(const struct arguments *arguments, struct error *err)
{
    BUF_AUTO recording = BUF_INIT(REPLAY_FILE_MAX);
    const char *what = arguments->word_count ? arguments->words[0] : NULL;
    if (!what)
        return error_set(err, COMMAND_MISUSED, "replay: a SESSION or FILE.json is needed");
    int r = span_ends_with(span_of(what), ".json")
                ? fd_read_file(what, &recording, err)
                : replay_record(arguments, what, arguments->values[OPTION_TURN], &recording, err);
    if (r == 0 && arguments->values[OPTION_RECORD]) {
        page_print_raw(buf_span(&recording));
        return EXIT_OK;
    }
    if (r == 0)
        r = replay_run(arguments, buf_span(&recording), arguments->values[OPTION_LIVE] != NULL,
                       err);
    if (r < 0)
        return error_wrap(err, "replay");
    if (r == 0)
        puts("The same as recorded.");
    return r ? EXIT_FAILED : EXIT_OK;
}

const struct command command_replay = {
    .name = "replay",
    .words = "[SESSION|FILE.json]",
    .summary = "Do a recorded turn once more, and show what differs",
    .help =
        "The question is asked again; the model's answers and the results of tools are those\n"
        "that were recorded, and only skills are read anew. No call of a tool has an effect.\n\n"
        "  hermes replay --record SESSION > tests/drain.json\n"
        "  hermes replay tests/drain.json\n\n"
        "Status: 0 the same, 1 it differs.\n",
    .takes_settings = true,
    COMMAND_OPTIONS({"record", 0, NULL, "print the recording of a session's turn instead"},
                    {"turn", 0, "ID", "which one (else the last)"},
                    {"live", 0, NULL, "ask the model that is configured, which is paid for"}),
    .max_words = 1,
    .run = run,
};
