#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/error.h"
#include "config/option.h"

/*
 * LiteLLM's model_list (its proxy's config.yaml): names for models, and what stands behind each.
 *
 *     model_list:
 *       - model_name: free
 *         litellm_params:
 *           model: openrouter/vendor/model:free
 *           api_key: os.environ/OPENROUTER_API_KEY
 *
 * Several entries of one name are its deployments; the first is the one that is asked. Read from an
 * OPTION_TREE, whose texts it borrows.
 */
enum {
    MODEL_LIST_MAX = 200,      // entries that are looked at
    MODEL_NAME_MAX = 200,      // bytes of a name
    MODEL_LIST_SHOWN_MAX = 20, // names in a sentence
};

extern const char model_list_places[]; // that are used, for the option's table
extern const char model_list_params[]; // members of litellm_params that go into a request, JSON

struct deployment {
    size_t index; // in the list
    const char *name, *model;
    const char *provider;                          // custom_llm_provider; NULL: `model` says it
    const char *api_base, *api_key, *organization; // NULL: not said
};

size_t model_list_count(const struct option_map *list);  // of entries, MODEL_LIST_MAX at most
size_t model_list_length(const struct option_map *list); // of all that the file has

// The pairs of one entry, a part of `list`; *ret_skip bytes of their names are its number and dot.
struct option_map model_list_pairs(const struct option_map *list, size_t index, size_t *ret_skip);

// The entry at `index`; a member that is not there is NULL.
struct deployment model_list_at(const struct option_map *list, size_t index);

// The first of that name, exactly. 0; 1 when there is none; negative for one that cannot be used,
// with a sentence that says what is missing.
int model_list_find(const struct option_map *list, const char *name,
                    struct deployment *ret_deployment, struct error *err);

// Something that must be there and is not: a sentence, as of model_list_find(). 0 or negative.
int model_list_check(const struct deployment *deployment, struct error *err);

// Is there an earlier entry of that name?
bool model_list_is_repeated(const struct option_map *list, size_t index);

// "free, cheap, strong": each name once.
void model_list_names(const struct option_map *list, struct buf *out);
