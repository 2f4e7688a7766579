//
// What must be hidden, what must not, and texts that are made to be slow. The keys in here are made
// up; they are put together from pieces so that nobody's scanner takes them for real ones.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "base/mem.h"
#include "codec/redact.h"

enum { OUT_MAX = 4 << 20 };

#define R REDACT_MARK

static const struct redactor *known; // of the test at hand

static char *redacted(struct span text)
{
    struct buf out = BUF_INIT(OUT_MAX);
    assert_true(redact(known, text, &out));
    return buf_take_text(&out);
}

static void expect(const char *text, const char *wanted)
{
    CLEANUP(mem_cleanup) char *said = redacted(span_of(text));
    assert_int_equal(redact_is_clean(known, span_of(text)), strcmp(said, text) == 0);
    assert_string_equal(said, wanted);
}

static void stays(const char *text)
{
    expect(text, text);
}

#define WITH(...)                                                            \
    const char *secrets_[] = {__VA_ARGS__};                                  \
    struct redactor *mine_ = redactor_create(secrets_, ARRAY_LEN(secrets_)); \
    known = mine_
#define END redactor_destroy(mine_)

static void known_values(void **state)
{
    (void)state;
    WITH("hunter2hunter2", "correct horse", NULL, "", "short");
    expect("", "");
    expect("hunter2hunter2", R);
    expect("hunter2hunter2 at the beginning", R " at the beginning");
    expect("at the end hunter2hunter2", "at the end " R);
    expect("a hunter2hunter2 b correct horse c", "a " R " b " R " c");
    expect("xhunter2hunter2x", "x" R "x"); // a value is hidden wherever it stands
    stays("hunter2hunter1");
    stays("hunter2hunter");
    stays("hunter2");
    stays("short");
    END;
}

static void overlapping_values(void **state)
{
    (void)state;
    WITH("abcdefgh1234", "1234ijklmnop", "abcdefgh", "abababab");
    expect("abcdefgh1234ijklmnop!", R "!"); // no tail of the second is left
    expect("abcdefgh1234!", R "!");         // the longer of two
    expect("abcdefgh123!", R "123!");       // the shorter
    expect("ababababab!", R "!");           // with itself
    expect("abcdefghabcdefgh!", R "!");     // one behind the other
    expect("abcdefgh abcdefgh!", R " " R "!");
    END;
}

// As at the end of a quoted answer that was too long for its sentence.
static void values_that_were_cut(void **state)
{
    (void)state;
    WITH("zz-or-v1-0123456789abcdef0123456789abcdef");
    expect("it says \"no key zz-or-v1-0123456789a\" (401)", "it says \"no key " R "\" (401)");
    stays("zz-or-v1-012345678 is too little to be of use");
    END;
}

static void values_in_other_spellings(void **state)
{
    (void)state;
    WITH("pass\"word\\9/x", "line one\nline two", "ein gr\xc3\xbc\xc3\x9f von mir", "a b&c=d/e");
    expect("pass\"word\\9/x", R);
    expect("{\"key\":\"pass\\\"word\\\\9/x\"}", "{\"key\":\"" R "\"}");
    expect("{\"key\":\"pass\\\"word\\\\9\\/x\"}", "{\"key\":\"" R "\"}");
    expect("\"line one\\nline two\"", "\"" R "\"");
    expect("{ein gr\xc3\xbc\xc3\x9f von mir}", "{" R "}");
    expect("?q=a%20b%26c%3Dd%2Fe&x", "?q=" R "&x");
    stays("pass\\\"word");
    END;
}

static void every_edge(void **state)
{
    (void)state;
    WITH("0123456789abcdef!");
    for (size_t before = 0; before < 20; before++)
        for (size_t after = 0; after < 20; after++) {
            char text[80] = "", wanted[80] = "";
            memset(text, '.', before);
            memcpy(wanted, text, before);
            memcpy(text + before, "0123456789abcdef!", 17);
            memset(text + before + 17, '-', after);
            memcpy(wanted + before, R, strlen(R));
            memset(wanted + before + strlen(R), '-', after);
            // On the heap without a NUL, so that the sanitizer sees a byte too far.
            size_t len = before + 17 + after;
            CLEANUP(mem_cleanup) char *exact = mem_alloc(len);
            memcpy(exact, text, len);
            CLEANUP(mem_cleanup) char *said = redacted((struct span){exact, len});
            assert_string_equal(said, wanted);
            CLEANUP(mem_cleanup) char *cut = mem_alloc(before + 16);
            memcpy(cut, text, before + 16);
            CLEANUP(mem_cleanup) char *kept = redacted((struct span){cut, before + 16});
            assert_int_equal(strlen(kept), before + 16);
        }
    END;
}

#define A10 "aB3dE6gH9j"
#define A30 A10 A10 A10
#define BOT "123456789:AA" A30 "xyz" // 35 behind the colon

static void keys_that_name_themselves(void **state)
{
    (void)state;
    WITH(NULL);
    expect("key s"
           "k-or-v1-" A30 ".",
           "key " R ".");
    expect("s"
           "k-" A30,
           R);
    expect("(gh"
           "p_" A30 ")",
           "(" R ")");
    expect("gh"
           "o_" A30 " gh"
           "s_" A30,
           R " " R);
    expect("github"
           "_pat_11" A10 "_" A30,
           R);
    expect("token=xo"
           "xb-1234567890-" A10,
           "token=" R);
    expect("xo"
           "xp-1234567890-" A10,
           R);
    expect("AK"
           "IAIOSFODNN7EXAMPLE",
           R);
    expect("\"s"
           "k-" A30 "\"",
           "\"" R "\"");
    // Behind escapes, whose last letter is none of a word.
    expect("a\\ns"
           "k-" A30,
           "a\\n" R);
    expect("a\\u000as"
           "k-" A30,
           "a\\u000a" R);
    expect("a%20s"
           "k-" A30,
           "a%20" R);
    END;
}

static void bearer_tokens(void **state)
{
    (void)state;
    WITH(NULL);
    expect("Authorization: Bearer " A10, "Authorization: Bearer " R);
    expect("authorization: bearer  abc.def-1~x+/==\r\n", "authorization: bearer  " R "\r\n");
    expect("BEARER abcdefghijklmnopqrstuvwxyz", "BEARER " R);
    stays("a bearer token");
    stays("the bearer of this note");
    stays("bearer authentication is on");
    stays("Bearer");
    stays("Bearer ");
    END;
}

static void telegram_tokens(void **state)
{
    (void)state;
    WITH(NULL);
    expect(BOT, R);
    expect("token " BOT ", and", "token " R ", and");
    expect("https://127.0.0.1/bot" BOT "/getMe", "https://127.0.0.1/bot" R "/getMe");
    expect("/bot123456:short-one9/sendMessage", "/bot" R "/sendMessage");
    expect("/file/bot12345678%3AAA" A30 "xyz/x", "/file/bot" R "/x");
    stays("123456789:AAtooshort");
    stays("123456789:AA" A30 "xyz1"); // 36
    stays("1234567:AA" A30 "xyz");
    stays("12345678901:AA" A30 "xyz");
    stays("bot number 12345: hello");
    stays("10:20:30 and 1700000000:12");
    END;
}

static void urls(void **state)
{
    (void)state;
    WITH(NULL);
    expect("https://user:pass@host/x", "https://" R "@host/x");
    expect("postgres://u:p@ss@db:5432/x", "postgres://" R "@db:5432/x");
    expect("socks5://:pw@host", "socks5://" R "@host");
    expect("\"http://u:p%40@h\" x", "\"http://" R "@h\" x");
    stays("https://host:8080/x@y");
    stays("https://host:8080?mail=a@b");
    stays("ssh://git@host/x");
    stays("http://host:80 a@b");
    stays("://");
    END;
}

static void private_keys(void **state)
{
    (void)state;
    WITH(NULL);
#define BEGIN_KEY(kind)           \
    "-----BEGIN " kind "PRIVATE " \
    "KEY-----"
#define END_KEY(kind)           \
    "-----END " kind "PRIVATE " \
    "KEY-----"
    expect("a\n" BEGIN_KEY("") "\nMIIE\n" END_KEY("") "\nb", "a\n" R "\nb");
    expect("{\"k\":\"" BEGIN_KEY("RSA ") "\\nMI\\n" END_KEY("RSA ") "\\n\"}",
           "{\"k\":\"" R "\\n\"}");
    expect("a " BEGIN_KEY("OPENSSH ") "\nb3Blb\ncut off here", "a " R "\ncut off here");
    expect("a " BEGIN_KEY("OPENSSH ") "\nb3Blb", "a " R);
    expect("a " BEGIN_KEY("OPENSSH ") "\\nb3Blb/+\\nb3Blb/+\\nb3\\ndone", "a " R "\\ndone");
    expect(BEGIN_KEY("RSA ") "\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES,0\n\nMIIE\nMI\nx y",
           R "\nx y");
    expect("1|" BEGIN_KEY("") "\n2|MIIE\n3|MIIE\n4|a text", "1|" R "\n4|a text");
    expect("  " BEGIN_KEY("") "\n  MIIE\n  MIIE\n", "  " R "\n");
    expect("grep -r '" BEGIN_KEY("") "' . finds keys.\nAnd then.", // one that only speaks of them
           "grep -r '" R "' . finds keys.\nAnd then.");
    expect(BEGIN_KEY("") " and " BEGIN_KEY("") "\nMIIE\n" END_KEY("") "x", R " and " R "x");
    expect(BEGIN_KEY("EC ") "x" END_KEY("EC ") " " BEGIN_KEY("") "y" END_KEY(""), R " " R);
    stays("-----BEGIN CERTIFICATE-----\nMIIE\n-----END CERTIFICATE-----");
    stays("-----BEGIN PUBLIC KEY-----\nMIIE\n-----END PUBLIC KEY-----");
    stays("-----BEGIN ");
    END;
}

static void web_tokens(void **state)
{
    (void)state;
    WITH(NULL);
#define HEADER "eyJhbGciOiJIUzI1NiJ9"
#define CLAIMS "eyJzdWIiOiIxMjM0NSJ9"
    expect("a " HEADER "." CLAIMS ".c2lnbmF0dXJl_-9 b", "a " R " b");
    expect("jwt=" HEADER "." CLAIMS ".", "jwt=" R);
    expect(HEADER "." CLAIMS, R);
    stays(HEADER ".short.c2lnbmF0dXJl");
    stays("x" HEADER "." CLAIMS ".c2lnbmF0dXJl");
    stays("eyJ.eyJ.x");
    stays(HEADER ".");
    stays(HEADER);
    END;
}

static void values_in_base64(void **state)
{
    (void)state;
    WITH("hunter2hunter2", "?\?>>~~\xff\xfe\xfd\xfc!");
    expect("aHVudGVyMmh1bnRlcjI=", R "I="); // of the last letter two bits are not the value's
    expect("eGh1bnRlcjJodW50ZXIy", "eG" R); // "x" before it
    expect("eHhodW50ZXIyaHVudGVyMnl5eQ==", "eHh" R "nl5eQ=="); // "xx" before, "yyy" behind it
    expect("Pz8+Pn5+//79/CE=", R "E=");
    expect("Pz8-Pn5-__79_CE", R "E");
    stays("aHVudGVyMmh1bnRhcjI="); // hunter2huntar2
    END;
}

static void lines_of_a_value(void **state)
{
    (void)state;
    WITH("-----BEGIN THING-----\nMIIEvQIBADANBgkqhkiG9w0BAQ\nshort\n-----END THING-----\n");
    expect("2|MIIEvQIBADANBgkqhkiG9w0BAQ\n3|short", "2|" R "\n3|short");
    stays("3|short");
    END;
}

static void what_a_log_is_full_of(void **state)
{
    (void)state;
    WITH("0123456789abcdee0123456789abcdef");
    stays("0123456789abcdef0123456789abcdef"); // an id, one digit off a secret
    stays("turn 4f1d9a3b5c7e8f0123456789abcdef01 ended");
    stays("d41d8cd98f00b204e9800998ecf8427e:d41d8cd98f00b204e9800998ecf8427e");
    stays("1795237385 d41d8cd98f00b204e9800998ecf8427e");
    stays("12345:d41d8cd98f00b204e9800998ecf8427e"); // 32 behind a colon are no token
    stays("2026-11-21T01:02:03.456Z level=info event=turn.end ms=123456");
    stays("sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    stays("task-0123456789abcdef0123, disk-usage-0123456789abcdef, risk-free-investments-4u");
    stays("sk-learn-is-a-library-without-numbers");
    stays("openrouter/anthropic/claude-sonnet-4-20250514 at https://openrouter.ai/api/v1");
    stays("[::1]:8080 fe80::1 10.0.0.1:4000 550e8400-e29b-41d4-a716-446655440000");
    stays("AKIA is a prefix; xoxo-hugs-and-kisses; AKIAshort");
    END;
}

static void bytes_of_any_kind(void **state)
{
    (void)state;
    WITH("secret-\xff\xfe-secret");
    char text[] = "a\0secret-\xff\xfe-secret\0\x80-----BEGIN \0";
    CLEANUP(mem_cleanup) char *said = redacted((struct span){text, sizeof text - 1});
    assert_memory_equal(said, "a\0" R "\0\x80-----BEGIN \0", 2 + strlen(R) + 14);
    END;
}

static void all_or_nothing(void **state)
{
    (void)state;
    WITH("hunter2hunter2");
    BUF_AUTO out = BUF_INIT(30);
    buf_append_text(&out, "before ");
    assert_false(redact(known, SPAN_LITERAL("a hunter2hunter2 b hunter2hunter2"), &out));
    assert_string_equal(buf_text(&out), "before ");
    END;
}

// Seconds that a text of many repetitions takes.
static double seconds_for(const char *unit, size_t bytes)
{
    size_t len = strlen(unit);
    CLEANUP(mem_cleanup) char *text = mem_alloc(bytes);
    for (size_t i = 0; i < bytes; i++)
        text[i] = unit[i % len];
    struct timespec before, after;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &before);
    free(redacted((struct span){text, bytes}));
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &after);
    return (double)(after.tv_sec - before.tv_sec) + (double)(after.tv_nsec - before.tv_nsec) / 1e9;
}

static void no_text_is_slow(void **state)
{
    (void)state;
    static const char *const units[] = {
        "a",
        "1",
        "sk-",
        "s",
        "://",
        "://a:b",
        "://a:b@",
        "-----BEGIN ",
        "12345:",
        "bot12345:",
        "-----BEGIN PRIVATE "
        "KEY-----",
        "Bearer ",
        "Bearer a",
        "xoxb-",
        "\\n",
        "\\nsk-",
        "%20sk-",
        "sk-secret-secret-secret-secret-secret-secre",
        "123456789",
        " ",
        "-",
    };
    WITH("sk-secret-secret-secret-secret-secret-secret", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab");
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        double taken = seconds_for(units[i], 1 << 20);
        if (taken > 1) // quadratic would be hours; under sanitizers linear is some 0.1
            fail_msg("1 MiB of \"%s\" took %.1f s", units[i], taken);
    }
    END;
}

// Of too many the last are left out, and somebody is told.
static void too_many_values(void **state)
{
    (void)state;
    static char texts[REDACT_SPELLINGS_MAX][24];
    static const char *secrets[REDACT_SPELLINGS_MAX];
    for (size_t i = 0; i < REDACT_SPELLINGS_MAX; i++) {
        snprintf(texts[i], sizeof texts[i], "secret-%zu-terces", i);
        secrets[i] = texts[i];
    }
    struct redactor *few = redactor_create(secrets, 100);
    assert_true(redactor_hides_all(few));
    redactor_destroy(few);
    struct redactor *many = redactor_create(secrets, REDACT_SPELLINGS_MAX);
    assert_false(redactor_hides_all(many));
    known = many;
    expect("secret-0-terces", R);
    stays("secret-4095-terces");
    redactor_destroy(many);
}

static void nobody_is_fine(void **state)
{
    (void)state;
    redactor_destroy(NULL);
    struct redactor *none = redactor_create(NULL, 0);
    known = none;
    stays("nothing to hide");
    redactor_destroy(none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_values),
        cmocka_unit_test(overlapping_values),
        cmocka_unit_test(values_that_were_cut),
        cmocka_unit_test(values_in_other_spellings),
        cmocka_unit_test(every_edge),
        cmocka_unit_test(keys_that_name_themselves),
        cmocka_unit_test(bearer_tokens),
        cmocka_unit_test(telegram_tokens),
        cmocka_unit_test(urls),
        cmocka_unit_test(private_keys),
        cmocka_unit_test(web_tokens),
        cmocka_unit_test(values_in_base64),
        cmocka_unit_test(lines_of_a_value),
        cmocka_unit_test(what_a_log_is_full_of),
        cmocka_unit_test(bytes_of_any_kind),
        cmocka_unit_test(all_or_nothing),
        cmocka_unit_test(no_text_is_slow),
        cmocka_unit_test(too_many_values),
        cmocka_unit_test(nobody_is_fine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
