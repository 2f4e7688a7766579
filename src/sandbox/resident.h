#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/list.h"
#include "loop/loop.h"

/*
 * How much memory is resident of whole sessions, and of how many processes: /proc is read a few
 * times a second as long as anybody is watched, a part of it in each pass of the loop. A page that
 * several processes share is counted for each.
 */
struct resident;

struct resident_watch {
    struct list link; // resident::watches; initialised
    pid_t session;
    int64_t bytes, processes; // at the last look
    int64_t held;             // bytes at the last look that saw all
    bool counts, counted;     // since its beginning; to its end
    bool shares;              // has a part in what several may have together
    bool kills;               // every process of the session that is seen, but this:
    pid_t spared;             // it kills the others too, at one blow, and then ends
    void (*on_count)(void *context);
    void *context;
};

// What a /proc/PID/stat says. False of the dead; one that lives may have no page.
bool resident_parse(const char *stat, pid_t *ret_session, int64_t *ret_pages);

struct resident *resident_create(struct loop *loop);
void resident_destroy(struct resident *resident); // when nobody is watched; accepts NULL

// The session and the callback are set; the watch stays where it is until it is removed.
void resident_add(struct resident *resident, struct resident_watch *watch);
void resident_remove(struct resident_watch *watch); // accepts one that is not watched

// What those that share have together, at the last look; and has none of them more than this one?
// Those that are being killed do not count.
int64_t resident_shared(const struct resident *resident);
bool resident_is_largest(const struct resident *resident, const struct resident_watch *watch);

// Kills whatever is watched, now, and waits a moment until it is dead. Nobody is called.
void resident_kill(struct resident *resident);
