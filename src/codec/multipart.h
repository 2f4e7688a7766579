#pragma once

#include "base/buf.h"
#include "base/span.h"

/*
 * multipart/form-data (RFC 7578): fields, then one file, whose bytes are put between what
 * multipart_file() and multipart_end() append. The boundary is the caller's, and at random.
 */
void multipart_field(struct buf *out, const char *boundary, const char *name, struct span value);
// What would end the quoted file name is taken out of it.
void multipart_file(struct buf *out, const char *boundary, const char *name, struct span file_name);
void multipart_end(struct buf *out, const char *boundary);
