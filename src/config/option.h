#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/span.h"

/*
 * A module says which settings it has in a table beside the code that obeys them:
 *
 *     const struct option agent_options[] = {
 *         {.key = "agent.max_turns", .type = OPTION_INT, .fallback = "500", .min = 1, .max = 10000,
 *          .offset = offsetof(struct agent_config, max_turns), .env = "HERMES_MAX_ITERATIONS",
 *          .help = "steps of one turn before it is ended"},
 *     };
 *
 * The field at `offset` has the type named beside the enumerator. Everything that a field points
 * at belongs to the struct config it was loaded with, and dies with it.
 */
enum option_type {
    OPTION_STRING,   // const char *; NULL when nothing sets it and there is no fallback
    OPTION_BOOL,     // bool
    OPTION_INT,      // int64_t
    OPTION_BYTES,    // int64_t bytes: "64k" (1000), "32Mi" (1024 * 1024), "1.5G", a bare number
    OPTION_DURATION, // int64_t milliseconds: "250ms", "30s", "5m", "1.5h", "7d"; bare: seconds
    OPTION_SHARE,    // int64_t thousandths: "0.75", "75%"
    OPTION_LIST,     // struct option_list: a YAML sequence, or "a, b, c"
    OPTION_MAP,      // struct option_map: a YAML mapping of text, or "name=value, name=value"
    OPTION_TREE,     // struct option_map: the scalars of a YAML list or mapping by place:
                     // "0.params.key"
};

struct option_list {
    const char *const *items;
    size_t count;
};

struct option_pair {
    const char *name, *value;
    bool secret;   // by its name, or by that of a variable that went into it
    unsigned line; // of the file; 0: it comes from elsewhere
};

struct option_map {
    const struct option_pair *pairs; // in the order in which they were written
    size_t count;
};

enum option_flags {
    // Never shown. `<key>_file` and `<NAME>_FILE` name a file whose trimmed content is the value,
    // and an unset variable in the value is an error instead of a warning. For text, and for a
    // map, of which the values are the secrets (and no file can be named).
    OPTION_SECRET = 1 << 0,
    // The environment is a per-process override: it beats the configuration file.
    OPTION_ENV_WINS = 1 << 1,
    // For a tree in LiteLLM's words: what is not used and would limit something
    // (config_foreign_limit()) is an error.
    OPTION_STRICT = 1 << 2,
    // For a tree in our own words: what is not used is an error, as nobody else could mean it.
    OPTION_OWN = 1 << 3,
    // For text: the name of a time zone (codec/zone.h), or nothing.
    OPTION_ZONE = 1 << 4,
    // For a tree whose first part is "*": a mapping of names that the owner chooses, no list.
    OPTION_NAMED = 1 << 5,
};

enum {
    OPTION_KEY_MAX = 128,         // bytes of a dotted key
    OPTION_VALUE_MAX = 64 * 1024, // bytes of one value, variables put in
    OPTION_ITEMS_MAX = 1024,      // entries of one list or map
    OPTION_TREE_MAX = 16384,      // scalars of one tree: 200 deployments with 80 each
    OPTION_NUMBER_SIZE = 32,      // bytes of a formatted number
};

struct option {
    const char *key;     // dotted, as it is nested in the file: "model.default"
    const char *aliases; // other accepted spellings, comma-separated: "model.model,model", or NULL
    const char *env;     // variables that set it, comma-separated, the first that is set wins; NULL
    const char *fallback; // the default, as text; NULL: none (0, false, NULL, empty)
    // OPTION_STRING: the only accepted words, comma-separated; or NULL. OPTION_TREE: the places
    // that are used, with "*" for any part; what else there is, is told of as not used. It is a
    // list where the first of them begins with "*", else a mapping. Of a place with "{}" behind it
    // ("*.params{}") all that stands there is one value, as JSON. A variable that is not set
    // leaves the text as it is written: see config_unset_variable().
    const char *choices;
    const char *help; // one line for a person, no full stop
    enum option_type type : 8;
    unsigned flags : 8;   // enum option_flags
    unsigned offset : 16; // of the field, in the module's struct
    int32_t min;
    int64_t max; // of the numbers, in the field's unit; both 0: no limit
};

bool option_is_scalar(const struct option *option); // neither list nor map nor tree
bool option_has_file(const struct option *option);  // a secret text: there is a <key>_file as well
bool option_is_list(const struct option *option);   // a list, or a tree that is one

// "whole number", "yes or no", ... for a table of keys.
const char *option_type_name(enum option_type type);

/*
 * Converts the text of an OPTION_BOOL or of a number into the field's type (*ret_bool
 * or *ret_number), or checks the text of an OPTION_STRING against its choices. The sentence does
 * not name the key; a secret's text is never in it. 0 or -EINVAL, -ERANGE.
 */
union option_value {
    bool boolean;
    int64_t number;
};
int option_parse(const struct option *option, struct span text, union option_value *ret_value,
                 struct error *err);

// A number as a person would write it ("90s", "32Mi", "75%"), into a buffer of OPTION_NUMBER_SIZE;
// returns it.
const char *option_format_number(const struct option *option, int64_t value, char *text);

// Is `name` one of the comma-separated words in `list` (which may be NULL)?
bool option_words_have(const char *list, struct span name);

// Takes off the front of both what is the same in both, part by dotted part, where "*" in `pattern`
// is any part. False when they differ in one; else one of them is empty then.
bool option_match_parts(struct span *pattern, struct span *place);

// Walks such a list: cuts the next trimmed, non-empty word off *rest; false at the end.
bool option_next_word(struct span *rest, struct span *ret_word);
