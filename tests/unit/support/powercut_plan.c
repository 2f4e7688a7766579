#include "support/powercut_plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/span.h"

static int64_t number_of(const char *variable, int64_t least, int64_t otherwise)
{
    const char *text = getenv(variable);
    int64_t value = 0;
    return text && span_to_i64(span_of(text), &value) && value >= least ? value : otherwise;
}

bool powercut_takes(int operation, enum powercut_loss loss)
{
    const char *depth = getenv("HERMES_TEST_DEPTH");
    int64_t turn = number_of("HERMES_TEST_TURN", 0, 0);
    return (depth && strcmp(depth, "full") == 0) ||
           (turn + operation) % POWERCUT_LOSSES == (int64_t)loss;
}

int64_t powercut_seeds(void)
{
    return number_of("POWERCUT_SEEDS", 1, 1);
}

void powercut_everywhere(int (*once)(int operation, enum powercut_loss loss, uint64_t seed))
{
    int operations = once(0, POWERCUT_LOSE_ALL, 1);
    int64_t seeds = powercut_seeds();
    int cuts = 0;
    for (int operation = 1; operation <= operations; operation++)
        for (int loss = 0; loss < POWERCUT_LOSSES; loss++)
            for (int64_t seed = 0; powercut_takes(operation, loss) && seed < seeds; seed++, cuts++)
                once(operation, loss, (uint64_t)(operation * 1000 + seed));
    print_message("%d operations, %d cuts\n", operations, cuts);
    assert_true(cuts >= operations);
}
