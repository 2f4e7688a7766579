#include "config/config.h"
#include "config/loaded.h"

/*
 * Settings as a person may see them. A secret shows three characters at its front and two at its
 * end, and only when it is long enough that those do not help a guesser: enough to tell two keys
 * apart.
 */
enum {
    MASK_MIN = 16,    // bytes; a shorter secret shows nothing
    SHOWN_BYTES = 120 // of a value in a listing; a longer one is cut, and its length told
};

void config_render_masked(const char *secret, struct buf *out)
{
    size_t len = strlen(secret);
    bool plain = len >= MASK_MIN;
    for (size_t i = 0; i < len; i++)
        plain = plain && secret[i] > ' ' && secret[i] < 127;
    if (plain)
        buf_printf(out, "%.3s...%s", secret, secret + len - 2);
    else
        buf_append_text(out, "***");
}

// Where the user and password of a URL end ("https://user:password@host"); 0: there are none.
static size_t userinfo_end(const char *text)
{
    const char *authority = strstr(text, "://");
    if (!authority)
        return 0;
    authority += 3;
    size_t len = strcspn(authority, "/?# ");
    const char *at = memrchr(authority, '@', len);
    return at ? (size_t)(at - text) : 0;
}

static void render_text(const char *text, struct buf *out)
{
    size_t hidden = userinfo_end(text), len = strlen(text);
    if (hidden) {
        buf_append(out, text, (size_t)(strstr(text, "://") + 3 - text));
        buf_append_text(out, "***");
        text += hidden;
        len -= hidden;
    }
    for (size_t i = 0; i < len && i < SHOWN_BYTES; i++) {
        if (text[i] == '\n')
            buf_append_text(out, "\\n");
        else
            buf_append_char(out, (unsigned char)text[i] < ' ' || text[i] == 127 ? '?' : text[i]);
    }
    if (len > SHOWN_BYTES)
        buf_printf(out, "... (%zu bytes)", len);
}

static void render_entry(const struct option_pair *pair, struct buf *out)
{
    if (pair->secret)
        config_render_masked(pair->value, out);
    else
        render_text(pair->value, out);
}

static void render_value(const struct option *option, const struct value *value, struct buf *out)
{
    char number[OPTION_NUMBER_SIZE];
    bool secret = option->flags & OPTION_SECRET;
    bool has_unit = option->type == OPTION_BYTES || option->type == OPTION_DURATION ||
                    option->type == OPTION_SHARE;
    bool has_secret = false;
    for (size_t i = 0; i < value->count; i++)
        has_secret |= value->entries[i].secret;
    if (!value->set)
        buf_append_char(out, '-');
    else if (option->type == OPTION_TREE)
        buf_printf(out, "%zu value%s", value->count, value->count == 1 ? "" : "s");
    else if (value->text[0] == '\0')
        buf_append_text(out, "\"\"");
    else if (option->type == OPTION_MAP || has_secret) {
        for (size_t i = 0; i < value->count; i++) {
            if (value->entries[i].name)
                buf_printf(out, "%s%s: ", i ? ", " : "", value->entries[i].name);
            else
                buf_append_text(out, i ? ", " : "");
            render_entry(&value->entries[i], out);
        }
    } else if (secret || value->masked)
        config_render_masked(value->text, out);
    else if (has_unit)
        buf_append_text(out, option_format_number(option, value->parsed.number, number));
    else
        render_text(value->text, out);
}

void config_render_show(const struct config *config, struct buf *out)
{
    buf_printf(out, "# configuration file: %s\n", config->path ? config->path : "none");
    for (size_t i = 0; i < config->count; i++) {
        const struct loaded *loaded = &config->loaded[i];
        buf_printf(out, "%-36s ", loaded->setting.option->key);
        render_value(loaded->setting.option, &loaded->value, out);
        buf_printf(out, "  (%s)\n", loaded->setting.where);
        // What is in a tree, each on a line of its own: there are many.
        for (size_t j = 0; j < loaded->value.count; j++) {
            if (loaded->setting.option->type != OPTION_TREE)
                break;
            buf_printf(out, "  %-34s ", loaded->value.entries[j].name);
            render_entry(&loaded->value.entries[j], out);
            buf_append_char(out, '\n');
        }
    }
}

void config_render_findings(const struct config *config, struct buf *out)
{
    static const char *const words[] = {
        [CONFIG_ERROR] = "error", [CONFIG_WARNING] = "warning", [CONFIG_NOTE] = "note"};
    for (size_t i = 0; i < config->findings.count; i++) {
        const struct config_finding *finding = &config->findings.array[i];
        buf_printf(out, "%s: %s%s%s\n", words[finding->severity], finding->where,
                   finding->where[0] ? ": " : "", finding->text);
    }
    if (config->findings.dropped)
        buf_printf(out, "... and %zu more\n", config->findings.dropped);
}
