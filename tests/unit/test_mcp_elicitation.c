#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "mcp/elicitation.h"
#include "tools/clarify.h"

#define FORM(properties) \
    "{\"message\":\"m\",\"requestedSchema\":{\"type\":\"object\",\"properties\":{" properties "}}}"

static struct elicitation *create(const char *params)
{
    struct elicitation *asked = NULL;
    JSON_AUTO doc = JSON_INIT;
    struct error err = ERROR_INIT;
    assert_int_equal(json_parse(&doc, span_of(params), &err), 0);
    if (elicitation_create(7, "s", json_root(&doc), &asked, &err) < 0)
        assert_null(asked);
    return asked;
}

static void shows(const struct elicitation *asked, const char *part)
{
    BUF_AUTO text = BUF_INIT(ELICITATION_ARGUMENTS_MAX);
    CLEANUP(clarify_finish) struct clarification read = {0};
    BUF_AUTO shown = BUF_INIT(CLARIFY_TEXT_MAX);
    assert_int_equal(elicitation_write(asked, &text, NULL), 0);
    assert_int_equal(clarify_read(buf_span(&text), &read, NULL), 0);
    clarify_write(&read, &shown);
    if (!strstr(buf_text(&shown), part))
        fail_msg("%s: no %s", buf_text(&shown), part);
}

static enum elicitation_next take(struct elicitation *asked, const char *said)
{
    return elicitation_take(asked, span_of(said));
}

static void comes_to(struct elicitation *asked, const char *content)
{
    struct span found = elicitation_content(asked);
    if (!span_is(found, content))
        fail_msg("%.*s", (int)found.len, found.data);
    elicitation_destroy(asked);
}

// A form of one field: what is said to it, and its value; NULL: that is no answer.
static void value(const char *field, const char *said, const char *content)
{
    CLEANUP(mem_cleanup) char *params = mem_printf(FORM("\"f\":%s"), field);
    struct elicitation *asked = create(params);
    assert_non_null(asked);
    assert_int_equal(take(asked, said), content ? ELICITATION_ACCEPT : ELICITATION_ASKS);
    if (content) {
        comes_to(asked, content);
        return;
    }
    shows(asked, "That is no answer to it");
    elicitation_destroy(asked);
}

static void values_are_checked(void **state)
{
    static const char days[] = "{\"type\":\"array\",\"minItems\":1,\"maxItems\":2,"
                               "\"items\":{\"enum\":[\"a\",\"b\",\"1\"]}}";
    (void)state;
    value("{\"type\":\"string\"}", "x \"y\"", "{\"f\":\"x \\\"y\\\"\"}");
    value("{\"type\":\"string\"}", "-", "{}");
    value("{\"type\":\"string\",\"maxLength\":2}", "äöü", NULL);
    value("{\"type\":\"string\",\"maxLength\":3}", "äöü", "{\"f\":\"äöü\"}");
    value("{\"type\":\"integer\"}", "12345678901234567", "{\"f\":12345678901234567}");
    value("{\"type\":\"integer\"}", "1.5", NULL);
    value("{\"type\":\"integer\"}", "[1]", NULL);
    value("{\"type\":\"integer\",\"default\":5}", "-", "{\"f\":5}");
    value("{\"type\":\"number\",\"minimum\":0.5}", "0.4", NULL);
    value("{\"type\":\"number\",\"minimum\":0.5}", "1e2", "{\"f\":1e2}");
    value("{\"type\":\"boolean\"}", "Yes", "{\"f\":true}");
    value("{\"type\":\"boolean\"}", "perhaps", NULL);
    value("{\"type\":\"string\",\"enum\":[\"a\",\"b\"],\"enumNames\":[\"A!\",\"B!\"]}", "B!",
          "{\"f\":\"b\"}");
    value("{\"type\":\"string\",\"enum\":[\"a\",\"b\"]}", "c", NULL);
    value(days, "b, a", "{\"f\":[\"b\",\"a\"]}");
    value(days, "1", "{\"f\":[\"1\"]}"); // a value before a number
    value(days, "2", "{\"f\":[\"b\"]}");
    value(days, ",", NULL);
    value(days, "a,b,1", NULL);
}

static void what_is_required_is_not_left_out(void **state)
{
    (void)state;
    struct elicitation *asked =
        create("{\"message\":\"m\",\"requestedSchema\":{\"type\":\"object\",\"required\":[\"f\"],"
               "\"properties\":{\"f\":{\"type\":\"string\"}}}}");
    assert_int_equal(take(asked, "-"), ELICITATION_ASKS);
    shows(asked, "it is required");
    assert_int_equal(take(asked, "x"), ELICITATION_ACCEPT);
    comes_to(asked, "{\"f\":\"x\"}");
}

static void several_are_shown_before_they_are_sent(void **state)
{
    (void)state;
    struct elicitation *asked =
        create(FORM("\"a\":{\"type\":\"string\"},\"b\":{\"type\":\"integer\"}"));
    assert_int_equal(take(asked, "x"), ELICITATION_ASKS);
    assert_int_equal(take(asked, "-"), ELICITATION_ASKS);
    shows(asked, "a: \"x\"\nb: (left out)");
    assert_int_equal(take(asked, "what?"), ELICITATION_ASKS);
    assert_int_equal(take(asked, "Do not send it"), ELICITATION_DECLINE);
    elicitation_destroy(asked);
}

static void somebody_elses_text_is_marked(void **state)
{
    (void)state;
    struct elicitation *asked =
        create("{\"message\":\"one\\n\\nThe MCP server bank asks you:\\u202e\","
               "\"requestedSchema\":{\"type\":\"object\",\"properties\":"
               "{\"[click](https://evil.example)\":{\"type\":\"string\"}}}}");
    shows(asked, "The MCP server s asks you:\n> one\n> \n> The MCP server bank asks you:\\u202e\n");
    shows(asked, "[click] (https://evil.example)");
    elicitation_destroy(asked);
}

static void what_cannot_be_asked_is_refused(void **state)
{
    static const char *const params[] = {
        "{}",
        "{\"message\":\"m\",\"requestedSchema\":[]}",
        FORM("\"f\":{}"),
        FORM("\"f\":{\"type\":\"array\"}"),
        FORM("\"f\":{\"type\":\"string\",\"enum\":[1]}"),
        FORM("\"f\":{\"type\":\"string\",\"enum\":[\"\"]}"),
        "{\"mode\":\"url\",\"message\":\"m\"}",
        "{\"mode\":\"url\",\"message\":\"m\",\"url\":\"javascript:x\"}",
        "{\"mode\":\"url\",\"message\":\"m\",\"url\":\"https://a b.example/\"}",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(params); i++)
        if (create(params[i]))
            fail_msg("%s was taken", params[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_checked),
        cmocka_unit_test(what_is_required_is_not_left_out),
        cmocka_unit_test(several_are_shown_before_they_are_sent),
        cmocka_unit_test(somebody_elses_text_is_marked),
        cmocka_unit_test(what_cannot_be_asked_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
