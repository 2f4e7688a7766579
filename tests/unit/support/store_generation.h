#pragma once

// A file of schema 1 as its program left it: session "a" with two turns of two messages, of which
// the first has ended, and session "b" with nothing. Made by that step and SQL, because the
// operations of today want the schema of today.
void generation_write_first(const char *home);

// Asserts that the file of that home is of the newest schema and holds all that was in it.
void generation_check(const char *home);
