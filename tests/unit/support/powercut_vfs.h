#pragma once

#include <stdbool.h>
#include <stdint.h>

/*
 * A SQLite VFS, "powercut", over the real one: it knows for every file what a disk is bound to
 * still hold when the power goes (what was synced), and what it may or may not hold. One per
 * process. Temporary files are the real one's.
 */

enum powercut_loss {
    POWERCUT_LOSE_ALL,    // nothing survives that was not synced
    POWERCUT_LOSE_LAST,   // only the last operation on each file is lost in part
    POWERCUT_LOSE_SUFFIX, // what comes after some point is lost, per file
    POWERCUT_LOSE_RANDOM, // any sector and any directory entry may be lost, independently
    POWERCUT_LOSSES,      // how many kinds there are
};

void powercut_register(void);

// Forgets everything; the files that are opened next count as synced, and there is power.
void powercut_start(void);

// Power goes in the middle of the n-th operation that changes something (1 is the next); from then
// on everything fails. 0 is never.
void powercut_cut_at(int operation);
bool powercut_is_off(void);
int powercut_operations(void); // since the start
int powercut_syncs(void);      // xSync calls since the start

// Files may grow by so many bytes in all before the disk is full; negative is without end.
void powercut_set_room(int64_t bytes);

// Every read takes so long, as from a slow card.
void powercut_set_read_delay(int microseconds);

// After all files were closed: leaves in their place what the disk holds after the cut.
void powercut_settle(enum powercut_loss loss, uint64_t seed);
