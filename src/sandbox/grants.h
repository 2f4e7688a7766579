#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/*
 * What a program in the sandbox may touch, as its owner says it and as the process that puts the
 * layers on reads it again from its command line.
 */
enum isolation_kind {
    ISOLATION_AUTO,
    ISOLATION_NAMESPACES,
    ISOLATION_LANDLOCK,
    ISOLATION_HANDS,     // the program runs in another container, see hands.h
    ISOLATION_CONTAINER, // this one, which holds nothing that it must not touch: of hands only
};

// Never a socket: what is let out goes through a proxy of the daemon.
enum network_kind { NETWORK_NONE, NETWORK_PROXY };

// Each can be left off, which is for tests of the others and for who must.
enum sandbox_layer {
    LAYER_PRIVILEGES = 1 << 0, // none to gain, no capabilities
    LAYER_SECCOMP = 1 << 1,
    LAYER_FILES = 1 << 2,   // one of the isolations
    LAYER_LIMITS = 1 << 3,  // of processor time, files, processes
    LAYER_SESSION = 1 << 4, // nothing outlives the program
};

enum { GRANTS_PATHS_MAX = 64 }; // to read, and to write

struct grants {
    enum isolation_kind isolation;
    const char *hands; // the socket of the hands, which is said to nobody else
    enum network_kind network;
    unsigned without;         // layers
    int64_t tasks;            // processes and threads at a time; 0: no limit
    int64_t tmp;              // bytes of /tmp, where it is memory
    int64_t disk;             // bytes that may be taken of one; 0: what always stays free is all
    const char *const *read;  // paths, up to NULL; beyond what programs are made of (/usr ...)
    const char *const *write; // the same, to read as well
};

const char *isolation_name(enum isolation_kind kind);
bool isolation_parse(const char *word, enum isolation_kind *ret_kind);
bool sandbox_layer_parse(const char *word, enum sandbox_layer *ret_layer);

// As words for a command line, up to NULL; the caller frees them and their array.
char **grants_to_words(const struct grants *grants);
// From such words; the arrays and how many words were taken are in `ret`. Paths stay the caller's.
struct grants_read {
    struct grants grants;
    const char **read, **write; // owned
    int taken;
};
int grants_from_words(int count, char **words, struct grants_read *ret);
void grants_read_finish(struct grants_read *read);
