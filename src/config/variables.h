#pragma once

#include "config/environment.h"
#include "config/findings.h"
#include "config/option.h"

/*
 * The variables that the options see: the real environment, and `.env` of the home beneath it. A
 * variable that is set to nothing counts as not set, in either. Private to the folder.
 */
struct variable {
    char *name, *value;
    unsigned line;
};

struct variables {
    struct config_environment real;
    struct config_environment layered; // what config_substitute() is given
    char *dotenv_path;                 // NULL: none
    struct variable *dotenv;           // the last of two with one name counts
    size_t count, capacity;
};

// `variables` must not move afterwards: its `layered` environment points at it.
void variables_init(struct variables *variables, const struct config_environment *real);
void variables_finish(struct variables *variables);

// Reads `.env`; one that does not exist is an empty one.
void variables_read_dotenv(struct variables *variables, const char *path,
                           struct findings *findings);

// The variable of an option's list that is set, `<NAME>_FILE` included for a secret: all names are
// looked for in the real environment first, then in `.env`.
struct variable_hit {
    const char *value; // borrowed from the environment or `variables`
    struct span name;  // without "_FILE"; borrowed from the option
    bool is_file;      // it is the path of a file that holds the value
    unsigned line;     // of .env; 0: the real environment
};
bool variables_find(const struct variables *variables, const struct option *option,
                    struct variable_hit *ret_hit);

// Does the name say that what it stands for is a secret (KEY, TOKEN, PASSWORD, ...), any case?
bool variables_looks_secret(const char *name);
