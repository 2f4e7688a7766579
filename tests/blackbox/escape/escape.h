#pragma once

#include <stddef.h>
#include <sys/types.h>

/*
 * Attempts to get out of a sandbox, each by its name. An attempt returns 0 when it got out, a
 * negated errno value when something held it, and UNSTAGED when it could not even be tried.
 *
 * It needs a kernel and nothing else: no shell, and no library but libc, so that it runs where
 * there is only this file.
 */
enum { UNSTAGED = -100000 };

// What there is outside, as the test has laid it out.
struct scene {
    const char *outside; // a directory of the same user: secret.txt, state.db, target.txt
    pid_t victim;        // a process of the same user
    int port;            // somebody listens on 127.0.0.1
    const char *socket;  // the path of one that listens, and of datagrams with ".dgram" behind it
    const char *address; // an abstract one
};

extern struct scene scene;

struct attempt {
    const char *name;
    int (*run)(void);
};

extern const struct attempt attempts_on_files[];
extern const struct attempt attempts_on_processes[];
extern const struct attempt attempts_on_kernel[];
extern const struct attempt attempts_on_network[];
extern const struct attempt attempts_on_limits[];

const char *outside(const char *name); // its path; static, two of them at a time
int result(long returned);             // 0, or -errno
int read_some(const char *path);       // 0 when there was something to read
