#include "llm/speech.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/random.h"
#include "codec/json.h"
#include "codec/multipart.h"
#include "llm/endpoint.h"
#include "net/http_client.h"

#define FIELD(name) offsetof(struct speech_config, name)

enum {
    ANSWER_MAX = 256 * 1024, // bytes
    HEAD_MAX = 4 * 1024,     // bytes around the sound
    CONNECT_MS = 15 * 1000,
    ANSWER_MS = 120 * 1000,
};

const struct option speech_options[] = {
    {.key = "stt.enabled",
     .type = OPTION_BOOL,
     .offset = FIELD(enabled),
     .fallback = "true",
     .help = "write down what voice messages say; false: they are kept as files"},
    {.key = "stt.provider",
     .type = OPTION_STRING,
     .offset = FIELD(provider),
     .fallback = "local",
     .choices = "local,openai,groq",
     .help = "who does that: openai, groq, or local: the server at stt.base_url"},
    {.key = "stt.base_url",
     .type = OPTION_STRING,
     .offset = FIELD(base_url),
     .help = "an OpenAI-compatible server with /audio/transcriptions, up to and with /v1"},
    {.key = "stt.api_key",
     .type = OPTION_STRING,
     .offset = FIELD(api_key),
     .env = "VOICE_TOOLS_OPENAI_KEY",
     .flags = OPTION_SECRET,
     .help = "the key for it, if not that of the provider"},
    {.key = "stt.openai.model",
     .type = OPTION_STRING,
     .offset = FIELD(openai_model),
     .fallback = "whisper-1",
     .help = "the model there"},
    {.key = "stt.groq.model",
     .type = OPTION_STRING,
     .offset = FIELD(groq_model),
     .fallback = "whisper-large-v3-turbo",
     .help = "the model at Groq"},
    {.key = "stt.language",
     .aliases = "stt.local.language",
     .type = OPTION_STRING,
     .offset = FIELD(language),
     .help = "the language that is spoken, such as de; empty: the server finds out"},
};

const size_t speech_option_count = ARRAY_LEN(speech_options);

struct speech {
    struct http_client *http;
    http_id id;
    speech_fn *done;
    void *context;
    int status;
    char *url, *key_header, *type_header;
    struct buf head, tail, body;
};

static void speech_destroy(struct speech *speech)
{
    buf_finish(&speech->head);
    buf_finish(&speech->tail);
    buf_finish(&speech->body);
    free(speech->url);
    if (speech->key_header)
        explicit_bzero(speech->key_header, strlen(speech->key_header));
    free(speech->key_header);
    free(speech->type_header);
    free(speech);
}

void speech_cancel(struct speech *speech)
{
    if (!speech)
        return;
    http_client_cancel(speech->http, speech->id);
    speech_destroy(speech);
}

static void on_head(void *context, const struct http_head *head)
{
    ((struct speech *)context)->status = head->status;
}

static int on_body(void *context, struct span chunk)
{
    return buf_append_span(&((struct speech *)context)->body, chunk) ? 0 : -EFBIG;
}

static void on_done(void *context, enum http_failure failure, const struct error *err)
{
    struct speech *speech = context;
    struct error why = ERROR_INIT;
    BUF_AUTO text = BUF_INIT(SPEECH_TEXT_MAX);
    JSON_AUTO doc = JSON_INIT;
    if (failure != HTTP_OK)
        error_set(&why, -EIO, "the speech-to-text server: %.300s", err->text);
    else if (speech->status != 200)
        error_set(&why, -EIO, "the speech-to-text server answers %d", speech->status);
    else if (json_parse(&doc, buf_span(&speech->body), NULL) < 0 ||
             !json_string(json_get(json_root(&doc), "text"), &text))
        error_set(&why, -EBADMSG, "the speech-to-text server's answer has no text");
    speech->done(speech->context, buf_span(&text), why.code ? why.text : NULL);
    speech_destroy(speech);
}

static int find_server(const struct speech_config *config, const struct llm_config *llm,
                       struct endpoint *ret_endpoint, char **ret_name, struct error *err)
{
    bool groq = strcmp(config->provider, "groq") == 0;
    const char *base = config->base_url && *config->base_url ? config->base_url : NULL;
    if (strcmp(config->provider, "local") == 0 && !base)
        return error_set(err, -ENOENT,
                         "no speech-to-text is configured; its owner can set stt.provider (openai "
                         "or groq) with its key, or stt.base_url");
    *ret_name = mem_printf("%s/%s", groq ? "groq" : "openai",
                           groq ? config->groq_model : config->openai_model);
    struct deployment deployment = {
        .name = "stt",
        .model = *ret_name,
        .api_base = base,
        .api_key = config->api_key && *config->api_key ? config->api_key : NULL,
    };
    return endpoint_of_deployment(llm, &deployment, ret_endpoint, err);
}

static void write_body(struct speech *speech, const struct speech_config *config, const char *model,
                       const char *name)
{
    char boundary[33];
    random_hex(boundary, sizeof boundary);
    speech->type_header = mem_printf("Content-Type: multipart/form-data; boundary=%s", boundary);
    multipart_field(&speech->head, boundary, "model", span_of(model));
    if (config->language && *config->language)
        multipart_field(&speech->head, boundary, "language", span_of(config->language));
    multipart_file(&speech->head, boundary, "file", span_of(name));
    multipart_end(&speech->tail, boundary);
}

int speech_start(struct http_client *http, const struct speech_config *config,
                 const struct llm_config *llm, struct span sound, const char *name, speech_fn *done,
                 void *context, struct speech **ret_speech, struct error *err)
{
    static const struct http_handler handler = {on_head, on_body, on_done};
    CLEANUP(mem_cleanup) char *model = NULL;
    struct endpoint endpoint;
    int r = find_server(config, llm, &endpoint, &model, err);
    if (r < 0)
        return r;
    struct speech *speech = mem_new(struct speech);
    *speech = (struct speech){.http = http, .done = done, .context = context};
    buf_init(&speech->head, HEAD_MAX);
    buf_init(&speech->tail, HEAD_MAX);
    buf_init(&speech->body, ANSWER_MAX);
    write_body(speech, config, endpoint.model, name);
    struct span base = span_of(endpoint.base_url);
    while (base.len && base.data[base.len - 1] == '/')
        base.len--;
    speech->url = mem_printf("%.*s%s/audio/transcriptions", (int)base.len, base.data,
                             endpoint.path ? endpoint.path : "");
    if (endpoint.api_key && *endpoint.api_key)
        speech->key_header = mem_printf("Authorization: Bearer %s", endpoint.api_key);
    const char *const headers[] = {speech->type_header, speech->key_header, NULL};
    const struct span parts[] = {buf_span(&speech->head), sound, buf_span(&speech->tail)};
    const struct http_request request = {
        .method = "POST",
        .url = speech->url,
        .headers = headers,
        .body_parts = parts,
        .body_part_count = ARRAY_LEN(parts),
        .timeouts = {.connect = CONNECT_MS, .first_byte = ANSWER_MS, .total = 2 * ANSWER_MS},
    };
    r = http_client_start(http, &request, &handler, speech, &speech->id, err);
    if (r < 0)
        speech_destroy(speech);
    else
        *ret_speech = speech;
    return r;
}
