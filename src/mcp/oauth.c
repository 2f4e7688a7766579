#include "mcp/oauth.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/random.h"
#include "codec/base64.h"
#include "codec/document.h"
#include "codec/sha256.h"
#include "codec/url.h"
#include "loop/loop.h"
#include "mcp/challenge.h"
#include "mcp/oauth_metadata.h"
#include "net/http_parse.h"
#include "tools/web_call.h"

/*
 * Metadata, registration, page, tokens: one request after the other, and each answer decides the
 * next. Nothing is sent to an authorization server before its metadata has been believed, and no
 * code before the answer has named the issuer that was asked (RFC 9207), so that a server that
 * answers for another one gets neither.
 */
enum {
    SECRET_BYTES = 32, // of a verifier, of a state
    SECRET_SIZE = 44,  // bytes of it in base64url, with the NUL
    FORM_MAX = 32 * 1024,
};

struct oauth {
    struct oauth_spec spec;
    struct oauth_events events;
    void *context;
    struct web_call *call;
    loop_id timer; // of the page; or the deferred end
    struct error err;
    char *places[OAUTH_PLACES_MAX];
    size_t place_count, place;
    bool insufficient; // the refusal was for too little scope
    struct challenge challenge;
    struct oauth_resource resource;
    struct oauth_server server;
    struct oauth_grant before, grant;
    char *scope; // that is asked for; NULL: none
    char verifier[SECRET_SIZE], state[SECRET_SIZE];
    bool waiting; // for the browser
};

static void forget_places(struct oauth *oauth)
{
    for (size_t i = 0; i < oauth->place_count; i++)
        free(oauth->places[i]);
    oauth->place_count = oauth->place = 0;
}

void oauth_cancel(struct oauth *oauth)
{
    if (!oauth)
        return;
    web_call_cancel(oauth->call);
    loop_cancel(oauth->spec.loop, oauth->timer);
    forget_places(oauth);
    challenge_finish(&oauth->challenge);
    oauth_resource_finish(&oauth->resource);
    oauth_server_finish(&oauth->server);
    oauth_grant_finish(&oauth->before);
    oauth_grant_finish(&oauth->grant);
    free(oauth->scope);
    explicit_bzero(oauth->verifier, sizeof oauth->verifier);
    free(oauth);
}

static void end(struct oauth *oauth, const struct error *err)
{
    oauth->events.on_done(oauth->context, err ? NULL : &oauth->grant, err);
    oauth_cancel(oauth);
}

static int ask(struct oauth *oauth, const char *method, const char *url, const char *const *headers,
               struct span body, web_call_fn *fn)
{
    struct web_call_spec spec = {
        .http = oauth->spec.http,
        .loop = oauth->spec.loop,
        .method = method,
        .url = url,
        .headers = headers,
        .body = body,
        .guard = oauth->spec.guard,
        .body_max = OAUTH_DOCUMENT_MAX,
    };
    return web_call_start(&spec, fn, oauth, &oauth->call, &oauth->err);
}

static int get(struct oauth *oauth, const char *url, web_call_fn *fn)
{
    static const char *const headers[] = {"Accept: application/json", NULL};
    return ask(oauth, "GET", url, headers, SPAN_ABSENT, fn);
}

// Each step returns 0 when something follows.
static int find_server(struct oauth *oauth);
static int register_client(struct oauth *oauth);
static int open_page(struct oauth *oauth);

static void go_on(struct oauth *oauth, int r)
{
    if (r < 0)
        end(oauth, &oauth->err);
}

/* Metadata */

static void on_server(void *context, const struct web_answer *answer, const struct error *failed)
{
    struct oauth *oauth = context;
    oauth->call = NULL;
    if (failed->code < 0 || answer->status != 200) {
        oauth->place++;
        go_on(oauth, find_server(oauth));
        return;
    }
    int r = oauth_server_read(buf_span(&answer->body), oauth->resource.issuer, &oauth->server,
                              &oauth->err);
    go_on(oauth, r < 0 ? r : register_client(oauth));
}

static int find_server(struct oauth *oauth)
{
    if (oauth->place == oauth->place_count)
        return error_set(&oauth->err, -ENOENT,
                         "the authorization server %.200s publishes no metadata",
                         oauth->resource.issuer);
    return get(oauth, oauth->places[oauth->place], on_server);
}

static int look_for_server(struct oauth *oauth)
{
    forget_places(oauth);
    oauth->place_count = oauth_server_places(oauth->resource.issuer, oauth->places);
    return find_server(oauth);
}

static int find_resource(struct oauth *oauth);

static void on_resource(void *context, const struct web_answer *answer, const struct error *failed)
{
    struct oauth *oauth = context;
    oauth->call = NULL;
    if (failed->code < 0 || answer->status != 200) {
        oauth->place++;
        go_on(oauth, find_resource(oauth));
        return;
    }
    int r = oauth_resource_read(buf_span(&answer->body), oauth->spec.server_url, &oauth->resource,
                                &oauth->err);
    go_on(oauth, r < 0 ? r : look_for_server(oauth));
}

static int find_resource(struct oauth *oauth)
{
    if (oauth->place == oauth->place_count)
        return error_set(&oauth->err, -ENOENT,
                         "the server %.200s wants authorization and does not say where it is "
                         "given; if it takes a key, set it as a header",
                         oauth->spec.server_url);
    return get(oauth, oauth->places[oauth->place], on_resource);
}

/* Registration */

static void set(char **member, const char *text)
{
    free(*member);
    *member = text ? mem_strdup(text) : NULL;
}

// How the client shows at the token endpoint who it is.
static const char *method_of(const struct oauth *oauth, const char *said)
{
    if (said && (strcmp(said, "none") == 0 || strcmp(said, "client_secret_post") == 0 ||
                 strcmp(said, "client_secret_basic") == 0))
        return said;
    if (!oauth->grant.client_secret)
        return "none";
    return oauth->server.basic || !oauth->server.post ? "client_secret_basic"
                                                      : "client_secret_post";
}

static int take_client(struct oauth *oauth, const char *id, const char *secret, const char *method)
{
    set(&oauth->grant.client_id, id);
    set(&oauth->grant.client_secret, secret && *secret ? secret : NULL);
    set(&oauth->grant.method, method_of(oauth, method));
    return open_page(oauth);
}

static void on_registered(void *context, const struct web_answer *answer,
                          const struct error *failed)
{
    struct oauth *oauth = context;
    DOCUMENT_AUTO doc = DOCUMENT_INIT(4 * OAUTH_DOCUMENT_MAX);
    oauth->call = NULL;
    int r = failed->code < 0 ? error_set(&oauth->err, failed->code, "%s", failed->text)
                             : document_read(&doc, buf_span(&answer->body), &oauth->err);
    struct node root = document_root(&doc);
    const char *id = node_text(node_get(root, "client_id"));
    if (r == 0 && (answer->status / 100 != 2 || !id))
        r = error_set(&oauth->err, -EACCES, "it was refused with status %d", answer->status);
    if (r < 0) {
        error_wrap(&oauth->err, "registering with the authorization server failed");
        go_on(oauth, r);
        return;
    }
    go_on(oauth, take_client(oauth, id, node_text(node_get(root, "client_secret")),
                             node_text(node_get(root, "token_endpoint_auth_method"))));
}

static int register_anew(struct oauth *oauth)
{
    static const char *const headers[] = {"Content-Type: application/json",
                                          "Accept: application/json", NULL};
    DOCUMENT_AUTO doc = DOCUMENT_INIT(DOCUMENT_SMALL);
    BUF_AUTO body = BUF_INIT(FORM_MAX);
    struct node root = document_object(&doc);
    node_add_text(root, "client_name", "Hermes");
    node_add_text(node_add_array(root, "redirect_uris"), NULL, oauth->spec.redirect_uri);
    struct node types = node_add_array(root, "grant_types");
    node_add_text(types, NULL, "authorization_code");
    node_add_text(types, NULL, "refresh_token");
    node_add_text(node_add_array(root, "response_types"), NULL, "code");
    node_add_text(root, "application_type", "native");
    node_add_text(root, "token_endpoint_auth_method",
                  oauth->server.none    ? "none"
                  : oauth->server.basic ? "client_secret_basic"
                                        : "client_secret_post");
    if (oauth->scope)
        node_add_text(root, "scope", oauth->scope);
    int r = document_print(&doc, &body, &oauth->err);
    return r < 0 ? r
                 : ask(oauth, "POST", oauth->server.registration_endpoint, headers, buf_span(&body),
                       on_registered);
}

static bool has_word(const char *words, struct span word)
{
    struct span rest = span_of(words);
    while (rest.len)
        if (span_equal(span_cut(&rest, ' '), word))
            return true;
    return false;
}

static void add_words(struct buf *out, const char *words)
{
    struct span rest = span_of(words);
    while (rest.len) {
        struct span word = span_cut(&rest, ' ');
        if (!word.len || has_word(buf_text(out), word))
            continue;
        buf_append_text(out, out->len ? " " : "");
        buf_append_span(out, word);
    }
}

static void choose_scope(struct oauth *oauth)
{
    BUF_AUTO scope = BUF_INIT(OAUTH_TEXT_MAX);
    if (oauth->insufficient && oauth->before.scope)
        add_words(&scope, oauth->before.scope);
    const char *wanted = oauth->challenge.scope ? oauth->challenge.scope
                         : oauth->spec.scope    ? oauth->spec.scope
                                                : oauth->resource.scopes;
    if (wanted)
        add_words(&scope, wanted);
    if (scope.len && oauth->server.offers_offline_access)
        add_words(&scope, "offline_access");
    oauth->scope = scope.len ? buf_take_text(&scope) : NULL;
}

static int register_client(struct oauth *oauth)
{
    const struct oauth_grant *before = &oauth->before;
    choose_scope(oauth);
    set(&oauth->grant.resource, oauth->resource.resource);
    set(&oauth->grant.issuer, oauth->server.issuer);
    set(&oauth->grant.token_endpoint, oauth->server.token_endpoint);
    set(&oauth->grant.redirect_uri, oauth->spec.redirect_uri);
    if (oauth->spec.client_id)
        return take_client(oauth, oauth->spec.client_id, oauth->spec.client_secret, NULL);
    if (oauth->spec.client_document && oauth->server.takes_metadata_documents)
        return take_client(oauth, oauth->spec.client_document, NULL, "none");
    if (before->client_id && before->issuer && before->redirect_uri &&
        strcmp(before->issuer, oauth->server.issuer) == 0 &&
        strcmp(before->redirect_uri, oauth->spec.redirect_uri) == 0)
        return take_client(oauth, before->client_id, before->client_secret, before->method);
    if (oauth->server.registration_endpoint)
        return register_anew(oauth);
    return error_set(&oauth->err, -ENOTSUP,
                     "the authorization server %.200s does not register clients by itself: "
                     "register one there by hand, and set oauth.client_id",
                     oauth->server.issuer);
}

/* The page */

// RFC 4648 §5, without padding.
static void write_secret(const unsigned char bytes[SECRET_BYTES], char out[SECRET_SIZE])
{
    BUF_AUTO text = BUF_INIT(2 * SECRET_SIZE);
    base64_encode(span_make(bytes, SECRET_BYTES), &text);
    for (size_t i = 0; i < SECRET_SIZE - 1; i++)
        out[i] = text.data[i] == '+' ? '-' : text.data[i] == '/' ? '_' : text.data[i];
    out[SECRET_SIZE - 1] = '\0';
}

static void make_secret(char out[SECRET_SIZE])
{
    unsigned char bytes[SECRET_BYTES];
    random_bytes(bytes, sizeof bytes);
    write_secret(bytes, out);
}

static void add_field(struct buf *out, const char *name, const char *value)
{
    if (!value)
        return;
    buf_printf(out, "%s%s=", out->len && out->data[out->len - 1] != '?' ? "&" : "", name);
    url_encode(span_of(value), out);
}

static void on_patience(void *context)
{
    struct oauth *oauth = context;
    oauth->timer = 0;
    error_set(&oauth->err, -ETIMEDOUT, "nobody opened the page in time; try again");
    end(oauth, &oauth->err);
}

static int open_page(struct oauth *oauth)
{
    BUF_AUTO url = BUF_INIT(OAUTH_URL_MAX);
    unsigned char digest[SHA256_SIZE];
    char challenge[SECRET_SIZE];
    struct sha256 hash;
    make_secret(oauth->verifier);
    make_secret(oauth->state);
    sha256_init(&hash);
    sha256_add(&hash, span_of(oauth->verifier));
    sha256_end(&hash, digest);
    write_secret(digest, challenge);
    buf_append_text(&url, oauth->server.authorization_endpoint);
    buf_append_char(&url, strchr(buf_text(&url), '?') ? '&' : '?');
    add_field(&url, "response_type", "code");
    add_field(&url, "client_id", oauth->grant.client_id);
    add_field(&url, "redirect_uri", oauth->spec.redirect_uri);
    add_field(&url, "code_challenge", challenge);
    add_field(&url, "code_challenge_method", "S256");
    add_field(&url, "state", oauth->state);
    add_field(&url, "resource", oauth->resource.resource);
    add_field(&url, "scope", oauth->scope);
    if (buf_is_full(&url))
        return error_set(&oauth->err, -E2BIG, "the URL of the page is longer than %d bytes",
                         OAUTH_URL_MAX);
    oauth->waiting = true;
    oauth->timer = loop_timer_after(oauth->spec.loop, OAUTH_WAIT_MS, on_patience, oauth);
    oauth->events.on_page(oauth->context, buf_text(&url));
    return 0;
}

// A field of a query, decoded; NULL: it is not there, or no text.
static char *field(struct span query, const char *name)
{
    while (query.len) {
        struct span pair = span_cut(&query, '&'), key = span_cut(&pair, '=');
        if (!span_is(key, name))
            continue;
        if (pair.len > OAUTH_TOKEN_MAX)
            return NULL;
        char *text = mem_zalloc(pair.len + 1);
        bool broken = false;
        http_parse_decode(pair, true, text, &broken);
        if (broken)
            free(STEAL(text));
        return text;
    }
    return NULL;
}

/* Tokens */

static void take_tokens(struct oauth *oauth, struct node root)
{
    const char *refresh = node_text(node_get(root, "refresh_token"));
    const char *scope = node_text(node_get(root, "scope"));
    int64_t seconds = 0;
    set(&oauth->grant.access_token, node_text(node_get(root, "access_token")));
    if (refresh)
        set(&oauth->grant.refresh_token, refresh);
    if (scope || oauth->scope) // RFC 6749 §5.1: not said is as it was asked for
        set(&oauth->grant.scope, scope ? scope : oauth->scope);
    bool timed = node_int(node_get(root, "expires_in"), &seconds) && seconds > 0 &&
                 seconds < INT64_MAX / 2000;
    oauth->grant.expires_ms = timed ? loop_wall(oauth->spec.loop) + 1000 * seconds : 0;
}

static void on_tokens(void *context, const struct web_answer *answer, const struct error *failed)
{
    struct oauth *oauth = context;
    DOCUMENT_AUTO doc = DOCUMENT_INIT(4 * OAUTH_DOCUMENT_MAX);
    oauth->call = NULL;
    int r = failed->code < 0 ? error_set(&oauth->err, failed->code, "%s", failed->text)
                             : document_read(&doc, buf_span(&answer->body), &oauth->err);
    struct node root = document_root(&doc);
    const char *token = node_text(node_get(root, "access_token"));
    const char *error = node_text(node_get(root, "error"));
    bool refused = answer->status / 100 == 4 && answer->status != 429;
    if (r == 0 && (answer->status != 200 || !token || strlen(token) > OAUTH_TOKEN_MAX))
        r = error_set(&oauth->err, refused ? -EACCES : -EIO, "status %d%s%.100s", answer->status,
                      error ? ", " : "", error ? error : "");
    if (r < 0) {
        error_wrap(&oauth->err, "the authorization server gave no token");
        end(oauth, &oauth->err);
        return;
    }
    take_tokens(oauth, root);
    end(oauth, NULL);
}

// RFC 6749 §2.3.1: both are encoded as in forms first.
static char *basic_header(const struct oauth_grant *grant)
{
    BUF_AUTO pair = BUF_INIT(FORM_MAX);
    BUF_AUTO header = BUF_INIT(2 * FORM_MAX);
    url_encode(span_of(grant->client_id), &pair);
    buf_append_char(&pair, ':');
    url_encode(span_of(grant->client_secret), &pair);
    buf_append_text(&header, "Authorization: Basic ");
    base64_encode(buf_span(&pair), &header);
    return buf_take_text(&header);
}

static int ask_tokens(struct oauth *oauth, struct buf *form)
{
    const struct oauth_grant *grant = &oauth->grant;
    bool basic = grant->client_secret && strcmp(grant->method, "client_secret_basic") == 0;
    CLEANUP(mem_cleanup) char *authorization = basic ? basic_header(grant) : NULL;
    const char *headers[] = {"Content-Type: application/x-www-form-urlencoded",
                             "Accept: application/json", authorization, NULL};
    add_field(form, "resource", grant->resource);
    if (!basic)
        add_field(form, "client_id", grant->client_id);
    if (!basic && strcmp(grant->method, "none") != 0)
        add_field(form, "client_secret", grant->client_secret);
    if (buf_is_full(form))
        return error_set(&oauth->err, -E2BIG, "the code is too long");
    return ask(oauth, "POST", grant->token_endpoint, headers, buf_span(form), on_tokens);
}

static void on_deferred_end(void *context)
{
    struct oauth *oauth = context;
    oauth->timer = 0;
    end(oauth, &oauth->err);
}

// What came back with the browser is of this attempt; is it what the issuer says?
static int check_answer(struct oauth *oauth, struct span query, char **ret_code)
{
    CLEANUP(mem_cleanup) char *issuer = field(query, "iss");
    CLEANUP(mem_cleanup) char *error = field(query, "error");
    if (issuer ? strcmp(issuer, oauth->server.issuer) != 0 : oauth->server.sends_issuer)
        return error_set(&oauth->err, -EACCES,
                         "the answer is of another authorization server (%.150s) than the one that "
                         "was asked (%.150s); its code was not used",
                         issuer ? issuer : "it does not say", oauth->server.issuer);
    if (error)
        return error_set(&oauth->err, -EACCES, "the authorization server refused: %.100s", error);
    *ret_code = field(query, "code");
    return *ret_code ? 0 : error_set(&oauth->err, -EBADMSG, "the answer has no code");
}

bool oauth_redirected(struct oauth *oauth, struct span text, struct error *err)
{
    text = span_trim(text);
    ptrdiff_t mark = span_find(text, SPAN_LITERAL("?"));
    struct span query = mark < 0 ? text : span_skip(text, (size_t)mark + 1);
    query = span_cut(&query, '#');
    CLEANUP(mem_cleanup) char *state = field(query, "state");
    CLEANUP(mem_cleanup) char *code = NULL;
    BUF_AUTO form = BUF_INIT(FORM_MAX);
    if (!oauth->waiting || !state || strcmp(state, oauth->state) != 0) {
        error_set(err, -EINVAL, "that is not the address to which the page of this attempt leads");
        return false;
    }
    oauth->waiting = false;
    loop_cancel(oauth->spec.loop, oauth->timer);
    oauth->timer = 0;
    int r = check_answer(oauth, query, &code);
    if (r == 0) {
        add_field(&form, "grant_type", "authorization_code");
        add_field(&form, "code", code);
        add_field(&form, "redirect_uri", oauth->spec.redirect_uri);
        add_field(&form, "code_verifier", oauth->verifier);
        r = ask_tokens(oauth, &form);
    }
    if (r < 0)
        oauth->timer = loop_defer(oauth->spec.loop, on_deferred_end, oauth);
    return true;
}

/* Beginning */

static struct oauth *create(const struct oauth_spec *spec, const struct oauth_events *events,
                            void *context)
{
    struct oauth *oauth = mem_new(struct oauth);
    oauth->spec = *spec;
    oauth->events = *events;
    oauth->context = context;
    return oauth;
}

static int begun(struct oauth *oauth, int r, struct oauth **ret_oauth, struct error *err)
{
    if (r == 0) {
        *ret_oauth = oauth;
        return 0;
    }
    r = error_set(err, r, "%s", oauth->err.text);
    oauth_cancel(oauth);
    return r;
}

int oauth_authorize(const struct oauth_spec *spec, struct span challenge,
                    const struct oauth_grant *before, const struct oauth_events *events,
                    void *context, struct oauth **ret_oauth, struct error *err)
{
    struct oauth *oauth = create(spec, events, context);
    challenge_parse(challenge, &oauth->challenge);
    oauth->insufficient =
        oauth->challenge.error && strcmp(oauth->challenge.error, "insufficient_scope") == 0;
    if (before)
        oauth_grant_copy(before, &oauth->before);
    oauth->place_count =
        oauth_resource_places(spec->server_url, oauth->challenge.resource_metadata, oauth->places);
    return begun(oauth, find_resource(oauth), ret_oauth, err);
}

int oauth_refresh(const struct oauth_spec *spec, const struct oauth_grant *grant,
                  const struct oauth_events *events, void *context, struct oauth **ret_oauth,
                  struct error *err)
{
    BUF_AUTO form = BUF_INIT(FORM_MAX);
    struct oauth *oauth = create(spec, events, context);
    oauth_grant_copy(grant, &oauth->grant);
    add_field(&form, "grant_type", "refresh_token");
    add_field(&form, "refresh_token", grant->refresh_token);
    int r = grant->refresh_token ? ask_tokens(oauth, &form)
                                 : error_set(&oauth->err, -ENOENT, "there is no refresh token");
    return begun(oauth, r, ret_oauth, err);
}
