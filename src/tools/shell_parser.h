#pragma once

#include "tools/shell_line.h"

// Private to the reader of shell: where it is in a text. shell_word.c reads words and what they
// expand, shell_line.c commands.
enum { HERE_DOCUMENTS_MAX = 8, FUNCTION_NAME_MAX = 64 };

struct here_document {
    struct shell_command *command; // that reads it; lives until its end is known
    char *delimiter;               // owned
    bool literal, tabs;            // nothing in it is expanded; its lines lose leading tabs
    size_t index;                  // of the command once it is in the line, else SIZE_MAX
    unsigned depth;                // of the parser where it began
};

struct shell_parser {
    const char *at, *end;
    struct shell_line *line;
    unsigned depth;
    struct error *err;
    int (*commands)(struct shell_parser *p, char closer, bool piped); // reads some of the line
    struct here_document documents[HERE_DOCUMENTS_MAX];
    size_t document_count;
    char function[FUNCTION_NAME_MAX]; // whose body is read; "": none
    int braces;
    unsigned cases; // that no "esac" has ended, of all depths
};

void shell_unsure(struct shell_parser *p, const char *what); // the first is told

bool shell_sees(const struct shell_parser *p, const char *text);
bool shell_is_name(char c);
bool shell_begins_process(const struct shell_parser *p); // <(...)
void shell_word_finish(struct shell_word *word);
int shell_read_word(struct shell_parser *p, struct shell_word *ret_word);
// What is run by a text in which nothing else has a meaning: a here-document's, arithmetic.
int shell_read_expansions(struct shell_parser *p, struct span text);
// Another text, whose commands are part of the same line; `whole`, or what it expands.
int shell_read_nested(struct shell_parser *p, struct span text, bool whole);
int shell_deeper(struct shell_parser *p); // negative: too deep
