#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "http/cache.h"
#include "http/server.h"

#include <cmocka.h>

enum { LIMIT = 1 << 20, TTL_MS = 10000 };

static const struct cache_wish no_wish = {.max_age_s = UINT64_MAX};
static char padding[LIMIT];

/* What an answer is that a test puts in. */
struct put {
    const char *key;
    const char *vary;   /* "lang\n" */
    const char *values; /* "=de\n" */
    size_t bytes;       /* of the body */
    unsigned status;    /* 0: 200 */
    bool mark;
    bool to_all;
    uint64_t now_ms;
    const void *owner;
};

static bool put_asked(struct cache *cache, struct put p, struct cache_ticket ticket)
{
    struct http_answer answer = {.status = p.status ? p.status : 200,
                                 .body = {padding, p.bytes}};
    struct stored *s = stored_new(&(struct stored_form){
        .key = slice_of(p.key),
        .vary = slice_of(p.vary),
        .values = slice_of(p.values),
        .answer = p.mark ? NULL : &answer,
        .fresh = {.ttl_ms = TTL_MS, .to_all = p.to_all},
        .owner = p.owner,
        .now_ms = p.now_ms,
    });
    bool kept = cache_put(cache, s, cache_hash(cache, s->key), ticket);
    stored_drop(s);
    return kept;
}

static bool put(struct cache *cache, struct put p)
{
    return put_asked(cache, p, cache_ticket(cache, slice_of(p.key)));
}

static struct stored *find_wished(struct cache *cache, const char *key, const char *lang,
                                  uint64_t now_ms, const struct cache_wish *wish)
{
    struct buf scratch = {0};
    struct field field = {SLICE("lang"), slice_of(lang)};
    struct http_request request = {.headers = &field, .header_count = lang ? 1 : 0};
    struct cache_question q = {.key = slice_of(key),
                               .hash = cache_hash(cache, slice_of(key)),
                               .request = &request,
                               .wish = wish,
                               .now_ms = now_ms};
    struct stored *found = cache_find(cache, &q, &scratch);
    buf_deinit(&scratch);
    return found;
}

static struct stored *find(struct cache *cache, const char *key, uint64_t now_ms)
{
    return find_wished(cache, key, NULL, now_ms, &no_wish);
}

static struct stored *find_in(struct cache *cache, const char *key, const char *lang)
{
    return find_wished(cache, key, lang, 0, &no_wish);
}

static void what_was_put_is_found_while_fresh(void **state)
{
    struct cache cache;
    (void)state;
    cache_init(&cache, LIMIT);
    assert_null(find(&cache, "a", 0));
    assert_true(put(&cache, (struct put){.key = "a", .now_ms = 500}));
    assert_non_null(find(&cache, "a", 500));
    assert_null(find(&cache, "b", 500));
    assert_non_null(find(&cache, "a", 500 + TTL_MS - 1));
    assert_null(find(&cache, "a", 500 + TTL_MS));
    assert_int_equal(cache.map.count, 0); /* freed when it was met */
    cache_deinit(&cache);
}

static void the_new_takes_the_place_of_the_old(void **state)
{
    struct cache cache;
    (void)state;
    cache_init(&cache, LIMIT);
    assert_true(put(&cache, (struct put){.key = "a", .status = 200}));
    assert_true(put(&cache, (struct put){.key = "a", .status = 404}));
    assert_int_equal(cache.map.count, 1);
    assert_int_equal(find(&cache, "a", 0)->status, 404);
    cache_deinit(&cache);
}

static void variants_are_told_apart(void **state)
{
    struct cache cache;
    (void)state;
    cache_init(&cache, LIMIT);
    assert_true(
        put(&cache, (struct put){.key = "a", .vary = "lang\n", .values = "=de\n", .bytes = 1}));
    assert_true(
        put(&cache, (struct put){.key = "a", .vary = "lang\n", .values = "=fr\n", .bytes = 2}));
    assert_true(
        put(&cache, (struct put){.key = "a", .vary = "lang\n", .values = "\n", .bytes = 3}));
    assert_int_equal(find_in(&cache, "a", "de")->body.len, 1);
    assert_int_equal(find_in(&cache, "a", "fr")->body.len, 2);
    assert_int_equal(find_in(&cache, "a", NULL)->body.len, 3);
    assert_null(find_in(&cache, "a", "en"));
    assert_null(find_in(&cache, "a", ""));
    struct slice key = SLICE("a");
    assert_true(slice_is(cache_vary(&cache, key, cache_hash(&cache, key)), "lang\n"));
    cache_deinit(&cache);
}

static void variants_of_one_key_have_a_bound(void **state)
{
    struct cache cache;
    char values[32];
    (void)state;
    cache_init(&cache, LIMIT);
    for (int i = 0; i < 3 * CACHE_VARIANTS_MAX; i++) {
        snprintf(values, sizeof(values), "=%d\n", i);
        assert_true(put(&cache, (struct put){.key = "a", .vary = "lang\n", .values = values}));
        assert_true(cache.map.count <= CACHE_VARIANTS_MAX);
    }
    assert_null(find_in(&cache, "a", "0"));
    assert_non_null(find_in(&cache, "a", "191"));
    assert_non_null(find_in(&cache, "a", "150"));
    cache_deinit(&cache);
}

static void a_mark_gives_way_to_an_answer(void **state)
{
    struct cache cache;
    (void)state;
    cache_init(&cache, LIMIT);
    assert_true(put(&cache, (struct put){.key = "a", .vary = "lang\n", .values = "=de\n"}));
    assert_true(put(&cache, (struct put){.key = "a", .mark = true}));
    assert_true(put(&cache, (struct put){.key = "a", .mark = true}));
    assert_int_equal(cache.map.count, 2);
    assert_int_equal(find_in(&cache, "a", "de")->status, 200); /* of another variant */
    assert_int_equal(find_in(&cache, "a", "fr")->status, 0);
    assert_true(put(&cache, (struct put){.key = "a", .vary = "lang\n", .values = "=it\n"}));
    assert_null(find_in(&cache, "a", "fr"));
    cache_deinit(&cache);
}

static void wishes_are_heard(void **state)
{
    struct cache cache;
    struct cache_wish wish = no_wish;
    (void)state;
    cache_init(&cache, LIMIT);
    assert_true(put(&cache, (struct put){.key = "a"}));
    assert_true(put(&cache, (struct put){.key = "all", .to_all = true}));
    wish.max_age_s = 3;
    assert_non_null(find_wished(&cache, "a", NULL, 3999, &wish));
    assert_null(find_wished(&cache, "a", NULL, 4000, &wish));
    wish = (struct cache_wish){.no_cache = true, .max_age_s = UINT64_MAX};
    assert_null(find_wished(&cache, "a", NULL, 0, &wish));
    wish = (struct cache_wish){.authorized = true, .max_age_s = UINT64_MAX};
    assert_null(find_wished(&cache, "a", NULL, 0, &wish));
    assert_non_null(find_wished(&cache, "all", NULL, 0, &wish));
    assert_non_null(find(&cache, "a", 0)); /* it is still there for the others */
    cache_deinit(&cache);
}

static void a_write_makes_stale_what_was_asked_for_before(void **state)
{
    struct cache cache;
    (void)state;
    cache_init(&cache, LIMIT);
    struct cache_ticket early = cache_ticket(&cache, SLICE("a"));
    assert_true(put(&cache, (struct put){.key = "a"}));
    assert_true(put(&cache, (struct put){.key = "b"}));
    cache_write(&cache, SLICE("a"));
    assert_null(find(&cache, "a", 0));
    assert_non_null(find(&cache, "b", 0));
    assert_false(put_asked(&cache, (struct put){.key = "a"}, early));
    assert_null(find(&cache, "a", 0));
    assert_true(put(&cache, (struct put){.key = "a"}));
    assert_non_null(find(&cache, "a", 0));
    cache_deinit(&cache);
}

static void an_owner_is_forgotten(void **state)
{
    struct cache cache;
    int one, two;
    (void)state;
    cache_init(&cache, LIMIT);
    assert_true(put(&cache, (struct put){.key = "a", .owner = &one}));
    assert_true(put(&cache, (struct put){.key = "b", .owner = &two}));
    assert_true(put(&cache, (struct put){.key = "c", .owner = &one}));
    cache_forget(&cache, &one);
    assert_null(find(&cache, "a", 0));
    assert_non_null(find(&cache, "b", 0));
    assert_null(find(&cache, "c", 0));
    cache_deinit(&cache);
}

/* What is counted is what there is. */
static size_t counted(const struct cache *cache)
{
    size_t bytes = 0;
    list_each (at, &cache->queue)
        bytes += container_of(at, struct stored, queue)->size;
    return bytes + keymap_bytes(&cache->map);
}

static void memory_stays_within_its_bound(void **state)
{
    struct cache cache;
    char key[32];
    (void)state;
    cache_init(&cache, LIMIT);
    for (int i = 0; i < 20000; i++) {
        snprintf(key, sizeof(key), "key %d", i);
        assert_true(put(&cache, (struct put){.key = key, .bytes = (size_t)(i * 37 % 3000)}));
        assert_true(cache_bytes(&cache) <= LIMIT);
    }
    assert_int_equal(cache_bytes(&cache), counted(&cache));
    assert_true(cache_bytes(&cache) > LIMIT * 9 / 10);
    assert_non_null(find(&cache, key, 0));
    cache_set_limit(&cache, LIMIT / 4);
    assert_true(cache_bytes(&cache) <= LIMIT / 4);
    assert_true(cache.map.count > 0);
    cache_set_limit(&cache, 0);
    assert_int_equal(cache.map.count, 0);
    assert_false(put(&cache, (struct put){.key = "a"}));
    cache_deinit(&cache);
}

static void one_answer_has_a_share_at_most(void **state)
{
    struct cache cache;
    (void)state;
    cache_init(&cache, LIMIT);
    assert_true(put(&cache, (struct put){.key = "a", .bytes = LIMIT / CACHE_SHARE - 1024}));
    assert_false(put(&cache, (struct put){.key = "b", .bytes = LIMIT / CACHE_SHARE}));
    assert_null(find(&cache, "b", 0));
    cache_deinit(&cache);
}

/* Keys that are asked for once must not cost those that are asked for often. */
static void the_popular_survive_a_flood(void **state)
{
    enum { POPULAR = 200, FLOOD = 20000 };
    struct cache cache;
    char key[32];
    int missed = 0;
    (void)state;
    cache_init(&cache, LIMIT);
    for (int i = 0; i < FLOOD; i++) {
        snprintf(key, sizeof(key), "popular %d", i % POPULAR);
        if (!find(&cache, key, 0)) {
            missed++;
            assert_true(put(&cache, (struct put){.key = key, .bytes = 2000}));
        }
        snprintf(key, sizeof(key), "once %d", i);
        assert_true(put(&cache, (struct put){.key = key, .bytes = 2000}));
    }
    assert_int_equal(missed, POPULAR);
    for (int i = 0; i < POPULAR; i++) {
        snprintf(key, sizeof(key), "popular %d", i);
        assert_non_null(find(&cache, key, 0));
    }
    assert_null(find(&cache, "once 1", 0));
    cache_deinit(&cache);
}

static void the_expired_make_room_first(void **state)
{
    struct cache cache;
    char key[32];
    (void)state;
    cache_init(&cache, LIMIT);
    for (int i = 0; i < 100; i++) {
        snprintf(key, sizeof(key), "old %d", i);
        assert_true(put(&cache, (struct put){.key = key}));
    }
    for (int i = 0; i < 20; i++) {
        snprintf(key, sizeof(key), "new %d", i);
        assert_true(put(&cache, (struct put){.key = key, .now_ms = TTL_MS}));
    }
    assert_int_equal(cache.map.count, 20);
    cache_deinit(&cache);
}

/* Who holds an answer may still send it when it is no longer kept. */
static void a_hold_outlives_the_cache(void **state)
{
    struct cache cache;
    (void)state;
    cache_init(&cache, LIMIT);
    assert_true(put(&cache, (struct put){.key = "a", .bytes = 100}));
    struct stored *s = stored_hold(find(&cache, "a", 0));
    cache_deinit(&cache);
    assert_int_equal(s->body.len, 100);
    stored_drop(s);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_put_is_found_while_fresh),
        cmocka_unit_test(the_new_takes_the_place_of_the_old),
        cmocka_unit_test(variants_are_told_apart),
        cmocka_unit_test(variants_of_one_key_have_a_bound),
        cmocka_unit_test(a_mark_gives_way_to_an_answer),
        cmocka_unit_test(wishes_are_heard),
        cmocka_unit_test(a_write_makes_stale_what_was_asked_for_before),
        cmocka_unit_test(an_owner_is_forgotten),
        cmocka_unit_test(memory_stays_within_its_bound),
        cmocka_unit_test(one_answer_has_a_share_at_most),
        cmocka_unit_test(the_popular_survive_a_flood),
        cmocka_unit_test(the_expired_make_room_first),
        cmocka_unit_test(a_hold_outlives_the_cache),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
