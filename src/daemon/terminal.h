#pragma once

#include <stdbool.h>

/*
 * The terminal in the state a line editor needs: no echo, keys as they come, Ctrl-C as a key.
 * Output processing stays on, so that what others print keeps its line ends.
 */
bool terminal_begin(void); // false when standard input is none
void terminal_end(void);   // puts back what was; may be called twice
unsigned terminal_columns(void);
