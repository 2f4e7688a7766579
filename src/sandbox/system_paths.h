#pragma once

// What every program is made of, up to NULL each; not all of it is on every machine.
extern const char *const system_programs[];     // directories, to read and to execute from
extern const char *const system_files_of_etc[]; // to read
extern const char
    *const system_files_of_kernel[];       // the same, where it is not in a /proc of its own
extern const char *const system_devices[]; // to read and to write
