#include "llm/chat_part.h"

#include <stdlib.h>

#include "base/mem.h"

struct chat_part *chat_parts_add(struct chat_parts *parts)
{
    parts->items = mem_realloc(parts->items, (parts->count + 1) * sizeof *parts->items);
    parts->items[parts->count] = (struct chat_part){0};
    return &parts->items[parts->count++];
}

void chat_parts_finish(struct chat_parts *parts)
{
    for (size_t i = 0; i < parts->count; i++) {
        free(parts->items[i].name);
        free(parts->items[i].id);
        free(parts->items[i].data);
    }
    free(parts->items);
    *parts = (struct chat_parts){0};
}

enum chat_media chat_part_media(const struct chat_part *part)
{
    return part->type->is_image ? CHAT_IMAGES : CHAT_SOUND;
}
