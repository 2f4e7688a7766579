#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"
#include "codec/yaml.h"

// Shows the tree in one line: [a, 'quoted', ~] and {k: v}.
static void show(const struct yaml_node *node, struct buf *out)
{
    const char *quote = node->quoted ? "'" : "";
    if (node->kind == YAML_NULL) {
        buf_append_text(out, "~");
    } else if (node->kind == YAML_SCALAR) {
        buf_append_text(out, quote);
        buf_append_span(out, node->value);
        buf_append_text(out, quote);
    } else if (node->kind == YAML_SEQUENCE) {
        for (size_t i = 0; i < node->count; i++) {
            buf_append_text(out, i ? ", " : "[");
            show(node->items[i], out);
        }
        buf_append_text(out, node->count ? "]" : "[]");
    } else {
        for (size_t i = 0; i < node->count; i++) {
            buf_append_text(out, i ? ", " : "{");
            show(node->pairs[i].key, out);
            buf_append_text(out, ": ");
            show(node->pairs[i].value, out);
        }
        buf_append_text(out, node->count ? "}" : "{}");
    }
}

static void gives(const char *text, const char *wanted)
{
    YAML_AUTO doc = YAML_DOCUMENT_INIT;
    BUF_AUTO out = BUF_INIT(1 << 16);
    struct error err = ERROR_INIT;
    if (yaml_parse(&doc, span_of(text), &err) != 0)
        fail_msg("%s: %s", text, err.text);
    show(doc.root, &out);
    assert_string_equal(buf_text(&out), wanted);
}

static void refuses(struct span text, int code, const char *sentence)
{
    YAML_AUTO doc = YAML_DOCUMENT_INIT;
    struct error err = ERROR_INIT;
    assert_int_equal(yaml_parse(&doc, text, &err), code);
    assert_null(doc.root);
    if (!strstr(err.text, sentence))
        fail_msg("\"%s\" does not say \"%s\"", err.text, sentence);
}

static void test_trees(void **state)
{
    (void)state;
    gives("", "~");
    gives("# nothing\n", "~");
    gives("---\n...\n", "~");
    gives("a: 1\nb: [x, 'y', \"z\", null, ~, Null, NULL, nUll]\nc:\n",
          "{a: 1, b: [x, 'y', 'z', ~, ~, ~, ~, nUll], c: ~}");
    gives("- a\n- - b\n  - c\n- {}\n- []\n", "[a, [b, c], {}, []]");
    gives("t: |\n  x\n  y\nf: >-\n  x\n  y\n", "{t: 'x\ny\n', f: 'x y'}");
    gives("'': 1\nb: x # y\n", "{'': 1, b: x}");
    gives("\xEF\xBB\xBF"
          "a: 1\r\nb: 2\r\n",
          "{a: 1, b: 2}");
}

static void test_text_that_looks_like_a_value(void **state)
{
    (void)state;
    gives("[yes, \"yes\", !!str yes, ! yes, !!int \"5\", !!null '', \"\", '~']",
          "[yes, 'yes', 'yes', 'yes', 5, ~, '', '~']");
    refuses(SPAN_LITERAL("a: !env X"), -EBADMSG, "1:4: this tag");
    refuses(SPAN_LITERAL("a: !!binary aGk="), -EBADMSG, "1:4: this tag");
    refuses(SPAN_LITERAL("a: !!set {x}"), -EBADMSG, "1:4: this tag");
}

static void test_lookups(void **state)
{
    (void)state;
    YAML_AUTO doc = YAML_DOCUMENT_INIT;
    assert_int_equal(yaml_parse(&doc, SPAN_LITERAL("a:\n  b: [x, \"\\0\"]\n"), NULL), 0);
    const struct yaml_node *b = yaml_get(yaml_get(doc.root, "a"), "b");
    assert_int_equal(b->count, 2);
    assert_string_equal(b->items[0]->value.data, "x");
    assert_int_equal(b->items[1]->value.len, 1);
    assert_int_equal(b->line, 2);
    assert_int_equal(b->column, 6);
    assert_int_equal(doc.root->nodes, 7);
    assert_int_equal(doc.root->depth, 3);
    assert_null(yaml_get(b, "b"));
    assert_null(yaml_get(NULL, "b"));
}

static void test_errors_name_line_and_column(void **state)
{
    (void)state;
    refuses(SPAN_LITERAL("a:\n\tb: 1\n"), -EBADMSG, "2:1: YAML is indented with spaces");
    refuses(SPAN_LITERAL("a: [1, 2\nb: 3\n"), -EBADMSG, "2:");
    refuses(SPAN_LITERAL("a: 'x\n"), -EBADMSG, "that begins on line 1");
    refuses(SPAN_LITERAL("a: b: c\n"), -EBADMSG, "1:5: mapping values are not allowed");
    refuses(SPAN_LITERAL("a: 1\n---\nb: 2\n"), -EBADMSG, "2:1: a second document");
    refuses(SPAN_LITERAL("a: 1\nb: \x01\n"), -EBADMSG, "2:4: control characters");
    refuses(SPAN_LITERAL("a: \xff\n"), -EBADMSG, "1:4: invalid");
    refuses(SPAN_LITERAL("a: *x\n"), -EBADMSG, "1:4: no anchor");
    refuses(SPAN_LITERAL("? [a]\n: b\n"), -EBADMSG, "1:3: a key must be text");
}

static void test_duplicate_keys(void **state)
{
    (void)state;
    refuses(SPAN_LITERAL("a: 1\nb: 2\n'a': 3\n"), -EBADMSG,
            "3:1: the key \"a\" is already given on line 1");
    refuses(SPAN_LITERAL("x:\n  - {k: 1, j: 2, k: 3}\n"), -EBADMSG, "2:18: the key \"k\"");
    gives("a: {k: 1}\nb: {k: 1}\nA: 2\n", "{a: {k: 1}, b: {k: 1}, A: 2}");
}

static void test_aliases_and_merges(void **state)
{
    (void)state;
    gives("a: &x [1]\nb: *x\n", "{a: [1], b: [1]}");
    gives("- &x 1\n- &x 2\n- *x\n", "[1, 2, 2]");
    gives("d: &d {a: 1, b: 2}\ne:\n  <<: *d\n  b: 3\n", "{d: {a: 1, b: 2}, e: {b: 3, a: 1}}");
    gives("- &x {a: 1}\n- &y {a: 2, b: 2}\n- {<<: [*x, *y], c: 3}\n",
          "[{a: 1}, {a: 2, b: 2}, {c: 3, a: 1, b: 2}]");
    gives("- &x {a: 1}\n- &y {<<: *x, b: 2}\n- {<<: *y}\n", "[{a: 1}, {b: 2, a: 1}, {b: 2, a: 1}]");
    gives("<<: {a: 1}\n", "{a: 1}");
    gives("\"<<\": {a: 1}\n", "{'<<': {a: 1}}");
    refuses(SPAN_LITERAL("<<: 5\n"), -EBADMSG, "1:5: << takes a mapping");
    refuses(SPAN_LITERAL("<<: [{a: 1}, 5]\n"), -EBADMSG, "1:14: << takes a mapping");
    refuses(SPAN_LITERAL("a: &x [*x]\n"), -EBADMSG, "1:8: this alias contains itself");
    refuses(SPAN_LITERAL("a: &x\n  <<: *x\n"), -EBADMSG, "2:7: this alias contains itself");
}

static void test_bombs(void **state)
{
    (void)state;
    BUF_AUTO laughs = BUF_INIT(YAML_BYTES_MAX);
    buf_append_text(&laughs, "- &a0 [lol, lol]\n");
    for (int i = 1; i < 30; i++)
        buf_printf(&laughs, "- &a%d [*a%d, *a%d, *a%d]\n", i, i - 1, i - 1, i - 1);
    refuses(buf_span(&laughs), -EMSGSIZE, "with its aliases followed this holds more than 100000");

    BUF_AUTO ladder = BUF_INIT(YAML_BYTES_MAX); // no wider than one, but ever deeper
    buf_append_text(&ladder, "- &a0 [x]\n");
    for (int i = 1; i < 100; i++)
        buf_printf(&ladder, "- &a%d [*a%d]\n", i, i - 1);
    refuses(buf_span(&ladder), -EMSGSIZE, "this alias nests too deep");

    BUF_AUTO merges = BUF_INIT(YAML_BYTES_MAX);
    buf_append_text(&merges, "- &a {");
    for (int i = 0; i < 5000; i++)
        buf_printf(&merges, "k%d: 1, ", i);
    buf_append_text(&merges, "}\n");
    for (int i = 0; i < 50000; i++)
        buf_append_text(&merges, "- <<: *a\n");
    refuses(buf_span(&merges), -EMSGSIZE, "<< copies more than 100000 members");
}

static void repeat(struct buf *out, const char *text, size_t count)
{
    for (size_t i = 0; i < count; i++)
        buf_append_text(out, text);
}

static void test_limits(void **state)
{
    (void)state;
    BUF_AUTO out = BUF_INIT(2u * YAML_BYTES_MAX);
    repeat(&out, "[", YAML_DEPTH_MAX);
    repeat(&out, "]", YAML_DEPTH_MAX);
    YAML_AUTO doc = YAML_DOCUMENT_INIT;
    assert_int_equal(yaml_parse(&doc, buf_span(&out), NULL), 0);
    buf_clear(&out);
    repeat(&out, "[", 100000);
    refuses(buf_span(&out), -EMSGSIZE, "1:65: this nests too deep");
    buf_clear(&out);
    repeat(&out, "- a\n", YAML_NODES_MAX);
    refuses(buf_span(&out), -EMSGSIZE, "100000:3: there are more than 100000 values");
    buf_clear(&out);
    for (int i = 0; i <= YAML_ANCHORS_MAX; i++)
        buf_printf(&out, "- &a%d x\n", i);
    refuses(buf_span(&out), -EMSGSIZE, "257:3: there are more than 256 anchors");
    buf_clear(&out);
    repeat(&out, "#", YAML_BYTES_MAX + 1);
    refuses(buf_span(&out), -EMSGSIZE, "1:1: YAML of more than");
    buf_clear(&out);
    for (int i = 0; i < 49000; i++) // duplicates are found without comparing all with all
        buf_printf(&out, "k%d: %d\n", i, i);
    assert_int_equal(yaml_parse(&doc, buf_span(&out), NULL), 0);
    assert_int_equal(doc.root->count, 49000);
}

static void test_cut_anywhere(void **state)
{
    (void)state;
    static const char text[] = "a: &x {b: [1, \"q\\u00e4\"], c: |\n d}\ne: *x\nf:\n  - <<: *x\n";
    for (size_t len = 0; len < sizeof text; len++) {
        YAML_AUTO doc = YAML_DOCUMENT_INIT;
        char *exact = malloc(len ? len : 1);
        memcpy(exact, text, len);
        struct error err = ERROR_INIT;
        int r = yaml_parse(&doc, span_make(exact, len), &err);
        free(exact);
        assert_true(r == 0 ? doc.root != NULL : strchr(err.text, ':') != NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trees),          cmocka_unit_test(test_text_that_looks_like_a_value),
        cmocka_unit_test(test_lookups),        cmocka_unit_test(test_errors_name_line_and_column),
        cmocka_unit_test(test_duplicate_keys), cmocka_unit_test(test_aliases_and_merges),
        cmocka_unit_test(test_bombs),          cmocka_unit_test(test_limits),
        cmocka_unit_test(test_cut_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
