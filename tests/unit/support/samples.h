#pragma once

#include "base/buf.h"

// Files of tests/unit/samples/: what servers send, made by hand after their documentation. They are
// looked for upwards of this program and of the working directory, or in HERMES_TEST_SAMPLES. A
// stream (.sse) ends in the blank line with which the file, being text, does not.
void sample_read(const char *name, struct buf *out);
