#include "codec/json.h"

#include "codec/json_write.h"
#include "codec/utf8.h"
#include "fuzz.h"

enum { OUTPUT_BYTES_MAX = 64 << 20 };

// Every way to read a number agrees with the others.
static void check_number(struct json_value v)
{
    int64_t i = 0, fixed = 0;
    if (json_int64(v, &i))
        REQUIRE(json_fixed(v, 0, &fixed) && fixed == i);
    for (unsigned digits = 1; digits < 19; digits++) {
        int64_t finer = 0;
        if (json_fixed(v, digits, &finer))
            REQUIRE(json_fixed(v, digits - 1, &fixed) && fixed == finer / 10);
    }
}

static void check_string(struct json_value v)
{
    BUF_AUTO text = BUF_INIT(OUTPUT_BYTES_MAX);
    REQUIRE(json_string(v, &text));
    REQUIRE(utf8_valid(buf_span(&text)));
    bool holds_nul = strlen(buf_text(&text)) < text.len;
    REQUIRE(json_is(v, buf_text(&text)) == !holds_nul);
    char *copy = json_strdup(v, text.len);
    REQUIRE((copy == NULL) == holds_nul);
    free(copy);
    REQUIRE(text.len == 0 || json_strdup(v, text.len - 1) == NULL);
}

static void write_string(struct json_writer *w, struct json_value v, bool key)
{
    BUF_AUTO text = BUF_INIT(OUTPUT_BYTES_MAX);
    REQUIRE(json_string(v, &text));
    if (key)
        json_write_key_span(w, buf_span(&text));
    else
        json_write_string(w, buf_span(&text));
}

// Checks the whole tree and writes it anew.
static void walk(struct json_value v, struct json_writer *w)
{
    enum json_type type = json_type(v);
    struct json_value key, child;
    struct json_iter it = json_iter_init(v);
    size_t count = 0;
    if (type == JSON_STRING) {
        check_string(v);
        write_string(w, v, false);
    } else if (type == JSON_OBJECT || type == JSON_ARRAY) {
        type == JSON_OBJECT ? json_write_object_begin(w) : json_write_array_begin(w);
        for (; json_iter_next(&it, &key, &child); count++) {
            REQUIRE((json_type(key) == JSON_STRING) == (type == JSON_OBJECT));
            if (type == JSON_OBJECT)
                write_string(w, key, true);
            walk(child, w);
        }
        REQUIRE(count == json_count(v));
        type == JSON_OBJECT ? json_write_object_end(w) : json_write_array_end(w);
    } else {
        if (type == JSON_NUMBER)
            check_number(v);
        json_write_raw(w, json_raw(v));
    }
}

// The bytes of every value are a document that has the same value.
static void reparse(struct json_value v, unsigned budget)
{
    struct json_value child;
    struct json_iter it = json_iter_init(v);
    while (budget > 0 && json_iter_next(&it, NULL, &child)) {
        JSON_AUTO again = JSON_INIT;
        REQUIRE(json_parse(&again, json_raw(child), NULL) == 0);
        REQUIRE(json_type(json_root(&again)) == json_type(child));
        REQUIRE(span_equal(json_raw(json_root(&again)), json_raw(child)));
        REQUIRE(json_count(json_root(&again)) == json_count(child));
        budget--;
        if (json_count(child))
            reparse(child, budget / 2);
    }
}

static void check_lookups(struct json_value object)
{
    struct json_value key, value, last = JSON_VALUE_ABSENT;
    struct json_iter it = json_iter_init(object);
    char *name = NULL;
    while (json_iter_next(&it, &key, &value)) {
        if (!name)
            name = json_strdup(key, 100);
        if (name && json_is(key, name))
            last = value;
    }
    if (name)
        REQUIRE(json_get(object, name).index == last.index);
    free(name);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    JSON_AUTO doc = JSON_INIT, again = JSON_INIT;
    struct error err = ERROR_INIT;
    if (json_parse(&doc, span_make(data, size), &err) < 0) {
        REQUIRE(err.code < 0 && err.text[0]);
        return 0;
    }
    struct json_value root = json_root(&doc);
    BUF_AUTO first = BUF_INIT(OUTPUT_BYTES_MAX), second = BUF_INIT(OUTPUT_BYTES_MAX);
    struct json_writer w;
    json_writer_init(&w, &first);
    walk(root, &w);
    REQUIRE(json_write_done(&w));
    reparse(root, 64);
    if (json_type(root) == JSON_OBJECT)
        check_lookups(root);

    // What was written parses, is valid UTF-8, and writing it again changes nothing.
    REQUIRE(utf8_valid(buf_span(&first)));
    REQUIRE(json_parse(&again, buf_span(&first), NULL) == 0);
    json_writer_init(&w, &second);
    walk(json_root(&again), &w);
    REQUIRE(json_write_done(&w) && span_equal(buf_span(&first), buf_span(&second)));
    return 0;
}
