#include <errno.h>
#include <inttypes.h>

#include "tools/tool.h"

static bool is_missing(struct json_value value)
{
    return json_type(value) == JSON_ABSENT || json_type(value) == JSON_NULL;
}

bool tool_has(struct json_value arguments, const char *name)
{
    return !is_missing(json_get(arguments, name));
}

int tool_need_http(const struct tool_env *env, struct http_client **ret_http, struct error *err)
{
    if (!env->need_http)
        return error_set(err, -ENOTCONN, "this program asks no servers");
    return env->need_http(env->http_context, ret_http, err);
}

// The request that the toolbox wrote holds both, side by side.
int64_t tool_setting(struct json_value arguments, const char *name)
{
    int64_t value = 0;
    if (arguments.doc)
        json_int64(json_get(json_get(json_root(arguments.doc), "settings"), name), &value);
    return value;
}

int tool_need_text(struct json_value arguments, const char *name, size_t max, struct buf *out,
                   struct error *err)
{
    struct json_value value = json_get(arguments, name);
    buf_init(out, max);
    if (json_type(value) != JSON_STRING)
        return error_set(err, -EINVAL, "the parameter \"%s\" %s", name,
                         is_missing(value) ? "is missing" : "must be a string");
    if (!json_string(value, out))
        return error_set(err, -E2BIG, "the parameter \"%s\" is longer than %zu bytes", name, max);
    return 0;
}

int tool_need_path(struct json_value arguments, const char *name, const char *fallback,
                   struct buf *out, struct error *err)
{
    if (fallback && is_missing(json_get(arguments, name))) {
        buf_init(out, TOOL_PATH_MAX);
        buf_append_text(out, fallback);
        return 0;
    }
    int r = tool_need_text(arguments, name, TOOL_PATH_MAX, out, err);
    if (r == 0 && (out->len == 0 || memchr(out->data, '\0', out->len)))
        r = error_set(err, -EINVAL, "the parameter \"%s\" is not a path", name);
    return r;
}

int tool_want_bool(struct json_value arguments, const char *name, bool *ret_value,
                   struct error *err)
{
    struct json_value value = json_get(arguments, name);
    *ret_value = false;
    if (!is_missing(value) && !json_bool(value, ret_value))
        return error_set(err, -EINVAL, "the parameter \"%s\" must be true or false", name);
    return 0;
}

int tool_want_number(struct json_value arguments, const char *name, int64_t fallback, int64_t min,
                     int64_t max, int64_t *ret_value, struct error *err)
{
    struct json_value value = json_get(arguments, name);
    int64_t number = fallback;
    if (!is_missing(value) && !json_int64(value, &number))
        return error_set(err, -EINVAL, "the parameter \"%s\" must be a whole number", name);
    if (number < min || number > max)
        return error_set(err, -ERANGE, "the parameter \"%s\" must be from %" PRId64 " to %" PRId64,
                         name, min, max);
    *ret_value = number;
    return 0;
}
