#pragma once

#include <stdbool.h>

// Colours only where a person looks: `fd` is a terminal that is not "dumb", and NO_COLOR
// (no-color.org) is not set to anything.
bool colour_wanted(int fd);
