#include "router/observe/series.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum {
    BUNDLES_MAX = 256,                          // kept at the same time; one more forgets all
    STATUS_TEXT_MAX = 12,                       // bytes
    KEY_PARTS = 6,                              // texts in a bundle's key
    KEY_TEXT_MAX = METRICS_LABEL_VALUE_MAX + 1, // longer ones are cut alike in the label
    KEY_MAX = sizeof(size_t) + sizeof(int) + KEY_PARTS * (2 + KEY_TEXT_MAX),
    DEPLOYMENT_TEXTS = 5,
};

_Static_assert(KEY_TEXT_MAX <= UINT8_MAX, "its length is one byte of the key");

struct router_bundle {
    void *series[FAMILY_COUNT]; // int64_t or struct metrics_histogram; NULL until it is used
    size_t key_len;
    unsigned char key[];
};

struct deployment {
    struct router_metrics_deployment spec; // its texts are owned
    int64_t level;                         // enum router_circuit_level, as it was last told
};

struct series_cache {
    struct metrics_family *const *families; // borrowed
    struct deployment *deployments;
    size_t deployment_count;
    struct router_bundle *bundles[BUNDLES_MAX]; // the one that an event used last is the first
    size_t bundle_count;
};

// -- labels ---------------------------------------------------------------------------------------

static struct router_labels labels_of(const struct router_event *event, char text[STATUS_TEXT_MAX])
{
    const struct router_caller *caller = event->caller;
    int len = event->status > 0 ? snprintf(text, STATUS_TEXT_MAX, "%d", event->status) : 0;
    struct span status = len ? span_make(text, (size_t)len) : SPAN_ABSENT;
    struct router_labels labels = {.of = {
                                       [LABEL_KEY_HASH] = caller->key_hash,
                                       [LABEL_KEY_ALIAS] = caller->key_alias,
                                       [LABEL_REQUESTED_MODEL] = event->requested_model,
                                       [LABEL_ROUTE] = event->route,
                                       [LABEL_FALLBACK_MODEL] = event->fallback_model,
                                       [LABEL_STATUS_CODE] = status,
                                       [LABEL_EXCEPTION_STATUS] = status,
                                       [LABEL_EXCEPTION_CLASS] = span_of(event->exception_class),
                                   }};
    if (event->deployment >= event->cache->deployment_count)
        return labels;
    const struct router_metrics_deployment *spec =
        &event->cache->deployments[event->deployment].spec;
    labels.of[LABEL_MODEL] = labels.of[LABEL_LITELLM_MODEL] = spec->model;
    labels.of[LABEL_MODEL_ID] = spec->id;
    labels.of[LABEL_API_BASE] = spec->api_base;
    labels.of[LABEL_API_PROVIDER] = spec->provider;
    labels.of[LABEL_MODEL_GROUP] = spec->group;
    return labels;
}

// -- bundles --------------------------------------------------------------------------------------

// All that makes the labels of the event, so that of a key there is one series in each family.
static size_t make_key(unsigned char key[KEY_MAX], const struct router_event *event)
{
    const struct span texts[KEY_PARTS] = {
        event->requested_model, event->caller->key_hash, event->caller->key_alias,
        event->route,           event->fallback_model,   span_of(event->exception_class)};
    unsigned char *at = key;
    memcpy(at, &event->deployment, sizeof(event->deployment));
    at += sizeof(event->deployment);
    memcpy(at, &event->status, sizeof(event->status));
    at += sizeof(event->status);
    for (size_t i = 0; i < KEY_PARTS; i++) {
        size_t len = texts[i].len < KEY_TEXT_MAX ? texts[i].len : KEY_TEXT_MAX;
        *at++ = texts[i].data != NULL;
        *at++ = (unsigned char)len;
        if (len)
            memcpy(at, texts[i].data, len);
        at += len;
    }
    return (size_t)(at - key);
}

static void forget_bundles(struct series_cache *cache)
{
    for (size_t i = 0; i < cache->bundle_count; i++)
        free(cache->bundles[i]);
    cache->bundle_count = 0;
}

// Most callers ask more than once, and what was found goes to the front.
void series_cache_begin(struct router_event *event)
{
    struct series_cache *cache = event->cache;
    unsigned char key[KEY_MAX];
    size_t len = make_key(key, event), at = 0;
    while (at < cache->bundle_count &&
           (cache->bundles[at]->key_len != len || memcmp(cache->bundles[at]->key, key, len) != 0))
        at++;
    if (at == BUNDLES_MAX) {
        forget_bundles(cache);
        at = 0;
    }
    if (at == cache->bundle_count) {
        struct router_bundle *made = mem_zalloc(sizeof *made + len);
        made->key_len = len;
        memcpy(made->key, key, len);
        cache->bundles[cache->bundle_count++] = made;
    }
    event->bundle = cache->bundles[at];
    cache->bundles[at] = cache->bundles[0];
    cache->bundles[0] = event->bundle;
}

// -- counting -------------------------------------------------------------------------------------

static void *series_of(const struct router_event *event, enum router_family which)
{
    void **kept = &event->bundle->series[which];
    if (!*kept) {
        char text[STATUS_TEXT_MAX];
        struct router_labels labels = labels_of(event, text);
        *kept = router_series(event->cache->families, which, &labels);
    }
    return *kept;
}

void series_cache_add(const struct router_event *event, enum router_family which, int64_t value)
{
    int64_t *series = value < 0 ? NULL : series_of(event, which);
    if (series)
        *series += value;
}

void series_cache_set(const struct router_event *event, enum router_family which, int64_t value)
{
    int64_t *series = value < 0 ? NULL : series_of(event, which);
    if (series)
        *series = value;
}

void series_cache_observe(const struct router_event *event, enum router_family which, int64_t value)
{
    if (value >= 0)
        metrics_observe(series_of(event, which), value);
}

// -- deployments ----------------------------------------------------------------------------------

static void texts_of(struct deployment *deployment, struct span *ret_texts[DEPLOYMENT_TEXTS])
{
    ret_texts[0] = &deployment->spec.model;
    ret_texts[1] = &deployment->spec.id;
    ret_texts[2] = &deployment->spec.api_base;
    ret_texts[3] = &deployment->spec.provider;
    ret_texts[4] = &deployment->spec.group;
}

static void free_deployments(struct deployment *deployments, size_t count)
{
    struct span *texts[DEPLOYMENT_TEXTS];
    for (size_t i = 0; i < count; i++) {
        texts_of(&deployments[i], texts);
        for (size_t j = 0; j < DEPLOYMENT_TEXTS; j++)
            free((char *)texts[j]->data);
    }
    free(deployments);
}

static struct deployment *copy_deployments(const struct router_metrics_deployment *from,
                                           size_t count)
{
    struct deployment *copies = mem_zalloc((count ? count : 1) * sizeof(*copies));
    struct span *texts[DEPLOYMENT_TEXTS];
    for (size_t i = 0; i < count; i++) {
        copies[i].spec = from[i];
        texts_of(&copies[i], texts);
        for (size_t j = 0; j < DEPLOYMENT_TEXTS; j++)
            if (texts[j]->data)
                texts[j]->data = mem_strndup(texts[j]->data, texts[j]->len);
    }
    return copies;
}

static bool is_same_deployment(struct deployment *a, struct deployment *b)
{
    struct span *of_a[DEPLOYMENT_TEXTS], *of_b[DEPLOYMENT_TEXTS];
    bool same =
        (a->spec.rpm >= 0) == (b->spec.rpm >= 0) && (a->spec.tpm >= 0) == (b->spec.tpm >= 0);
    texts_of(a, of_a);
    texts_of(b, of_b);
    for (size_t i = 0; i < DEPLOYMENT_TEXTS; i++)
        same = same && span_equal(*of_a[i], *of_b[i]);
    return same;
}

// Starts a deployment's levels, so that one that was never asked is told too.
static void tell_deployment(struct series_cache *cache, size_t index)
{
    static const struct router_caller nobody;
    struct deployment *deployment = &cache->deployments[index];
    struct router_event event = {.cache = cache, .caller = &nobody, .deployment = index};
    series_cache_begin(&event);
    const int64_t *state = series_of(&event, FAMILY_STATE);
    deployment->level = *state;
    series_of(&event, FAMILY_CIRCUIT);
    series_cache_set(&event, FAMILY_TPM_LIMIT, deployment->spec.tpm);
    series_cache_set(&event, FAMILY_RPM_LIMIT, deployment->spec.rpm);
}

void series_cache_deployments(struct series_cache *cache,
                              const struct router_metrics_deployment *deployments, size_t count)
{
    struct deployment *old = cache->deployments;
    size_t old_count = cache->deployment_count;
    forget_bundles(cache);
    cache->deployments = copy_deployments(deployments, count);
    cache->deployment_count = count;
    for (size_t i = 0; i < old_count; i++) {
        bool is_there = false;
        for (size_t j = 0; j < count && !is_there; j++)
            is_there = is_same_deployment(&cache->deployments[j], &old[i]);
        if (!is_there)
            router_families_forget(cache->families, old[i].spec.id);
    }
    free_deployments(old, old_count);
    for (size_t i = 0; i < count; i++)
        tell_deployment(cache, i);
    forget_bundles(cache); // few of them are asked often
}

bool series_cache_turn(const struct router_event *event, int64_t level)
{
    struct deployment *deployment = &event->cache->deployments[event->deployment];
    if (deployment->level == level)
        return false;
    deployment->level = level;
    series_cache_set(event, FAMILY_STATE, level);
    series_cache_set(event, FAMILY_CIRCUIT, level);
    return true;
}

bool series_cache_has(const struct series_cache *cache, size_t deployment)
{
    return deployment < cache->deployment_count;
}

struct series_cache *series_cache_create(struct metrics_family *const families[])
{
    struct series_cache *cache = mem_new(struct series_cache);
    cache->families = families;
    return cache;
}

void series_cache_destroy(struct series_cache *cache)
{
    if (!cache)
        return;
    forget_bundles(cache);
    free_deployments(cache->deployments, cache->deployment_count);
    free(cache);
}
