#include "bus/group_parts.h"

static struct keyed *find(const struct consumer *c, uint64_t hash, struct slice key)
{
    struct keymap_node *node = keymap_find(&c->keys, hash);
    for (; node; node = keymap_next(node)) {
        struct keyed *k = container_of(node, struct keyed, node);
        if (slice_eq(key, (struct slice){k->text, k->len}))
            return k;
    }
    return NULL;
}

void order_join(struct entry *e, struct slice key)
{
    struct consumer *c = e->consumer;
    if (key.len == 0 || e->key)
        return;
    uint64_t hash = siphash(&c->bus->hash_key, key);
    struct keyed *k = find(c, hash, key);
    if (!k) {
        k = xmalloc(sizeof(*k) + key.len);
        memcpy(k->text, key.ptr, key.len);
        k->len = key.len;
        list_init(&k->chain);
        keymap_add(&c->keys, &k->node, hash);
    }
    e->key = k;
    /* Nearly always it is the last; after a restart those that were put off are there before.
     */
    struct list *after = k->chain.prev;
    while (after != &k->chain && container_of(after, struct entry, chain)->seq > e->seq)
        after = after->prev;
    list_push(after, &e->chain);
}

bool order_is_first(const struct entry *e)
{
    return !e->key || e->key->chain.next == &e->chain;
}

/* The first of its key may go on now. */
static void give_turn(struct entry *e)
{
    if (e->state == ENTRY_BEHIND) {
        entry_leave_behind(e);
        entry_make_ready(e, false);
    } else if (e->state == ENTRY_PARKED) {
        flow_due(e);
    }
}

void order_leave(struct entry *e)
{
    struct keyed *k = e->key;
    if (!k)
        return;
    bool was_first = order_is_first(e);
    list_del(&e->chain);
    e->key = NULL;
    if (list_empty(&k->chain)) {
        keymap_remove(&e->consumer->keys, &k->node);
        xfree(k);
    } else if (was_first) {
        give_turn(list_first(&k->chain, struct entry, chain));
    }
}

void order_put_off(struct entry *e)
{
    if (!e->key)
        return;
    for (struct list *at = e->chain.next; at != &e->key->chain; at = at->next) {
        struct entry *behind = container_of(at, struct entry, chain);
        if (behind->state == ENTRY_BEHIND) {
            entry_leave_behind(behind);
            settle_park(behind);
        } else if (behind->state == ENTRY_DUE) {
            list_del(&behind->node);
            behind->state = ENTRY_PARKED;
        }
    }
}
