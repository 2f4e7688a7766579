#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/session.h"
#include "store/sql.h"
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

struct span store_job_keep_span(struct store_job *job, struct span span)
{
    if (!span.data)
        return span;
    return span_make(store_job_keep(job, span.data, span.len), span.len);
}

int store_id_check(struct span id, const char *what, struct error *err)
{
    if (!id.data || id.len == 0 || id.len > STORE_ID_MAX)
        return error_set(err, -EINVAL, "the id of a %s has 1 to %d bytes, not %zu", what,
                         STORE_ID_MAX, id.len);
    return 0;
}
