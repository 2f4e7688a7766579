#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "codec/utf8.h"
#include "codec/yaml.h"
#include "config/config.h"
#include "tools/skills.h"

/*
 * The YAML between two lines "---" at the beginning of a SKILL.md. Others write it, so whatever
 * ends up in a sentence or in the list is one line of a known length.
 */
enum { SHOWN_MAX = 80 }; // bytes of a word of the file in a sentence

bool skill_name_is_valid(struct span name)
{
    if (name.len == 0 || name.len > SKILL_NAME_MAX || name.data[0] == '-')
        return false;
    for (size_t i = 0; i < name.len; i++)
        if (!strchr("abcdefghijklmnopqrstuvwxyz0123456789-", name.data[i]) || !name.data[i])
            return false;
    return true;
}

void skill_finish(struct skill *skill)
{
    free(skill->name);
    free(skill->category);
    free(skill->description);
    free(skill->problem);
    free(skill->path);
    *skill = (struct skill){0};
}

static int find_head(struct span text, struct span *ret_head, struct error *err)
{
    struct span rest = span_skip(text, span_starts_with(text, "\xef\xbb\xbf") ? 3 : 0);
    const char *begin = rest.data;
    if (!span_is(span_trim(span_cut(&rest, '\n')), "---"))
        return error_set(err, -EBADMSG,
                         "1:1: the first line must be ---, before name and "
                         "description");
    begin = rest.data;
    while (rest.len) {
        struct span line = span_cut(&rest, '\n');
        if (span_is(span_trim(line), "---")) {
            *ret_head = span_make(begin, (size_t)(line.data - begin));
            return 0;
        }
    }
    return error_set(err, -EBADMSG, "1:1: no second line --- in the first %d KiB",
                     SKILL_HEAD_MAX / 1024);
}

// An element of a list; what is no list is one of a single element.
static const struct yaml_node *item_at(const struct yaml_node *node, size_t place)
{
    if (node && node->kind == YAML_SEQUENCE)
        return place < node->count ? node->items[place] : NULL;
    return node && node->kind != YAML_NULL && place == 0 ? node : NULL;
}

static struct span text_of(const struct yaml_node *node)
{
    return node && node->kind == YAML_SCALAR ? node->value : SPAN_ABSENT;
}

static bool is_set(const struct config *variables, const char *name)
{
    const char *value = variables ? config_variable(variables, name) : getenv(name);
    return value && *value;
}

static bool is_installed(const struct config *unused, const char *name)
{
    (void)unused;
    const char *path = getenv("PATH");
    struct span rest = span_of(path && *path ? path : "/usr/local/bin:/usr/bin:/bin");
    while (rest.len) {
        struct span directory = span_cut(&rest, ':');
        CLEANUP(mem_cleanup)
        char *file = mem_printf("%.*s/%s", (int)directory.len, directory.data, name);
        if (access(file, X_OK) == 0)
            return true;
    }
    return false;
}

// The first of a list that is not there; false: all are.
static bool find_missing(const struct yaml_node *list, const struct config *variables,
                         bool (*is_there)(const struct config *variables, const char *name),
                         char missing[SHOWN_MAX])
{
    const struct yaml_node *item;
    for (size_t i = 0; (item = item_at(list, i)); i++) {
        struct span name = text_of(item->kind == YAML_MAPPING ? yaml_get(item, "name") : item);
        utf8_one_line(name, missing, SHOWN_MAX);
        if (name.len && !is_there(variables, missing))
            return true;
    }
    return false;
}

static bool is_for_another_system(const struct yaml_node *platforms, char named[SHOWN_MAX])
{
    const struct yaml_node *item;
    bool any = false;
    for (size_t i = 0; (item = item_at(platforms, i)); i++) {
        struct span name = text_of(item);
        if (name.len == 5 && strncasecmp(name.data, "linux", 5) == 0)
            return false;
        if (!any)
            utf8_one_line(name, named, SHOWN_MAX);
        any = true;
    }
    return any;
}

static char *find_problem(const struct yaml_node *root, const struct config *variables)
{
    char what[SHOWN_MAX];
    if (is_for_another_system(yaml_get(root, "platforms"), what))
        return mem_printf("it is for %s, not for linux", what);
    if (find_missing(yaml_get(root, "required_environment_variables"), variables, is_set, what))
        return mem_printf("the variable %s is not set", what);
    if (find_missing(yaml_get(yaml_get(root, "prerequisites"), "commands"), variables, is_installed,
                     what))
        return mem_printf("the command %s is not installed", what);
    return NULL;
}

int skill_head_read(struct span text, const struct config *variables, struct skill *skill,
                    struct error *err)
{
    YAML_AUTO doc = YAML_DOCUMENT_INIT;
    struct span head;
    char line[SKILL_DESCRIPTION_MAX + 1];
    int r = find_head(text, &head, err);
    if (r == 0)
        r = yaml_parse(&doc, head, err);
    if (r < 0)
        return r;
    if (doc.root->kind != YAML_MAPPING)
        return error_set(err, -EBADMSG,
                         "1:1: between the lines --- there must be name and "
                         "description");
    struct span name = text_of(yaml_get(doc.root, "name"));
    if (name.data && !skill_name_is_valid(name)) {
        utf8_one_line(name, line, SHOWN_MAX);
        return error_set(err, -EBADMSG, "the name \"%s\" must be 1 to %d of a-z, 0-9 and -", line,
                         SKILL_NAME_MAX);
    }
    struct span description = span_trim(text_of(yaml_get(doc.root, "description")));
    if (description.len == 0 || description.len > SKILL_DESCRIPTION_MAX)
        return error_set(err, -EBADMSG, "the description must have 1 to %d bytes",
                         SKILL_DESCRIPTION_MAX);
    utf8_one_line(description, line, sizeof line);
    free(skill->description);
    skill->description = mem_strdup(line);
    if (name.data) {
        free(skill->name);
        skill->name = mem_strndup(name.data, name.len);
    }
    free(skill->problem);
    skill->problem = find_problem(doc.root, variables);
    return 0;
}
