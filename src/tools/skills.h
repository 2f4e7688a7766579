#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/span.h"
#include "config/option.h"

struct config;
struct store;

/*
 * Skills: directories with a SKILL.md, as hermes-agent and agentskills.io have them, in skills/ of
 * the home and in directories outside that are only read. What is kept in memory is the list; the
 * texts stay in their files, and of those only one that has changed is read again.
 */
enum {
    SKILLS_MAX = 512,             // that are listed
    SKILLS_LOOKED_MAX = 4000,     // names in all directories
    SKILLS_DEPTH_MAX = 4,         // directories: skills/<category>/<category>/<name>
    SKILL_NAME_MAX = 64,          // characters
    SKILL_DESCRIPTION_MAX = 1024, // bytes
    SKILL_HEAD_MAX = 16 * 1024,   // bytes, of the YAML at the beginning
    SKILL_FILE_MAX = 256 * 1024,  // bytes of a file that is written
    SKILL_SHOWN_MAX = 40 * 1024,  // bytes of a file that are shown
};

struct skills_config {
    struct option_list external_dirs;
    bool external_trusted; // their texts are as the owner's own
    bool write_approval;   // somebody is asked before the agent changes a skill
};

extern const struct option skills_options[];
extern const size_t skills_option_count;

struct skill {
    char *name, *category;           // the second may be ""
    char *description;               // one line; "": none
    char *problem;                   // why it cannot work here; NULL: it can
    char *path;                      // of its directory, beneath its root
    const char *root;                // borrowed from the list's owner
    bool malformed;                  // its problem is not this machine, but the skill
    bool external;                   // is only read
    bool tainted;                    // nobody vouches for its text
    bool shadowed;                   // another one of this name comes first
    long long mtime_ns, size, inode; // of its SKILL.md when that was read
};

struct skills;

// `home`: its skills/ directory, which need not exist. `store`: where marks are kept; NULL: nobody
// looks at those.
struct skills *skills_create(const char *home, struct store *store);
void skills_destroy(struct skills *skills); // accepts NULL
// `variables` are borrowed until the next, for what skills require; NULL: the environment.
void skills_configure(struct skills *skills, const struct skills_config *config,
                      const struct config *variables);
void skills_forget(struct skills *skills); // so that all is read again: a program was installed

void skills_refresh(struct skills *skills); // looks what there is now

// By category and name; NULL behind the last one. Until the next refresh.
const struct skill *skills_at(const struct skills *skills, size_t place);
const struct skill *skills_find(const struct skills *skills, struct span name); // NULL: none
bool skills_left_some_out(const struct skills *skills); // there are more than are looked at
// Appends a line for each, of a category alone (NULL: of all). False: it does not fit.
bool skills_write_list(const struct skills *skills, const char *category, struct buf *out,
                       bool *ret_tainted);
const char *skill_trouble(const struct skill *skill); // NULL: it can work

// Appends a file of the skill (NULL: SKILL.md), at most SKILL_SHOWN_MAX of it and a line that says
// so. `file` cannot leave the skill's directory.
int skill_read(const struct skill *skill, const char *file, struct buf *out, struct error *err);
// Appends the names of its other files, if there are any.
void skill_list_files(const struct skill *skill, struct buf *out);

bool skill_name_is_valid(struct span name);
// The head of a SKILL.md: sets name, description and problem. Negative, with a sentence that begins
// with the place: it is none.
int skill_head_read(struct span text, const struct config *variables, struct skill *skill,
                    struct error *err);
void skill_finish(struct skill *skill); // accepts zeroed
