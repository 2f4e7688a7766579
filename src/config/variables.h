#pragma once

#include "config/environment.h"
#include "config/findings.h"
#include "config/option.h"

/*
 * The variables that the options see, in layers: the real environment; beneath it the files of
 * HERMES_SECRETS_DIR, then those of systemd's CREDENTIALS_DIRECTORY; beneath them `.env` of the
 * home; beneath all, environment_variables of config.yaml (LiteLLM). A variable that is set to
 * nothing counts as not set, in any. Private to the folder.
 */
struct variable {
    char *name, *value;
    unsigned line; // of .env or config.yaml; 0: a file of its own
};

enum variable_layer { LAYER_SECRETS, LAYER_CREDENTIALS, LAYER_DOTENV, LAYER_FILE, LAYERS };

struct variables_read { // what was read from one place
    char *path;         // of the file or directory; NULL: none
    struct variable *array;
    size_t count, capacity;
};

struct variables {
    struct config_environment real;
    struct config_environment layered; // what config_substitute() is given
    struct variables_read layers[LAYERS];
};

// `variables` must not move afterwards: its `layered` environment points at it.
void variables_init(struct variables *variables, const struct config_environment *real);
void variables_finish(struct variables *variables);

// Copies both texts. False when there are too many.
bool variables_add(struct variables_read *layer, struct span name, struct span value,
                   unsigned line);

// Reads `.env`; one that does not exist is an empty one.
void variables_read_dotenv(struct variables *variables, const char *path,
                           struct findings *findings);

// Reads the directories that the real environment names. See variables_directory.c.
void variables_read_directories(struct variables *variables, struct findings *findings);

// The variable of an option's list that is set, `<NAME>_FILE` included for a secret: all names are
// looked for in the real environment first, then in each layer.
struct variable_hit {
    const char *value; // borrowed from the environment or `variables`
    struct span name;  // without "_FILE"; borrowed from the option
    const char *layer; // path of the file or directory that holds it; NULL: the real environment
    unsigned line;     // of .env or config.yaml; 0: of none
    bool is_file;      // it is the path of a file that holds the value
    enum config_origin origin;
};
bool variables_find(const struct variables *variables, const struct option *option,
                    struct variable_hit *ret_hit);

// "env NAME", "/run/secrets/hermes/NAME", ".env:3", "config.yaml:7"; on the heap.
char *variable_where(const struct variable_hit *hit);

// Does the name say that what it stands for is a secret (KEY, TOKEN, PASSWORD, ...), any case?
bool variables_looks_secret(const char *name);
