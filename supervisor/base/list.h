/*
 * list: a doubly linked ring that lives inside its members.
 *
 * A head and a member are the same type.  A member that is in no list points at
 * itself, so list_del() may be called twice and list_empty() asks either.
 */
#pragma once

#include "base/base.h"

struct list {
    struct list *next;
    struct list *prev;
};

static inline void list_init(struct list *l)
{
    l->next = l->prev = l;
}

static inline bool list_empty(const struct list *l)
{
    return l->next == l;
}

/* Adds at the tail. */
static inline void list_add(struct list *head, struct list *node)
{
    node->prev = head->prev;
    node->next = head;
    head->prev->next = node;
    head->prev = node;
}

/* Adds at the head. */
static inline void list_push(struct list *head, struct list *node)
{
    list_add(head->next, node);
}

static inline void list_del(struct list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}

/* Moves all of `from` to the tail of `to`; `from` is empty afterwards. */
static inline void list_splice(struct list *to, struct list *from)
{
    if (list_empty(from))
        return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    list_init(from);
}

static inline size_t list_count(const struct list *head)
{
    size_t n = 0;
    for (const struct list *at = head->next; at != head; at = at->next)
        n++;
    return n;
}

#define list_first(head, type, member) container_of((head)->next, type, member)
#define list_last(head, type, member)  container_of((head)->prev, type, member)

#define list_each(at, head) for (struct list *at = (head)->next; at != (head); at = at->next)

/* The current member may leave the list; no other may. */
#define list_each_safe(at, head)                                                               \
    for (struct list *at = (head)->next, *at##_next = at->next; at != (head);                  \
         at = at##_next, at##_next = at->next)
