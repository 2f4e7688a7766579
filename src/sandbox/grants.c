#include "sandbox/grants.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/span.h"

enum {
    WORD_ISOLATION = 0,
    WORD_NETWORK,
    WORD_WITHOUT,
    WORD_TASKS,
    WORD_TMP,
    WORD_DISK,
    WORD_READ,
    WORD_WRITE,
    WORD_PATHS
};

static const char *const isolation_names[] = {
    [ISOLATION_AUTO] = "auto",           [ISOLATION_NAMESPACES] = "namespaces",
    [ISOLATION_LANDLOCK] = "landlock",   [ISOLATION_HANDS] = "hands",
    [ISOLATION_CONTAINER] = "container",
};

static const struct {
    const char *name;
    enum sandbox_layer layer;
} layers[] = {
    {"privileges", LAYER_PRIVILEGES}, {"seccomp", LAYER_SECCOMP}, {"files", LAYER_FILES},
    {"limits", LAYER_LIMITS},         {"session", LAYER_SESSION},
};

const char *isolation_name(enum isolation_kind kind)
{
    return isolation_names[kind];
}

bool isolation_parse(const char *word, enum isolation_kind *ret_kind)
{
    for (size_t i = 0; i < ARRAY_LEN(isolation_names); i++)
        if (strcmp(word, isolation_names[i]) == 0) {
            *ret_kind = (enum isolation_kind)i;
            return true;
        }
    return false;
}

bool sandbox_layer_parse(const char *word, enum sandbox_layer *ret_layer)
{
    for (size_t i = 0; i < ARRAY_LEN(layers); i++)
        if (strcmp(word, layers[i].name) == 0) {
            *ret_layer = layers[i].layer;
            return true;
        }
    return false;
}

static size_t count_paths(const char *const *paths)
{
    size_t count = 0;
    while (paths && paths[count])
        count++;
    return count;
}

char **grants_to_words(const struct grants *grants)
{
    size_t reads = count_paths(grants->read), writes = count_paths(grants->write);
    char **words = mem_zalloc((WORD_PATHS + reads + writes + 1) * sizeof *words);
    const long long numbers[] = {
        [WORD_ISOLATION] = grants->isolation,
        [WORD_NETWORK] = grants->network,
        [WORD_WITHOUT] = grants->without,
        [WORD_TASKS] = grants->tasks,
        [WORD_TMP] = grants->tmp,
        [WORD_DISK] = grants->disk,
        [WORD_READ] = (long long)reads,
        [WORD_WRITE] = (long long)writes,
    };
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        words[i] = mem_printf("%lld", numbers[i]);
    for (size_t i = 0; i < reads; i++)
        words[WORD_PATHS + i] = mem_strdup(grants->read[i]);
    for (size_t i = 0; i < writes; i++)
        words[WORD_PATHS + reads + i] = mem_strdup(grants->write[i]);
    return words;
}

static const char **take_paths(char **words, uint64_t count)
{
    const char **paths = mem_zalloc((count + 1) * sizeof *paths);
    for (uint64_t i = 0; i < count; i++)
        paths[i] = words[i];
    return paths;
}

int grants_from_words(int count, char **words, struct grants_read *ret)
{
    uint64_t numbers[WORD_PATHS];
    if (count < WORD_PATHS)
        return -EINVAL;
    for (int i = 0; i < WORD_PATHS; i++)
        if (!span_to_u64(span_of(words[i]), &numbers[i]))
            return -EINVAL;
    uint64_t reads = numbers[WORD_READ], writes = numbers[WORD_WRITE];
    if (reads > GRANTS_PATHS_MAX || writes > GRANTS_PATHS_MAX ||
        (uint64_t)count < WORD_PATHS + reads + writes ||
        numbers[WORD_ISOLATION] >= ARRAY_LEN(isolation_names))
        return -EINVAL;
    ret->read = take_paths(words + WORD_PATHS, reads);
    ret->write = take_paths(words + WORD_PATHS + reads, writes);
    ret->taken = (int)(WORD_PATHS + reads + writes);
    ret->grants = (struct grants){
        .isolation = (enum isolation_kind)numbers[WORD_ISOLATION],
        .network = (enum network_kind)numbers[WORD_NETWORK],
        .without = (unsigned)numbers[WORD_WITHOUT],
        .tasks = (int64_t)numbers[WORD_TASKS],
        .tmp = (int64_t)numbers[WORD_TMP],
        .disk = (int64_t)numbers[WORD_DISK],
        .read = ret->read,
        .write = ret->write,
    };
    return 0;
}

void grants_read_finish(struct grants_read *read)
{
    free(read->read);
    free(read->write);
    *read = (struct grants_read){0};
}
