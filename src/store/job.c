#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/store_internal.h"
#include "store/store_thread.h"

const struct store_shape store_number_shape = {sizeof(int64_t), 0, {0}};

static char *things_of(const struct store_given *given)
{
    char *things;
    memcpy(&things, given->at, sizeof things);
    return things;
}

// One of all the texts that the things have together.
static struct span *text_of(const struct store_given *given, size_t index)
{
    const struct store_shape *shape = given->shape;
    return (struct span *)(things_of(given) + index / shape->texts * shape->size +
                           shape->offsets[index % shape->texts]);
}

static size_t texts_of(const struct store_given *given)
{
    return given->count * given->shape->texts;
}

static void keep_text(char **room, struct span *text)
{
    if (!text->data)
        return;
    memcpy(*room, text->data, text->len);
    text->data = *room;
    *room += text->len;
}

// Things before the first text, for alignment.
static int create(const struct store_job *own, size_t size, const struct store_given *given,
                  size_t given_count, struct span *const *spans, size_t count,
                  struct store_job **ret_job, struct error *err)
{
    size_t bytes = (size + 15) & ~(size_t)15, start = bytes;
    for (size_t i = 0; i < given_count; i++) {
        bytes += given[i].count * given[i].shape->size;
        for (size_t text = 0; text < texts_of(&given[i]); text++)
            bytes += text_of(&given[i], text)->len;
    }
    for (size_t i = 0; i < count; i++)
        bytes += spans[i]->len;
    if (bytes - start > STORE_JOB_BYTES_MAX)
        return error_set(err, -E2BIG, "%zu bytes are too many to store at once; the limit is %d",
                         bytes - start, STORE_JOB_BYTES_MAX);
    struct store_job *job = malloc(bytes);
    if (!job)
        return error_set(err, -ENOMEM, "no memory left for what is to be stored");
    char *room = (char *)job + start;
    for (size_t i = 0; i < given_count; i++) {
        if (given[i].count == 0)
            continue;
        size_t size_of_all = given[i].count * given[i].shape->size;
        memcpy(room, things_of(&given[i]), size_of_all);
        memcpy(given[i].at, &room, sizeof room);
        room += size_of_all;
    }
    for (size_t i = 0; i < given_count; i++)
        for (size_t text = 0; text < texts_of(&given[i]); text++)
            keep_text(&room, text_of(&given[i], text));
    for (size_t i = 0; i < count; i++)
        keep_text(&room, spans[i]);
    memcpy(job, own, size);
    job->bytes = bytes;
    list_init(&job->owned);
    list_init(&job->link);
    *ret_job = job;
    return 0;
}

int64_t store_job_submit(struct store *store, struct store_job *own, size_t size,
                         const struct store_given *given, size_t given_count,
                         struct span *const *spans, size_t count, struct error *err)
{
    struct store_job *job = NULL;
    int r = create(own, size, given, given_count, spans, count, &job, err);
    if (r == 0 &&
        (store->jobs >= STORE_QUEUE_MAX || store->bytes > STORE_QUEUE_BYTES_MAX - job->bytes))
        r = error_set(err, -EAGAIN,
                      "the disk does not keep up: %zu writes (%zu bytes) are waiting; try again "
                      "later",
                      store->jobs, store->bytes);
    if (r < 0) {
        if (own->release)
            own->release(own);
        free(job);
        return r;
    }
    job->number = ++store->last_number;
    list_append(&store->owned, &job->owned);
    store->jobs++;
    store->bytes += job->bytes;

    pthread_mutex_lock(&store->lock);
    bool first = list_empty(&store->queued);
    bool urgent = job->durability != STORE_GROUPED;
    list_append(&store->queued, &job->link);
    store->queued_jobs++;
    store->unfinished_jobs++;
    if (first)
        store->oldest_ms = store_now_ms();
    store->urgent = store->urgent || urgent;
    if (first || urgent || store->queued_jobs >= STORE_GROUP_ENOUGH)
        pthread_cond_signal(&store->wake);
    pthread_mutex_unlock(&store->lock);
    return store->last_number;
}

void store_job_destroy(struct store_job *job)
{
    if (job->release)
        job->release(job);
    free(job);
}

int store_id_check(struct span id, const char *what, struct error *err)
{
    if (!id.data || id.len == 0 || id.len > STORE_ID_MAX)
        return error_set(err, -EINVAL, "the id of a %s has 1 to %d bytes, not %zu", what,
                         STORE_ID_MAX, id.len);
    return 0;
}
