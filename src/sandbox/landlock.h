#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "sandbox/grants.h"

/*
 * Isolation by Landlock: the process gives up all rights to files but those that are granted, and
 * with them the right to look into processes outside. Its rules only add, so what lies inside a
 * granted directory cannot be taken away again: /etc is granted file by file.
 *
 * What it does not see: who owns a file and which rights it has (chmod, chown), that a file exists,
 * and before ABI 6 signals. The filter of system calls makes up for that.
 */
enum {
    LANDLOCK_TRUNCATE = 3, // the ABI that sees truncate(2)
    LANDLOCK_SCOPES = 6,   // signals and abstract sockets
};

int landlock_abi(struct error *err); // 1 and up, or negative and why there is none

// `tmp` is a directory of the process's own, or NULL.
int landlock_enter(const struct grants *grants, const char *tmp, struct error *err);

// A domain of the caller's own, around those that processes of its enter later: its kill(-1) then
// reaches all of these and nobody else. Are there such domains?
bool landlock_enclose_signals(void);

// Of a version, for tests: the rights to files, and those among them that reading needs.
uint64_t landlock_rights(int abi);
uint64_t landlock_read_rights(void);
