#pragma once

#include "config/findings.h"
#include "config/option.h"

/*
 * One option's value on its way from a text to the field: the text, what was made of it, and where
 * it came from. Private to the folder.
 */
struct value {
    bool set;
    char *text;  // owned; of a list or map: "a, b" or "name: value, ...", for showing
    char *where; // owned
    enum config_origin origin;
    bool masked; // a variable with a secret's name went into it, or its last entry
    union option_value parsed;
    struct option_pair *entries; // owned, with their strings; of a list only the values are used
    const char **items;          // owned; a list's values once more, as the field wants them
    size_t count, capacity;
};

void value_finish(struct value *value); // wipes the texts; then it is as a zeroed one

// The help that a text may need on its way, and the list that is told.
struct value_source {
    struct findings *findings;
    const struct config_environment *variables; // NULL: the text is taken as it is
    struct place place;
    struct span key; // as it was written, for the sentences
};

/*
 * Each puts the source's text into `value`, which must be empty, and sets it; or adds an error.
 * Origin and where are the caller's to set.
 */
void value_from_text(struct value *value, const struct option *option,
                     const struct value_source *source, struct span text);
void value_from_secret_file(struct value *value, const struct option *option,
                            const struct value_source *source, struct span path);

// One entry of a list (name absent) or map, unless an error is added; value_close() once after the
// last.
void value_add_entry(struct value *value, const struct option *option,
                     const struct value_source *source, struct span name, struct span text);
void value_close(struct value *value);

// The same in two steps: the text with its variables put in, on the heap (`value->masked` says of
// what kind they were; NULL after an error was added), and an entry of a text that is handed over.
char *value_resolve(struct value *value, const struct option *option,
                    const struct value_source *source, struct span text);
bool value_append_entry(struct value *value, const struct option *option,
                        const struct value_source *source, struct span name, char *text);

// Writes the field; what it points at belongs to `value`. An empty value writes zeroes.
void value_store(const struct value *value, const struct option *option, void *field);
