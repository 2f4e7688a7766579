#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "base/mem.h"
#include "codec/html_text.h"
#include "codec/utf8.h"

enum { TEXT_MAX = 1 << 20 };

static void reads_in(enum charset charset, const char *page, const char *text)
{
    BUF_AUTO out = BUF_INIT(TEXT_MAX);
    struct html_page given = {span_of(page), charset, SPAN_LITERAL("https://h/a/b")};
    assert_true(html_text(&given, &out));
    if (strcmp(buf_text(&out), text) != 0)
        fail_msg("%s\n  reads as <%s>\n  and not <%s>", page, buf_text(&out), text);
}

static void reads(const char *page, const char *text)
{
    reads_in(CHARSET_UTF8, page, text);
}

static void texts(void **state)
{
    (void)state;
    reads("", "");
    reads("plain", "plain");
    reads("<p>a\n  b\t c<p>d", "a b c\n\nd");
    reads("<title>A &amp; B</title><p>x", "Title: A & B\n\nx");
    reads("x<title>late</title>y", "xy");
    reads("<h1>One</h1>a<h3>Three</h3>b<h2></h2>c", "# One\n\na\n\n### Three\n\nb\n\nc");
    reads("a<br>b<br/>c<div>d</div>e", "a\nb\nc\nd\ne");
    reads("a<hr>b", "a\n\n---\n\nb");
    reads("a <b>b</b><i>c</i>", "a bc");
    reads("<blockquote>a<br>b</blockquote>c", "> a\n> b\n\nc");
    reads("x <code>a b</code> y</code>", "x `a b` y");
    reads("<pre><code>\n  a\n   b</code></pre>c", "```\n\n  a\n   b\n```\n\nc");
    reads("<img src=x alt=' a\npump '><img src=y><img alt=''>", "(image: a pump)");
    reads("a < b > c <3 & d", "a < b > c <3 & d");
}

static void lists(void **state)
{
    (void)state;
    reads("x<ul><li>a</li><li>b</ul>y", "x\n\n- a\n- b\n\ny");
    reads("<ol><li>a<li><p>b</p><li>c</ol>", "1. a\n2. b\n\n3. c");
    reads("<ul><li>a<ul><li>b<li>c</ul><li>d</ul>", "- a\n  - b\n  - c\n- d");
    reads("<ul><li>a<p>b</ul>", "- a\n\n  b");
    reads("<li>a</li></ul></ul>b", "- a\n\nb");
    reads("<ul><li></li><li> </li></ul>x", "x");
}

static void tables(void **state)
{
    (void)state;
    reads("<table><tr><th>A</th><th>B</th></tr><tr><td>1</td><td>2</td></tr></table>x",
          "A | B\n1 | 2\n\nx");
    reads("<table><tr><td><p>1</p></td><td><div>2</div><td><td>4<tr><td>5</table>",
          "1 | 2 |  | 4\n5");
    reads("<table><tr><td>a<br>b<td>c</table>", "a\nb | c");
}

static void links(void **state)
{
    (void)state;
    reads("<a href=c>x</a>", "[x](https://h/a/c)");
    reads("a<a href='/?a=1&amp;b=2&copy=3'> x <b>y</b></a> z",
          "a [x y](https://h/?a=1&b=2&copy=3) z");
    reads("<a href=#top>x</a><a name=y>y</a><a href=mailto:a@b>z</a>", "xyz");
    reads("<a href=javascript:alert(1)>x</a>", "x");
    reads("<a href=/x></a><a href=/y><img src=z></a>t", "t");
    reads("<a href=/x>one<a href=/y>two</a>", "[one](https://h/x)[two](https://h/y)");
    reads("<a href=/x><div>a</div><div>b</div></a>", "[a b](https://h/x)");
    reads("<p><a href=/x>one</p><p>two", "[one](https://h/x)\n\ntwo");
    reads("<base href=//other/z/><a href=c>x</a>", "[x](https://other/z/c)");
    reads("<base><base href=/z/><base href=/y/><a href=c>x</a>", "[x](https://h/z/c)");
    reads("<a href='x y\"'>x</a>", "[x](https://h/a/x%20y%22)");
}

static void what_nobody_reads(void **state)
{
    (void)state;
    reads("a<script>b</script>c<style>d</style><!-- e -->f", "acf");
    reads("a<script>if (x</y) '<b>'</script >c", "ac");
    reads("a<nav><ul><li>b</ul></nav>c<footer>d</footer><svg><title>e</title></svg>f", "a\nc\nf");
    reads("a<nav>b<nav>c</nav>d</nav>e", "a\ne");
    reads("a<div hidden>b<div>c</div>d</div>e", "a\ne");
    reads("a<span style='Display: NONE'>b</span>c<span aria-hidden=true>d</span>", "ac");
    reads("a<div style='position: absolute; top: 0; left: 0; width: 100%; height: 100%; margin: 0;"
          " display: none'>b</div>c<span style='color:red;display:\tnone !important'>d</span>e",
          "a\nce");
    reads("a<span style='font-size:0'>b</span>c<span style='Font-Size: 0em;'>d</span>e", "ace");
    reads("a<span style='font-size:0.9em;;x:display:none'>b</span>c<span style='display'>d</span>",
          "abcd");
    reads("a<noscript>b</noscript><template>c</template><textarea>d</textarea>e", "a\ne");
    reads("x\xe2\x80\x8b\xe2\x80\xaey\xf3\xa0\x81\x81z\x01\x7f", "xyz");
    // What never ends takes nothing with it.
    reads("a<nav>b<p>c", "a\nb\n\nc");
    reads("a<nav>b</nav><nav>c<footer>d", "a\nc\nd");
    reads("a<svg/>b", "a\nb");
}

static void what_never_ends(void **state)
{
    (void)state;
    reads("a<!-- b", "a");
    reads("a<script>b", "a");
    reads("a<b", "a");
    reads("a<p title='x>b", "a");
    reads("a</", "a</");
    reads("a<", "a<");
    reads("a<!", "a");
    reads("a<?php x ?>b<![CDATA[c]]>d", "abd");
    reads("a<!-->b<!--->c<!-- -- -->d", "abcd");
    reads("</p></a></ul></pre></table></blockquote></code></h1>x", "x");
}

static void references(void **state)
{
    (void)state;
    reads("&lt;b&gt; &amp;amp; &quot;&apos;&hellip;&thetasym;&Alpha;",
          "<b> &amp; \"'\xe2\x80\xa6\xcf\x91\xce\x91");
    reads("&#65;&#x42;&#X43;&#128;&#x2603;", "ABC\xe2\x82\xac\xe2\x98\x83");
    reads("&#0;&#xD800;&#x110000;&#99999999999999;",
          "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
    reads("&bogus; &; &# &#x; & &amp &copy2", "&bogus; &; &# &#x; & & &copy2");
    reads("a&nbsp;b&shy;c&zwnj;d", "a bcd");
    reads("&abcdefghi; &thetasymx", "&abcdefghi; &thetasymx");
}

static void charsets(void **state)
{
    (void)state;
    reads_in(CHARSET_WINDOWS_1252,
             "Gr\xfc\xdf"
             "e \x80 \x93&uuml;",
             "Gr\xc3\xbc\xc3\x9f"
             "e \xe2\x82\xac \xe2\x80\x9c\xc3\xbc");
    reads("Gr\xfc.", "Gr\xef\xbf\xbd.");
    static const struct {
        const char *page, *type;
        enum charset charset;
    } cases[] = {
        {"x", "text/html", CHARSET_UTF8},
        {"x", "text/html; charset=ISO-8859-1", CHARSET_WINDOWS_1252},
        {"x", "text/html;Charset = \"latin1\"; x", CHARSET_WINDOWS_1252},
        {"x", "text/html; charset=klingon", CHARSET_UTF8},
        {"x", "text/plain; charset=utf-16le", CHARSET_UTF16},
        {"<meta charset=windows-1252>", "text/html", CHARSET_WINDOWS_1252},
        {"<meta charset=windows-1252>", "text/html; charset=utf-8", CHARSET_UTF8},
        {"<meta content='text/html; charset=latin1'>", "", CHARSET_WINDOWS_1252},
        {"<meta charset=utf-16>", "", CHARSET_UTF8},
        {"\xef\xbb\xbfx", "text/html; charset=latin1", CHARSET_UTF8},
        {"\xff\xfex", "text/html", CHARSET_UTF16},
        {"charset", "charset=", CHARSET_UTF8},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (html_charset(span_of(cases[i].page), span_of(cases[i].type)) != cases[i].charset)
            fail_msg("%s, %s", cases[i].page, cases[i].type);
}

static void more_than_fits(void **state)
{
    (void)state;
    BUF_AUTO out = BUF_INIT(10);
    struct html_page page = {SPAN_LITERAL("<p>aaaa<p>\xc3\xbc\xc3\xbc\xc3\xbc<p>b"), CHARSET_UTF8,
                             SPAN_ABSENT};
    assert_false(html_text(&page, &out));
    assert_string_equal(buf_text(&out), "aaaa\n\n\xc3\xbc\xc3\xbc");
}

// Each of these, a megabyte of it, is read in a moment: nothing is looked for again and again.
static void what_is_made_to_take_long(void **state)
{
    (void)state;
    static const char *const pieces[] = {
        "<nav>",         "<div hidden>",  "<!--",      "<a href=\"", "<script>",
        "</nav",         "<a b=c ",       "&#",        "<ul><li>x",  "<td>",
        "<title>",       "<a href=x>y",   "<b a=\"",   "<",          "<pre>",
        "<blockquote>x", "<base href=x>", "<a href=x>"};
    BUF_AUTO url = BUF_INIT(TEXT_MAX);
    buf_append_text(&url, "http://h/");
    while (url.len < 8000) // before each link
        buf_append_char(&url, 'a');
    buf_append_char(&url, '/');
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
        BUF_AUTO page = BUF_INIT(TEXT_MAX);
        BUF_AUTO out = BUF_INIT(TEXT_MAX);
        while (buf_append_text(&page, pieces[i]))
            continue;
        clock_t begin = clock();
        html_text(&(struct html_page){buf_span(&page), CHARSET_UTF8, buf_span(&url)}, &out);
        assert_true(utf8_valid(buf_span(&out)));
        if (clock() - begin > 8 * CLOCKS_PER_SEC)
            fail_msg("%s took %ld s", pieces[i], (long)((clock() - begin) / CLOCKS_PER_SEC));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts),
        cmocka_unit_test(lists),
        cmocka_unit_test(tables),
        cmocka_unit_test(links),
        cmocka_unit_test(what_nobody_reads),
        cmocka_unit_test(what_never_ends),
        cmocka_unit_test(references),
        cmocka_unit_test(charsets),
        cmocka_unit_test(more_than_fits),
        cmocka_unit_test(what_is_made_to_take_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
