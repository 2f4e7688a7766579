#include "agent/turn_steering.h"

#include <errno.h>
#include <stdlib.h>

#include "agent/turn.h"
#include "base/mem.h"

// What the user says while the turn runs.

void turn_steering_forget(struct turn *turn, bool only_taken)
{
    list_for_each(link, &turn->steering) {
        struct turn_steering *steering = list_entry(link, struct turn_steering, link);
        if (only_taken && !steering->taken)
            continue;
        list_remove(link);
        free(steering->text);
        free(steering);
    }
}

int64_t *turn_steering_unheard(const struct turn *turn, size_t *ret_count)
{
    size_t count = 0, capacity = 0;
    int64_t *numbers = NULL;
    list_for_each(link, &turn->steering) {
        numbers = mem_grow(numbers, count, &capacity, sizeof *numbers);
        numbers[count++] = list_entry(link, struct turn_steering, link)->inbox;
    }
    *ret_count = count;
    return numbers;
}

int agent_turn_steer(struct agent *agent, turn_id id, struct span text, bool tainted, int64_t inbox)
{
    struct turn *turn = turn_find(agent, id);
    if (!turn || turn->state >= TURN_DONE)
        return -ENOENT;
    struct turn_steering *steering = mem_new(struct turn_steering);
    steering->inbox = inbox;
    steering->tainted = tainted;
    steering->text = mem_strndup(text.data, text.len);
    list_append(&turn->steering, &steering->link);
    return 0;
}
