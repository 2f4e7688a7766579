#include "llm/model_list.h"

#include <errno.h>
#include <string.h>

#include "base/span.h"
#include "config/substitute.h"

const char model_list_places[] = "*.model_name, *.litellm_params.model, "
                                 "*.litellm_params.api_base, *.litellm_params.api_key";

// The entry that a pair belongs to, and what is behind its number: "2.model_name". False for an
// entry beyond the limit.
static bool take_place(const struct option_pair *pair, size_t *ret_index, struct span *ret_member)
{
    struct span rest = span_of(pair->name);
    uint64_t index;
    if (!span_to_u64(span_cut(&rest, '.'), &index) || index >= MODEL_LIST_MAX)
        return false;
    *ret_index = (size_t)index;
    *ret_member = rest;
    return true;
}

size_t model_list_count(const struct option_map *list)
{
    size_t count = 0, index;
    struct span member;
    for (size_t i = 0; i < list->count; i++)
        if (take_place(&list->pairs[i], &index, &member) && index >= count)
            count = index + 1;
    return count;
}

struct deployment model_list_at(const struct option_map *list, size_t wanted)
{
    struct deployment found = {.index = wanted};
    size_t index;
    struct span member;
    for (size_t i = 0; i < list->count; i++) {
        const struct option_pair *pair = &list->pairs[i];
        if (!take_place(pair, &index, &member) || index != wanted)
            continue;
        if (span_is(member, "model_name"))
            found.name = pair->value;
        else if (span_is(member, "litellm_params.model"))
            found.model = pair->value;
        else if (span_is(member, "litellm_params.api_base"))
            found.api_base = pair->value;
        else if (span_is(member, "litellm_params.api_key"))
            found.api_key = pair->value;
    }
    return found;
}

static int check_variable(const struct deployment *found, const char *what, const char *text,
                          struct error *err)
{
    char name[SUBSTITUTE_NAME_MAX + 1];
    if (!text || !config_unset_variable(text, name))
        return 0;
    return error_set(err, -ENOKEY,
                     "model_list: the %s of \"%s\" is in the variable %s, which is not set; set "
                     "it, or put a file of that name into the directory that HERMES_SECRETS_DIR "
                     "names",
                     what, found->name, name);
}

static int check(const struct deployment *found, struct error *err)
{
    if (strlen(found->name) > MODEL_NAME_MAX)
        return error_set(err, -E2BIG, "model_list: a model_name is longer than %d bytes",
                         MODEL_NAME_MAX);
    if (!found->model || !*found->model)
        return error_set(err, -EINVAL,
                         "model_list: \"%s\" does not say what it stands for: set "
                         "litellm_params.model, as in openrouter/vendor/model",
                         found->name);
    int r = check_variable(found, "model", found->model, err);
    if (r == 0)
        r = check_variable(found, "api_base", found->api_base, err);
    if (r == 0)
        r = check_variable(found, "api_key", found->api_key, err);
    return r;
}

int model_list_find(const struct option_map *list, const char *name,
                    struct deployment *ret_deployment, struct error *err)
{
    size_t count = model_list_count(list);
    for (size_t i = 0; i < count; i++) {
        struct deployment found = model_list_at(list, i);
        if (!found.name || strcmp(found.name, name) != 0)
            continue;
        int r = check(&found, err);
        if (r == 0)
            *ret_deployment = found;
        return r;
    }
    return 1;
}

bool model_list_is_repeated(const struct option_map *list, size_t index)
{
    const char *name = model_list_at(list, index).name;
    for (size_t i = 0; name && i < index; i++) {
        const char *earlier = model_list_at(list, i).name;
        if (earlier && strcmp(earlier, name) == 0)
            return true;
    }
    return false;
}

void model_list_names(const struct option_map *list, struct buf *out)
{
    size_t count = model_list_count(list), shown = 0;
    for (size_t i = 0; i < count; i++) {
        const char *name = model_list_at(list, i).name;
        if (!name || !*name || model_list_is_repeated(list, i))
            continue;
        if (shown++ == MODEL_LIST_SHOWN_MAX) {
            buf_append_text(out, ", ...");
            return;
        }
        buf_printf(out, "%s%.64s", shown > 1 ? ", " : "", name);
    }
}
