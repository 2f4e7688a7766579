#include "router/observe/series.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum {
    BUNDLES_MAX = 256,                          // kept at the same time; one more forgets all
    BUNDLE_CHAINS = 512,                        // a power of two
    ROUTE_MAX = 48,                             // bytes
    STATUS_TEXT_MAX = 12,                       // bytes
    KEY_PARTS = 3,                              // texts in a bundle's key
    KEY_TEXT_MAX = METRICS_LABEL_VALUE_MAX + 1, // longer ones are cut alike in the label
    KEY_MAX = sizeof(size_t) + KEY_PARTS * (2 + KEY_TEXT_MAX),
};

_Static_assert(KEY_TEXT_MAX <= UINT8_MAX, "its length is one byte of the key");

struct router_bundle {
    struct router_bundle *next; // in its chain
    uint64_t hash;
    size_t key_len;
    unsigned char *key;         // owned
    void *series[FAMILY_COUNT]; // int64_t or struct metrics_histogram; NULL until it is used
    int total_status;           // what series[FAMILY_PROXY_TOTAL] counts
    size_t route_len;
    char route[ROUTE_MAX];
};

struct deployment {
    char *model, *id, *api_base, *provider, *group; // owned
    int64_t rpm, tpm;
    int64_t level; // enum router_circuit_level, as it was last told
};

struct series_cache {
    struct metrics_family *families[FAMILY_COUNT];
    struct deployment *deployments;
    size_t deployment_count;
    struct router_bundle *chains[BUNDLE_CHAINS];
    size_t bundle_count;
    struct router_bundle *last; // that an event used; NULL: none
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
    const struct deployment *deployment = &event->cache->deployments[event->deployment];
    labels.of[LABEL_MODEL] = labels.of[LABEL_LITELLM_MODEL] = span_of(deployment->model);
    labels.of[LABEL_MODEL_ID] = span_of(deployment->id);
    labels.of[LABEL_API_BASE] = span_of(deployment->api_base);
    labels.of[LABEL_API_PROVIDER] = span_of(deployment->provider);
    labels.of[LABEL_MODEL_GROUP] = span_of(deployment->group);
    return labels;
}

// -- bundles --------------------------------------------------------------------------------------

static unsigned char *append_text(unsigned char *at, struct span text)
{
    size_t len = text.len < KEY_TEXT_MAX ? text.len : KEY_TEXT_MAX;
    *at++ = text.data != NULL;
    *at++ = (unsigned char)len;
    if (len)
        memcpy(at, text.data, len);
    return at + len;
}

static size_t make_key(unsigned char key[KEY_MAX], const struct router_event *event)
{
    unsigned char *at = key;
    memcpy(at, &event->deployment, sizeof(event->deployment));
    at += sizeof(event->deployment);
    at = append_text(at, event->requested_model);
    at = append_text(at, event->caller->key_hash);
    at = append_text(at, event->caller->key_alias);
    return (size_t)(at - key);
}

static uint64_t hash_key(const unsigned char *key, size_t len)
{
    uint64_t hash = len, word = 0;
    for (; len > 0; key += sizeof(word)) {
        size_t step = len < sizeof(word) ? len : sizeof(word);
        word = 0;
        if (step == sizeof(word))
            memcpy(&word, key, sizeof(word)); // a size that is known is one load
        else
            memcpy(&word, key, step);
        hash = (hash ^ word) * UINT64_C(0x9E3779B97F4A7C15);
        hash ^= hash >> 32;
        len -= step;
    }
    return hash;
}

static void forget_bundles(struct series_cache *cache)
{
    for (size_t i = 0; i < BUNDLE_CHAINS; i++) {
        struct router_bundle *bundle = cache->chains[i];
        cache->chains[i] = NULL;
        while (bundle) {
            struct router_bundle *next = bundle->next;
            free(bundle->key);
            free(bundle);
            bundle = next;
        }
    }
    cache->bundle_count = 0;
    cache->last = NULL;
}

static struct router_bundle *add_bundle(struct series_cache *cache, const unsigned char *key,
                                        size_t len, uint64_t hash)
{
    if (cache->bundle_count == BUNDLES_MAX)
        forget_bundles(cache);
    struct router_bundle **chain = &cache->chains[hash & (BUNDLE_CHAINS - 1)];
    struct router_bundle *bundle = mem_new(struct router_bundle);
    bundle->hash = hash;
    bundle->key_len = len;
    bundle->key = mem_alloc(len);
    memcpy(bundle->key, key, len);
    bundle->next = *chain;
    *chain = bundle;
    cache->bundle_count++;
    return bundle;
}

static struct router_bundle *find_bundle(struct series_cache *cache,
                                         const struct router_event *event)
{
    unsigned char key[KEY_MAX];
    size_t len = make_key(key, event);
    uint64_t hash = hash_key(key, len);
    struct router_bundle *at = cache->chains[hash & (BUNDLE_CHAINS - 1)];
    while (at && (at->hash != hash || at->key_len != len || memcmp(at->key, key, len) != 0))
        at = at->next;
    return at ? at : add_bundle(cache, key, len, hash);
}

static bool skip_text(const unsigned char **at, struct span text)
{
    const unsigned char *part = *at;
    size_t len = text.len < KEY_TEXT_MAX ? text.len : KEY_TEXT_MAX;
    *at += 2 + len;
    return part[0] == (text.data != NULL) && part[1] == len &&
           (len == 0 || memcmp(part + 2, text.data, len) == 0);
}

static bool is_bundle_of(const struct router_bundle *bundle, const struct router_event *event)
{
    const unsigned char *at = bundle->key + sizeof(event->deployment);
    const struct router_caller *caller = event->caller;
    return memcmp(bundle->key, &event->deployment, sizeof(event->deployment)) == 0 &&
           skip_text(&at, event->requested_model) && skip_text(&at, caller->key_hash) &&
           skip_text(&at, caller->key_alias);
}

// An attempt is followed by its request, and most callers ask more than once.
void series_cache_begin(struct router_event *event)
{
    struct series_cache *cache = event->cache;
    if (!cache->last || !is_bundle_of(cache->last, event))
        cache->last = find_bundle(cache, event);
    event->bundle = cache->last;
}

// -- counting -------------------------------------------------------------------------------------

int64_t *series_cache_find(const struct router_event *event, enum router_family which)
{
    char text[STATUS_TEXT_MAX];
    struct router_labels labels = labels_of(event, text);
    return router_series(event->cache->families, which, &labels);
}

static int64_t *series_of(const struct router_event *event, enum router_family which)
{
    void **kept = &event->bundle->series[which];
    if (!*kept)
        *kept = series_cache_find(event, which);
    return *kept;
}

void series_cache_add(const struct router_event *event, enum router_family which, int64_t value)
{
    if (value >= 0)
        *series_of(event, which) += value;
}

void series_cache_set(const struct router_event *event, enum router_family which, int64_t value)
{
    if (value >= 0)
        *series_of(event, which) = value;
}

void series_cache_observe(const struct router_event *event, enum router_family which, int64_t value)
{
    if (value < 0)
        return;
    void **kept = &event->bundle->series[which];
    if (!*kept) {
        char text[STATUS_TEXT_MAX];
        struct router_labels labels = labels_of(event, text);
        *kept = router_histogram(event->cache->families, which, &labels);
    }
    metrics_observe(*kept, value);
}

// One client asks on one route and mostly gets one status, so the last pair is kept.
void series_cache_count_total(const struct router_event *event)
{
    struct router_bundle *bundle = event->bundle;
    void **kept = &bundle->series[FAMILY_PROXY_TOTAL];
    bool same =
        *kept && bundle->total_status == event->status && bundle->route_len == event->route.len &&
        memcmp(bundle->route, event->route.data ? event->route.data : "", bundle->route_len) == 0;
    if (!same && event->route.len <= ROUTE_MAX) {
        *kept = series_cache_find(event, FAMILY_PROXY_TOTAL);
        bundle->total_status = event->status;
        bundle->route_len = event->route.len;
        if (event->route.len)
            memcpy(bundle->route, event->route.data, event->route.len);
        same = true;
    }
    ++*(same ? (int64_t *)*kept : series_cache_find(event, FAMILY_PROXY_TOTAL));
}

int64_t *series_cache_counter(struct series_cache *cache, enum router_family which,
                              const struct router_labels *labels)
{
    return router_series(cache->families, which, labels);
}

struct metrics_histogram *series_cache_histogram(struct series_cache *cache,
                                                 enum router_family which,
                                                 const struct router_labels *labels)
{
    return router_histogram(cache->families, which, labels);
}

// -- deployments ----------------------------------------------------------------------------------

static void free_deployments(struct deployment *deployments, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(deployments[i].model);
        free(deployments[i].id);
        free(deployments[i].api_base);
        free(deployments[i].provider);
        free(deployments[i].group);
    }
    free(deployments);
}

static char *copy(struct span text)
{
    return text.data ? mem_strndup(text.data, text.len) : NULL;
}

static struct deployment *copy_deployments(const struct router_metrics_deployment *from,
                                           size_t count)
{
    struct deployment *copies = mem_zalloc((count ? count : 1) * sizeof(*copies));
    for (size_t i = 0; i < count; i++)
        copies[i] = (struct deployment){
            .model = copy(from[i].model),
            .id = copy(from[i].id),
            .api_base = copy(from[i].api_base),
            .provider = copy(from[i].provider),
            .group = copy(from[i].group),
            .rpm = from[i].rpm,
            .tpm = from[i].tpm,
        };
    return copies;
}

static bool is_same_deployment(const struct deployment *a, const struct deployment *b)
{
    return span_equal(span_of(a->id), span_of(b->id)) &&
           span_equal(span_of(a->model), span_of(b->model)) &&
           span_equal(span_of(a->api_base), span_of(b->api_base)) &&
           span_equal(span_of(a->provider), span_of(b->provider)) &&
           span_equal(span_of(a->group), span_of(b->group)) && (a->rpm >= 0) == (b->rpm >= 0) &&
           (a->tpm >= 0) == (b->tpm >= 0);
}

// Starts a deployment's levels, so that one that was never asked is told too.
static void tell_deployment(struct series_cache *cache, size_t index)
{
    static const struct router_caller nobody;
    struct deployment *deployment = &cache->deployments[index];
    const struct router_event event = {.cache = cache, .caller = &nobody, .deployment = index};
    deployment->level = *series_cache_find(&event, FAMILY_STATE);
    series_cache_find(&event, FAMILY_CIRCUIT);
    if (deployment->tpm >= 0)
        *series_cache_find(&event, FAMILY_TPM_LIMIT) = deployment->tpm;
    if (deployment->rpm >= 0)
        *series_cache_find(&event, FAMILY_RPM_LIMIT) = deployment->rpm;
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
            router_families_forget(cache->families, span_of(old[i].id));
    }
    free_deployments(old, old_count);
    for (size_t i = 0; i < count; i++)
        tell_deployment(cache, i);
}

void series_cache_forget(struct series_cache *cache, enum router_family which)
{
    metrics_forget_all(cache->families[which]);
}

bool series_cache_turn(const struct router_event *event, int64_t level)
{
    struct deployment *deployment = &event->cache->deployments[event->deployment];
    if (deployment->level == level)
        return false;
    deployment->level = level;
    *series_cache_find(event, FAMILY_STATE) = level;
    *series_cache_find(event, FAMILY_CIRCUIT) = level;
    return true;
}

bool series_cache_has(const struct series_cache *cache, size_t deployment)
{
    return deployment < cache->deployment_count;
}

struct series_cache *series_cache_create(struct metrics *metrics)
{
    struct series_cache *cache = mem_new(struct series_cache);
    router_families_init(metrics, cache->families);
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
