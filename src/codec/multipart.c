#include "codec/multipart.h"

static void head(struct buf *out, const char *boundary, const char *name)
{
    buf_printf(out, "--%s\r\nContent-Disposition: form-data; name=\"%s\"", boundary, name);
}

void multipart_field(struct buf *out, const char *boundary, const char *name, struct span value)
{
    head(out, boundary, name);
    buf_append_text(out, "\r\n\r\n");
    buf_append_span(out, value);
    buf_append_text(out, "\r\n");
}

void multipart_file(struct buf *out, const char *boundary, const char *name, struct span file_name)
{
    head(out, boundary, name);
    buf_append_text(out, "; filename=\"");
    for (size_t i = 0; i < file_name.len; i++) {
        unsigned char c = (unsigned char)file_name.data[i];
        buf_append_char(out, c < ' ' || c == '"' || c == '\\' || c == 127 ? '_' : (char)c);
    }
    buf_append_text(out, "\"\r\nContent-Type: application/octet-stream\r\n\r\n");
}

void multipart_end(struct buf *out, const char *boundary)
{
    buf_printf(out, "\r\n--%s--\r\n", boundary);
}
