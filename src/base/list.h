#pragma once

#include <stdbool.h>

#include "base/mem.h"

/*
 * Intrusive doubly linked list: the link is a member of the element, so membership costs no
 * allocation and removal needs no search. A head and every unlinked link point at themselves.
 * Each link says in a comment beside it whose list it is on.
 */
struct list {
    struct list *prev, *next;
};

#define LIST_INIT(head)  \
    {                    \
        &(head), &(head) \
    }

static inline void list_init(struct list *link)
{
    link->prev = link->next = link;
}

static inline bool list_empty(const struct list *head)
{
    return head->next == head;
}

static inline void list_append(struct list *head, struct list *link)
{
    link->prev = head->prev;
    link->next = head;
    head->prev->next = link;
    head->prev = link;
}

static inline void list_remove(struct list *link)
{
    link->prev->next = link->next;
    link->next->prev = link->prev;
    list_init(link);
}

// Takes the first link off the list, or NULL.
static inline struct list *list_shift(struct list *head)
{
    struct list *link = head->next;
    if (link == head)
        return NULL;
    list_remove(link);
    return link;
}

#define list_entry(link, type, member) CONTAINER_OF(link, type, member)

// The body may remove `cursor`, but nothing else.
#define list_for_each(cursor, head)                                                           \
    for (struct list *cursor = (head)->next, *cursor##_next = cursor->next; cursor != (head); \
         cursor = cursor##_next, cursor##_next = cursor->next)
