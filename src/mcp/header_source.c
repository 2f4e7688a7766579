#include "mcp/header_source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"

void header_source_init(struct header_source *source, const struct mcp_server_config *config,
                        struct processes *processes,
                        void (*on_ready)(void *context, const struct error *err), void *context)
{
    *source = (struct header_source){
        .config = config, .processes = processes, .on_ready = on_ready, .context = context};
}

static void end_lines(struct header_source *source)
{
    source->lines[source->count] = source->token;
    source->lines[source->count + !!source->token] = NULL;
}

static void forget_token(struct header_source *source)
{
    if (source->token)
        explicit_bzero(source->token, strlen(source->token));
    free(STEAL(source->token));
}

void header_source_set_token(struct header_source *source, const char *token)
{
    forget_token(source);
    source->token = token ? mem_printf("Authorization: Bearer %s", token) : NULL;
    end_lines(source);
}

static void clear(struct header_source *source)
{
    for (size_t i = 0; i < source->owned_count; i++) {
        explicit_bzero(source->owned[i], strlen(source->owned[i]));
        free(source->owned[i]);
    }
    source->owned_count = source->count = 0;
    end_lines(source);
}

void header_source_finish(struct header_source *source)
{
    if (source->process)
        process_cancel(source->processes, source->process);
    source->process = 0;
    forget_token(source);
    clear(source);
}

bool header_source_renews(const struct header_source *source)
{
    return source->config->header_files.count || source->config->header_argv.count;
}

static int add(struct header_source *source, const char *line, struct error *err)
{
    if (source->count == MCP_HEADERS_MAX)
        return error_set(err, -E2BIG, "there are more than %d headers", MCP_HEADERS_MAX);
    source->lines[source->count++] = line;
    end_lines(source);
    return 0;
}

static int add_owned(struct header_source *source, char *line, struct error *err)
{
    int r = add(source, line, err);
    if (r < 0)
        free(line);
    else
        source->owned[source->owned_count++] = line;
    return r;
}

// "Name: path".
static int add_file(struct header_source *source, const char *entry, struct error *err)
{
    char text[HEADER_FILE_MAX + 1];
    struct stat stat;
    const char *path = strchr(entry, ':') + 2;
    FD_AUTO fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t len = fd < 0 || fstat(fd, &stat) < 0 ? -1 : read(fd, text, sizeof text);
    if (len < 0)
        return error_errno(err, errno, "the file %s with a header cannot be read", path);
    if (stat.st_mode & (S_IWGRP | S_IWOTH))
        return error_set(err, -EPERM, "the file %s with a header can be written by others", path);
    struct span value = span_trim(span_make(text, (size_t)len));
    if (len > HEADER_FILE_MAX || value.len == 0 || memchr(value.data, '\n', value.len) ||
        memchr(value.data, '\0', value.len))
        return error_set(err, -EINVAL, "the file %s must hold one line, the value of a header",
                         path);
    int r = add_owned(
        source,
        mem_printf("%.*s: %.*s", (int)(path - entry - 2), entry, (int)value.len, value.data), err);
    explicit_bzero(text, sizeof text);
    return r;
}

static int add_printed(struct header_source *source, struct span printed, struct error *err)
{
    int r = 0;
    while (r == 0 && printed.len) {
        struct span line = span_trim(span_cut(&printed, '\n'));
        const char *colon = line.len ? memchr(line.data, ':', line.len) : NULL;
        if (line.len == 0)
            continue;
        if (!colon || colon == line.data || memchr(line.data, '\r', line.len) ||
            memchr(line.data, '\0', line.len))
            r = error_set(err, -EINVAL, "it must print lines of the form \"Name: value\"");
        else
            r = add_owned(source, mem_strndup(line.data, line.len), err);
    }
    if (r == 0 && source->owned_count == source->config->header_files.count)
        r = error_set(err, -ENODATA, "it printed no header");
    return r;
}

static void on_end(void *context, const struct process_end *end)
{
    struct header_source *source = context;
    struct error err = ERROR_INIT;
    int r = 0;
    source->process = 0;
    if (end->result < 0)
        r = error_set(&err, end->result, "%s", end->err->text);
    else if (end->result > 0)
        r = error_set(&err, -EIO, "it ended with %d: %.*s", end->result,
                      end->output[PROCESS_STDERR].len < 200 ? (int)end->output[PROCESS_STDERR].len
                                                            : 200,
                      end->output[PROCESS_STDERR].data ? end->output[PROCESS_STDERR].data : "");
    else
        r = add_printed(source, end->output[PROCESS_STDOUT], &err);
    if (r < 0)
        error_wrap(&err, "the command for its headers, %s", source->config->header_argv.texts[0]);
    source->on_ready(source->context, r < 0 ? &err : NULL);
}

static int run(struct header_source *source, struct error *err)
{
    static const struct process_events events = {.on_end = on_end};
    struct process_spec spec = {
        .argv = (const char *const *)source->config->header_argv.texts,
        .environment = (const char *const *)source->config->environment.texts,
        .directory = "/",
        .limits = {.wall_ms = HEADER_COMMAND_MS},
        .stdio = {[PROCESS_STDIN] = {.kind = PROCESS_NONE},
                  [PROCESS_STDOUT] = {.kind = PROCESS_BUFFER, .max = HEADER_OUTPUT_MAX},
                  [PROCESS_STDERR] = {.kind = PROCESS_BUFFER, .max = HEADER_OUTPUT_MAX}},
    };
    return process_start(source->processes, &spec, &events, source, &source->process, err);
}

void header_source_get(struct header_source *source)
{
    const struct mcp_server_config *config = source->config;
    struct error err = ERROR_INIT;
    int r = 0;
    if (source->process)
        process_cancel(source->processes, source->process);
    source->process = 0;
    clear(source);
    for (size_t i = 0; r == 0 && i < config->headers.count; i++)
        r = add(source, config->headers.texts[i], &err);
    for (size_t i = 0; r == 0 && i < config->header_files.count; i++)
        r = add_file(source, config->header_files.texts[i], &err);
    if (r == 0 && config->header_argv.count)
        r = run(source, &err);
    if (r < 0 || !config->header_argv.count)
        source->on_ready(source->context, r < 0 ? &err : NULL);
}
