#include "channels/telegram_answer.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"

enum {
    DESCRIPTION_MAX = 2048, // bytes that are decoded
    SHOWN_MAX = 200,        // bytes of it in a sentence
    TOKEN_PART_MIN = 8,     // bytes of a token's beginning that are worth hiding
    RETRY_DEFAULT_MS = 5000,
};

static bool holds(const char *description, const char *words)
{
    return strcasestr(description, words) != NULL;
}

static enum telegram_outcome bad_request(const char *description)
{
    static const struct {
        const char *words;
        enum telegram_outcome outcome;
    } known[] = {
        {"message is not modified", TELEGRAM_UNCHANGED},
        {"message to edit not found", TELEGRAM_NO_MESSAGE},
        {"message can't be edited", TELEGRAM_NO_MESSAGE},
        {"MESSAGE_ID_INVALID", TELEGRAM_NO_MESSAGE},
        {"can't parse", TELEGRAM_BAD_MARKUP},
        {"can't find end of", TELEGRAM_BAD_MARKUP},
        {"is too long", TELEGRAM_TOO_LONG},
        {"MESSAGE_TOO_LONG", TELEGRAM_TOO_LONG},
        {"thread not found", TELEGRAM_NO_THREAD},
        {"chat not found", TELEGRAM_NO_CHAT},
        {"user not found", TELEGRAM_NO_CHAT},
        {"PEER_ID_INVALID", TELEGRAM_NO_CHAT},
        {"USER_IS_BLOCKED", TELEGRAM_NO_CHAT},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (holds(description, known[i].words))
            return known[i].outcome;
    return TELEGRAM_REFUSED;
}

// `described`: the answer has the Bot API's shape, so it is not a page of somebody in between.
static enum telegram_outcome classify(int code, bool described, const char *description)
{
    if (code == 401 || code == 404)
        return TELEGRAM_UNAUTHORIZED;
    if (code == 429)
        return TELEGRAM_LIMITED;
    if (code == 413) // also of somebody in between: it is no better the next time
        return TELEGRAM_TOO_LONG;
    if (code < 400 || code >= 500 || !described)
        return TELEGRAM_UNAVAILABLE;
    if (code == 409)
        return holds(description, "webhook") ? TELEGRAM_WEBHOOK : TELEGRAM_CONFLICT;
    if (code == 403)
        return TELEGRAM_NO_CHAT;
    if (code == 400)
        return bad_request(description);
    return TELEGRAM_REFUSED;
}

static int64_t retry_after_ms(struct json_value root)
{
    int64_t seconds;
    struct json_value parameters = json_get(root, "parameters");
    if (!json_int64(json_get(parameters, "retry_after"), &seconds) || seconds < 0)
        return RETRY_DEFAULT_MS;
    return seconds > TELEGRAM_RETRY_AFTER_MAX_MS / 1000 ? TELEGRAM_RETRY_AFTER_MAX_MS
                                                        : seconds * 1000;
}

static void read_refusal(int status, struct json_value root, struct telegram_answer *answer)
{
    BUF_AUTO description = BUF_INIT(DESCRIPTION_MAX);
    int64_t code;
    bool described = json_type(json_get(root, "description")) == JSON_STRING;
    json_string(json_get(root, "description"), &description); // of a novel nothing is looked at
    if (!json_int64(json_get(root, "error_code"), &code) || code < 100 || code > 599)
        code = status;
    answer->outcome = classify((int)code, described, buf_text(&description));
    if (answer->outcome == TELEGRAM_LIMITED)
        answer->retry_after_ms = retry_after_ms(root);
    if (description.len)
        snprintf(answer->text, sizeof answer->text, "Telegram replied \"%.*s\" (%d)", SHOWN_MAX,
                 buf_text(&description), (int)code);
    else
        snprintf(answer->text, sizeof answer->text,
                 "the Bot API's address replies with HTTP %d, unlike the Bot API", (int)code);
}

void telegram_answer_read(int status, struct span body, struct json *doc,
                          struct telegram_answer *ret_answer)
{
    *ret_answer = (struct telegram_answer){.outcome = TELEGRAM_OK};
    bool ok = false;
    json_parse(doc, body, NULL);
    struct json_value root = json_root(doc);
    bool said = json_bool(json_get(root, "ok"), &ok);
    if (ok && status >= 200 && status < 300) {
        ret_answer->result = json_get(root, "result");
    } else if (!said && status >= 200 && status < 300) {
        ret_answer->outcome = TELEGRAM_UNKNOWN;
        snprintf(ret_answer->text, sizeof ret_answer->text,
                 "the Bot API's address does not reply like the Bot API");
    } else {
        read_refusal(status, root, ret_answer);
    }
}

void telegram_answer_lost(enum http_failure failure, bool connecting, const char *sentence,
                          struct telegram_answer *ret_answer)
{
    *ret_answer = (struct telegram_answer){.outcome = TELEGRAM_UNREACHABLE};
    if (failure == HTTP_CUT || failure == HTTP_STOPPED ||
        (failure == HTTP_TIMED_OUT && !connecting))
        ret_answer->outcome = TELEGRAM_UNKNOWN;
    if (failure == HTTP_UNREADABLE)
        ret_answer->outcome = TELEGRAM_NO_FILE;
    snprintf(ret_answer->text, sizeof ret_answer->text, "%s", sentence);
}

void telegram_redact(char *text, const char *token)
{
    // What was cut to fit into a sentence may hold its beginning only, and not at the end.
    for (char *at = text; token && *at; at++) {
        size_t same = 0;
        while (token[same] && at[same] == token[same])
            same++;
        if (same >= TOKEN_PART_MIN)
            memset(at, '*', same);
    }
}

enum telegram_result telegram_result_of(enum telegram_outcome outcome)
{
    static const enum telegram_result results[] = {
        [TELEGRAM_OK] = TELEGRAM_RESULT_OK,
        [TELEGRAM_UNCHANGED] = TELEGRAM_RESULT_OK,
        [TELEGRAM_UNREACHABLE] = TELEGRAM_RESULT_UNAVAILABLE,
        [TELEGRAM_UNKNOWN] = TELEGRAM_RESULT_UNAVAILABLE,
        [TELEGRAM_UNAVAILABLE] = TELEGRAM_RESULT_UNAVAILABLE,
        [TELEGRAM_LIMITED] = TELEGRAM_RESULT_LIMITED,
        [TELEGRAM_UNAUTHORIZED] = TELEGRAM_RESULT_UNAUTHORIZED,
        [TELEGRAM_CONFLICT] = TELEGRAM_RESULT_CONFLICT,
        [TELEGRAM_WEBHOOK] = TELEGRAM_RESULT_CONFLICT,
        [TELEGRAM_REFUSED] = TELEGRAM_RESULT_REFUSED, // as all that has no row
    };
    return results[outcome];
}
