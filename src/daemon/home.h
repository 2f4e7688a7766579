#pragma once

#include "base/error.h"

/*
 * The home directory and its lock. One process owns a home: there is one set of budgets and one
 * ledger, so a second one is told who has it.
 */
struct home {
    char *path;      // owned
    char *workspace; // owned; what the file tools see
    char *memories;  // owned; what the memory tool sees
    char *skills;    // owned; what the skills' tool writes
    char *results;   // owned; what read_result sees
    int lock_fd;
};

#define HOME_INIT ((struct home){.lock_fd = -1})

// Makes the directories (0700) and takes the lock. -EBUSY when another process has it. One that
// said home_leave() is waited for, a minute at most; any other half a second, since who it is may
// not be written yet.
int home_open(const char *path, struct home *ret_home, struct error *err);
// Puts before the sentence of a failed write that the user may not write in the home, and what to
// do; where `r` says something else, that stays. Returns it.
int home_explain(const char *path, int r, struct error *err);
// Says to whoever wants the home next that it will be free soon.
void home_leave(const struct home *home);
void home_close(struct home *home); // accepts HOME_INIT
