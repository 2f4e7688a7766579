#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "codec/multipart.h"

static void a_form_with_a_file(void **state)
{
    (void)state;
    BUF_AUTO out = BUF_INIT(4096);
    multipart_field(&out, "b", "model", SPAN_LITERAL("whisper-1"));
    multipart_file(&out, "b", "file", SPAN_LITERAL("a.oga"));
    buf_append_text(&out, "BYTES");
    multipart_end(&out, "b");
    assert_string_equal(
        buf_text(&out),
        "--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nwhisper-1\r\n"
        "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.oga\"\r\n"
        "Content-Type: application/octet-stream\r\n\r\nBYTES\r\n--b--\r\n");
}

static void a_name_cannot_end_its_field(void **state)
{
    (void)state;
    BUF_AUTO out = BUF_INIT(4096);
    multipart_file(&out, "b", "file", SPAN_LITERAL("a\"\r\nX: y\\\x01\x7f\xc3\xbc"));
    assert_non_null(strstr(buf_text(&out), "filename=\"a___X: y___\xc3\xbc\"\r\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_form_with_a_file),
        cmocka_unit_test(a_name_cannot_end_its_field),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
