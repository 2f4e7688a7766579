#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/store_internal.h"

void *store_job_create(size_t size, size_t payload, struct error *err)
{
    if (payload > STORE_JOB_BYTES_MAX) {
        error_set(err, -E2BIG, "%zu bytes are too many to store at once; the limit is %d", payload,
                  STORE_JOB_BYTES_MAX);
        return NULL;
    }
    size_t start = (size + 15) & ~(size_t)15;
    struct store_job *job = calloc(1, start + payload);
    if (!job) {
        error_set(err, -ENOMEM, "no memory left for what is to be stored");
        return NULL;
    }
    job->bytes = start + payload;
    job->used = start;
    list_init(&job->owned);
    list_init(&job->link);
    return job;
}

void store_job_destroy(struct store_job *job)
{
    if (!job)
        return;
    if (job->release)
        job->release(job);
    free(job);
}

void *store_job_keep(struct store_job *job, const void *data, size_t len)
{
    char *copy = (char *)job + job->used;
    if (len)
        memcpy(copy, data, len);
    job->used += len;
    return copy;
}

size_t store_spans_bytes(struct span *const *spans, size_t count)
{
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += spans[i]->len;
    return bytes;
}

void store_job_keep_spans(struct store_job *job, struct span *const *spans, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (spans[i]->data)
            spans[i]->data = store_job_keep(job, spans[i]->data, spans[i]->len);
}

void *store_job_make(size_t size, struct span *const *spans, size_t count, struct error *err)
{
    struct store_job *job = store_job_create(size, store_spans_bytes(spans, count), err);
    if (job)
        store_job_keep_spans(job, spans, count);
    return job;
}

int store_id_check(struct span id, const char *what, struct error *err)
{
    if (!id.data || id.len == 0 || id.len > STORE_ID_MAX)
        return error_set(err, -EINVAL, "the id of a %s has 1 to %d bytes, not %zu", what,
                         STORE_ID_MAX, id.len);
    return 0;
}
