#include "agent/part_list.h"

#include "base/mem.h"
#include "codec/document.h"

enum { TREE_MAX = 16 * PART_LIST_MAX }; // bytes of memory

void part_list_write(const struct chat_parts *parts, struct buf *out)
{
    DOCUMENT_AUTO doc = DOCUMENT_INIT(TREE_MAX);
    struct node list = document_array(&doc);
    for (size_t i = 0; i < parts->count; i++) {
        const struct chat_part *part = &parts->items[i];
        struct node row = node_add_object(list, NULL);
        node_add_text(row, "type", part->type->name);
        if (part->name)
            node_add_text(row, "name", part->name);
        node_add_text(row, "id", part->id);
        node_add_int(row, "size", (int64_t)part->size);
    }
    if (parts->count)
        document_print(&doc, out, NULL);
}

static char *copy_of(struct node text)
{
    return node_text(text) ? mem_strdup(node_text(text)) : NULL;
}

void part_list_read(struct span text, struct chat_parts *parts)
{
    DOCUMENT_AUTO doc = DOCUMENT_INIT(TREE_MAX);
    if (text.len > PART_LIST_MAX || document_read(&doc, text, NULL) < 0)
        return;
    struct node row = node_first(document_root(&doc));
    for (; node_type(row) != JSON_ABSENT && parts->count < CHAT_PARTS_MAX; row = node_next(row)) {
        const char *name = node_text(node_get(row, "type"));
        const struct media_type *type = name ? media_type_named(span_of(name)) : NULL;
        int64_t size = 0;
        if (!type || !node_int(node_get(row, "size"), &size) || size < 0)
            continue;
        struct chat_part *part = chat_parts_add(parts);
        *part = (struct chat_part){type, copy_of(node_get(row, "name")),
                                   copy_of(node_get(row, "id")), (size_t)size, NULL};
    }
}
