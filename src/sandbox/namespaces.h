#pragma once

#include "base/error.h"
#include "sandbox/grants.h"

/*
 * Isolation by namespaces of user, mounts, processes, network, IPC and host name, which an
 * unprivileged user may make where the machine allows it. The program sees a tree that is made for
 * it: programs and libraries read-only, the granted paths where they always were, a /proc of its
 * own processes, a /tmp and a /dev of its own. What is not granted does not exist.
 *
 * First namespaces_create(); the process that is forked then is the first of its namespace, and
 * calls namespaces_enter().
 */
int namespaces_create(struct error *err);
int namespaces_enter(const struct grants *grants, struct error *err);

// Does this machine allow them? Tried in a process of its own.
int namespaces_probe(struct error *err);

/*
 * Much less, for a program that its owner trusts: the calling process goes on with all files and
 * the network, but with nothing in place of the `hidden` paths (up to NULL), and without a way back
 * to them: it has no privileges, and may look into no process outside. `shown` stays: a directory,
 * which may lie in the first of them. What this has begun and not brought to an end leaves a
 * process that nobody wants, so it is asked first whether it would work.
 */
int namespaces_hide(const char *const *hidden, const char *shown, struct error *err);
int namespaces_hide_probe(const char *const *hidden, const char *shown, struct error *err);
