#include "support/command_table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

void command_table_expect(const char *const *commands, size_t count, enum command_verdict verdict)
{
    size_t wrong = 0;
    for (size_t i = 0; i < count; i++) {
        struct command_judgement judged = command_judge(span_of(commands[i]), NULL);
        if (judged.verdict == verdict && !judged.why[0] == (verdict == COMMAND_PLAIN))
            continue;
        print_error("%d, not %d: %s (%s)\n", judged.verdict, verdict, commands[i], judged.why);
        wrong++;
    }
    assert_int_equal(wrong, 0);
}
