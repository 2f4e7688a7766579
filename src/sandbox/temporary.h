#pragma once

// A directory for temporary files, beneath $TMPDIR or /tmp; NULL when none can be made there.
char *temporary_make(void);
void temporary_remove(const char *path); // with all that is in it; accepts NULL
void temporary_clear(const char *path);  // what is in it
const char *temporary_place(void);       // $TMPDIR or /tmp
