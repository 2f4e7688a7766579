/*
 * What the files hold is hermes-agent's, so that either program reads what the other wrote:
 *
 *     <platform>-pending.json   {request id: {hash, salt, user_id, user_name, created_at}}
 *     <platform>-approved.json  {user id: {user_name, approved_at}}
 *     _rate_limits.json         {"<platform>:<user id>": time of the last request,
 *                                "_failures:<platform>": wrong codes in a row,
 *                                "_lockout:<platform>": time until which it lasts}
 *
 * A code stands nowhere: `hash` is SHA-256 of the salt's bytes and the code. Times are seconds.
 * They are believed only near to now, because the clock of a machine without a battery jumps, and a
 * jump must neither lock anybody out for a year nor keep a code alive for one.
 *
 * Requests come on the loop, from strangers. They do not wait for the disk or for a lock, and what
 * a stranger can make grow is bounded. Approvals come from the command line and are durable.
 */
#include "channels/pairing.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/random.h"
#include "channels/pairing_file.h"
#include "codec/entries.h"
#include "codec/sha256.h"

enum {
    SALT_SIZE = 16,       // bytes
    REQUEST_ID_SIZE = 17, // hex, with the NUL
    NAME_MAX_CHARACTERS = 64,
    USER_MAX = 64, // bytes
    KEY_SIZE = 64 + USER_MAX,
};

static const char alphabet[] = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"; // 32, none like another
_Static_assert(sizeof alphabet == 32 + 1, "a random byte is cut to five bits");

static int64_t now_of(const struct pairing *pairing)
{
    return clock_wall_ms(pairing->clock);
}

static bool is_near(int64_t ms, int64_t now_ms, int64_t distance_ms)
{
    return ms > now_ms - distance_ms && ms < now_ms + distance_ms;
}

bool pairing_is_live(const struct pairing *pairing, struct json_value entry)
{
    int64_t created_ms;
    return pairing_time(json_get(entry, "created_at"), &created_ms) &&
           is_near(created_ms, now_of(pairing), PAIRING_CODE_TTL_MS);
}

bool pairing_is_approved(const struct pairing *pairing, struct span user, struct error *err)
{
    bool found = false;
    for (enum pairing_place place = 0; place < PAIRING_PLACES && !found; place++) {
        PAIRING_FILE_AUTO approved = {0};
        FD_AUTO fd = -1;
        found = pairing_open(pairing, place, PAIRING_UNLOCKED, &fd, err) == 0 &&
                pairing_file_load(pairing, fd, pairing_approved, &approved, err) == 0 &&
                json_type(pairing_file_find(&approved, user)) != JSON_ABSENT;
    }
    return found;
}

void pairing_each_approved(const struct pairing *pairing,
                           void (*fn)(void *context, struct span user), void *context)
{
    for (enum pairing_place place = 0; place < PAIRING_PLACES; place++) {
        PAIRING_FILE_AUTO approved = {0};
        FD_AUTO fd = -1;
        if (pairing_open(pairing, place, PAIRING_UNLOCKED, &fd, NULL) < 0 ||
            pairing_file_load(pairing, fd, pairing_approved, &approved, NULL) < 0)
            continue;
        struct json_value name, entry;
        for (struct json_iter it = json_iter_init(json_root(&approved.doc));
             json_iter_next(&it, &name, &entry);) {
            BUF_AUTO user = BUF_INIT(USER_MAX);
            if (json_string(name, &user))
                fn(context, buf_span(&user));
        }
    }
}

/* Limits */

static struct span limit_key(const char *kind, struct span name, char *text)
{
    int len = snprintf(text, KEY_SIZE, "%s:%.*s", kind, (int)name.len, name.data);
    return span_make(text, (size_t)len < KEY_SIZE ? (size_t)len : KEY_SIZE - 1);
}

int64_t pairing_lockout_until(const struct pairing *pairing, const struct pairing_file *limits)
{
    char key[KEY_SIZE];
    int64_t until_ms, now_ms = now_of(pairing);
    struct json_value value =
        pairing_file_find(limits, limit_key("_lockout", span_of(pairing->platform), key));
    bool locked = pairing_time(value, &until_ms) && until_ms > now_ms &&
                  until_ms <= now_ms + PAIRING_LOCKOUT_MS;
    return locked ? until_ms : 0;
}

static bool asked_lately(const struct pairing *pairing, const struct pairing_file *limits,
                         struct span user)
{
    char key[KEY_SIZE];
    int64_t asked_ms;
    return pairing_time(pairing_file_find(limits, limit_key(pairing->platform, user, key)),
                        &asked_ms) &&
           is_near(asked_ms, now_of(pairing), PAIRING_REQUEST_PAUSE_MS);
}

// Requests that are too long ago to count go, so that strangers do not make the file grow.
static bool keep_limit(const struct pairing_edit *edit, struct span key, struct json_value value)
{
    char own[KEY_SIZE];
    struct span requests = limit_key(edit->pairing->platform, SPAN_LITERAL(""), own);
    int64_t at_ms;
    if (span_equal(key, edit->key))
        return false;
    if (!span_starts_with(key, own) || key.len == requests.len)
        return true;
    return pairing_time(value, &at_ms) &&
           is_near(at_ms, now_of(edit->pairing), PAIRING_REQUEST_PAUSE_MS);
}

// Sets one number of the limits; a time is in milliseconds and written as seconds.
static int set_limit(const struct pairing *pairing, int fd, const char *key, int64_t value,
                     unsigned digits, struct error *err)
{
    PAIRING_EDIT_AUTO edit = {.pairing = pairing,
                              .fd = fd,
                              .kind = pairing_limits,
                              .keep = keep_limit,
                              .key = span_of(key)};
    int r = pairing_edit_begin(&edit, err);
    if (r < 0)
        return r;
    node_add_fixed(edit.root, key, value, digits);
    return pairing_edit_save(&edit, false, err);
}

/* A request */

static void hash_code(struct span salt, struct span code, char *ret_hash)
{
    struct sha256 hash;
    sha256_init(&hash);
    sha256_add(&hash, salt);
    sha256_add(&hash, code);
    sha256_end_hex(&hash, ret_hash);
}

static void write_request(const struct pairing *pairing, struct span user, struct span name,
                          const char *code, struct node pending)
{
    char id[REQUEST_ID_SIZE], hash[SHA256_HEX_SIZE];
    unsigned char salt[SALT_SIZE];
    random_hex(id, sizeof id);
    random_bytes(salt, sizeof salt);
    hash_code(span_make(salt, sizeof salt), span_of(code), hash);
    struct node request = node_add_object(pending, id);
    node_add_text(request, "hash", hash);
    BUF_AUTO text = BUF_INIT(2 * SALT_SIZE);
    for (size_t i = 0; i < sizeof salt; i++)
        buf_printf(&text, "%02x", salt[i]);
    node_add_string(request, "salt", buf_span(&text));
    node_add_string(request, "user_id", user);
    node_add_string(request, "user_name",
                    span_make(name.data, entries_cut(name, NAME_MAX_CHARACTERS)));
    node_add_fixed(request, "created_at", now_of(pairing), 3);
}

static bool is_user(struct json_value entry, struct span user)
{
    BUF_AUTO text = BUF_INIT(4 * USER_MAX);
    struct json_value id = json_get(entry, "user_id");
    if (json_type(id) == JSON_NUMBER)
        return span_equal(json_raw(id), user);
    return json_string(id, &text) && span_equal(buf_span(&text), user);
}

// What is no request at all, somebody else must know about: it stays.
static bool keep_request(const struct pairing_edit *edit, struct span key, struct json_value value)
{
    int64_t created_ms;
    if (!pairing_time(json_get(value, "created_at"), &created_ms))
        return true;
    return pairing_is_live(edit->pairing, value) && !span_equal(key, edit->key) &&
           !(edit->user.data && is_user(value, edit->user));
}

static int add_request(const struct pairing *pairing, int fd, struct span user, struct span name,
                       const char *code, struct error *err)
{
    PAIRING_EDIT_AUTO edit = {
        .pairing = pairing, .fd = fd, .kind = pairing_pending, .keep = keep_request, .user = user};
    int r = pairing_edit_begin(&edit, err);
    if (r < 0)
        return r;
    struct json_iter it = json_iter_init(json_root(&edit.file.doc));
    struct json_value value;
    size_t others = 0;
    while (json_iter_next(&it, NULL, &value))
        others += pairing_is_live(pairing, value) && !is_user(value, user);
    if (others >= PAIRING_PENDING_MAX)
        return 1;
    write_request(pairing, user, name, code, edit.root);
    return pairing_edit_save(&edit, false, err);
}

int pairing_request(const struct pairing *pairing, struct span user, struct span name,
                    char ret_code[PAIRING_CODE_LENGTH + 1], struct error *err)
{
    PAIRING_FILE_AUTO limits = {0};
    FD_AUTO fd = -1;
    char code[PAIRING_CODE_LENGTH + 1] = "", key[KEY_SIZE];
    if (user.len == 0 || user.len > USER_MAX)
        return error_set(err, -EINVAL, "a user's id has 1 to %d bytes", USER_MAX);
    int r = pairing_open(pairing, PAIRING_OWN, PAIRING_LOCK_TRY, &fd, err);
    if (r == -EAGAIN)
        return 1; // for the moment it takes to approve somebody
    if (r == 0)
        r = pairing_file_load(pairing, fd, pairing_limits, &limits, err);
    if (r == 0 && (pairing_lockout_until(pairing, &limits) || asked_lately(pairing, &limits, user)))
        r = 1;
    random_bytes(code, PAIRING_CODE_LENGTH);
    for (size_t i = 0; i < PAIRING_CODE_LENGTH; i++)
        code[i] = alphabet[code[i] & 31];
    if (r == 0)
        r = add_request(pairing, fd, user, name, code, err);
    if (r == 0)
        r = set_limit(pairing, fd, limit_key(pairing->platform, user, key).data, now_of(pairing), 3,
                      err);
    if (r == 0)
        memcpy(ret_code, code, sizeof code);
    return r;
}

/* An approval */

static bool decode_hex(struct json_value value, struct buf *out)
{
    static const char digits[] = "0123456789abcdef";
    BUF_AUTO text = BUF_INIT(256);
    if (!json_string(value, &text) || text.len == 0 || text.len % 2)
        return false;
    for (size_t i = 0; i < text.len; i += 2) {
        int byte = 0;
        for (size_t k = i; k < i + 2; k++) {
            const char *digit = memchr(digits, text.data[k] | 0x20, 16);
            if (!digit)
                return false;
            byte = byte << 4 | (int)(digit - digits);
        }
        buf_append_char(out, (char)byte);
    }
    return true;
}

// As long as it takes, wherever the difference is.
static bool same_hash(struct json_value value, const char *hash)
{
    BUF_AUTO text = BUF_INIT(256);
    if (!json_string(value, &text) || text.len != SHA256_HEX_SIZE - 1)
        return false;
    unsigned difference = 0;
    for (size_t i = 0; i < text.len; i++)
        difference |= (unsigned char)(text.data[i] ^ hash[i]);
    return difference == 0;
}

static bool is_code_of(struct json_value entry, struct span code)
{
    BUF_AUTO salt = BUF_INIT(256);
    char hash[SHA256_HEX_SIZE];
    if (!decode_hex(json_get(entry, "salt"), &salt))
        return false;
    hash_code(buf_span(&salt), code, hash);
    return same_hash(json_get(entry, "hash"), hash);
}

// `code` is in capitals; one of the length of a request's id is that id.
static bool find_request(const struct pairing *pairing, const struct pairing_file *pending,
                         struct span code, struct buf *ret_key, struct json_value *ret_entry)
{
    struct json_iter it = json_iter_init(json_root(&pending->doc));
    struct json_value name, entry;
    while (json_iter_next(&it, &name, &entry)) {
        buf_clear(ret_key);
        if (!json_string(name, ret_key) || !pairing_is_live(pairing, entry))
            continue;
        bool by_id = code.len == REQUEST_ID_SIZE - 1 && ret_key->len == code.len &&
                     json_type(json_get(entry, "hash")) == JSON_STRING &&
                     strncasecmp(buf_text(ret_key), code.data, code.len) == 0;
        if (by_id || is_code_of(entry, code)) {
            *ret_entry = entry;
            return true;
        }
    }
    return false;
}

static int refuse_code(const struct pairing *pairing, int fd, const struct pairing_file *limits,
                       struct error *err)
{
    char key[KEY_SIZE];
    int64_t failures = 0;
    json_int64(pairing_file_find(limits, limit_key("_failures", span_of(pairing->platform), key)),
               &failures);
    failures = failures < 0 || failures >= PAIRING_FAILURES_MAX ? 1 : failures + 1;
    bool locks = failures == PAIRING_FAILURES_MAX;
    int r = set_limit(pairing, fd, limit_key("_failures", span_of(pairing->platform), key).data,
                      locks ? 0 : failures, 0, err);
    if (r == 0 && locks)
        r = set_limit(pairing, fd, limit_key("_lockout", span_of(pairing->platform), key).data,
                      now_of(pairing) + PAIRING_LOCKOUT_MS, 3, err);
    if (r < 0)
        return r;
    if (locks)
        return error_set(err, -ENOENT,
                         "no request has this code; after %d wrong ones no code is accepted for an "
                         "hour",
                         PAIRING_FAILURES_MAX);
    return error_set(err, -ENOENT,
                     "no request has this code; codes expire after an hour (%" PRId64 " of %d "
                     "wrong ones)",
                     failures, PAIRING_FAILURES_MAX);
}

static bool keep_others(const struct pairing_edit *edit, struct span key, struct json_value value)
{
    return !span_equal(key, edit->key);
}

static int add_approved(const struct pairing *pairing, int fd, const char *user,
                        struct json_value name, struct error *err)
{
    PAIRING_EDIT_AUTO edit = {.pairing = pairing,
                              .fd = fd,
                              .kind = pairing_approved,
                              .keep = keep_others,
                              .key = span_of(user)};
    int r = pairing_edit_begin(&edit, err);
    if (r < 0)
        return r;
    struct node entry = node_add_object(edit.root, user);
    bool named = json_type(name) == JSON_STRING;
    node_add_raw(entry, "user_name", named ? json_raw(name) : SPAN_LITERAL("\"\""));
    node_add_fixed(entry, "approved_at", now_of(pairing), 3);
    return pairing_edit_save(&edit, true, err);
}

static int take_user(struct json_value entry, struct buf *out, struct error *err)
{
    struct json_value id = json_get(entry, "user_id");
    buf_clear(out);
    if (json_type(id) == JSON_NUMBER)
        buf_append_span(out, json_raw(id));
    else
        json_string(id, out);
    bool whole = out->len && out->len == strlen(buf_text(out));
    return whole ? 0 : error_set(err, -EBADMSG, "the request names no user");
}

// Approved first: a stop in between leaves a code that is of no more use, and not a lost approval.
static int approve_request(const struct pairing *pairing, int fd, struct span key,
                           struct json_value entry, struct buf *ret_user, struct error *err)
{
    char limit[KEY_SIZE];
    PAIRING_EDIT_AUTO pending = {
        .pairing = pairing, .fd = fd, .kind = pairing_pending, .keep = keep_request, .key = key};
    int r = take_user(entry, ret_user, err);
    if (r == 0)
        r = add_approved(pairing, fd, buf_text(ret_user), json_get(entry, "user_name"), err);
    if (r == 0)
        r = pairing_edit_begin(&pending, err); // the request goes
    if (r == 0)
        r = pairing_edit_save(&pending, true, err);
    if (r == 0)
        r = set_limit(pairing, fd, limit_key("_failures", span_of(pairing->platform), limit).data,
                      0, 0, err);
    return r;
}

int pairing_approve(const struct pairing *pairing, struct span code, struct buf *ret_user,
                    struct error *err)
{
    PAIRING_FILE_AUTO limits = {0};
    PAIRING_FILE_AUTO pending = {0};
    FD_AUTO fd = -1;
    char until[CLOCK_TEXT_SIZE];
    BUF_AUTO capitals = BUF_INIT(64);
    BUF_AUTO key = BUF_INIT(256);
    struct json_value entry = JSON_VALUE_ABSENT;
    code = span_trim(code);
    for (size_t i = 0; i < code.len && i < capitals.max; i++)
        buf_append_char(&capitals, code.data[i] >= 'a' && code.data[i] <= 'z' ? code.data[i] - 32
                                                                              : code.data[i]);
    int r = pairing_open(pairing, PAIRING_OWN, PAIRING_LOCK_WAIT, &fd, err);
    if (r == 0)
        r = pairing_file_load(pairing, fd, pairing_limits, &limits, err);
    if (r == 0)
        r = pairing_file_load(pairing, fd, pairing_pending, &pending, err);
    if (r < 0)
        return r;
    // A request's id is seen only by who can read the files: it is no guess, right or wrong.
    bool by_id = capitals.len == REQUEST_ID_SIZE - 1;
    int64_t until_ms = by_id ? 0 : pairing_lockout_until(pairing, &limits);
    if (until_ms)
        return error_set(err, -EBUSY,
                         "after %d wrong codes none is accepted until %s; use a request's id from "
                         "the list",
                         PAIRING_FAILURES_MAX, clock_format_utc(until_ms, until));
    if (find_request(pairing, &pending, buf_span(&capitals), &key, &entry))
        return approve_request(pairing, fd, buf_span(&key), entry, ret_user, err);
    return by_id ? error_set(err, -ENOENT, "no request has this id; requests expire in an hour")
                 : refuse_code(pairing, fd, &limits, err);
}

static int revoke(const struct pairing *pairing, enum pairing_place place, struct span user,
                  struct error *err)
{
    FD_AUTO fd = -1;
    int r = pairing_open(pairing, place, PAIRING_LOCK_WAIT, &fd, err);
    PAIRING_EDIT_AUTO edit = {
        .pairing = pairing, .fd = fd, .kind = pairing_approved, .keep = keep_others, .key = user};
    if (r == 0)
        r = pairing_edit_begin(&edit, err);
    if (r < 0)
        return r;
    if (json_type(pairing_file_find(&edit.file, user)) == JSON_ABSENT)
        return error_set(err, -ENOENT, "the user %.*s is not approved on %s",
                         (int)(user.len < USER_MAX ? user.len : USER_MAX), user.data,
                         pairing->platform);
    return pairing_edit_save(&edit, true, err);
}

int pairing_revoke(const struct pairing *pairing, struct span user, struct error *err)
{
    int other = revoke(pairing, PAIRING_OTHER, user, err);
    int r = other == 0 || other == -ENOENT ? revoke(pairing, PAIRING_OWN, user, err) : other;
    return r == -ENOENT ? other : r; // in one of the two is enough
}

int pairing_clear_pending(const struct pairing *pairing, struct error *err)
{
    FD_AUTO fd = -1;
    int r = pairing_open(pairing, PAIRING_OWN, PAIRING_LOCK_WAIT, &fd, err);
    PAIRING_EDIT_AUTO edit = {.pairing = pairing, .fd = fd, .kind = pairing_pending};
    if (r == 0)
        r = pairing_edit_begin(&edit, err);
    return r < 0 ? r : pairing_edit_save(&edit, true, err);
}
