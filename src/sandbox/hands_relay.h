#pragma once

#include <stdbool.h>

#include "sandbox/hands_frame.h"

/*
 * The head's side of the hands: a process that stands for a program which runs in their container,
 * and carries its bytes. It holds nothing but its connection, so that whatever comes from there is
 * parsed where there is nothing to be had. When it ends, in whatever way, the program is killed.
 *
 * What became of the program it tells on a descriptor of its own, since its exit status has no room
 * for a sentence. What it has not told its own end does: exit status 125, and why on standard
 * error, when nothing was run.
 */
enum { HANDS_VERDICT_FD = 3 };

// Where the socket is when nobody says: HERMES_HANDS_SOCKET, else where a container has it.
const char *hands_socket(void);

bool hands_verdict_read(int fd, struct hands_end *ret_end);

// Becomes this. The words are the socket, the limits, those of grants, the program's.
int hands_relay(const char *directory, int count, char **words);

// Waits until the hands behind the socket greet, for `patience_ms` at most. *ret_fd may be NULL.
int hands_greet(const char *socket_path, int patience_ms, int *ret_fd,
                struct hands_hello *ret_hello, struct error *err);
