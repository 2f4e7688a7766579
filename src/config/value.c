#include "config/value.h"

#include <errno.h>
#include <stdlib.h>

#include "base/fd.h"
#include "base/mem.h"
#include "config/substitute.h"
#include "config/variables.h"

static void wipe(const char *text)
{
    if (text)
        explicit_bzero((char *)text, strlen(text));
    free((char *)text);
}

void value_finish(struct value *value)
{
    for (size_t i = 0; i < value->count; i++) {
        free((char *)value->entries[i].name);
        wipe(value->entries[i].value);
    }
    free(value->entries);
    free(value->items);
    wipe(value->text);
    free(value->where);
    *value = (struct value){0};
}

static void add_error(const struct value_source *source, const char *sentence)
{
    findings_add(source->findings, CONFIG_ERROR, source->place, "%.*s: %s", (int)source->key.len,
                 source->key.data, sentence);
}

// Hears of the variables in one text.
struct listener {
    const struct value_source *source;
    bool is_secret; // an unset variable is an error, and nothing of the text may be repeated
    bool is_tree;   // it is not even a warning
    bool masked, failed;
};

static void hear(void *context, enum substitute_event event, const char *name)
{
    struct listener *listener = context;
    const struct value_source *source = listener->source;
    struct span key = source->key;
    bool is_secret = listener->is_secret;
    if (event == SUBSTITUTE_SET) {
        listener->masked |= variables_looks_secret(name);
        return;
    }
    if (event == SUBSTITUTE_MALFORMED) {
        findings_add(source->findings, CONFIG_WARNING, source->place,
                     "%.*s: %s is not a variable (${NAME}, ${env:NAME} or os.environ/NAME); it "
                     "stays as written",
                     (int)key.len, key.data, is_secret ? "\"${\" or \"os.environ/\" in it" : name);
        return;
    }
    listener->failed |= is_secret;
    findings_add(source->findings,
                 listener->is_tree ? CONFIG_NOTE
                 : is_secret       ? CONFIG_ERROR
                                   : CONFIG_WARNING,
                 source->place, "%.*s: the environment variable %s is not set%s", (int)key.len,
                 key.data, name,
                 listener->is_tree ? ", which matters only when this is used"
                 : is_secret       ? ""
                                   : "; the text stays as written");
}

// The text with its variables put in, as a heap string; NULL after an error was added.
char *value_resolve(struct value *value, const struct option *option,
                    const struct value_source *source, struct span text)
{
    struct listener listener = {.source = source,
                                .is_secret = option->flags & OPTION_SECRET,
                                .is_tree = option->type == OPTION_TREE};
    const struct substitute_observer observer = {hear, &listener};
    struct error err = ERROR_INIT;
    BUF_AUTO out = BUF_INIT(OPTION_VALUE_MAX);

    if (text.len && memchr(text.data, '\0', text.len))
        error_set(&err, -EINVAL, "the value holds a NUL byte");
    else if (source->variables)
        config_substitute(text, source->variables, &out, &observer, &err);
    else if (!buf_append_span(&out, text))
        error_set(&err, -E2BIG, "the value is longer than %d bytes", OPTION_VALUE_MAX);
    if (err.code < 0)
        add_error(source, err.text);
    value->masked = listener.masked;
    return err.code < 0 || listener.failed ? NULL : buf_take_text(&out);
}

// Is what stands at a place of a tree a secret? Its name ends as those of secrets do, so that
// max_tokens and the cost of a token are none; and of headers nobody knows.
static bool is_secret_place(const char *place)
{
    static const char *const ends[] = {"key",        "token",       "secret", "password", "passwd",
                                       "credential", "credentials", "auth",   "cookie",   "salt"};
    const char *dot = strrchr(place, '.');
    struct span last = span_of(dot ? dot + 1 : place);
    bool is_secret = strstr(place, "headers.");
    for (size_t i = 0; i < ARRAY_LEN(ends) && !strstr(place, "cost"); i++)
        is_secret |= last.len >= strlen(ends[i]) &&
                     strcasecmp(last.data + last.len - strlen(ends[i]), ends[i]) == 0;
    return is_secret;
}

bool value_append_entry(struct value *value, const struct option *option,
                        const struct value_source *source, struct span name, char *text)
{
    CLEANUP(mem_cleanup) char *owned = text;
    if (value->count == (option->type == OPTION_TREE ? OPTION_TREE_MAX : OPTION_ITEMS_MAX)) {
        add_error(source, "it has too many entries");
        return false;
    }
    value->entries =
        mem_grow(value->entries, value->count, &value->capacity, sizeof *value->entries);
    char unset[SUBSTITUTE_NAME_MAX + 1];
    struct option_pair *entry = &value->entries[value->count++];
    *entry = (struct option_pair){.name = name.data ? mem_strndup(name.data, name.len) : NULL,
                                  .value = STEAL(owned),
                                  .line = source->place.line};
    entry->secret =
        value->masked || (option->flags & OPTION_SECRET) ||
        (entry->name && (option->type == OPTION_TREE ? is_secret_place(entry->name)
                                                     : variables_looks_secret(entry->name)));
    if (option->type == OPTION_TREE && config_unset_variable(entry->value, unset))
        entry->secret = false; // it is not there yet
    return true;
}

void value_add_entry(struct value *value, const struct option *option,
                     const struct value_source *source, struct span name, struct span text)
{
    char *resolved = value_resolve(value, option, source, text);
    if (resolved)
        value_append_entry(value, option, source, name, resolved);
}

// "a, b" or "name=value, name=value": what the environment and the command line can say.
static bool split_entries(struct value *value, const struct option *option,
                          const struct value_source *source, struct span text)
{
    struct span rest = text, word;
    while (option_next_word(&rest, &word)) {
        struct span name = SPAN_ABSENT;
        if (option->type == OPTION_MAP) {
            struct span after = word;
            name = span_trim(span_cut(&after, '='));
            if (name.len == 0 || name.len == word.len) {
                add_error(source, "an entry is not name=value");
                return false;
            }
            word = span_trim(after);
        }
        if (!value_append_entry(value, option, source, name, mem_strndup(word.data, word.len)))
            return false;
    }
    return true;
}

void value_close(struct value *value)
{
    BUF_AUTO text = BUF_INIT(OPTION_TREE_MAX * (size_t)OPTION_VALUE_MAX);
    value->items = mem_alloc((value->count + 1) * sizeof *value->items);
    for (size_t i = 0; i < value->count; i++) {
        const struct option_pair *entry = &value->entries[i];
        value->items[i] = entry->value;
        buf_append_text(&text, i ? ", " : "");
        if (entry->name)
            buf_printf(&text, "%s: ", entry->name);
        buf_append_text(&text, entry->value);
    }
    value->text = buf_take_text(&text);
    value->set = true;
}

// Where variables were put in, the sentence repeats what is written and not what they hold.
static void parse(struct value *value, const struct option *option,
                  const struct value_source *source, struct span written)
{
    struct error err = ERROR_INIT;
    value->set = option_parse(option, span_of(value->text), &value->parsed, &err) == 0;
    if (value->set)
        return;
    if (!(option->flags & OPTION_SECRET) && !span_is(written, value->text)) {
        struct option hidden = *option;
        hidden.flags |= OPTION_SECRET;
        option_parse(&hidden, span_of(value->text), &value->parsed, &err);
        error_wrap(&err, "%.*s", written.len > 80 ? 80 : (int)written.len, written.data);
    }
    add_error(source, err.text);
}

void value_from_text(struct value *value, const struct option *option,
                     const struct value_source *source, struct span text)
{
    CLEANUP(mem_cleanup) char *whole = value_resolve(value, option, source, text);
    if (whole && option_is_scalar(option)) {
        value->text = STEAL(whole);
        parse(value, option, source, text);
    } else if (whole && split_entries(value, option, source, span_of(whole))) {
        value_close(value);
    }
}

static int read_secret(const char *path, struct buf *out, struct error *err)
{
    if (path[0] != '/')
        return error_set(err, -EINVAL, "%s is not an absolute path", path);
    int r = fd_read_file(path, out, err);
    if (r < 0)
        return r;
    if (memchr(buf_text(out), '\0', out->len))
        return error_set(err, -EINVAL, "%s holds a NUL byte", path);
    if (span_trim(buf_span(out)).len == 0)
        return error_set(err, -EINVAL, "%s is empty", path);
    return 0;
}

void value_from_secret_file(struct value *value, const struct option *option,
                            const struct value_source *source, struct span path)
{
    BUF_AUTO content = BUF_INIT(CONFIG_SECRET_FILE_MAX);
    struct error err = ERROR_INIT;
    // The path is no secret: its unset variables stay, and the sentence about it may name it.
    struct option plain = {.type = OPTION_STRING};
    CLEANUP(mem_cleanup) char *name = value_resolve(value, &plain, source, path);
    if (!name)
        return;
    if (read_secret(name, &content, &err) == 0) {
        struct span text = span_trim(buf_span(&content));
        value->text = mem_strndup(text.data, text.len);
        parse(value, option, source, SPAN_ABSENT);
    } else {
        add_error(source, err.text);
    }
    if (content.data)
        explicit_bzero(content.data, content.len);
}

void value_store(const struct value *value, const struct option *option, void *field)
{
    switch (option->type) {
    case OPTION_STRING:
        *(const char **)field = value->text;
        break;
    case OPTION_BOOL:
        *(bool *)field = value->parsed.boolean;
        break;
    case OPTION_LIST:
        *(struct option_list *)field = (struct option_list){value->items, value->count};
        break;
    case OPTION_MAP:
    case OPTION_TREE:
        *(struct option_map *)field = (struct option_map){value->entries, value->count};
        break;
    default:
        *(int64_t *)field = value->parsed.number;
    }
}
