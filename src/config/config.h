#pragma once

#include <stddef.h>

#include "base/buf.h"
#include "base/error.h"
#include "config/environment.h"
#include "config/schema.h"

/*
 * Configuration: found, read, checked, put into structs, and explained. Nothing here writes a file.
 *
 * For each option the first of these that has a value wins: the command line; the configuration
 * file; the environment; a directory of secrets; `.env`; environment_variables of the file; the
 * default. OPTION_ENV_WINS puts all that are variables above the file. A null in the file is no
 * value.
 *
 * A reload is config_load() into a second struct, then a swap, then config_destroy() of the old: a
 * load that fails leaves nothing behind and changes nothing.
 */
enum {
    CONFIG_FILE_MAX = 1024 * 1024,      // bytes of config.yaml
    CONFIG_DOTENV_MAX = 256 * 1024,     // bytes of .env
    CONFIG_SECRET_FILE_MAX = 64 * 1024, // bytes of a file that holds one secret
    CONFIG_SECRETS_MAX = 1000,          // entries of a directory of secrets
    CONFIG_FINDINGS_MAX = 1000,         // more are counted, not kept
};

#define CONFIG_SYSTEM_PATH "/etc/hermes/config.yaml"

// Where config_find_file() looks, in this order; the first that exists is the one.
struct config_search {
    const char *option_path;                      // --config, or NULL; must exist
    const struct config_environment *environment; // HERMES_CONFIG; must exist
    const char *system_path;                      // CONFIG_SYSTEM_PATH; NULL: not looked for
    const char *home;                             // <home>/config.yaml of a hermes-agent; or NULL
};

// *ret_path is the caller's, NULL when there is none. 0, or -errno when one that was named is
// missing, or one cannot be looked at.
int config_find_file(const struct config_search *search, char **ret_path, struct error *err);

struct config_override {
    const char *key;   // an option's key
    const char *value; // NULL: not given
    const char *flag;  // what the user typed, for provenance: "--model"
};

struct config_inputs {
    const char *path;                             // config.yaml, or NULL: none; must exist
    const char *dotenv_path;                      // <home>/.env, or NULL; may be missing
    const struct config_environment *environment; // the real one; its context outlives the config
    const struct config_override *overrides;      // from the command line
    size_t override_count;
};

enum config_severity { CONFIG_ERROR, CONFIG_WARNING, CONFIG_NOTE };

struct config_finding {
    enum config_severity severity;
    const char *where; // "/etc/hermes/config.yaml:7:3", "environment", "command line", "" ...
    const char *text;  // the sentence, without `where`
};

enum config_origin {
    CONFIG_FROM_DEFAULT,
    CONFIG_FROM_DOTENV,
    CONFIG_FROM_SECRETS, // a file of HERMES_SECRETS_DIR or CREDENTIALS_DIRECTORY
    CONFIG_FROM_ENVIRONMENT,
    CONFIG_FROM_FILE,
    CONFIG_FROM_COMMAND_LINE,
};

struct config_setting {
    const struct option *option;
    const char *text; // the value; NULL: none. May be a secret: show config_render_show()'s instead
    enum config_origin origin;
    const char *where; // "default", "env HERMES_MODEL", "/etc/hermes/config.yaml:12", ".env:3", ...
};

struct config;

/*
 * Fills `target` (schema->size bytes). On failure both `target` and *ret_config are untouched, and
 * `err` holds the first error with its place and says how many more there are. Returns 0 or
 * -EINVAL. The schema and its tables must outlive the config; the inputs need not.
 */
int config_load(const struct config_inputs *inputs, const struct config_schema *schema,
                void *target, struct config **ret_config, struct error *err);

/*
 * The same for `hermes config check` and `hermes config show`: reads on after an error, and always
 * returns a config, whose findings tell everything that is wrong. Options in error hold defaults.
 */
struct config *config_inspect(const struct config_inputs *inputs,
                              const struct config_schema *schema);

void config_destroy(struct config *config); // wipes the values it held; accepts NULL

const char *config_path(const struct config *config); // of config.yaml; NULL: none
// A variable as the options saw it, of any layer. NULL when not set or empty.
const char *config_variable(const struct config *config, const char *name);

// The setting of one key (not an alias), or NULL for an unknown one. Lives with the config.
const struct config_setting *config_setting(const struct config *config, const char *key);

// Everything that must not be shown or logged: values of secret options, and of variables with a
// secret's name in a directory of secrets, in .env or in the file. At most `max`, which live with
// the config; returns how many.
size_t config_secrets(const struct config *config, const char **ret_secrets, size_t max);

// In the order in which they were found: .env, the file from top to bottom, then option by option.
// They live with the config.
size_t config_finding_count(const struct config *config);
const struct config_finding *config_finding_at(const struct config *config, size_t index);
size_t config_error_count(const struct config *config);

// One line per option: key, value, where it comes from. Masked are secrets, values that were made
// with a variable of a secret's name, and the user part of URLs.
void config_render_show(const struct config *config, struct buf *out);
// One line per finding: "error: /etc/hermes/config.yaml:12:3: model.max_tokens: ...".
void config_render_findings(const struct config *config, struct buf *out);

// As much of a secret as a person may see: "sk-...9f" of 16 printable characters and more, else
// "***".
void config_render_masked(const char *secret, struct buf *out);
