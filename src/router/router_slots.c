#include "router/router_slots.h"

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
    unsigned char *key;        // owned
    void *slots[FAMILY_COUNT]; // int64_t or struct metrics_histogram; NULL until it is used
    int total_status;          // what slots[FAMILY_PROXY_TOTAL] counts
    size_t route_len;
    char route[ROUTE_MAX];
};

struct deployment {
    char *model, *id, *api_base, *provider, *group; // owned
    int64_t rpm, tpm;
    int64_t level; // enum router_circuit_level, as it was last told
};

struct router_slots {
    struct metrics_family *families[FAMILY_COUNT];
    struct deployment *deployments;
    size_t deployment_count;
    struct router_bundle *chains[BUNDLE_CHAINS];
    size_t bundle_count;
    struct router_bundle *last; // that an event used; NULL: none
};

// -- labels ---------------------------------------------------------------------------------------

static struct span status_text(char text[STATUS_TEXT_MAX], int status)
{
    if (status <= 0)
        return SPAN_ABSENT;
    return span_make(text, (size_t)snprintf(text, STATUS_TEXT_MAX, "%d", status));
}

static void name_deployment(struct router_labels *labels, const struct deployment *deployment)
{
    labels->of[LABEL_MODEL] = labels->of[LABEL_LITELLM_MODEL] = span_of(deployment->model);
    labels->of[LABEL_MODEL_ID] = span_of(deployment->id);
    labels->of[LABEL_API_BASE] = span_of(deployment->api_base);
    labels->of[LABEL_API_PROVIDER] = span_of(deployment->provider);
    labels->of[LABEL_MODEL_GROUP] = span_of(deployment->group);
}

static struct router_labels labels_of(const struct router_event *event, char text[STATUS_TEXT_MAX])
{
    const struct router_caller *caller = event->caller;
    struct span status = status_text(text, event->status);
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
    if (event->deployment < event->slots->deployment_count)
        name_deployment(&labels, &event->slots->deployments[event->deployment]);
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

static void forget_bundles(struct router_slots *slots)
{
    for (size_t i = 0; i < BUNDLE_CHAINS; i++) {
        struct router_bundle *bundle = slots->chains[i];
        slots->chains[i] = NULL;
        while (bundle) {
            struct router_bundle *next = bundle->next;
            free(bundle->key);
            free(bundle);
            bundle = next;
        }
    }
    slots->bundle_count = 0;
    slots->last = NULL;
}

static struct router_bundle *add_bundle(struct router_slots *slots, const unsigned char *key,
                                        size_t len, uint64_t hash)
{
    if (slots->bundle_count == BUNDLES_MAX)
        forget_bundles(slots);
    struct router_bundle **chain = &slots->chains[hash & (BUNDLE_CHAINS - 1)];
    struct router_bundle *bundle = mem_new(struct router_bundle);
    bundle->hash = hash;
    bundle->key_len = len;
    bundle->key = mem_alloc(len);
    memcpy(bundle->key, key, len);
    bundle->next = *chain;
    *chain = bundle;
    slots->bundle_count++;
    return bundle;
}

static struct router_bundle *find_bundle(struct router_slots *slots,
                                         const struct router_event *event)
{
    unsigned char key[KEY_MAX];
    size_t len = make_key(key, event);
    uint64_t hash = hash_key(key, len);
    struct router_bundle *at = slots->chains[hash & (BUNDLE_CHAINS - 1)];
    while (at && (at->hash != hash || at->key_len != len || memcmp(at->key, key, len) != 0))
        at = at->next;
    return at ? at : add_bundle(slots, key, len, hash);
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
void router_slots_begin(struct router_event *event)
{
    struct router_slots *slots = event->slots;
    if (!slots->last || !is_bundle_of(slots->last, event))
        slots->last = find_bundle(slots, event);
    event->bundle = slots->last;
}

// -- counting -------------------------------------------------------------------------------------

int64_t *router_slots_find(const struct router_event *event, enum router_family which)
{
    char text[STATUS_TEXT_MAX];
    struct router_labels labels = labels_of(event, text);
    return router_series(event->slots->families, which, &labels);
}

static int64_t *slot(const struct router_event *event, enum router_family which)
{
    void **kept = &event->bundle->slots[which];
    if (!*kept)
        *kept = router_slots_find(event, which);
    return *kept;
}

void router_slots_add(const struct router_event *event, enum router_family which, int64_t value)
{
    if (value >= 0)
        *slot(event, which) += value;
}

void router_slots_set(const struct router_event *event, enum router_family which, int64_t value)
{
    if (value >= 0)
        *slot(event, which) = value;
}

void router_slots_observe(const struct router_event *event, enum router_family which, int64_t value)
{
    if (value < 0)
        return;
    void **kept = &event->bundle->slots[which];
    if (!*kept) {
        char text[STATUS_TEXT_MAX];
        struct router_labels labels = labels_of(event, text);
        *kept = router_histogram(event->slots->families, which, &labels);
    }
    metrics_observe(*kept, value);
}

// One client asks on one route and mostly gets one status, so the last pair is kept.
void router_slots_count_total(const struct router_event *event)
{
    struct router_bundle *bundle = event->bundle;
    void **kept = &bundle->slots[FAMILY_PROXY_TOTAL];
    bool same =
        *kept && bundle->total_status == event->status && bundle->route_len == event->route.len &&
        memcmp(bundle->route, event->route.data ? event->route.data : "", bundle->route_len) == 0;
    if (!same && event->route.len <= ROUTE_MAX) {
        *kept = router_slots_find(event, FAMILY_PROXY_TOTAL);
        bundle->total_status = event->status;
        bundle->route_len = event->route.len;
        if (event->route.len)
            memcpy(bundle->route, event->route.data, event->route.len);
        same = true;
    }
    ++*(same ? (int64_t *)*kept : router_slots_find(event, FAMILY_PROXY_TOTAL));
}

int64_t *router_slots_series(struct router_slots *slots, enum router_family which,
                             const struct router_labels *labels)
{
    return router_series(slots->families, which, labels);
}

struct metrics_histogram *router_slots_histogram(struct router_slots *slots,
                                                 enum router_family which,
                                                 const struct router_labels *labels)
{
    return router_histogram(slots->families, which, labels);
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

static bool is_still_there(const struct router_slots *slots, const struct deployment *old)
{
    for (size_t i = 0; i < slots->deployment_count; i++)
        if (is_same_deployment(&slots->deployments[i], old))
            return true;
    return false;
}

// Starts a deployment's levels, so that one that was never asked is told too.
static void tell_deployment(struct router_slots *slots, size_t index)
{
    static const struct router_caller nobody;
    struct deployment *deployment = &slots->deployments[index];
    const struct router_event event = {.slots = slots, .caller = &nobody, .deployment = index};
    deployment->level = *router_slots_find(&event, FAMILY_STATE);
    router_slots_find(&event, FAMILY_CIRCUIT);
    if (deployment->tpm >= 0)
        *router_slots_find(&event, FAMILY_TPM_LIMIT) = deployment->tpm;
    if (deployment->rpm >= 0)
        *router_slots_find(&event, FAMILY_RPM_LIMIT) = deployment->rpm;
}

void router_slots_deployments(struct router_slots *slots,
                              const struct router_metrics_deployment *deployments, size_t count)
{
    struct deployment *old = slots->deployments;
    size_t old_count = slots->deployment_count;
    forget_bundles(slots);
    slots->deployments = copy_deployments(deployments, count);
    slots->deployment_count = count;
    for (size_t i = 0; i < old_count; i++)
        if (!is_still_there(slots, &old[i]))
            router_families_forget(slots->families, span_of(old[i].id));
    free_deployments(old, old_count);
    for (size_t i = 0; i < count; i++)
        tell_deployment(slots, i);
}

void router_slots_forget(struct router_slots *slots, enum router_family which)
{
    metrics_forget_all(slots->families[which]);
}

bool router_slots_turn(const struct router_event *event, int64_t level)
{
    struct deployment *deployment = &event->slots->deployments[event->deployment];
    if (deployment->level == level)
        return false;
    deployment->level = level;
    *router_slots_find(event, FAMILY_STATE) = level;
    *router_slots_find(event, FAMILY_CIRCUIT) = level;
    return true;
}

bool router_slots_has(const struct router_slots *slots, size_t deployment)
{
    return deployment < slots->deployment_count;
}

struct router_slots *router_slots_create(struct metrics *metrics)
{
    struct router_slots *slots = mem_new(struct router_slots);
    router_families_init(metrics, slots->families);
    return slots;
}

void router_slots_destroy(struct router_slots *slots)
{
    if (!slots)
        return;
    forget_bundles(slots);
    free_deployments(slots->deployments, slots->deployment_count);
    free(slots);
}
