#include "app/balance.h"

#include <stdio.h>

/*
 * The same in every run, so that cookies last and keys stay where they are.  Who knows it can
 * choose a key for a target, but could as well try some.
 */
static const struct siphash_key fixed = {{0x6e6f646579206c62, 0x72656e64657a766f}};

uint64_t share_id(struct slice name)
{
    uint64_t id = siphash(&fixed, name);
    return id ? id : 1;
}

uint64_t share_key(struct slice key)
{
    return siphash(&fixed, key);
}

/* ------------------------------------------------------------------- cookie */

void share_write_cookie(uint64_t id, char text[SHARE_COOKIE_LEN + 1])
{
    snprintf(text, SHARE_COOKIE_LEN + 1, "%016llx", (unsigned long long)id);
}

uint64_t share_read_cookie(struct slice value)
{
    uint64_t id = 0;
    for (size_t i = 0; i < value.len; i++) {
        char c = value.ptr[i];
        bool digit = c >= '0' && c <= '9';
        if (!digit && !(c >= 'a' && c <= 'f'))
            return 0;
        id = id << 4 | (unsigned)(digit ? c - '0' : c - 'a' + 10);
    }
    return value.len == SHARE_COOKIE_LEN ? id : 0;
}

/* ------------------------------------------------------------------- choose */

/* Fewer requests, and among equals the one that was not chosen for longest. */
static bool is_freer(const struct share *a, const struct share *b)
{
    return a->active != b->active ? a->active < b->active : a->turn < b->turn;
}

static bool is_longer_ago(const struct share *a, const struct share *b)
{
    return a->turn < b->turn;
}

static bool may_take(const struct share *s, bool only_well)
{
    return !s->out && (s->well || !only_well);
}

static int best(const struct share *all, size_t count, bool only_well,
                bool (*better)(const struct share *, const struct share *))
{
    int found = SHARE_NONE;
    for (size_t i = 0; i < count; i++)
        if (may_take(&all[i], only_well) && (found < 0 || better(&all[i], &all[found])))
            found = (int)i;
    return found;
}

/* The n-th that may be taken. */
static int nth(const struct share *all, size_t count, bool only_well, uint64_t n)
{
    for (size_t i = 0; i < count; i++)
        if (may_take(&all[i], only_well) && n-- == 0)
            return (int)i;
    return SHARE_NONE;
}

static int choose_random(const struct share *all, size_t count, bool only_well, uint64_t chance)
{
    uint64_t takable = 0;
    for (size_t i = 0; i < count; i++)
        takable += may_take(&all[i], only_well);
    if (takable < 2)
        return nth(all, count, only_well, 0);
    uint64_t first = chance % takable;
    uint64_t second = (chance >> 32) % (takable - 1);
    int a = nth(all, count, only_well, first);
    int b = nth(all, count, only_well, second + (second >= first));
    return all[b].active < all[a].active ? b : a;
}

/* The weight of a target for a key: both are hashed already. */
static uint64_t weigh(uint64_t id, uint64_t key)
{
    uint64_t both[] = {id, key};
    return siphash(&fixed, (struct slice){(const char *)both, sizeof(both)});
}

static int choose_hash(const struct share *all, size_t count, bool only_well, uint64_t key)
{
    int found = SHARE_NONE;
    uint64_t heaviest = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t weight = may_take(&all[i], only_well) ? weigh(all[i].id, key) : 0;
        if (may_take(&all[i], only_well) && (found < 0 || weight > heaviest)) {
            found = (int)i;
            heaviest = weight;
        }
    }
    return found;
}

static int choose_cookie(const struct share *all, size_t count, bool only_well, uint64_t id)
{
    for (size_t i = 0; id && i < count; i++)
        if (all[i].id == id && may_take(&all[i], only_well))
            return (int)i;
    return best(all, count, only_well, is_freer);
}

static int choose(const struct share *all, size_t count, bool only_well,
                  const struct share_wish *wish)
{
    switch (wish->policy) {
    case POLICY_ROUND_ROBIN:
        return best(all, count, only_well, is_longer_ago);
    case POLICY_RANDOM:
        return choose_random(all, count, only_well, wish->chance);
    case POLICY_COOKIE:
        return choose_cookie(all, count, only_well, wish->cookie);
    case POLICY_IP_HASH:
    case POLICY_HEADER:
        if (wish->keyed)
            return choose_hash(all, count, only_well, wish->key);
        break; /* nothing to go by */
    default:
        break;
    }
    return best(all, count, only_well, is_freer);
}

int share_choose(const struct share *all, size_t count, const struct share_wish *wish)
{
    int found = choose(all, count, true, wish);
    return found == SHARE_NONE ? choose(all, count, false, wish) : found;
}
