#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "mcp/param_headers.h"

#define SCHEMA(properties) "{\"type\":\"object\",\"properties\":{" properties "}}"
#define MARKED(key, type, name) "\"" key "\":{\"type\":\"" type "\",\"x-mcp-header\":\"" name "\"}"

static char *lines_of(const char *schema, const char *arguments, struct error *err)
{
    JSON_AUTO doc = JSON_INIT, given = JSON_INIT;
    char **lines = NULL;
    BUF_AUTO text = BUF_INIT(1 << 20);
    assert_int_equal(json_parse(&doc, span_of(schema), NULL), 0);
    assert_int_equal(json_parse(&given, span_of(arguments), NULL), 0);
    if (mcp_param_headers(json_root(&doc), json_root(&given), &lines, err) < 0)
        return NULL;
    for (size_t i = 0; lines[i]; i++)
        buf_printf(&text, "%s\n", lines[i]);
    mcp_lines_free(lines);
    return buf_take_text(&text);
}

static void gives(const char *type, const char *value, const char *line)
{
    struct error err = ERROR_INIT;
    CLEANUP(mem_cleanup)
    char *schema = mem_printf(SCHEMA("\"p\":{\"type\":\"%s\",\"x-mcp-header\":\"Place\"}"), type);
    CLEANUP(mem_cleanup) char *arguments = mem_printf("{\"p\":%s,\"q\":\"\"}", value);
    CLEANUP(mem_cleanup) char *lines = lines_of(schema, arguments, &err);
    assert_non_null(lines);
    assert_string_equal(lines, line);
}

static void values(void **state)
{
    gives("string", "\"us-west1\"", "Mcp-Param-Place: us-west1\n");
    gives("string", "\"a b\"", "Mcp-Param-Place: a b\n");
    gives("string", "\"\"", "Mcp-Param-Place: \n");
    gives("string", "\"Hello, \xe4\xb8\x96\xe7\x95\x8c\"",
          "Mcp-Param-Place: =?base64?SGVsbG8sIOS4lueVjA==?=\n");
    gives("string", "\" padded \"", "Mcp-Param-Place: =?base64?IHBhZGRlZCA=?=\n");
    gives("string", "\"line1\\nline2\"", "Mcp-Param-Place: =?base64?bGluZTEKbGluZTI=?=\n");
    gives("string", "\"a\\r\\nX: y\"", "Mcp-Param-Place: =?base64?YQ0KWDogeQ==?=\n");
    gives("string", "\"\\t\"", "Mcp-Param-Place: =?base64?CQ==?=\n");
    gives("string", "\"=?base64?literal?=\"",
          "Mcp-Param-Place: =?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?=\n");
    gives("string", "\"=?base64?\"", "Mcp-Param-Place: =?base64?\n");
    gives("string", "\"a\\u0000b\"", "Mcp-Param-Place: =?base64?YQBi?=\n");
    gives("integer", "-7", "Mcp-Param-Place: -7\n");
    gives("integer", "9007199254740991", "Mcp-Param-Place: 9007199254740991\n");
    gives("integer", "42.0", "Mcp-Param-Place: 42.0\n");
    gives("boolean", "true", "Mcp-Param-Place: true\n");
    gives("boolean", "false", "Mcp-Param-Place: false\n");
    gives("string", "null", "");
    gives("string", "[1]", "");
    gives("string", "{\"a\":1}", "");
}

static void places(void **state)
{
    static const char schema[] = "{\"properties\":{" MARKED(
        "a", "string", "A") ",\"x-mcp-header\":{\"type\":\"string\"},"
                            "\"o\":{\"properties\":{" MARKED(
                                "b", "boolean", "B") ","
                                                     "\"properties\":{\"properties\":{" MARKED(
                                                         "c", "integer", "C") "}}}}}}";
    struct error err = ERROR_INIT;
    CLEANUP(mem_cleanup)
    char *lines = lines_of(
        schema, "{\"b\":true,\"o\":{\"b\":false,\"properties\":{\"c\":3}},\"x-mcp-header\":\"x\"}",
        &err);
    assert_string_equal(lines, "Mcp-Param-B: false\nMcp-Param-C: 3\n");
    CLEANUP(mem_cleanup) char *none = lines_of("true", "{}", &err);
    assert_string_equal(none, "");
}

static void schemas_that_leave_a_tool_out(void **state)
{
    static const char *const schemas[] = {
        SCHEMA(MARKED("a", "string", "")),
        SCHEMA(MARKED("a", "string", "My Region")),
        SCHEMA(MARKED("a", "string", "Re:gion")),
        SCHEMA(MARKED("a", "string", "R\\u00e9gion")),
        SCHEMA(MARKED("a", "string", "Region\\r\\nX")),
        SCHEMA("\"a\":{\"type\":\"string\",\"x-mcp-header\":7}"),
        SCHEMA("\"a\":{\"type\":\"string\",\"x-mcp-header\":null}"),
        SCHEMA(MARKED("a", "number", "A")),
        SCHEMA(MARKED("a", "array", "A")),
        SCHEMA(MARKED("a", "object", "A")),
        SCHEMA(MARKED("a", "null", "A")),
        SCHEMA("\"a\":{\"x-mcp-header\":\"A\"}"),
        SCHEMA(MARKED("a", "string", "Region") "," MARKED("b", "string", "rEGION")),
        SCHEMA("\"l\":{\"type\":\"array\",\"items\":{\"type\":\"string\",\"x-mcp-header\":\"A\"}}"),
        SCHEMA("\"l\":{\"type\":\"array\",\"items\":" SCHEMA(MARKED("a", "string", "A")) "}"),
        "{\"type\":\"object\",\"oneOf\":[" SCHEMA(MARKED("a", "string", "A")) "]}",
        "{\"$defs\":{\"d\":" SCHEMA(MARKED("a", "string", "A")) "}}",
        "{\"type\":\"string\",\"x-mcp-header\":\"A\"}",
    };
    for (size_t i = 0; i < ARRAY_LEN(schemas); i++) {
        struct error err = ERROR_INIT;
        char *lines = lines_of(schemas[i], "{\"a\":\"x\"}", &err);
        if (lines)
            fail_msg("%s was taken: %s", schemas[i], lines);
        assert_non_null(strstr(err.text, "an x-mcp-header of its input schema "));
    }
}

static void bounds(void **state)
{
    BUF_AUTO schema = BUF_INIT(1 << 20);
    struct error err = ERROR_INIT;
    buf_append_text(&schema, "{\"properties\":{");
    for (int i = 0; i <= MCP_PARAM_HEADERS_MAX; i++)
        buf_printf(&schema, "%s\"p%d\":{\"type\":\"string\",\"x-mcp-header\":\"P%d\"}",
                   i ? "," : "", i, i);
    buf_append_text(&schema, "}}");
    assert_null(lines_of(buf_text(&schema), "{}", &err));
    CLEANUP(mem_cleanup) char *long_one = mem_printf("{\"a\":\"%05000d\"}", 0);
    assert_null(lines_of(SCHEMA(MARKED("a", "string", "A")), long_one, &err));
    assert_non_null(strstr(err.text, "longer than 4096 bytes"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values),
        cmocka_unit_test(places),
        cmocka_unit_test(schemas_that_leave_a_tool_out),
        cmocka_unit_test(bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
